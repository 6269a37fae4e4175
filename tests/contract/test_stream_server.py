"""A stream listener over real TLS sockets: serves beside, bounded, and ends what is open when its block ends."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.http_client import client_context
from edge.http_server import ListenerError, ServerTls
from edge.stream_server import BoundStream, StreamListener, bound_stream
from tests.contract.certificates import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("stream"))


def listener(certificates: Certificates, *, host: str = "127.0.0.1") -> StreamListener:
    folder: Path = certificates.folder
    return StreamListener(
        name="echo",
        host=host,
        port=0,
        tls=ServerTls(
            certificate=folder / "server.pem",
            key=folder / "keys" / "server.key",
            passphrase_file=certificates.passphrase,
        ),
        connections_max=2,
    )


@pytest.fixture
def bound(certificates: Certificates) -> Iterator[BoundStream]:
    with bound_stream(listener(certificates), profile="lab") as stream:
        yield stream


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        if data == b"fail":
            raise RuntimeError("one bad connection")
        writer.write(data)
        await writer.drain()


def connected(bound: BoundStream, certificates: Certificates) -> ssl.SSLSocket:
    host, _, port = bound.address.partition(":")
    raw = socket.create_connection((host, int(port)), timeout=10)
    return client_context(certificates.tls()).wrap_socket(raw, server_hostname=host)


def test_it_serves_while_the_block_runs_and_ends_what_is_open(
    bound: BoundStream, certificates: Certificates
) -> None:
    with bound.serving(echo):
        connection = connected(bound, certificates)
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
        started = time.monotonic()
    assert time.monotonic() - started < 5
    with connection:
        assert connection.recv(100) == b""


@pytest.mark.negative
def test_one_bad_connection_does_not_end_the_others(bound: BoundStream, certificates: Certificates) -> None:
    with bound.serving(echo), connected(bound, certificates) as good:
        with connected(bound, certificates) as bad:
            bad.sendall(b"fail")
            assert bad.recv(100) == b""
        good.sendall(b"still")
        assert good.recv(100) == b"still"


@pytest.mark.negative
def test_more_connections_than_allowed_are_closed_unheard(
    bound: BoundStream, certificates: Certificates
) -> None:
    with bound.serving(echo):
        kept = [connected(bound, certificates) for _ in range(2)]
        for each in kept:
            each.sendall(b"x")
            assert each.recv(1) == b"x"
        with pytest.raises(OSError), connected(bound, certificates) as third:  # noqa: PT011 - reset, or its end
            third.sendall(b"x")
            if third.recv(1) == b"":
                raise ConnectionResetError
        for each in kept:
            each.close()


@pytest.mark.negative
def test_the_lab_is_reachable_from_this_machine_only(certificates: Certificates) -> None:
    with (
        pytest.raises(ListenerError, match="reachable from outside"),
        bound_stream(listener(certificates, host="0.0.0.0"), profile="lab"),  # noqa: S104 - what must be refused
    ):
        pass
