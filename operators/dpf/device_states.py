"""Use case: a PVA tells that the state of a device changed; a delivery waits until it is good again (R24, R68).

Rule: an event is believed for its signature under the operators' root, never for who brought it; of one PVA, watching
operator and device the newest counts, whatever the order of arrival. It can only deny: while it says contraindicated or
stale, nothing is delivered to the device for that operator; whatever else it says, the gate decides as ever.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from messages.errors import MessageError
from messages.operator_token import verify_operator_token
from messages.state_event import (
    STATE_EVENT_BYTES_MAX,
    STATE_EVENT_KIND,
    PlatformState,
    StateEvent,
    check_addressed,
    read_claims,
)
from operators.dpf.gate import Trust
from operators.dpf.refusals import RefusalCode, RefusalError

DENYING: Final = frozenset({PlatformState.CONTRAINDICATED, PlatformState.STALE})


class DeviceStateStore(Protocol):
    """What this use case needs of a store."""

    def record_state(self, event: StateEvent, *, at: datetime) -> bool:
        """Keep the state of a device with its audit leaf; False for one that is not newer than what is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDesk:
    """The use case and what it works with."""

    store: DeviceStateStore
    trust: Trust

    def take(self, token: str, *, at: datetime) -> bool:
        """Take an event; False for one that is not newer than what is known. Raises RefusalError (EVENT_INVALID)."""
        try:
            signed = verify_operator_token(
                token, STATE_EVENT_KIND, anchors=self.trust.anchors, at=at, bytes_max=STATE_EVENT_BYTES_MAX
            )
            event = read_claims(signed.claims)
            check_addressed(event, to=self.trust.dpf, at=at)
            self._check_source(event)
        except MessageError as error:
            raise RefusalError(RefusalCode.EVENT_INVALID, subject="state event", reason=str(error)) from None
        return self.store.record_state(event, at=at)

    def _check_source(self, event: StateEvent) -> None:
        if event.pva not in self.trust.pvas:
            raise MessageError(
                what="state event", expected="one of a recognised PVA", got=f"one of {event.pva!r}"
            )


def check_watched(device_id: str, states: tuple[PlatformState, ...]) -> None:
    """Raise RefusalError (WATCHED_STATE) where the newest word of a PVA about a device denies a delivery."""
    denying = sorted(DENYING & set(states))
    if denying:
        raise RefusalError(
            RefusalCode.WATCHED_STATE,
            subject=f"device {device_id}",
            reason=f"the newest event of its watch says {', '.join(denying)}",
        )
