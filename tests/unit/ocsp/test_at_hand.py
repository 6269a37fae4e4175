"""What is at hand is given while it is true, and not a moment longer."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus as Status

from edge.database_faults import DatabaseUnavailableError
from ocsp.at_hand import AnswersAtHand, Kept, Wanted
from ocsp.delegates import DelegateDirectory
from ocsp.judgement import AnswerPolicy, StatusStore
from ocsp.responder import answer_all
from ocsp.responses import Answer
from ocsp.standings import Standing
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.fingerprints import ca_id
from standards.pki.ocsp import OcspRequest
from tests.fakes.ocsp import (
    FOREIGN,
    GOOD,
    HELD,
    REVOKED,
    MemoryStatusStore,
    issuer_with_delegate,
    store_for,
)
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
            self.answers, self.store, directory=lambda: self.directory, policy=self.policy, **options
        )

    def answers(
        self, requests: Sequence[bytes | OcspRequest], *, now: datetime, statuses: StatusStore
    ) -> list[Answer]:
        self.signed += len(requests)
        return answer_all(
            requests, now=now, status_store=statuses, delegates=self.directory, policy=self.policy
        )

    def told(self, request: bytes, *, now: datetime = NOW, wire: str = "") -> Kept:
        """As the listener asks: what is at hand, else made."""
        self.store.level_at = now if self.store.level_at else None
        found = self.at_hand.find(wire or request, now=now)
        return found or self.made(Wanted(request, wire or request), now=now)[0]

    def made(self, *wanted: Wanted, now: datetime = NOW) -> list[Kept]:
        """Several together."""
        return self.at_hand.make_all(wanted, now=now)

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
    answers = desk.answers

    def late(
        requests: Sequence[bytes | OcspRequest], *, now: datetime, statuses: StatusStore
    ) -> list[Answer]:
        made = answers(requests, now=now, statuses=statuses)
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


@pytest.mark.negative
@pytest.mark.check("N5")
def test_requests_that_are_answered_together_stay_apart() -> None:
    desk = Desk()
    nonces = [bytes([number]) * 32 for number in range(3)]
    asked = [
        ask(serial, extensions=[(x509.OCSPNonce(nonce), False)])
        for serial, nonce in zip((GOOD, REVOKED, HELD), nonces, strict=True)
    ]
    asked += [b"x", ask(FOREIGN), ask(issuer=OTHER_LINE), ask_for_all(ask(), ask(HELD)), ask(REVOKED)]
    made = [each.answer for each in desk.made(*(Wanted(each, each) for each in asked))]
    assert [each.status.name for each in made] == [
        *["SUCCESSFUL"] * 3,
        "MALFORMED_REQUEST",
        "SUCCESSFUL",
        "UNAUTHORIZED",
        "SUCCESSFUL",
        "SUCCESSFUL",
    ]
    told = [ocsp.load_der_ocsp_response(each.der) for each in made[:3]]
    for response, nonce, serial in zip(told, nonces, (GOOD, REVOKED, HELD), strict=True):
        assert verified(response).serial_number == serial
        assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    assert [each.certificate_status for each in told] == [Status.GOOD, Status.REVOKED, Status.REVOKED]
    assert desk.at_hand.find(asked[-1], now=NOW) is not None
    assert [desk.at_hand.find(each, now=NOW) for each in asked[:-1]] == [None] * 7


@pytest.mark.requirement("R101")
def test_one_question_to_the_store_is_enough_for_all_and_it_comes_first() -> None:
    desk = Desk()
    store, questions = desk.store, list[Sequence[int]]()

    class Asked(MemoryStatusStore):
        def standings(self, issuer: str, serials: Sequence[int]) -> Mapping[int, Standing]:
            assert desk.signed == 0
            questions.append(tuple(serials))
            return super().standings(issuer, serials)

        def as_of(self) -> datetime | None:
            assert not questions  # the moment before the statuses
            return super().as_of()

    store = Asked(known=store.known)
    at_hand = AnswersAtHand(desk.answers, store, directory=lambda: desk.directory, policy=desk.policy)
    wanted = [
        Wanted(each, each) for each in (ask(extensions=NONCE), ask(REVOKED, extensions=NONCE), ask(HELD))
    ]
    made = [ocsp.load_der_ocsp_response(each.answer.der) for each in at_hand.make_all(wanted, now=NOW)]
    assert [each.serial_number for each in made] == [GOOD, REVOKED, HELD]
    assert questions == [(GOOD, REVOKED, HELD)]


@pytest.mark.negative
def test_a_store_that_is_away_is_told_to_each_client() -> None:
    desk = Desk()

    class Away(MemoryStatusStore):
        def standings(self, issuer: str, serials: Sequence[int]) -> Mapping[int, Standing]:
            del issuer, serials
            raise DatabaseUnavailableError

    at_hand = AnswersAtHand(desk.answers, Away(), directory=lambda: desk.directory, policy=desk.policy)
    wanted = [Wanted(each, each) for each in (ask(), ask(extensions=NONCE), b"x", ask(issuer=OTHER_LINE))]
    made = [each.answer.status.name for each in at_hand.make_all(wanted, now=NOW)]
    assert made == ["TRY_LATER", "TRY_LATER", "MALFORMED_REQUEST", "UNAUTHORIZED"]
    assert at_hand.find(wanted[0].wire, now=NOW) is None
