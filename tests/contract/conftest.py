"""Fixtures of the contract tests: one running TPM of each kind, fresh from its factory, and a PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from standards.tpm2.connection import TpmConnection
from tests.contract.databases import Databases
from tests.contract.postgresql import PostgreSql, running_postgresql
from tests.contract.tpm_devices import KINDS, RunningTpm, manufactured, running


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """One cluster, in which each test has a database of its own; skips where PostgreSQL is not installed."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """What `new_database` copies."""
    return Databases(tmp_path_factory.mktemp("db"))


@pytest.fixture(scope="session", params=KINDS)
def manufactured_tpm(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A kind of TPM and its state as it leaves the factory."""
    kind = str(request.param)
    return kind, manufactured(kind, tmp_path_factory)


@pytest.fixture
def device(manufactured_tpm: tuple[str, Path]) -> Iterator[RunningTpm]:
    """A TPM that may be reset; not started yet."""
    kind, state = manufactured_tpm
    with running(kind, state) as tpm:
        yield tpm


@pytest.fixture
def tpm(device: RunningTpm) -> TpmConnection:
    """A connection to a started TPM."""
    return device.start()
