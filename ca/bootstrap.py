"""The first steps of an installation, at the machine itself: roots, server certificate, first administrator.

    python -m ca.bootstrap init --config ca.toml --out first --dns ca.example.net
    python -m ca.bootstrap tls  --config ca.toml --out sho   --kind client --name sho-1
    python -m ca.bootstrap operator --config ca.toml --csr result.csr --out result.pem --purpose attestation-result ...

The one rule: it works on the CA's own store and keys, so only who can read them can use it, and whatever it
issues is in the same books as everything else. Private keys of others are made here for convenience (a lab, a
first administrator); whoever wants his key to stay with him sends a CSR to POST /v1/tls-certificates.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.certification import OPERATOR_PURPOSES, TLS_KINDS, Certification
from ca.composition import hierarchy_of, signing_of, store_of
from ca.errors import RefusedError
from ca.key_algorithms import CA_KEYS, KeyAlgorithm
from ca.profiles import Kind
from ca.settings import CaSettings
from edge.database_faults import DatabaseError
from edge.keys import KeyFileError, KeyTokenError, create_passphrase, create_private_key
from edge.principals import certificate_digests
from edge.process import system_clock, system_random
from edge.settings import SettingsError, load_settings

ADMIN = "admin"
SERVER = "server"
CSR_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Files of one TLS identity: certificate (PEM), encrypted key, and the file that opens it."""

    certificate: Path
    key: Path
    passphrase_file: Path


def initialise(
    settings: CaSettings,
    *,
    out: Path,
    dns: Sequence[str] = (),
    addresses: Sequence[str] = (),
    algorithm: KeyAlgorithm = KeyAlgorithm.P256,
) -> TlsFiles:
    """Make the operators' root and the TLS root, the CA's server certificate and the first administrator's.

    Writes into `out`: operators-root.pem, tls-root.pem, server.{pem,key}, admin.{pem,key}, passphrase; and
    the table of principals with the administrator in it, where the settings name a file that is not there.
    `algorithm` is that of the operators' root; TLS libraries want P-256 of the TLS root.
    Returns the administrator's files. A run that was cut short can be repeated: roots are made once, files in
    `out` are never overwritten (KeyFileError).
    """
    _make_folder(settings.keys)
    if not settings.passphrase_file.exists():
        create_passphrase(settings.passphrase_file, random_bytes=system_random)
    store_of(settings).migrate()
    hierarchy = hierarchy_of(settings)
    roots = {
        Kind.OPERATORS_ROOT: hierarchy.make_root(Kind.OPERATORS_ROOT, algorithm=algorithm),
        Kind.TLS_ROOT: hierarchy.make_root(Kind.TLS_ROOT),
    }
    _make_folder(out)
    for kind, root in roots.items():
        _write(out / f"{kind}.pem", root.x509())
    issue_tls(settings, kind=SERVER, holder="ca", out=out, dns=dns, addresses=addresses)
    admin = issue_tls(settings, kind="client", holder=ADMIN, out=out)
    _register_admin(settings, admin=admin, root=roots[Kind.TLS_ROOT].x509())
    return admin


def issue_tls(
    settings: CaSettings,
    *,
    kind: str,
    holder: str,
    out: Path,
    dns: Sequence[str] = (),
    addresses: Sequence[str] = (),
) -> TlsFiles:
    """Make a key and its TLS certificate (`kind` server or client) as `<name>.pem` and `<name>.key` in `out`.

    The file name is `server` for a server and the holder's name for a client.
    """
    _make_folder(out)
    stem = SERVER if kind == SERVER else holder
    files = TlsFiles(
        certificate=out / f"{stem}.pem", key=out / f"{stem}.key", passphrase_file=out / "passphrase"
    )
    if not files.passphrase_file.exists():
        create_passphrase(files.passphrase_file, random_bytes=system_random)
    key = create_private_key(files.key, passphrase_file=files.passphrase_file)
    certificate = certification_of(settings).certify_tls_key(
        TLS_KINDS[kind], holder=holder, key=key.public_key(), dns=dns, addresses=addresses
    )
    _write(files.certificate, certificate)
    return files


