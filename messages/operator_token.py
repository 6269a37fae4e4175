"""Tokens that operators' services sign for others to believe: one way to sign and one way to verify.

Rule: a token is believed for who signed it and as what: the certificate leads to the operators' root of the reader,
is for this purpose (EKU), and names a role that may say such things; the type keeps the kinds of token apart. The
claim `iss` is the id in that certificate, or the token is refused.
Source: RFC 7515, RFC 7519; D20.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509 import ObjectIdentifier

from messages.errors import MessageError
from standards.pki.errors import PkiError
from standards.pki.extensions import OperatorRole
from standards.pki.jws import sign_jws, verify_jws

TOKEN_BYTES_MAX: Final = 32_768
LIFE_SKEW_S: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSigner:
    """A signing key of a service, its certificate path (leaf first, without the root), and its id."""

    key: EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]
    issuer: str

    def sign(self, claims: dict[str, Any], *, typ: str) -> str:
        """The claims as a compact JWS with `iss` set to this service's id."""
        return sign_jws({**claims, "iss": self.issuer}, key=self.key, chain=self.chain, typ=typ)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKind:
    """What a kind of token is known by: its type, the purpose of its signer, and the roles that may sign it."""

    typ: str
    eku: ObjectIdentifier
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedClaims:
    """Claims whose signer is proven; `certificate` is the signer's, `path` leaf first, anchor last.

    Times and audience are NOT judged.
    """

    claims: dict[str, Any]
    signer: OperatorRole
    path: tuple[x509.Certificate, ...]


def verify_operator_token(
    token: str,
    kind: TokenKind,
    *,
    anchors: Sequence[x509.Certificate],
    at: datetime,
    bytes_max: int = TOKEN_BYTES_MAX,
) -> SignedClaims:
    """Verify a token of a kind under `anchors`; the signer's certificate is judged `at`.

    Raises:
        MessageError: not this kind of token, not signed by a service of such a role, or `iss` names another one.
    """
    try:
        verified = verify_jws(token, anchors=anchors, eku=kind.eku, typ=kind.typ, at=at, bytes_max=bytes_max)
        signer = OperatorRole.of(verified.path[0])
    except PkiError as error:
        raise MessageError(
            what=kind.typ, expected="a signature under the operators' root", got=str(error)
        ) from error
    if signer is None or signer.role not in kind.roles:
        got = "no role" if signer is None else repr(signer.role)
        raise MessageError(what=f"signer of {kind.typ}", expected=" or ".join(sorted(kind.roles)), got=got)
    if verified.claims.get("iss") != signer.id:
        raise MessageError(
            what=f"{kind.typ}.iss", expected=f"the signer's own id {signer.id!r}", got="another"
        )
    return SignedClaims(claims=verified.claims, signer=signer, path=verified.path)


def check_life(what: str, *, issued_at: datetime, expires_at: datetime, at: datetime) -> None:
    """Raise MessageError unless `at` lies within the life of a token; a few seconds of clock skew are borne."""
    early = (issued_at - at).total_seconds()
    if expires_at <= issued_at or early > LIFE_SKEW_S or at >= expires_at:
        raise MessageError(
            what=f"life of {what}",
            expected=f"{issued_at:%Y-%m-%dT%H:%M:%SZ} to {expires_at:%Y-%m-%dT%H:%M:%SZ}",
            got=f"{at:%Y-%m-%dT%H:%M:%SZ}",
        )
