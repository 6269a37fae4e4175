"""The units of deploy/systemd under a systemd that booted: the fourteen steps, and what a unit keeps its service from."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.services_file import MODULES
from lab.fourteen_steps import order
from lab.scene import Scene
from tests.booted_machine import BootedMachine, booted_machine, need_namespaces
from tests.booted_units import ETC, LAB, Units
from tests.end_to_end.lab_services import FIRST_DEVICE, Way, bring_up, running_network
from tests.wheel import unpacked_wheel

COMES_BACK_S = 20.0
ROLES = sorted(MODULES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_namespaces()
    made = tmp_path_factory.mktemp("booted")
    for name in ("machine", "state", "etc", "wheel"):
        (made / name).mkdir()
    (made / "etc").chmod(0o755)
    return made


@pytest.fixture(scope="module")
def machine(folder: Path) -> Iterator[BootedMachine]:
    code = unpacked_wheel(folder / "wheel")
    shown = {folder / "state": LAB, folder / "etc": ETC}
    with booted_machine(folder / "machine", code=code, shown=shown) as booted:
        yield booted


@pytest.fixture(scope="module")
def scene(machine: BootedMachine, folder: Path) -> Iterator[Scene]:
    """Every role as its unit."""
    units = Units(machine=machine, state=folder / "state", etc=folder / "etc")
    with running_network(folder / "state", start=units.start_module) as scene:
        yield scene


@pytest.mark.timeout(180)
def test_a_device_goes_the_fourteen_steps_through_units(scene: Scene) -> None:
    bring_up(scene, FIRST_DEVICE)
    order(scene, FIRST_DEVICE)
    answer = Way(scene=scene, name=FIRST_DEVICE).run()
    assert (answer.status, answer.said["outcome"]) == (0, "active")


@pytest.mark.parametrize("role", ROLES)
def test_a_unit_takes_from_its_service_what_it_does_not_need(
    scene: Scene, machine: BootedMachine, role: str
) -> None:
    del scene  # which started it
    said = machine.run("cat", f"/proc/{main_process(machine, role)}/status")
    status = {name: value.split() for name, _, value in (line.partition(":") for line in said.splitlines())}
    uid = machine.run("id", "--user", f"open-pva-{role}").strip()
    assert set(status["Uid"]) == {uid} != {"0"}
    assert {int(status[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])


@pytest.mark.negative
@pytest.mark.parametrize(
    ("deed", "refusal"),
    [
        ("cat /var/lib/open-pva/ca/keys/*", "No such file|Permission denied"),
        ("cat /run/credentials/open-pva@ca.service/passphrase", "No such file"),
        ("cat /etc/open-pva/credentials/pva", "Permission denied"),
        ("cat /proc/1/environ", "No such file"),
        ("touch /etc/open-pva/pva.toml", "Read-only file system|Permission denied"),
        ("touch /opt/open-pva/lib/new", "Read-only file system"),
        ("ls /root", "Permission denied"),
        ("cat /dev/kmsg", "No such file"),
    ],
)
def test_a_service_that_is_taken_over_reaches_nothing_of_others(
    scene: Scene, machine: BootedMachine, deed: str, refusal: str
) -> None:
    """What somebody could do who runs what he likes as the PVA, where the PVA runs."""
    del scene
    taken_over = (
        *("nsenter", f"--target={main_process(machine, 'pva')}", "--mount"),
        *("setpriv", "--reuid=open-pva-pva", "--regid=open-pva-pva", "--clear-groups", "--no-new-privs"),
    )
    assert machine.run(*taken_over, "cat", "/run/credentials/open-pva@pva.service/passphrase")
    said = machine.run(*taken_over, "/bin/sh", "-c", f"{deed} 2>&1 && echo done || true")
    assert re.search(refusal, said), said


def test_a_service_that_ends_without_warning_is_started_again(scene: Scene, machine: BootedMachine) -> None:
    before = main_process(machine, "ocsp")
    machine.run("kill", "-KILL", before)
    deadline = time.monotonic() + COMES_BACK_S
    while main_process(machine, "ocsp") in {before, "0"} or not answers(scene):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert machine.shows("open-pva@ocsp", "NRestarts") == "1"


def test_a_service_that_is_stopped_ends_by_itself_and_in_time(scene: Scene, machine: BootedMachine) -> None:
    del scene
    machine.run("systemctl", "stop", "open-pva@vno")
    said = machine.run("journalctl", "--unit=open-pva@vno", "--output=cat", "--no-pager")
    assert "open-pva@vno.service: Deactivated successfully." in said.splitlines()


@pytest.mark.negative
def test_settings_that_cannot_be_used_are_not_tried_again(
    scene: Scene, machine: BootedMachine, folder: Path
) -> None:
    del scene
    settings = folder / "etc" / "vno.toml"
    settings.write_text("unheard_of = 1\n" + settings.read_text())
    machine.run("systemctl", "start", "open-pva@vno")
    deadline = time.monotonic() + COMES_BACK_S
    while time.monotonic() < deadline and machine.shows("open-pva@vno", "ActiveState") != "failed":
        time.sleep(0.2)
    shown = {
        name: machine.shows("open-pva@vno", name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")
    }
    assert shown == {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}
    assert "unheard_of" in machine.run("journalctl", "--unit=open-pva@vno", "--output=cat", "--no-pager")


def main_process(machine: BootedMachine, role: str) -> str:
    """The number of a unit's process, as the machine counts."""
    return machine.shows(f"open-pva@{role}", "MainPID")


def answers(scene: Scene) -> bool:
    """Whether the responder accepts."""
    host, _, port = scene.services.address("ocsp.public").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
