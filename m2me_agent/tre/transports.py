"""How commands reach a TPM: the kernel's resource manager, or the UNIX socket of a TPM in software.

Both carry raw TPM 2.0 commands and responses. A command is sent again only where it certainly did not
arrive; whether a command that got no answer was executed nobody knows, so that is an error.
"""

import os
import select
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from m2me_agent.tre.errors import TpmDeviceError

Transmit = Callable[[bytes], bytes]
"""Sends one command and returns its response. Raises TpmDeviceError."""

RESPONSE_BYTES_MAX = 4096
"""MAX_RESPONSE_SIZE of a PC Client TPM."""

ANSWER_TIMEOUT_S = 120.0
"""A TPM in hardware may take a minute over an RSA primary."""

_HEADER_BYTES = 10
_SIZE_FIELD = slice(2, 6)


def open_transport(path: Path) -> Transmit:
    """Open the TPM at ``path``: a character device such as /dev/tpmrm0, or a UNIX socket.

    Raises:
        TpmDeviceError: nothing is there, it is neither of the two, or it may not be opened.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _unreachable(path, str(error.strerror or error)) from error
    if stat.S_ISCHR(mode):
        return CharacterDevice(path).transmit
    if stat.S_ISSOCK(mode):
        return SocketTpm(path).transmit
    raise _unreachable(path, "expected a character device or a UNIX socket, got something else")


class CharacterDevice:
    """A TPM behind the kernel's driver; one write is one command, one read is its whole response."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise _unreachable(path, str(error.strerror or error)) from error

    def transmit(self, command: bytes) -> bytes:
        """Send a command, return its response."""
        try:
            written = os.write(self._descriptor, command)
            response = os.read(self._descriptor, RESPONSE_BYTES_MAX)
        except OSError as error:
            raise _unreachable(self._path, str(error.strerror or error)) from error
        if written != len(command) or len(response) < _HEADER_BYTES:
            raise _unreachable(self._path, f"took {written} of {len(command)} bytes, gave {len(response)}")
        return response


class SocketTpm:
    """A TPM that listens on a UNIX stream socket and serves one connection at a time.

    The path may be relative: it is resolved again when the connection has to be made anew.
    """

    def __init__(self, path: Path, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._connection: socket.socket | None = self._connect()

    def transmit(self, command: bytes) -> bytes:
        """Send a command, return its response; connect again where the TPM had closed before."""
        try:
            connection = self._send(command)
            header = _receive(connection, _HEADER_BYTES)
            size = int.from_bytes(header[_SIZE_FIELD], "big")
            if not _HEADER_BYTES <= size <= RESPONSE_BYTES_MAX:
                raise _unreachable(self._path, f"answered with a size of {size} bytes")
            return header + _receive(connection, size - _HEADER_BYTES)
        except OSError as error:
            self.close()
            raise _unreachable(self._path, error.strerror or "no answer in time") from error
        except TpmDeviceError:
            self.close()
            raise

    def _send(self, command: bytes) -> socket.socket:
        if self._connection is not None and not _ended(self._connection):
            self._connection.sendall(command)
            return self._connection
        self.close()
        connection = self._connection = self._connect()
        connection.sendall(command)
        return connection

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout_s)
        try:
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            raise _unreachable(self._path, error.strerror or str(error)) from error
        return connection

    def close(self) -> None:
        """End the connection; the next command makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _ended(connection: socket.socket) -> bool:
    # Between two commands a TPM says nothing: what can be read now is its end, or left from an error.
    # (recv with MSG_DONTWAIT would wait here: a socket with a timeout polls first.)
    readable = select.poll()
    readable.register(connection, select.POLLIN)
    return bool(readable.poll(0))


def _receive(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise ConnectionResetError(0, "closed the connection before it answered")
        received += chunk
    return bytes(received)


def _unreachable(path: Path, reason: str) -> TpmDeviceError:
    return TpmDeviceError(
        subject=f"TPM at {path}",
        reason=reason,
        remedy="start the TPM, name it in the settings, and let the TRE's uid alone reach it (mode 0600)",
    )
