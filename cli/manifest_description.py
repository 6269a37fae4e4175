"""A reference manifest out of a description in TOML: values written down, or taken from the log of a good boot.

Rule: every key is known and every value is checked before anything is signed; what a log cannot vouch for (registers
that running software resets or extends) does not come into a manifest by itself.

With `boot_log`, each event of each register is listed, so that a wrong register can later be explained by the event
that made it wrong; the kernel's command line that carries the TRE's digest belongs to the scope `tre`.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from edge.settings import Settings, SettingsPath
from standards.boot_log.algorithms import BANKS_BY_NAME
from standards.boot_log.decode import decode_event_log
from standards.boot_log.describe import describe
from standards.boot_log.events import PCR_INDEX_MAX, Event
from standards.boot_log.measured import KERNEL_COMMAND_LINE_PCR, measured_payload
from standards.boot_log.replay import replay
from standards.rats.comid import ID_MAX, MODELS_MAX, NAME_MAX, SVN_MAX
from standards.rats.corim import read_unverified
from standards.rats.manifest import Manifest, PlatformReference, Predecessor, ReferenceEvent

BOOT_LOG_BYTES_MAX: Final = 1 << 22
BASELINE_PCRS: Final = (*range(10), 14)
"""What a PVA asks for unless its settings say otherwise."""
TRE_PARAMETER: Final = b"pva.tre="

_Text = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX)]
_Digest = Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{2})+$", max_length=128)]
_Pcr = Annotated[int, Field(ge=0, le=PCR_INDEX_MAX)]
_Bank = Literal["sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512"]


class EventDescription(Settings):
    """One expected event; `position` counts from 0 the events that are extended into `pcr`."""

    pcr: _Pcr
    position: Annotated[int, Field(ge=0)]
    digest: Annotated[dict[_Bank, _Digest], Field(min_length=1)]
    name: _Text
    scope: Literal["platform", "tre"] = "platform"


class BootLogSource(Settings):
    """The log of a good boot, in the TCG's binary form, and what to take from it."""

    file: SettingsPath
    banks: Annotated[tuple[_Bank, ...], Field(min_length=1)] = ("sha256",)
    pcrs: Annotated[tuple[_Pcr, ...], Field(min_length=1)] = BASELINE_PCRS


class PredecessorSource(Settings):
    """The signed manifest that this one follows, and until when its state is still accepted."""

    file: SettingsPath
    until: AwareDatetime


class ManifestDescription(Settings):
    """What a supplier writes down; either `boot_log`, or `registers` with their `events`."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=ID_MAX)]
    supplier: _Text
    models: Annotated[list[_Text], Field(min_length=1, max_length=MODELS_MAX)]
    svn: Annotated[int, Field(ge=0, le=SVN_MAX)]
    version: _Text
    tre_image: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    release_name: _Text | None = None
    line: Annotated[str, StringConstraints(min_length=1, max_length=ID_MAX)] | None = None
    predecessor: PredecessorSource | None = None
    boot_log: BootLogSource | None = None
    registers: dict[_Bank, dict[_Pcr, _Digest]] = Field(default_factory=dict)
    events: tuple[EventDescription, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.boot_log is None) != bool(self.registers):
            raise ValueError("give either the table boot_log, or the table registers (and events)")
        return self

    @model_validator(mode="after")
    def _counts_from_a_day(self) -> Self:
        if self.predecessor is not None and (self.valid_from is None or self.valid_to is None):
            raise ValueError("predecessor: expected valid_from (when this manifest counts) and valid_to, too")
        return self


def manifest_of(
    description: ManifestDescription, *, boot_log: bytes | None, predecessor: bytes | None = None
) -> Manifest:
    """The manifest that a description stands for.

    `boot_log` are the bytes of its log, `predecessor` those of the signed manifest that it follows, where it names them.

    Raises:
        BootLogError: the log is malformed, or has no digests in a bank that was asked for.
        RatsError: the predecessor is no signed manifest.
    """
    source = description.boot_log
    if source is not None and boot_log is not None:
        registers, events = _measured(boot_log, source)
    else:
        registers = {
            BANKS_BY_NAME[bank].id: {pcr: bytes.fromhex(value) for pcr, value in values.items()}
            for bank, values in description.registers.items()
        }
        events = tuple(_written(each) for each in description.events)
    image = description.tre_image
    before = None if predecessor is None else read_unverified(predecessor)
    return Manifest(
        id=description.id,
        supplier=description.supplier,
        models=tuple(description.models),
        svn=description.svn,
        version=description.version,
        platform=PlatformReference(registers=registers),
        events=events,
        tre_image_digest=None if image is None else bytes.fromhex(image),
        valid_from=_utc(description.valid_from),
        valid_to=_utc(description.valid_to),
        predecessor=_predecessor(description, predecessor, before),
        line_name=description.line or (None if before is None else before.line),
        release_name=description.release_name,
    )


def _predecessor(
    description: ManifestDescription, signed: bytes | None, before: Manifest | None
) -> Predecessor | None:
    source = description.predecessor
    if source is None or signed is None or before is None:
        return None
    return Predecessor(
        id=before.id, digest=hashlib.sha256(signed).digest(), until=source.until.astimezone(UTC)
    )


def _measured(
    data: bytes, source: BootLogSource
) -> tuple[Mapping[int, Mapping[int, bytes]], tuple[ReferenceEvent, ...]]:
    log = decode_event_log(data)
    banks = [BANKS_BY_NAME[name].id for name in source.banks]
    registers = {
        bank: {pcr: value for pcr, value in replay(log, bank=bank).items() if pcr in source.pcrs}
        for bank in banks
    }
    events = tuple(
        _event(event, position, banks=banks)
        for pcr in sorted(set(source.pcrs))
        for position, event in enumerate(log.extended_into(pcr))
    )
    return registers, events


def _event(event: Event, position: int, *, banks: list[int]) -> ReferenceEvent:
    return ReferenceEvent(
        pcr=event.pcr,
        position=position,
        digest={bank: event.digests[bank] for bank in banks},
        name=describe(event)[:NAME_MAX],
        scope="tre" if all(_names_the_tre(event, bank=bank) for bank in banks) else "platform",
    )


def _names_the_tre(event: Event, *, bank: int) -> bool:
    """Whether what was measured, and not merely logged, carries the TRE's digest."""
    return event.pcr == KERNEL_COMMAND_LINE_PCR and TRE_PARAMETER in (
        measured_payload(event, bank=bank) or b""
    )


def _written(event: EventDescription) -> ReferenceEvent:
    return ReferenceEvent(
        pcr=event.pcr,
        position=event.position,
        digest={BANKS_BY_NAME[bank].id: bytes.fromhex(value) for bank, value in event.digest.items()},
        name=event.name,
        scope=event.scope,
    )


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)
