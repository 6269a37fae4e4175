"""A quote that is compared with what was asked for: affirmed exactly where the checks one by one affirm it, or left to them."""

from dataclasses import replace

import pytest

from standards.tpm2.attestation import PcrValues, VerifiedQuote, verify_quote
from standards.tpm2.constants import Algorithm
from standards.tpm2.errors import VerificationError
from standards.tpm2.foreseen_quote import foreseen_quote
from standards.tpm2.hashing import digest
from standards.tpm2.key_checks import accept_ak
from standards.tpm2.structures import Attest, PcrSelection, QuoteInfo
from tests.unit.standards.tpm2.attester import (
    CLOCK,
    EXTRA_DATA,
    PCR_VALUES,
    SELECTION,
    attest,
    ecc_key,
    quote_of,
    rsa_key,
)

AK = ecc_key()
ACCEPTED = accept_ak(AK.public)
GOOD = quote_of(AK.public)


def foreseen(
    data: bytes,
    *,
    extra_data: bytes = EXTRA_DATA,
    selection: tuple[PcrSelection, ...] = SELECTION,
    values: PcrValues = PCR_VALUES,
) -> Attest | None:
    return foreseen_quote(data, ak=ACCEPTED, extra_data=extra_data, selection=selection, pcr_values=values)


def examined(data: bytes, values: PcrValues = PCR_VALUES) -> VerifiedQuote:
    return verify_quote(
        data,
        signature=AK.sign(data),
        ak=ACCEPTED,
        extra_data=EXTRA_DATA,
        selection=SELECTION,
        pcr_values=values,
    )


@pytest.mark.parametrize("key", [AK, rsa_key(), ecc_key(hash_algorithm=Algorithm.SHA512)])
def test_an_honest_quote_is_read_as_it_is_decoded(key: object) -> None:
    data = quote_of(key.public)  # type: ignore[attr-defined]  # each is a key of the attester
    ak = accept_ak(key.public)  # type: ignore[attr-defined]
    found = foreseen_quote(data, ak=ak, extra_data=EXTRA_DATA, selection=SELECTION, pcr_values=PCR_VALUES)
    assert found == Attest.decode(data)


def test_two_banks_are_foreseen_in_the_order_that_was_asked_for() -> None:
    selection = (
        PcrSelection(bank=Algorithm.SHA256, indices=(0, 7)),
        PcrSelection(bank=Algorithm.SHA384, indices=(1,)),
    )
    values: PcrValues = {Algorithm.SHA384: {1: b"1" * 48}, Algorithm.SHA256: {0: b"0" * 32, 7: b"7" * 32}}
    info = QuoteInfo(
        pcr_selections=selection,
        pcr_digest=digest(Algorithm.SHA256, b"0" * 32 + b"7" * 32 + b"1" * 48),
    )
    data = attest(AK.public, info).encode()
    assert foreseen(data, selection=selection, values=values) == Attest.decode(data)
    assert foreseen(data, selection=selection[::-1], values=values) is None


@pytest.mark.check("A1")
@pytest.mark.negative
def test_every_changed_byte_is_affirmed_as_the_checks_affirm_it_or_not_at_all() -> None:
    affirmed = 0
    for position in range(len(GOOD)):
        for flip in (0x01, 0x02, 0x80):
            changed = bytearray(GOOD)
            changed[position] ^= flip
            found = foreseen(bytes(changed))
            if found is not None:
                affirmed += 1
                assert found == examined(bytes(changed)).attest
    assert affirmed == 3 * (8 + 4 + 4 + 8) + 1  # clock, counts, firmware version, and `safe` from 1 to 0


@pytest.mark.negative
@pytest.mark.parametrize(
    ("data", "values"),
    [
        (GOOD[:-1], PCR_VALUES),
        (GOOD + b"\x00", PCR_VALUES),
        (b"", PCR_VALUES),
        (GOOD, {}),
        (GOOD, {Algorithm.SHA384: PCR_VALUES[Algorithm.SHA256]}),
        (GOOD, {**PCR_VALUES, Algorithm.SHA384: {0: b"0" * 48}}),
        (GOOD, {Algorithm.SHA256: {**PCR_VALUES[Algorithm.SHA256], 8: b"8" * 32}}),
        (GOOD, {Algorithm.SHA256: {0: b"\x00" * 31, 4: b"\x00" + b"\x04" * 32, 7: b"\x07" * 32}}),
        (GOOD, {Algorithm.SHA256: {0: b"\x00" * 32, 4: b"\x04" * 32}}),
        (GOOD, {Algorithm.SHA256: {0: b"\x00" * 32, 4: b"\x04" * 32, 7: b"\x08" * 32}}),
    ],
)
def test_what_is_not_as_asked_for_is_left_to_the_checks(data: bytes, values: PcrValues) -> None:
    assert foreseen(data, values=values) is None
    with pytest.raises(VerificationError):
        examined(data, values)


@pytest.mark.check("A5")
@pytest.mark.negative
def test_nothing_is_foreseen_without_something_to_compare_with() -> None:
    info = QuoteInfo(pcr_selections=SELECTION, pcr_digest=Attest.decode(GOOD).attested.pcr_digest)  # type: ignore[union-attr]
    empty = replace(attest(AK.public, info), extra_data=b"").encode()
    assert foreseen(empty, extra_data=b"") is None
    assert foreseen(GOOD, selection=(), values={}) is None


def test_another_encoding_of_the_same_selection_is_left_to_the_checks_which_accept_it() -> None:
    wide = (PcrSelection(bank=Algorithm.SHA256, indices=(0, 4, 7), select_bytes=4),)
    info = QuoteInfo(pcr_selections=wide, pcr_digest=Attest.decode(GOOD).attested.pcr_digest)  # type: ignore[union-attr]
    data = attest(AK.public, info).encode()
    assert foreseen(data) is None
    assert examined(data).attest.clock_info == CLOCK
