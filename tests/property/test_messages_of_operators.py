"""Any value in any claim gives the message or `MessageError`; what is accepted is written back the same."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.approval import decode_approval
from messages.attachment import nai_of, read_nai
from messages.device_code import device_code, read_device_code
from messages.encoding import encode_deterministic
from messages.erasure import decode_erasure
from messages.errors import MessageError
from messages.mid_content import decode_content
from messages.mid_package import decrypt_content
from messages.operator_token import verify_operator_token
from messages.order import ORDER_KIND
from messages.registry import decode_report
from messages.reliance import verify_result
from messages.statement import (
    SignedStatement,
    decode_receipt,
    decode_statement,
    verify_statement,
)
from tests.fakes.pki import NOW, Authority
from tests.property.test_messages import JSON, VALUES, refused
from tests.unit.messages import operator_samples as samples
from tests.unit.messages.operator_samples import TOKENS

ROOT = Authority.root("operators").certificate
DECODERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "approval": (decode_approval, samples.APPROVAL.encode()),
    "receipt": (decode_receipt, samples.RECEIPT.encode()),
    "erasure": (decode_erasure, samples.ERASURE.encode()),
    "registry": (decode_report, samples.REPORT.encode()),
    "statement": (decode_statement, samples.STATEMENT.encode()),
    "content": (decode_content, samples.CONTENT.encode()),
}
CLAIMS = [(name, claim) for name, token in TOKENS.items() for claim in sorted(token.claims)]


@given(st.sampled_from(CLAIMS), JSON)
def test_any_claim_may_be_anything(place: tuple[str, str], value: Any) -> None:
    name, claim = place
    token = TOKENS[name]
    try:
        read = token.read({**token.claims, claim: value})
    except MessageError:
        return
    issuer = value if claim == "iss" else token.issuer
    assert token.read({**read.claims(), "iss": issuer}) == read


@given(st.sampled_from(sorted(TOKENS)), JSON)
def test_claims_may_be_anything_at_all(name: str, value: Any) -> None:
    try:
        TOKENS[name].read(value)
    except MessageError:
        return
    pytest.fail("random JSON was taken for a token")


@pytest.mark.negative
@pytest.mark.parametrize("name", DECODERS)
def test_every_prefix_and_suffix_is_refused(name: str) -> None:
    decode, message = DECODERS[name]
    assert not refused(decode, message)
    assert all(refused(decode, message[:length]) for length in range(len(message)))
    assert all(refused(decode, message + bytes([surplus])) for surplus in range(256))


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=300))
def test_random_bytes_raise_the_one_error(name: str, data: bytes) -> None:
    refused(DECODERS[name][0], data)


@pytest.mark.parametrize("name", DECODERS)
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3))
def test_changed_bytes_raise_the_one_error(name: str, changes: list[tuple[int, int]]) -> None:
    decode, message = DECODERS[name]
    changed = bytearray(message)
    for place, value in changes:
        changed[place % len(changed)] = value
    refused(decode, bytes(changed))


@given(st.sampled_from(sorted(DECODERS)), st.dictionaries(st.integers(1, 11), VALUES, max_size=11))
def test_fields_of_any_value_raise_the_one_error(name: str, fields: dict[int, Any]) -> None:
    refused(DECODERS[name][0], encode_deterministic(fields))


@given(st.binary(min_size=32, max_size=32))
def test_a_device_code_is_read_back(device: bytes) -> None:
    assert read_device_code(device_code(device.hex())) == device_code(device.hex())


@given(st.text(max_size=70))
def test_any_text_is_a_device_code_or_refused(text: str) -> None:
    try:
        code = read_device_code(text)
    except MessageError:
        return
    assert read_device_code(code) == code


@given(st.from_regex(r"[0-9]{6,15}", fullmatch=True), st.sampled_from([2, 3]))
def test_every_pcid_finds_its_home(pcid: str, mnc_digits: int) -> None:
    found, mcc, mnc = read_nai(nai_of(pcid, mnc_digits=mnc_digits))
    assert found == pcid
    assert pcid.startswith(mcc + mnc)


@given(st.text(max_size=90))
def test_any_text_is_an_identity_or_refused(identity: str) -> None:
    try:
        read_nai(identity)
    except MessageError:
        return
    pytest.fail("random text was taken for an identity")


@given(st.text(max_size=200))
def test_any_text_as_a_token_raises_the_one_error(token: str) -> None:
    for verify in (
        lambda: verify_operator_token(token, ORDER_KIND, anchors=[ROOT], at=NOW),
        lambda: verify_result(token, anchors=[ROOT], at=NOW),
    ):
        with pytest.raises(MessageError):
            verify()


@given(st.tuples(*[st.binary(min_size=1, max_size=120)] * 4))
def test_random_statements_are_refused(parts: tuple[bytes, bytes, bytes, bytes]) -> None:
    body, attest, signature, ak = parts
    with pytest.raises(MessageError):
        verify_statement(
            SignedStatement(body=body, attest=attest, signature=signature, ak_public=ak),
            nonce=bytes(32),
            ak_name=samples.AK_NAME,
            pcr_selections=samples.STATE.pcr_selections,
            pcr_digest=samples.STATE.pcr_digest,
        )


@given(st.binary(max_size=100), st.binary(max_size=40))
def test_random_content_and_keys_raise_the_one_error(content: bytes, key: bytes) -> None:
    with pytest.raises(MessageError):
        decrypt_content(content, key=key, header=samples.PACKAGE)
