"""Connectivity credentials on their way into a TRE: a PCID and its key, in the factory (R06, R84-R85, R106).

Rule: the key is never in clear outside CCIF, ICF and TRE: it travels as an import blob for the device's storage key.
The blob's authPolicy is PolicyCommandCode(Unseal): it can be unsealed where it was imported, and never duplicated.
It holds no operator's data: which operator will take the device is found out later.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.attachment import MNC_DIGITS, check_pcid
from messages.errors import refusal
from messages.mid_package import SealedKey, read_sealed_key
from messages.operator_token import TokenKind
from messages.order import DIGEST_SIZE, ID_MAX, NAME_SIZE_MAX, NAME_SIZE_MIN
from standards.pki import oids
from standards.rats.fields import Fields, numeric_date
from standards.tpm2.constants import CommandCode
from standards.tpm2.policy import EMPTY_POLICY, policy_command_code

CONNECTIVITY_KIND: Final = TokenKind(
    typ="pva-connectivity+jwt", eku=oids.EKU_CONNECTIVITY, roles=frozenset({"ccif"})
)
SECRET_SIZE: Final = 32
"""K and OPc, 16 bytes each, in this order."""


def sealed_policy() -> bytes:
    """AuthPolicy of the blob."""
    return policy_command_code(EMPTY_POLICY, code=CommandCode.UNSEAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectivity:
    """One device's PCID and sealed key (K || OPc of MILENAGE); `mnc_digits` of the network that the PCID belongs to."""

    ccif: str
    device_id: str
    storage_key_name: bytes
    pcid: str
    mnc_digits: int
    sealed_key: SealedKey
    issued_at: datetime

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        return {
            "sub": self.device_id,
            "iat": numeric_date(self.issued_at),
            "pva_storage_key_name": self.storage_key_name.hex(),
            "pva_pcid": self.pcid,
            "pva_mnc_digits": self.mnc_digits,
            "pva_sealed_key": self.sealed_key.claims(),
        }


def read_claims(claims: object) -> Connectivity:
    """Read verified claims. Raises MessageError."""
    fields = Fields(claims, what="connectivity", refusal=refusal)
    found = Connectivity(
        ccif=fields.text("iss", size_max=ID_MAX),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        storage_key_name=fields.hex("pva_storage_key_name", size_min=NAME_SIZE_MIN, size_max=NAME_SIZE_MAX),
        pcid=check_pcid(fields.text("pva_pcid", size_max=15)),
        mnc_digits=fields.integer("pva_mnc_digits", low=MNC_DIGITS[0], high=MNC_DIGITS[-1]),
        sealed_key=read_sealed_key(fields.nested("pva_sealed_key")),
        issued_at=fields.time("iat"),
    )
    fields.close()
    return found
