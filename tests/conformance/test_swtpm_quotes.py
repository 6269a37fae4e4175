"""Quotes and certifications that swtpm made, kept in tests/vectors: they verify on every machine."""

import json
from typing import Any

import pytest

from standards.boot_log.algorithms import SHA256
from standards.boot_log.decode import decode_event_log
from standards.boot_log.replay import replay, reset_value
from standards.tpm2.attestation import check_qualified_signer, verify_certified_key, verify_quote
from standards.tpm2.errors import VerificationError
from standards.tpm2.structures import PcrSelection, Public
from tests.vectors.quotes import FILE

VECTORS: dict[str, Any] = json.loads(FILE.read_text())
SCHEMES = sorted(VECTORS["schemes"])
VALUES = {int(index): bytes.fromhex(value) for index, value in VECTORS["sha256"].items()}
SELECTION = (PcrSelection(bank=SHA256, indices=tuple(VALUES)),)
EXTRA_DATA = bytes.fromhex(VECTORS["extra_data"])


def field(scheme: str, name: str) -> bytes:
    return bytes.fromhex(VECTORS["schemes"][scheme][name])


def verify(scheme: str, *, attest: bytes, extra_data: bytes = EXTRA_DATA) -> None:
    ak = Public.decode(field(scheme, "ak"))
    quote = verify_quote(
        attest,
        signature=field(scheme, "quote_signature"),
        ak=ak,
        extra_data=extra_data,
        selection=SELECTION,
        pcr_values={SHA256: VALUES},
    )
    check_qualified_signer(quote.attest, ak=ak)


def test_every_accepted_scheme_is_there() -> None:
    algorithms = {Public.decode(field(scheme, "ak")).scheme.algorithm for scheme in SCHEMES}
    assert {int(each) for each in algorithms} == {0x0014, 0x0016, 0x0018}


@pytest.mark.check("A4")
@pytest.mark.requirement("R71")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_quote_of_a_real_tpm_verifies(scheme: str) -> None:
    verify(scheme, attest=field(scheme, "quote"))


@pytest.mark.check("A4")
@pytest.mark.negative
@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_changed_byte_of_it_does_not(scheme: str) -> None:
    good = field(scheme, "quote")
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 1
        with pytest.raises(VerificationError):
            verify(scheme, attest=bytes(changed))


@pytest.mark.check("A5")
@pytest.mark.negative
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nor_does_it_for_another_exchange(scheme: str) -> None:
    with pytest.raises(VerificationError, match="A5"):
        verify(scheme, attest=field(scheme, "quote"), extra_data=bytes(32))


@pytest.mark.check("A30")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_storage_key_that_it_certified_verifies(scheme: str) -> None:
    verify_certified_key(
        field(scheme, "certified"),
        signature=field(scheme, "certified_signature"),
        ak=Public.decode(field(scheme, "ak")),
        certified=Public.decode(field(scheme, "storage")),
        extra_data=EXTRA_DATA,
    )


@pytest.mark.check("A18")
def test_the_log_leads_to_the_registers_of_the_tpm() -> None:
    replayed = replay(decode_event_log(bytes.fromhex(VECTORS["boot_log"])), bank=SHA256)
    assert {pcr: replayed.get(pcr, reset_value(pcr, bank=SHA256)) for pcr in VALUES} == VALUES
