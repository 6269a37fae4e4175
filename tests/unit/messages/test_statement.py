"""Statements of a TRE: believed for one AK, one nonce, one body and one state."""

from dataclasses import replace
from typing import Any

import pytest

from messages.binding import PVA_EVIDENCE, PVA_STATEMENT, extra_data
from messages.encoding import decode_deterministic, encode_deterministic
from messages.errors import MessageError
from messages.pcr import PcrSelections
from messages.statement import (
    DETAIL_MAX,
    STATEMENT_BYTES_MAX,
    SignedStatement,
    StateChangedError,
    decode_receipt,
    decode_statement,
    verify_statement,
)
from standards.tpm2.constants import Handle, StructureTag
from standards.tpm2.structures import NvCertifyInfo, PcrSelection, QuoteInfo
from standards.tpm2.templates import STORAGE_ECC_P256
from tests.fakes.attesting_device import SHA256, AttestingDevice, with_point
from tests.unit.messages.operator_samples import RECEIPT, STATEMENT

NONCE = b"\x05" * 32
SELECTION = {SHA256: (0, 4, 14)}
PCR_DIGEST = b"\xcc" * 32
DEVICE = AttestingDevice()


def stated(
    *,
    by: AttestingDevice = DEVICE,
    body: bytes = RECEIPT.encode(),
    selections: PcrSelections = SELECTION,
    pcr_digest: bytes = PCR_DIGEST,
    data: bytes | None = None,
) -> SignedStatement:
    """A statement of a device, wrong in what a test says."""
    info = QuoteInfo(
        pcr_selections=tuple(
            PcrSelection(bank=bank, indices=indices) for bank, indices in selections.items()
        ),
        pcr_digest=pcr_digest,
    )
    quoted = extra_data(PVA_STATEMENT, nonce=NONCE, body=body) if data is None else data
    attest, signature = by.attested(StructureTag.ATTEST_QUOTE, info, quoted)
    return SignedStatement(body=body, attest=attest, signature=signature, ak_public=by.ak.encode())


GOOD = stated()


def verify(statement: SignedStatement = GOOD, **changed: Any) -> bytes:
    named = {"nonce": NONCE, "ak_name": DEVICE.ak.name, "pcr_selections": SELECTION, "pcr_digest": PCR_DIGEST}
    return verify_statement(statement, **{**named, **changed})


@pytest.mark.requirement("R98")
def test_a_receipt_is_believed_as_it_was_said() -> None:
    body = verify(decode_statement(GOOD.encode()))
    assert decode_receipt(body) == RECEIPT
    assert decode_receipt(body).installed
    assert not replace(RECEIPT, outcome="state-refused").installed


@pytest.mark.negative
def test_another_state_is_said_to_be_that() -> None:
    with pytest.raises(StateChangedError):
        verify(stated(pcr_digest=b"\xcd" * 32))
    with pytest.raises(StateChangedError):
        verify(pcr_digest=b"\xcd" * 32)


@pytest.mark.requirement("R98")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        (GOOD, {"nonce": b"\x06" * 32}),
        (GOOD, {"ak_name": b"\x00\x0b" + b"\xaa" * 32}),
        (GOOD, {"pcr_selections": {SHA256: (0, 4)}}),
        (GOOD, {"pcr_selections": {0x000C: (0, 4, 14)}}),
        (stated(by=AttestingDevice()), {}),
        (stated(selections={SHA256: (0, 4, 7, 14)}), {}),
        (stated(data=extra_data(PVA_EVIDENCE, nonce=NONCE, body=RECEIPT.encode())), {}),
        (replace(GOOD, body=replace(RECEIPT, outcome="storage").encode()), {}),
        (replace(GOOD, ak_public=AttestingDevice().ak.encode()), {}),
        (replace(GOOD, ak_public=b"no key"), {}),
        (replace(GOOD, signature=DEVICE.signed(b"something else")), {}),
        (replace(GOOD, attest=GOOD.attest[:-1]), {}),
        (stated(by=replace(DEVICE, ak_hierarchy=Handle.OWNER)), {}),
    ],
    ids=[
        "nonce",
        "AK of the result",
        "selection of the result",
        "bank of the result",
        "AK",
        "selection",
        "label",
        "body",
        "public area",
        "no public area",
        "signature",
        "quote cut short",
        "hierarchy",
    ],
)
def test_a_statement_that_is_wrong_in_one_respect_is_refused(
    statement: SignedStatement, changed: dict[str, Any]
) -> None:
    with pytest.raises(MessageError) as caught:
        verify(statement, **changed)
    assert not isinstance(caught.value, StateChangedError)


@pytest.mark.negative
def test_what_an_ak_signed_must_be_a_quote() -> None:
    info = NvCertifyInfo(index_name=DEVICE.counter.name, offset=0, contents=bytes(8))
    data = extra_data(PVA_STATEMENT, nonce=NONCE, body=GOOD.body)
    attest, signature = DEVICE.attested(StructureTag.ATTEST_NV, info, data)
    with pytest.raises(MessageError, match="quote by the AK"):
        verify(replace(GOOD, attest=attest, signature=signature))


@pytest.mark.negative
def test_a_key_that_signs_what_it_is_given_is_no_ak() -> None:
    signing = with_point(replace(STORAGE_ECC_P256, parameters=DEVICE.ak.parameters), DEVICE.ak_key)
    with pytest.raises(MessageError):
        verify(replace(GOOD, ak_public=signing.encode()), ak_name=signing.name)


def test_what_was_encoded_is_decoded() -> None:
    assert decode_statement(STATEMENT.encode()) == STATEMENT
    assert decode_receipt(replace(RECEIPT, detail="").encode()).detail == "-"


@pytest.mark.negative
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, "another"),
        (1, b"receipt"),
        (2, b"\xd1" * 31),
        (3, b""),
        (4, b"\x9a" * 33),
        (5, ""),
        (5, "m" * 65),
        (6, "o" * 65),
        (6, 1),
        (7, "d" * (DETAIL_MAX + 1)),
        (7, "line\nfeed"),
        (8, b"\x02" * 31),
        (9, "surplus"),
    ],
)
def test_a_receipt_that_is_wrong_in_one_field_is_refused(key: int, value: Any) -> None:
    fields = decode_deterministic(RECEIPT.encode(), bytes_max=2_048)
    with pytest.raises(MessageError):
        decode_receipt(encode_deterministic({**fields, key: value}))


@pytest.mark.negative
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, b""),
        (1, b"b" * 2_049),
        (2, b""),
        (2, b"a" * 2_049),
        (3, b""),
        (3, "text"),
        (4, b""),
        (4, None),
        (5, b"x"),
    ],
)
def test_a_statement_that_is_wrong_in_one_field_is_refused(key: int, value: Any) -> None:
    fields = decode_deterministic(STATEMENT.encode(), bytes_max=STATEMENT_BYTES_MAX)
    with pytest.raises(MessageError):
        decode_statement(encode_deterministic({**fields, key: value}))


@pytest.mark.negative
@pytest.mark.parametrize("key", range(1, 9))
def test_every_field_of_a_receipt_is_required(key: int) -> None:
    fields = decode_deterministic(RECEIPT.encode(), bytes_max=2_048)
    with pytest.raises(MessageError, match=str(key)):
        decode_receipt(encode_deterministic({name: value for name, value in fields.items() if name != key}))