def certification_of(settings: CaSettings) -> Certification:
    """The use cases that certify keys, on the CA's own store."""
    return Certification(
        store=store_of(settings),
        signing=signing_of(settings),
        clock=system_clock,
        responder_keys=frozenset(settings.responder_keys),
    )


def principal_row(certificate: Path, *, root: Path, role: str, tenant: str, name: str) -> dict[str, str]:
    """Row of a table of principals for the certificate (PEM files) of a client below the TLS root `root`."""
    issuer, spki = certificate_digests(
        x509.load_pem_x509_certificate(certificate.read_bytes()),
        x509.load_pem_x509_certificate(root.read_bytes()),
    )
    return {"role": role, "tenant": tenant, "name": name, "issuer_sha256": issuer, "spki_sha256": spki}


def _register_admin(settings: CaSettings, *, admin: TlsFiles, root: x509.Certificate) -> None:
    table = settings.operator.principals
    if table.exists():
        return
    issuer, spki = certificate_digests(x509.load_pem_x509_certificate(admin.certificate.read_bytes()), root)
    row = {"role": ADMIN, "tenant": "", "name": ADMIN, "issuer_sha256": issuer, "spki_sha256": spki}
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(json.dumps({"principals": [row]}, indent=2) + "\n")


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(Encoding.PEM))


@click.group()
def main() -> None:
    """First steps of a CA, at its own machine."""


_config = click.option(
    "--config",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="the CA's TOML file",
)
_out = click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="folder, made with mode 0700",
)
_dns = click.option("--dns", multiple=True, help="a DNS name of the server, of two labels or more")
_ip = click.option("--ip", "addresses", multiple=True, help="an IP address of the server")


@main.command("init")
@_config
@_out
@_dns
@_ip
@click.option(
    "--operators-algorithm",
    "algorithm",
    type=click.Choice(sorted(str(each) for each in CA_KEYS)),
    default=str(KeyAlgorithm.P256),
    help="key of the operators' root (p256)",
)
def _init(config: Path, out: Path, dns: tuple[str, ...], addresses: tuple[str, ...], algorithm: str) -> None:
    """Make the roots, the CA's server certificate and the first administrator's certificate."""
    with _refusals():
        admin = initialise(
            load_settings(CaSettings, path=config),
            out=out,
            dns=dns,
            addresses=addresses,
            algorithm=KeyAlgorithm(algorithm),
        )
    click.echo(f"administrator's certificate: {admin.certificate}")


@main.command("tls")
@_config
@_out
@click.option("--kind", required=True, type=click.Choice(sorted(TLS_KINDS)))
@click.option("--name", "holder", required=True, help="whom it is for")
@_dns
@_ip
def _tls(  # noqa: PLR0917, click hands options over by name
    config: Path, out: Path, kind: str, holder: str, dns: tuple[str, ...], addresses: tuple[str, ...]
) -> None:
    """Make one more TLS key and certificate."""
    with _refusals():
        settings = load_settings(CaSettings, path=config)
        files = issue_tls(settings, kind=kind, holder=holder, out=out, dns=dns, addresses=addresses)
    click.echo(f"certificate: {files.certificate}")


@main.command("operator")
@_config
@click.option("--role", required=True, help="its role, such as pva")
@click.option("--name", "service", required=True, help="the id of the service")
@click.option("--purpose", required=True, type=click.Choice(sorted(OPERATOR_PURPOSES)))
@click.option("--csr", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="file, PEM")
def _operator(config: Path, role: str, service: str, purpose: str, csr: Path, out: Path) -> None:  # noqa: PLR0917, click hands options over by name
    """Certify a service's signing key, also one that takes two administrators: those who are here are the two."""
    with _refusals():
        made = certification_of(load_settings(CaSettings, path=config)).certify_operator_at_ceremony(
            OPERATOR_PURPOSES[purpose],
            role=role,
            service=service,
            csr=csr.read_bytes()[:CSR_BYTES_MAX].decode("ascii", "replace"),
        )
        _write(out, made)
    click.echo(f"certificate: {out}")


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except RefusedError as error:
        raise click.ClickException(f"{error.subject}: {error.detail}; {error.remedy}") from error
    except (KeyFileError, KeyTokenError, DatabaseError, SettingsError, OSError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
