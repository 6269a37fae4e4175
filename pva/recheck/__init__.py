"""A verdict with all that it stands on, as a file, and the same verdict computed again from it."""
