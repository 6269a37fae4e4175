"""Step 3 of a validation: who certified this platform, and whether its credential still speaks for it (A25).

Rule: pure decisions. The trust anchors are the ES roots that an administrator recognised, nothing that came with
the evidence; the status is asked at the supplier's configured responder, never at an address in a certificate.

NOT checked here: revocation of the issuing CA itself, beyond what its responder says about the credential.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from messages.challenge import RECOVERY
from messages.trust_list import Accreditation, ListedCrl
from pva.refusals import RefusalCode, RefusalError
from standards.pki import oids
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.errors import DecodeError, PathError, PathFault
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName, tre_level
from standards.pki.fingerprints import ca_id, certificate_sha256, decode_certificate, spki_der
from standards.pki.ocsp_answer import CertStatus, StatusKind
from standards.pki.paths import validate_path


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendedPart:
    """A supplier is suspended, or one model of it, since a time and for a reason."""

    model: str | None
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplier:
    """An equipment supplier as recognised: its ES root, permitted models, and where its status is asked or read.

    `models` is the name of a model -> the hwType (dotted OID) that Platform Credentials of its devices carry. The rest is
    judged by `supplier_standing`: `listed_until` is the end of the trust list that names it, None where administrators
    recognised it by itself.
    """

    name: str
    root: x509.Certificate
    models: Mapping[str, str]
    ocsp_url: str
    crls: tuple[ListedCrl, ...] = ()
    tre_level_min: int | None = None
    accreditation: Accreditation | None = None
    listed_until: datetime | None = None
    suspensions: tuple[SuspendedPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCredential:
    """A Platform Credential whose path is proven; its status is not part of it.

    `path` is leaf first, anchor last; `device_id` 64 hex digits; `hw_type` the model's dotted OID; `tre_level` the
    asserted security level. Made from the path, once for as many validations as it is held: `spki` the certified key (DER),
    `sha256` and `issuer_sha256` the digests of the PfC and of its issuer's certificate, `issuer_id` the name of its issuer's key,
    `valid_to` when the first certificate of the path ends.
    """

    path: tuple[x509.Certificate, ...]
    supplier: Supplier
    device_id: str
    hw_type: str
    expected_state: ExpectedSystemState
    tre_level: int | None
    spki: bytes = field(init=False)
    sha256: bytes = field(init=False)
    issuer_sha256: bytes = field(init=False)
    issuer_id: str = field(init=False)
    valid_to: datetime = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spki", spki_der(self.path[0]))
        object.__setattr__(self, "sha256", bytes.fromhex(certificate_sha256(self.path[0])))
        object.__setattr__(self, "issuer_sha256", bytes.fromhex(certificate_sha256(self.path[1])))
        object.__setattr__(self, "issuer_id", ca_id(self.path[1]))
        object.__setattr__(self, "valid_to", min(each.not_valid_after_utc for each in self.path))

    @property
    def certificate(self) -> x509.Certificate:
        """The PfC itself."""
        return self.path[0]

    @property
    def issuer(self) -> x509.Certificate:
        """Certificate of the issuing CA."""
        return self.path[1]

    @property
    def subject(self) -> str:
        """How refusals name it."""
        return f"Platform Credential {self.certificate.serial_number:x} of device {self.device_id}"

    def certifies(self, spki: bytes) -> bool:
        """Whether the certified key is this DER SubjectPublicKeyInfo."""
        return self.spki == spki


def validate_credential(
    chain: Sequence[bytes], *, suppliers: Sequence[Supplier], device_id: str, at: datetime
) -> PlatformCredential:
    """Validate a received PfC chain (DER, leaf first, no root) to a recognised root, for the challenged device.

    Raises RefusalError: unreadable, no recognised supplier, no valid path, wrong purpose, another device.
    """
    leaf, *others = _decode_chain(chain)
    path, supplier = _validate_path(leaf, others, suppliers=suppliers, at=at)
    _check_purposes(leaf)
    try:
        module = HardwareModuleName.of(leaf)
        state = ExpectedSystemState.of(leaf)
        level = tre_level(leaf)
    except DecodeError as error:
        raise RefusalError(
            RefusalCode.PFC_INVALID, subject="Platform Credential", reason=str(error)
        ) from None
    if module is None or state is None:
        reason = "expected a hardware module name and an expected system state, got a certificate without one"
        raise RefusalError(RefusalCode.PFC_INVALID, subject="Platform Credential", reason=reason)
    if module.serial.hex() != device_id:
        raise RefusalError(
            RefusalCode.DEVICE_MISMATCH,
            subject=f"device {device_id}",
            reason=f"the Platform Credential that came is of device {module.serial.hex()}",
        )
    return PlatformCredential(
        path=path,
        supplier=supplier,
        device_id=device_id,
        hw_type=module.hw_type.dotted_string,
        expected_state=state,
        tre_level=level,
    )


def _decode_chain(chain: Sequence[bytes]) -> list[x509.Certificate]:
    try:
        return [decode_certificate(der) for der in chain]
    except DecodeError as error:
        raise RefusalError(
            RefusalCode.PFC_INVALID, subject="certificates of the evidence", reason=str(error)
        ) from None


def _validate_path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    *,
    suppliers: Sequence[Supplier],
    at: datetime,
) -> tuple[tuple[x509.Certificate, ...], Supplier]:
    issuers = {each.issuer for each in (leaf, *others)}
    candidates = [supplier for supplier in suppliers if supplier.root.subject in issuers]
    if not candidates:
        top = (others[-1] if others else leaf).issuer.rfc4514_string()
        raise RefusalError(
            RefusalCode.SUPPLIER_NOT_RECOGNISED,
            subject=f"supplier whose root is {top!r}",
            reason="no recognised ES root has this name",
        )
    try:
        path = validate_path(
            leaf,
            intermediates=others,
            anchors=[candidate.root for candidate in candidates],
            at=at,
            eku=oids.EKU_PLATFORM_CREDENTIAL,
        )
    except PathError as error:
        wrong_purpose = error.fault is PathFault.PURPOSE
        code = RefusalCode.PFC_WRONG_PURPOSE if wrong_purpose else RefusalCode.PFC_INVALID
        raise RefusalError(code, subject=f"certificate {error.subject!r}", reason=error.reason) from None
    return path, next(candidate for candidate in candidates if candidate.root == path[-1])


def _check_purposes(leaf: x509.Certificate) -> None:
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if oids.EKU_TPM_AIK not in usage:
        raise RefusalError(
            RefusalCode.PFC_WRONG_PURPOSE,
            subject="Platform Credential",
            reason=f"expected the extended key usage {oids.EKU_TPM_AIK.dotted_string} (TPM attestation key)",
        )


def judge_status(
    status: CertStatus, *, credential: PlatformCredential, purpose: str, at: datetime
) -> datetime:
    """The time until which a credential is known to have this status (nextUpdate).

    For the purpose `recovery` it must be on hold, for any other one good. Raises RefusalError for every other status,
    and for an answer that says nothing about `at`.
    """
    if status.kind is StatusKind.UNKNOWN:
        raise RefusalError(
            RefusalCode.PFC_UNKNOWN,
            subject=credential.subject,
            reason="its supplier's responder does not know it",
        )
    if purpose == RECOVERY:
        _check_held(status, credential=credential)
    elif status.revocation is not None or status.kind is not StatusKind.GOOD:
        raise _revoked(status.revocation, credential=credential)
    if status.next_update <= at:
        raise RefusalError(
            RefusalCode.STATUS_UNAVAILABLE,
            subject=credential.subject,
            reason=f"its status was known only until {status.next_update:%Y-%m-%dT%H:%M:%SZ}",
        )
    return status.next_update


def _check_held(status: CertStatus, *, credential: PlatformCredential) -> None:
    """Refuse a recovery where nothing is to be recovered from, or nothing can be."""
    if status.kind is StatusKind.GOOD and status.revocation is None:
        raise RefusalError(
            RefusalCode.PFC_NOT_ON_HOLD,
            subject=credential.subject,
            reason="it is good: a validation shows what its platform is worth",
        )
    if status.revocation is None or status.revocation.reason is not RevocationReason.CERTIFICATE_HOLD:
        raise _revoked(status.revocation, credential=credential)


def _revoked(revocation: Revocation | None, *, credential: PlatformCredential) -> RefusalError:
    """A hold is told apart from the reasons that nobody lifts."""
    if revocation is None:
        return RefusalError(
            RefusalCode.PFC_REVOKED, subject=credential.subject, reason="it was revoked, nobody says when"
        )
    on_hold = revocation.reason is RevocationReason.CERTIFICATE_HOLD
    return RefusalError(
        RefusalCode.PFC_ON_HOLD if on_hold else RefusalCode.PFC_REVOKED,
        subject=credential.subject,
        reason=f"it was revoked at {revocation.at:%Y-%m-%dT%H:%M:%SZ}, reason {revocation.reason.flag.value}",
    )
