"""Point 6 of the gate: the Platform Credential of the platform that was just validated, and its live status (A25).

Rule: nothing is believed because the device said it: the certificate must be, byte for byte, the one that the fresh
result was computed from, under a supplier's root that this DPF recognises itself (R19, R27), of the TRE level that the
product needs (R49); and the supplier's responder, at the address in this DPF's settings, must say `good` now. OCSP
can only say no: everything else that it says is a veto.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from operators.dpf.refusals import RefusalCode, RefusalError
from standards.pki import oids
from standards.pki.crl import RevocationReason
from standards.pki.errors import DecodeError, PathError
from standards.pki.extensions import HardwareModuleName, tre_level
from standards.pki.fingerprints import certificate_der, decode_certificate
from standards.pki.ocsp_answer import CertStatus, StatusKind
from standards.pki.paths import validate_path
from standards.rats.ear import CredentialReference

PFC_CHAIN_MAX = 6
PFC_BYTES_MAX = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplier:
    """A recognised equipment supplier: ES root, address of its responder, and what its products must have.

    `tre_level_min` 0 asks for no level. `models` maps hwType (dotted OID) to the level that this product needs; where
    it is not empty, other products are not recognised.
    """

    name: str
    root: x509.Certificate
    ocsp_url: str
    tre_level_min: int
    models: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCredential:
    """A PfC whose path is proven and which the fresh result was computed from; its status is not part of it."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    supplier: Supplier
    device_id: str

    @property
    def subject(self) -> str:
        """How refusals name it."""
        return f"Platform Credential {self.certificate.serial_number:x} of device {self.device_id}"


def check_credential(
    chain: Sequence[bytes],
    *,
    judged: CredentialReference,
    device_id: str,
    suppliers: Sequence[Supplier],
    at: datetime,
) -> PlatformCredential:
    """The credential in `chain` (DER, leaf first, no root), if it is the one that was `judged`. Raises RefusalError."""
    try:
        leaf, *others = [decode_certificate(der) for der in chain]
    except DecodeError as error:
        raise _refused(RefusalCode.PFC_INVALID, str(error)) from None
    path, supplier = _recognised_path(leaf, others, suppliers=suppliers, at=at)
    got = CredentialReference(
        issuer_sha256=hashlib.sha256(certificate_der(path[1])).digest(),
        serial=leaf.serial_number,
        sha256=hashlib.sha256(certificate_der(leaf)).digest(),
    )
    if got != judged:
        raise _refused(RefusalCode.PFC_MISMATCH, "the fresh result was computed from another certificate")
    _check_product(leaf, device_id=device_id, supplier=supplier)
    return PlatformCredential(certificate=leaf, issuer=path[1], supplier=supplier, device_id=device_id)


def check_status(status: CertStatus, *, credential: PlatformCredential, at: datetime) -> None:
    """Raise RefusalError unless the credential is good `at`."""
    if status.kind is StatusKind.UNKNOWN:
        raise RefusalError(
            RefusalCode.PFC_UNKNOWN,
            subject=credential.subject,
            reason="its supplier's responder does not know it",
        )
    if status.kind is not StatusKind.GOOD or status.revocation is not None:
        reason = None if status.revocation is None else status.revocation.reason
        on_hold = reason is RevocationReason.CERTIFICATE_HOLD
        raise RefusalError(
            RefusalCode.PFC_ON_HOLD if on_hold else RefusalCode.PFC_REVOKED,
            subject=credential.subject,
            reason=f"it is revoked, reason {'unknown' if reason is None else reason.flag.value}",
        )
    if status.next_update <= at:
        raise RefusalError(
            RefusalCode.OCSP_UNAVAILABLE,
            subject=credential.subject,
            reason=f"its status was good only until {status.next_update:%Y-%m-%dT%H:%M:%SZ}",
        )


def _recognised_path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    *,
    suppliers: Sequence[Supplier],
    at: datetime,
) -> tuple[tuple[x509.Certificate, ...], Supplier]:
    issuers = {each.issuer for each in (leaf, *others)}
    candidates = [each for each in suppliers if each.root.subject in issuers]
    if not candidates:
        raise _refused(RefusalCode.SUPPLIER_NOT_RECOGNISED, "no recognised ES root has issued it")
    try:
        path = validate_path(
            leaf,
            intermediates=others,
            anchors=[each.root for each in candidates],
            at=at,
            eku=oids.EKU_PLATFORM_CREDENTIAL,
        )
    except PathError as error:
        raise _refused(RefusalCode.PFC_INVALID, error.reason) from None
    return path, next(each for each in candidates if each.root == path[-1])


def _check_product(leaf: x509.Certificate, *, device_id: str, supplier: Supplier) -> None:
    try:
        module, level = HardwareModuleName.of(leaf), tre_level(leaf)
    except DecodeError as error:
        raise _refused(RefusalCode.PFC_INVALID, str(error)) from None
    if module is None or module.serial.hex() != device_id:
        raise _refused(RefusalCode.PFC_MISMATCH, f"expected one of device {device_id}, got one of another")
    product = module.hw_type.dotted_string
    if supplier.models and product not in supplier.models:
        raise _refused(
            RefusalCode.SUPPLIER_NOT_RECOGNISED, f"product {product} of {supplier.name} is not recognised"
        )
    needed = max(supplier.tre_level_min, supplier.models.get(product, 0))
    if (level or 0) < needed:
        raise _refused(
            RefusalCode.TRE_LEVEL_TOO_LOW,
            f"expected level {needed} or above, got {'none' if level is None else level}",
        )


def _refused(code: RefusalCode, reason: str) -> RefusalError:
    return RefusalError(code, subject="Platform Credential", reason=reason)
