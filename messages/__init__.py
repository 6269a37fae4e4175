"""Our own wire messages, one file each: pure values and codecs."""
