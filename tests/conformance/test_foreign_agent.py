"""docs/PROTOCOL.md is enough: an agent that somebody else wrote from it enrols and attests at the real services."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.scene import Scene
from lab.story import wait_for_status
from standards.pki.ocsp_answer import StatusKind
from standards.rats.ar4si import Tier
from tests.conformance import foreign_agent
from tests.end_to_end.lab_services import ROOT, running_lab
from tests.tools import need

AGENT = Path(foreign_agent.__file__)
SUPPLIER = "supplier-1"
DEVICES = dict(zip(foreign_agent.AK_KINDS, ("device-1", "device-a", "device-b", "device-c"), strict=True))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The services and four devices on swtpm, in none of which our own TRE answers."""
    for tool in ("swtpm", "swtpm_setup", "swtpm_localca", "tpm2_quote"):
        need(tool)
    folder = tmp_path_factory.mktemp("foreign")
    with running_lab(folder, devices=tuple(DEVICES.values()), software_tpm=False) as lab:
        yield lab


@dataclass(frozen=True, kw_only=True)
class ForeignDevice:
    """A device that was booted, with the other agent on it."""

    name: str
    folder: Path

    @classmethod
    def boot(cls, scene: Scene, name: str, *, ak_kind: str) -> "ForeignDevice":
        """Boot with the approved release; the TPM is the other agent's alone."""
        device, anchors = scene.power_on(name), scene.anchors(SUPPLIER)
        scene.processes.stop(f"{name}-tre")
        (device.run / "tpm.sock.ctrl").symlink_to("tpm-control.sock")  # the name that tpm2-tools expects
        folder = scene.site.role(f"foreign/{name}")
        settings = {
            "tcti": f"swtpm:path={device.run}/tpm.sock",
            "ak_kind": ak_kind,
            "folder": str(folder),
            "ca_url": scene.services.urls["ca"]["device"],
            "pva_url": scene.services.urls["pva"]["device"],
            "tls_root": str(anchors.tls_root),
            "es_root": str(anchors.es_root),
            "operators_root": str(anchors.operators_root),
            "boot_log": str(scene.site.role(f"devices/{name}") / "boot_log"),
        }
        (folder / "agent.json").write_text(json.dumps(settings))
        return cls(name=name, folder=folder)

    def agent(self, command: str) -> dict[str, Any]:
        """What the other agent says; isolated, so that nothing of this checkout can be imported."""
        done = subprocess.run(
            [sys.executable, "-I", str(AGENT), command, "--config", str(self.folder / "agent.json")],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode in {0, 1}, done.stderr
        assert not done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def test_it_imports_nothing_of_this_project() -> None:
    nodes = list(ast.walk(ast.parse(AGENT.read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    own = {each.name for each in ROOT.iterdir() if (each / "__init__.py").exists()}
    assert {"messages", "standards", "m2me_agent"} <= own
    assert not own & {name.partition(".")[0] for name in imported}


@pytest.mark.requirement("R71")
@pytest.mark.requirement("R95")
@pytest.mark.check("A4")
@pytest.mark.parametrize("ak_kind", DEVICES)
def test_an_agent_from_the_document_alone_is_affirmed(scene: Scene, ak_kind: str) -> None:
    device = ForeignDevice.boot(scene, DEVICES[ak_kind], ak_kind=ak_kind)
    enrolled = device.agent("enroll")
    assert enrolled == {
        "outcome": "enrolled",
        "device_id": scene.ids[device.name],
        "serial": enrolled.get("serial"),
    }
    leaf, issuer = scene.suppliers[SUPPLIER].credential(int(enrolled["serial"], 16))
    assert wait_for_status(scene, leaf, issuer=issuer, kind=StatusKind.GOOD) is StatusKind.GOOD
    question = scene.operator.ask(scene.ids[device.name])
    assert device.agent("attest")["outcome"] == "affirming"
    result = scene.operator.verify(scene.operator.progress(question).result or "", question)
    assert result.status is Tier.AFFIRMING
    assert result.device_id == scene.ids[device.name]
    assert device.agent("attest")["reason"] == "no-validation-pending"
    scene.devices[device.name].power_off()
