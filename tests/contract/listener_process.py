"""A process with three listeners, run by the tests as its user would: plain, TLS and mutual TLS.

`python -m tests.contract.listener_process FOLDER`: FOLDER holds what `certificates.Certificates` wrote.
"""

import sys
import time
from pathlib import Path
from typing import Any

from flask import Flask, request

from edge.bodies import json_body
from edge.http_protocol import PeerCertificateProtocol
from edge.http_server import Listener, ServerTls, serve
from edge.principals import PrincipalTable, current_principal, device, enforce_access, public, require
from edge.problems import register_problems
from edge.process import configure_logging
from edge.settings import Settings


class Order(Settings):
    """A body with one member."""

    amount: int


class TooMuchError(Exception):
    """A refusal of the room, with everything that a refusal carries."""

    subject = "amount"
    reason = "limit"
    remedy = "ask for less"


def public_app() -> Flask:
    """Echo of a body, and a slow answer."""
    app = Flask(__name__, static_folder=None)

    @app.post("/echo")
    @public
    def echo() -> bytes:
        return request.get_data()

    @app.get("/slow")
    @public
    def slow() -> str:
        time.sleep(1.0)
        return "done"

    @app.get("/big")
    @public
    def big() -> bytes:
        return b"x" * (64 << 20)

    register_problems(app, {})
    enforce_access(app)
    return app


def device_app() -> Flask:
    """What a device sees: environment of the request, and every kind of refusal."""
    app = Flask(__name__, static_folder=None)

    @app.post("/orders")
    @device
    def order() -> dict[str, int]:
        amount = json_body(Order).amount
        if amount > 10:
            raise TooMuchError(f"expected at most 10, got {amount}")
        return {"amount": amount}

    @app.get("/bug")
    @device
    def bug() -> str:
        raise RuntimeError("the inside of this service")

    @app.get("/peer")
    @device
    def peer() -> dict[str, bool]:
        return {"certificate": request.environ["pva.peer_certificate"] is not None}

    register_problems(app, {TooMuchError: (409, "too-much")})
    enforce_access(app)
    return app


def operator_app(folder: Path) -> Flask:
    """Routes for two roles."""
    app = Flask(__name__, static_folder=None)

    @app.get("/who")
    @require("admin", "es")
    def who() -> dict[str, str]:
        return current_principal().model_dump()

    @app.get("/sho-only")
    @require("sho")
    def sho_only() -> str:
        return "sho"

    register_problems(app, {})
    enforce_access(
        app, principals=PrincipalTable.load(folder / "principals.json", anchors=folder / "anchors.pem")
    )
    return app


async def asgi_app(scope: dict[str, object], receive: object, send: object) -> None:
    """Smallest ASGI application."""
    del scope, receive
    assert callable(send)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"asgi"})


def main() -> None:
    """Serve until told to stop."""
    folder = Path(sys.argv[1])
    configure_logging(role="test")
    PeerCertificateProtocol.header_timeout_s = 2.0
    PeerCertificateProtocol.write_timeout_s = 2.0
    tls: dict[str, Any] = {"certificate": folder / "server.pem", "key": folder / "keys" / "server.key"}
    passphrase = folder / "keys" / "passphrase"
    serve(
        [
            Listener(name="public", host="127.0.0.1", port=0, app=public_app(), body_bytes_max=100_000),
            Listener(name="asgi", host="127.0.0.1", port=0, app=asgi_app),
            Listener(
                name="device",
                host="127.0.0.1",
                port=0,
                app=device_app(),
                tls=ServerTls(**tls, passphrase_file=passphrase),
            ),
            Listener(
                name="operator",
                host="127.0.0.1",
                port=0,
                app=operator_app(folder),
                tls=ServerTls(**tls, passphrase_file=passphrase, client_anchors=folder / "anchors.pem"),
            ),
        ],
        role="test",
        profile="lab",
    )


if __name__ == "__main__":
    main()
