"""The gate: what must hold before one byte of a subscription leaves for a platform (A28, R60, R68, R81, R96).

Rule: pure decisions over what was proven, default deny: each point raises a refusal of its own or gives what it has
proven, and there is no argument that leaves one out. Points 1 to 4 are judged when an authorisation comes and again
when a grant is made; 5 and 6 when a grant is made.

    1  the authorisation   the SHO's own, for this DPF, in time; in a change of operator with the prior owner's release to it
    2  the order           the same SHO's, for this DPF, this device and AK, this order, in time
    3  the result          a recognised PVA's, for this DPF and SHO, device, AK, storage key, order; both scopes affirming
    4  the package         the same SHO's, digest as authorised, for the same device and keys, with this content, in time;
                           of an order that updates a MID, that MID
    5  the fresh result    on the DPF's own nonce, in time, affirming; same keys, PCRs and generation counter as in 3
    6  the PfC             `operators.dpf.credential`: the one of the fresh result, and OCSP says `good`

The life of the result in 3 is judged at the moment when the SHO brought it; that the platform is *still* so is what
5 is for (docs/adr/0024-delivery-gate.md).
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from messages import authorization as authorizations
from messages import mid_package as packages
from messages import order as orders
from messages.authorization import AUTHORIZATION_KIND, Authorization
from messages.errors import MessageError
from messages.mid_package import PACKAGE_KIND, PackageHeader, package_digest
from messages.operator_token import TokenKind, check_life, verify_operator_token
from messages.order import ORDER_KIND, Order
from messages.release import RELEASE_KIND, read_release
from messages.reliance import Expected, check_answers, permits_release, verify_result
from operators.dpf.refusals import RefusalCode, RefusalError
from standards.rats.ear import AttestationResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Who this DPF is (`dpf`), the operators' root that it believes, and the ids of the PVAs that it recognises."""

    dpf: str
    anchors: Sequence[x509.Certificate]
    pvas: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizedParts:
    """What an SHO brings, nothing of it proven: four tokens and the encrypted content."""

    authorization: str
    order: str
    result: str
    package: str
    content: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 over all parts: whether the same authorisation comes again."""
        whole = hashlib.sha256(b"pva/authorized-parts/1")
        for part in (self.authorization, self.order, self.result, self.package):
            whole.update(hashlib.sha256(part.encode()).digest())
        whole.update(hashlib.sha256(self.content).digest())
        return whole.digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorized:
    """Points 1 to 4, proven: who authorises what for which platform."""

    authorization: Authorization
    order: Order
    result: AttestationResult
    package: PackageHeader


def check_authorized(
    parts: AuthorizedParts, *, sho: str, trust: Trust, accepted_at: datetime, at: datetime
) -> Authorized:
    """Points 1 to 4, judged `at` for the SHO whose tenant `sho` is; they came at `accepted_at`.

    Raises RefusalError.
    """
    authorization = check_authorization(parts, sho=sho, trust=trust, at=at)
    authorized = Authorized(
        authorization=authorization,
        order=check_order(parts, authorization, trust=trust, at=at),
        result=check_result(parts, authorization, trust=trust, at=accepted_at),
        package=check_package(parts, authorization, trust=trust, at=at),
    )
    _check_updates(authorized)
    return authorized


def _check_updates(authorized: Authorized) -> None:
    """That the package of an order that updates a MID brings that MID and no other. Raises RefusalError."""
    updates, package = authorized.order.updates, authorized.package
    if updates is not None and package.mid_id != updates:
        raise RefusalError(
            RefusalCode.PACKAGE_MISMATCH,
            subject=f"package {package.package_id}",
            reason=f"expected the MID {updates}, which its order updates, got another",
        )


def check_authorization(parts: AuthorizedParts, *, sho: str, trust: Trust, at: datetime) -> Authorization:
    """Point 1. Raises RefusalError."""
    try:
        claims = _claims(parts.authorization, AUTHORIZATION_KIND, sho=sho, trust=trust, at=at)
        authorization = authorizations.read_claims(claims)
        _same("authorisation", {"DPF": (trust.dpf, authorization.dpf)})
    except MessageError as error:
        raise _refused(RefusalCode.AUTHORIZATION_INVALID, "authorisation", error) from None
    try:
        check_life(
            "the authorisation",
            issued_at=authorization.issued_at,
            expires_at=authorization.expires_at,
            at=at,
        )
    except MessageError as error:
        raise _refused(
            RefusalCode.AUTHORIZATION_EXPIRED, f"authorisation {authorization.jti}", error
        ) from None
    if authorization.release is not None:
        _check_release(authorization.release, authorization, trust=trust, at=at)
    return authorization


def _check_release(token: str, authorization: Authorization, *, trust: Trust, at: datetime) -> None:
    """That the prior owner, whom the authorisation names, lets this SHO follow on this device. Raises RefusalError."""
    try:
        signed = verify_operator_token(token, RELEASE_KIND, anchors=trust.anchors, at=at)
        release = read_release(signed.claims)
        _same(
            "release",
            {
                "prior owner": (authorization.prior_owner, release.osho),
                "device": (authorization.device_id, release.device_id),
                "successor": (authorization.sho, release.successor),
            },
        )
    except MessageError as error:
        raise _refused(RefusalCode.RELEASE_INVALID, f"authorisation {authorization.jti}", error) from None


def check_order(parts: AuthorizedParts, authorization: Authorization, *, trust: Trust, at: datetime) -> Order:
    """Point 2. Raises RefusalError."""
    try:
        claims = _claims(parts.order, ORDER_KIND, sho=authorization.sho, trust=trust, at=at)
        order = orders.read_claims(claims)
        check_life("the order", issued_at=order.issued_at, expires_at=order.expires_at, at=at)
    except MessageError as error:
        raise _refused(RefusalCode.ORDER_INVALID, "order", error) from None
    try:
        _same(
            "order",
            {
                "DPF": (trust.dpf, order.audience),
                "order": (authorization.order_digest, order.digest),
                "device": (authorization.device_id, order.device_id),
                "AK": (authorization.ak_name, order.ak_name),
            },
        )
    except MessageError as error:
        raise _refused(RefusalCode.ORDER_MISMATCH, f"order {order.order_id}", error) from None
    return order


def check_result(
    parts: AuthorizedParts, authorization: Authorization, *, trust: Trust, at: datetime
) -> AttestationResult:
    """Point 3; `at` is when the SHO brought it. Raises RefusalError."""
    result = recognised_result(parts.result, RefusalCode.RESULT_INVALID, trust=trust, at=at)
    subject = f"result {result.result_id}"
    try:
        _same(
            "result",
            {
                "result": (authorization.result_id, result.result_id),
                "SHO": (True, authorization.sho in result.audience),
            },
        )
        check_answers(result, _expected(authorization, trust=trust))
    except MessageError as error:
        raise _refused(RefusalCode.RESULT_MISMATCH, subject, error) from None
    if not permits_release(result):
        raise _not_affirming(RefusalCode.RESULT_NOT_AFFIRMING, result)
    return result


def check_package(
    parts: AuthorizedParts, authorization: Authorization, *, trust: Trust, at: datetime
) -> PackageHeader:
    """Point 4, with the content that the package names. Raises RefusalError."""
    try:
        claims = _claims(parts.package, PACKAGE_KIND, sho=authorization.sho, trust=trust, at=at)
        package = packages.read_claims(claims)
        check_life("the package", issued_at=package.issued_at, expires_at=package.expires_at, at=at)
    except MessageError as error:
        raise _refused(RefusalCode.PACKAGE_INVALID, "package", error) from None
    subject = f"package {package.package_id}"
    try:
        _same(
            "package",
            {
                "DPF": (trust.dpf, package.dpf),
                "package": (authorization.package_digest, package_digest(parts.package)),
                "order": (authorization.order_digest, package.order_digest),
                "device": (authorization.device_id, package.device_id),
                "AK": (authorization.ak_name, package.ak_name),
                "storage key": (authorization.storage_key_name, package.storage_key_name),
            },
        )
    except MessageError as error:
        raise _refused(RefusalCode.PACKAGE_MISMATCH, subject, error) from None
    digest = hashlib.sha256(parts.content).digest()
    if len(parts.content) != package.content_size or not hmac.compare_digest(digest, package.content_sha256):
        raise RefusalError(
            RefusalCode.CONTENT_MISMATCH,
            subject=subject,
            reason=f"expected the {package.content_size} bytes that it names, got {len(parts.content)} others",
        )
    return package


def check_fresh_result(
    token: str, *, authorized: Authorized, nonce: bytes, trust: Trust, at: datetime
) -> AttestationResult:
    """Point 5: `nonce` is what this DPF drew for this one delivery. Raises RefusalError."""
    fresh = recognised_result(token, RefusalCode.FRESH_RESULT_INVALID, trust=trust, at=at)
    authorization, subject = authorized.authorization, f"fresh result {fresh.result_id}"
    try:
        _same(
            "fresh result",
            {
                "SHO": (True, authorization.sho in fresh.audience),
                "PVA than was asked": (authorized.result.issuer, fresh.issuer),
            },
        )
        check_answers(
            fresh,
            Expected(
                audience=trust.dpf,
                device_id=authorization.device_id,
                nonce=nonce,
                order_digest=authorization.order_digest,
            ),
        )
    except MessageError as error:
        raise _refused(RefusalCode.FRESH_RESULT_MISMATCH, subject, error) from None
    if not permits_release(fresh):
        raise _not_affirming(RefusalCode.FRESH_RESULT_NOT_AFFIRMING, fresh)
    before = authorized.result
    try:
        _same(
            "platform",
            {
                "AK": (before.ak_name, fresh.ak_name),
                "storage key": (before.storage_key_name, fresh.storage_key_name),
                "PCR selection": (dict(before.pcr_selections), dict(fresh.pcr_selections)),
                "PCR digest": (before.pcr_digest, fresh.pcr_digest),
                "generation counter": (before.generation_counter, fresh.generation_counter),
            },
        )
    except MessageError as error:
        raise _refused(RefusalCode.STATE_CHANGED, f"device {fresh.device_id}", error) from None
    return fresh


def check_still_granted(
    parts: AuthorizedParts, *, fresh_token: str, grant_ends_at: datetime, sho: str, trust: Trust, at: datetime
) -> None:
    """What can end while content is under way, judged at every chunk. Raises RefusalError."""
    if at >= grant_ends_at:
        raise RefusalError(
            RefusalCode.GRANT_EXPIRED,
            subject="grant",
            reason=f"it ended at {grant_ends_at:%Y-%m-%dT%H:%M:%SZ}, and now is {at:%Y-%m-%dT%H:%M:%SZ}",
        )
    check_authorization(parts, sho=sho, trust=trust, at=at)
    recognised_result(fresh_token, RefusalCode.FRESH_RESULT_INVALID, trust=trust, at=at)


def _claims(token: str, kind: TokenKind, *, sho: str, trust: Trust, at: datetime) -> object:
    """Claims of a token that the caller's own tenant signed."""
    signed = verify_operator_token(token, kind, anchors=trust.anchors, at=at)
    _same(f"signer of {kind.typ}", {"SHO": (sho, signed.signer.id)})
    return signed.claims


