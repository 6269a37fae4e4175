"""Approvals: in which state of which device a sealed secret may open, and who said so (D8).

Rule: an approval is made and read from meaning: the registers of an approved state, the value of the generation
counter, and what the secret is for. Every digest is computed here, by the PVA that signs, by the operator that
delegates and by the TRE that uses it; none is ever taken from a message.

    sealed object's authPolicy = PolicyAuthorize(operator's policy root, ref)
    delegation: the root signs  H(PolicyAuthorize(day key of a PVA, ref) || ref)
    approval:   the day key signs  H(PolicyNV(counter EQ c) after PolicyPCR(state)  || ref)
    ref = SHA-256(det-CBOR(["pva/use/1", use, device id, SHO, order digest]))

`ref` is the same in all three, so an approval for one use, device, operator or order opens nothing else.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError
from messages.pcr import BOOT_PCRS, PcrSelections, covers_boot, decode_selections, encode_selections
from standards.rats.fields import Fields
from standards.tpm2.constants import Comparison
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.policy import (
    EMPTY_POLICY,
    approval_digest,
    policy_auth_value,
    policy_authorize,
    policy_nv,
    policy_pcr,
)
from standards.tpm2.structures import PcrSelection, Public, Signature

USE_PACKAGE: Final = "package"
"""Unsealing the content key of one package."""
USE_VAULT: Final = "vault"
"""Reading and writing the vault key of one operator's compartment."""
VAULT_REACH: Final = 3
"""How far past the counter's value of now a vault is approved, in the state of now: its own package raises the counter by one,
and packages of other operators that come after it must not end it."""
USES: Final = frozenset({USE_PACKAGE, USE_VAULT})
FORBIDDEN_PCRS: Final = frozenset({10, 16, *range(17, 24)})
"""Registers that say nothing lasting about boot code: IMA's, and those that can be reset (A16, D8)."""
APPROVAL_BYTES_MAX: Final = 2_048
DIGEST_SIZE: Final = 32
_PUBLIC_SIZE_MAX: Final = 256
_SIGNATURE_SIZE_MAX: Final = 256
_COUNTER_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a secret is for. `device_id` 64 hexadecimal digits; `order_digest` 32 bytes, None for the vault."""

    use: str
    device_id: str
    sho: str
    order_digest: bytes | None

    @property
    def ref(self) -> bytes:
        """PolicyRef of every signature about this use, 32 bytes."""
        order = b"" if self.order_digest is None else self.order_digest
        value = ["pva/use/1", self.use, bytes.fromhex(self.device_id), self.sho, order]
        return hashlib.sha256(encode_deterministic(value)).digest()

    def sealed_policy(self, policy_root: Public) -> bytes:
        """AuthPolicy of the secret: whatever the operator's policy root approves for this use."""
        return policy_authorize(key_name=policy_root.name, policy_ref=self.ref)

    def delegated_policy(self, day_key: Public) -> bytes:
        """What the policy root approves: whatever a PVA's day key approves for this use."""
        return policy_authorize(key_name=day_key.name, policy_ref=self.ref)

    def delegation_digest(self, day_key: Public) -> bytes:
        """Digest that the policy root signs to delegate to a day key."""
        return approval_digest(self.delegated_policy(day_key), policy_ref=self.ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedState:
    """A state: `pcr_digest` is SHA-256 over the selected registers, `counter_name` the written index's Name."""

    pcr_selections: PcrSelections
    pcr_digest: bytes
    counter_name: bytes
    counter: int

    @property
    def selection(self) -> tuple[PcrSelection, ...]:
        """As TPM2_PolicyPCR takes it."""
        return tuple(
            PcrSelection(bank=bank, indices=indices) for bank, indices in sorted(self.pcr_selections.items())
        )

    @property
    def policy(self) -> bytes:
        """PolicyDigest of a session in which this state was shown: PolicyPCR, then PolicyNV(counter EQ)."""
        shown = policy_pcr(EMPTY_POLICY, selection=self.selection, pcr_digest=self.pcr_digest)
        return policy_nv(
            shown,
            index_name=self.counter_name,
            operand=self.counter.to_bytes(8, "big"),
            comparison=Comparison.EQ,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StateApproval:
    """One approval: `day_key` is a TPMT_PUBLIC, `signature` a TPMT_SIGNATURE by it over `digest`."""

    use: Use
    state: ApprovedState
    day_key: bytes
    signature: bytes

    @property
    def digest(self) -> bytes:
        """Digest that the day key signs."""
        return signed_digest(self.use, self.state)

    def encode(self) -> bytes:
        """Deterministic CBOR; `decode_approval` takes it back."""
        use = self.use
        return encode_deterministic(
            {
                1: use.use,
                2: bytes.fromhex(use.device_id),
                3: use.sho,
                4: b"" if use.order_digest is None else use.order_digest,
                5: encode_selections(self.state.pcr_selections),
                6: self.state.pcr_digest,
                7: self.state.counter_name,
                8: self.state.counter,
                9: self.day_key,
                10: self.signature,
            }
        )


def signed_digest(use: Use, state: ApprovedState) -> bytes:
    """Digest that a day key signs to approve a state for a use."""
    return approval_digest(approved_policy(use, state), policy_ref=use.ref)


def approved_policy(use: Use, state: ApprovedState) -> bytes:
    """PolicyDigest that a day key approves: of the state, and for the vault of the authValue of its key, too.

    So the vault opens for the TRE alone, whoever else reaches the TPM in the approved state (D9).
    """
    return policy_auth_value(state.policy) if use.use == USE_VAULT else state.policy


def decode_approval(data: bytes) -> StateApproval:
    """Read an approval; its signature is NOT verified here. Raises MessageError.

    A selection that holds a register of FORBIDDEN_PCRS, or leaves out one of BOOT_PCRS, is refused, whoever signed it:
    a PVA that approves too little opens nothing.
    """
    fields = decode_fields(data, what="approval", bytes_max=APPROVAL_BYTES_MAX)
    order = fields.octets(4, size_max=DIGEST_SIZE)
    use = Use(
        use=fields.text(1, size_max=16),
        device_id=fields.octets(2, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        sho=fields.text(3, size_max=64),
        order_digest=order or None,
    )
    approval = StateApproval(
        use=use,
        state=_read_state(fields),
        day_key=fields.octets(9, size_min=1, size_max=_PUBLIC_SIZE_MAX),
        signature=fields.octets(10, size_min=1, size_max=_SIGNATURE_SIZE_MAX),
    )
    fields.close()
    if use.use not in USES or len(order) != (DIGEST_SIZE if use.use == USE_PACKAGE else 0):
        raise MessageError(
            what="approval", expected="package with an order digest, or vault without one", got="another use"
        )
    try:
        Public.decode(approval.day_key)
        Signature.decode(approval.signature)
    except Tpm2Error as error:
        raise MessageError(what="approval", expected="TPM structures", got=str(error)) from error
    return approval


def _read_state(fields: Fields) -> ApprovedState:
    selections = decode_selections(fields.raw(5), what="approval.5")
    if any(FORBIDDEN_PCRS & set(indices) for indices in selections.values()):
        raise MessageError(
            what="approval.5", expected="PCRs of 0 to 15 without 10", got="one that stands for no boot code"
        )
    if not covers_boot(selections):
        raise MessageError(
            what="approval.5",
            expected=f"PCRs {', '.join(map(str, sorted(BOOT_PCRS)))} of one bank at least, none of SHA-1",
            got="fewer, which other boot code could show as well",
        )
    return ApprovedState(
        pcr_selections=selections,
        pcr_digest=fields.octets(6, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        counter_name=fields.octets(7, size_min=34, size_max=66),
        counter=fields.integer(8, high=_COUNTER_MAX),
    )
