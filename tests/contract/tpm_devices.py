"""TPMs for the contract tests: swtpm and the software TPM of the lab, each behind a UNIX socket.

A test gets the running TPM through `RunningTpm`; `restart` is a TPM reset. Manufacturing is done once a run,
each test then works on a copy of that state. swtpm is a process. The software TPM is served by a thread, with the
lab's own server; as a process of its own ("software process") it runs where processes are the subject.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.process import system_clock, system_random
from lab.software_tpm.manufacture import manufacture as manufacture_software_tpm
from lab.software_tpm.server import Server, listen
from lab.software_tpm.software_tpm import SoftwareTpm
from lab.software_tpm.state_codec import decode_state
from lab.software_tpm.state_store import STATE_FILE, MemoryStore
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Handle
from standards.tpm2.errors import ResponseError
from standards.tpm2.structures import Public
from tests.tools import need

REPOSITORY = Path(__file__).resolve().parents[2]
KINDS = ("swtpm", "software")
_START_TIMEOUT_S = 20
_HEADER_BYTES = 10
SHORT_FOLDER = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"  # noqa: S108 - a UNIX path ends at 107 bytes, and the folder made in it is 0700
_LOCALCA_OPTIONS = "--platform-manufacturer Example\n--platform-version 1.0\n--platform-model Lab\n"


class SocketTransport:
    """A raw TPM byte stream: one command out, one response in."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self.exchanges: list[tuple[bytes, bytes]] = []
        """Everything that crossed the bus, for tests that listen there."""

    def __call__(self, command: bytes) -> bytes:
        """Send a command, return the response."""
        self._socket.sendall(command)
        header = self._receive(_HEADER_BYTES)
        response = header + self._receive(int.from_bytes(header[2:6], "big") - _HEADER_BYTES)
        self.exchanges.append((command, response))
        return response

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _receive(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            part = self._socket.recv(size - len(received))
            if not part:
                raise ConnectionError("the TPM closed the stream")
            received += part
        return received


class ServedTpm:
    """The software TPM, served by a thread of this process; what it saves outlives `stop`, as on a disk."""

    def __init__(self, state: Path) -> None:
        self._store = MemoryStore(decode_state((state / STATE_FILE).read_bytes()))
        self._thread: threading.Thread | None = None

    def start(self, path: Path) -> None:
        """TPM reset, Startup(CLEAR); served when this returns."""
        tpm = SoftwareTpm(self._store, random_bytes=system_random, clock=system_clock)
        self._server = Server(listen(path, owner=None), tpm.execute)
        self._thread = threading.Thread(target=self._serve, name="software-tpm", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._server:
            self._server.serve()

    def stop(self) -> None:
        """Power off."""
        if self._thread is not None:
            self._server.stop()
            self._thread.join(timeout=_START_TIMEOUT_S)
            self._thread = None


@dataclass(slots=True)
class RunningTpm:
    """A TPM over `state`; its socket lies in a short folder, since a UNIX path ends at 107 bytes."""

    kind: str
    state: Path
    run_folder: Path
    process: "subprocess.Popen[bytes] | None" = None
    transport: SocketTransport | None = None
    _served: ServedTpm | None = field(init=False, default=None)

    def start(self) -> TpmConnection:
        """Power on, Startup(CLEAR) included."""
        path = self.run_folder / "tpm"
        path.unlink(missing_ok=True)
        if self.kind == "software":
            self._served = self._served or ServedTpm(self.state)
            self._served.start(path)
            return self._connected(path)
        self.process = subprocess.Popen(
            self._command(path), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                return self._connected(path)
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError(f"{self.kind} did not start: exit status {self.process.poll()}")

    def _connected(self, path: Path) -> TpmConnection:
        self.transport = SocketTransport(path)
        return TpmConnection(self.transport, os.urandom, pause=time.sleep)

    def _command(self, path: Path) -> list[str]:
        if self.kind == "software process":
            return [
                sys.executable,
                "-m",
                "lab.software_tpm",
                "--state",
                str(self.state),
                "--socket",
                str(path),
            ]
        return [
            need("swtpm"),
            "socket",
            "--tpm2",
            "--tpmstate",
            f"dir={self.state}",
            "--server",
            f"type=unixio,path={path}",
            "--ctrl",
            f"type=unixio,path={path}.ctrl",
            "--flags",
            "not-need-init,startup-clear",
        ]

    def stop(self) -> None:
        """Power off."""
        if self.transport:
            self.transport.close()
        if self._served:
            self._served.stop()
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=_START_TIMEOUT_S)

    def restart(self) -> TpmConnection:
        """TPM reset: orderly shutdown, power off, power on."""
        if self.transport:
            TpmConnection(self.transport, os.urandom).shutdown()
        self.stop()
        return self.start()


def manufacture_swtpm(folder: Path) -> Path:
    """A swtpm with EKs and certificates; nothing is written outside `folder`."""
    state, authority = folder / "state", folder / "authority"
    for each in (state, authority):
        each.mkdir(parents=True)
    localca, options, setup = folder / "localca.conf", folder / "localca.options", folder / "setup.conf"
    localca.write_text(
        f"statedir = {authority}\nsigningkey = {authority}/signkey.pem\n"
        f"issuercert = {authority}/issuercert.pem\ncertserial = {authority}/certserial\n"
    )
    options.write_text(_LOCALCA_OPTIONS)
    setup.write_text(
        "create_certs_tool = /usr/bin/swtpm_localca\n"
        f"create_certs_tool_config = {localca}\ncreate_certs_tool_options = {options}\n"
    )
    subprocess.run(
        [
            *(need("swtpm_setup"), "--tpm2", "--tpmstate", str(state), "--config", str(setup)),
            *("--create-ek-cert", "--create-platform-cert", "--lock-nvram"),
            *("--pcr-banks", "sha1,sha256", "--write-ek-cert-files", str(state)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
        env={**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "TMPDIR": SHORT_FOLDER},
    )
    return state


def manufacture_software(folder: Path) -> Path:
    """A software TPM with EKs and certificates of a TPM maker of the laboratory."""
    made_in = folder / "state"
    manufacture_software_tpm(made_in, folder / "authority", random_bytes=system_random, clock=system_clock)
    return made_in


_MADE: dict[str, Path] = {}


def manufactured(kind: str, factory: pytest.TempPathFactory) -> Path:
    """State of a TPM of this kind with its EKs and certificates, made once a run; `running` copies it."""
    make = manufacture_swtpm if kind == "swtpm" else manufacture_software
    if make.__name__ not in _MADE:
        _MADE[make.__name__] = make(factory.mktemp(kind.split(maxsplit=1)[0]))
    return _MADE[make.__name__]


@contextlib.contextmanager
def running(kind: str, template: Path) -> Iterator[RunningTpm]:
    """A started TPM over a copy of `template`."""
    with tempfile.TemporaryDirectory(prefix="tpm-", dir=SHORT_FOLDER) as folder:
        state = Path(folder) / "state"
        shutil.copytree(template, state)
        tpm = RunningTpm(kind=kind, state=state, run_folder=Path(folder))
        try:
            yield tpm
        finally:
            tpm.stop()


@contextlib.contextmanager
def refused(rc: int) -> Iterator[None]:
    """The TPM answers with exactly this return code."""
    with pytest.raises(ResponseError) as caught:
        yield
    assert caught.value.rc == rc, str(caught.value)


def make_persistent(
    tpm: TpmConnection, *, hierarchy: int, template: Public, persistent: int, auth_value: bytes = b""
) -> TpmObject:
    """A primary object that keeps no transient slot."""
    transient = tpm.create_primary(hierarchy, template=template, auth_value=auth_value)
    tpm.evict_control(Handle.OWNER, subject=transient, persistent=persistent)
    tpm.flush_context(transient.handle)
    return TpmObject(handle=persistent, public=transient.public)
