"""The lab's services as the units of deploy/systemd on a booted machine, placed as docs/OPERATIONS.md says.

The lab writes a service's settings, keys and first store into the folder of its role, as its administrators would. Here
the same files lie where the unit looks for them: settings and credentials in /etc/open-pva, state in /var/lib/open-pva.
"""

import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from cli.services_file import MODULES
from lab.configuration import write_toml
from lab.processes import RunningProcess, start_command
from tests.booted_machine import BootedMachine

ETC = Path("/etc/open-pva")
VAR = Path("/var/lib/open-pva")
LAB = Path("/srv/lab")
CREDENTIALS = {"passphrase": "{}", "subscriber-key": "{}-subscriber-key"}
"""Name of a credential, which is the file's in the lab too -> its file below /etc/open-pva/credentials."""

FOLLOW = """
journalctl "_SYSTEMD_INVOCATION_ID=$1" --output=cat --follow --lines=all &
tail --pid="$2" --sleep-interval=0.1 --follow /dev/null
sleep 0.2
kill $!
"""
PAUSE_S = 0.05


class UnitProcess:
    """A unit that runs; as much of a `subprocess.Popen` as the lab asks for."""

    def __init__(self, machine: BootedMachine, role: str) -> None:
        """Follow what the unit says from its start on; `pid` is the machine's own number for its main process."""
        self.machine, self.unit = machine, f"open-pva@{role}.service"
        self.pid = int(machine.shows(self.unit, "MainPID"))
        invocation = machine.shows(self.unit, "InvocationID")
        words = machine.command("/bin/sh", "-c", FOLLOW, "sh", invocation, str(self.pid))
        self._journal = subprocess.Popen(words, stdout=subprocess.PIPE)
        self.stdout = self._journal.stdout

    def poll(self) -> int | None:
        """Exit status, or None while it runs."""
        if self.machine.shows(self.unit, "ActiveState") not in {"inactive", "failed"}:
            return None
        self._journal.wait()
        return int(self.machine.shows(self.unit, "ExecMainStatus"))

    def wait(self, timeout: float | None = None) -> int:
        """Exit status. Raises subprocess.TimeoutExpired after so many seconds."""
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(self.unit, timeout)
            time.sleep(PAUSE_S)
        return code

    def send_signal(self, sig: int) -> None:
        """Send its main process a signal, where it still runs; systemd may start it again."""
        words = ("systemctl", "kill", "--kill-whom=main", f"--signal={sig}", self.unit)
        self.machine.run(*words, check=False)

    def terminate(self) -> None:
        """Ask systemd to stop it."""
        self.machine.run("systemctl", "stop", "--no-block", self.unit)

    def kill(self) -> None:
        """End it without warning, and for good."""
        self.send_signal(signal.SIGKILL)
        self.terminate()


@dataclass(slots=True, kw_only=True)
class Units:
    """Starts services of the lab whose folders lie in `state`, which the machine shows as /srv/lab."""

    machine: BootedMachine
    state: Path
    etc: Path
    placed: set[str] = field(default_factory=set)

    def start_module(
        self, command: Sequence[str], *, cwd: Path, stderr: IO[Any], env: Mapping[str, str] | None = None
    ) -> RunningProcess:
        """Start the unit of a role; what is no role of a service runs as the lab would have it."""
        words = list(command)
        module = words[words.index("-m") + 1]
        role = next((role for role, known in MODULES.items() if known == module), None)
        if role is None:
            return start_command(command, cwd=cwd, stderr=stderr, env=env)
        self._place(role, Path(words[words.index("--config") + 1]))
        unit = f"open-pva@{role}"
        self.machine.run("systemctl", "start", unit, check=False)
        assert self.machine.shows(unit, "ActiveState") == "active", self.said_by(unit)
        return UnitProcess(self.machine, role)

    def said_by(self, unit: str) -> str:
        """The journal of a unit, what systemd says of it included."""
        return self.machine.run("journalctl", "--unit", unit, "--output=cat", "--no-pager")

    def _place(self, role: str, config: Path) -> None:
        folder = config.parent
        if role not in self.placed:
            self.machine.run("mkdir", "-p", str(VAR))
            self.machine.run("cp", "-R", str(LAB / folder.relative_to(self.state)), str(VAR / role))
            self.placed.add(role)
        table = self._rewritten(tomllib.loads(config.read_text()), role=role, folder=folder)
        write_toml(self.etc / f"{role}.toml", table)

    def _rewritten(self, value: Any, *, role: str, folder: Path) -> Any:
        """Settings in which every path is the one that the unit's process finds."""
        if isinstance(value, Mapping):
            return {name: self._rewritten(each, role=role, folder=folder) for name, each in value.items()}
        if isinstance(value, list):
            return [self._rewritten(each, role=role, folder=folder) for each in value]
        if not isinstance(value, str) or str(self.state) not in value:
            return value
        inner = value.replace(f"{folder}/", f"{VAR / role}/")
        if inner != value:
            return self._credential(role, folder, value) or inner
        path = Path(value)
        if path.name.endswith("-root.pem"):  # from whoever keeps it
            public = self.etc / path.name
            shutil.copy(path, public)
            public.chmod(0o644)
            return str(ETC / public.name)
        other = path.parent.relative_to(self.state)  # an identity that another role has too: a relay's
        kept = VAR / role / "-".join(other.parts)
        self.machine.run("cp", "--recursive", "--no-target-directory", str(LAB / other), str(kept))
        return str(kept / path.name)

    def _credential(self, role: str, folder: Path, value: str) -> str:
        """Where the unit finds a secret that is given to it; "" for a file that it keeps itself."""
        own = {name: folder / name for name in CREDENTIALS}
        if not own[
            "passphrase"
        ].exists():  # a role that signs nothing has the passphrase of its TLS keys alone
            own["passphrase"] = folder / "tls" / "passphrase"
        path = Path(value)
        if path not in own.values():
            return ""
        kept = self.etc / "credentials" / CREDENTIALS[path.name].format(role)
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(path, kept)
        kept.chmod(0o600)
        return f"/run/credentials/open-pva@{role}.service/{path.name}"
