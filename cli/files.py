"""Files that a person hands to a command or gets from it: read within a limit, decoded, never overwritten.

Rule: what is wrong with a file is said with its name and with what was expected in it; a file that exists is not
replaced, and that is found out before a service is asked for what would go into it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from cli.failures import CliError, refused
from edge.keys import load_private_key
from standards.pki.errors import PkiError
from standards.pki.fingerprints import UNREADABLE, decode_pem_certificates

PEM_BYTES_MAX: Final = 1 << 18

file_in: Final = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A signing key and its certificates, leaf first, without the root."""

    key: EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]


def out_option(text: str, *names: str, required: bool = False) -> Callable[[Any], Any]:
    """An option that names a new file."""
    return click.option(
        *(names or ("--out",)), type=file_in, required=required, callback=_new_file, help=text
    )


def _new_file(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.exists():
        raise click.BadParameter(f"{path} exists already; name a new file, or move that one away")
    if path is not None and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"the folder {path.absolute().parent} does not exist")
    return path


def read_file(path: Path, *, bytes_max: int) -> bytes:
    """The bytes of a file.

    Raises:
        CliError: it cannot be read, or is larger than `bytes_max`.
    """
    try:
        with path.open("rb") as file:
            too_large = (
                os.fstat(file.fileno()).st_size > bytes_max
            )  # of what has no size, enough is read to see it
            data = b"" if too_large else file.read(bytes_max + 1)
    except OSError as error:
        raise refused(
            "file",
            subject=str(path),
            reason=f"cannot be read: {error.strerror}",
            remedy="check name and permissions",
        ) from None
    if too_large or len(data) > bytes_max:
        raise refused(
            "file",
            subject=str(path),
            reason=f"is larger than {bytes_max} bytes",
            remedy="name the right file",
        )
    return data


def write_file(path: Path, data: bytes) -> None:
    """Write a new file.

    Raises:
        CliError: it exists, or cannot be written.
    """
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise refused(
            "file",
            subject=str(path),
            reason=f"cannot be written: {error.strerror}",
            remedy="name a new file in a folder that you may write to",
        ) from None


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """One or more PEM certificates, in their order; raises CliError."""
    try:
        return tuple(decode_pem_certificates(read_file(path, bytes_max=PEM_BYTES_MAX)))
    except PkiError as error:
        raise _not_what_it_should(path, "PEM certificates", error) from None


def read_certificate(path: Path) -> x509.Certificate:
    """Exactly one PEM certificate; raises CliError."""
    certificates = read_certificates(path)
    if len(certificates) != 1:
        raise _not_what_it_should(path, "one PEM certificate", f"it holds {len(certificates)}")
    return certificates[0]


def read_csr(path: Path) -> x509.CertificateSigningRequest:
    """A PEM certificate signing request; its signature is for the CA to check. Raises CliError."""
    try:
        return x509.load_pem_x509_csr(read_file(path, bytes_max=PEM_BYTES_MAX))
    except UNREADABLE as error:
        raise _not_what_it_should(
            path, "one PEM certificate signing request (pva key create)", error
        ) from None


def read_token(path: Path, *, bytes_max: int) -> str:
    """A compact JWS: one line of ASCII; raises CliError."""
    try:
        return read_file(path, bytes_max=bytes_max).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise _not_what_it_should(path, "a signed token (compact JWS)", error) from None


def signer_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options for a signing key and its certificates, handed on as one `signer`."""

    def with_signer(*args: Any, key: Path, passphrase_file: Path, certificate: Path, **others: Any) -> None:
        private = load_private_key(key, passphrase_file=passphrase_file)
        command(*args, signer=Signer(key=private, chain=read_certificates(certificate)), **others)

    with_signer.__name__ = command.__name__
    with_signer.__doc__ = command.__doc__
    with_signer.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]  # click's own place for options
    for option in (
        click.option(
            "--certificate",
            type=file_in,
            required=True,
            help="Its certificate, then those above it, no root.",
        ),
        click.option(
            "--passphrase-file", type=file_in, required=True, help="File whose first line opens it."
        ),
        click.option("--key", type=file_in, required=True, help="The signing key, encrypted PKCS#8."),
    ):
        with_signer = option(with_signer)
    return with_signer


def _not_what_it_should(path: Path, expected: str, got: object) -> CliError:
    return refused(
        "file", subject=str(path), reason=f"expected {expected}: {got}", remedy="name the right file"
    )
