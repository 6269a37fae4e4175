"""What a device takes: TPM commands, time to start, memory, and whose time an installation is (`./dev bench tre`).

On a real swtpm where it is installed, else on the software TPM; files are real. A target that is missed is told as such.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from lab.processes import start_command
from m2me_agent.tre.enrollment import key_access
from messages.mid_content import MidContent, NetworkApplication
from messages.mid_policy import MidPolicy
from standards.pki import oids
from tests.contract.tpm_devices import REPOSITORY, manufacture_software, manufacture_swtpm, running
from tests.contract.tre_world import ROOT, TreWorld
from tests.end_to_end.tre_process import TreProcess
from tests.fakes.network import MID_KEY, Network, Parcel, operator

MIDS, FIRST_PART = 50, 31
"""So many MIDs, in two compartments: one operator's cannot hold them all."""
STARTS = OWN_RUNS = 5
INSTALL_COMMANDS, START_COMMANDS = 13, 9
START_S, MEMORY_MIB, OWN_SHARE = 0.5, 120.0, 0.2
KIB = 1024
LOOK_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure and its target: at most so much."""

    name: str
    measured: float
    target: float
    unit: str

    @property
    def is_met(self) -> bool:
        """Whether it is within the target."""
        return self.measured <= self.target


class Counted(TreWorld):
    """A device whose TPM commands are counted and timed."""

    commands = 0
    tpm_s = 0.0

    def _transmit(self, command: bytes) -> bytes:
        begun = time.perf_counter()
        response = super()._transmit(command)
        self.tpm_s += time.perf_counter() - begun
        self.commands += 1
        return response

    def activation(self) -> str:
        """The owner's instruction for the newest MID."""
        access = key_access(self.state, self.device)
        rows = (row for _, row in self.operations.mids.vault.journal(access))
        newest = max(rows, key=lambda row: row.generation)
        return self.network.instruction(self.target, newest.tre_nonce, mid_id=newest.mid_id)

    def counting(self, work: Callable[[], object]) -> int:
        """How many commands some work takes."""
        before = self.commands
        work()
        return self.commands - before


