"""What is at hand is given while it is true, and not a moment longer."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus as Status

from ocsp.at_hand import AnswersAtHand, Kept
from ocsp.delegates import DelegateDirectory
from ocsp.responder import AnswerPolicy, answer
from ocsp.responses import Answer
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.fingerprints import ca_id
from standards.pki.ocsp import OcspRequest
from tests.fakes.ocsp import FOREIGN, GOOD, HELD, REVOKED, issuer_with_delegate, store_for
from tests.fakes.pki import NOW, Validity
from tests.unit.ocsp.asking import ISSUER, LINE, OTHER_LINE, ask, ask_for_all, verified

CA = ca_id(LINE.certificate)
NONCE = [(x509.OCSPNonce(b"n" * 32), False)]


class Desk:
    """Answers at hand over a store in memory, with the number of signatures that were made."""

    def __init__(self, *, policy: AnswerPolicy | None = None, **options: Any) -> None:
        self.store = store_for(LINE, OTHER_LINE)
        self.directory = DelegateDirectory([ISSUER])
        self.policy = policy or AnswerPolicy()
        self.signed = 0
        self.at_hand = AnswersAtHand(
            self.sign, self.store, directory=lambda: self.directory, policy=self.policy, **options
        )

    def sign(self, request: bytes | OcspRequest, *, now: datetime) -> Answer:
        self.signed += 1
        return answer(request, now=now, status_store=self.store, delegates=self.directory, policy=self.policy)

    def told(self, request: bytes, *, now: datetime = NOW, wire: str = "") -> Kept:
        """As the listener asks: what is at hand, else made."""
        self.store.level_at = now if self.store.level_at else None
        found = self.at_hand.find(wire or request, now=now)
        return found or self.at_hand.make(request, wire=wire or request, now=now)

    def status(self, request: bytes, *, now: datetime = NOW) -> Status:
        response = ocsp.load_der_ocsp_response(self.told(request, now=now).answer.der)
        return verified(response).certificate_status


@pytest.mark.parametrize("serial", [GOOD, REVOKED, HELD])
def test_the_same_octets_are_answered_without_work(serial: int) -> None:
    desk, request = Desk(), ask(serial)
    first = desk.told(request)
    assert desk.told(request) is first
    assert desk.told(request, now=NOW + timedelta(seconds=30)) is first
    assert desk.signed == 1
    assert desk.told(request, now=NOW + timedelta(seconds=31)) is not first


@pytest.mark.negative
@pytest.mark.requirement("R101")
def test_a_status_that_changed_is_told_at_once() -> None:
    desk, request = Desk(), ask()
    assert desk.status(request) is Status.GOOD
    held = Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=NOW)
    for revocation, told in [(held, Status.REVOKED), (None, Status.GOOD), (held, Status.REVOKED)]:
        desk.store.change(CA, GOOD, revocation)
        assert desk.status(request) is told
    final = Revocation(reason=RevocationReason.KEY_COMPROMISE, at=NOW)
    desk.store.change(CA, GOOD, final)
    response = ocsp.load_der_ocsp_response(desk.told(request).answer.der)
    assert response.revocation_reason is x509.ReasonFlags.key_compromise


def test_another_certificates_change_costs_no_signature() -> None:
    desk, request = Desk(), ask()
    first = desk.told(request)
    desk.store.change(CA, HELD, None)
    assert desk.told(request) is first
    assert desk.signed == 1


@pytest.mark.negative
def test_a_change_while_an_answer_is_made_is_not_missed() -> None:
    desk, request = Desk(), ask()
    sign = desk.sign

    def late(request: bytes | OcspRequest, *, now: datetime) -> Answer:
        made = sign(request, now=now)
        desk.store.change(CA, GOOD, Revocation(reason=RevocationReason.SUPERSEDED, at=NOW))
        return made

    desk.at_hand = AnswersAtHand(late, desk.store, directory=lambda: desk.directory, policy=desk.policy)
    assert desk.status(request) is Status.GOOD  # it was, when it was looked up
    assert desk.status(request) is Status.REVOKED


@pytest.mark.negative
def test_where_the_store_is_slow_to_ask_every_change_ends_all() -> None:
    desk, request = Desk(revalidate=False), ask()
    first = desk.told(request)
    assert desk.told(request) is first
    desk.store.change(CA, HELD, None)
    assert desk.told(request) is not first


@pytest.mark.negative
@pytest.mark.check("N5")
def test_what_is_for_one_client_is_not_kept() -> None:
    for request in (
        ask(extensions=NONCE),
        ask(FOREIGN),
        ask(issuer=OTHER_LINE),
        ask_for_all(ask(), ask(HELD)),
        b"x",
    ):
        desk = Desk()
        first = desk.told(request)
        assert desk.told(request) is not first
        assert desk.signed == 2


@pytest.mark.negative
def test_new_delegates_end_what_the_old_ones_signed() -> None:
    desk, request = Desk(), ask()
    desk.told(request)
    renewed = issuer_with_delegate(LINE)
    desk.directory = DelegateDirectory([renewed])
    verified(ocsp.load_der_ocsp_response(desk.told(request).answer.der), renewed)
    desk.told(request)
    assert desk.signed == 2
    desk.directory = DelegateDirectory([])
    assert desk.told(request).answer.this_update is None


@pytest.mark.negative
def test_an_answer_at_hand_ends_with_its_delegate_and_with_the_age_of_the_store() -> None:
    dying = issuer_with_delegate(LINE, validity=Validity(after=timedelta(seconds=40)))
    desk, request = Desk(), ask()
    desk.directory = DelegateDirectory([dying])
    assert desk.told(request).answer.this_update is not None
    assert desk.told(request, now=NOW + timedelta(seconds=11)).answer.this_update is None
    desk = Desk(policy=AnswerPolicy(feed_age_max=timedelta(seconds=10)))
    desk.told(request)
    late = NOW + timedelta(seconds=11)
    assert desk.at_hand.find(request, now=late) is None
    assert desk.at_hand.find(request, now=NOW - timedelta(seconds=1)) is None


@pytest.mark.negative
def test_a_store_that_was_never_level_has_nothing_at_hand() -> None:
    desk, request = Desk(), ask(REVOKED)
    desk.store.level_at = None
    assert desk.status(request) is Status.REVOKED
    desk.told(request)
    assert desk.signed == 2


def test_the_first_that_was_signed_goes_first() -> None:
    desk = Desk(answers_max=2)
    requests: Sequence[bytes] = [ask(GOOD), ask(REVOKED), ask(HELD)]
    for request in requests:
        desk.told(request)
    assert desk.at_hand.find(requests[0], now=NOW) is None
    assert all(desk.at_hand.find(request, now=NOW) for request in requests[1:])


def test_path_and_body_are_different_spellings() -> None:
    desk, request = Desk(), ask()
    desk.told(request, wire="/path")
    assert desk.at_hand.find("/path", now=NOW) is not None
    assert desk.at_hand.find(request, now=NOW) is None
