"""Quotes of swtpm, made by another client with the logs of a real machine: the verification's outside evidence."""

import json
from pathlib import Path

import pytest

from lab.tpm_pcr_file import pcr_file
from standards.tpm2.attestation import VerifiedQuote, check_qualified_signer, verify_quote
from standards.tpm2.constants import Algorithm
from standards.tpm2.errors import VerificationError
from standards.tpm2.key_checks import check_ak, check_ek
from standards.tpm2.marshal import Reader
from standards.tpm2.structures import Attest, PcrSelection, Public, Signature
from tests.tools import shared_vectors

CASES = [
    f"{kind}-{case}"
    for kind in ("ecc", "rsa")
    for case in ("bare", "mb", "ima1000", "ima10000", "mb_ima1000")
]


def folder() -> Path:
    return shared_vectors() / "evidence"


def public_of(file: Path) -> Public:
    reader = Reader(file.read_bytes())
    public = Public.decode(reader.tpm2b(1024, "TPM2B_PUBLIC"))
    reader.end("TPM2B_PUBLIC")
    return public


def ak_of(case: str) -> Public:
    return public_of(folder() / f"{case.partition('-')[0]}-ak.tpm2b_public")


def values_of(case: str) -> dict[int, bytes]:
    listed = json.loads((folder() / f"{case}.pcrs.json").read_text())
    return {int(index): bytes.fromhex(value) for index, value in listed.items()}


def selection_of(case: str) -> tuple[PcrSelection, ...]:
    return (PcrSelection(bank=Algorithm.SHA256, indices=tuple(sorted(values_of(case)))),)


def verified(case: str, *, extra_data: bytes | None = None) -> VerifiedQuote:
    return verify_quote(
        (folder() / f"{case}.attest").read_bytes(),
        signature=(folder() / f"{case}.sig").read_bytes(),
        ak=ak_of(case),
        extra_data=extra_data or (folder() / "nonce.txt").read_bytes(),
        selection=selection_of(case),
        pcr_values={Algorithm.SHA256: values_of(case)},
    )


@pytest.mark.requirement("R71")
@pytest.mark.parametrize("case", CASES)
def test_a_quote_of_another_client_verifies(case: str) -> None:
    quote = verified(case)
    assert check_ak(ak_of(case)) == ak_of(case).name
    check_qualified_signer(quote.attest, ak=ak_of(case))


@pytest.mark.check("A5")
@pytest.mark.negative
@pytest.mark.parametrize("case", CASES)
def test_and_for_another_nonce_does_not(case: str) -> None:
    with pytest.raises(VerificationError, match="A5"):
        verified(case, extra_data=b"another nonce")


@pytest.mark.parametrize("case", CASES)
def test_every_structure_is_written_back_to_the_byte(case: str) -> None:
    attest, signature = (folder() / f"{case}.attest").read_bytes(), (folder() / f"{case}.sig").read_bytes()
    assert Attest.decode(attest).encode() == attest
    assert Signature.decode(signature).encode() == signature


@pytest.mark.check("A12")
def test_the_ek_is_one_of_the_profile() -> None:
    assert check_ek(public_of(folder() / "ek.tpm2b"))


@pytest.mark.parametrize("case", CASES)
def test_the_pcr_file_is_the_one_that_tpm2_tools_writes(case: str) -> None:
    written = pcr_file(selection_of(case), {Algorithm.SHA256: values_of(case)})
    assert written == (folder() / f"{case}.pcrs").read_bytes()
