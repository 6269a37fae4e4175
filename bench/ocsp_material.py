"""What `./dev bench ocsp` asks and about what: a CA, its delegate, a store of any size, requests, and openssl's files."""

import contextlib
import itertools
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp

from bench.load import get, post
from edge.database import engine_for, migrate, transaction
from edge.keys import create_passphrase, create_private_key
from edge.process import system_clock, system_random
from ocsp.store import METADATA, MIGRATIONS, SqlStatusStore, StoredDelegate
from standards.pki import oids
from standards.pki.fingerprints import ca_id, spki_sha256
from standards.pki.ocsp import issuer_hashes
from tests.fakes.ocsp import DELEGATE_EXTENSIONS
from tests.fakes.pki import Authority, Validity

HOT = 1_000
"""So many different certificates are asked for without a nonce."""
NONCES = 20_000
_BATCH = 50_000
_SHA256 = "2.16.840.1.101.3.4.2.1"
_LONG = Validity(before=timedelta(days=3650), after=timedelta(days=3650))


class Material:
    """A folder with a responder's store of so many good certificates, and requests about them."""

    def __init__(self, folder: Path, *, certificates: int) -> None:
        """Make everything; a million certificates take some seconds."""
        folder.mkdir(mode=0o700)
        self.folder, self.certificates = folder, certificates
        self.authority = Authority.root("bench", validity=_LONG)
        self.delegate_key, self.delegate = self._delegate()
        self._fill()
        every = max(1, certificates // HOT)
        self.gets = [
            get("/" + quote(b64encode(self.request(serial)).decode("ascii"), safe=""))
            for serial in itertools.islice(range(1, certificates + 1, every), HOT)
        ]
        # a step that shares no factor with the size visits every part of the store
        step = 7_919
        self.nonces = [
            post(self.request(1 + number * step % certificates, nonce=system_random(32)))
            for number in range(NONCES)
        ]

    def request(self, serial: int, *, nonce: bytes | None = None) -> bytes:
        """DER of a request about one certificate."""
        _, name_hash, key_hash = issuer_hashes(self.authority.certificate, _SHA256)
        builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
            name_hash, key_hash, serial, hashes.SHA256()
        )
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.build().public_bytes(Encoding.DER)

    def _delegate(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        create_passphrase(self.folder / "passphrase", random_bytes=system_random)
        key = create_private_key(self.folder / "ocsp.key", passphrase_file=self.folder / "passphrase")
        return key, self.authority.issue(
            "delegate",
            key=key.public_key(),
            eku=oids.EKU_OCSP_SIGNING,
            extensions=DELEGATE_EXTENSIONS,
            validity=_LONG,
        )

    def _fill(self) -> None:
        engine = engine_for(f"sqlite:///{self.folder / 'ocsp.db'}")
        migrate(engine, MIGRATIONS)
        issuer, until = ca_id(self.authority.certificate), system_clock() + timedelta(days=3650)
        insert = sa.insert(METADATA.tables["statuses"])
        for first in range(1, self.certificates + 1, _BATCH):
            serials = range(first, min(first + _BATCH, self.certificates + 1))
            rows = [
                {"issuer": issuer, "serial": f"{serial:040x}", "not_after": until, "version": 1}
                for serial in serials
            ]
            with transaction(engine) as connection:
                connection.execute(insert, rows)
        SqlStatusStore(engine).save_delegate(
            StoredDelegate(
                issuer=issuer,
                issuer_certificate=self.authority.certificate,
                key_sha256=spki_sha256(self.delegate_key.public_key()),
                certificate=self.delegate,
            )
        )
        engine.dispose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process and its port."""

    pid: int
    port: int


class OpensslResponder:
    """`openssl ocsp` for the same CA, with the same delegate's kind of certificate."""

    def __init__(self, material: Material, *, core: int) -> None:
        """Write its files; it is not started yet."""
        self._folder, self._core = material.folder, core
        self.request = (
            b"POST / HTTP/1.0\r\nContent-Type: application/ocsp-request\r\nContent-Length: "
            + str(len(material.request(1))).encode()
            + b"\r\n\r\n"
            + material.request(1)
        )
        pem = Encoding.PEM
        (self._folder / "ca.pem").write_bytes(material.authority.certificate.public_bytes(pem))
        (self._folder / "delegate.pem").write_bytes(material.delegate.public_bytes(pem))
        bare = material.delegate_key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption())
        (self._folder / "delegate.key").touch(mode=0o600)
        (self._folder / "delegate.key").write_bytes(bare)
        (self._folder / "index.txt").write_text("V\t350101000000Z\t\t01\tunknown\t/CN=device\n")

    @contextlib.contextmanager
    def running(self) -> Iterator[Running | None]:
        """Where it runs while the block does; None where there is no openssl."""
        openssl, taskset = shutil.which("openssl"), shutil.which("taskset")
        if openssl is None or taskset is None:
            yield None
            return
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [taskset, "-c", str(self._core), openssl, "ocsp", "-index", "index.txt", "-port", str(port)]
        command += ["-rsigner", "delegate.pem", "-rkey", "delegate.key", "-CA", "ca.pem", "-nmin", "5"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen([*command, "-ignore_err"], cwd=self._folder, stdout=quiet, stderr=quiet)  # noqa: S603
        try:
            _wait_for(port, self.request)
            yield Running(pid=process.pid, port=port)
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int, request: bytes) -> None:
    # a whole request: a connection that says nothing would keep this server busy
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(request)
            if probe.recv(4096):
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing answers on port {port}")
