"""What a reference manifest must be, beyond well signed, before this PVA appraises anybody against it. Pure.

Rule: a manifest that this PVA could not appraise fully, or that leans on registers which prove nothing, is refused
when it is imported and not found out when a device fails by it.
"""

from collections import defaultdict
from collections.abc import Mapping

from pva.appraisal.credential import Supplier
from pva.appraisal.policy import FORBIDDEN_PCRS, AppraisalPolicy
from pva.refusals import RefusalCode, RefusalError
from standards.boot_log.algorithms import BANKS
from standards.boot_log.replay import reset_value
from standards.rats.corim import Manifest, ReferenceEvent

_PCR0_LOCALITIES = (0, 3, 4)


def check_manifest(
    manifest: Manifest, *, signer: Supplier, only_of: str | None, policy: AppraisalPolicy
) -> None:
    """Refuse a manifest that `signer` may not have signed, or whose values cannot be appraised.

    `only_of` is the supplier that the sender speaks for (None: any).
    """
    if manifest.supplier != signer.name or only_of not in (None, signer.name):
        raise RefusalError(
            RefusalCode.MANIFEST_WRONG_VENDOR,
            subject=f"manifest {manifest.id!r} of vendor {manifest.supplier!r}",
            reason=f"it is signed by {signer.name!r}"
            + ("" if only_of is None else f" and was sent by {only_of!r}"),
        )
    unknown = sorted(set(manifest.models) - set(signer.models))
    if unknown or not manifest.models:
        raise RefusalError(
            RefusalCode.MANIFEST_WRONG_MODEL,
            subject=f"manifest {manifest.id!r}",
            reason=f"expected models out of {', '.join(signer.models) or 'none'}, "
            f"got {', '.join(unknown) or 'none'}",
        )
    _check_completeness(manifest, policy=policy)
    _check_registers(manifest, policy=policy)
    _check_events(manifest)


def _check_completeness(manifest: Manifest, *, policy: AppraisalPolicy) -> None:
    """Without a log the registers are all that there is: a manifest that leaves one out would say less than it seems to."""
    if not manifest.pcr_values_only:
        return
    for bank, indices in policy.pcr_selections.items():
        missing = sorted(set(indices) - set(manifest.platform.registers.get(bank, {})))
        if missing:
            raise RefusalError(
                RefusalCode.MANIFEST_INCONSISTENT,
                subject=f"manifest {manifest.id!r} for devices without an event log",
                reason=f"expected a value for every PCR that is quoted, got none for PCR {', '.join(map(str, missing))} "
                f"of bank {BANKS[bank].name}",
            )


def _check_registers(manifest: Manifest, *, policy: AppraisalPolicy) -> None:
    """Registers in banks that this PVA does not ask for are not looked at; in the others each one must count."""
    named = {(bank, pcr) for bank, registers in manifest.platform.registers.items() for pcr in registers} | {
        (bank, event.pcr) for event in manifest.events for bank in event.digest
    }
    forbidden = sorted({pcr for _, pcr in named if pcr in FORBIDDEN_PCRS})
    if forbidden:
        raise RefusalError(
            RefusalCode.MANIFEST_FORBIDDEN_PCR,
            subject=f"manifest {manifest.id!r}",
            reason=f"PCR {', '.join(map(str, forbidden))} can be reset or extended by running software, "
            "so it says nothing about boot code",
        )
    surplus = sorted(
        pcr for bank, pcr in named if bank in policy.pcr_selections and pcr not in policy.pcr_selections[bank]
    )
    if surplus:
        raise RefusalError(
            RefusalCode.MANIFEST_UNQUOTED_PCR,
            subject=f"manifest {manifest.id!r}",
            reason=f"this PVA does not ask devices to quote PCR {', '.join(map(str, surplus))}",
        )


def _check_events(manifest: Manifest) -> None:
    """Events of a PCR are all of them, and replay to its register: else a deviation would be misplaced."""
    of_pcr: defaultdict[int, list[ReferenceEvent]] = defaultdict(list)
    for event in manifest.events:
        of_pcr[event.pcr].append(event)
    for pcr, events in of_pcr.items():
        events.sort(key=lambda event: event.position)
        if [event.position for event in events] != list(range(len(events))):
            raise _inconsistent(manifest, pcr, "its events have positions 0, 1, 2, ... each once")
        for bank, registers in manifest.platform.registers.items():
            if pcr in registers and registers[pcr] not in _replayed(events, pcr=pcr, bank=bank):
                raise _inconsistent(
                    manifest, pcr, f"its events replay to its register in bank {BANKS[bank].name}"
                )


def _replayed(events: list[ReferenceEvent], *, pcr: int, bank: int) -> set[bytes]:
    """Where events lead: for PCR 0 from every startup locality, since a manifest does not name it."""
    starts = {reset_value(pcr, bank=bank)}
    if pcr == 0:
        size = BANKS[bank].size
        starts |= {locality.to_bytes(size, "big") for locality in _PCR0_LOCALITIES}
    return {_extended(start, events, bank=bank) for start in starts}


def _extended(start: bytes, events: list[ReferenceEvent], *, bank: int) -> bytes:
    value = start
    for event in events:
        value = BANKS[bank].digest(value + _digest(event.digest, bank))
    return value


def _digest(digests: Mapping[int, bytes], bank: int) -> bytes:
    return digests.get(bank, b"")


def _inconsistent(manifest: Manifest, pcr: int, expected: str) -> RefusalError:
    return RefusalError(
        RefusalCode.MANIFEST_INCONSISTENT,
        subject=f"manifest {manifest.id!r}, PCR {pcr}",
        reason=f"expected that {expected}",
    )
