"""The TRE socket: who may connect, how many, for how long.

The rule: the peer's uid comes from the kernel (SO_PEERCRED, unix(7)), never from the peer. A peer that is
not on the list is told nothing; one that is, but is hostile, can keep its own connections busy and no more:
there are few of them, a request must arrive in time, and it is answered by one thread at a time because
there is one TPM.
"""

import contextlib
import errno
import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from edge.process import logger, monotonic_ms
from m2me_agent.tre_protocol import Refusal, TreProtocolError, encode_frame, encode_response, receive_frame

CONNECTIONS_MAX = 8
FRAME_TIMEOUT_S = 10.0
"""How long a request may take from the first moment that it could arrive, and an answer to be taken."""

_PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_BACKLOG = 16
_PLACE_WAIT_S = 0.25
_RECEIVE_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many connections at a time, and how long a frame may take, in seconds."""

    connections_max: int = CONNECTIONS_MAX
    frame_timeout_s: float = FRAME_TIMEOUT_S


def bind_socket(path: Path, *, agent_uid: int) -> socket.socket:
    """A listening UNIX socket at ``path`` that its one peer's uid (the agent's, the MMI's) can connect to.

    A socket that a crash left is replaced; one that somebody answers, or anything else, is not touched. Run
    as root, the file is given to the agent (mode 0600), so nobody else can even connect. Without root, it
    stays with this process; if the agent has another uid, everybody may connect and only SO_PEERCRED tells
    them apart.

    Raises:
        OSError: the path is taken by something else, too long (107 bytes) or not writable.
    """
    if path.is_socket():
        if _accepts(path):
            raise OSError(errno.EADDRINUSE, "another TRE answers there", str(path))
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        umask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(umask)
        if os.geteuid() == 0:
            os.chown(path, agent_uid, -1, follow_symlinks=False)
        elif os.geteuid() != agent_uid:
            path.chmod(0o666)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def serve(
    listener: socket.socket,
    *,
    answer: Callable[[bytes], bytes],
    agent_uid: int,
    bounds: Bounds,
    stopping: threading.Event,
    one_at_a_time: AbstractContextManager[object] | None = None,
) -> None:
    """Answer requests until ``stopping`` is set and the listener is shut down.

    Args:
        listener: listening UNIX socket.
        answer: payload of a request to payload of its response; never raises; called by one thread at a time.
        agent_uid: the one uid that is answered.
        bounds: of connections and time.
        stopping: ends the loop.
        one_at_a_time: held while `answer` is called; shared by the sockets of one TRE.
    """
    places = threading.BoundedSemaphore(bounds.connections_max)
    alone = threading.Lock() if one_at_a_time is None else one_at_a_time

    def locked(payload: bytes) -> bytes:
        with alone:
            return answer(payload)

    def converse(connection: socket.socket) -> None:
        try:
            _converse(connection, answer=locked, timeout_s=bounds.frame_timeout_s)
        finally:
            connection.close()
            places.release()

    while not stopping.is_set():
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if stopping.is_set():
                return
            # Out of descriptors, or a peer that left: the next one may be served.
            logger("tre").warning("accept failed", reason=error.strerror)
            stopping.wait(0.1)
            continue
        # A peer that has just gone leaves its place in a moment: wait that moment.
        if not _admitted(connection, agent_uid=agent_uid) or not places.acquire(timeout=_PLACE_WAIT_S):
            connection.close()
            continue
        threading.Thread(target=converse, args=(connection,), daemon=True).start()


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def peer_uid(connection: socket.socket) -> int:
    """Uid of the process that connected, as the kernel recorded it at connect time."""
    size = _PEER_CREDENTIALS.size
    _pid, uid, _gid = _PEER_CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return int(uid)


def _admitted(connection: socket.socket, *, agent_uid: int) -> bool:
    uid = peer_uid(connection)
    if uid != agent_uid:
        logger("tre").warning("refused", operation="connect", refused="uid", subject=f"uid {uid}")
    return uid == agent_uid


def _converse(connection: socket.socket, *, answer: Callable[[bytes], bytes], timeout_s: float) -> None:
    """Answer one connection's requests, one after the other, until it ends, stalls or talks nonsense."""
    while True:
        ends_at_ms = monotonic_ms() + timeout_s * 1000

        def receive(count: int, ends_at_ms: float = ends_at_ms) -> bytes:
            left_s = (ends_at_ms - monotonic_ms()) / 1000
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
            return connection.recv(min(count, _RECEIVE_BYTES_MAX))

        try:
            payload = receive_frame(receive)
            if payload is None:
                return
            response = answer(payload)
            connection.settimeout(timeout_s)
            connection.sendall(encode_frame(response))
        except TreProtocolError as error:
            _refuse_frame(connection, error)
            return
        except OSError:
            return  # slow or gone; its place is free again


def _refuse_frame(connection: socket.socket, error: TreProtocolError) -> None:
    # After a bad length nobody knows where the next frame begins: say so, and close.
    logger("tre").warning("refused", operation="frame", refused="malformed", reason=str(error))
    refusal = Refusal(
        code="malformed",
        subject=error.what,
        reason=f"expected {error.expected}, got {error.got}",
        remedy="connect again and send whole frames",
    )
    with contextlib.suppress(OSError):
        connection.sendall(encode_frame(encode_response(refusal)))
