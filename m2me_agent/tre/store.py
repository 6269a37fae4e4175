"""The TRE's files: small, 0600, each replaced as a whole.

Everything is relative to one directory descriptor that was opened before privileges were dropped, so the
path to it may be closed to the TRE's own uid. A file is written beside its place, synchronised, renamed,
and the directory synchronised: after a crash there is the old content or the new one. Where that last step failed, or a process
before this one was killed in front of it, it is made up for before anything is read: whatever was seen of a file stays. A record
carries its name and digest, so that a torn, mixed up or foreign file is told from an absent one.

What is NOT protected here: an older, whole record put back by someone with the TRE's uid.
"""

import contextlib
import hashlib
import hmac
import os
import stat
from pathlib import Path
from typing import Self

from m2me_agent.tre.errors import StateError

CONTENT_BYTES_MAX = 1 << 20
"""Largest content of one file, in bytes."""

_MAGIC = b"M2ME-TRE\x00\x01"
_DIGEST_BYTES = hashlib.sha256().digest_size
_TEMPORARY = ".new"
_OPEN_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class StateDirectory:
    """A directory that only the TRE's uid can enter.

    Args:
        descriptor: open directory; owned by this object from now on.
        owner_uid: uid that must own the directory and its files.
    """

    def __init__(self, descriptor: int, *, owner_uid: int) -> None:
        self._descriptor = descriptor
        self._owner_uid = owner_uid
        self._check_owner(os.fstat(descriptor), name=".", mode_forbidden=0o077)
        try:
            self._synchronise()
        except OSError as error:
            raise self._failed("state directory", "cannot be synchronised", error) from error

    @classmethod
    def open(cls, path: Path, *, owner_uid: int) -> Self:
        """Open an existing directory.

        Raises:
            StateError: it is absent, no directory, owned by another uid, or open to others.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _OPEN_FLAGS)
        except OSError as error:
            raise StateError(
                subject=f"state directory {path}",
                reason=f"cannot be opened: {error.strerror}",
                remedy=f"create it with mode 0700, owned by uid {owner_uid}",
            ) from error
        try:
            return cls(descriptor, owner_uid=owner_uid)
        except StateError:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None when there is none.

        Raises:
            StateError: the file is torn, no record of this name, or open to others; or it would not survive a loss of power.
        """
        try:
            if not self._is_synchronised:
                self._synchronise()
            descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN_FLAGS, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(name, "cannot be read", error) from error
        try:
            # The kind is judged on the descriptor, before it becomes a file object.
            self._check_owner(os.fstat(descriptor), name=name, mode_forbidden=0o177)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                record = file.read(len(_MAGIC) + _DIGEST_BYTES + CONTENT_BYTES_MAX + 1)
        except OSError as error:
            raise self._failed(name, "cannot be read", error) from error
        finally:
            os.close(descriptor)
        return _open_record(name, record)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file's content; on return it has survived a loss of power.

        Raises:
            StateError: it cannot be written; the old content stands, or (where only the end failed) the new one.
        """
        if len(content) > CONTENT_BYTES_MAX:
            raise StateError(
                subject=name,
                reason=f"expected at most {CONTENT_BYTES_MAX} bytes, got {len(content)}",
                remedy="nothing was changed; report this",
            )
        record = _MAGIC + _digest(name, content) + content
        try:
            self._replace(name, record)
        except OSError as error:
            raise self._failed(name, "cannot be written", error) from error

    def remove(self, name: str) -> None:
        """Remove a file; an absent one is no error.

        Raises:
            StateError: it cannot be removed.
        """
        self._is_synchronised = False
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._descriptor)
            self._synchronise()
        except OSError as error:
            raise self._failed(name, "cannot be removed", error) from error

    def _replace(self, name: str, record: bytes) -> None:
        beside = name + _TEMPORARY
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=self._descriptor)  # left by a crash
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN_FLAGS
        descriptor = os.open(beside, flags, 0o600, dir_fd=self._descriptor)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            os.fchown(
                descriptor, self._owner_uid, -1
            )  # at start it may be root that finishes what a cut has left
            file.write(record)
            file.flush()
            os.fsync(descriptor)
        self._is_synchronised = False
        os.rename(beside, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        self._synchronise()

    def _synchronise(self) -> None:
        """What names there are survives a loss of power from now on."""
        os.fsync(self._descriptor)
        self._is_synchronised = True

    def _check_owner(self, status: os.stat_result, *, name: str, mode_forbidden: int) -> None:
        kind_expected = stat.S_ISDIR if name == "." else stat.S_ISREG
        if not kind_expected(status.st_mode):
            raise StateError(subject=name, reason="is of another kind", remedy="remove what stands there")
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != self._owner_uid or mode & mode_forbidden:
            raise StateError(
                subject="state directory" if name == "." else name,
                reason=f"owned by uid {status.st_uid} with mode {mode:04o}; "
                f"expected uid {self._owner_uid} and no access for others",
                remedy=f"chown {self._owner_uid} it and take the others' access away",
            )

    def _failed(self, name: str, what: str, error: OSError) -> StateError:
        return StateError(
            subject=name,
            reason=f"{what}: {error.strerror}",
            remedy=f"give uid {self._owner_uid} a writable state directory with free space",
        )


def _digest(name: str, content: bytes) -> bytes:
    return hashlib.sha256(_MAGIC + name.encode() + b"\x00" + content).digest()


def _open_record(name: str, record: bytes) -> bytes:
    start = len(_MAGIC) + _DIGEST_BYTES
    content = record[start:]
    digest = record[len(_MAGIC) : start]
    if not record.startswith(_MAGIC) or not hmac.compare_digest(digest, _digest(name, content)):
        raise StateError(
            subject=name,
            reason="is torn or not a record of this name",
            remedy="restore it, or remove the TRE's state and enrol the device again",
        )
    return content
