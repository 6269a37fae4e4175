"""The boot log as the firmware left it, and the kernel's IMA list: read anew for each answer, carried as it is, judged by the PVA.

On Linux they are ``binary_bios_measurements`` and ``binary_runtime_measurements`` in securityfs, which only root may
open. So the file is opened
before privileges are dropped and kept; where the directory lets the TRE's uid open the file again, the
newest one of that name is read, which matters where each boot writes a new file.
"""

import errno
import os
from pathlib import Path
from typing import Self
from weakref import finalize

from m2me_agent.tre.errors import BootLogError

BOOT_LOG_BYTES_MAX = 768 * 1024
"""What logs evidence carries together at most, in bytes: what remains of a frame after everything else."""


class BootLogFile:
    """A log that is found through an open directory, or through the descriptor that was opened first; both end with it."""

    def __init__(self, *, directory: int, name: str, opened: int | None, what: str) -> None:
        for each in (directory, opened):
            if each is not None:
                finalize(self, os.close, each)
        self._directory = directory
        self._name = name
        self._opened = opened
        self._what = what

    @classmethod
    def open(cls, path: Path, *, what: str = "boot log") -> Self:
        """Open the directory, and the log if it is there yet; `what` it is, for people.

        Raises:
            BootLogError: the directory cannot be opened.
        """
        try:
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(f"{what} {path.name}", error) from error
        try:
            opened = _open_at(directory, path.name)
        except OSError:
            opened = None
        return cls(directory=directory, name=path.name, opened=opened, what=what)

    def read(self, *, bytes_max: int = BOOT_LOG_BYTES_MAX) -> bytes:
        """The whole log.

        Raises:
            BootLogError: it cannot be read, is empty, or is larger than `bytes_max`; then it is not read to its end.
        """
        try:
            content = self._read(bytes_max)
        except OSError as error:
            raise _unreadable(f"{self._what} {self._name}", error) from error
        if not 1 <= len(content) <= bytes_max:
            raise BootLogError(
                subject=f"{self._what} {self._name}",
                reason=f"expected 1 to {bytes_max} bytes, got {len(content)} or more",
                remedy="name the log of this boot in the settings of the TRE",
            )
        return content

    def _read(self, bytes_max: int) -> bytes:
        try:
            descriptor = _open_at(self._directory, self._name)
        except OSError:
            if self._opened is None:
                raise
            return _read_whole(self._opened, bytes_max)
        try:
            return _read_whole(descriptor, bytes_max)
        finally:
            os.close(descriptor)


def _open_at(directory: int, name: str) -> int:
    # A FIFO in its place must not hold the TRE up.
    return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)


def _read_whole(descriptor: int, bytes_max: int) -> bytes:
    """The file, or as much of it as shows that it is too large; nothing of one that says so of itself."""
    if os.fstat(descriptor).st_size > bytes_max:
        raise OSError(errno.EFBIG, f"larger than {bytes_max} bytes")
    # Sizes of files in securityfs are 0: read until the end, bounded.
    os.lseek(descriptor, 0, os.SEEK_SET)
    content = bytearray()
    while len(content) <= bytes_max:
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            break
        content += chunk
    return bytes(content)


def _unreadable(subject: str, error: OSError) -> BootLogError:
    return BootLogError(
        subject=subject,
        reason=f"cannot be read: {error.strerror}",
        remedy="name a readable log in the settings of the TRE, and start the TRE as root with --user",
    )
