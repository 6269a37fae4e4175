"""A process with one listener of `edge.octet_server` beside one of uvicorn: `python -m tests.contract.octet_process`."""

import asyncio
from collections.abc import Awaitable

from edge.http_server import Listener, serve
from edge.octet_server import Headers, OctetListener, Reply
from edge.process import configure_logging
from tests.contract.listener_process import asgi_app

BODY_BYTES_MAX = 8192


def app(method: str, path: str, headers: Headers, body: bytes) -> Reply | Awaitable[Reply]:
    """Tell what arrived; slowly, too much, or not at all where the path says so."""
    del headers
    if path == "/fails":
        raise RuntimeError("the inside of this service")
    if path == "/slow":
        return _slowly()
    if path == "/empty":
        return Reply(304, [("etag", '"x"')])
    told = f"{method} {path} ".encode() + body
    return Reply(200, [("content-type", "text/plain")], told if path != "/big" else bytes(20_000))


async def _slowly() -> Reply:
    await asyncio.sleep(2.0)
    return Reply(200, [], b"done")


def main() -> None:
    """Serve until told to stop."""
    configure_logging(role="test")
    octets = OctetListener(
        name="octets",
        host="127.0.0.1",
        port=0,
        app=app,
        body_bytes_max=BODY_BYTES_MAX,
        head_timeout_s=2.0,
        body_timeout_s=2.0,
        reader_timeout_s=2.0,
    )
    serve([octets, Listener(name="asgi", host="127.0.0.1", port=0, app=asgi_app)], role="test", profile="lab")


if __name__ == "__main__":
    main()
