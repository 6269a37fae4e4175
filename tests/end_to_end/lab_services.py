"""The real services, started by the lab in a folder of the test's: for walking routes and killing processes."""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console

from edge.database import engine_for
from edge.http_client import ClientTls, client_context
from edge.http_server import ServerTls, server_context
from lab.demo import open_scene
from lab.device import Answer
from lab.fourteen_steps import AWAITED, connect, open_network
from lab.processes import RunningProcess
from lab.scene import Scene
from lab.story import APPROVED, enroll, make_devices, open_services, register_suppliers
from tests.fakes.tapped_link import TappedLink
from tests.forked_python import start_module

ROOT = Path(__file__).parents[2]
FIRST_DEVICE = "device-1"
BATCH_NUMBER = 100
"""Devices of a test have numbers, and so user ids, that none of the lab's own devices has."""


@contextmanager
def running_lab(
    folder: Path,
    *,
    devices: tuple[str, ...],
    software_tpm: bool = True,
    start: Callable[..., RunningProcess] = start_module,
) -> Iterator[Scene]:
    """CA, responder and PVA with their suppliers registered, and these devices made but not powered."""
    console = Console(file=io.StringIO(), width=150)
    made = open_scene(
        folder / "lab", image=ROOT, console=console, software_tpm=software_tpm, start_module=start
    )
    with made as scene:
        make_devices(scene, devices)
        open_services(scene)
        register_suppliers(scene)
        yield scene


@contextmanager
def running_network(folder: Path, *, start: Callable[..., RunningProcess] = start_module) -> Iterator[Scene]:
    """All roles of the network beside CA, responder and PVA."""
    with running_lab(folder, devices=(FIRST_DEVICE,), start=start) as scene:
        open_network(scene)
        yield scene


def add_devices(scene: Scene, names: Sequence[str], *, batch: str) -> None:
    """Devices of the approved supplier in a batch of their own; not powered."""
    for name in names:
        scene.make_device(name, BATCH_NUMBER + len(scene.devices))
    scene.suppliers[APPROVED].announce(batch, [scene.batch_entry(name, APPROVED) for name in names])


def bring_up(scene: Scene, name: str) -> None:
    """Power a device on, enrol it and give it its PCID: all that happens before it is sold."""
    answer = enroll(scene, name)
    assert answer.status == 0, answer
    connect(scene, name)


@dataclass(slots=True, kw_only=True)
class Way:
    """One run of a device's agent; its person agrees where asked, and the test hears of each step as it is done."""

    scene: Scene
    name: str
    on_event: Callable[[str], None] = lambda _: None
    consents: bool = True
    events: list[Mapping[str, Any]] = field(default_factory=list)

    def run(self) -> Answer:
        """From where the device stands to the end."""
        return self.scene.devices[self.name].provision(on_event=self._heard)

    @property
    def names(self) -> list[str]:
        """What was heard, in its order."""
        return [str(event["event"]) for event in self.events]

    def _heard(self, event: Mapping[str, Any], _pid: int) -> None:
        self.events.append(event)
        self.on_event(str(event["event"]))
        if event["event"] == AWAITED and self.consents:
            self.scene.devices[self.name].person("consent", str(event["order_code"]))


@contextmanager
def tapped_deliveries(scene: Scene) -> Iterator[TappedLink]:
    """A link of the test's own between devices and the DPF, where the lab has its recorder."""
    scene.processes.stop("recorder")
    side = scene.services.tls_folder("recorder")
    tls = ServerTls(
        certificate=side / "server.pem", key=side / "server.key", passphrase_file=side / "passphrase"
    )
    link = TappedLink(
        port=int(scene.services.address("recorder.device").rpartition(":")[2]),
        target=scene.services.address("dpf-1.device"),
        server=server_context(tls, name="tapped link"),
        client=client_context(ClientTls(anchors=scene.services.tls_root)),
    )
    with link.running():
        yield link
    assert scene.network is not None
    scene.network.start_recorder()


def rows(scene: Scene, role: str, query: str, **values: object) -> list[tuple[object, ...]]:
    """What a query finds in the store of a role; the test looks, and writes nothing."""
    engine = engine_for(f"sqlite:///{scene.site.role(role) / f'{role}.sqlite'}")
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query), values)]
    finally:
        engine.dispose()


def requests_at(scene: Scene, role: str, route: str) -> int:
    """How many requests for a route the log of a role tells of."""
    log = (scene.processes.logs / f"{role}.log").read_text()
    return len(re.findall(f'"route": ?"{re.escape(route)}', log))
