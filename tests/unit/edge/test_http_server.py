"""What is refused before a listener opens."""

import socket
from pathlib import Path
from typing import Any

import pytest

from edge.http_server import Listener, ListenerError, ServerTls, serve
from edge.keys import KeyFileError
from tests.contract.certificates import Certificates


def app(_environ: dict[str, Any], _start: Any) -> list[bytes]:
    return []


@pytest.mark.negative
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104  # refused is the point
def test_the_lab_profile_listens_on_loopback_only(host: str) -> None:
    good = Listener(name="good", host="127.0.0.1", port=0, app=app)
    with pytest.raises(ListenerError, match="lab profile"):
        serve([good, Listener(name="bad", host=host, port=0, app=app)], role="test", profile="lab")


@pytest.mark.negative
def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenerError, match=f"127.0.0.1:{port}"):
            serve([Listener(name="a", host="127.0.0.1", port=port, app=app)], role="test")


@pytest.mark.negative
def test_a_key_that_others_can_read_opens_no_listener(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    key = tmp_path / "keys" / "server.key"
    tls = ServerTls(certificate=tmp_path / "server.pem", key=key, passphrase_file=certificates.passphrase)
    key.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        serve([Listener(name="a", host="127.0.0.1", port=0, app=app, tls=tls)], role="test")


@pytest.mark.negative
def test_a_certificate_of_another_key_opens_no_listener(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    certificates.client("other")
    tls = ServerTls(
        certificate=tmp_path / "other.pem",
        key=tmp_path / "keys" / "server.key",
        passphrase_file=certificates.passphrase,
    )
    with pytest.raises(ListenerError, match=r"other\.pem"):
        serve([Listener(name="a", host="127.0.0.1", port=0, app=app, tls=tls)], role="test")
