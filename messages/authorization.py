"""The authorisation: an operator's word to one DPF that one package may go to one device (R96, D11).

Rule: it names the result that it rests on, the device, its AK and storage key, the order and the package, so that a
forged, stale or mismatched part shows at the DPF before a byte leaves. It is an order to check, never a replacement
for a check: the DPF has the platform validated again. In a change of operator it names the prior owner, with that one's release.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.errors import MessageError, refusal
from messages.operator_token import TokenKind
from messages.order import DIGEST_SIZE, ID_MAX, NAME_SIZE_MAX, NAME_SIZE_MIN
from messages.release import carried_release
from standards.pki import oids
from standards.rats.fields import Fields, numeric_date

AUTHORIZATION_KIND: Final = TokenKind(
    typ="pva-authorization+jwt", eku=oids.EKU_SUBSCRIPTION, roles=frozenset({"sho"})
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """What the SHO authorises: `package_digest` is SHA-256 of the package token as sent; Names are TPM Names.

    `prior_owner` and `release` come together, in a change of operator: whose MID serves now, and its release, which is not
    verified here.
    """

    sho: str
    dpf: str
    jti: str
    order_digest: bytes
    device_id: str
    ak_name: bytes
    storage_key_name: bytes
    result_id: str
    package_digest: bytes
    issued_at: datetime
    expires_at: datetime
    prior_owner: str | None = None
    release: str | None = None

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        claims: dict[str, Any] = {
            "aud": self.dpf,
            "jti": self.jti,
            "iat": numeric_date(self.issued_at),
            "exp": numeric_date(self.expires_at),
            "sub": self.device_id,
            "pva_order_digest": self.order_digest.hex(),
            "pva_ak_name": self.ak_name.hex(),
            "pva_storage_key_name": self.storage_key_name.hex(),
            "pva_result_id": self.result_id,
            "pva_package_digest": self.package_digest.hex(),
        }
        if self.prior_owner is not None:
            claims["pva_prior_owner"] = self.prior_owner
        if self.release is not None:
            claims["pva_release"] = self.release
        return claims


def read_claims(claims: object) -> Authorization:
    """Read verified claims; the time is NOT judged here. Raises MessageError."""
    fields = Fields(claims, what="authorisation", refusal=refusal)
    authorization = Authorization(
        sho=fields.text("iss", size_max=ID_MAX),
        dpf=fields.text("aud", size_max=ID_MAX),
        jti=fields.text("jti", size_max=ID_MAX),
        order_digest=fields.hex("pva_order_digest", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        ak_name=fields.hex("pva_ak_name", size_min=NAME_SIZE_MIN, size_max=NAME_SIZE_MAX),
        storage_key_name=fields.hex("pva_storage_key_name", size_min=NAME_SIZE_MIN, size_max=NAME_SIZE_MAX),
        result_id=fields.text("pva_result_id", size_max=ID_MAX),
        package_digest=fields.hex("pva_package_digest", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
        prior_owner=(
            fields.text("pva_prior_owner", size_max=ID_MAX) if "pva_prior_owner" in fields else None
        ),
        release=carried_release(fields, what="authorisation") if "pva_release" in fields else None,
    )
    fields.close()
    if (authorization.prior_owner is None) != (authorization.release is None):
        raise MessageError(
            what="authorisation.pva_release", expected="one with a prior owner, none without", got="another"
        )
    return authorization
