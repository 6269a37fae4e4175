"""Use case: a supplier announces an update to its devices, to some of them first, and holds it where it goes wrong.

Rule: an announcement gives nobody anything by itself: it lets this PVA approve the next state, and have a new Platform
Credential made, for devices in its share. The share is drawn by a hash of manifest and device, so it is the same at every
time and at every PVA, it only grows, and nobody picks who is in it. What was given is not taken back by a pause.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum, unique
from typing import Final, Protocol

from pva.refusals import RefusalCode, RefusalError

PERCENT_MAX: Final = 100
_LABEL: Final = b"pva/rollout/1"
_PLACES: Final = 1 << 64


@unique
class RolloutState(StrEnum):
    """Whether devices are given what they need for the update now."""

    RUNNING = "running"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """An announced update: to the manifest of this digest, for `share_percent` of the devices of its models."""

    manifest_digest: bytes
    supplier: str
    share_percent: int
    state: RolloutState
    announced_by: str
    announced_at: datetime

    def reaches(self, device_id: str) -> bool:
        """Whether a device is in the share."""
        return in_share(device_id, manifest_digest=self.manifest_digest, share_percent=self.share_percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceableManifest:
    """What is on record about a manifest; `follows` is the digest of the one that it names as its predecessor."""

    supplier: str
    follows: bytes | None
    approved: bool


class RolloutRecords(Protocol):
    """What this use case needs of a store; each call that changes something is one transaction with its audit leaf."""

    def announceable(self, manifest_digest: bytes) -> AnnounceableManifest | None:
        """The manifest on record, None where there is none; a retired one is not approved any more."""

    def add_rollout(self, rollout: Rollout) -> Rollout:
        """Announce; what is on record then, which is another one where the manifest was announced before."""

    def change_rollout(
        self, manifest_digest: bytes, change: Callable[[Rollout], Rollout], *, by: str, at: datetime
    ) -> Rollout | None:
        """Store what `change` makes of a roll-out; None where there is none. What `change` raises changes nothing."""

    def rollouts(self) -> Sequence[Rollout]:
        """Every announced update, oldest first."""


def in_share(device_id: str, *, manifest_digest: bytes, share_percent: int) -> bool:
    """Whether a device (64 hexadecimal digits) is among the `share_percent` of 100 that get a manifest."""
    drawn = hashlib.sha256(_LABEL + manifest_digest + bytes.fromhex(device_id)).digest()
    return int.from_bytes(drawn[:8], "big") * PERCENT_MAX < share_percent * _PLACES


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDesk:
    """The use case and what it works with; `only_of` is the supplier that a caller speaks for, None for an admin."""

    records: RolloutRecords

    def announce(
        self, manifest_digest: bytes, *, share_percent: int, only_of: str | None, by: str, at: datetime
    ) -> Rollout:
        """Announce the update to an approved manifest that follows another one.

        The same announcement again changes nothing. Raises RefusalError: not on record or another supplier's, not
        approved, no successor, or announced before with another share (`widen` it).
        """
        found = self.records.announceable(manifest_digest)
        if found is None or only_of not in (None, found.supplier):
            raise _not_found(manifest_digest)
        if not found.approved or found.follows is None:
            raise RefusalError(
                RefusalCode.UPDATE_NOT_ANNOUNCEABLE,
                subject=_subject(manifest_digest),
                reason="it waits for approval, or was retired"
                if not found.approved
                else "it follows no manifest",
            )
        wished = Rollout(
            manifest_digest=manifest_digest,
            supplier=found.supplier,
            share_percent=share_percent,
            state=RolloutState.RUNNING,
            announced_by=by,
            announced_at=at,
        )
        made = self.records.add_rollout(wished)
        if made.share_percent != share_percent:
            raise RefusalError(
                RefusalCode.ROLLOUT_CONFLICT,
                subject=_subject(manifest_digest),
                reason=f"it was announced to {made.share_percent} percent already",
            )
        return made

    def widen(
        self, manifest_digest: bytes, *, share_percent: int, only_of: str | None, by: str, at: datetime
    ) -> Rollout:
        """Announce to more devices. Raises RefusalError: to fewer than before, which would take nothing back."""

        def wider(rollout: Rollout) -> Rollout:
            if share_percent < rollout.share_percent:
                raise RefusalError(
                    RefusalCode.ROLLOUT_CONFLICT,
                    subject=_subject(manifest_digest),
                    reason=f"it was announced to {rollout.share_percent} percent already",
                )
            return replace(rollout, share_percent=share_percent)

        return self._change(manifest_digest, wider, only_of=only_of, by=by, at=at)

    def set_state(
        self, manifest_digest: bytes, state: RolloutState, *, only_of: str | None, by: str, at: datetime
    ) -> Rollout:
        """Pause, or resume. Raises RefusalError: there is no such roll-out."""
        return self._change(
            manifest_digest, lambda rollout: replace(rollout, state=state), only_of=only_of, by=by, at=at
        )

    def rollouts(self, *, only_of: str | None) -> Sequence[Rollout]:
        """Announced updates, of one supplier or of all."""
        return [each for each in self.records.rollouts() if only_of in (None, each.supplier)]

    def _change(
        self,
        manifest_digest: bytes,
        change: Callable[[Rollout], Rollout],
        *,
        only_of: str | None,
        by: str,
        at: datetime,
    ) -> Rollout:
        def own(rollout: Rollout) -> Rollout:
            if only_of not in (None, rollout.supplier):
                raise _not_found(manifest_digest)
            return change(rollout)

        changed = self.records.change_rollout(manifest_digest, own, by=by, at=at)
        if changed is None:
            raise _not_found(manifest_digest)
        return changed


def _subject(manifest_digest: bytes) -> str:
    return f"update to manifest {manifest_digest.hex()}"


def _not_found(manifest_digest: bytes) -> RefusalError:
    return RefusalError(
        RefusalCode.NOT_FOUND,
        subject=_subject(manifest_digest),
        reason="no such manifest or update is on record",
    )
