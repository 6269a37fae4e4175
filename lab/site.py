"""Where the lab keeps things: one folder a role below .pva/lab, sockets in a private temporary folder.

Rule: nothing outside these two. A UNIX socket's path ends at 107 bytes, so sockets lie in a mode-0700 folder
under $XDG_RUNTIME_DIR or the temporary folder, one sub-folder a device, which is the working directory of the
device's processes: they name their sockets without a path.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FIRST_DEVICE_UID = 58_000  # below Debian's reserved ranges; the lab owns what it makes there


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user id (and the group id of the same number) that a device's process runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIdentities:
    """The identities of one device: its TRE (and TPM), its agent, and the person at its MMI."""

    tre: Identity
    agent: Identity
    person: Identity


def identities(number: int) -> DeviceIdentities | None:
    """Identities of the device with this number, or None where the invoker is not root.

    Without root every process runs as the invoker: peer credentials and file modes then separate nothing.
    """
    if os.geteuid() != 0:
        return None
    tre, agent, person = (
        Identity(uid=each, gid=each)
        for each in range(FIRST_DEVICE_UID + 3 * number, FIRST_DEVICE_UID + 3 * number + 3)
    )
    return DeviceIdentities(tre=tre, agent=agent, person=person)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The folders of one lab."""

    state: Path
    run: Path
    image: Path

    def role(self, name: str) -> Path:
        """State folder of a role, mode 0700."""
        folder = self.state
        for part in Path(name).parts:  # parents too: mkdir(parents=True) would give them the umask's mode
            folder /= part
            folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def device_run(self, name: str, owner: Identity | None) -> Path:
        """Run folder of a device: its TRE's own, the agent may only walk through it."""
        folder = self.run / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700 if owner is None else 0o711)
        give(folder, owner)
        return folder

    @property
    def logs(self) -> Path:
        """Folder of the processes' logs."""
        return self.state / "logs"

    @property
    def artefacts(self) -> Path:
        """Folder of what strangers re-check: certificates, quotes, results, OCSP answers."""
        return self.role("artefacts")


def give(path: Path, owner: Identity | None) -> None:
    """Hand a file or folder, and all below it, to its owner."""
    if owner is None:
        return
    os.chown(path, owner.uid, owner.gid)
    if path.is_dir():
        for inner in path.rglob("*"):
            os.chown(inner, owner.uid, owner.gid, follow_symlinks=False)


@contextmanager
def open_site(state: Path, *, image: Path) -> Iterator[Site]:
    """A fresh lab: the state folder is emptied first, the run folder is removed at the end."""
    if state.exists():
        shutil.rmtree(state)
    state.mkdir(parents=True, mode=0o700)
    runtime = os.environ.get("XDG_RUNTIME_DIR")  # noqa: TID251 - wiring: where short socket paths may lie
    parent = runtime if runtime and Path(runtime).is_dir() and os.access(runtime, os.W_OK) else "/tmp"  # noqa: S108
    run = Path(tempfile.mkdtemp(prefix="pva-", dir=parent))
    try:
        yield Site(state=state, run=run, image=image)
    finally:
        shutil.rmtree(run, ignore_errors=True)
