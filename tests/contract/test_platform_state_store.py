"""The last result of each certificate for each reader, on a real database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from ocsp.platform_states import CertificateName, KnownState
from ocsp.state_store import SqlStateStore
from standards.pki.platform_state import PlatformState
from tests.contract.status_engines import engine
from tests.fakes.pki import NOW

__all__ = ["engine"]

HERE = CertificateName(issuer_sha256="1c" * 32, serial=7)


def known(at: datetime = NOW, *, tier: str = "affirming", result_id: str = "r1") -> KnownState:
    state = PlatformState(state_digest=b"\xcc" * 32, tier=tier, result_time=at)
    return KnownState(state=state, result_id=result_id)


def test_each_reader_has_its_own_last_result(engine: sa.Engine) -> None:
    store = SqlStateStore(engine)
    assert store.last(HERE, reader=None) is None
    first, second = known(), known(NOW + timedelta(seconds=1), tier="warning", result_id="r2")
    store.keep(HERE, first, readers=["dpf-1", "sho-1"])
    store.keep(HERE, second, readers=["dpf-1"])
    for each in (store, SqlStateStore(engine)):
        assert each.last(HERE, reader="sho-1") == first
        assert each.last(HERE, reader="dpf-1") == second
        assert each.last(HERE, reader="sho-2") is None
        assert each.last(HERE, reader=None) == second


def test_an_older_result_and_the_same_again_change_nothing(engine: sa.Engine) -> None:
    store = SqlStateStore(engine)
    last = known(tier="contraindicated", result_id="r2")
    for each in (last, last, known(NOW - timedelta(days=1)), known(result_id="r9"), known(tier="none")):
        store.keep(HERE, each, readers=["sho-1"])
        assert store.last(HERE, reader="sho-1") == last
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM platform_states")) == 1


def test_a_serial_means_nothing_without_its_issuer(engine: sa.Engine) -> None:
    store = SqlStateStore(engine)
    store.keep(HERE, known(), readers=["sho-1"])
    for other in (
        CertificateName(issuer_sha256="1d" * 32, serial=7),
        CertificateName(issuer_sha256=HERE.issuer_sha256, serial=8),
    ):
        assert store.last(other, reader=None) is None


@pytest.mark.negative
@pytest.mark.parametrize("serial", [0, -1, 1 << 160])
def test_a_serial_that_no_certificate_can_have_is_nowhere(engine: sa.Engine, serial: int) -> None:
    store, nobody = SqlStateStore(engine), CertificateName(issuer_sha256="1c" * 32, serial=serial)
    store.keep(nobody, known(), readers=["sho-1"])
    assert store.last(nobody, reader=None) is None


def test_of_results_that_come_at_once_the_last_one_stays(engine: sa.Engine) -> None:
    stores = [SqlStateStore(engine), SqlStateStore(engine)]
    results = [known(NOW + timedelta(seconds=number), result_id=f"r{number}") for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda number: stores[number % 2].keep(HERE, results[number], readers=["dpf-1", "sho-1"]),
                (5, 11, 0, 10, 3, 9, 1, 8, 2, 7, 4, 6),
            )
        )
    for reader in ("dpf-1", "sho-1", None):
        assert stores[0].last(HERE, reader=reader) == results[-1]
