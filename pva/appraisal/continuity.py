"""What one device may say next, given what it said before: clock, counters, keys, firmware, credential.

Rule: pure. `identity_conflict` decides whether two identities claim one key (A26); `changes` judges a sighting
against the history (A14, A15); `advance` gives the history to store, every time. An AK and a device belong
together; another AK or storage key is only believed with a Platform Credential that is newer than the last one,
since the CA gives a device a second one only when its supplier reopened the enrolment.

Theory: resetCount counts TPM resets since TPM2_Clear, restartCount restarts and resumes since the last reset, so
the pair never goes down in its order; clock counts milliseconds of powered time, goes up within one run, and may
repeat values after an unorderly shutdown until `safe` is set again (TPM 2.0 Library Part 2, TPMS_CLOCK_INFO).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pva.appraisal.findings import FindingCode, Scope, find
from standards.rats.ear import Finding
from standards.tpm2.structures import ClockInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one verified exchange says about a device.

    `device_id` in hex, `supplier` whose root its credential leads to, `hw_type` its model's dotted OID, Names as TPM
    Names, `at` the PVA's time.
    """

    device_id: str
    supplier: str
    hw_type: str
    ak_name: bytes
    qualified_signer: bytes
    storage_key_name: bytes
    generation_counter_name: bytes
    generation_counter: int
    clock_info: ClockInfo
    firmware_version: int
    credential_sha256: bytes
    credential_not_before: datetime
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaProgress:
    """How far a boot's IMA list was replayed, with nothing found in it: `count` entries lead to `value` of PCR 10.

    The list itself is not kept. It counts in the boot with these counts of the TPM, and under the appraisal policy
    (`policy`, its digest) by which the entries were judged.
    """

    count: int
    value: bytes
    reset_count: int
    restart_count: int
    policy: bytes

    @property
    def boot(self) -> tuple[int, int]:
        """Which boot it is of."""
        return self.reset_count, self.restart_count


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHistory:
    """The last sighting of a device, and what outlives it.

    `svn_highest` is the highest security version that an accepted result named (None before the first),
    `unsafe_since` when the TPM's clock was first seen not safe in this run, `revision` counts changes.
    `ima` is of the last sighting alone: None where its list was not asked for, did not come, or had findings.
    """

    last: Sighting
    svn_highest: int | None
    unsafe_since: datetime | None
    revision: int
    ima: ImaProgress | None = None


def identity_conflict(history: DeviceHistory | None, holder_of_ak: str | None, seen: Sighting) -> str | None:
    """Why this sighting contradicts another identity (A26), or None.

    `holder_of_ak` is the device id under which this AK was seen before. The same AK under two devices, and the
    same device with another AK under a credential that is not newer, are alarms. So is a device that another
    supplier certifies: each recognised supplier can name any device id in a credential, and a newer one of
    another hierarchy must not take a device over.
    """
    if holder_of_ak is not None and holder_of_ak != seen.device_id:
        return f"this AK was seen as device {holder_of_ak} before"
    if history is not None and history.last.supplier != seen.supplier:
        return f"this device was certified by {history.last.supplier!r} before, and by {seen.supplier!r} now"
    if history is None or history.last.ak_name == seen.ak_name or _enrolled_again(history, seen):
        return None
    return "this device used another AK before, under a credential that is not older than this one"


def changes(history: DeviceHistory | None, seen: Sighting, *, clock_grace: timedelta) -> tuple[Finding, ...]:
    """Findings about this sighting; none for a device that is seen for the first time or enrolled again."""
    if history is None or _new_keys_enrolled(history, seen):
        return ()
    found = [*_clock(history, seen), *_keys(history.last, seen)]
    if history.last.firmware_version != seen.firmware_version:
        found.append(
            find(
                FindingCode.TPM_FIRMWARE_CHANGED,
                scope=Scope.TRE,
                subject="TPM firmwareVersion",
                expected=f"{history.last.firmware_version:016x}",
                measured=f"{seen.firmware_version:016x}",
            )
        )
    since = _unsafe_since(history, seen)
    if since is not None and seen.at - since > clock_grace:
        found.append(
            find(
                FindingCode.CLOCK_NOT_SAFE,
                scope=Scope.TRE,
                subject="TPM clock",
                expected=f"safe within {clock_grace.total_seconds():.0f} s",
                measured=f"not safe since {since.isoformat()}",
            )
        )
    return tuple(found)


