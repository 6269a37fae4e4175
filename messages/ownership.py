"""The ownership record: a supplier's word on whose device this is, for devices without anybody to ask (R13).

Rule: signed under the ES root that is anchored in the device; it stands for the consent of a person for orders of the
named operators only. It takes nothing else away: every other check of an order is made all the same.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.errors import refusal
from messages.order import DIGEST_SIZE, ID_MAX
from standards.rats.fields import Fields, numeric_date

OWNERSHIP_TYPE: Final = "pva-ownership+jwt"
"""Signed with the purpose batch-signing: what a supplier says about its devices."""
OWNERSHIP_BYTES_MAX: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """The record: `owner` a pseudonym, `operators` the SHOs whose orders the owner has agreed to."""

    supplier: str
    device_id: str
    owner: str
    operators: tuple[str, ...]
    issued_at: datetime

    def claims(self) -> dict[str, Any]:
        """JWT claims; `read_claims` takes them back."""
        return {
            "iss": self.supplier,
            "sub": self.device_id,
            "iat": numeric_date(self.issued_at),
            "pva_owner": self.owner,
            "pva_operators": list(self.operators),
        }


def read_claims(claims: object) -> Ownership:
    """Read verified claims. Raises MessageError."""
    fields = Fields(claims, what="ownership", refusal=refusal)
    record = Ownership(
        supplier=fields.text("iss", size_max=ID_MAX),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        owner=fields.text("pva_owner", size_max=ID_MAX),
        operators=fields.texts("pva_operators", size_min=1, size_max=16),
        issued_at=fields.time("iat"),
    )
    fields.close()
    return record
