"""Which USIM this device uses for each kind of access, where several owners have one that is active (R17, R23).

The rule: one active USIM a kind of access. The first that is activated serves until a person at the device selects
another; no operator takes another one's place without that one's signed release, and no agent does. A choice whose MID is
gone, or is active no more, binds nobody. ISIMs open no access of their own: all of them serve.

A change of operator stands in the same record as the choice, so that one write makes both, or neither. While it stands, one
of its two MIDs is held: it is used for nothing, whatever its compartment says. The record grants nothing: the other one
serves because it is active in its own compartment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from m2me_agent.tre.errors import MidError
from m2me_agent.tre.state import Storage
from m2me_agent.tre.stored_rows import not_understood
from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError, refusal
from messages.mid_content import USIM, NetworkApplication
from messages.mid_policy import ACCESSES
from messages.order import ID_MAX
from standards.rats.fields import Fields
from standards.tpm2.structures import ClockInfo

_RECORD = "usim-selection"
_RECORD_BYTES_MAX = 1 << 12
_IDENTITY_MAX = 255
_CHANGE = "change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One application: the MID that it is in, and its IMSI."""

    mid_id: str
    identity: str


class Phase(StrEnum):
    """How far a change of operator is, and so which of its two MIDs is held."""

    BACK = "back"
    """The prior MID serves; the new one is held until it is INACTIVE. So a change begins, and so it is undone."""
    PENDING = "pending"
    """The new MID serves, until its deadline."""
    KEPT = "kept"
    """The new MID serves; the prior one is held until it is INACTIVE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of operator. `prior` is what served before, by kind of access; times are the TPM clock's."""

    mid_id: str
    prior_mid_id: str
    phase: Phase
    begun: ClockInfo
    deadline_ms: int
    prior: Mapping[str, Chosen]

    @property
    def held(self) -> str:
        """The MID that is used for nothing now."""
        return self.mid_id if self.phase is Phase.BACK else self.prior_mid_id

    def waits_with(self, mid_id: str) -> bool:
        """Whether it is the new one, and not confirmed."""
        return self.phase is Phase.PENDING and mid_id == self.mid_id

    def is_late(self, clock: ClockInfo) -> bool:
        """Whether the deadline is over, or cannot be told: the TPM does not count the time that power was off."""
        boot = (self.begun.reset_count, self.begun.restart_count)
        return (
            clock.reset_count,
            clock.restart_count,
        ) != boot or not self.begun.clock <= clock.clock < self.deadline_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    chosen: Mapping[str, Chosen]
    change: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsimSelection:
    """What was selected, by kind of access, and a change of operator; durable before it counts."""

    storage: Storage

    def all(self) -> Mapping[str, Chosen]:
        """By kind of access. Raises StateError."""
        return self._read().chosen

    def change(self) -> Change | None:
        """The change of operator that stands. Raises StateError."""
        return self._read().change

    def take_free(
        self, mid_id: str, application: NetworkApplication, *, is_active: Callable[[str], bool]
    ) -> None:
        """Let this application serve where none of an active MID does; `is_active` by MID id. Raises StateError."""
        chosen = self.all().get(application.access)
        if application.kind == USIM and (chosen is None or not is_active(chosen.mid_id)):
            self.select(mid_id, application)

    def select(self, mid_id: str, application: NetworkApplication) -> None:
        """Let this USIM serve from now on. Raises MidError for an ISIM, StateError."""
        if application.kind != USIM:
            raise MidError(
                subject=f"application of MID {mid_id}",
                reason="is no USIM: every ISIM of an active MID serves",
                remedy="select a USIM",
            )
        standing = self._read()
        chosen = Chosen(mid_id=mid_id, identity=application.identity)
        self._write(replace(standing, chosen={**standing.chosen, application.access: chosen}))

    def check_serves(self, mid_id: str, application: NetworkApplication) -> None:
        """Raises MidError where another USIM serves this kind of access, StateError."""
        chosen = self.all().get(application.access)
        wanted = Chosen(mid_id=mid_id, identity=application.identity)
        if application.kind == USIM and chosen != wanted:
            raise MidError(
                subject=f"USIM of MID {mid_id}",
                reason=f"another one serves {application.access} access",
                remedy="have a person select it at the device",
            )

    def begin(self, change: Change) -> None:
        """Hold the new MID; what serves goes on serving. Raises StateError."""
        self._write(_Standing(chosen=self.all(), change=replace(change, phase=Phase.BACK)))

    def switch(self, change: Change, taken: Mapping[str, Chosen]) -> None:
        """In one write: the new MID serves these kinds of access, and the prior one is held. Raises StateError."""
        pending = replace(change, phase=Phase.PENDING)
        self._write(_Standing(chosen={**self.all(), **taken}, change=pending))

    def keep(self, change: Change) -> None:
        """The new MID serves for good. Raises StateError."""
        self._write(_Standing(chosen=self.all(), change=replace(change, phase=Phase.KEPT)))

    def undo(self, change: Change) -> None:
        """In one write: the prior MID serves what it served, and the new one is held. Raises StateError."""
        chosen = dict(self.all())
        for access, before in change.prior.items():
            if access in chosen and chosen[access].mid_id == change.mid_id:
                chosen[access] = before
        self._write(_Standing(chosen=chosen, change=replace(change, phase=Phase.BACK)))

    def end(self) -> None:
        """No change stands, and no MID is held. Raises StateError."""
        self._write(_Standing(chosen=self.all()))

    def _read(self) -> _Standing:
        content = self.storage.read(_RECORD)
        return _Standing(chosen={}) if content is None else _decode(content)

    def _write(self, standing: _Standing) -> None:
        record: dict[str, Any] = _rows(standing.chosen)
        change = standing.change
        if change is not None:
            record[_CHANGE] = {
                1: change.mid_id,
                2: change.prior_mid_id,
                3: change.phase.value,
                4: change.begun.clock,
                5: change.begun.reset_count,
                6: change.begun.restart_count,
                7: change.deadline_ms,
                8: _rows(change.prior),
            }
        self.storage.write(_RECORD, encode_deterministic(record))


