"""The TPM makers' certificates that this CA trusts: a folder of PEM and DER files, read at the start.

The one rule: what is in the folder is an administrator's decision; a file that cannot be read stops the start,
since a missing root would show only as refused devices.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.errors import CaError
from standards.pki.fingerprints import UNREADABLE

SUFFIXES = frozenset({".pem", ".crt", ".cer", ".der"})
FILE_BYTES_MAX = 1 << 20
LAB_ORGANIZATION = "PVA lab"
"""Organisation of the lab's TPM maker, whose keys everybody can have."""

_PEM = b"-----BEGIN CERTIFICATE-----"


class TpmMakersError(CaError):
    """The folder of TPM makers' certificates cannot be used: which file, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmMakers:
    """Certificates (DER as received) of TPM makers, roots and intermediates, and what counts for nothing."""

    certificates: tuple[bytes, ...]
    known_bad: frozenset[str] = frozenset()


def load_tpm_makers(folder: Path, *, known_bad: tuple[str, ...] = (), lab: bool = False) -> TpmMakers:
    """Read every certificate file in `folder`; other files are left alone. Raises TpmMakersError."""
    if not folder.is_dir():
        raise TpmMakersError(
            f"{folder}: no such folder; make it and put the TPM makers' certificates into it"
        )
    found: dict[bytes, None] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            for der in _certificates(path):
                if not lab:
                    _refuse_lab(path, der)
                found[der] = None
    return TpmMakers(certificates=tuple(found), known_bad=frozenset(known_bad))


def _certificates(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise TpmMakersError(f"{path}: larger than {FILE_BYTES_MAX} bytes; remove it or split it")
    try:
        if _PEM not in data:
            x509.load_der_x509_certificate(data)
            yield data
            return
        for certificate in x509.load_pem_x509_certificates(data):
            yield certificate.public_bytes(Encoding.DER)
    except UNREADABLE as error:
        raise TpmMakersError(
            f"{path}: is no PEM or DER certificate ({error}); remove or replace it"
        ) from error


def _refuse_lab(path: Path, der: bytes) -> None:
    subject = x509.load_der_x509_certificate(der).subject
    named = {str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)}
    if LAB_ORGANIZATION in named:
        raise TpmMakersError(
            f"{path}: is a certificate of the lab's TPM maker, whose keys everybody can have; "
            "remove it, or set profile = 'lab' with loopback listeners only"
        )
