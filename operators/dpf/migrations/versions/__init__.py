"""Revisions of the DPF's store."""