def advance(
    history: DeviceHistory | None,
    seen: Sighting,
    *,
    accepted_svn: int | None,
    ima: ImaProgress | None = None,
) -> DeviceHistory:
    """The history after this sighting.

    `accepted_svn` is the security version of the manifest when the result accepted the device, else None. What
    went back does not lower the stored high-water mark: the device stays contraindicated until it is enrolled
    again.
    """
    if history is None:
        unsafe_since = None if seen.clock_info.safe else seen.at
        return DeviceHistory(
            last=seen, svn_highest=accepted_svn, unsafe_since=unsafe_since, revision=1, ima=ima
        )
    known = [svn for svn in (history.svn_highest, accepted_svn) if svn is not None]
    return DeviceHistory(
        last=seen if _new_keys_enrolled(history, seen) else _never_back(history.last, seen),
        svn_highest=max(known, default=None),
        unsafe_since=_unsafe_since(history, seen),
        revision=history.revision + 1,
        ima=ima,
    )


def _enrolled_again(history: DeviceHistory, seen: Sighting) -> bool:
    last = history.last
    return (
        seen.credential_sha256 != last.credential_sha256
        and seen.credential_not_before > last.credential_not_before
    )


def _new_keys_enrolled(history: DeviceHistory, seen: Sighting) -> bool:
    same_keys = (
        history.last.ak_name == seen.ak_name and history.last.storage_key_name == seen.storage_key_name
    )
    return not same_keys and _enrolled_again(history, seen)


def _clock(history: DeviceHistory, seen: Sighting) -> list[Finding]:
    before, now = history.last.clock_info, seen.clock_info
    if _order(now) > _order(before):
        return []
    return [
        find(
            FindingCode.CLOCK_REGRESSION,
            scope=Scope.TRE,
            subject="TPM clockInfo (resetCount, restartCount, clock)",
            expected=f"after ({before.reset_count}, {before.restart_count}, {before.clock})",
            measured=f"({now.reset_count}, {now.restart_count}, {now.clock})",
        )
    ]


def _order(clock_info: ClockInfo) -> tuple[int, int, int]:
    return clock_info.reset_count, clock_info.restart_count, clock_info.clock


def _keys(last: Sighting, seen: Sighting) -> list[Finding]:
    found = []
    if last.storage_key_name != seen.storage_key_name:
        found.append(
            find(
                FindingCode.STORAGE_KEY_CHANGED,
                scope=Scope.TRE,
                subject="Name of the storage key",
                expected=last.storage_key_name.hex(),
                measured=seen.storage_key_name.hex(),
            )
        )
    if (
        last.generation_counter_name != seen.generation_counter_name
        or seen.generation_counter < last.generation_counter
    ):
        found.append(
            find(
                FindingCode.GENERATION_COUNTER_REGRESSION,
                scope=Scope.TRE,
                subject="generation counter",
                expected=f"at least {last.generation_counter} in {last.generation_counter_name.hex()}",
                measured=f"{seen.generation_counter} in {seen.generation_counter_name.hex()}",
            )
        )
    return found


def _unsafe_since(history: DeviceHistory, seen: Sighting) -> datetime | None:
    if seen.clock_info.safe:
        return None
    same_run = (
        seen.clock_info.reset_count == history.last.clock_info.reset_count
        and seen.clock_info.restart_count == history.last.clock_info.restart_count
    )
    return history.unsafe_since if same_run and history.unsafe_since is not None else seen.at


def _never_back(last: Sighting, seen: Sighting) -> Sighting:
    """This sighting, except that what went back keeps its high-water mark and enrolled keys stay."""
    newer = seen if seen.credential_not_before >= last.credential_not_before else last
    return replace(
        seen,
        storage_key_name=last.storage_key_name,
        generation_counter_name=last.generation_counter_name,
        generation_counter=max(last.generation_counter, seen.generation_counter),
        clock_info=max(last.clock_info, seen.clock_info, key=_order),
        credential_sha256=newer.credential_sha256,
        credential_not_before=newer.credential_not_before,
    )
