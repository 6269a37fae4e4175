"""What a PVA tells operators of a device that they have watched: its state changed, or it was silent (R24).

Rule: a security event token (RFC 8417, without its exp), believed for its signature under the operators' root. Of one
watching operator and device the event with the highest `sequence` counts, whatever the order of arrival. An event says that
a state *changed*; what the state permits is in results alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Any, Final

from messages.challenge import AUDIENCE_MAX
from messages.errors import MessageError, refusal
from messages.operator_token import LIFE_SKEW_S, TokenKind
from messages.order import DIGEST_SIZE, ID_MAX
from standards.pki import oids
from standards.rats.fields import Fields, numeric_date

STATE_EVENT_KIND: Final = TokenKind(
    typ="secevent+jwt", eku=oids.EKU_ATTESTATION_RESULT, roles=frozenset({"pva"})
)
STATE_EVENT: Final = "urn:pva:event:platform-state"
STATE_EVENT_BYTES_MAX: Final = 32_768


@unique
class PlatformState(StrEnum):
    """What is known of a platform: the tier of its last result, or that it did not answer in time."""

    AFFIRMING = "affirming"
    WARNING = "warning"
    CONTRAINDICATED = "contraindicated"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEvent:
    """One event: `operator` has the device watched, `audience` is told.

    `sequence` grows with every event, and from one watch of the operator and device to the next; `result_id` is the result that shows the state, None for a silence; `since` when the state began.
    """

    pva: str
    jti: str
    audience: tuple[str, ...]
    operator: str
    device_id: str
    state: PlatformState
    sequence: int
    result_id: str | None
    since: datetime
    issued_at: datetime

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        told: dict[str, Any] = {
            "state": self.state.value,
            "operator": self.operator,
            "sequence": self.sequence,
            "since": numeric_date(self.since),
        }
        if self.result_id is not None:
            told["result_id"] = self.result_id
        return {
            "jti": self.jti,
            "iat": numeric_date(self.issued_at),
            "aud": list(self.audience),
            "sub": self.device_id,
            "events": {STATE_EVENT: told},
        }


def read_claims(claims: object) -> StateEvent:
    """Read verified claims; whom it is for, and when, is NOT judged here. Raises MessageError."""
    fields = Fields(claims, what="state event", refusal=refusal)
    events = fields.nested("events")
    told = events.nested(STATE_EVENT)
    state = told.text("state", size_max=32)
    if state not in set(PlatformState):
        raise MessageError(what="state event.state", expected=" or ".join(PlatformState), got="another")
    event = StateEvent(
        pva=fields.text("iss", size_max=ID_MAX),
        jti=fields.text("jti", size_max=ID_MAX),
        audience=fields.texts("aud", size_min=1, size_max=AUDIENCE_MAX),
        operator=told.text("operator", size_max=ID_MAX),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        state=PlatformState(state),
        sequence=told.integer("sequence", low=1),
        result_id=told.text("result_id", size_max=64) if "result_id" in told else None,
        since=told.time("since"),
        issued_at=fields.time("iat"),
    )
    for part in (told, events, fields):
        part.close()
    if (event.result_id is None) != (event.state is PlatformState.STALE):
        raise MessageError(
            what="state event.result_id", expected="a result, but for a silence", got="the contrary"
        )
    return event


def check_addressed(event: StateEvent, *, to: str, at: datetime) -> None:
    """Raise MessageError unless an event is for `to`, and was not made in a time to come."""
    if to not in event.audience:
        raise MessageError(what="state event.aud", expected=f"{to!r} among the names", got="others")
    if event.issued_at > at + timedelta(seconds=LIFE_SKEW_S):
        raise MessageError(
            what="state event.iat",
            expected="a time that has come",
            got=f"{event.issued_at:%Y-%m-%dT%H:%M:%SZ}",
        )
