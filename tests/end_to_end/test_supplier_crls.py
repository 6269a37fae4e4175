"""A supplier without a responder, by processes and sockets: its CRL is followed, and what ended says nothing."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from clients.pva_suppliers import CrlEntry
from edge.http_client import HttpError
from edge.process import system_clock
from messages.evidence import encode_evidence
from tests.end_to_end.test_holds import until
from tests.end_to_end.test_pva_process import Site
from tests.fakes.supplier_crls import CrlPlace, crl_of

LIFE = timedelta(seconds=12)
pytestmark = [pytest.mark.requirement("R75"), pytest.mark.requirement("R74"), pytest.mark.timeout(300)]


@pytest.fixture
def place() -> Iterator[CrlPlace]:
    made = CrlPlace()
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path, place: CrlPlace) -> Iterator[Site]:
    running = Site(tmp_path, crl_url=place.url)
    yield running
    assert running.pva.stop() == 0
    running.pva.close()


def standing(site: Site) -> CrlEntry:
    (supplier,) = site.pva.suppliers("admin").suppliers()
    return supplier.crls[0]


def publish(site: Site, place: CrlPlace, *revoked: int, number: int) -> None:
    at = system_clock().replace(microsecond=0)
    place.crl = crl_of(site.pva.supplier.issuing, *revoked, number=number, at=at, life=LIFE)


def verdict(site: Site) -> str:
    site.ask()
    with suppress(HttpError):
        return site.pva.device.submit_evidence(encode_evidence(site.evidence())).status
    site.ask()
    return site.refused(site.evidence())


def test_a_crl_is_followed_and_stands_for_a_responder(site: Site, place: CrlPlace) -> None:
    """Missing, current, current with a revocation, and at last over: each in the next verdict."""
    assert standing(site).state == "missing"
    assert verdict(site) == "status-unavailable"
    publish(site, place, number=1)
    until(lambda: standing(site).state == "current", within_s=60)
    assert verdict(site) == "affirming"
    publish(site, place, site.credential.serial_number, number=2)
    until(lambda: verdict(site) == "pfc-revoked")
    place.crl = b""
    until(lambda: standing(site).state == "stale")
    assert standing(site).fault is not None
    assert verdict(site) == "status-unavailable"
    until(lambda: "supplier-crl-not-current" in (site.pva.folder / "log").read_text())
