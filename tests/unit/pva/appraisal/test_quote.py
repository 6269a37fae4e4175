"""A1-A11, A17, A30: evidence that is right in every other respect and wrong in this one."""

from dataclasses import replace
from typing import Any

import pytest

from messages.binding import PVA_EVIDENCE, extra_data
from messages.challenge import Challenge
from messages.evidence import EvidenceMessage
from pva.refusals import RefusalCode, RefusalError
from standards.boot_log.encode import build_event_log, encode_event_log
from standards.tpm2.constants import Handle, NvAttributes, ObjectAttributes, StructureTag
from standards.tpm2.hashing import digest
from standards.tpm2.structures import CertifyInfo, PcrSelection, QuoteInfo
from standards.tpm2.templates import AK_ECC_P256, GENERATION_COUNTER, STORAGE_ECC_P256
from tests.fakes.attesting_device import SHA256, AttestingDevice, p256, with_point
from tests.fakes.pva_world import World


@pytest.fixture
def world() -> World:
    return World()


def refused(world: World, message: EvidenceMessage) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        world.validate(message)
    assert not world.store.results
    assert not world.store.histories
    return caught.value


def answer(world: World) -> tuple[Challenge, EvidenceMessage]:
    token, challenge = world.challenge()
    return challenge, world.device.evidence(challenge, token=token, chain=world.chain())


def quoted(world: World, challenge: Challenge, info: QuoteInfo | CertifyInfo, kind: int) -> dict[str, Any]:
    data = extra_data(PVA_EVIDENCE, nonce=challenge.nonce, body=challenge.context())
    attest, signature = world.device.attested(kind, info, data)
    return {"attest": attest, "signature": signature}


def test_the_fixture_is_right_in_every_respect(world: World) -> None:
    _, message = answer(world)
    assert world.validate(message).status == "affirming"


@pytest.mark.negative
@pytest.mark.check("A1")
@pytest.mark.check("A2")
@pytest.mark.parametrize(
    ("altered", "check"),
    [(lambda attest: attest + b"\x00", "A1"), (lambda attest: b"\x00" * 4 + attest[4:], "A2")],
    ids=["trailing byte", "magic"],
)
def test_a_signed_structure_that_no_tpm_makes(world: World, altered: Any, check: str) -> None:
    _, message = answer(world)
    attest = altered(message.attest)
    signature = world.device.signed(attest)
    refusal = refused(world, replace(message, attest=attest, signature=signature))
    assert refusal.code is RefusalCode.QUOTE_INVALID
    assert refusal.reason.startswith(check)


@pytest.mark.negative
@pytest.mark.check("A3")
def test_another_kind_of_attestation(world: World) -> None:
    challenge, message = answer(world)
    info = CertifyInfo(name=world.device.storage.name, qualified_name=world.device.storage.name)
    other = quoted(world, challenge, info, StructureTag.ATTEST_CERTIFY)
    refusal = refused(world, replace(message, **other))
    assert refusal.code is RefusalCode.QUOTE_INVALID
    assert refusal.reason.startswith("A3")


@pytest.mark.negative
@pytest.mark.check("A4")
def test_a_signature_by_another_key(world: World) -> None:
    _, message = answer(world)
    forged = replace(world.device, ak_key=p256()).signed(message.attest)
    assert refused(world, replace(message, signature=forged)).code is RefusalCode.QUOTE_SIGNATURE_INVALID


@pytest.mark.negative
@pytest.mark.check("A6")
@pytest.mark.parametrize("selections", [(), ((SHA256, ()),), ((SHA256, (0, 1)), (SHA256, (2,)))])
def test_a_selection_that_selects_nothing_or_a_bank_twice(
    world: World, selections: tuple[tuple[int, tuple[int, ...]], ...]
) -> None:
    challenge, message = answer(world)
    info = QuoteInfo(
        pcr_selections=tuple(PcrSelection(bank=bank, indices=indices) for bank, indices in selections),
        pcr_digest=digest(SHA256, b""),
    )
    refusal = refused(world, replace(message, **quoted(world, challenge, info, StructureTag.ATTEST_QUOTE)))
    assert refusal.code is RefusalCode.QUOTE_INVALID
    assert refusal.reason.startswith("A6")


@pytest.mark.negative
@pytest.mark.check("A7")
def test_a_selection_of_fewer_pcrs_than_asked_for(world: World) -> None:
    challenge, message = answer(world)
    values = {SHA256: {0: message.pcr_values[SHA256][0]}}
    info = QuoteInfo(
        pcr_selections=(PcrSelection(bank=SHA256, indices=(0,)),),
        pcr_digest=digest(SHA256, values[SHA256][0]),
    )
    other = quoted(world, challenge, info, StructureTag.ATTEST_QUOTE)
    refusal = refused(world, replace(message, **other, pcr_values=values))
    assert refusal.code is RefusalCode.SELECTION_MISMATCH


@pytest.mark.negative
@pytest.mark.check("A8")
def test_more_values_than_were_quoted(world: World) -> None:
    _, message = answer(world)
    values = {SHA256: {**message.pcr_values[SHA256], 16: bytes(32)}}
    assert refused(world, replace(message, pcr_values=values)).code is RefusalCode.PCR_VALUES_MISMATCH


