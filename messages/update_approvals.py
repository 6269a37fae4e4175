"""Approvals for the state after an update, from the owner of a compartment to the TRE that holds it (D8, R82).

Rule: like an instruction, it answers one nonce that this TRE has given out, so it can be neither replayed nor prepared;
and the approvals in it are for one value of the generation counter and those that follow, so it is of no use once they
are over.
The message says which manifest the approvals follow from; what they open is in the approvals themselves.
"""

from dataclasses import dataclass
from typing import Any, Final

from messages.approval import VAULT_REACH
from messages.errors import refusal
from messages.instruction import TRE_NONCE_SIZE
from messages.mid_package import ApprovedUse, approved_uses_claim, read_approved_uses
from messages.operator_token import TokenKind
from messages.order import DIGEST_SIZE, ID_MAX
from standards.pki import oids
from standards.rats.fields import Fields, encode_base64url

UPDATE_APPROVALS_KIND: Final = TokenKind(
    typ="pva-update-approvals+jwt", eku=oids.EKU_SUBSCRIPTION, roles=frozenset({"sho"})
)

GENERATIONS_MIN: Final = VAULT_REACH + 2
"""Values of the counter that the next state is approved for, at least: now, those that a vault which was approved now
reaches in the old state, and one past them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateApprovals:
    """What may open the vault of `sho` on `device_id` after the update to the manifest of this digest (32 bytes).

    `tre_nonce` is the nonce that the TRE gave out for it.
    """

    sho: str
    device_id: str
    tre_nonce: bytes
    manifest_digest: bytes
    approvals: tuple[ApprovedUse, ...]

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        return {
            "sub": self.device_id,
            "nonce": encode_base64url(self.tre_nonce),
            "pva_manifest_digest": self.manifest_digest.hex(),
            "pva_approvals": approved_uses_claim(self.approvals),
        }


def read_claims(claims: object) -> UpdateApprovals:
    """Read verified claims; the approvals are NOT judged here. Raises MessageError."""
    fields = Fields(claims, what="update approvals", refusal=refusal)
    read = UpdateApprovals(
        sho=fields.text("iss", size_max=ID_MAX),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        tre_nonce=fields.base64url("nonce", size_min=TRE_NONCE_SIZE, size_max=TRE_NONCE_SIZE),
        manifest_digest=fields.hex("pva_manifest_digest", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        approvals=read_approved_uses(fields, "pva_approvals", what="update approvals"),
    )
    fields.close()
    return read
