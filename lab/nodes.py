"""A service of several nodes: two PVAs and two responders on one PostgreSQL, behind nginx.

Rule: the nodes of a role share keys and store, and nothing in memory; whoever calls the service calls nginx, which
carries TLS and never ends it. The nginx configuration is the one in `deploy/nginx`, with the lab's addresses.
"""

import shutil
import signal
import socket
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from edge.http_client import HttpClient, HttpError
from lab.configuration import write_toml
from lab.postgresql import PostgreSql, programs
from lab.processes import Processes
from lab.services import LOOPBACK, Services, free_ports

PVAS: Final = ("pva-1", "pva-2")
RESPONDERS: Final = ("ocsp-1", "ocsp-2")
NGINX_CONFIGURATION: Final = Path("deploy") / "nginx" / "nginx.conf"
EXAMPLES: Final = {
    "10.0.0.11:8443": ("pva-1", "device"),
    "10.0.0.12:8443": ("pva-2", "device"),
    "10.0.0.11:9443": ("pva-1", "operator"),
    "10.0.0.12:9443": ("pva-2", "operator"),
    "10.0.0.21:8080": ("ocsp-1", "public"),
    "10.0.0.22:8080": ("ocsp-2", "public"),
}
"""Address in the configuration of nginx -> node and listener."""
FRONTS: Final = {
    "192.0.2.10:8443": "pva.device",
    "192.0.2.10:9443": "pva.operator",
    "192.0.2.10:80": "ocsp.public",
}
"""Address in the configuration of nginx -> what the service is known by."""
FAR_HORIZON_DAYS: Final = 3_650
"""What one node is told to look ahead, so that it has something to say."""
CHALLENGE_LIFE_S: Final = 600
"""Longer than the demo: evidence that is refused at its end is refused because it was used."""
_NGINX_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
_WAIT_S = 30.0


class MissingToolError(Exception):
    """A tool that the service needs is not on this machine: which, and where it comes from."""


def require_tools() -> None:
    """Raise MissingToolError unless nginx, PostgreSQL and its driver are here."""
    for what, here, remedy in (
        ("nginx", shutil.which("nginx"), "apt-get install nginx-light"),
        ("nginx's stream module", _NGINX_MODULE.exists(), "apt-get install libnginx-mod-stream"),
        ("PostgreSQL", programs(), "apt-get install postgresql"),
        ("the driver of PostgreSQL", find_spec("psycopg"), "pip install 'open-pva[postgres]'"),
    ):
        if not here:
            raise MissingToolError(f"{what} is missing: {remedy}")


@dataclass(slots=True, kw_only=True)
class Nodes:
    """The nodes and what is in front of them."""

    services: Services
    processes: Processes
    database: PostgreSql
    ports: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Choose the ports of all nodes: they keep theirs over a restart."""
        listeners = [
            *((node, name) for node in PVAS for name in ("device", "operator", "management")),
            *((node, name) for node in RESPONDERS for name in ("public", "management")),
        ]
        self.ports = dict(zip(listeners, free_ports(len(listeners)), strict=True))

    def open_responders(self) -> None:
        """Two responders with one key and one store, each following the CA's feed."""
        shared = self.services.ocsp_settings() | {"database": self.database.new_database()}
        del shared["operator"]  # the PVAs of this demo tell no responder
        for node in RESPONDERS:
            public = {"host": LOOPBACK, "port": self.ports[node, "public"]}
            self._write(node, shared | {"public": public})
            self.start(node)

    def open_pvas(self) -> None:
        """Two PVAs with the same keys and one store; the second looks far ahead for certificates that end."""
        # nobody waits for results at a callback here: who asked comes and looks
        shared = self.services.pva_settings() | {
            "callbacks": {},
            "status_responders": {},
            "challenge_life_s": CHALLENGE_LIFE_S,
        }
        shared["database"] = self.database.new_database()
        del shared["dashboard"]  # a person looks at one node
        for node in PVAS:
            own = {
                name: {**_table(shared[name]), "port": self.ports[node, name]}
                for name in ("device", "operator")
            }
            horizon = {"expiry_horizon_days": FAR_HORIZON_DAYS} if node == PVAS[-1] else {}
            self._write(node, shared | own, **horizon)
            self.start(node)

    def open_front(self) -> None:
        """Nginx, with the configuration that operators use; from now on the service is what stands behind it."""
        folder = self.services.site.role("nginx")
        (folder / "run").mkdir(exist_ok=True)
        text = (self.services.site.image / NGINX_CONFIGURATION).read_text(encoding="utf-8")
        for example, (node, listener) in EXAMPLES.items():
            text = _replaced(text, example, f"{LOOPBACK}:{self.ports[node, listener]}")
        for example, known_as in FRONTS.items():
            text = _replaced(text, example, self.services.address(known_as))
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        self.processes.start_plain("nginx", command, cwd=folder)
        for known_as in FRONTS.values():
            _await_port(self.services.address(known_as))
        urls = self.services.urls
        urls["pva"] = {
            name: f"https://{self.services.address(f'pva.{name}')}" for name in ("device", "operator")
        }
        urls["ocsp"] = {"public": self.services.ocsp_url}

    def start(self, node: str) -> None:
        """Start a node, and wait until it accepts."""
        self.services.start(node, f"{node.partition('-')[0]}.app")

    def kill(self, node: str) -> None:
        """End a node without warning, as a power cut would."""
        self.processes.kill(node)

    def stop(self, node: str) -> int | None:
        """Ask a node to end; its exit status."""
        process = self.processes.started[node].process
        process.send_signal(signal.SIGTERM)
        process.wait(_WAIT_S)
        self.processes.stop(node)
        return process.poll()

    def pid(self, node: str) -> int:
        """Process id of a node."""
        return self.processes.started[node].process.pid

    def readiness(self, node: str) -> dict[str, Any]:
        """What a node says of itself, ready or not."""
        http = HttpClient(f"http://{LOOPBACK}:{self.ports[node, 'management']}")
        try:
            said: dict[str, Any] = http.get_json("/readyz")
        except HttpError as error:
            return {"ready": False, "status": error.status}
        finally:
            http.close()
        return said

    def verdicts(self, node: str) -> int:
        """How many results a node has put on record since it started."""
        http = HttpClient(f"http://{LOOPBACK}:{self.ports[node, 'management']}")
        try:
            lines = http.get("/metrics").body.decode().splitlines()
        finally:
            http.close()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith("pva_verdicts_total{"))

    def _write(self, node: str, settings: dict[str, object], **management: object) -> None:
        table = {"port": self.ports[node, "management"], **management}
        folder = self.services.site.role(node)
        write_toml(folder / f"{node}.toml", settings | {"management": table})


def _table(value: object) -> dict[str, object]:
    assert isinstance(value, dict)  # noqa: S101 - a table of `Services.pva_settings`; for the type checker
    return value


def _replaced(text: str, example: str, address: str) -> str:
    if text.count(example) != 1:
        raise ValueError(f"{NGINX_CONFIGURATION}: expected {example} once, got {text.count(example)}")
    return text.replace(example, address)


def _await_port(address: str) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _WAIT_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        if time.monotonic() > deadline:
            raise MissingToolError(f"nginx does not listen on {address}: its log says why")
        time.sleep(0.05)
