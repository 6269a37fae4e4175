"""The state directory: one file, replaced as a whole, and a lock.

One rule: after opening, everything goes through the directory's file descriptor, so the store also works for
a process that has dropped privileges below a path which it can no longer walk.
"""

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from typing import Protocol, Self

from lab.software_tpm.errors import StateError
from lab.software_tpm.state import State
from lab.software_tpm.state_codec import StateCodecError, decode_state, encode_state

STATE_FILE = "software-tpm.state"
_NEW_FILE = "software-tpm.state.new"
_LOCK_FILE = "software-tpm.lock"
_STATE_BYTES_MAX = 4 << 20


class StateStore(Protocol):
    """Where a software TPM keeps its state. `save` raises OSError if the state may not be there afterwards."""

    def load(self) -> State | None:
        """The saved state, or None for a TPM that has none yet."""
        ...

    def save(self, state: State) -> None:
        """Replace the saved state; on return it survives a power cut."""
        ...


class MemoryStore:
    """A store for tests and for measurements: it forgets when the process ends."""

    def __init__(self, state: State | None = None) -> None:
        self._state = state

    def load(self) -> State | None:
        """The state last saved."""
        return self._state

    def save(self, state: State) -> None:
        """Keep `state`."""
        self._state = state


class StateDirectory:
    """A directory of mode 0700 with the state in a file of mode 0600; one process at a time."""

    def __init__(self, directory: int, *, lock: int) -> None:
        self._directory = directory
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open, create if missing, and lock the directory; StateError if others can read it or have it."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StateError(
                path, reason=str(error.strerror), remedy="name a directory that you may read and write"
            ) from error
        mode = stat.S_IMODE(os.fstat(directory).st_mode)
        if mode & 0o077:
            os.close(directory)
            raise StateError(path, reason=f"mode {mode:04o} lets others in", remedy=f"run: chmod 0700 {path}")
        lock = os.open(_LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=directory)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            os.close(directory)
            raise StateError(
                path, reason="another process has this TPM", remedy="stop it, or name another directory"
            ) from None
        return cls(directory, lock=lock)

    def close(self) -> None:
        """Give the directory back."""
        os.close(self._lock)
        os.close(self._directory)

    def give_to(self, uid: int, gid: int) -> None:
        """Make the directory and its files those of the user that the process is going to be."""
        os.fchown(self._directory, uid, gid)
        os.fchown(self._lock, uid, gid)
        with contextlib.suppress(FileNotFoundError):
            os.chown(STATE_FILE, uid, gid, dir_fd=self._directory, follow_symlinks=False)

    def load(self) -> State | None:
        """The saved state, or None in a fresh directory; StateError if the file is damaged."""
        try:
            descriptor = os.open(
                STATE_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory
            )
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_STATE_BYTES_MAX)
        try:
            return decode_state(data)
        except StateCodecError as error:
            raise StateError(
                STATE_FILE, reason=str(error), remedy="manufacture the TPM anew: its keys are lost"
            ) from error

    def save(self, state: State) -> None:
        """Write beside, fsync, rename, fsync the directory: after a power cut the old state or the new one."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(_NEW_FILE, flags, 0o600, dir_fd=self._directory)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode_state(state))
            file.flush()
            os.fsync(file.fileno())
        os.rename(_NEW_FILE, STATE_FILE, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        os.fsync(self._directory)
