"""Use case: a PVA tells that the state of a device changed, and the AuC follows (R24).

Rule: an event is believed for its signature under the operators' root, never for who brought it; of one PVA and device the
newest counts, whatever the order of arrival. What follows is this operator's policy, in one table:

    contraindicated   suspended: the AuC gives no vectors for the subscriptions of the device
    affirming         open again
    warning, stale    as before: what is not known for bad ends nobody's subscription

    1 signed by a PVA that this operator asks, for this operator, about a device that it has watched
    2 newer than what is known
    3 state and audit leaf, in one transaction
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Protocol

from cryptography import x509

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
from operators.sho.refusals import RefusalCode, RefusalError

SUSPENDED: Final[Mapping[PlatformState, bool]] = MappingProxyType(
    {PlatformState.CONTRAINDICATED: True, PlatformState.AFFIRMING: False}
)
"""Whether the subscriptions of a device are suspended from a state on; the others leave it as it is."""


class DeviceStateStore(Protocol):
    """What this use case needs of a store."""

    def record_state(self, event: StateEvent, *, suspended: bool | None, at: datetime) -> bool:
        """Keep the state of a device with its audit leaf (None: suspended as before); False for one that is not newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDesk:
    """The use case and what it works with; `pvas` are the ids of those that this operator asks."""

    store: DeviceStateStore
    operator: str
    pvas: frozenset[str]
    anchors: Sequence[x509.Certificate]

    def take(self, token: str, *, at: datetime) -> bool:
        """Take an event; False for one that is not newer than what is known. Raises RefusalError (EVENT_INVALID)."""
        try:
            signed = verify_operator_token(
                token, STATE_EVENT_KIND, anchors=self.anchors, at=at, bytes_max=STATE_EVENT_BYTES_MAX
            )
            event = read_claims(signed.claims)
            check_addressed(event, to=self.operator, at=at)
            self._check_source(event)
        except MessageError as error:
            raise RefusalError(RefusalCode.EVENT_INVALID, subject="state event", reason=str(error)) from None
        return self.store.record_state(event, suspended=SUSPENDED.get(event.state), at=at)

    def _check_source(self, event: StateEvent) -> None:
        if event.operator != self.operator or event.pva not in self.pvas:
            raise MessageError(
                what="state event",
                expected="one of a PVA that is asked here, of a watch of this operator",
                got=f"one of {event.pva!r}, of a watch of {event.operator!r}",
            )
