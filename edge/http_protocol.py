"""One HTTP/1.1 connection, with the three things that uvicorn leaves to others.

1 The certificate that the peer proved in the TLS handshake reaches the application as the scope key
  `pva.peer_certificate` (DER). It is never a header: nothing that a client writes can become it.
2 A request's head must arrive within a deadline that more bytes do not extend.
3 A reader that stops reading is dropped, so that it cannot keep a worker.

To be deleted, item by item, when uvicorn ships the same.
"""

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

PEER_CERTIFICATE = "pva.peer_certificate"
HEADER_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 30.0

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


class PeerCertificateProtocol(H11Protocol):
    """uvicorn's h11 protocol with the peer's certificate in the scope and with deadlines."""

    header_timeout_s = HEADER_TIMEOUT_S
    write_timeout_s = WRITE_TIMEOUT_S
    _head_deadline: asyncio.TimerHandle | None = None
    _write_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take the proved certificate once a connection: it cannot change during it."""
        super().connection_made(transport)
        self.app = _with_certificate(self.app, _peer_certificate(transport))
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then see whether a whole head has arrived."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._head_deadline)
            self._head_deadline = None
        elif self._head_deadline is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        _cancel(self._head_deadline)
        self._head_deadline = None
        _cancel(self._write_deadline)
        self._write_deadline = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not read fast enough: give it a while."""
        super().pause_writing()
        _cancel(self._write_deadline)
        self._write_deadline = None
        self._write_deadline = self.loop.call_later(self.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer reads again."""
        _cancel(self._write_deadline)
        self._write_deadline = None
        super().resume_writing()

    def _expect_head(self) -> None:
        self._head_deadline = self.loop.call_later(self.header_timeout_s, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _peer_certificate(transport: asyncio.BaseTransport) -> bytes | None:
    tls = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
    if tls is None or tls.context.verify_mode is not ssl.CERT_REQUIRED:
        return None  # a certificate that nobody verified is no certificate
    return tls.getpeercert(binary_form=True)


def _with_certificate(app: "ASGI3Application", certificate: bytes | None) -> "ASGI3Application":
    async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
        scope[PEER_CERTIFICATE] = certificate
        await app(scope, receive, send)

    return with_certificate
