"""The software TPM as a process: its socket, its state directory, its user, its manufacture."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.process import system_clock, system_random
from lab.software_tpm.errors import StateError
from lab.software_tpm.manufacture import manufacture
from lab.software_tpm.state_store import STATE_FILE, StateDirectory
from standards.pki.ek_certificate import validate_ek_certificate
from standards.pki.errors import PathError
from standards.pki.fingerprints import certificate_der, decode_pem_certificates, spki_der
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Handle
from standards.tpm2.key_checks import check_ek
from standards.tpm2.sessions import Password
from standards.tpm2.templates import AK_ECC_P256, EK_ECC_P384, EK_RSA_2048, GENERATION_COUNTER
from tests.contract.tpm_devices import REPOSITORY, SHORT_FOLDER, SocketTransport
from tests.tools import need

OTHER_UID, OTHER_GID = 4242, 4243
RANDOM_8 = bytes.fromhex("80010000000c0000017b0008")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, since a UNIX path ends at 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tpm-", dir=SHORT_FOLDER) as name:
        yield Path(name)


@contextlib.contextmanager
def served(*arguments: str, cwd: Path = REPOSITORY) -> Iterator["subprocess.Popen[str]"]:
    """The process, once it has said that it is ready."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, "-m", "lab.software_tpm", *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    try:
        ready = process.stdout.readline()
        assert ready, process.stderr.read()
        assert json.loads(ready)["role"] == "software-tpm"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@contextlib.contextmanager
def connected(path: Path) -> Iterator[TpmConnection]:
    """Typed commands over the socket."""
    transport = SocketTransport(path)
    try:
        yield TpmConnection(transport, os.urandom)
    finally:
        transport.close()


def test_what_was_answered_survives_a_kill(folder: Path) -> None:
    arguments = ("--state", str(folder / "state"), "--socket", str(folder / "tpm"))
    with served(*arguments) as process:
        with connected(folder / "tpm") as tpm:
            tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
            tpm.nv_increment(GENERATION_COUNTER)
            name = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256).name
        process.send_signal(signal.SIGKILL)
        process.wait()
    with served(*arguments), connected(folder / "tpm") as tpm:
        assert tpm.nv_read_counter(GENERATION_COUNTER.written()) == 1
        assert tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256).name == name
        assert tpm.read_clock().clock_info.reset_count == 2


def test_it_says_that_it_is_for_laboratories_and_stops_on_sigterm(folder: Path) -> None:
    with served("--state", str(folder / "state"), "--socket", str(folder / "tpm")) as process:
        process.terminate()
        assert process.wait(timeout=60) == 0
        assert process.stderr
        assert "for laboratories" in process.stderr.read()


@pytest.mark.negative
def test_a_stream_without_frames_ends_and_the_others_go_on(folder: Path) -> None:
    path = folder / "tpm"
    with served("--state", str(folder / "state"), "--socket", str(path)), connected(path) as tpm:
        for lost in (b"\x80\x01" + b"\xff" * 8, bytes(10)):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(path))
                client.sendall(lost)
                assert client.recv(100) == bytes.fromhex("80010000000a00000142")
                assert client.recv(100) == b""
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(str(path))
            slow.sendall(RANDOM_8[:5])
            assert len(tpm.get_random(8)) == 8
            slow.settimeout(10)
            slow.sendall(RANDOM_8[5:] + RANDOM_8)
            received = b""
            while len(received) < 40:
                received += slow.recv(100)
        assert len(tpm.get_random(8)) == 8


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
def test_another_user_keeps_its_tpm_below_a_path_that_it_cannot_walk(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with served(
        "--state", "state", "--socket", "tpm", "--user", f"{OTHER_UID}:{OTHER_GID}", cwd=closed
    ) as process:
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert f"Uid:\t{OTHER_UID}\t{OTHER_UID}\t{OTHER_UID}\t{OTHER_UID}" in status
        with connected(closed / "tpm") as tpm:
            tpm.self_test(full=True)
            tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
            tpm.nv_increment(GENERATION_COUNTER)
            with pytest.raises(Exception, match="0x9a2"):
                tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256, auth=Password(value=b"wrong"))
    for path in (closed / "tpm", closed / "state" / STATE_FILE):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (OTHER_UID, OTHER_GID)
        assert stat.S_IMODE(found.st_mode) == 0o600


