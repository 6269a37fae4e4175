"""Instructions to a TRE about a MID, signed by the MID's owner (R37, R58, D17).

Rule: an instruction answers one nonce that this TRE has given out, in a receipt or in a registry report, so it can be
neither replayed nor prepared; the TRE judges no wall-clock time. `activate` is what the owner says after its AuC accepts
the new identity (step 14). `lock` and `unlock` belong to a migration to another device. `erase` brings a nonce of the owner's: the proof of the erasure answers it.
"""

from dataclasses import dataclass
from typing import Any, Final

from messages.errors import MessageError, refusal
from messages.operator_token import TokenKind
from messages.order import DIGEST_SIZE, ID_MAX
from standards.pki import oids
from standards.rats.fields import Fields, encode_base64url

INSTRUCTION_KIND: Final = TokenKind(
    typ="pva-instruction+jwt", eku=oids.EKU_SUBSCRIPTION, roles=frozenset({"sho"})
)
ACTIVATE: Final = "activate"
DEACTIVATE: Final = "deactivate"
BLOCK: Final = "block"
UNBLOCK: Final = "unblock"
ERASE: Final = "erase"
LOCK: Final = "lock"
UNLOCK: Final = "unlock"
ACTIONS: Final = frozenset({ACTIVATE, DEACTIVATE, BLOCK, UNBLOCK, ERASE, LOCK, UNLOCK})
TRE_NONCE_SIZE: Final = 32
PROOF_NONCE_SIZE: Final = 32
REASON_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What is to be done: `sho` the owner, `mid_id` the MID, `tre_nonce` the nonce of the receipt or report that it answers.

    `reason` is the owner's, for its own people; `proof_nonce` comes with `erase` and with nothing else.
    """

    sho: str
    action: str
    device_id: str
    mid_id: str
    tre_nonce: bytes
    reason: str | None = None
    proof_nonce: bytes | None = None

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        claims = {
            "sub": self.device_id,
            "nonce": encode_base64url(self.tre_nonce),
            "pva_action": self.action,
            "pva_mid_id": self.mid_id,
        }
        if self.reason is not None:
            claims["pva_reason"] = self.reason
        if self.proof_nonce is not None:
            claims["pva_proof_nonce"] = encode_base64url(self.proof_nonce)
        return claims


def read_claims(claims: object) -> Instruction:
    """Read verified claims. Raises MessageError."""
    fields = Fields(claims, what="instruction", refusal=refusal)
    instruction = Instruction(
        sho=fields.text("iss", size_max=ID_MAX),
        action=fields.text("pva_action", size_max=32),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        mid_id=fields.text("pva_mid_id", size_max=ID_MAX),
        tre_nonce=fields.base64url("nonce", size_min=TRE_NONCE_SIZE, size_max=TRE_NONCE_SIZE),
        reason=fields.text("pva_reason", size_max=REASON_MAX) if "pva_reason" in fields else None,
        proof_nonce=(
            fields.base64url("pva_proof_nonce", size_min=PROOF_NONCE_SIZE, size_max=PROOF_NONCE_SIZE)
            if "pva_proof_nonce" in fields
            else None
        ),
    )
    fields.close()
    if instruction.action not in ACTIONS:
        raise MessageError(
            what="instruction.pva_action", expected=" or ".join(sorted(ACTIONS)), got="another"
        )
    if (instruction.action == ERASE) != (instruction.proof_nonce is not None):
        raise MessageError(
            what="instruction.pva_proof_nonce",
            expected=f"one with {ERASE}, none with anything else",
            got="the other way round",
        )
    return instruction
