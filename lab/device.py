"""One device of the lab: its TPM, its TRE and its agent, each a process, as the device's own users.

Rule: the lab does to a device what its factory, its owner or a thief could do: power it on with some software,
run its agent, take bytes that the agent sees. It never reaches into the TRE.
"""

import json
import os
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.http_client import HttpError
from edge.process import RandomBytes
from lab.boot import Release, boot_log, extend
from lab.configuration import write_toml
from lab.processes import Processes, environment, python_command
from lab.site import DeviceIdentities, Identity, Site, give, identities
from lab.tpms import SOCKET, TpmMaker
from m2me_agent import tre_protocol
from m2me_agent.agent.session import AgentSettings
from m2me_agent.agent.shelf import GRANT_FILE
from m2me_agent.tre.transports import SocketTpm
from m2me_agent.tre_protocol import Operation, Request, decode_response, encode_request
from standards.boot_log.encode import encode_event_log
from standards.tpm2.connection import TpmConnection
from standards.tpm2.structures import Public

EK_RSA_HANDLE = 0x8101_0001
MMI_SOCKET = "mmi.sock"
COMMAND_TIMEOUT_S = 60

OFTEN: Mapping[str, int] = {"burst": 100, "interval_ms": 1_000}
"""What a device may sign whose stories ask it for more in a minute than its owners would in a month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a person at the device reads when something was refused."""

    code: str
    subject: str
    reason: str
    remedy: str


