"""A TPM behind a UNIX stream socket: commands in, responses out, as `swtpm socket --server type=unixio` does.

One rule: the size in a command's header frames the stream; a connection whose framing is lost gets
TPM_RC_COMMAND_SIZE and is closed, all others go on. Commands run one after the other, in order of arrival.
"""

import contextlib
import os
import selectors
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Self

from lab.software_tpm.errors import StateError
from lab.software_tpm.machine import COMMAND_BYTES_MAX
from lab.software_tpm.software_tpm import HEADER_BYTES
from standards.tpm2.constants import StructureTag
from standards.tpm2.marshal import Writer
from standards.tpm2.return_codes import ReturnCode

_SIZE_FIELD = slice(2, 6)
_BACKLOG = 8
_CONNECTIONS_MAX = 32
_SEND_TIMEOUT_S = 5.0
_FRAMING_LOST = Writer().u16(StructureTag.NO_SESSIONS).u32(HEADER_BYTES).u32(ReturnCode.COMMAND_SIZE).done()

Execute = Callable[[bytes], bytes]


def listen(path: Path, *, owner: tuple[int, int] | None) -> socket.socket:
    """A listening socket of mode 0600 at `path`, of `owner` (uid, gid) if given; a stale socket is replaced."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StateError(path, reason="something that is no socket is there", remedy="name another path")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        reason = f"the socket cannot be made: {error.strerror or error}"
        raise StateError(
            path, reason=reason, remedy="name a path of at most 107 bytes in a directory that you may write"
        ) from error
    finally:
        os.umask(umask)
    if owner is not None and os.geteuid() == 0:
        os.chown(path, *owner, follow_symlinks=False)
    listener.listen(_BACKLOG)
    listener.settimeout(0)
    return listener


class Server:
    """Serves one TPM on one listening socket until told to stop."""

    def __init__(self, listener: socket.socket, execute: Execute) -> None:
        self._listener = listener
        self._execute = execute
        self._buffers: dict[socket.socket, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        # A byte here wakes the loop: signal handlers may only write
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_write.settimeout(0)

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        for connection in list(self._buffers):
            self._close(connection)
        self._selector.close()
        for open_socket in (self._listener, self._wake_read, self._wake_write):
            open_socket.close()

    def stop(self) -> None:
        """Make `serve` return; may be called from a signal handler."""
        with contextlib.suppress(BlockingIOError):
            self._wake_write.send(b"\x00")

    def serve(self) -> None:
        """Answer commands until `stop`."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._wake_read:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._receive(key.fileobj)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # gone before it was accepted
            return
        if len(self._buffers) >= _CONNECTIONS_MAX:
            connection.close()
            return
        connection.settimeout(_SEND_TIMEOUT_S)
        self._buffers[connection] = bytearray()
        self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, connection: socket.socket) -> None:
        buffer = self._buffers.get(connection)
        if buffer is None:
            return
        try:
            received = connection.recv(COMMAND_BYTES_MAX)
            buffer += received
            if not received or not self._answer(connection, buffer):
                self._close(connection)
        except OSError:
            self._close(connection)

    def _answer(self, connection: socket.socket, buffer: bytearray) -> bool:
        """Answer every whole command in `buffer`; False if the framing is lost."""
        while len(buffer) >= HEADER_BYTES:
            size = int.from_bytes(buffer[_SIZE_FIELD], "big")
            if not HEADER_BYTES <= size <= COMMAND_BYTES_MAX:
                connection.sendall(_FRAMING_LOST)
                return False
            if len(buffer) < size:
                return True
            command = bytes(buffer[:size])
            del buffer[:size]
            connection.sendall(self._execute(command))
        return True

    def _close(self, connection: socket.socket) -> None:
        self._buffers.pop(connection, None)
        self._selector.unregister(connection)
        connection.close()
