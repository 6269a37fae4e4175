"""IMA in a validation (A22): the list under a quote of its own, what is refused, and what is found."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from messages.binding import PVA_EVIDENCE
from messages.evidence import EvidenceMessage, ImaEvidence
from pva.refusals import RefusalCode, RefusalError
from pva.results.result import SignedResult
from standards.rats.ar4si import Tier
from tests.fakes.attesting_device import AttestingDevice, p256
from tests.fakes.pva_world import POLICY, SELECTION, World
from tests.unit.standards.ima.lists import VIOLATION, Made, encoded, field, ng, sha1

DEVICE = AttestingDevice()
FIRST = DEVICE.boot_aggregate
METER = Made(data=ng(b"/usr/bin/meter"))
LIST = (FIRST, METER)
WITH_IMA = replace(POLICY, ima=True)


def world_of(*entries: Made) -> World:
    """A PVA that asks for IMA, and a device with these entries."""
    return World(device=replace(DEVICE, ima=entries), policy=WITH_IMA)


def codes(result: SignedResult) -> list[str]:
    return [each.code for each in result.result.submodules["platform"].findings]


def refused(world: World, message: EvidenceMessage) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        world.validate(message)
    return caught.value


@pytest.mark.check("A22")
@pytest.mark.requirement("R69")
def test_a_good_list_is_affirmed_and_leaves_the_statement_about_the_boot_as_it_is() -> None:
    with_ima = (world := world_of(*LIST)).validate(world.answer())
    without = (plain := World(device=DEVICE)).validate(plain.answer())
    assert with_ima.result.submodules["platform"].status is Tier.AFFIRMING
    assert with_ima.result.pcr_selections == SELECTION
    assert with_ima.result.pcr_digest == without.result.pcr_digest
    assert set(with_ima.quote.pcr_values[0x000B]) == set(SELECTION[0x000B])
    assert with_ima.result.policy_digest != without.result.policy_digest


@pytest.mark.check("A22")
def test_the_digest_of_the_boot_stays_while_the_list_grows() -> None:
    world = world_of(*LIST)
    before = world.validate(world.answer())
    later = replace(world.device, ima=(*LIST, Made(data=ng(b"/usr/bin/later")))).later()
    after = world.validate(world.answer(later))
    assert (after.result.pcr_digest, codes(after)) == (before.result.pcr_digest, [])


@pytest.mark.check("A22")
def test_what_follows_the_quoted_prefix_counts_for_nothing() -> None:
    world = world_of(*LIST)
    token, challenge = world.challenge()
    message = world.device.evidence(challenge, token=token, chain=world.chain())
    violation = Made(data=ng(b"/x", bytes(20)), template_digest=VIOLATION)
    longer = world.device.ima_evidence(challenge, tail=(violation, Made(data=b"no fields")))
    assert codes(world.validate(replace(message, ima=longer))) == []


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_list_that_was_asked_for_and_is_missing_denies_without_accusing() -> None:
    world = World(device=DEVICE, policy=WITH_IMA)
    result = world.validate(world.answer())
    assert codes(result) == ["ima-log-missing"]
    assert result.result.submodules["platform"].status is Tier.WARNING


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_list_that_nobody_asked_for_is_refused() -> None:
    world = World(device=replace(DEVICE, ima=LIST))
    token, challenge = world.challenge()
    message = world.device.evidence(challenge, token=token, chain=world.chain())
    unasked = replace(message, ima=world.device.ima_evidence(challenge))
    assert refused(world, unasked).code is RefusalCode.IMA_NOT_APPRAISED


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_violation_is_found_by_its_escaped_name() -> None:
    evil = [
        Made(data=ng(b"/var/log/a\nb %d" % number, bytes(20)), template_digest=VIOLATION)
        for number in range(10)
    ]
    world = world_of(*LIST, *evil)
    (finding,) = world.validate(world.answer()).result.submodules["platform"].findings
    assert (finding.code, finding.subject) == ("ima-violation", "10 violations in the IMA list")
    assert (finding.measured or "").startswith(
        r"entry 2, logged as /var/log/a\nb 0; entry 3, logged as /var/log/a\nb 1"
    )
    assert (finding.measured or "").endswith("and 2 more")


@pytest.mark.check("A22")
@pytest.mark.negative
def test_the_list_of_another_boot_is_contraindicated() -> None:
    other = Made(data=ng(b"boot_aggregate", hashlib.sha256(b"another boot").digest()))
    result = (world := world_of(other, METER)).validate(world.answer())
    assert codes(result) == ["ima-boot-aggregate-mismatch"]
    assert result.result.submodules["platform"].status is Tier.CONTRAINDICATED


@pytest.mark.check("A22")
def test_the_aggregate_of_an_older_kernel_belongs_to_the_boot_too() -> None:
    values = DEVICE.pcr_values({0x000B: tuple(range(8))})[0x000B]
    eight = Made(data=ng(b"boot_aggregate", hashlib.sha256(b"".join(values.values())).digest()))
    world = world_of(eight, METER)
    assert codes(world.validate(world.answer())) == []


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    "entries",
    [
        (),
        (METER, FIRST),
        (Made(data=ng(b"boot_aggregate", sha1(b"sha1"), algorithm=b"sha1")),),
        (Made(data=FIRST.data, pcr=11), METER),
    ],
    ids=["nothing measured", "not first", "of the bank sha1", "not in PCR 10"],
)
def test_a_list_whose_boot_is_not_proven(entries: tuple[Made, ...]) -> None:
    result = (world := world_of(*entries)).validate(world.answer())
    assert codes(result) == ["ima-boot-aggregate-unproven"]
    assert result.result.submodules["platform"].status is Tier.WARNING


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_violation_at_the_head_of_the_list_proves_no_boot() -> None:
    result = (world := world_of(replace(FIRST, template_digest=VIOLATION), METER)).validate(world.answer())
    assert codes(result) == ["ima-boot-aggregate-unproven", "ima-violation"]


Change = Callable[[ImaEvidence], ImaEvidence]


def with_log(log: bytes) -> Change:
    return lambda ima: replace(ima, log=log)


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (with_log(encoded(LIST)[:-1]), RefusalCode.IMA_LOG_MALFORMED),
        (with_log(b"10 "), RefusalCode.IMA_LOG_MALFORMED),
        (with_log(encoded(LIST[:1])), RefusalCode.IMA_LOG_MISMATCH),
        (with_log(encoded((FIRST, Made(data=ng(b"/usr/bin/metre"))))), RefusalCode.IMA_LOG_MISMATCH),
        (
            with_log(encoded((FIRST, replace(METER, template_digest=b"\x01" * 20)))),
            RefusalCode.IMA_LOG_MISMATCH,
        ),
        (lambda ima: replace(ima, pcr_value=bytes(32)), RefusalCode.IMA_QUOTE_INVALID),
        (
            lambda ima: replace(ima, signature=ima.signature[:-1] + bytes([ima.signature[-1] ^ 1])),
            RefusalCode.IMA_QUOTE_INVALID,
        ),
        (lambda ima: replace(ima, attest=ima.attest + b"\x00"), RefusalCode.IMA_QUOTE_INVALID),
    ],
    ids=["cut", "no list", "shorter", "another name", "listed digest", "value", "signature", "attest"],
)
def test_a_list_or_quote_that_is_wrong_in_one_thing_is_refused(change: Change, code: RefusalCode) -> None:
    world = world_of(*LIST)
    message = world.answer()
    assert message.ima is not None
    assert refused(world, replace(message, ima=change(message.ima))).code is code


@pytest.mark.check("A22")
@pytest.mark.negative
def test_proven_template_data_that_are_no_fields_are_refused() -> None:
    world = world_of(FIRST, Made(data=field(b"sha256:\x00short")))
    assert refused(world, world.answer()).code is RefusalCode.IMA_LOG_MALFORMED


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_buffer_cannot_be_read_as_a_digest_by_renaming_its_template() -> None:
    buffer = field(b"sha256:\x00" + hashlib.sha256(b"a good file").digest())
    measured = Made(data=ng(b"kexec-cmdline") + buffer, template=b"ima-buf")
    world = world_of(FIRST, measured)
    message = world.answer()
    assert message.ima is not None
    renamed = replace(message.ima, log=encoded((FIRST, replace(measured, template=b"sig|n-ng|d-ng"))))
    refusal = refused(world, replace(message, ima=renamed))
    assert (refusal.code, "template" in refusal.reason) == (RefusalCode.IMA_LOG_MALFORMED, True)


@pytest.mark.check("A22")
@pytest.mark.check("A23")
@pytest.mark.negative
@pytest.mark.parametrize("what", ["label", "register", "exchange", "key", "boot"])
def test_a_genuine_quote_of_something_else_is_refused(what: str) -> None:
    world = world_of(*LIST)
    _, earlier = world.challenge()
    token, challenge = world.challenge()
    device = world.device
    rebooted = replace(device, clock_info=replace(device.clock_info, reset_count=8))
    other = {
        "label": device.ima_evidence(challenge, label=PVA_EVIDENCE),
        "register": device.ima_evidence(challenge, pcr=9),
        "exchange": device.ima_evidence(earlier),
        "key": replace(device, ak_key=p256()).ima_evidence(challenge),
        "boot": rebooted.ima_evidence(challenge),
    }
    message = device.evidence(challenge, token=token, chain=world.chain())
    assert message.ima is not None
    assert refused(world, replace(message, ima=other[what])).code is RefusalCode.IMA_QUOTE_INVALID