def recognised_result(token: str, code: RefusalCode, *, trust: Trust, at: datetime) -> AttestationResult:
    """A result in time that a recognised PVA signed; what it says is NOT judged here. Raises RefusalError."""
    try:
        result = verify_result(token, anchors=trust.anchors, at=at)
    except MessageError as error:
        raise _refused(code, "attestation result", error) from None
    if result.issuer not in trust.pvas:
        raise RefusalError(
            code,
            subject=f"attestation result {result.result_id}",
            reason=f"expected a PVA that this DPF recognises, got {result.issuer}",
        )
    return result


def _expected(authorization: Authorization, *, trust: Trust) -> Expected:
    return Expected(
        audience=trust.dpf,
        device_id=authorization.device_id,
        order_digest=authorization.order_digest,
        ak_name=authorization.ak_name,
        storage_key_name=authorization.storage_key_name,
    )


def _same(what: str, pairs: dict[str, tuple[object, object]]) -> None:
    """Raise MessageError naming every pair that differs."""
    wrong = [name for name, (expected, got) in pairs.items() if expected != got]
    if wrong:
        raise MessageError(
            what=what, expected="what the authorisation names", got=f"another {', another '.join(wrong)}"
        )


def _not_affirming(code: RefusalCode, result: AttestationResult) -> RefusalError:
    scopes = ", ".join(f"{name} {each.status.value}" for name, each in sorted(result.submodules.items()))
    return RefusalError(
        code,
        subject=f"device {result.device_id}",
        reason="expected tre and platform affirming for validation, over registers of the whole boot chain, "
        f"got {scopes} for {result.purpose}",
    )


def _refused(code: RefusalCode, subject: str, error: MessageError) -> RefusalError:
    return RefusalError(code, subject=subject, reason=str(error))
