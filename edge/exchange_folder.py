"""A folder in which two programs leave files for each other: each file is there whole, or not at all.

Rule: a name is a plain one of this folder, and only regular files are read, up to a size; whoever else can write into the
folder can lose or swap files, and no more. Written files replace, so that writing again what was written changes nothing.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_DRAFT: Final = ".new"


class ExchangeFolderError(Exception):
    """The folder, or a file of it, cannot be used: which, and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class ExchangeFolder:
    """The files of the folder at `path`, which exists. Every method raises ExchangeFolderError."""

    def __init__(self, path: Path) -> None:
        """Use the folder; opens nothing."""
        self.path = path

    def names(self) -> Iterator[str]:
        """Names of all files, in no order."""
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    yield entry.name
        except OSError as error:
            raise ExchangeFolderError(self.path, f"cannot be read: {error.strerror}") from error

    def read(self, name: str, *, bytes_max: int) -> bytes | None:
        """Content of a file; None where there is none."""
        path = self.path / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ExchangeFolderError(path, "is no regular file")
                data = file.read(bytes_max + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ExchangeFolderError(path, f"cannot be read: {error.strerror}") from error
        if len(data) > bytes_max:
            raise ExchangeFolderError(path, f"is larger than {bytes_max} bytes")
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file in place of what was there; a power cut leaves the one or the other."""
        path, draft = self.path / name, self.path / f"{name}.{os.getpid()}{_DRAFT}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(draft, flags, 0o666), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            self._sync()
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise ExchangeFolderError(path, f"cannot be written: {error.strerror}") from error

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        path = self.path / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ExchangeFolderError(path, f"cannot be removed: {error.strerror}") from error

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # file systems of some sticks cannot; the file itself is durable
                raise
        finally:
            os.close(descriptor)
