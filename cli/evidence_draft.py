"""A draft of a manifest out of a good device's evidence: what may become reference values, and what a person decides.

Rule: a draft is never signed and never sent. Nothing is taken that does not belong together: the AK in the evidence signed
the quote, the quote is over the registers, the log replays to them. Who that AK belongs to is not proven here: whoever
drafts knows where the evidence came from.

Left out are registers that running software resets or extends, and those that are of one machine and not of its release:
of one piece of evidence what the table below says, of several from different devices what differs between them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from messages.errors import MessageError
from messages.evidence import EvidenceMessage, decode_evidence
from standards.boot_log.algorithms import BANKS, SHA1
from standards.boot_log.boot_chain import boot_chain
from standards.boot_log.decode import decode_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog
from standards.boot_log.measured import kernel_command_line, measured_payload
from standards.boot_log.replay import replay, reset_value
from standards.boot_log.secure_boot import SECURE_BOOT_PCR, secure_boot_facts
from standards.tpm2.attestation import verify_attestation, verify_quote
from standards.tpm2.constants import StructureTag
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.structures import Public, QuoteInfo

PROVES_NOTHING: Final = MappingProxyType(
    {10: "the kernel extends it as long as it runs (IMA)"}
    | dict.fromkeys((16, *range(17, 24)), "running software can reset or extend it")
)
OF_ONE_MACHINE: Final = MappingProxyType(
    {
        1: "setup, boot order and serial numbers of one machine",
        5: "partition table and boot loader configuration of one disk",
        6: "what the maker of the machine measures about one machine",
        12: "command lines, credentials and extensions from beside the kernel image",
        14: "keys that the owner of one machine enrolled in shim",
        15: "identity and volumes of one installation",
    }
)
_TRE_PARAMETER: Final = "pva.tre="


class DraftError(Exception):
    """The evidence cannot be a source of reference values; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One piece of evidence whose parts belong together: registers as quoted (bank -> PCR -> value), and the log."""

    device: str
    registers: Mapping[int, Mapping[int, bytes]]
    log: EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a manifest could say: registers and the log whose events lead to them; `left_out` is PCR -> why.

    `components` are (PCR, component, name, digest) of the boot chain, `decisions` sentences for a person.
    """

    registers: Mapping[int, Mapping[int, bytes]]
    log: EventLog
    left_out: Mapping[int, str]
    components: tuple[tuple[int, str, str, str], ...]
    tre_image: str | None
    decisions: tuple[str, ...]


def read_source(data: bytes) -> Source:
    """One evidence message, as far as its own parts prove it.

    Raises DraftError: malformed, the quote is not by the AK that came with it or not over these registers, the log does
    not lead to them, or SHA-1.
    """
    try:
        message = decode_evidence(data)
        log = decode_event_log(message.boot_log)
        _check_quote(message)
        if not log.crypto_agile or SHA1 in message.pcr_values:
            raise DraftError("expected a crypto-agile log and banks of SHA-256 or better, got SHA-1")
        for bank, values in message.pcr_values.items():
            _check_replay(log, bank=bank, values=values)
    except (MessageError, BootLogError, Tpm2Error) as error:
        raise DraftError(str(error)) from None
    device = Public.decode(message.ak_public).name.hex()
    return Source(device=device, registers=message.pcr_values, log=log)


def draft(sources: Sequence[Source], *, keep: Collection[int] = ()) -> Draft:
    """The draft that good devices stand for; `keep` are registers that stay in although they are of one machine.

    Raises DraftError: no source, different selections, a register in `keep` that proves nothing or differs.
    """
    if not sources:
        raise DraftError("expected the evidence of at least one good device")
    first = sources[0]
    quoted = {(bank, pcr) for bank, values in first.registers.items() for pcr in values}
    for other in sources[1:]:
        if {(bank, pcr) for bank, values in other.registers.items() for pcr in values} != quoted:
            raise DraftError("expected quotes over the same registers from every device")
    differing = _differing(sources)
    impossible = sorted(set(keep) & (set(PROVES_NOTHING) | differing))
    if impossible:
        raise DraftError(
            f"PCR {', '.join(map(str, impossible))} cannot be kept: it differs or proves nothing"
        )
    left_out = _left_out({pcr for _, pcr in quoted}, differing, several=len(sources) > 1, keep=keep)
    registers = {
        bank: {pcr: value for pcr, value in sorted(values.items()) if pcr not in left_out}
        for bank, values in sorted(first.registers.items())
    }
    kept = {pcr for values in registers.values() for pcr in values}
    if not kept:
        raise DraftError("no register is left that could be a reference value")
    bank = max(registers, key=lambda each: BANKS[each].size)
    tre_image = _tre_image(first.log, bank=bank)
    return Draft(
        registers=registers,
        log=first.log,
        left_out=left_out,
        components=tuple(
            (link.pcr, link.component.value, link.text or link.name, link.digest.hex())
            for link in boot_chain(first.log, bank=bank).links
            if link.pcr in kept
        ),
        tre_image=tre_image,
        decisions=tuple(_decisions(sources, bank=bank, kept=kept, left_out=left_out, tre_image=tre_image)),
    )