@contextmanager
def tpm_state(kind: str) -> Iterator[tuple[Path, Path]]:
    """A folder, and the state of a TPM as it leaves its factory."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        make = manufacture_swtpm if kind == "swtpm" else manufacture_software
        yield folder, make(folder / "factory")


def measure(kind: str) -> list[Row]:
    """All rows."""
    with tpm_state(kind) as (folder, state):
        with running(kind, state) as tpm:
            (folder / "one").mkdir()
            world = Counted(tpm, folder / "one")
            rows = [*_commands(world), _own_share(world)]
            world.close()
        with running(kind, state) as tpm:
            (folder / "many").mkdir()
            rows.append(_start_of_many(Counted(tpm, folder / "many")))
        with running(kind, state) as tpm:
            (folder / "process").mkdir()
            rows.append(_memory(TreProcess(tpm=tpm, folder=folder / "process", start_module=start_command)))
    return rows


def _commands(world: Counted) -> Iterator[Row]:
    """Commands of an installation into a new and into an open compartment, and of a start.

    An installation is counted from its package to the active MID.
    """
    for what in ("first of its operator", "another of its operator"):
        world.agree()
        parcel = world.network.good_parcel(world.target)
        install = partial(
            world.operations.installation.install,
            package=parcel.package,
            delivery=parcel.delivery,
            content=parcel.content,
        )
        count = world.counting(install)
        count += world.counting(partial(world.operations.mids.instruct, world.activation()))
        yield Row(name=f"TPM commands to ACTIVE, {what}", measured=count, target=INSTALL_COMMANDS, unit="")
        world.network.number += 1
    world.close()
    world.power_on()
    count = world.counting(world.operations.open_vault)
    yield Row(name="TPM commands to start a compartment", measured=count, target=START_COMMANDS, unit="")


def _own_share(world: Counted) -> Row:
    """Of the time from an order to an active MID at the device, what is not the TPM's; the median of some."""
    runs = []
    for _ in range(OWN_RUNS):
        runs.append(_order_to_active(world))
        world.network.number += 1
    share, took_s = sorted(runs)[OWN_RUNS // 2]
    return Row(
        name=f"own code in order to ACTIVE ({took_s * 1000:.0f} ms)",
        measured=share,
        target=OWN_SHARE,
        unit="",
    )


def _order_to_active(world: Counted) -> tuple[float, float]:
    """Share of the TRE's own code, and seconds in all."""
    network, target = world.network, world.target
    accepting, parcel = network.accepting(target), network.good_parcel(target)
    tpm_s, begun = world.tpm_s, time.perf_counter()
    accepted = world.operations.orders.accept(**accepting)  # type: ignore[arg-type] # by their names
    world.operations.orders.consent(accepted.digest)
    world.operations.installation.install(
        package=parcel.package, delivery=parcel.delivery, content=parcel.content
    )
    took_s, in_tpm_s = time.perf_counter() - begun, world.tpm_s - tpm_s
    token = world.activation()
    tpm_s, begun = world.tpm_s, time.perf_counter()
    world.operations.mids.instruct(token)
    took_s, in_tpm_s = took_s + time.perf_counter() - begun, in_tpm_s + world.tpm_s - tpm_s
    return (took_s - in_tpm_s) / took_s, took_s


def _start_of_many(world: Counted) -> Row:
    """A TRE with many MIDs of two operators, from its files to open compartments; the median of some starts."""
    first, second = world.network, Network(root=ROOT, number=1000)
    second.sho = operator(ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
    turns = [first] * FIRST_PART + [second] * (MIDS - FIRST_PART - 2) + [first, second]
    for left, network in zip(range(MIDS, 0, -1), turns, strict=True):
        network.number += 1
        world.network = network
        world.agree()
        parcel = _parcel(world, lasting=left == 2)  # noqa: PLR2004 - of the last but one: one more follows
        world.operations.installation.install(
            package=parcel.package, delivery=parcel.delivery, content=parcel.content
        )
    times = []
    for _ in range(STARTS):
        world.close()
        world.power_on()
        begun = time.perf_counter()
        world.start()
        world.operations.open_vault()
        times.append(time.perf_counter() - begun)
    states = world.states()
    if states != ["INACTIVE"] * MIDS:
        raise RuntimeError(f"expected {MIDS} MIDs of open compartments, got {states}")
    world.close()
    return Row(name=f"start with {MIDS} MIDs", measured=sorted(times)[STARTS // 2], target=START_S, unit="s")


def _parcel(world: Counted, *, lasting: bool) -> Parcel:
    """A package whose MID has an identity of its own; a lasting one opens after one more installation, too."""
    network, target = world.network, world.target
    usim = NetworkApplication(
        kind="usim",
        access="cellular",
        identity=f"{network.number:015d}",
        public_identities=(),
        algorithm="milenage",
        k=MID_KEY.k,
        opc=MID_KEY.opc,
    )
    content = MidContent(
        mid_id=f"mid-{network.number}", applications=(usim,), policy=MidPolicy(algorithms=("milenage",))
    )
    approvals = list(network.approvals(target))
    if lasting:
        later = target.at(target.state.counter + 2).state
        approvals.append(network.approve(network.use(target, vault=True), later))
    return network.parcel(*network.package(target, content=content, approvals=approvals))


def _memory(device: TreProcess) -> Row:
    """Resident memory of the TRE's process after an enrolment and an attestation, and of an agent on its journey."""
    device.start()
    try:
        device.enroll()
        device.attest(device.token())
        assert device.process is not None  # noqa: S101 - started above
        tre_kib = _status_kib(device.process.pid, "VmRSS")
    finally:
        device.stop()
    agent_kib = _agent_kib(device)
    return Row(
        name=f"resident memory of TRE ({tre_kib // KIB}) and agent ({agent_kib // KIB})",
        measured=(tre_kib + agent_kib) / KIB,
        target=MEMORY_MIB,
        unit="MiB",
    )


def _status_kib(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _agent_kib(device: TreProcess) -> int:
    """At most: `m2me provision`, with all that it loads, up to a network that does not answer."""
    config = device.folder / "agent.toml"
    urls = {"vno_url": "https://127.0.0.1:9", "drf_url": "https://127.0.0.1:9"}
    settings = {"tre_socket": "tre.sock", "tls_root": "operators.pem", **urls}
    config.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
    command = [sys.executable, "-m", "m2me_agent.agent.cli", "provision", "--config", str(config)]
    agent = subprocess.Popen(  # noqa: S603 - our own module
        command,
        cwd=device.run,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},  # noqa: TID251 - of a child
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    most = 0
    while agent.poll() is None:  # rusage would tell of this process, too: what a child was before exec
        with suppress(OSError, StopIteration):
            most = max(most, _status_kib(agent.pid, "VmHWM"))
        time.sleep(LOOK_S)
    return most


def table(rows: Sequence[Row]) -> str:
    """Rows for people."""
    lines = [f"{'figure':<52}{'measured':>12}{'target':>12}"]
    for row in rows:
        shown = f"{row.measured:.3g} {row.unit}".strip()
        target = f"<= {row.target:g} {row.unit}".strip()
        lines.append(f"{row.name:<52}{shown:>12}{target:>12}  {'' if row.is_met else 'MISSED'}".rstrip())
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./dev bench tre", description="measure what a device takes")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    output = parser.parse_args(arguments).output
    kind = "swtpm" if shutil.which("swtpm") and shutil.which("swtpm_setup") else "software"
    rows = measure(kind)
    if output == "json":
        told = [{**asdict(row), "is_met": row.is_met} for row in rows]
        sys.stdout.write(json.dumps({"tpm": kind, "rows": told}, indent=2) + "\n")
    else:
        sys.stdout.write(f"TPM: {kind}\n{table(rows)}\n")
    return 0
