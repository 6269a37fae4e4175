"""Use case: whom this PVA recognises as an equipment supplier, and the reference manifests that suppliers send.

Rule: a manifest counts only when its signature leads to the recognised root of the very supplier that it names,
by a certificate made for signing manifests, for models that the supplier may certify; every value is read from
the signed structure. Anything else is refused by name and changes nothing (R19, R28, A16, A25).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa

from messages.trust_list import ListedCrl, TrustedSupplier
from pva.appraisal.credential import Supplier
from pva.appraisal.manifest_chain import check_succession
from pva.appraisal.manifest_records import ImportedManifest
from pva.appraisal.policy import AppraisalPolicy
from pva.manifests.approvals import Administrator
from pva.manifests.content import check_manifest
from pva.manifests.proposals import Proposal, ProposalDesk, ProposalKind
from pva.manifests.recognised import RecognisedSupplier, encode_recognition
from pva.refusals import RefusalCode, RefusalError
from standards.pki.errors import DecodeError, PathError, PathFault
from standards.pki.fingerprints import decode_pem_certificates
from standards.pki.paths import is_issued_by
from standards.rats.corim import VerifiedManifest, verify_manifest
from standards.rats.errors import RatsError

_RSA_BITS_MIN = 2048
_UNSIGNED_CORIM = bytes.fromhex("d901f5")
"""CBOR tag 501, unsigned-corim-map."""
_CODES = {
    "COSE signature": RefusalCode.MANIFEST_UNTRUSTED,
    "corim-meta signer": RefusalCode.MANIFEST_WRONG_VENDOR,
}
"""Faults of a signed manifest that are not of its form, by the part that `standards.rats` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionWish:
    """What an administrator wants recognised.

    `models` is the name of a model -> the hwType (dotted OID) of its devices. The status of its credentials is asked at
    `ocsp_url`, or read in `crls`: (issuing CA as PEM, URL of its CRL).
    """

    name: str
    root_pem: bytes
    models: Mapping[str, str]
    ocsp_url: str = ""
    crls: tuple[tuple[bytes, str], ...] = ()
    tre_level_min: int | None = None


