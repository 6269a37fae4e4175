"""The discovery answer: which operator will take this device, and where the services of its registration are (R91).

Rule: signed by the DRF and bound to the device and the nonce of the question. Where the operator came from is said
(`source`): a registered order goes before the user's choice, and that before the supplier's default.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.errors import MessageError, refusal
from messages.operator_token import TokenKind
from standards.pki import oids
from standards.rats.fields import Fields, encode_base64url, numeric_date

DISCOVERY_KIND: Final = TokenKind(typ="pva-discovery+jwt", eku=oids.EKU_DISCOVERY, roles=frozenset({"drf"}))
SOURCES: Final = ("registered-order", "user-choice", "supplier-default")
NONCE_SIZE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The answer: `sho` and its name for people, `drf` who answers, URLs of PVA and DPF for this registration."""

    drf: str
    device_id: str
    nonce: bytes
    sho: str
    sho_name: str
    source: str
    pva_url: str
    dpf_url: str
    issued_at: datetime
    expires_at: datetime

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        return {
            "sub": self.device_id,
            "nonce": encode_base64url(self.nonce),
            "iat": numeric_date(self.issued_at),
            "exp": numeric_date(self.expires_at),
            "pva_sho": self.sho,
            "pva_sho_name": self.sho_name,
            "pva_source": self.source,
            "pva_url": self.pva_url,
            "dpf_url": self.dpf_url,
        }


def read_claims(claims: object) -> Discovery:
    """Read verified claims; the time is NOT judged here. Raises MessageError."""
    fields = Fields(claims, what="discovery", refusal=refusal)
    found = Discovery(
        drf=fields.text("iss", size_max=64),
        device_id=fields.hex("sub", size_min=32, size_max=32).hex(),
        nonce=fields.base64url("nonce", size_min=NONCE_SIZE, size_max=NONCE_SIZE),
        sho=fields.text("pva_sho", size_max=64),
        sho_name=fields.text("pva_sho_name", size_max=64),
        source=fields.text("pva_source", size_max=32),
        pva_url=fields.text("pva_url", size_max=500),
        dpf_url=fields.text("dpf_url", size_max=500),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
    )
    fields.close()
    if found.source not in SOURCES:
        raise MessageError(what="discovery.pva_source", expected=" or ".join(SOURCES), got="another")
    return found
