"""Whatever a hostile device or TPM sends, this package answers with a value or with its own errors."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standards.tpm2.attestation import verify_quote
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Algorithm, Handle, StructureTag
from standards.tpm2.errors import Tpm2Error, VerificationError
from standards.tpm2.key_checks import check_ak, check_ek, check_storage_key
from standards.tpm2.marshal import Writer
from standards.tpm2.structures import Attest, PcrSelection
from tests.property.test_tpm2_structures import attest_values, publics
from tests.unit.standards.tpm2.attester import (
    EXTRA_DATA,
    PCR_VALUES,
    SELECTION,
    ecc_key,
    quote_of,
)

AK = ecc_key()
GOOD = quote_of(AK.public)


def verify(data: bytes, signature: bytes) -> None:
    verify_quote(
        data,
        signature=signature,
        ak=AK.public,
        extra_data=EXTRA_DATA,
        selection=SELECTION,
        pcr_values=PCR_VALUES,
    )


@pytest.mark.negative
@given(st.binary(max_size=2100), st.binary(max_size=1100))
def test_noise_is_no_quote(data: bytes, signature: bytes) -> None:
    with pytest.raises(VerificationError):
        verify(data, signature)


@pytest.mark.check("A4")
@pytest.mark.negative
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_byte_of_a_signed_quote_can_change(position: int, difference: int) -> None:
    damaged = bytearray(GOOD)
    damaged[position] ^= difference
    with pytest.raises(VerificationError):
        verify(bytes(damaged), AK.sign(GOOD))


@pytest.mark.negative
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_signing_attacker_with_a_damaged_structure_gets_a_check_by_number(
    position: int, difference: int
) -> None:
    damaged = bytearray(GOOD)
    damaged[position] ^= difference
    signed = bytes(damaged)
    try:
        verified = verify_quote(
            signed,
            signature=AK.sign(signed),
            ak=AK.public,
            extra_data=EXTRA_DATA,
            selection=SELECTION,
            pcr_values=PCR_VALUES,
        )
    except VerificationError as caught:
        error = caught
    else:
        # only what no check of a quote fixes may differ: signer, clock, firmware
        expected = Attest.decode(GOOD)
        assert verified.attest.attested == expected.attested
        assert verified.attest.extra_data == expected.extra_data
        return
    assert error.check in {"A1", "A2", "A3", "A5", "A6", "A7", "A8"}


@pytest.mark.negative
@given(attest_values)
def test_any_signed_structure_but_the_expected_one_is_refused(value: object) -> None:
    data = value.encode()  # type: ignore[attr-defined]  # every value of the strategy encodes
    with pytest.raises(VerificationError):
        verify(data, AK.sign(data))


@given(publics)
def test_any_public_area_is_judged_by_number(public: object) -> None:
    for judge in (check_ak, check_storage_key, check_ek):
        with pytest.raises(VerificationError):
            judge(public)  # type: ignore[arg-type]  # every value of the strategy is a Public


def successful(body: bytes) -> bytes:
    """`body` behind the header of a success."""
    return Writer().u16(StructureTag.NO_SESSIONS).u32(10 + len(body)).u32(0).raw(body).done()


@pytest.mark.negative
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(successful)))
def test_any_answer_of_a_tpm_is_a_value_or_an_error_of_this_package(answer: bytes) -> None:
    tpm = TpmConnection(lambda _: answer, bytes)
    selection = [PcrSelection(bank=Algorithm.SHA256, indices=(0,))]
    for ask in (
        lambda: tpm.read_public(Handle.EK_RSA_2048),
        lambda: tpm.nv_read_public(0x01C00002),
        lambda: tpm.pcr_read(selection),
        lambda: tpm.handles(0x81000000),
        lambda: tpm.tpm_property(0x105),
        tpm.start_auth_session,
        lambda: tpm.load_external(AK.public),
        tpm.read_clock,
        lambda: tpm.pcr_read_all(selection),
    ):
        with contextlib.suppress(Tpm2Error):
            ask()
