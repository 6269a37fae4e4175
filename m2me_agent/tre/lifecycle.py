"""The life of a MID in this TRE, as one table that a person can check (R34, R37, R55, R60).

    state      means                                                       keys usable   stored
    RECEIVED   a package that is being installed                           no            never
    INACTIVE   sealed in the vault                                         no            yes
    ACTIVE     what its owner instructed                                   yes           yes
    BLOCKED    taken out of use, by its owner or for its own integrity     no            yes
    MIGRATING  locked, while its subscription moves to another device      no            yes
    ERASED     gone, its key written over; a tombstone says so             there is none tombstone

BLOCKED is also what is shown of a MID whose compartment does not open, because the platform is not in an approved state or
the file is not the newest: that is the compartment's state and not the MID's, is never stored, and ends when the
compartment opens again. What is stored as BLOCKED ends by its owner's word alone, after the TRE has looked again.

A MID that migrates is locked and not erased, so that its owner can call it back: `unlock` makes it ACTIVE again, and nothing else
does. An `update` replaces what a MID holds and leaves its state; a BLOCKED one wants its owner's word first.
In a change of operator the new owner's MID takes `switch` and, where it is undone, `roll-back`; the prior one's takes `hand-over`.
"""

from enum import StrEnum

from m2me_agent.tre.errors import MidError
from messages import registry


class MidState(StrEnum):
    """States."""

    RECEIVED = "RECEIVED"
    INACTIVE = "INACTIVE"
    ACTIVE = "ACTIVE"
    BLOCKED = "BLOCKED"
    MIGRATING = "MIGRATING"
    ERASED = "ERASED"


class MidEvent(StrEnum):
    """What moves a MID from one state to the next."""

    SEALED = "sealed"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    BLOCK = "block"
    UNBLOCK = "unblock"
    LOCK = "lock"
    UNLOCK = "unlock"
    ERASE = "erase"
    INTEGRITY_FAILED = "integrity-failed"
    UPDATE = "update"
    SWITCH = "switch"
    ROLL_BACK = "roll-back"
    HAND_OVER = registry.HAND_OVER


TRANSITIONS = {
    (MidState.RECEIVED, MidEvent.SEALED): MidState.INACTIVE,
    (MidState.INACTIVE, MidEvent.ACTIVATE): MidState.ACTIVE,
    (MidState.INACTIVE, MidEvent.UPDATE): MidState.INACTIVE,
    (MidState.INACTIVE, MidEvent.SWITCH): MidState.ACTIVE,
    (MidState.INACTIVE, MidEvent.BLOCK): MidState.BLOCKED,
    (MidState.INACTIVE, MidEvent.INTEGRITY_FAILED): MidState.BLOCKED,
    (MidState.INACTIVE, MidEvent.ERASE): MidState.ERASED,
    (MidState.ACTIVE, MidEvent.UPDATE): MidState.ACTIVE,
    (MidState.ACTIVE, MidEvent.DEACTIVATE): MidState.INACTIVE,
    (MidState.ACTIVE, MidEvent.ROLL_BACK): MidState.INACTIVE,
    (MidState.ACTIVE, MidEvent.HAND_OVER): MidState.INACTIVE,
    (MidState.ACTIVE, MidEvent.BLOCK): MidState.BLOCKED,
    (MidState.ACTIVE, MidEvent.LOCK): MidState.MIGRATING,
    (MidState.ACTIVE, MidEvent.INTEGRITY_FAILED): MidState.BLOCKED,
    (MidState.ACTIVE, MidEvent.ERASE): MidState.ERASED,
    (MidState.MIGRATING, MidEvent.UNLOCK): MidState.ACTIVE,
    (MidState.MIGRATING, MidEvent.INTEGRITY_FAILED): MidState.BLOCKED,
    (MidState.MIGRATING, MidEvent.ERASE): MidState.ERASED,
    (MidState.BLOCKED, MidEvent.INTEGRITY_FAILED): MidState.BLOCKED,
    (MidState.BLOCKED, MidEvent.UNBLOCK): MidState.INACTIVE,
    (MidState.BLOCKED, MidEvent.ERASE): MidState.ERASED,
}
"""Every transition that there is; what is not here is refused. Nothing leads out of ERASED."""


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