def _rows(chosen: Mapping[str, Chosen]) -> dict[str, Any]:
    return {access: [each.mid_id, each.identity] for access, each in chosen.items()}


def _decode(content: bytes) -> _Standing:
    try:
        fields = decode_fields(content, what=_RECORD, bytes_max=_RECORD_BYTES_MAX)
        chosen = _read_rows(fields)
        change = _read_change(fields.nested(_CHANGE)) if _CHANGE in fields else None
        fields.close()
    except MessageError as error:
        raise not_understood(_RECORD, error) from error
    return _Standing(chosen=chosen, change=change)


def _read_rows(fields: Fields) -> Mapping[str, Chosen]:
    return {
        access: _read(fields.items(access, size_min=2, size_max=2))
        for access in sorted(ACCESSES)
        if access in fields
    }


def _read(row: list[object]) -> Chosen:
    fields = Fields(dict(enumerate(row)), what=_RECORD, refusal=refusal)
    return Chosen(mid_id=fields.text(0, size_max=ID_MAX), identity=fields.text(1, size_max=_IDENTITY_MAX))


def _read_change(fields: Fields) -> Change:
    phase = fields.text(3, size_max=16)
    if phase not in set(Phase):
        raise refusal("phase of a change of operator", " or ".join(Phase), "another")
    begun = ClockInfo(
        clock=fields.integer(4), reset_count=fields.integer(5), restart_count=fields.integer(6), safe=True
    )
    prior = fields.nested(8)
    change = Change(
        mid_id=fields.text(1, size_max=ID_MAX),
        prior_mid_id=fields.text(2, size_max=ID_MAX),
        phase=Phase(phase),
        begun=begun,
        deadline_ms=fields.integer(7),
        prior=_read_rows(prior),
    )
    prior.close()
    fields.close()
    return change
