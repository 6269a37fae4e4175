"""`pva serve` and `pva doctor` as operators use them: a CA and a responder under one supervisor, and what is told of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.ca_service import ROOT
from tests.end_to_end.status_services import StatusServices
from tests.forked_python import run_module

SERVICES = """
stop_within_s = 15

[services.ca]
role = "ca"
config = "ca/ca.toml"

[services.ocsp-1]
role = "ocsp"
config = "of-ocsp-1/ocsp.toml"
"""
WAIT_S = 60.0
MANAGED = '\n[management]\nsocket = "m.sock"\nexpiry_horizon_days = {days}\n'


class Served:
    """The supervisor's process, its services' folders, and an administrator's settings."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        made = StatusServices.set_up(
            folder, ca_database="", responders={"ocsp-1": f"sqlite:///{folder}/of-ocsp-1/ocsp.db"}
        )
        self.folder, self.services = folder, folder / "services.toml"
        self.services.write_text(SERVICES)
        ca = made.ca.folder / "ca.toml"
        text = ca.read_text().replace('database = ""', f'database = "sqlite:///{made.ca.folder}/ca.db"')
        ca.write_text(text + f"port = {port}\n" + MANAGED.format(days=14))
        (responder,) = made.responders
        responder.write(ca=made.ca.folder, url=f"https://127.0.0.1:{port}")
        ocsp = responder.folder / "ocsp.toml"
        ocsp.write_text(ocsp.read_text() + MANAGED.format(days=36_000 // 10))
        first = made.ca.folder / "first"
        self.config = folder / "admin.toml"
        self.config.write_text(
            f'ca_url = "https://127.0.0.1:{port}"\ntls_root = "{first}/tls-root.pem"\n'
            f'certificate = "{first}/admin.pem"\nkey = "{first}/admin.key"\npassphrase_file = "{first}/passphrase"\n'
        )
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}

    def start(self) -> None:
        """Run until every service accepts."""
        command = [sys.executable, "-P", "-m", "cli", "serve", str(self.services)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-2000:]
        self.ready = json.loads(line)

    def stop(self) -> int:
        """Ask it to end."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    def lines(self) -> list[dict[str, Any]]:
        """What it and its services logged."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def pids(self) -> dict[str, int]:
        """The processes of the services, by their names: children of the supervisor."""
        assert self.process is not None
        found = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
                words = (status.parent / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and b"--config" in words:
                found[words[words.index(b"-m") + 1].decode()] = int(status.parent.name)
        return found

    def doctor(self, *more: str, code: int) -> dict[str, Any]:
        """What `pva doctor` says."""
        command = [sys.executable, "-P", "-m", "cli", "doctor", "-o", "json", *more]
        done = run_module(command, cwd=ROOT)
        assert done.returncode == code, done.stdout + done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def codes(said: dict[str, Any], *, when: str) -> set[str]:
    return {row["code"] for row in said["complaints"] if row["when"] == when}


def until(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("s"))
    made.start()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.stop()


def test_every_service_is_a_process_of_its_own(served: Served) -> None:
    assert set(served.ready["services"]) == {"ca", "ocsp-1"}
    assert set(served.ready["services"]["ca"]) == {"public", "device", "operator", "management"}
    assert set(served.pids()) == {"ca.app", "ocsp.app"}


def test_the_doctor_says_what_is_missing_and_what_will_end(served: Served) -> None:
    said = served.doctor("--config", str(served.config), "--services", str(served.services), code=1)
    # a responder that has no issuing CA to answer for cannot work yet
    assert codes(said, when="now") == {"no-issuer"}
    assert {"not-named", "role-missing", "certificate-expiring"} <= codes(said, when="soon")
    assert all(row["remedy"] for row in said["complaints"])


@pytest.mark.negative
def test_what_others_may_read_or_write_is_named_with_the_command_that_mends_it(served: Served) -> None:
    key = served.folder / "of-ocsp-1" / "private" / "ocsp.key"
    served.config.chmod(0o666)
    key.chmod(0o644)
    try:
        said = served.doctor("--config", str(served.config), "--services", str(served.services), code=1)
    finally:
        served.config.chmod(0o600)
        key.chmod(0o600)
    remedies = {row["code"]: row["remedy"] for row in said["complaints"]}
    assert remedies["settings-writable"] == f"chmod go-w {served.config}"
    assert remedies["key-file"] == f"chmod 600 {key}"


@pytest.mark.negative
def test_a_service_that_is_not_there_is_told_apart_from_one_that_is_somebody_else(served: Served) -> None:
    text = served.config.read_text()
    away = served.folder / "away.toml"
    away.write_text(text.replace(text.splitlines()[0], 'ca_url = "https://127.0.0.1:1"'))
    assert codes(served.doctor("--config", str(away), code=4), when="now") == {"unreachable"}
    other = served.folder / "other.toml"
    ca = served.folder / "ca"
    other.write_text(text.replace(f"{ca}/first/tls-root.pem", f"{ca}/first/operators-root.pem"))
    assert codes(served.doctor("--config", str(other), code=1), when="now") == {"server-certificate"}


@pytest.mark.negative
def test_a_service_that_dies_is_started_again(served: Served) -> None:
    killed = served.pids()["ocsp.app"]
    os.kill(killed, signal.SIGKILL)
    until(lambda: any(line["event"] == "service-started-again" for line in served.lines()))
    assert served.pids()["ocsp.app"] != killed
    (ended,) = [line for line in served.lines() if line["event"] == "service-ended"]
    assert (ended["service"], ended["code"]) == ("ocsp-1", -signal.SIGKILL)


def test_a_hangup_restarts_one_after_the_other(served: Served) -> None:
    assert served.process is not None
    before = served.pids()
    served.process.send_signal(signal.SIGHUP)
    until(lambda: sum(line["event"] == "service-restarted" for line in served.lines()) == 2)
    assert set(served.pids()) == set(before)
    assert not set(served.pids().values()) & set(before.values())


def test_at_its_end_none_is_left_and_requests_at_work_were_finished(served: Served) -> None:
    pids = served.pids()
    assert served.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert not (served.folder / "ca" / "m.sock").exists()


@pytest.mark.negative
def test_a_service_that_never_was_ready_ends_the_start_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "ca.toml").write_text('database = "sqlite:////nonexistent/x"\n')
    services = tmp_path / "services.toml"
    services.write_text('[services.ca]\nrole = "ca"\nconfig = "ca.toml"\n')
    command = [sys.executable, "-P", "-m", "cli", "serve", str(services)]
    done = run_module(command, cwd=ROOT)
    assert done.returncode == 1
    assert "[service-ended]" in done.stderr
    assert "keys: is missing" in done.stderr


@pytest.mark.negative
def test_a_supervisor_that_is_killed_leaves_nobody_behind(tmp_path: Path) -> None:
    made = Served(tmp_path)
    made.start()
    pids = made.pids()
    assert made.process is not None
    assert made.process.stdout is not None
    made.process.kill()
    made.process.wait()
    made.process.stdout.close()
    until(lambda: not any(alive(pid) for pid in pids.values()))


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
