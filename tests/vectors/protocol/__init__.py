"""The worked example of docs/PROTOCOL.md, made from scratch and without anything random."""
