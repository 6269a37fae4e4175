"""The anchors of a TRE, and what may be traced to them.

Two roots come with the factory image: the equipment supplier's, above this device's PfC, and the operators'
root, above every PVA that may ask for a quote. Nothing is signed for a challenge before its signer was
traced to the operators' root, by purpose (EKU), type and role; no PfC is installed that does not lead from
this AK to the supplier's root.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from joserfc.util import urlsafe_b64decode

from m2me_agent.tre.errors import AnchorError, CredentialError, MalformedError
from messages.challenge import CHALLENGE_BYTES_MAX, CHALLENGE_TYPE, Challenge, read_claims
from messages.errors import MessageError
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.extensions import HardwareModuleName, OperatorRole
from standards.pki.fingerprints import decode_certificate, decode_pem_certificates, spki_der
from standards.pki.jws import verify_jws
from standards.pki.paths import validate_path

PVA_ROLE = "pva"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Trust anchors from the factory image; they change only with the image."""

    es_roots: tuple[x509.Certificate, ...]
    operators_roots: tuple[x509.Certificate, ...]


def load_anchors(*, es_root_pem: bytes, operators_root_pem: bytes) -> Anchors:
    """Anchors from the PEM files of the image.

    Raises:
        AnchorError: a file holds no certificate, or one that is not a CA.
    """
    return Anchors(
        es_roots=_load_roots(es_root_pem, subject="ES root"),
        operators_roots=_load_roots(operators_root_pem, subject="operators' root"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedChallenge:
    """A challenge whose signer is proven, and the id of that PVA, which survives the renewal of its keys."""

    challenge: Challenge
    pva: str


def _unverified_challenge(token: str) -> Challenge:
    """What a token says, proven by nobody: only good for the time at which its signer is to be judged."""
    if len(token) > CHALLENGE_BYTES_MAX:
        raise _malformed(f"expected at most {CHALLENGE_BYTES_MAX} characters, got {len(token)}")
    try:
        _header, payload, _signature = token.encode("ascii").split(b".")
        return read_claims(json.loads(urlsafe_b64decode(payload)))
    except (MessageError, ValueError, RecursionError) as error:
        raise _malformed(f"is no challenge token: {error}") from error


def verify_challenge(token: str, *, anchors: Anchors) -> SignedChallenge:
    """The challenge in a token whose signer was a PVA under the operators' root when, as it says, it was issued.

    So no PVA can sign a time at which its certificate has not begun or is over.

    NOT checked here: device, purpose, life and order in time of the challenge.

    Raises:
        AnchorError: the signer was not a PVA under the anchor then, or did not sign this.
        MalformedError: this is no token, or its claims are not those of a challenge.
    """
    judged_at = _unverified_challenge(token).issued_at
    try:
        verified = verify_jws(
            token,
            anchors=anchors.operators_roots,
            eku=oids.EKU_CHALLENGE,
            typ=CHALLENGE_TYPE,
            at=judged_at,
            bytes_max=CHALLENGE_BYTES_MAX,
        )
        role = OperatorRole.of(verified.path[0])
    except PkiError as error:
        raise _untrusted(str(error)) from error
    if role is None or role.role != PVA_ROLE:
        got = "no role" if role is None else repr(role.role)
        raise _untrusted(f"expected a signer with the role {PVA_ROLE!r}, got {got}")
    try:
        challenge = read_claims(verified.claims)
    except MessageError as error:
        raise _malformed(str(error)) from error
    if challenge.issued_at != judged_at:
        raise _malformed("its issue time is read in two ways")
    return SignedChallenge(challenge=challenge, pva=role.id)


def credential_begins_at(chain: Sequence[bytes]) -> datetime:
    """When the installed PfC begins. Raises MalformedError."""
    try:
        return decode_certificate(chain[0]).not_valid_before_utc
    except PkiError as error:
        raise MalformedError(
            subject="platform credential", reason=str(error), remedy="enrol the device again"
        ) from error


def verify_platform_credential(
    chain: Sequence[bytes], *, ak_spki: bytes, device_id: bytes, anchors: Anchors, at: datetime | None
) -> tuple[x509.Certificate, ...]:
    """The PfC at the head of ``chain``, over this AK, for this device, and what leads from it to the anchored ES root.

    PfC first, without the root; what else came along is left out.

    Args:
        chain: DER, PfC first, without the root.
        ak_spki: DER SubjectPublicKeyInfo of this device's AK.
        device_id: 32 bytes, expected as hwSerialNum of the PfC's HardwareModuleName.
        anchors: the factory's anchors.
        at: the time that is known, at least; a PfC that begins later is judged at its beginning.

    NOT checked here: revocation.

    Raises:
        CredentialError: it is for another key or device, or leads elsewhere.
        MalformedError: not certificates.
    """
    try:
        leaf, *others = [decode_certificate(der) for der in chain]
    except PkiError as error:
        raise MalformedError(
            subject="platform credential", reason=str(error), remedy="enrol the device again"
        ) from error
    if _spki(leaf) != ak_spki:
        raise _refused("it is over another key than this device's AK")
    begins_at = leaf.not_valid_before_utc
    judged_at = begins_at if at is None else max(at, begins_at)
    try:
        path = validate_path(
            leaf,
            intermediates=others,
            anchors=anchors.es_roots,
            at=judged_at,
            eku=oids.EKU_PLATFORM_CREDENTIAL,
        )
        module = HardwareModuleName.of(leaf)
    except PkiError as error:
        raise _refused(str(error)) from error
    if module is None or module.serial != device_id:
        raise _refused("its HardwareModuleName is not this device's id")
    return path[:-1]


def _load_roots(pem: bytes, *, subject: str) -> tuple[x509.Certificate, ...]:
    remedy = "put the root's PEM certificate into the image and name it in the settings"
    try:
        roots = tuple(decode_pem_certificates(pem))
    except PkiError as error:
        raise AnchorError(subject=subject, reason=str(error), remedy=remedy) from error
    for root in roots:
        if not _is_ca(root):
            raise AnchorError(subject=subject, reason="expected a CA certificate", remedy=remedy)
    return roots


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _spki(certificate: x509.Certificate) -> bytes:
    try:
        return spki_der(certificate)
    except PkiError as error:
        raise _refused(str(error)) from error


def _malformed(reason: str) -> MalformedError:
    return MalformedError(subject="challenge", reason=reason, remedy="fetch a new challenge from the PVA")


def _untrusted(reason: str) -> AnchorError:
    return AnchorError(
        subject="signer of the challenge",
        reason=reason,
        remedy="ask a PVA whose certificate is under the operators' root of this device's image",
    )


def _refused(reason: str) -> CredentialError:
    return CredentialError(
        subject="platform credential",
        reason=reason,
        remedy="enrol at the CA of this device's supplier",
    )
