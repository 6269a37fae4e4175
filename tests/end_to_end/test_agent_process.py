"""`m2me` as its user runs it: settings, exit codes, TLS with the pinned root, and no rights left."""

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge.keys import read_passphrase
from messages.evidence import decode_evidence
from tests.contract.certificates import Certificates
from tests.contract.tpm_devices import REPOSITORY, manufactured
from tests.end_to_end.tre_process import AGENT_UID, ROOT, STRICT, TreProcess, made

UID = 60124 if ROOT else AGENT_UID
PROBLEM = {
    "type": "urn:pva:problem:no-validation-pending",
    "title": "Nothing to do",
    "status": 404,
    "detail": "no validation waits for this device",
    "subject": "device",
    "reason": "no-validation-pending",
    "remedy": "have the home operator ask for one",
}
Answer = tuple[int, str, bytes]


@dataclass(kw_only=True)
class Services:
    """A CA and a PVA behind one TLS listener, played by the test."""

    device: TreProcess
    certificates: Certificates
    status: str = "affirming"
    pending: bool = True
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        services = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                services.asked.append(self.path)
                status, content_type, answer = services.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        folder = self.certificates.folder
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        password = read_passphrase(self.certificates.passphrase)
        context.load_cert_chain(folder / "server.pem", folder / "keys" / "server.key", password=password)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, path: str, body: bytes) -> Answer:
        routes: dict[str, Callable[[bytes], Answer]] = {
            "/v1/enrolments": lambda sent: (201, "application/cbor", self.device.ca_begins(sent)),
            "/v1/enrolments/activation": lambda sent: (200, "application/cbor", self.device.ca_issues(sent)),
            "/v1/challenges": self._challenge,
            "/v1/evidence": self._judge,
        }
        return routes[path](body)

    def _challenge(self, body: bytes) -> Answer:
        assert json.loads(body) == {"device_id": self.device.device_id.hex()}
        if not self.pending:
            return 404, "application/problem+json", json.dumps(PROBLEM).encode()
        return 200, "application/json", json.dumps({"challenge": self.device.token()}).encode()

    def _judge(self, body: bytes) -> Answer:
        assert decode_evidence(body).pfc_chain
        answer = {"result_id": "result-1", "status": self.status}
        return 200, "application/json", json.dumps(answer).encode()


@dataclass(kw_only=True)
class Agent:
    """A device with its TRE and the services that its agent talks to."""

    device: TreProcess
    services: Services
    settings: dict[str, str]

    def run(self, command: str, *options: str, output: str = "json") -> "subprocess.CompletedProcess[str]":
        config = self.device.folder / "agent.toml"
        config.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in self.settings.items()))
        user = ["--user", f"{UID}:{UID}"] if ROOT else []
        program = [sys.executable, "-c", STRICT.format(module="m2me_agent.agent.cli")]
        return subprocess.run(
            [*program, command, "--config", str(config), "-o", output, *user, *options],
            cwd=self.device.run,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def said(self, command: str) -> tuple[int, dict[str, Any]]:
        done = self.run(command)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    state = manufactured("software process", tmp_path_factory)
    with made(("software process", state), tmp_path_factory.mktemp("device")) as device:
        device.settings["agent_uid"] = UID
        device.start()
        services = Services(device=device, certificates=Certificates(tmp_path_factory.mktemp("tls")))
        anchors = services.certificates.folder / "anchors.pem"
        settings = {
            "tre_socket": "tre.sock",
            "ca_url": services.url,
            "pva_url": services.url,
            "tls_root": str(anchors),
        }
        yield Agent(device=device, services=services, settings=settings)
        services.close()


def test_status_enrol_attest_and_their_exit_codes(agent: Agent) -> None:
    status, said = agent.said("status")
    assert (status, said["outcome"]) == (0, "not enrolled")
    status, said = agent.said("attest")
    assert (status, said["error"]["code"]) == (1, "not-enrolled")

    status, said = agent.said("enroll")
    assert (status, said["outcome"]) == (0, "enrolled")
    status, enrolled = agent.said("status")
    assert (status, enrolled["outcome"]) == (0, "enrolled")
    assert enrolled["device_id"] == agent.device.device_id.hex()
    assert enrolled["credential"]["serial"] == said["serial"]

    assert agent.said("attest") == (0, {"outcome": "affirming", "result_id": "result-1"})
    for tier in ("warning", "contraindicated", "none"):
        agent.services.status = tier
        assert agent.said("attest") == (3, {"outcome": tier, "result_id": "result-1"})
    agent.services.status = "affirming"


@pytest.mark.negative
def test_a_problem_of_a_service_reaches_people_whole(agent: Agent) -> None:
    agent.services.pending = False
    try:
        status, said = agent.said("attest")
        assert status == 1
        assert said["error"] == {
            "code": "no-validation-pending",
            "subject": "device",
            "reason": "no validation waits for this device",
            "remedy": "have the home operator ask for one",
        }
        done = agent.run("attest", output="text")
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            "device: no validation waits for this device",
            "what to do: have the home operator ask for one",
        ]
    finally:
        agent.services.pending = True


@pytest.mark.negative
@pytest.mark.requirement("R115")
def test_a_server_under_another_root_gets_nothing(agent: Agent, tmp_path: Path) -> None:
    foreign = Certificates(tmp_path).folder / "anchors.pem"
    pinned = agent.settings["tls_root"]
    asked = len(agent.services.asked)
    agent.settings["tls_root"] = str(foreign)
    try:
        status, said = agent.said("attest")
    finally:
        agent.settings["tls_root"] = pinned
    assert (status, said["error"]["code"]) == (4, "unreachable")
    assert len(agent.services.asked) == asked


@pytest.mark.negative
@pytest.mark.parametrize(
    ("key", "value", "status", "named"),
    [
        ("pva_url", "https://127.0.0.1:9", 4, "127.0.0.1:9"),
        ("tre_socket", "absent.sock", 4, "absent.sock"),
        ("pva_url", "", 1, "pva_url"),
        ("pva_url", "ftp://pva", 1, "pva"),
        ("tls_root", "/absent.pem", 1, "absent.pem"),
        ("tls-root", "x", 1, "tls-root"),
    ],
)
def test_what_is_wrong_with_the_settings_or_the_network_is_named(
    agent: Agent, key: str, value: str, status: int, named: str
) -> None:
    before = dict(agent.settings)
    agent.settings[key] = value
    try:
        done = agent.run("attest")
    finally:
        agent.settings.clear()
        agent.settings.update(before)
    assert done.returncode == status
    assert named in json.dumps(json.loads(done.stdout)["error"])
    assert "Traceback" not in done.stderr


@pytest.mark.negative
def test_a_wrong_call_is_a_usage_error(agent: Agent) -> None:
    assert agent.run("attest", "--user", "root").returncode == 2
    assert agent.run("attest", "--sign", "me").returncode == 2
    assert agent.run("sign").returncode == 2
