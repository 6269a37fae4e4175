"""The life of a MID in this TRE, as one table (R55, R60).

RECEIVED is a package that is being installed: never stored. INACTIVE is sealed in the vault. ACTIVE is what its
owner instructed. BLOCKED is a MID whose compartment does not open, because the platform is not in an approved
state or the file is not the newest: it is never stored either, and lasts until the compartment opens again.
"""

from enum import StrEnum

from m2me_agent.tre.errors import MidError


class MidState(StrEnum):
    """States."""

    RECEIVED = "RECEIVED"
    INACTIVE = "INACTIVE"
    ACTIVE = "ACTIVE"
    BLOCKED = "BLOCKED"


class MidEvent(StrEnum):
    """What moves a MID from one state to the next."""

    SEALED = "sealed"
    ACTIVATE = "activate"
    INTEGRITY_FAILED = "integrity-failed"


TRANSITIONS = {
    (MidState.RECEIVED, MidEvent.SEALED): MidState.INACTIVE,
    (MidState.INACTIVE, MidEvent.ACTIVATE): MidState.ACTIVE,
    (MidState.INACTIVE, MidEvent.INTEGRITY_FAILED): MidState.BLOCKED,
    (MidState.ACTIVE, MidEvent.INTEGRITY_FAILED): MidState.BLOCKED,
}
"""Every transition that there is; what is not here is refused."""


def after(state: MidState, event: MidEvent) -> MidState:
    """The state after an event.

    Raises:
        MidError: the table has no such transition.
    """
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise MidError(
            subject="state of the MID",
            reason=f"{event} has no effect on a MID that is {state}",
            remedy="ask for the states of the MIDs, and act on the right one",
        )
    return following
