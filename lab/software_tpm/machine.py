"""The machine that commands work on: persistent and volatile state, randomness, time.

One rule: both states are immutable values, so `machine.state = ...` in a command is undone by putting the
old value back.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from edge.process import RandomBytes
from lab.software_tpm.errors import CommandError
from lab.software_tpm.objects import TpmObject
from lab.software_tpm.state import Hierarchy, PrimaryRsaKey, State
from lab.software_tpm.volatile import Policy, Session, Volatile
from standards.tpm2.constants import Handle
from standards.tpm2.return_codes import ReturnCode
from standards.tpm2.structures import ClockInfo

TRANSIENT_SLOTS = 3
SESSION_SLOTS = 3
SESSION_HANDLES = 64
COMMAND_BYTES_MAX = 4096
"""TPM_PT_MAX_COMMAND_SIZE, and that of responses."""
FIRST_TRANSIENT = 0x80000000
FIRST_PERSISTENT = 0x81000000


class Machine:
    """State, randomness and time of one TPM. `milliseconds` counts from the reset.

    `command_handles` says which commands there are, and how many handles each takes.
    """

    def __init__(
        self,
        *,
        state: State,
        volatile: Volatile,
        random_bytes: RandomBytes,
        milliseconds: Callable[[], int],
        command_handles: Mapping[int, int],
    ) -> None:
        self.state = state
        self.volatile = volatile
        self.random_bytes = random_bytes
        self.milliseconds = milliseconds
        self.command_handles = command_handles
        self.null_rsa_keys: dict[bytes, PrimaryRsaKey] = {}

    @property
    def clock(self) -> int:
        """Clock of the TPM, in milliseconds (Part 1, 36)."""
        return self.milliseconds() + self.volatile.clock_offset

    @property
    def clock_info(self) -> ClockInfo:
        """TPMS_CLOCK_INFO now; a start of the process is a TPM reset, so there are no restarts."""
        clock = self.clock
        return ClockInfo(
            clock=clock,
            reset_count=self.state.reset_count,
            restart_count=0,
            safe=clock >= self.volatile.clock_safe_at,
        )

    def hierarchy(self, handle: int) -> Hierarchy:
        """One of the four hierarchies."""
        if handle == Handle.NULL:
            return self.volatile.null_hierarchy
        return self.state.hierarchies[handle]

    def object(self, handle: int) -> TpmObject:
        """A loaded or persistent object, which dispatch has found there."""
        placed = self.state.persistent if handle >= FIRST_PERSISTENT else self.volatile.objects
        return placed[handle]

    def require_free_slot(self) -> None:
        """Refuse unless one more object can be loaded; persistent objects in use take a slot too."""
        if len(self.volatile.objects) + self.volatile.borrowed_slots >= TRANSIENT_SLOTS:
            raise CommandError(ReturnCode.OBJECT_MEMORY)

    def load(self, loaded: TpmObject) -> int:
        """Put an object into the first free slot; its handle."""
        self.require_free_slot()
        taken = self.volatile.objects
        handle = next(handle for handle in range(FIRST_TRANSIENT, 1 << 32) if handle not in taken)
        self.volatile = replace(self.volatile, objects={**taken, handle: loaded})
        return handle

    def flush_object(self, handle: int) -> None:
        """Free the slot of a transient object."""
        remaining = {at: kept for at, kept in self.volatile.objects.items() if at != handle}
        self.volatile = replace(self.volatile, objects=remaining)

    def session(self, handle: int) -> Session:
        """A session, which dispatch has found there."""
        return self.volatile.sessions[handle]

    def put_session(self, session: Session) -> None:
        """Add or replace a session."""
        self.volatile = self.volatile.with_session(session)

    def put_policy(self, handle: int, policy: Policy) -> None:
        """Replace what a policy session has been told."""
        self.put_session(replace(self.session(handle), policy=policy))
