"""An answer given twice says what a fresh one would say."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus as Status
from cryptography.x509.ocsp import OCSPResponseStatus

from ocsp.delegates import DelegateDirectory
from ocsp.responder import answer_all
from ocsp.signed_answers import SignedAnswers
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.fingerprints import ca_id
from tests.fakes.ocsp import (
    GOOD,
    HELD,
    REVOKED,
    REVOKED_AT,
    issuer_with_delegate,
)
from tests.fakes.pki import NOW
from tests.unit.ocsp.asking import ISSUER, LINE, OTHER_ISSUER, STORE, ask, verified


def told(request: bytes, *, signed: SignedAnswers, **changed: Any) -> bytes:
    named: dict[str, Any] = {
        "now": NOW,
        "status_store": STORE,
        "delegates": DelegateDirectory([ISSUER, OTHER_ISSUER]),
        **changed,
    }
    (only,) = answer_all([request], signed=signed, **named)
    return only.der


@pytest.mark.check("L10")
def test_the_same_is_answered_alike_for_a_tenth_of_its_life() -> None:
    signed, request = SignedAnswers(), ask()
    first = told(request, signed=signed)
    store = replace(STORE, level_at=NOW + timedelta(seconds=30))
    assert told(request, signed=signed, now=NOW + timedelta(seconds=30), status_store=store) == first
    later = told(request, signed=signed, now=NOW + timedelta(seconds=31), status_store=store)
    assert later != first
    assert verified(ocsp.load_der_ocsp_response(later)).this_update_utc == NOW + timedelta(seconds=30)


@pytest.mark.negative
@pytest.mark.check("L10")
def test_what_was_signed_before_hides_nothing_that_is_known_since() -> None:
    signed, request = SignedAnswers(), ask()
    first = told(request, signed=signed)
    store = replace(STORE, known=dict(STORE.known))
    store.known[ca_id(LINE.certificate), GOOD] = Revocation(
        reason=RevocationReason.CERTIFICATE_HOLD, at=REVOKED_AT
    )
    held = ocsp.load_der_ocsp_response(told(request, signed=signed, status_store=store))
    assert held.certificate_status is Status.REVOKED
    old = replace(STORE, level_at=NOW - timedelta(hours=1))
    refused = ocsp.load_der_ocsp_response(told(request, signed=signed, status_store=old))
    assert refused.response_status is OCSPResponseStatus.TRY_LATER
    renewed = issuer_with_delegate(LINE)
    other = told(request, signed=signed, delegates=DelegateDirectory([renewed]))
    verified(ocsp.load_der_ocsp_response(other), renewed)
    earlier = NOW - timedelta(seconds=1)
    assert told(request, signed=signed, now=earlier, status_store=replace(STORE, level_at=earlier)) != first


@pytest.mark.negative
@pytest.mark.check("N5")
def test_an_answer_to_a_nonce_is_signed_for_it_alone() -> None:
    signed = SignedAnswers()
    told(ask(), signed=signed)
    with_nonce = ask(extensions=[(x509.OCSPNonce(b"n" * 32), False)])
    fresh = verified(ocsp.load_der_ocsp_response(told(with_nonce, signed=signed)))
    assert fresh.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32
    assert told(with_nonce, signed=signed) != told(with_nonce, signed=signed)


def test_answers_that_nobody_asks_for_are_forgotten_first() -> None:
    signed = SignedAnswers(answers_max=2)
    good, revoked, held = ask(GOOD), ask(REVOKED), ask(HELD)
    first, second = told(good, signed=signed), told(revoked, signed=signed)
    assert told(good, signed=signed) == first
    told(held, signed=signed)
    assert told(good, signed=signed) == first
    assert told(revoked, signed=signed) != second