@pytest.mark.negative
@pytest.mark.check("A9")
def test_an_ak_outside_of_the_endorsement_hierarchy() -> None:
    world = World(device=AttestingDevice(ak_hierarchy=Handle.OWNER))
    assert refused(world, answer(world)[1]).code is RefusalCode.QUALIFIED_SIGNER_MISMATCH


@pytest.mark.negative
@pytest.mark.check("A11")
@pytest.mark.parametrize(
    "attributes",
    [
        AK_ECC_P256.attributes & ~ObjectAttributes.RESTRICTED,
        AK_ECC_P256.attributes & ~ObjectAttributes.FIXED_TPM,
        AK_ECC_P256.attributes & ~ObjectAttributes.SENSITIVE_DATA_ORIGIN,
        AK_ECC_P256.attributes | ObjectAttributes.DECRYPT,
    ],
    ids=["not restricted", "not fixed to its TPM", "not made in a TPM", "may decrypt"],
)
def test_an_ak_that_signs_more_than_what_its_tpm_says(attributes: ObjectAttributes) -> None:
    world = World(device=AttestingDevice(ak_template=replace(AK_ECC_P256, attributes=attributes)))
    refusal = refused(world, answer(world)[1])
    assert refusal.code is RefusalCode.AK_UNACCEPTABLE
    assert refusal.reason.startswith("A11")


@pytest.mark.negative
@pytest.mark.check("A10")
def test_a_public_area_that_is_none(world: World) -> None:
    _, message = answer(world)
    assert refused(world, replace(message, ak_public=b"\x00")).code is RefusalCode.AK_UNACCEPTABLE


@pytest.mark.negative
@pytest.mark.check("A30")
@pytest.mark.parametrize(
    "attributes",
    [
        STORAGE_ECC_P256.attributes & ~ObjectAttributes.FIXED_TPM,
        STORAGE_ECC_P256.attributes & ~ObjectAttributes.FIXED_PARENT,
        STORAGE_ECC_P256.attributes & ~ObjectAttributes.SENSITIVE_DATA_ORIGIN,
        STORAGE_ECC_P256.attributes & ~ObjectAttributes.RESTRICTED,
        STORAGE_ECC_P256.attributes | ObjectAttributes.SIGN,
    ],
)
def test_a_storage_key_that_may_have_come_from_software(attributes: ObjectAttributes) -> None:
    storage = with_point(replace(STORAGE_ECC_P256, attributes=attributes), p256())
    world = World(device=AttestingDevice(storage=storage))
    refusal = refused(world, answer(world)[1])
    assert refusal.code is RefusalCode.STORAGE_KEY_UNACCEPTABLE
    assert refusal.reason.startswith("A30")


@pytest.mark.negative
@pytest.mark.check("A30")
def test_a_storage_key_outside_of_the_owner_hierarchy() -> None:
    world = World(device=AttestingDevice(storage_hierarchy=Handle.ENDORSEMENT))
    assert refused(world, answer(world)[1]).code is RefusalCode.STORAGE_KEY_UNACCEPTABLE


@pytest.mark.negative
@pytest.mark.check("A30")
def test_a_storage_key_that_was_not_the_certified_one(world: World) -> None:
    _, message = answer(world)
    other = with_point(STORAGE_ECC_P256, p256()).encode()
    swapped = replace(message.storage_key, public=other)
    assert refused(world, replace(message, storage_key=swapped)).code is RefusalCode.STORAGE_KEY_UNACCEPTABLE


@pytest.mark.negative
@pytest.mark.check("A30")
def test_a_storage_key_that_another_ak_certified(world: World) -> None:
    challenge, message = answer(world)
    other = replace(world.device, ak_key=p256()).certified_storage_key(challenge)
    assert refused(world, replace(message, storage_key=other)).code is RefusalCode.STORAGE_KEY_UNACCEPTABLE


@pytest.mark.negative
@pytest.mark.parametrize(
    "counter",
    [
        GENERATION_COUNTER,
        replace(GENERATION_COUNTER.written(), index=GENERATION_COUNTER.index + 1),
        replace(
            GENERATION_COUNTER.written(),
            attributes=GENERATION_COUNTER.written().attributes & ~NvAttributes.TYPE_COUNTER,
        ),
    ],
    ids=["never written", "another index", "no counter"],
)
def test_an_index_that_is_not_the_generation_counter(counter: Any) -> None:
    world = World(device=AttestingDevice(counter=counter))
    assert refused(world, answer(world)[1]).code is RefusalCode.COUNTER_UNACCEPTABLE


@pytest.mark.negative
@pytest.mark.check("A17")
def test_a_log_without_the_quoted_bank(world: World) -> None:
    _, message = answer(world)
    other_bank = encode_event_log(build_event_log(world.device.boot, algorithms=(0x000C,)))
    refusal = refused(world, replace(message, boot_log=other_bank))
    assert refusal.code is RefusalCode.BOOT_LOG_MALFORMED
    assert "sha256" in refusal.reason
