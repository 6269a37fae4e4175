"""Tests keep what they remember in .pva, whoever started them."""

import os
from pathlib import Path

from hypothesis import settings

os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(__file__).parents[1] / ".pva" / "cache" / "hypothesis")
)

# a busy machine is no fault of the code: time is limited for a whole test (pytest-timeout), not for one example
settings.register_profile("project", deadline=None)
settings.load_profile("project")
