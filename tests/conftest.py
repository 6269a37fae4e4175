"""Tests keep what they remember in .pva, whoever started them.

Property tests try a few examples of each kind; `./dev test --deep` tries many.
"""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

CACHE = Path(__file__).parents[1] / ".pva" / "cache"
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(CACHE / "hypothesis"))

# hundreds of processes start in the tests: compiled modules are kept, here where they disturb nobody's checkout
if "PYTHONPYCACHEPREFIX" not in os.environ:
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(CACHE / "python")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# a busy machine is no fault of the code: time is limited for a whole test (pytest-timeout), not for one example
settings.register_profile("project", deadline=None, max_examples=30)
settings.register_profile("deep", deadline=None, max_examples=500)
settings.load_profile("project")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case of bytes by its parameter: keys and signatures differ from run to run, names of tests must not."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder by a short name: services put sockets there, and a UNIX path ends at 107 bytes, wherever the checkout lies."""
    return tmp_path_factory.mktemp("t")
