"""Tests keep what they remember in .pva, whoever started them."""

import os
from pathlib import Path

os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(__file__).parents[1] / ".pva" / "cache" / "hypothesis")
)
