"""The validation request: a relying party's signed question about one device (D12, R93).

Rule: whoever carries it (a registration operator may relay it) can alter nothing and learns only whether the platform
passed; the PVA scopes by the signer. `rp_nonce` is the relying party's own and comes back in the result as `eat_nonce`.
A relayed answer is encrypted to the key in the request's own certificate for that purpose (`pva_encrypt_to`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.challenge import AUDIENCE_MAX, DIGEST_SIZE, RP_NONCE_SIZE_MAX, RP_NONCE_SIZE_MIN
from messages.errors import MessageError, refusal
from messages.operator_token import TokenKind
from standards.pki import oids
from standards.rats.fields import Fields, encode_base64url, numeric_date

VALIDATION_REQUEST_OF_SHO: Final = TokenKind(
    typ="pva-validation-request+jwt", eku=oids.EKU_SUBSCRIPTION, roles=frozenset({"sho"})
)
VALIDATION_REQUEST_OF_DPF: Final = TokenKind(
    typ="pva-validation-request+jwt", eku=oids.EKU_DELIVERY, roles=frozenset({"dpf"})
)
CERTIFICATE_SIZE_MAX: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """One question: `requester` is `iss`; `pva` the PVA it is for; `audience` of the result, the requester included.

    `encrypt_to` is a DER certificate of the requester (purpose result-encryption), None where the answer is fetched
    directly.
    """

    requester: str
    pva: str
    jti: str
    device_id: str
    purpose: str
    rp_nonce: bytes
    order_digest: bytes | None
    audience: tuple[str, ...]
    encrypt_to: bytes | None
    issued_at: datetime
    expires_at: datetime

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        claims: dict[str, Any] = {
            "aud": self.pva,
            "jti": self.jti,
            "iat": numeric_date(self.issued_at),
            "exp": numeric_date(self.expires_at),
            "sub": self.device_id,
            "pva_purpose": self.purpose,
            "pva_rp_nonce": encode_base64url(self.rp_nonce),
            "pva_audience": list(self.audience),
        }
        if self.order_digest is not None:
            claims["pva_order_digest"] = self.order_digest.hex()
        if self.encrypt_to is not None:
            claims["pva_encrypt_to"] = encode_base64url(self.encrypt_to)
        return claims


def read_claims(claims: object) -> SignedRequest:
    """Read verified claims; the time is NOT judged here. Raises MessageError."""
    fields = Fields(claims, what="validation request", refusal=refusal)
    request = SignedRequest(
        requester=fields.text("iss", size_max=64),
        pva=fields.text("aud", size_max=255),
        jti=fields.text("jti", size_max=64),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        purpose=fields.text("pva_purpose", size_max=32),
        rp_nonce=fields.base64url("pva_rp_nonce", size_min=RP_NONCE_SIZE_MIN, size_max=RP_NONCE_SIZE_MAX),
        order_digest=(
            fields.hex("pva_order_digest", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE)
            if "pva_order_digest" in fields
            else None
        ),
        audience=fields.texts("pva_audience", size_min=1, size_max=AUDIENCE_MAX),
        encrypt_to=(
            fields.base64url("pva_encrypt_to", size_min=1, size_max=CERTIFICATE_SIZE_MAX)
            if "pva_encrypt_to" in fields
            else None
        ),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
    )
    fields.close()
    if request.requester not in request.audience:
        raise MessageError(
            what="validation request.pva_audience", expected="the requester among the names", got="others"
        )
    return request
