"""Whose device registers: its Platform Credential under an ES root that this operator recognises (R19, D11).

Rule: pure decisions. The anchors are this operator's own list, not the PVA's: an operator may trust fewer suppliers.
NOT checked here: status of the credential; the PVA and the DPF ask the supplier's responder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from operators.sho.refusals import RefusalCode, RefusalError
from standards.pki import oids
from standards.pki.errors import DecodeError, PathError, PathFault
from standards.pki.extensions import HardwareModuleName
from standards.pki.fingerprints import certificate_sha256, decode_certificate, spki_der
from standards.pki.paths import validate_path
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.key_checks import check_ak
from standards.tpm2.structures import Public

_SUBJECT = "Platform Credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognisedSupplier:
    """An equipment supplier whose devices this operator takes; `models` hwTypes (dotted OIDs), None for all."""

    name: str
    root: x509.Certificate
    models: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenDevice:
    """A device whose credential is over this AK; `es_root_sha256` says under whose root."""

    device_id: str
    ak_name: bytes
    ak_public: bytes
    es_root_sha256: str


def prove_device(
    *,
    device_id: str,
    pfc_chain: Sequence[bytes],
    ak_public: bytes,
    suppliers: Sequence[RecognisedSupplier],
    at: datetime,
) -> ProvenDevice:
    """The device, if all of this holds; `pfc_chain` is DER, PfC first, without the root.

    1. the AK's public area is that of a restricted signing key, made and kept in a TPM
    2. the PfC leads to a recognised ES root, in date, for the purposes of a Platform Credential
    3. it is over this AK
    4. it names this device
    5. its model is recognised

    Possession of the AK is NOT proven here: the quote of the validation does that. Raises RefusalError.
    """
    ak, name = _acceptable_ak(ak_public)
    pfc, supplier = _validated(pfc_chain, suppliers=suppliers, at=at)
    if spki_der(pfc) != spki_der(ak.public_key()):
        raise RefusalError(
            RefusalCode.AK_MISMATCH, subject=_SUBJECT, reason="it certifies another key than the AK that came"
        )
    module = _module(pfc)
    if module.serial.hex() != device_id:
        raise RefusalError(
            RefusalCode.DEVICE_MISMATCH,
            subject=f"device {device_id}",
            reason=f"the Platform Credential that came is of device {module.serial.hex()}",
        )
    hw_type = module.hw_type.dotted_string
    if supplier.models is not None and hw_type not in supplier.models:
        raise RefusalError(
            RefusalCode.MODEL_NOT_RECOGNISED,
            subject=f"model {hw_type}",
            reason=f"this operator does not take this model of {supplier.name}",
        )
    return ProvenDevice(
        device_id=device_id,
        ak_name=name,
        ak_public=ak_public,
        es_root_sha256=certificate_sha256(supplier.root),
    )


def check_still_recognised(es_root_sha256: str, *, suppliers: Sequence[RecognisedSupplier]) -> None:
    """Raise RefusalError where the operator has given up the supplier since the device registered (R19)."""
    if es_root_sha256 not in {certificate_sha256(each.root) for each in suppliers}:
        raise RefusalError(
            RefusalCode.SUPPLIER_NOT_RECOGNISED,
            subject=f"ES root {es_root_sha256}",
            reason="the operator no longer recognises it",
        )


def _acceptable_ak(ak_public: bytes) -> tuple[Public, bytes]:
    try:
        ak = Public.decode(ak_public)
        return ak, check_ak(ak)
    except Tpm2Error as error:
        raise RefusalError(RefusalCode.AK_UNACCEPTABLE, subject="AK", reason=str(error)) from None


def _validated(
    chain: Sequence[bytes], *, suppliers: Sequence[RecognisedSupplier], at: datetime
) -> tuple[x509.Certificate, RecognisedSupplier]:
    try:
        leaf, *others = [decode_certificate(der) for der in chain]
    except DecodeError as error:
        raise RefusalError(RefusalCode.PFC_INVALID, subject=_SUBJECT, reason=str(error)) from None
    issuers = {each.issuer for each in (leaf, *others)}
    candidates = [each for each in suppliers if each.root.subject in issuers]
    if not candidates:
        top = (others[-1] if others else leaf).issuer.rfc4514_string()
        raise RefusalError(
            RefusalCode.SUPPLIER_NOT_RECOGNISED,
            subject=f"supplier whose root is {top!r}",
            reason="no ES root that this operator recognises has this name",
        )
    try:
        path = validate_path(
            leaf,
            intermediates=others,
            anchors=[each.root for each in candidates],
            at=at,
            eku=oids.EKU_PLATFORM_CREDENTIAL,
        )
    except PathError as error:
        wrong_purpose = error.fault is PathFault.PURPOSE
        code = RefusalCode.PFC_WRONG_PURPOSE if wrong_purpose else RefusalCode.PFC_INVALID
        raise RefusalError(code, subject=f"certificate {error.subject!r}", reason=error.reason) from None
    if oids.EKU_TPM_AIK not in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value:
        raise RefusalError(
            RefusalCode.PFC_WRONG_PURPOSE,
            subject=_SUBJECT,
            reason=f"expected the extended key usage {oids.EKU_TPM_AIK.dotted_string} (TPM attestation key)",
        )
    return leaf, next(each for each in candidates if each.root == path[-1])


def _module(pfc: x509.Certificate) -> HardwareModuleName:
    try:
        module = HardwareModuleName.of(pfc)
    except DecodeError as error:
        raise RefusalError(RefusalCode.PFC_INVALID, subject=_SUBJECT, reason=str(error)) from None
    if module is None:
        raise RefusalError(
            RefusalCode.PFC_INVALID, subject=_SUBJECT, reason="expected a hardware module name, got none"
        )
    return module
