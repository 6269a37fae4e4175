"""The TPMs of the lab's devices: swtpm where it is installed, the software TPM of this project where not.

Rule: whoever uses a TPM sees a UNIX socket that takes raw commands, and cannot tell which of the two it is.
A maker is what certifies its TPMs' endorsement keys: its roots are what the CA is configured to trust. Starting
a TPM's process is a TPM reset (TPM 2.0 Part 1, clause 12.2.3): PCRs at their reset values, resetCount + 1.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.process import system_clock, system_random
from lab.processes import ProcessError, Processes, python_command
from lab.site import Identity
from lab.software_tpm.manufacture import manufacture

SOCKET = "tpm.sock"
START_TIMEOUT_S = 15.0


class TpmMakerError(Exception):
    """A TPM could not be made."""


class TpmMaker(Protocol):
    """Makes TPMs with certified endorsement keys, and starts them."""

    kind: str

    def roots(self) -> list[Path]:
        """Certificates (PEM) of the maker's CA, root and intermediates."""

    def manufacture(self, state: Path) -> None:
        """Make a TPM whose state lies in the folder `state`."""

    def start(
        self, processes: Processes, name: str, *, state: Path, run: Path, owner: Identity | None
    ) -> None:
        """Reset and start it; it listens on `run`/tpm.sock, mode 0600, as `owner`."""


def choose_maker(folder: Path, *, image: Path, software: bool) -> TpmMaker:
    """Swtpm where it is installed and not declined, else the software TPM."""
    folder.mkdir(parents=True, exist_ok=True)
    have_swtpm = shutil.which("swtpm") is not None and shutil.which("swtpm_setup") is not None
    return SoftwareTpmMaker(folder, image) if software or not have_swtpm else SwtpmMaker(folder)


@dataclass(frozen=True, slots=True)
class SwtpmMaker:
    """TPMs by swtpm, certified by a local CA whose keys lie in `folder`, nowhere else."""

    folder: Path
    kind = "swtpm"

    def roots(self) -> list[Path]:
        """Root and issuing certificate of swtpm's local CA (made with the first TPM)."""
        return [self.folder / "swtpm-localca-rootca-cert.pem", self.folder / "issuercert.pem"]

    def manufacture(self, state: Path) -> None:
        """Run swtpm_setup; RSA-2048 and P-384 endorsement keys with certificates in NV."""
        command = [
            "swtpm_setup",
            "--tpm2",
            "--tpmstate",
            str(state),
            "--create-ek-cert",
            "--create-platform-cert",
        ]
        command += [
            "--lock-nvram",
            "--pcr-banks",
            "sha256",
            "--config",
            str(self._configuration()),
            "--overwrite",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
        if done.returncode != 0:
            raise TpmMakerError(
                f"swtpm_setup made no TPM in {state}: {done.stderr.strip() or done.stdout.strip()}"
            )

    def _configuration(self) -> Path:
        here = self.folder.resolve()
        setup, local_ca, options = here / "setup.conf", here / "localca.conf", here / "localca.options"
        if not setup.exists():
            local_ca.write_text(
                f"statedir = {here}\nsigningkey = {here}/signkey.pem\n"
                f"issuercert = {here}/issuercert.pem\ncertserial = {here}/certserial\n"
            )
            options.write_text("--platform-manufacturer lab\n--platform-version 1\n--platform-model lab\n")
            setup.write_text(
                f"create_certs_tool = {shutil.which('swtpm_localca')}\ncreate_certs_tool_config = {local_ca}\n"
                f"create_certs_tool_options = {options}\nactive_pcr_banks = sha256\n"
            )
        return setup

    def start(
        self, processes: Processes, name: str, *, state: Path, run: Path, owner: Identity | None
    ) -> None:
        """Start swtpm with its state behind a descriptor: `owner` may not be able to walk the path to it."""
        with _directory(state) as state_fd:
            command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir=/proc/self/fd/{state_fd},mode=0600"]
            command += [
                "--server",
                f"type=unixio,path={SOCKET},mode=0600",
                "--flags",
                "not-need-init,startup-clear",
            ]
            command += ["--ctrl", "type=unixio,path=tpm-control.sock,mode=0600"]
            uid = None if owner is None else owner.uid
            started = processes.start_plain(name, command, cwd=run, keep_fds=[state_fd], owner=uid)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _accepts(run / SOCKET):
            if started.process.poll() is not None or time.monotonic() > deadline:
                raise ProcessError(name, "did not open its socket", started.log)
            time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class SoftwareTpmMaker:
    """TPMs by lab.software_tpm, certified by a lab root that only the lab profile recognises."""

    folder: Path
    image: Path
    kind = "software TPM"

    def roots(self) -> list[Path]:
        """Root and intermediate certificate of the lab's TPM maker (made with the first TPM)."""
        return [self.folder / "root.pem", self.folder / "intermediate.pem"]

    def manufacture(self, state: Path) -> None:
        """Make state with certified endorsement keys."""
        manufacture(state, self.folder, random_bytes=system_random, clock=system_clock)

    def start(
        self, processes: Processes, name: str, *, state: Path, run: Path, owner: Identity | None
    ) -> None:
        """Start it and wait for its ready line."""
        command = python_command("lab.software_tpm", "--state", str(state), "--socket", SOCKET)
        if owner is not None:
            command += ["--user", f"{owner.uid}:{owner.gid}"]
        processes.start_service(name, command, image=self.image, cwd=run)


def _accepts(path: Path) -> bool:
    """Whether somebody listens: the socket's file appears a moment before."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)
