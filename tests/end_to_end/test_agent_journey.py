"""`m2me provision` as its user runs it: a real process, TLS in TLS through a gateway, killed and started again."""

import dataclasses
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edge.keys import read_passphrase
from tests.contract.certificates import Certificates
from tests.contract.tpm_devices import REPOSITORY
from tests.end_to_end.tre_process import ROOT, STRICT
from tests.fakes.connect_gateway import ConnectGateway
from tests.fakes.journey_services import WorldHandler, services, tre_socket
from tests.fakes.journey_world import IDENTITY, KEY, PCID, SECRET, World, unsigned
from tests.unit.messages import operator_samples as samples

UID = 60125


@dataclasses.dataclass(kw_only=True)
class Field:
    """A device's folder, and the world around it."""

    folder: Path
    world: World
    gateway: ConnectGateway
    handler: type[WorldHandler]
    settings: dict[str, str]

    def command(self, name: str, *options: str, output: str = "json") -> list[str]:
        config = self.folder / "agent.toml"
        config.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in self.settings.items()))
        user = ["--user", f"{UID}:{UID}"] if ROOT else []
        program = [sys.executable, "-c", STRICT.format(module="m2me_agent.agent.cli")]
        return [*program, name, "--config", str(config), "-o", output, *user, *options]

    def run(self, name: str, *options: str, output: str = "json") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(name, *options, output=output),
            cwd=self.folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def said(self, name: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
        done = self.run(name, *options)
        assert done.stderr == ""
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def field(certificates: Certificates, tmp_path: Path) -> Iterator[Field]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    passphrase = read_passphrase(certificates.passphrase)
    key = certificates.folder / "keys" / "server.key"
    context.load_cert_chain(certificates.folder / "server.pem", key, password=passphrase)
    world = World(asked_by=[])
    run = tmp_path / "run"
    run.mkdir()
    run.chmod(0o755)
    if ROOT:
        os.chown(run, UID, UID)

    class Handler(WorldHandler):
        """Of this world."""

    Handler.world, Handler.meanwhile = world, staticmethod(lambda _: None)
    with ExitStack() as stack:
        address = stack.enter_context(services(context, Handler))
        gateway = ConnectGateway(context=context, secret=f"bearer-1:{SECRET}", destinations={address})
        stack.enter_context(gateway.running())
        Handler.gateway = gateway.address
        url = f"https://{address}"
        found = dataclasses.replace(samples.DISCOVERY, pva_url=url, dpf_url=url)
        world.discovery = unsigned({**found.claims(), "iss": "drf.example"})
        stack.enter_context(tre_socket(run / "tre.sock", world))
        settings = {
            "tre_socket": "tre.sock",
            "vno_url": url,
            "drf_url": url,
            "tls_root": str(certificates.folder / "anchors.pem"),
            "supplier": "acme",
        }
        yield Field(folder=run, world=world, gateway=gateway, handler=Handler, settings=settings)


def ended_once(world: World) -> bool:
    counts = (world.registrations, world.deliveries, world.grants, world.installs, world.activations)
    return counts == (1, 1, 1, 1, 1)


@pytest.mark.requirement("R09", "R57", "R84")
def test_from_power_on_to_active_in_one_command(field: Field) -> None:
    status, lines = field.said("provision", "--choice", samples.SHO)
    assert status == 0
    *steps, last = lines
    assert [step["step"] for step in steps] == sorted(step["step"] for step in steps)
    assert {1, 3, 4, 6, 7, 9, 12, 13, 14} == {step["step"] for step in steps}
    assert all(step["elapsed_ms"] <= last["elapsed_ms"] for step in steps)
    assert {name: last[name] for name in ("outcome", "mid_id", "sho_name")} == {
        "outcome": "active",
        "mid_id": "mid-1",
        "sho_name": "Example Mobile",
    }
    assert ended_once(field.world)
    (wishes,) = field.world.wishes_heard
    assert (wishes.choice, wishes.supplier) == (samples.SHO, "acme")
    # one tunnel for DRF, PVA and DPF, which live at one place here
    assert len(field.gateway.tunnels) == 1
    assert list((field.folder / "downloads").iterdir()) == []
    assert field.said("provision")[1][-1]["outcome"] == "active"


@pytest.mark.requirement("R97")
def test_a_killed_agent_is_started_again_and_goes_on(field: Field) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def meanwhile(path: str) -> None:
        if path.endswith("offset=4000") and not go_on.is_set():
            reached.set()
            go_on.wait(30)

    field.handler.meanwhile = staticmethod(meanwhile)
    with subprocess.Popen(
        field.command("provision"), cwd=field.folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL
    ) as agent:
        assert reached.wait(20)
        agent.kill()
    go_on.set()
    field.gateway.secret = f"bearer-2:{SECRET}"
    status, lines = field.said("provision")
    assert (status, lines[-1]["outcome"]) == (0, "active")
    (downloaded,) = [line for line in lines if line.get("event") == "downloaded"]
    assert downloaded["resumed_at"] == 4_000
    assert ended_once(field.world)


@pytest.mark.requirement("R07")
def test_a_person_is_asked_and_named_the_order(field: Field) -> None:
    field.world.consent_after = 10_000
    status, lines = field.said("provision", "--consent-timeout-s", "0.2")
    assert status == 1
    assert lines[-1]["outcome"] == "awaiting-consent"
    assert (lines[-1]["sho_name"], lines[-1]["order_code"]) == ("Example Mobile", "12345678")
    assert any(line.get("event") == "needs-registration" for line in lines)
    field.world.consent_after = 2
    field.gateway.secret = f"bearer-2:{SECRET}"
    assert field.said("provision")[1][-1]["outcome"] == "active"


def test_attach_and_status_show_what_there_is_and_no_secret(field: Field) -> None:
    status, lines = field.said("attach")
    assert (status, lines[-1]["outcome"], lines[-1]["apn"]) == (0, "attached", "m2m")
    field.world.mid_state = "ACTIVE"
    status, shown = field.said("status")
    assert status == 0
    assert shown[-1]["mids"][0]["state"] == "ACTIVE"
    assert shown[-1]["pfc_chain"] == [b"pfc".hex(), b"issuing ca".hex()]
    told = json.dumps([lines, shown])
    assert SECRET not in told
    assert KEY.hex() not in told


def test_connectivity_is_handed_over_in_the_factory(field: Field) -> None:
    token = field.folder / "token"
    token.write_text("a.connectivity.token\n")
    status, said = field.said("connect", "--token", str(token))
    assert (status, said) == (0, [{"outcome": "connected", "pcid": PCID, "identity": IDENTITY}])
    token.write_bytes(b"\xff" * 100)
    status, said = field.said("connect", "--token", str(token))
    assert (status, said[0]["error"]["code"]) == (1, "malformed")


def test_a_person_reads_steps_as_text(field: Field) -> None:
    done = field.run("provision", output="text")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("step  1")
    assert "outcome: active" in done.stdout.splitlines()


@pytest.mark.negative
def test_a_gateway_that_refuses_is_reported_and_nobody_is_reached_around_it(field: Field) -> None:
    field.gateway.refusal = (403, "not for you")
    status, lines = field.said("provision")
    assert status == 1
    assert lines[-1]["error"]["code"] == "gateway-refused"
    assert "not for you" in lines[-1]["error"]["reason"]
    assert "drf.discover" not in field.world.calls


@pytest.mark.negative
def test_a_platform_that_is_not_affirmed_exits_with_the_verdict(field: Field) -> None:
    field.world.verdicts = ["contraindicated"]
    status, lines = field.said("provision")
    assert status == 3
    assert lines[-1]["outcome"] == "not-affirming"
    assert lines[-1]["status"] == "contraindicated"
    assert field.world.grants == 0


@pytest.mark.negative
@pytest.mark.parametrize("key", ["vno_url", "drf_url"])
def test_a_journey_without_its_settings_names_them(field: Field, key: str) -> None:
    del field.settings[key]
    status, lines = field.said("provision")
    assert status == 1
    assert key in lines[-1]["error"]["reason"]


def test_the_agent_starts_without_what_it_does_not_need() -> None:
    """A device starts it often, and each start is paid for (libraries of servers, of logs, of people's screens)."""
    check = "import sys, m2me_agent.agent.cli; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"structlog", "rich", "urllib3", "joserfc", "flask", "sqlalchemy"}.isdisjoint(eval(done.stdout))  # noqa: S307
