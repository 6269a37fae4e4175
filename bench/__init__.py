"""Measurements of the hot paths, in memory, on one core: `./dev bench`."""
