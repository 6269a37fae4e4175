"""A batch, a model and a supplier are suspended over HTTP: heard at once with a nonce, in time through caches, by the PVA too."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography.x509 import ocsp

from clients.ca_suspensions import CaSuspensionClient
from clients.pva_suppliers import PvaSupplierClient
from clients.suspensions import SuspensionEntry
from edge.http_client import HttpError
from edge.process import system_clock
from lab.scene import Scene
from standards.pki.crl import RevocationReason
from standards.pki.ocsp_answer import StatusKind
from tests.end_to_end.test_holds import HEARD_S, SUPPLIER, InTheField, in_the_field, until

CRL_S = 30.0

pytestmark = [
    pytest.mark.requirement("R28"),
    pytest.mark.requirement("R101"),
    pytest.mark.requirement("R19"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def field(network: Scene) -> Iterator[InTheField]:
    with in_the_field(network, "suspended") as made:
        until(lambda: made.asked_with_nonce().kind is StatusKind.GOOD)
        yield made


def at_ca(field: InTheField, who: str) -> CaSuspensionClient:
    services = field.scene.services
    return CaSuspensionClient(services.http("ca", "operator", services.identity(who)))


def at_pva(field: InTheField, who: str) -> PvaSupplierClient:
    services = field.scene.services
    return PvaSupplierClient(services.http("pva", "operator", services.identity(who)))


def heard_on_hold(field: InTheField) -> bool:
    said = field.asked_with_nonce()
    return said.revocation is not None and said.revocation.reason is RevocationReason.CERTIFICATE_HOLD


def lifted(field: InTheField, made: SuspensionEntry) -> None:
    """By two, and not by one."""
    assert at_ca(field, "admin").lift(made.id).lifted_at is None
    with pytest.raises(HttpError) as caught:
        at_ca(field, "admin").lift(made.id)
    assert caught.value.problem is not None
    assert caught.value.problem.reason == "approver-not-another"
    assert heard_on_hold(field)
    assert at_ca(field, "admin-2").lift(made.id).lifted_at is not None


def test_a_suspended_batch_is_on_hold_for_everybody(field: InTheField) -> None:
    assert field.validated() == "affirming"
    before = field.asked_without_nonce()
    assert before.certificate_status is ocsp.OCSPCertStatus.GOOD
    started = until(lambda: True)
    made = at_ca(field, SUPPLIER).suspend(SUPPLIER, batch=f"batch-of-{field.device}", reason="a flaw")
    heard = until(lambda: heard_on_hold(field))
    assert heard - started < HEARD_S
    # the certificate's own status and version are as they were; the scope decides
    assert (field.credential().status, field.credential().version) == ("good", 1)
    assert before.next_update_utc is not None
    left_s = max(0.0, (before.next_update_utc - system_clock()).total_seconds())
    until(
        lambda: field.asked_without_nonce().certificate_status is ocsp.OCSPCertStatus.REVOKED,
        within_s=left_s + timedelta(seconds=1).total_seconds(),
    )
    until(
        lambda: field.listed() is RevocationReason.CERTIFICATE_HOLD,
        within_s=CRL_S,
    )
    assert field.validated() == "refused: pfc-on-hold"
    lifted(field, made)
    until(lambda: field.asked_with_nonce().kind is StatusKind.GOOD, within_s=HEARD_S * 5)
    until(lambda: field.listed() is None, within_s=CRL_S)
    assert field.validated() == "affirming"


def test_another_batch_and_another_supplier_change_nothing(field: InTheField) -> None:
    made = at_ca(field, "admin").suspend("supplier-2", reason="a flaw of the other")
    time.sleep(HEARD_S)
    assert field.asked_with_nonce().kind is StatusKind.GOOD
    assert field.validated() == "affirming"
    assert at_ca(field, "admin").lift(made.id).lifted_at is None
    assert at_ca(field, "admin-2").lift(made.id).lifted_at is not None


def test_a_supplier_suspended_at_the_pva_is_refused_whatever_its_responder_says(field: InTheField) -> None:
    made = at_pva(field, "admin").suspend(SUPPLIER, reason="its audit was withdrawn")
    assert field.asked_with_nonce().kind is StatusKind.GOOD
    assert field.validated() == "refused: supplier-suspended"
    assert at_pva(field, "admin").lift(made.id).done_at is None
    assert field.validated() == "refused: supplier-suspended"
    assert at_pva(field, "admin-2").lift(made.id).done_at is not None
    assert field.validated() == "affirming"
