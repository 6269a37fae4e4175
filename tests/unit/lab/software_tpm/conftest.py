"""One TPM on the bench for each test."""

import pytest

from tests.fakes.software_tpm import BenchTpm


@pytest.fixture
def bench() -> BenchTpm:
    """A TPM as it leaves the wafer, powered on once."""
    return BenchTpm()
