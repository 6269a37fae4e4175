"""Whatever bytes come, the responder answers with an OCSPResponse, and its client with a status or its own error."""

from dataclasses import replace
from datetime import timedelta

from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st

from ocsp.delegates import DelegateDirectory
from ocsp.responder import answer, respond
from standards.pki.errors import PkiError
from standards.pki.ocsp import ResponseStatus, build_request, decode_request
from standards.pki.ocsp_answer import verify_response
from tests.fakes.ocsp import GOOD, issuer_with_delegate, store_for
from tests.fakes.pki import NOW, Authority, p256

LINE = Authority.root("line")
DIRECTORY = DelegateDirectory([issuer_with_delegate(LINE)])
STORE = store_for(LINE)
REQUEST = build_request(
    LINE.issue("leaf", key=p256().public_key(), serial=GOOD), LINE.certificate, nonce=bytes(range(32))
)
RESPONSE = respond(REQUEST.der, now=NOW, status_store=STORE, delegates=DIRECTORY)


@given(st.binary(max_size=600))
def test_random_requests_are_answered(data: bytes) -> None:
    told = answer(data, now=NOW, status_store=STORE, delegates=DIRECTORY)
    assert told.status is not ResponseStatus.INTERNAL_ERROR
    ocsp.load_der_ocsp_response(told.der)


@settings(max_examples=3 * settings().max_examples)
@given(st.integers(min_value=0, max_value=len(REQUEST.der) - 1), st.integers(min_value=1, max_value=255))
def test_changed_requests_are_answered(at: int, change: int) -> None:
    changed = bytearray(REQUEST.der)
    changed[at] ^= change
    told = answer(bytes(changed), now=NOW, status_store=STORE, delegates=DIRECTORY)
    assert told.status is not ResponseStatus.INTERNAL_ERROR
    response = ocsp.load_der_ocsp_response(told.der)
    if told.status is ResponseStatus.SUCCESSFUL:
        (single,) = list(response.responses)
        (asked,) = decode_request(bytes(changed)).cert_ids
        assert single.serial_number == asked.serial
        good = single.certificate_status is ocsp.OCSPCertStatus.GOOD
        assert good == (asked.serial == GOOD)


@given(st.integers(min_value=0, max_value=3600 * 1000))
def test_good_only_while_the_store_is_young(age_ms: int) -> None:
    store = replace(STORE, level_at=NOW - timedelta(milliseconds=age_ms))
    told = answer(REQUEST.der, now=NOW, status_store=store, delegates=DIRECTORY)
    if told.status is ResponseStatus.SUCCESSFUL:
        assert told.this_update is not None
        assert told.next_update is not None
        assert told.this_update <= NOW < told.next_update
        assert told.next_update - told.this_update <= timedelta(minutes=5)
        assert age_ms <= 900_000
    else:
        assert told.status is ResponseStatus.TRY_LATER
        assert age_ms > 900_000


@settings(max_examples=2 * settings().max_examples)
@given(st.integers(min_value=0, max_value=len(RESPONSE) - 1), st.integers(min_value=1, max_value=255))
def test_changed_answers_are_refused_or_say_the_same(at: int, change: int) -> None:
    changed = bytearray(RESPONSE)
    changed[at] ^= change
    honest = verify_response(RESPONSE, request=REQUEST, issuer=LINE.certificate, at=NOW)
    try:
        status = verify_response(bytes(changed), request=REQUEST, issuer=LINE.certificate, at=NOW)
    except PkiError:
        return
    assert (status.kind, status.this_update, status.next_update) == (
        honest.kind,
        honest.this_update,
        honest.next_update,
    )


@given(st.binary(max_size=400))
def test_random_answers_are_refused(data: bytes) -> None:
    try:
        verify_response(data, request=REQUEST, issuer=LINE.certificate, at=NOW)
    except PkiError:
        return
    raise AssertionError("random bytes were taken for an answer")
