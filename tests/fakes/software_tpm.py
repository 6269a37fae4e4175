"""A software TPM in the test's own process: a clock that stands, a store in memory, a typed connection."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lab.software_tpm.software_tpm import SoftwareTpm
from lab.software_tpm.state import State
from lab.software_tpm.state_store import MemoryStore
from standards.tpm2.connection import TpmConnection


@dataclass(slots=True)
class StandingClock:
    """A clock that moves when told to."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The present moment."""
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass(slots=True)
class CountedBytes:
    """Bytes that look random, and are the same in every run."""

    count: int = 0

    def __call__(self, size: int) -> bytes:
        """The next `size` bytes."""
        self.count += 1
        return hashlib.shake_256(b"counted bytes %d" % self.count).digest(size)


class FullDisk(MemoryStore):
    """A store that, once full, takes nothing more."""

    full = False

    def save(self, state: State) -> None:
        """Keep `state`, or fail as a full disk does."""
        if self.full:
            raise OSError(28, "No space left on device")
        super().save(state)


@dataclass(slots=True)
class BenchTpm:
    """A TPM on the bench; `power_cycle` is a TPM reset."""

    clock: StandingClock = field(default_factory=StandingClock)
    random_bytes: CountedBytes = field(default_factory=CountedBytes)
    store: FullDisk = field(default_factory=FullDisk)
    tpm: SoftwareTpm = field(init=False)

    def __post_init__(self) -> None:
        self.tpm = self._powered()

    def _powered(self) -> SoftwareTpm:
        return SoftwareTpm(self.store, random_bytes=self.random_bytes, clock=self.clock)

    def power_cycle(self) -> None:
        """Power off and on, with no Shutdown before unless the test sent one."""
        self.tpm = self._powered()

    @property
    def connection(self) -> TpmConnection:
        """Typed commands to the TPM as it is now."""
        return TpmConnection(self.tpm.execute, self.random_bytes)
