"""Two users of OCSP that carry it inside TLS: a web server that staples, and Java's path validation."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from standards.pki.ocsp_answer import StatusKind
from tests.conformance.ocsp_service import LONG, pem
from tests.conformance.test_ocsp_judges import World
from tests.fakes.pki import p256
from tests.tools import need

STAPLED = 0x70
CHECK = Path(__file__).with_name("OcspCheck.java")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("ocsp"))
    yield made
    assert made.service.stop() == 0
    made.ca.stop()


@pytest.fixture
def nginx(world: World) -> Iterator[int]:
    """Port of an nginx that staples."""
    binary, folder = need("nginx"), world.folder
    key = p256()
    leaf = world.line.issue("device", key=key.public_key(), serial=STAPLED, validity=LONG)
    world.ca.tell(world.line, serial=STAPLED)
    # it asks once, and not again for minutes after an answer that it cannot use
    world.certificates["device"] = leaf
    world.until(lambda: world.status("device") is StatusKind.GOOD)
    (folder / "tls.pem").write_text(pem(leaf) + pem(world.line.certificate))
    (folder / "tls.key").touch(mode=0o600)
    (folder / "tls.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "root.pem").write_text(pem(world.root.certificate))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    places = "\n".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log info;
        events {{}}
        http {{
            access_log off; {places}
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {folder}/tls.pem; ssl_certificate_key {folder}/tls.key;
                ssl_stapling on; ssl_stapling_verify on;
                ssl_stapling_responder {world.service.url}/;
                ssl_trusted_certificate {folder}/chain.pem;
                return 204;
            }}
        }}
        """
    )
    command = [binary, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield port
    process.terminate()
    process.wait(timeout=20)


@pytest.mark.requirement("R101")
def test_nginx_staples_what_it_fetched(world: World, nginx: int) -> None:
    command = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{nginx}", "-status"]
    deadline, told = time.monotonic() + 30, ""
    while "OCSP Response Status: successful" not in told:
        assert time.monotonic() < deadline, told + (world.folder / "nginx.log").read_text()
        done = subprocess.run(
            [*command, "-CAfile", str(world.folder / "root.pem")],
            input="",
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        told = done.stdout + done.stderr
        time.sleep(0.2)
    assert "Cert Status: good" in told
    assert "Verify return code: 0 (ok)" in told


@pytest.mark.requirement("R101")
@pytest.mark.check("O2")
@pytest.mark.parametrize("nonce", ["true", "false"])
@pytest.mark.parametrize(
    ("name", "verdict"), [("good", "GOOD"), ("revoked", "REVOKED"), ("unknown", "UNDETERMINED")]
)
def test_java_judges_as_it_should(world: World, nonce: str, name: str, verdict: str) -> None:
    need("javac")  # a runtime alone does not run a source file
    command = [need("java"), f"-Djdk.security.certpath.ocspNonce={nonce}", str(CHECK)]
    files = [str(world.folder / "line.pem"), str(world.folder / f"{name}.pem")]
    done = subprocess.run(
        [*command, *files, world.service.url], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.startswith(verdict), done.stdout + done.stderr
