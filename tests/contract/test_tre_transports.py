"""How commands reach a TPM: devices and sockets that behave, and those that do not."""

import os
import socket
import tempfile
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from m2me_agent.tre.errors import TpmDeviceError
from m2me_agent.tre.transports import SocketTpm, open_transport

COMMAND = bytes.fromhex("80010000000c00000144") + b"\x00\x00"
RESPONSE = bytes.fromhex("80010000000c00000000") + b"ok"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tpm-") as name:
        yield Path(name)


@contextmanager
def listening(path: Path, serve: Callable[[socket.socket], None], *, connections: int = 1) -> Iterator[None]:
    """A TPM in a thread, that treats so many connections by `serve`."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def accept() -> None:
        for _ in range(connections):
            connection, _ = listener.accept()
            with connection:
                serve(connection)

    thread = threading.Thread(target=accept, daemon=True)  # a failed test must not keep the run from ending
    thread.start()
    try:
        yield
    finally:
        thread.join(5)
        listener.close()
        assert not thread.is_alive()


def answering(response: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        if connection.recv(len(COMMAND)):
            connection.sendall(response)
            connection.recv(1)  # until the TRE goes

    return serve


def test_a_character_device_takes_a_command_and_gives_a_response() -> None:
    # A raw terminal is a character device too: what goes in at one end comes out at the other.
    tpm, device = os.openpty()
    tty.setraw(tpm)
    tty.setraw(device)
    received: list[bytes] = []

    def answer() -> None:
        received.append(os.read(tpm, 4096))
        os.write(tpm, RESPONSE)

    thread = threading.Thread(target=answer)
    thread.start()
    transmit = open_transport(Path(os.ttyname(device)))
    assert transmit(COMMAND) == RESPONSE
    thread.join(5)
    assert received == [COMMAND]
    os.close(tpm)
    os.close(device)


def test_a_response_that_comes_in_pieces_is_whole(folder: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(len(COMMAND))
        for each in RESPONSE:
            connection.sendall(bytes([each]))

    with listening(folder / "tpm", serve):
        transport = SocketTpm(folder / "tpm")
        assert transport.transmit(COMMAND) == RESPONSE
        transport.close()


def test_a_tpm_that_closed_between_two_commands_is_connected_again(folder: Path) -> None:
    closed = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(len(COMMAND))
        connection.sendall(RESPONSE)
        connection.close()
        closed.set()

    with listening(folder / "tpm", serve, connections=2):
        transport = SocketTpm(folder / "tpm")
        assert transport.transmit(COMMAND) == RESPONSE
        assert closed.wait(5)  # between two commands, and not while the second is on its way
        assert transport.transmit(COMMAND) == RESPONSE
        transport.close()


@pytest.mark.negative
def test_a_command_that_got_no_answer_is_not_sent_again(folder: Path) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heard.append(connection.recv(len(COMMAND)))

    with listening(folder / "tpm", serve):
        transport = SocketTpm(folder / "tpm")
        with pytest.raises(TpmDeviceError, match="before it answered"):
            transport.transmit(COMMAND)
    assert heard == [COMMAND]


@pytest.mark.negative
@pytest.mark.parametrize("size", [0, 9, 4097, 0xFFFFFFFF])
def test_an_impossible_size_is_refused_without_reading_it(folder: Path, size: int) -> None:
    nonsense = b"\x80\x01" + size.to_bytes(4, "big") + bytes(4)
    with listening(folder / "tpm", answering(nonsense)):
        transport = SocketTpm(folder / "tpm")
        with pytest.raises(TpmDeviceError, match="size"):
            transport.transmit(COMMAND)


@pytest.mark.negative
def test_a_tpm_that_says_nothing_is_given_up_in_time(folder: Path) -> None:
    with listening(folder / "tpm", answering(b"")):
        transport = SocketTpm(folder / "tpm", timeout_s=0.2)
        with pytest.raises(TpmDeviceError) as silent:
            transport.transmit(COMMAND)
    assert silent.value.reason


@pytest.mark.negative
def test_what_is_no_tpm_is_told(folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    with pytest.raises(TpmDeviceError, match="character device or a UNIX socket"):
        open_transport(folder / "file")
    with pytest.raises(TpmDeviceError, match="No such file"):
        open_transport(folder / "absent")
    with pytest.raises(TpmDeviceError, match="gave 0"):
        open_transport(Path("/dev/null"))(COMMAND)
    stale = folder / "stale"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(stale))
    listener.close()
    with pytest.raises(TpmDeviceError, match="refused"):
        open_transport(stale)