def refusal_in(error: HttpError) -> Refusal | str:
    """The refusal in a service's problem document, or its status."""
    problem = error.problem
    if problem is None:
        return f"status {error.status}"
    return Refusal(
        code=problem.reason or problem.type,
        subject=problem.subject,
        reason=problem.detail,
        remedy=problem.remedy,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Outcome of an agent's command: its exit status (D19), its JSON, and the refusal if it was one."""

    status: int
    said: dict[str, Any]
    refusal: Refusal | None

    @property
    def outcome(self) -> str:
        """One word for the line that tells of it."""
        return f"refused: {self.refusal.code}" if self.refusal else str(self.said.get("outcome", "?"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """PEM files of the factory image (D20)."""

    es_root: Path
    operators_root: Path
    tls_root: Path


class Device:
    """A device with a name and a number; the number gives it its user ids."""

    def __init__(self, name: str, number: int, *, site: Site, processes: Processes, maker: TpmMaker) -> None:
        self.name = name
        self._site, self._processes, self._maker = site, processes, maker
        users: DeviceIdentities | None = identities(number)
        self._tre_user = users.tre if users else None
        self._agent_user = users.agent if users else None
        self._person = users.person if users else None
        self._folder = site.role(f"devices/{name}")
        self.run = site.device_run(name, self._tre_user)
        self._config = self._folder / "agent.toml"
        self._agent: subprocess.Popen[bytes] | None = None
        self.image = site.image
        self.planted: dict[str, str] = {}
        self._tre_command: list[str] = []
        self.ownership = ""
        """The supplier's signed record of the owner, which its TRE takes for consent; put in before power-on."""
        self.rate: Mapping[str, int] = {}
        """The factory's setting of what its TRE signs: `burst`, `interval_ms`; empty for those it is shipped with."""
        self.device_policy = ""
        """The supplier's signed policy for every MID in it; put in before power-on."""

    @property
    def tpm_state(self) -> Path:
        """Where the TPM on the board keeps its state."""
        return self._folder / "tpm"

    def manufacture(self) -> None:
        """Put a TPM of the maker on the board."""
        state = self._private("tpm", None)
        self._maker.manufacture(state)
        give(state, self._tre_user)

    def power_on(self, release: Release, *, anchors: Anchors, random_bytes: RandomBytes) -> None:
        """Reset the TPM, extend what firmware and loaders of `release` would measure, start the TRE."""
        self.power_off()
        self._start_tpm()
        log = boot_log(release)
        with self.firmware(random_bytes) as tpm:
            extend(log, tpm)
        boot_log_file = self._folder / "boot_log"
        boot_log_file.write_bytes(encode_event_log(log))
        self._start_tre(boot_log_file, anchors)

    def _start_tpm(self) -> None:
        state, owner = self._folder / "tpm", self._tre_user
        self._maker.start(self._processes, f"{self.name}-tpm", state=state, run=self.run, owner=owner)

    def _start_tre(self, boot_log_file: Path, anchors: Anchors) -> None:
        agent_uid = self._agent_user.uid if self._agent_user else os.geteuid()
        owned: dict[str, object] = {}
        for name, token in {"ownership": self.ownership, "device_policy": self.device_policy}.items():
            (self._folder / name).write_text(token)
            owned |= {name: self._folder / name} if token else {}
        config = write_toml(
            self._folder / "tre.toml",
            owned
            | ({"rate": dict(self.rate)} if self.rate else {})
            | {
                "tpm": SOCKET,
                "socket": "tre.sock",
                "agent_uid": agent_uid,
                "state_dir": self._private("tre", self._tre_user),
                "boot_log": boot_log_file,
                "anchors": {"es_root": anchors.es_root, "operators_root": anchors.operators_root},
                "mmi_socket": MMI_SOCKET,
                "mmi_uid": self._person.uid if self._person else os.geteuid(),
            },
        )
        self._tre_command = python_command(
            "m2me_agent.tre.app", "--config", str(config), *_as(self._tre_user)
        )
        self._processes.start_service(f"{self.name}-tre", self._tre_command, image=self.image, cwd=self.run)

    def restart_tre(self, meanwhile: Callable[[TpmConnection], None], *, random_bytes: RandomBytes) -> None:
        """Stop the TRE, let somebody at the TPM, and start the TRE again; the machine is not reset."""
        name = f"{self.name}-tre"
        self._processes.stop(name)
        with self.firmware(random_bytes) as tpm:
            meanwhile(tpm)
        (self.run / "tre.sock").unlink(missing_ok=True)
        self._processes.start_service(name, self._tre_command, image=self.image, cwd=self.run)

    def power_off(self) -> None:
        """Stop TRE and TPM."""
        for part in ("tre", "tpm"):
            self._processes.stop(f"{self.name}-{part}")
        for leftover in self.run.glob("*.sock"):
            leftover.unlink()

    @contextmanager
    def firmware(self, random_bytes: RandomBytes) -> Iterator[TpmConnection]:
        """The TPM as firmware and boot loaders reach it, before any TRE runs."""
        transport = SocketTpm(self.run / SOCKET)
        try:
            yield TpmConnection(transport.transmit, random_bytes)
        finally:
            transport.close()

    def endorsement_key(self, random_bytes: RandomBytes) -> Public:
        """Public area of the EK, as the factory line reads it for the batch list."""
        self._start_tpm()
        with self.firmware(random_bytes) as tpm:
            public = tpm.read_public(EK_RSA_HANDLE).public
        self.power_off()
        return public

    def connect_agent(self, urls: Mapping[str, str], *, anchors: Anchors) -> None:
        """Configure the agent with its services: `ca_url`, `pva_url`, and with a network `vno_url`, `drf_url`."""
        settings = {"tre_socket": "tre.sock", "tls_root": anchors.tls_root}
        write_toml(self._config, {**settings, **urls})

    def provision(
        self,
        *,
        on_event: Callable[[Mapping[str, Any], int], None],
        choice: str = "",
        bearer: Path | None = None,
    ) -> Answer:
        """Run `m2me provision` as the agent's user; each step that it tells is handed on as it happens.

        `on_event` takes the step and the agent's process id; `bearer` is a file with one that serves already.
        """
        arguments = ["provision", "--config", str(self._config), "-o", "json", *_as(self._agent_user)]
        arguments += ["--choice", choice] if choice else []
        arguments += [] if bearer is None else ["--bearer", str(bearer)]
        said: dict[str, Any] = {}
        with (
            (self._site.logs / f"{self.name}-agent.log").open("ab") as log,
            subprocess.Popen(  # noqa: S603 - our own modules with fixed arguments
                python_command("m2me_agent.agent.cli", *arguments),
                cwd=self.run,
                env=environment(self._site.image) | self.planted,
                stdout=subprocess.PIPE,
                stderr=log,
            ) as agent,
        ):
            self._agent = agent
            for line in agent.stdout or ():
                said = json.loads(line)
                if "step" in said:
                    on_event(said, agent.pid)
        error = said.get("error")
        return Answer(status=agent.returncode, said=said, refusal=Refusal(**error) if error else None)

    def kill_agent(self) -> None:
        """End a `m2me provision` that runs, without warning, as a power cut would."""
        if self._agent is not None:
            self._agent.kill()

    def person(self, command: str, *arguments: str) -> str:
        """What the person at the device's MMI does (`pending`, `consent CODE`, `refuse CODE`), and is told."""
        options = ["--socket", MMI_SOCKET, *_as(self._person)]
        done = self._run(python_command("m2me_agent.mmi", command, *options, *arguments), b"")
        return (done.stdout or done.stderr).decode().strip()

    def agent(self, command: str, *options: str) -> Answer:
        """Run a command of `m2me` other than `provision` as the agent's user."""
        arguments = [command, "--config", str(self._config), "-o", "json", *_as(self._agent_user), *options]
        done = self._run(python_command("m2me_agent.agent.cli", *arguments), b"")
        said = _last_json(done.stdout)
        error = said.get("error")
        return Answer(status=done.returncode, said=said, refusal=Refusal(**error) if error else None)

    def evidence_for(self, token: str) -> bytes | Refusal:
        """Hand the TRE a challenge token, as its agent could: evidence, or the TRE's refusal."""
        answer = self.ask_tre(Operation.ATTEST, {"challenge_token": token})
        return answer if isinstance(answer, Refusal) else bytes(answer["evidence"])

    def ask_tre(
        self, operation: Operation, parameters: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any] | Refusal:
        """Ask the TRE for anything that its agent may ask for: the result, or the TRE's refusal."""
        request = encode_request(Request(operation=operation, parameters=parameters or {}))
        arguments = ["--socket", "tre.sock", *_as(self._agent_user)]
        done = self._run(python_command("lab.carrier", *arguments), request)
        answer = decode_response(done.stdout, operation=operation)
        if isinstance(answer, tre_protocol.Refusal):
            return Refusal(
                code=answer.code, subject=answer.subject, reason=answer.reason, remedy=answer.remedy
            )
        return answer

    def carrier(self, *options: str, is_person: bool = False) -> "subprocess.Popen[bytes]":
        """The agent's side of the TRE's socket (or the person's of the MMI's) as a process that stays (see `lab.carrier`)."""
        peer = self._person if is_person else self._agent_user
        where = MMI_SOCKET if is_person else "tre.sock"
        with (self._site.logs / f"{self.name}-agent.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own module with fixed arguments
                python_command("lab.carrier", "--socket", where, *_as(peer), *options),
                cwd=self.run,
                env=environment(self._site.image),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def agent_services(self) -> Mapping[str, Any]:
        """What the agent is configured with: the URLs of its services, and the root of their certificates."""
        settings: dict[str, Any] = tomllib.loads(self._config.read_text())
        return settings

    @property
    def has_grant(self) -> bool:
        """Whether its agent has kept a grant that it goes on with when it is started again."""
        folder: Path = AgentSettings.model_fields["download_folder"].default
        return (self.run / folder / GRANT_FILE).exists()

    @property
    def tre_state(self) -> Path:
        """Where the TRE keeps its files: what a thief with the disk has in hands."""
        return self._folder / "tre"

    def _run(self, command: list[str], standard_input: bytes) -> "subprocess.CompletedProcess[bytes]":
        done = subprocess.run(  # noqa: S603 - our own modules with fixed arguments
            command,
            cwd=self.run,
            env=environment(self._site.image),
            input=standard_input,
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        with (self._site.logs / f"{self.name}-agent.log").open("ab") as log:
            log.write(done.stderr)
        return done

    def _private(self, name: str, owner: Identity | None) -> Path:
        folder = self._folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        give(folder, owner)
        return folder


def _as(user: Identity | None) -> list[str]:
    return [] if user is None else ["--user", f"{user.uid}:{user.gid}"]


def _last_json(output: bytes) -> dict[str, Any]:
    for line in reversed(output.decode(errors="replace").splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}
