"""The delivery: the DPF's signature over the package that it sends, and to whom (D8: owner and sender sign).

Rule: a TRE takes a package only from the DPF that the order names, and only in the delivery that this DPF signed for
this device and order.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.errors import refusal
from messages.operator_token import TokenKind
from messages.order import DIGEST_SIZE, ID_MAX
from standards.pki import oids
from standards.rats.fields import Fields, numeric_date

DELIVERY_KIND: Final = TokenKind(typ="pva-delivery+jwt", eku=oids.EKU_DELIVERY, roles=frozenset({"dpf"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One grant put into practice: `package_digest` is SHA-256 of the package token as sent."""

    dpf: str
    grant_id: str
    device_id: str
    order_digest: bytes
    package_digest: bytes
    result_id: str
    issued_at: datetime
    expires_at: datetime

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        return {
            "jti": self.grant_id,
            "iat": numeric_date(self.issued_at),
            "exp": numeric_date(self.expires_at),
            "sub": self.device_id,
            "pva_order_digest": self.order_digest.hex(),
            "pva_package_digest": self.package_digest.hex(),
            "pva_result_id": self.result_id,
        }


def read_claims(claims: object) -> Delivery:
    """Read verified claims; the time is NOT judged here. Raises MessageError."""
    fields = Fields(claims, what="delivery", refusal=refusal)
    delivery = Delivery(
        dpf=fields.text("iss", size_max=ID_MAX),
        grant_id=fields.text("jti", size_max=ID_MAX),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        order_digest=fields.hex("pva_order_digest", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        package_digest=fields.hex("pva_package_digest", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        result_id=fields.text("pva_result_id", size_max=ID_MAX),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
    )
    fields.close()
    return delivery
