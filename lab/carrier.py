"""The agent's side of the TRE's socket, with the bytes in the lab's hands.

Rule: it can do only what any agent can: it runs as the agent's uid and talks to the TRE's socket. What the lab
then does with the answer, deliver it, keep it, or put it into another exchange, a hostile agent could do.

    python -m lab.carrier --socket tre.sock --user UID:GID  < encoded request  > encoded response
    python -m lab.carrier --socket tre.sock --stream        < frames, one after the other  > a frame for each
    python -m lab.carrier --socket tre.sock --hold 40       40 connections that never finish a frame, until stdin ends

A stream carries any bytes; where the TRE closes without an answer, a frame of length zero stands in its place.
"""

import contextlib
import socket
import sys
from pathlib import Path

import click

from edge.process import drop_privileges
from edge.users import UserOption
from m2me_agent.agent.errors import AgentError
from m2me_agent.agent.tre_client import TreClient
from m2me_agent.tre_protocol import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    Operation,
    TreProtocolError,
    decode_request,
    encode_frame,
    encode_response,
    receive_frame,
)

ANSWER_TIMEOUT_S = 120.0
HALF_A_FRAME = b"\x00\x00"


@click.command(help="Hand one request (standard input) to a TRE; its response goes to standard output.")
@click.option("--socket", "tre_socket", required=True, type=click.Path(path_type=Path))
@click.option("--user", type=UserOption(), default=None, help="Give up root for this user.")
@click.option("--stream", is_flag=True, help="Carry frame after frame, whatever is in them.")
@click.option(
    "--hold", type=click.IntRange(min=1, max=1000), help="Open so many connections and say nothing."
)
def main(tre_socket: Path, user: tuple[int, int] | None, *, stream: bool, hold: int | None) -> None:
    """Ask the TRE once; a refusal is an answer, too."""
    if user is not None:
        drop_privileges(*user)
    if stream:
        _carry(tre_socket)
        return
    if hold:
        _hold(tre_socket, hold)
        return
    # what the socket is not for is asked all the same: it is the TRE that says no
    request = decode_request(sys.stdin.buffer.read(FRAME_BYTES_MAX), allowed=frozenset(Operation))
    try:
        response = encode_response(TreClient(tre_socket).ask(request.operation, request.parameters))
    except AgentError as error:
        response = encode_response(error.refusal)
    sys.stdout.buffer.write(response)


def _carry(tre_socket: Path) -> None:
    """Frames from standard input to the TRE and back, until the input ends."""
    connection = _connected(tre_socket)
    while True:
        header = sys.stdin.buffer.read(LENGTH_BYTES)
        if len(header) < LENGTH_BYTES:
            connection.close()
            return
        frame = header + sys.stdin.buffer.read(int.from_bytes(header, "big"))
        answer = _exchange(connection, frame)
        if answer is None:  # a TRE waits for ten seconds only, and closes after nonsense
            connection.close()
            connection = _connected(tre_socket)
            answer = _exchange(connection, frame)
        if answer is None:
            connection.close()
            connection = _connected(tre_socket)
        sys.stdout.buffer.write(bytes(LENGTH_BYTES) if answer is None else encode_frame(answer))
        sys.stdout.buffer.flush()


def _exchange(connection: socket.socket, frame: bytes) -> bytes | None:
    try:
        connection.sendall(frame)
        return receive_frame(connection.recv)
    except (OSError, TreProtocolError):
        return None


def _hold(tre_socket: Path, count: int) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(count):
            connection = held.enter_context(_connected(tre_socket))
            with contextlib.suppress(OSError):
                connection.sendall(HALF_A_FRAME)
        sys.stdout.buffer.write(b"held\n")
        sys.stdout.buffer.flush()
        sys.stdin.buffer.read()


def _connected(tre_socket: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_TIMEOUT_S)
    connection.connect(str(tre_socket))
    return connection


if __name__ == "__main__":
    main()
