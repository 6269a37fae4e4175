"""The demo of a service that operators deploy: two PVAs, two responders, PostgreSQL, nginx, and devices all the while.

Rule: it fails if any promise of `lab.service_stories` is not kept.
"""

from pathlib import Path

from rich.console import Console

from lab.demo import open_scene, say_conditions
from lab.identities import PVA_ISSUER
from lab.nodes import PVAS, RESPONDERS, Nodes, require_tools
from lab.parties import Administrator, Operator
from lab.postgresql import programs, running_cluster
from lab.scene import Scene
from lab.service_stories import ServiceStage, play_service_stories
from lab.story import PVA_PURPOSES, UnexpectedEndError, enroll, make_devices, register_suppliers

DEVICES = ("device-1", "device-a", "device-b")


def play_service_demo(state: Path, *, image: Path, console: Console, software_tpm: bool) -> bool:
    """Play everything; whether all ended as it must. Raises MissingToolError."""
    require_tools()
    with (
        running_cluster(programs() or Path(), durable=True) as database,
        open_scene(state, image=image, console=console, software_tpm=software_tpm) as scene,
    ):
        tell = scene.narrator
        say_conditions(scene)
        tell.heading("Two PVAs and two responders on PostgreSQL, behind nginx")
        make_devices(scene, DEVICES)
        nodes = Nodes(services=scene.services, processes=scene.processes, database=database)
        _open(scene, nodes)
        tell.heading("The suppliers and the devices")
        register_suppliers(scene)
        serials = tuple(_enrolled(scene, name) for name in DEVICES)
        tell.heading("What the service promises")
        play_service_stories(ServiceStage(scene=scene, nodes=nodes, devices=DEVICES, serials=serials))
        tell.heading("")
        tell.table()
        return tell.all_as_expected


def _open(scene: Scene, nodes: Nodes) -> None:
    tell = scene.narrator
    with tell.line("0.2", "CA", "-", "operators' root, TLS root, listeners"):
        scene.services.start_ca(tpm_maker_roots=scene.maker.roots())
    scene.administrator = Administrator(scene.services)
    with tell.line("0.3", ", ".join(RESPONDERS), "CA", "one store; change feed; key for delegates"):
        nodes.open_responders()
    with tell.line("0.4", ", ".join(PVAS), "CA", "one store; certificates for challenges and results"):
        scene.administrator.certify("pva", role="pva", service=PVA_ISSUER, purposes=PVA_PURPOSES)
        nodes.open_pvas()
    with tell.line("0.5", "nginx", "nodes", "carries TLS to the PVAs, OCSP to the responders"):
        nodes.open_front()
    scene.operator = Operator("sho-1", scene.services)


def _enrolled(scene: Scene, name: str) -> int:
    answer = enroll(scene, name)
    if answer.status != 0:
        raise UnexpectedEndError(f"{name} could not be enrolled")
    return int(answer.said["serial"], 16)
