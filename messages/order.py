"""The order token: an operator's word that a subscription was ordered for this one device (D11, R53, R63-R65).

Rule: it is bound to the device id and the Name of the AK (`cnf`), not to a Platform Credential, which may be issued
again meanwhile. Its digest stands in the evidence, the result, the authorisation, the package and the receipt, so that
no phase of one order can be spliced into another. It names no person: `sub` is the subscriber's pseudonym at this SHO.
An order that updates a MID names it, and brings nothing else: who agreed to the MID has agreed to what its owner makes of it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.encoding import encode_deterministic
from messages.errors import MessageError, refusal
from messages.operator_token import TokenKind
from standards.pki import oids
from standards.rats.fields import Fields, numeric_date

ORDER_KIND: Final = TokenKind(typ="pva-order+jwt", eku=oids.EKU_SUBSCRIPTION, roles=frozenset({"sho"}))
DIGEST_SIZE: Final = 32
NAME_SIZE_MIN: Final = 34
NAME_SIZE_MAX: Final = 66
ID_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order: `order_id` and `jti` opaque, `order_code` what the person compares at the device (8 digits).

    `sho` who took it; `sho_name` its name for people; `device_id` 64 hexadecimal digits; `ak_name` TPM Name;
    `audience` the DPF that will deliver; `updates` the MID whose content it brings anew, if it is such an order.
    """

    order_id: str
    jti: str
    order_code: str
    sho: str
    sho_name: str
    subscriber: str
    device_id: str
    ak_name: bytes
    audience: str
    issued_at: datetime
    expires_at: datetime
    updates: str | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 over what makes this order this order; every later phase is bound to it."""
        return hashlib.sha256(
            encode_deterministic(
                [
                    "pva/order/1",
                    self.order_id,
                    self.jti,
                    self.sho,
                    self.subscriber,
                    bytes.fromhex(self.device_id),
                    self.ak_name,
                    *([] if self.updates is None else [self.updates]),
                ]
            )
        ).digest()

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        claims: dict[str, Any] = {
            "aud": self.audience,
            "sub": self.subscriber,
            "jti": self.jti,
            "iat": numeric_date(self.issued_at),
            "exp": numeric_date(self.expires_at),
            "cnf": {"device_id": self.device_id, "ak_name": self.ak_name.hex()},
            "pva_order_id": self.order_id,
            "pva_order_code": self.order_code,
            "pva_sho_name": self.sho_name,
        }
        if self.updates is not None:
            claims["pva_updates_mid"] = self.updates
        return claims


def read_claims(claims: object) -> Order:
    """Read verified claims; the time is NOT judged here. Raises MessageError."""
    fields = Fields(claims, what="order", refusal=refusal)
    confirmed = fields.nested("cnf")
    order = Order(
        order_id=fields.text("pva_order_id", size_max=ID_MAX),
        jti=fields.text("jti", size_max=ID_MAX),
        order_code=fields.text("pva_order_code", size_max=16),
        sho=fields.text("iss", size_max=ID_MAX),
        sho_name=fields.text("pva_sho_name", size_max=64),
        subscriber=fields.text("sub", size_max=ID_MAX),
        device_id=confirmed.hex("device_id", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        ak_name=confirmed.hex("ak_name", size_min=NAME_SIZE_MIN, size_max=NAME_SIZE_MAX),
        audience=fields.text("aud", size_max=ID_MAX),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
        updates=fields.text("pva_updates_mid", size_max=ID_MAX) if "pva_updates_mid" in fields else None,
    )
    confirmed.close()
    fields.close()
    if order.expires_at <= order.issued_at:
        raise MessageError(what="order.exp", expected="a time after iat", got="one that is not")
    return order
