"""Only what has a norm number: pure, no I/O, no clock."""