class RecognitionStore(Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def suppliers(self) -> Sequence[RecognisedSupplier]:
        """Every recognised supplier."""

    def add_manifest(self, manifest: ImportedManifest) -> None:
        """Add a manifest that `check_record` has passed against what the store holds; the same bytes change nothing.

        Raises RefusalError: what `check_record` refuses.
        """

    def manifests(self) -> Sequence[ImportedManifest]:
        """Every imported manifest, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognitionDesk:
    """The use case and what it works with."""

    store: RecognitionStore
    policy: AppraisalPolicy
    proposals: ProposalDesk

    def recognise(self, wish: RecognitionWish, *, by: Administrator, at: datetime) -> Proposal:
        """Propose, or approve, that a supplier's ES root be recognised for some models.

        Again with the same root to change models or addresses. Raises RefusalError: no acceptable root, an issuing CA of
        another root, or what `ProposalRecords.propose` refuses.
        """
        root = acceptable_root(wish.root_pem, at=at)
        listed = TrustedSupplier(
            name=wish.name,
            root=root,
            models=dict(wish.models),
            ocsp_url=wish.ocsp_url,
            crls=tuple(
                ListedCrl(issuer=_issuing_ca(pem, root=root, at=at), url=url) for pem, url in wish.crls
            ),
            tre_level_min=wish.tre_level_min,
        )
        return self.proposals.propose(
            ProposalKind.RECOGNITION,
            subject=wish.name,
            content=encode_recognition(listed),
            by=by,
            at=at,
        )

    def suppliers(self) -> Sequence[RecognisedSupplier]:
        """Every recognised supplier."""
        return self.store.suppliers()

    def import_manifest(self, data: bytes, *, only_of: str | None, by: str, at: datetime) -> ImportedManifest:
        """Import a signed manifest; `only_of` is the supplier that the caller speaks for, None for an admin.

        Nobody is judged by it before administrators approved it. Raises RefusalError: unsigned, not signed under a
        recognised root, not for this purpose, another vendor's, for a model that is not permitted, with values that
        cannot be appraised, or no successor of the manifest that it names.
        """
        imported = self._read(data, only_of=only_of, by=by, at=at)
        self.store.add_manifest(imported)
        return imported

    def check_import(self, data: bytes, *, only_of: str | None, by: str, at: datetime) -> ImportedManifest:
        """All that `import_manifest` checks, and nothing is stored. Raises RefusalError."""
        imported = self._read(data, only_of=only_of, by=by, at=at)
        check_record(imported, held=self.store.manifests())
        return imported

    def _read(self, data: bytes, *, only_of: str | None, by: str, at: datetime) -> ImportedManifest:
        suppliers = self.store.suppliers()
        verified = _verified(data, suppliers=suppliers, at=at)
        signer = next(each for each in suppliers if each.root == verified.path[-1])
        manifest = verified.manifest
        check_manifest(manifest, signer=signer, only_of=only_of, policy=self.policy)
        return ImportedManifest(
            digest=verified.digest,
            id=manifest.id,
            supplier=signer.name,
            svn=manifest.svn,
            models=manifest.models,
            release=manifest.release,
            line=manifest.line,
            predecessor=manifest.predecessor,
            valid_from=manifest.valid_from,
            valid_to=manifest.valid_to,
            signed=data,
            imported_by=by,
            imported_at=at,
        )

    def manifests(self, *, only_of: str | None) -> Sequence[ImportedManifest]:
        """Imported manifests, of one supplier or of all."""
        return [each for each in self.store.manifests() if only_of in (None, each.supplier)]

    def manifest(self, digest: bytes, *, only_of: str | None) -> ImportedManifest:
        """One imported manifest. Raises RefusalError: not on record, or another supplier's."""
        for each in self.manifests(only_of=only_of):
            if each.digest == digest:
                return each
        raise no_such_manifest(digest)


def check_record(manifest: ImportedManifest, *, held: Sequence[ImportedManifest]) -> bool:
    """Whether a manifest is new among those on record; False where the same bytes are.

    Raises RefusalError: other bytes have its supplier, id and svn, or it does not follow the one that it names.
    """
    if any(each.digest == manifest.digest for each in held):
        return False
    version = (manifest.supplier, manifest.id, manifest.svn)
    if any((each.supplier, each.id, each.svn) == version for each in held):
        raise RefusalError(
            RefusalCode.MANIFEST_CONFLICT,
            subject=f"manifest {manifest.id!r} with security version {manifest.svn}",
            reason="another manifest of this supplier has this id and version on record",
        )
    check_succession(manifest, held=[each for each in held if not each.rejected])
    return True


def no_such_manifest(digest: bytes) -> RefusalError:
    """The refusal of a digest that is not on record."""
    return RefusalError(
        RefusalCode.NOT_FOUND,
        subject=f"manifest {digest.hex()}",
        reason="no manifest of this digest is on record",
    )


def _verified(data: bytes, *, suppliers: Sequence[Supplier], at: datetime) -> VerifiedManifest:
    if data.startswith(_UNSIGNED_CORIM):
        raise RefusalError(
            RefusalCode.MANIFEST_UNSIGNED,
            subject="manifest",
            reason="expected a signed CoRIM (COSE_Sign1, tag 18), got an unsigned one (tag 501)",
        )
    try:
        return verify_manifest(data, anchors=[each.root for each in suppliers], at=at)
    except PathError as error:
        wrong_purpose = error.fault is PathFault.PURPOSE
        code = RefusalCode.MANIFEST_WRONG_PURPOSE if wrong_purpose else RefusalCode.MANIFEST_UNTRUSTED
        raise RefusalError(
            code, subject=f"signer {error.subject!r} of the manifest", reason=error.reason
        ) from None
    except RatsError as error:
        code = _CODES.get(error.what, RefusalCode.MANIFEST_MALFORMED)
        raise RefusalError(code, subject="manifest", reason=str(error)) from None


def acceptable_root(pem: bytes, *, at: datetime) -> x509.Certificate:
    """One self-signed CA certificate in date, with a key that may anchor a supplier."""
    fault = None
    try:
        certificates = decode_pem_certificates(pem)
    except DecodeError as error:
        raise RefusalError(RefusalCode.ROOT_UNACCEPTABLE, subject="ES root", reason=str(error)) from None
    root = certificates[0]
    if len(certificates) != 1:
        fault = f"expected one certificate, got {len(certificates)}"
    elif not root.not_valid_before_utc <= at <= root.not_valid_after_utc:
        fault = f"it is valid to {root.not_valid_after_utc.isoformat()}, judged at {at.isoformat()}"
    elif not _is_ca(root):
        fault = "expected basicConstraints CA and keyUsage keyCertSign"
    elif not is_issued_by(root, root):
        fault = "expected a self-signed certificate, its signature is not by its own key"
    elif not _strong(root):
        fault = "expected an ECDSA key on P-256, P-384 or P-521, RSA of 2048 bits or more, or ML-DSA-65"
    if fault is not None:
        raise RefusalError(
            RefusalCode.ROOT_UNACCEPTABLE,
            subject=f"ES root {root.subject.rfc4514_string()!r}",
            reason=fault,
        )
    return root


def _issuing_ca(pem: bytes, *, root: x509.Certificate, at: datetime) -> x509.Certificate:
    """One CA certificate that the root signed itself, in date."""
    fault = None
    try:
        certificates = decode_pem_certificates(pem)
        certificates[0].verify_directly_issued_by(root)
    except (DecodeError, ValueError, TypeError, InvalidSignature) as error:
        fault = str(error) or "the ES root did not sign it"
    else:
        issuer = certificates[0]
        if len(certificates) != 1 or not _is_ca(issuer):
            fault = "expected one certificate, with basicConstraints CA and keyUsage keyCertSign"
        elif not issuer.not_valid_before_utc <= at <= issuer.not_valid_after_utc:
            fault = f"it is valid to {issuer.not_valid_after_utc.isoformat()}, judged at {at.isoformat()}"
    if fault is not None:
        raise RefusalError(RefusalCode.ROOT_UNACCEPTABLE, subject="issuing CA of a CRL", reason=fault)
    return certificates[0]


def _is_ca(root: x509.Certificate) -> bool:
    try:
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return constraints.ca and usage.key_cert_sign


def _strong(root: x509.Certificate) -> bool:
    key = root.public_key()
    if isinstance(key, mldsa.MLDSA65PublicKey):
        return True
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _RSA_BITS_MIN
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in {
        "secp256r1",
        "secp384r1",
        "secp521r1",
    }