def _check_quote(message: EvidenceMessage) -> None:
    """By the AK that came along, over the registers that came along; freshness needs the challenge, and is not shown."""
    ak = Public.decode(message.ak_public)
    attest = verify_attestation(
        message.attest,
        signature=message.signature,
        public=ak,
        expected_type=StructureTag.ATTEST_QUOTE,
    )
    if not isinstance(attest.attested, QuoteInfo):
        raise DraftError("expected a quote, got another attestation")
    verify_quote(
        message.attest,
        signature=message.signature,
        ak=ak,
        extra_data=attest.extra_data,
        selection=attest.attested.pcr_selections,
        pcr_values=message.pcr_values,
    )


def _check_replay(log: EventLog, *, bank: int, values: Mapping[int, bytes]) -> None:
    reached = replay(log, bank=bank)
    for pcr, value in values.items():
        if reached.get(pcr, reset_value(pcr, bank)) != value:
            raise DraftError(f"the log does not lead to PCR {pcr} of bank {BANKS[bank].name}")


def _differing(sources: Sequence[Source]) -> set[int]:
    first = sources[0].registers
    return {
        pcr
        for other in sources[1:]
        for bank, values in other.registers.items()
        for pcr, value in values.items()
        if first[bank][pcr] != value
    }


def _left_out(
    quoted: Collection[int], differing: Collection[int], *, several: bool, keep: Collection[int]
) -> dict[int, str]:
    reasons = {pcr: PROVES_NOTHING[pcr] for pcr in quoted if pcr in PROVES_NOTHING}
    reasons |= dict.fromkeys(differing, "it differs between the devices")
    if not several:
        reasons |= {pcr: why for pcr, why in OF_ONE_MACHINE.items() if pcr in quoted and pcr not in keep}
    return dict(sorted(reasons.items()))


def _tre_image(log: EventLog, *, bank: int) -> str | None:
    return tre_image_named(kernel_command_line(log, bank=bank) or "")


def tre_image_named(command_line: str) -> str | None:
    """The one TRE image that a kernel command line names; None where it names none or several."""
    words = command_line.split()
    images = [each.removeprefix(_TRE_PARAMETER) for each in words if each.startswith(_TRE_PARAMETER)]
    return images[0] if len(images) == 1 else None


def _decisions(
    sources: Sequence[Source],
    *,
    bank: int,
    kept: Collection[int],
    left_out: Mapping[int, str],
    tre_image: str | None,
) -> list[str]:
    """What this command cannot know, in sentences."""
    log = sources[0].log
    said = [
        "id, supplier, models, svn and version of the release; for an update valid_from, valid_to and predecessor"
    ]
    devices = len({each.device for each in sources})
    said.append(
        f"whether {'these devices were' if devices > 1 else 'this device was'} good: {devices} AK signed, "
        "and whose it is was not checked"
    )
    if devices == 1:
        said.append(
            "whether other devices of the model measure the same: give the evidence of several to compare"
        )
    if left_out:
        names = ", ".join(map(str, left_out))
        said.append(
            f"PCR {names} left out: a PVA whose pcr_selection asks for them warns (no-reference-value)"
        )
    if SECURE_BOOT_PCR in kept:
        facts = secure_boot_facts(log, bank=bank)
        state = "on" if facts.enabled else "OFF or not measured"
        said.append(
            f"Secure Boot was {state}, with {len(facts.violations)} deviations: approve PCR 7 only if so meant"
        )
    said += _of_one_installation(log, bank=bank, kept=kept)
    if tre_image is None:
        said.append("the command line names no TRE image: the scope tre will be a warning at best")
    unproven = sum(
        1
        for event in log.events
        if event.pcr in kept and event.digests and measured_payload(event, bank=bank) is None
    )
    if unproven:
        said.append(
            f"{unproven} events are named by text that no digest covers: compare their digests with your build"
        )
    return said


def _of_one_installation(log: EventLog, *, bank: int, kept: Collection[int]) -> Iterator[str]:
    """What GRUB measures that is rarely the same on two machines, or at two boots of one."""
    links = [link for link in boot_chain(log, bank=bank).links if link.pcr in kept]
    by_uuid = sorted({link.pcr for link in links if "UUID=" in (link.text or "")})
    if by_uuid:
        yield (
            f"PCR {', '.join(map(str, by_uuid))} holds UUIDs of file systems: other machines measure others, unless one image is "
            "installed on all of them"
        )
    environment = sorted({link.pcr for link in links if link.name.endswith("/grubenv")})
    if environment:
        yield (
            f"PCR {', '.join(map(str, environment))} holds grubenv, which GRUB and the system write: compare several boots"
        )
