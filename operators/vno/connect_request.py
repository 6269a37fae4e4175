"""The head of a CONNECT request, and the bearer's credentials in it (RFC 9110, 9.3.6 and 11.7; RFC 7617).

Rule: the target is kept as it was sent and compared as it was sent; nothing is normalised. Header fields other than
Proxy-Authorization decide nothing; a request that frames a body is refused.
"""

import base64
import binascii
from dataclasses import dataclass

import h11

from operators.vno.bearers import Credentials
from operators.vno.refusals import RefusalCode, refuse

HEAD_BYTES_MAX = 8 * 1024
_CREDENTIALS_MAX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRequest:
    """Target as sent, credentials if there were some, and what came behind the head already."""

    target: str
    credentials: Credentials | None
    early: bytes


class HeadParser:
    """Takes bytes until the head of one request is complete."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._size = 0

    def feed(self, data: bytes) -> ConnectRequest | None:
        """Take bytes; the request once it is whole. Raises RefusedError, at the end of the stream (no bytes) too."""
        self._size += len(data)
        if self._size > 2 * HEAD_BYTES_MAX:
            raise refuse(RefusalCode.REQUEST_MALFORMED, subject="request", reason="the head is too long")
        try:
            self._connection.receive_data(data)
            event = self._connection.next_event()
        except h11.RemoteProtocolError:
            raise refuse(
                RefusalCode.REQUEST_MALFORMED,
                subject="request",
                reason="this is not the head of an HTTP/1.1 request",
            ) from None
        if event is h11.NEED_DATA:
            return None
        if not isinstance(event, h11.Request):
            raise refuse(RefusalCode.REQUEST_MALFORMED, subject="request", reason="the head is not complete")
        return self._read(event)

    def _read(self, request: h11.Request) -> ConnectRequest:
        if request.method != b"CONNECT":
            raise refuse(RefusalCode.METHOD_NOT_OFFERED, subject="method", reason="expected CONNECT")
        if request.http_version not in {b"1.0", b"1.1"}:
            raise refuse(
                RefusalCode.REQUEST_MALFORMED, subject="request", reason="expected HTTP/1.1 or HTTP/1.0"
            )
        names = [name for name, _ in request.headers]
        if {b"content-length", b"transfer-encoding"} & set(names):
            raise refuse(RefusalCode.REQUEST_MALFORMED, subject="request", reason="CONNECT has no body")
        proofs = [value for name, value in request.headers if name == b"proxy-authorization"]
        if len(proofs) > 1:
            raise refuse(
                RefusalCode.REQUEST_MALFORMED,
                subject="Proxy-Authorization",
                reason="expected it once at most",
            )
        self._connection.next_event()  # the end of the message, which has no body
        early, _ = self._connection.trailing_data
        return ConnectRequest(
            target=request.target.decode("ascii"),
            credentials=read_credentials(proofs[0]) if proofs else None,
            early=bytes(early),
        )


def read_credentials(value: bytes) -> Credentials | None:
    """Id and secret of `Basic base64(id:secret)`; None for anything else."""
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic" or len(encoded) > _CREDENTIALS_MAX:
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    id_, colon, secret = text.partition(":")
    return Credentials(id=id_, secret=secret) if colon and id_ and secret else None
