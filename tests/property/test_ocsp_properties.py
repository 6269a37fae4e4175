"""Whatever bytes come, the responder answers with an OCSPResponse, and its client with a status or its own error."""

from dataclasses import replace
from datetime import timedelta

import pytest
from asn1crypto import core
from asn1crypto import ocsp as lax
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st

from ocsp.delegates import DelegateDirectory
from ocsp.responder import answer, respond
from standards.pki.errors import PkiError
from standards.pki.ocsp import ResponseStatus, build_request, decode_request
from standards.pki.ocsp_answer import verify_response
from standards.pki.ocsp_plain import read_plain_request
from tests.fakes.ocsp import GOOD, issuer_with_delegate, store_for
from tests.fakes.pki import NOW, Authority, p256

LINE = Authority.root("line")
DIRECTORY = DelegateDirectory([issuer_with_delegate(LINE)])
STORE = store_for(LINE)
LEAF = LINE.issue("leaf", key=p256().public_key(), serial=GOOD)
REQUEST = build_request(LEAF, LINE.certificate, nonce=bytes(range(32)))
RESPONSE = respond(REQUEST.der, now=NOW, status_store=STORE, delegates=DIRECTORY)
PLAIN = tuple(
    builder.add_certificate(LEAF, LINE.certificate, algorithm).build().public_bytes(Encoding.DER)
    for algorithm in (hashes.SHA1(), hashes.SHA256())  # noqa: S303  # names, not protection
    for builder in (
        ocsp.OCSPRequestBuilder(),
        ocsp.OCSPRequestBuilder().add_extension(x509.OCSPNonce(bytes(range(32))), critical=False),
    )
)


@pytest.mark.parametrize("request_der", PLAIN, ids=["sha1", "sha1-nonce", "sha256", "sha256-nonce"])
def test_the_quick_reader_agrees_with_all_others_on_every_octet(request_der: bytes) -> None:
    assert read_plain_request(request_der) is not None
    for end in range(len(request_der)):
        assert read_plain_request(request_der[:end]) is None
    answered = 0
    for at in range(len(request_der)):
        for value in range(256):
            changed = request_der[:at] + bytes([value]) + request_der[at + 1 :]
            read = read_plain_request(changed)
            if read is None:
                continue
            answered += 1
            assert read == decode_request(changed)
            if value == request_der[at] ^ 1:  # the slow ones, once for each octet
                assert lax.OCSPRequest.load(changed, strict=True).dump(force=True) == changed
                assert ocsp.load_der_ocsp_request(changed).serial_number == read.cert_ids[0].serial
    assert answered > 256 * 40  # hashes, serial and nonce may be anything


@given(st.binary(max_size=600))
def test_the_quick_reader_agrees_on_random_octets(data: bytes) -> None:
    read = read_plain_request(data)
    assert read is None or read == decode_request(data)


@given(
    st.integers(min_value=-(1 << 168), max_value=1 << 168),
    st.binary(max_size=140) | st.none(),
    st.booleans(),
    st.sampled_from([hashes.SHA1(), hashes.SHA256(), hashes.SHA384()]),  # noqa: S303  # names, not protection
)
def test_whatever_a_client_asks_is_read_alike(
    serial: int,
    nonce: bytes | None,
    critical: bool,  # noqa: FBT001  # given by the test
    algorithm: hashes.HashAlgorithm,
) -> None:
    octets = bytes(algorithm.digest_size)
    built = lax.OCSPRequest(
        {
            "tbs_request": {
                "request_list": [
                    {
                        "req_cert": {
                            "hash_algorithm": {"algorithm": algorithm.name, "parameters": core.Null()},
                            "issuer_name_hash": octets,
                            "issuer_key_hash": octets,
                            "serial_number": serial,
                        }
                    }
                ]
            }
        }
    )
    if nonce is not None:
        extension = {"extn_id": "nonce", "critical": critical, "extn_value": core.OctetString(nonce)}
        built["tbs_request"]["request_extensions"] = [extension]
    data = built.dump()
    read = read_plain_request(data)
    plain = 0 < serial < 1 << 159 and (nonce is None or 1 <= len(nonce) <= 128) and algorithm.name != "sha384"
    assert (read is not None) == plain
    assert read is None or read == decode_request(data)


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
