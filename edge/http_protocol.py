"""One HTTP/1.1 connection, with the four things that uvicorn leaves to others.

1 The certificate that the peer proved in the TLS handshake reaches the application as the scope key
  `pva.peer_certificate` (DER). It is never a header: nothing that a client writes can become it.
2 A request's head must arrive within a deadline that more bytes do not extend.
3 A reader that stops reading is dropped, so that it cannot keep a worker.
4 What is no HTTP/1.1 is answered like every other refusal, with a problem document that says what was wrong.

To be deleted, item by item, when uvicorn ships the same.
"""

import asyncio
import ssl
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.problem_document import CONTENT_TYPE, Problem

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

    def send_400_response(self, msg: str) -> None:
        """Say what was wrong, in place of uvicorn's bare text; uvicorn calls this where the parser refused."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()  # an answer is under way: a second one would be read as a part of it
            return
        problem = _malformed(sys.exc_info()[1], otherwise=msg)
        document = problem.encode()
        head = h11.Response(
            status_code=problem.status,
            reason=problem.title.encode("ascii"),
            headers=[
                ("Content-Type", CONTENT_TYPE),
                ("Content-Length", str(len(document))),
                ("Cache-Control", "no-store"),
                ("Connection", "close"),
            ],
        )
        for event in (head, h11.Data(data=document), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()

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


def _malformed(error: BaseException | None, *, otherwise: str) -> Problem:
    """Problem document of what the parser refused; the octets at fault, which it quotes, are left out."""
    hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else HTTPStatus.BAD_REQUEST
    status = HTTPStatus(hint)
    if status is HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        subject, remedy = "header fields", "send less"
    elif status is HTTPStatus.NOT_IMPLEMENTED:
        subject, remedy = "Transfer-Encoding", "send Content-Length, or chunked and nothing else"
    else:
        subject, remedy = "request", "send one HTTP/1.1 request as RFC 9112 has it"
    said = str(error or otherwise).partition(": bytearray(")[0].partition(": b'")[0]
    return Problem(
        status=status,
        type="malformed-http",
        title=status.phrase,
        detail=f"this is not HTTP/1.1 as it is served here: {said}",
        subject=subject,
        reason="http",
        remedy=remedy,
    )


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _peer_certificate(transport: asyncio.BaseTransport) -> bytes | None:
    tls = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
    if tls is None or tls.context.verify_mode is ssl.CERT_NONE:
        return None  # a certificate that nobody verified is no certificate
    return tls.getpeercert(binary_form=True)


def _with_certificate(app: "ASGI3Application", certificate: bytes | None) -> "ASGI3Application":
    async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
        scope[PEER_CERTIFICATE] = certificate
        await app(scope, receive, send)

    return with_certificate
