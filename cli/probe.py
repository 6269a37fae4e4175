"""Looks at a service from outside: what its listener shows, and what its management listener says.

Rule: a look changes nothing; what cannot be reached is an answer, not a failure of this program.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from cli.settings import CliSettings
from edge.http_client import ClientTls, client_context
from edge.problem_document import Problem
from edge.process import Clock

CHECKPOINT = "/v1/log/checkpoint"
"""What every service with an audit log gives to everybody that it admits."""
BODY_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an operator listener showed; `refused_tls` is why no connection came about, `certificate` the server's."""

    unreachable: str | None = None
    refused_tls: str | None = None
    certificate: x509.Certificate | None = None
    status: int = 0
    problem: Problem | None = None
    skew_s: float | None = None


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def look_at(url: str, settings: CliSettings, *, clock: Clock) -> Look:
    """Ask an operator listener, as the person of the settings, for what everybody may have.

    Raises KeyFileError or OSError where the person's own files cannot be used.
    """
    tls = ClientTls(
        anchors=settings.tls_root,
        certificate=settings.certificate,
        key=settings.key,
        passphrase_file=settings.passphrase_file,
    )
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 443, timeout=settings.timeout_s, context=client_context(tls)
    )
    certificate = None
    try:
        connection.connect()
        certificate = x509.load_der_x509_certificate(connection.sock.getpeercert(binary_form=True) or b"")
        connection.request("GET", CHECKPOINT)
        answer = connection.getresponse()
        body = answer.read(BODY_BYTES_MAX)
    except ssl.SSLCertVerificationError as error:
        return Look(refused_tls=error.verify_message or str(error))
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError, http.client.HTTPException) as error:
        # the server's side is proven by now: it is the client's certificate that the other side does not take
        return Look(refused_tls=f"the listener closed the connection: {error}", certificate=certificate)
    except OSError as error:
        return Look(unreachable=str(error.strerror or error))
    finally:
        connection.close()
    return Look(
        certificate=certificate,
        status=answer.status,
        problem=Problem.decode(body) if answer.status >= http.client.BAD_REQUEST else None,
        skew_s=_skew(answer.getheader("date"), clock=clock),
    )


def _skew(date: str | None, *, clock: Clock) -> float | None:
    """Seconds by which the service's clock is ahead of this machine's, to a second."""
    try:
        told = parsedate_to_datetime(date or "")
    except (ValueError, TypeError):
        return None
    there: datetime = told if told.tzinfo is not None else told.replace(tzinfo=UTC)
    return (there - clock()).total_seconds()


def readiness(management: Mapping[str, Any], *, folder: Path, timeout_s: float) -> Mapping[str, Any]:
    """What /readyz of a management listener says, by the table of a service's settings. Raises OSError."""
    path = management.get("socket")
    host, port = str(management.get("host", "127.0.0.1")), int(management.get("port", 0))
    connection = (
        http.client.HTTPConnection(host, port, timeout=timeout_s)
        if path is None
        else _UnixConnection(folder / str(path), timeout_s=timeout_s)
    )
    try:
        connection.request("GET", "/readyz")
        said = json.loads(connection.getresponse().read(BODY_BYTES_MAX))
    except (ValueError, http.client.HTTPException) as error:
        raise OSError(f"is no management listener: {error}") from None
    finally:
        connection.close()
    return said if isinstance(said, dict) else {}
