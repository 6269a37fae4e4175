"""The TRE socket against hostile peers: the kernel says who they are, and they get little time and room."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.agent.tre_client import TreClient
from m2me_agent.tre.server import Bounds, bind_socket, serve
from m2me_agent.tre_protocol import (
    FRAME_BYTES_MAX,
    Operation,
    Refusal,
    Request,
    TreProtocolError,
    decode_request,
    decode_response,
    encode_frame,
    encode_request,
    encode_response,
    receive_frame,
)

STATUS = encode_frame(encode_request(Request(operation=Operation.STATUS, parameters={})))
REFUSAL = Refusal(code="malformed", subject="s", reason="r", remedy="m")
BOUNDS = Bounds(connections_max=3, frame_timeout_s=0.5)
OWN_UID = os.geteuid()


def answer(payload: bytes) -> bytes:
    """A TRE that knows only its status."""
    try:
        decode_request(payload)
    except TreProtocolError:
        return encode_response(REFUSAL)
    return encode_response({"status": {"device_id": "ab"}})


@contextmanager
def served(
    path: Path, *, agent_uid: int = OWN_UID, bounds: Bounds = BOUNDS, by: Callable[[bytes], bytes] = answer
) -> Iterator[Path]:
    """A TRE socket in a thread of this process."""
    listener = bind_socket(path, agent_uid=agent_uid)
    stopping = threading.Event()
    thread = threading.Thread(
        target=serve,
        args=(listener,),
        kwargs={"answer": by, "agent_uid": agent_uid, "bounds": bounds, "stopping": stopping},
    )
    thread.start()
    try:
        yield path
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tre-") as name:  # a UNIX path ends at 107 bytes
        yield Path(name)


@pytest.fixture(scope="module")
def tre(folder: Path) -> Iterator[Path]:
    with served(folder / "shared.sock") as path:
        yield path


def connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(str(path))
    return connection


def asked(connection: socket.socket, frame: bytes = STATUS) -> object:
    connection.sendall(frame)
    payload = receive_frame(connection.recv)
    return None if payload is None else decode_response(payload, operation=Operation.STATUS)


def ended(connection: socket.socket) -> bool:
    """Whether the TRE closed, with or without unread bytes of ours."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_requests_of_one_connection_are_answered_in_their_order(tre: Path) -> None:
    with closing(connected(tre)) as connection:
        for _ in range(3):
            assert asked(connection) == {"status": {"device_id": "ab"}}
    assert TreClient(tre).ask(Operation.STATUS) == {"status": {"device_id": "ab"}}


@pytest.mark.negative
@pytest.mark.parametrize("length", [0, FRAME_BYTES_MAX + 1, 0xFFFFFFFF])
def test_an_oversize_or_empty_frame_is_told_and_the_connection_closed(tre: Path, length: int) -> None:
    with closing(connected(tre)) as connection:
        refusal = asked(connection, length.to_bytes(4, "big"))
        assert isinstance(refusal, Refusal)
        assert refusal.code == "malformed"
        assert "1048576" in refusal.reason
        assert ended(connection)


@pytest.mark.negative
def test_a_malformed_request_is_refused_and_the_next_one_answered(tre: Path) -> None:
    with closing(connected(tre)) as connection:
        assert asked(connection, encode_frame(b"\xff\x00")) == REFUSAL
        assert asked(connection) == {"status": {"device_id": "ab"}}


@pytest.mark.negative
@pytest.mark.parametrize("sent", [b"", b"\x00\x00", STATUS[:-1]], ids=["nothing", "half a length", "half"])
def test_a_peer_that_stalls_loses_its_connection_in_time(tre: Path, sent: bytes) -> None:
    with closing(connected(tre)) as connection:
        connection.sendall(sent)
        began = time.monotonic()
        assert ended(connection)
        assert 0.2 < time.monotonic() - began < 3


@pytest.mark.negative
def test_a_peer_that_drips_bytes_gets_no_more_time_than_one_that_stalls(tre: Path) -> None:
    with closing(connected(tre)) as connection:
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            for each in (1 << 19).to_bytes(4, "big") + bytes(200):
                connection.sendall(bytes([each]))
                time.sleep(0.05)
        assert time.monotonic() - began < 3


@pytest.mark.negative
def test_connections_past_the_bound_are_closed_and_their_places_come_back(folder: Path) -> None:
    with served(folder / "bound.sock") as path:
        holding = [connected(path) for _ in range(BOUNDS.connections_max)]
        for each in holding:
            assert asked(each) is not None  # each has its place
        with closing(connected(path)) as surplus:
            assert ended(surplus)
        for each in holding:
            each.close()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with closing(connected(path)) as later, _ignored_ends():
                if asked(later):
                    return
            time.sleep(0.05)
        pytest.fail("no place came back")


