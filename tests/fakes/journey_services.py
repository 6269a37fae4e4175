"""The world of an agent's journey on the wire: its services behind one TLS listener, its TRE at a socket."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edge.problem_document import Problem
from m2me_agent.agent.attachment import AkaChallenge
from m2me_agent.agent.errors import RefusedError
from m2me_agent.agent.ports import Device, Patience
from m2me_agent.agent.registration import Wishes
from m2me_agent.tre_protocol import (
    Response,
    decode_request,
    encode_frame,
    encode_response,
    receive_frame,
)
from messages.attachment import is_request_mac
from messages.bearer import Bearer
from tests.fakes.journey_world import CHUNK_BYTES, KEY, FakeNetwork, FakeServices, FakeTre, World, refused

JSON, OCTETS = "application/json", "application/octet-stream"
NOT_FOUND = {"no-validation-pending", "nothing-authorized"}
Answer = tuple[int, str, bytes]


class WorldHandler(BaseHTTPRequestHandler):
    """Every route that a device uses; a subclass has `world`, `gateway` and `meanwhile`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world: World
    gateway: str
    meanwhile: Callable[[str], None]

    def do_GET(self) -> None:
        """Deliveries and their content."""
        self._respond(b"")

    def do_POST(self) -> None:
        """Everything else."""
        self._respond(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _respond(self, body: bytes) -> None:
        type(self).meanwhile(self.path)
        try:
            status, content_type, answer = self._answer(self.path, body)
        except RefusedError as error:
            status = 404 if error.code in NOT_FOUND else 403
            problem = Problem(
                status=status,
                type=error.code,
                title="no",
                detail=error.refusal.reason,
                subject="service",
                reason=error.code,
                remedy="ask it",
            )
            content_type, answer = "application/problem+json", problem.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, path: str, body: bytes) -> Answer:
        services = FakeServices(self.world)
        if path.startswith("/v1/attach"):
            return self._attach(path, body)
        if path in ("/v1/discovery", "/v1/registrations"):
            return self._register(services, path, body)
        if path == "/v1/challenges":
            token = services.challenge(json.loads(body)["device_id"])
            return 200, JSON, json.dumps({"challenge": token}).encode()
        if path == "/v1/evidence":
            verdict = services.submit(body)
            return 200, JSON, json.dumps({"result_id": verdict.result_id, "status": verdict.status}).encode()
        return self._deliver(services, path, body)

    def _attach(self, path: str, body: bytes) -> Answer:
        network, said = FakeNetwork(self.world), json.loads(body)
        if path == "/v1/attach":
            return 200, JSON, _challenge(network.attach(said["identity"]))
        session = path.rpartition("/")[2]
        if "auts" in said:
            return 200, JSON, _challenge(network.resynchronise(session, auts=bytes.fromhex(said["auts"])))
        bearer = network.respond(session, res=bytes.fromhex(said["res"]))
        return 200, JSON, json.dumps({"bearer": _bearer(bearer, gateway=self.gateway)}).encode()

    def _register(self, services: FakeServices, path: str, body: bytes) -> Answer:
        scheme, _, proof = self.headers["Authorization"].partition(" ")
        pcid, _, mac = proof.partition(":")
        said = json.loads(body)
        is_proven = is_request_mac(mac, KEY, method="POST", path=path, body=body)
        if scheme != "Attachment" or pcid != said["pcid"] or not is_proven:
            raise refused("not-attached")
        if path == "/v1/discovery":
            wishes = Wishes(choice=said.get("choice"), supplier=said.get("supplier"), consent=Patience())
            token = services.discover(_device(said), nonce=_bytes(said["nonce"]), wishes=wishes)
            return 200, JSON, json.dumps({"discovery": token}).encode()
        key = self.headers["Idempotency-Key"]
        token = services.register(_device(said), sho=said["sho"], idempotency_key=key)
        return 200, JSON, json.dumps({"order": token}).encode()

    def _deliver(self, services: FakeServices, path: str, body: bytes) -> Answer:
        if path == "/v1/deliveries":
            said = json.loads(body)
            digest = bytes.fromhex(said["order_digest"])
            delivery_id = services.request(_device(said), order_digest=digest)
            return 202, JSON, json.dumps({"delivery_id": delivery_id, "state": "validating"}).encode()
        delivery_id, _, what = path.removeprefix("/v1/deliveries/").partition("/")
        if what.startswith("content?offset="):
            return 200, OCTETS, services.content(delivery_id, offset=int(what.partition("=")[2]))
        if what == "receipt":
            receipt = services.receipt(delivery_id, body)
            told = {"outcome": receipt.outcome, "instruction": receipt.instruction}
            return 200, JSON, json.dumps({name: value for name, value in told.items() if value}).encode()
        grant = services.granted(delivery_id, order_digest=self.world.order_digest)
        state: dict[str, Any] = {"delivery_id": delivery_id, "state": "validating"}
        if grant is None:
            return 202, JSON, json.dumps(state).encode()
        state |= {"state": "granted", "package": grant.package, "delivery": grant.delivery}
        state |= {"content_size": grant.content_size, "chunk_bytes": CHUNK_BYTES}
        return 200, JSON, json.dumps(state).encode()


@contextmanager
def services(context: ssl.SSLContext, handler: type[WorldHandler]) -> Iterator[str]:
    """Serve the world's services on one TLS listener, "host:port", until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def tre_socket(path: Path, world: World) -> Iterator[None]:
    """Serve the world's TRE at a socket, one connection after the other, until the block ends."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o777)
    listening.listen()
    thread = threading.Thread(target=_answer_all, args=(listening, FakeTre(world)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)
        path.unlink()


def _answer_all(listening: socket.socket, tre: FakeTre) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            payload = receive_frame(connection.recv)
            if payload is None:
                continue
            request = decode_request(payload)
            response: Response
            try:
                response = tre.ask(request.operation, request.parameters)
            except RefusedError as error:
                response = error.refusal
            connection.sendall(encode_frame(encode_response(response)))


def _device(said: dict[str, Any]) -> Device:
    """A device as its requests name it."""
    return Device(
        device_id=said["device_id"],
        ak_public=_bytes(said.get("ak_public", "")),
        pfc_chain=tuple(_bytes(each) for each in said.get("pfc_chain", ())),
        pcid=said.get("pcid", ""),
        identity="",
    )


def _challenge(challenge: AkaChallenge) -> bytes:
    told = {"session": challenge.session, "rand": challenge.rand.hex(), "autn": challenge.autn.hex()}
    return json.dumps(told).encode()


def _bearer(bearer: Bearer, *, gateway: str) -> dict[str, Any]:
    return {
        "id": bearer.id,
        "secret": bearer.secret,
        "gateway": gateway,
        "apn": bearer.apn,
        "destinations": list(bearer.destinations),
        "quota_bytes": bearer.quota_bytes,
        "expires_at": f"{bearer.expires_at:%Y-%m-%dT%H:%M:%SZ}",
    }


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
