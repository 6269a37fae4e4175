"""A CA of the runner's own, with a delegate and three certificates, and the responders that it starts for them.

Made anew for each run in a folder that goes afterwards; the anchors are known to nobody else.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from clients.ca_status import StatusChange
from edge.database import engine_for, migrate
from edge.keys import create_passphrase, create_private_key, load_private_key
from edge.process import RandomBytes
from ocsp.store import MIGRATIONS, SqlStatusStore, StoredDelegate
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.fingerprints import ca_id, spki_sha256

_ROOT = Path(__file__).parents[2]
_LIFE = timedelta(days=2)
_WAIT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """The certificates, and the folder with the delegate's key and the responder's store."""

    folder: Path
    issuer: x509.Certificate
    delegate: x509.Certificate
    good: x509.Certificate
    revoked: x509.Certificate
    unknown: x509.Certificate


def make_hierarchy(folder: Path, *, now: datetime, random_bytes: RandomBytes) -> Hierarchy:
    """Make keys, certificates and the store of `ocsp`; `folder` is private and empty."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    create_passphrase(folder / "passphrase", random_bytes=random_bytes)
    key = create_private_key(folder / "ocsp.key", passphrase_file=folder / "passphrase")
    name = _name("conformance CA")

    def issued(
        subject: str, public: ec.EllipticCurvePublicKey, *more: tuple[x509.ExtensionType, bool]
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=name,
            subject_name=_name(subject),
            public_key=public,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - _LIFE,
            not_valid_after=now + _LIFE,
        )
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        for extension, critical in ((issuer_key, False), *more):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(ca_key, hashes.SHA256())

    responder = x509.UniformResourceIdentifier("http://127.0.0.1/")
    access = x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, responder)]
    )
    leaf = ec.generate_private_key(ec.SECP256R1()).public_key()
    good, revoked, unknown = (issued(each, leaf, (access, False)) for each in ("good", "revoked", "unknown"))
    signing = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    made = Hierarchy(
        folder=folder,
        issuer=issued(
            "conformance CA", ca_key.public_key(), (x509.BasicConstraints(ca=True, path_length=0), True)
        ),
        delegate=issued("responder", key.public_key(), (signing, False), (x509.OCSPNoCheck(), False)),
        good=good,
        revoked=revoked,
        unknown=unknown,
    )
    _fill_store(made, now=now)
    return made


@contextlib.contextmanager
def this_responder(made: Hierarchy) -> Iterator[str]:
    """URL of this project's responder while the block runs."""
    command = [sys.executable, "-m", "lab.conformance.ocsp_responder", str(made.folder)]
    process = subprocess.Popen(  # noqa: S603  # our own module
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        if process.stdout is None:
            raise OSError("the responder has no output")
        with process.stdout as ready:
            yield str(json.loads(ready.readline())["listeners"]["public"]) + "/"
    finally:
        process.terminate()
        process.wait(_WAIT_S)


@contextlib.contextmanager
def openssl_responder(made: Hierarchy, *, now: datetime) -> Iterator[str | None]:
    """URL of `openssl ocsp` for the same certificates while the block runs, None where there is no openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        yield None
        return
    _write_openssl_files(made, now=now)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [openssl, "ocsp", "-index", "index.txt", "-port", str(port), "-rsigner", "delegate.pem"]
    command += ["-rkey", "delegate.key", "-CA", "ca.pem", "-nmin", "5", "-ignore_err"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=made.folder, stdout=quiet, stderr=quiet)  # noqa: S603  # fixed arguments
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait(_WAIT_S)


def _fill_store(made: Hierarchy, *, now: datetime) -> None:
    engine = engine_for(f"sqlite:///{made.folder / 'ocsp.db'}")
    migrate(engine, MIGRATIONS)
    store, issuer = SqlStatusStore(engine), ca_id(made.issuer)
    taken_back = Revocation(reason=RevocationReason.KEY_COMPROMISE, at=now.replace(microsecond=0) - _LIFE / 2)
    changes = [
        StatusChange(
            seq=seq,
            issuer=issuer,
            serial=certificate.serial_number,
            revocation=revocation,
            not_after=certificate.not_valid_after_utc,
            version=1,
        )
        for seq, (certificate, revocation) in enumerate(
            ((made.good, None), (made.revoked, taken_back)), start=1
        )
    ]
    store.apply(changes, next_seq=len(changes), as_of=now)
    key = load_private_key(made.folder / "ocsp.key", passphrase_file=made.folder / "passphrase")
    store.save_delegate(
        StoredDelegate(
            issuer=issuer,
            issuer_certificate=made.issuer,
            key_sha256=spki_sha256(key.public_key()),
            certificate=made.delegate,
        )
    )
    engine.dispose()


def _write_openssl_files(made: Hierarchy, *, now: datetime) -> None:
    key = load_private_key(made.folder / "ocsp.key", passphrase_file=made.folder / "passphrase")
    (made.folder / "delegate.key").touch(mode=0o600)
    (made.folder / "delegate.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (made.folder / "ca.pem").write_bytes(made.issuer.public_bytes(Encoding.PEM))
    (made.folder / "delegate.pem").write_bytes(made.delegate.public_bytes(Encoding.PEM))
    end, then = f"{now + _LIFE:%y%m%d%H%M%SZ}", f"{now - _LIFE / 2:%y%m%d%H%M%SZ}"
    (made.folder / "index.txt").write_text(
        f"V\t{end}\t\t{_hex(made.good)}\tunknown\t/CN=good\n"
        f"R\t{end}\t{then},keyCompromise\t{_hex(made.revoked)}\tunknown\t/CN=revoked\n"
    )


def _hex(certificate: x509.Certificate) -> str:
    digits = f"{certificate.serial_number:X}"
    return "0" * (len(digits) % 2) + digits


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _wait_for(port: int) -> None:
    # a line that is no request: a connection that says nothing would keep this server busy
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            probe.sendall(b"GET /x HTTP/1.0\r\n\r\n")
            probe.recv(4096)
            return
        time.sleep(0.05)
    raise OSError(f"nothing answers on port {port}")