@contextmanager
def _ignored_ends() -> Iterator[None]:
    try:
        yield
    except ConnectionError:
        return


@pytest.mark.negative
def test_one_request_is_answered_at_a_time(folder: Path) -> None:
    inside, most = 0, 0
    gate = threading.Lock()

    def slow(_: bytes) -> bytes:
        nonlocal inside, most
        with gate:
            inside += 1
            most = max(most, inside)
        time.sleep(0.05)
        with gate:
            inside -= 1
        return encode_response({"status": {}})

    with served(folder / "slow.sock", by=slow) as path:
        threads = [threading.Thread(target=TreClient(path).ask, args=(Operation.STATUS,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
    assert most == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_whatever_bytes_come_the_tre_answers_the_next_peer(tre: Path, sent: list[bytes]) -> None:
    with closing(connected(tre)) as connection, _ignored_ends():
        for each in sent:
            connection.sendall(each)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    assert TreClient(tre).ask(Operation.STATUS) == {"status": {"device_id": "ab"}}


@pytest.mark.negative
@pytest.mark.requirement("R41")
def test_another_uid_is_told_nothing(folder: Path) -> None:
    with served(folder / "other.sock", agent_uid=OWN_UID + 1) as path:
        path.chmod(0o666)
        with closing(connected(path)) as connection, _ignored_ends():
            connection.sendall(STATUS)
            assert ended(connection)
        with pytest.raises(NotReachedError, match="uid"):
            TreClient(path).ask(Operation.STATUS)


CLIENT = """
import os, socket, sys
os.setresgid(4243, 4243, 4243)
os.setresuid(int(sys.argv[1]), int(sys.argv[1]), int(sys.argv[1]))
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(sys.argv[2])
    connection.sendall(bytes.fromhex(sys.argv[3]))
    print(len(connection.recv(4096)) > 0)
except ConnectionError:
    print(False)  # closed: whether that shows as no bytes or as a reset depends on who was faster
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(OWN_UID != 0, reason="only root can be somebody else")
@pytest.mark.negative
@pytest.mark.requirement("R41")
@pytest.mark.parametrize(
    ("mode", "uid", "said"),
    [(0o600, 4242, "True"), (0o600, 4244, "PermissionError"), (0o666, 4244, "False")],
    ids=["the agent", "a stranger", "a stranger at an open socket"],
)
def test_uids_are_told_apart_by_the_kernel(folder: Path, mode: int, uid: int, said: str) -> None:
    folder.chmod(0o711)
    with served(folder / f"uid-{uid}-{mode}.sock", agent_uid=4242) as path:
        assert path.stat().st_uid == 4242
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, str(uid), path.name, STATUS.hex()],
            cwd=path.parent,  # a relative name: the folders above need not be reachable for that uid
            capture_output=True,
            check=True,
            text=True,
        )
    assert done.stdout.strip() == said


@pytest.mark.negative
def test_what_stands_at_the_path_and_is_no_socket_is_left_alone(folder: Path) -> None:
    path = folder / "file"
    path.write_bytes(b"mine")
    with pytest.raises(OSError, match="in use"):
        bind_socket(path, agent_uid=OWN_UID)
    assert path.read_bytes() == b"mine"


@pytest.mark.negative
def test_a_socket_that_another_tre_answers_is_left_alone(tre: Path) -> None:
    with pytest.raises(OSError, match="another TRE"):
        bind_socket(tre, agent_uid=OWN_UID)
    assert TreClient(tre).ask(Operation.STATUS)


def test_a_socket_that_a_crash_left_is_replaced(folder: Path) -> None:
    path = folder / "stale.sock"
    bind_socket(path, agent_uid=OWN_UID).close()
    with served(path):
        assert TreClient(path).ask(Operation.STATUS)


@pytest.mark.negative
def test_the_client_reports_refusals_nonsense_and_absence(folder: Path) -> None:
    with served(folder / "no.sock", by=lambda _: encode_response(REFUSAL)) as path:
        with pytest.raises(RefusedError) as refused:
            TreClient(path).ask(Operation.STATUS)
        assert refused.value.refusal == REFUSAL
    with (
        served(folder / "nonsense.sock", by=lambda _: b"\x00") as path,
        pytest.raises(NotReachedError),
    ):
        TreClient(path).ask(Operation.STATUS)
    with pytest.raises(NotReachedError) as absent:
        TreClient(folder / "absent.sock").ask(Operation.STATUS)
    assert "m2me-tre" in absent.value.refusal.remedy