@pytest.mark.negative
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--state DIR and --socket PATH"),
        (("--state", "{0}/s", "--socket", "{0}/" + "x" * 120), "at most 107 bytes"),
        (("--state", "{0}/s", "--socket", "{0}"), "no socket is there"),
        (("--state", "/dev/null/s", "--socket", "{0}/tpm"), "that you may read and write"),
        (("--state", "{0}/s", "--socket", "{0}/tpm", "--user", "root"), "expected numbers"),
        (("--state", "{0}/s", "--socket", "{0}/tpm", "--user", "0:0"), "unprivileged"),
    ],
)
def test_wrong_arguments_are_named(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    given = [each.format(folder) for each in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "lab.software_tpm", *given],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.negative
def test_a_state_directory_has_one_owner_and_one_process(folder: Path) -> None:
    state = folder / "state"
    first = StateDirectory.open(state)
    with pytest.raises(StateError, match="another process"):
        StateDirectory.open(state)
    first.close()
    state.chmod(0o755)
    with pytest.raises(StateError, match="chmod 0700"):
        StateDirectory.open(state)


@pytest.mark.negative
def test_a_damaged_state_is_refused_and_left_as_it_is(folder: Path) -> None:
    (folder / "state").mkdir(mode=0o700)
    (folder / "state" / STATE_FILE).write_bytes(b"damaged")
    directory = StateDirectory.open(folder / "state")
    with pytest.raises(StateError, match="manufacture"):
        directory.load()
    directory.close()
    assert (folder / "state" / STATE_FILE).read_bytes() == b"damaged"


@pytest.mark.check("A12")
def test_manufactured_eks_have_certificates_that_chain_to_their_maker(folder: Path) -> None:
    made = [
        manufacture(folder / name, folder / "ca", random_bytes=system_random, clock=system_clock)
        for name in ("one", "two")
    ]
    root, intermediate = (
        path.read_bytes() for path in (made[0].root_certificate, made[0].intermediate_certificate)
    )
    roots = [certificate_der(each) for each in decode_pem_certificates(root + intermediate)]
    with (
        served("--state", str(folder / "one"), "--socket", str(folder / "tpm")),
        connected(folder / "tpm") as tpm,
    ):
        for handle, index, template in (
            (Handle.EK_RSA_2048, Handle.EK_CERTIFICATE_RSA_2048, EK_RSA_2048),
            (Handle.EK_ECC_P384, Handle.EK_CERTIFICATE_ECC_P384, EK_ECC_P384),
        ):
            ek = tpm.read_public(handle).public
            check_ek(ek)
            certificate = tpm.nv_read_whole(tpm.nv_read_public(index))
            assert certificate == made[0].ek_certificates[handle]
            spki = spki_der(ek.public_key())
            chain = [certificate]
            found = validate_ek_certificate(chain, roots=roots, at=system_clock(), ek_spki=spki)
            assert found.make.model == "software-tpm"
            with pytest.raises(PathError):
                validate_ek_certificate(
                    [made[1].ek_certificates[handle]], roots=roots, at=system_clock(), ek_spki=spki
                )
            again = tpm.create_primary(Handle.ENDORSEMENT, template=template)
            assert again.public == ek
            tpm.flush_context(again.handle)


@pytest.mark.negative
def test_manufacture_leaves_a_tpm_and_a_broken_ca_alone(folder: Path) -> None:
    manufacture(folder / "one", folder / "ca", random_bytes=system_random, clock=system_clock)
    before = (folder / "one" / STATE_FILE).read_bytes()
    with pytest.raises(StateError, match="a TPM is there already"):
        manufacture(folder / "one", folder / "ca", random_bytes=system_random, clock=system_clock)
    assert (folder / "one" / STATE_FILE).read_bytes() == before
    (folder / "ca" / "intermediate.pem").unlink()
    with pytest.raises(StateError, match="name another directory"):
        manufacture(folder / "two", folder / "ca", random_bytes=system_random, clock=system_clock)
    assert not (folder / "two" / STATE_FILE).exists()


def test_the_command_line_manufactures_a_tpm_whose_maker_openssl_accepts(folder: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "lab.software_tpm", "manufacture"),
            *("--state", str(folder / "state"), "--ca", str(folder / "ca")),
        ],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        timeout=30,
    )
    ek = folder / "ek.der"
    with (
        served("--state", str(folder / "state"), "--socket", str(folder / "tpm")),
        connected(folder / "tpm") as tpm,
    ):
        for index in (Handle.EK_CERTIFICATE_RSA_2048, Handle.EK_CERTIFICATE_ECC_P384):
            ek.write_bytes(tpm.nv_read_whole(tpm.nv_read_public(index)))
            done = subprocess.run(
                [
                    *(need("openssl"), "verify", "-x509_strict", "-CAfile", str(folder / "ca/root.pem")),
                    *("-untrusted", str(folder / "ca/intermediate.pem"), str(ek)),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stdout.strip().endswith("OK"), done.stderr
