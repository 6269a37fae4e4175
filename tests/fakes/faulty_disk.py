"""A disk that loses power: what was not synchronised may be gone, or half there; every call is counted, and may be the last.

It stands where the TRE's store has the module `os`. A file's bytes are durable after fsync of the file, a name after fsync of
the directory. A call that is not modelled here is an AttributeError: the store cannot do what no test can cut.
"""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Self

DIRECTORY = 3
OWNER = os.geteuid()


class PowerCutError(BaseException):
    """Power is off: no handler of the TRE may go on."""


@dataclass(slots=True)
class Inode:
    """A file: what is in it, and what of it would be found after a loss of power."""

    data: bytes = b""
    durable: bytes = b""
    mode: int = 0o600


@dataclass(slots=True)
class Descriptor:
    """An open file."""

    inode: Inode
    at: int = 0


@dataclass(slots=True)
class FaultyDisk:
    """One directory. `before` is called with the name of each call that changes something, before it does."""

    before: Callable[[str], None] = lambda _call: None
    names: dict[str, Inode] = field(default_factory=dict)
    durable_names: dict[str, Inode] = field(default_factory=dict)
    _descriptors: dict[int, Descriptor] = field(default_factory=dict)

    # what the store uses of the module
    O_WRONLY, O_RDONLY, O_CREAT, O_EXCL = os.O_WRONLY, os.O_RDONLY, os.O_CREAT, os.O_EXCL
    O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY = (
        os.O_CLOEXEC,
        os.O_NOFOLLOW,
        os.O_NONBLOCK,
        os.O_DIRECTORY,
    )
    stat_result = os.stat_result

    def open(self, name: str, flags: int, mode: int = 0o600, *, dir_fd: int) -> int:
        """As os.open, below the one directory."""
        assert dir_fd == DIRECTORY
        if flags & os.O_CREAT:
            self.before(f"create {name}")
            if name in self.names:
                raise FileExistsError(errno.EEXIST, "File exists", name)
            self.names[name] = Inode(mode=mode)
        elif name not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", name)
        descriptor = DIRECTORY + 1 + len(self._descriptors)
        while descriptor in self._descriptors:
            descriptor += 1
        self._descriptors[descriptor] = Descriptor(self.names[name])
        return descriptor

    def fstat(self, descriptor: int) -> SimpleNamespace:
        """Kind, mode and owner."""
        if descriptor == DIRECTORY:
            return SimpleNamespace(st_mode=stat.S_IFDIR | 0o700, st_uid=OWNER)
        return SimpleNamespace(st_mode=stat.S_IFREG | self._descriptors[descriptor].inode.mode, st_uid=OWNER)

    def fchmod(self, descriptor: int, mode: int) -> None:
        """As os.fchmod."""
        self._descriptors[descriptor].inode.mode = mode

    def fchown(self, descriptor: int, uid: int, gid: int) -> None:
        """As os.fchown; everything on this disk is the TRE's."""
        assert self._descriptors[descriptor].inode is not None
        assert (uid, gid) == (OWNER, -1)

    def fdopen(self, descriptor: int, mode: str, *, closefd: bool = True) -> "File":
        """A file object over a descriptor, without a buffer of its own."""
        assert mode in {"rb", "wb"}
        return File(self, descriptor, closes=closefd)

    def fsync(self, descriptor: int) -> None:
        """What a file holds, or what names there are, survives from now on."""
        self.before("fsync of the directory" if descriptor == DIRECTORY else "fsync of a file")
        if descriptor == DIRECTORY:
            self.durable_names = dict(self.names)
        else:
            inode = self._descriptors[descriptor].inode
            inode.durable = inode.data

    def rename(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        """As os.rename."""
        assert src_dir_fd == dst_dir_fd == DIRECTORY
        self.before(f"rename to {target}")
        self.names[target] = self.names.pop(source)

    def unlink(self, name: str, *, dir_fd: int) -> None:
        """As os.unlink."""
        assert dir_fd == DIRECTORY
        if name not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file", name)
        self.before(f"unlink {name}")
        del self.names[name]

    def close(self, descriptor: int) -> None:
        """As os.close."""
        self._descriptors.pop(descriptor, None)

    def write(self, descriptor: int, data: bytes) -> None:
        """Append; a cut in it leaves half of the bytes with the kernel."""
        inode = self._descriptors[descriptor].inode
        try:
            self.before("write")
        except BaseException:
            inode.data += data[: len(data) // 2]
            raise
        inode.data += data

    def read(self, descriptor: int, size: int) -> bytes:
        """From the beginning."""
        return self._descriptors[descriptor].inode.data[:size]

    # what a test does to it

    def lose_power(self, *, keeps_unsynced: bool) -> None:
        """What is found afterwards: what was synchronised, or by luck all that was written."""
        self._descriptors.clear()
        found = self.names if keeps_unsynced else self.durable_names
        self.names = {
            name: Inode(data=data, durable=data, mode=inode.mode)
            for name, inode in found.items()
            for data in (inode.data if keeps_unsynced else inode.durable,)
        }
        self.durable_names = dict(self.names)

    def content(self) -> dict[str, bytes]:
        """All files, as they are."""
        return {name: inode.data for name, inode in self.names.items()}

    def restore(self, content: dict[str, bytes]) -> None:
        """Make the disk what it was."""
        self._descriptors.clear()
        self.names = {name: Inode(data=data, durable=data) for name, data in content.items()}
        self.durable_names = dict(self.names)


class File:
    """The file object that the store gets."""

    def __init__(self, disk: FaultyDisk, descriptor: int, *, closes: bool) -> None:
        self._disk, self._descriptor, self._closes = disk, descriptor, closes

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, where that is its business."""
        if self._closes:
            self._disk.close(self._descriptor)

    def write(self, data: bytes) -> None:
        """To the kernel at once."""
        self._disk.write(self._descriptor, data)

    def flush(self) -> None:
        """There is no buffer."""

    def read(self, size: int) -> bytes:
        """What is there."""
        return self._disk.read(self._descriptor, size)
