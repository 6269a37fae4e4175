"""Tickets: what the TPM gives for a signature that it has verified, kept so that it need not verify it again.

The rule: a ticket is no secret and grants nothing by itself; it is an HMAC by the TPM over digest and key, of worth in that TPM alone and
until TPM2_Clear (Part 2, 10.7.4). So it may be read from a file that nobody has authenticated: the TPM judges it, and one that it
does not take is forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from standards.tpm2.commands.policies import Approval
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest
from standards.tpm2.policy import approval_digest
from standards.tpm2.sessions import SESSION_HASH
from standards.tpm2.structures import Public, Signature, Ticket

TICKETS_MAX = 16
"""Kept with one use; the oldest goes first."""
TICKET_BYTES_MAX = 160
_ID_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a key has signed: that this policy is approved for `ref`."""

    key: Public
    policy: bytes
    ref: bytes
    signature: Signature

    @property
    def digest(self) -> bytes:
        """What the signature is over (Part 3, 23.16)."""
        return approval_digest(self.policy, policy_ref=self.ref)

    @property
    def id(self) -> bytes:
        """Digest over key and signed digest: 32 bytes. A ticket holds for these, whatever the signature."""
        return digest(SESSION_HASH, self.key.name + self.digest)

    def shown(self, ticket: Ticket) -> Approval:
        """As TPM2_PolicyAuthorize takes it."""
        return Approval(
            approved_policy=self.policy, policy_ref=self.ref, key_name=self.key.name, ticket=ticket
        )


class Tickets:
    """Of one TPM, by what they are for (policyRef), in the order in which they came."""

    def __init__(self) -> None:
        self._of: dict[bytes, dict[bytes, Ticket]] = {}

    def find(self, claim: Claim) -> Ticket | None:
        """The ticket of a claim, if there is one."""
        return self._of.get(claim.ref, {}).get(claim.id)

    def add(self, claim: Claim, ticket: Ticket) -> None:
        """Keep one."""
        self._keep(claim.ref, claim.id, ticket)

    def forget(self, ref: bytes) -> None:
        """All of one use."""
        self._of.pop(ref, None)

    def told(self, ref: bytes) -> tuple[bytes, ...]:
        """All of one use as they can be stored; `recall` takes them back."""
        return tuple(named + ticket.encode() for named, ticket in self._of.get(ref, {}).items())

    def recall(self, ref: bytes, rows: Sequence[bytes]) -> None:
        """Those of one use that were stored, beside what is known; a row that is none is passed over."""
        for row in rows:
            try:
                ticket = Ticket.decode(row[_ID_BYTES:])
            except DecodeError:
                continue
            if row[:_ID_BYTES] not in self._of.get(ref, {}):
                self._keep(ref, row[:_ID_BYTES], ticket)

    def _keep(self, ref: bytes, named: bytes, ticket: Ticket) -> None:
        kept = self._of.setdefault(ref, {})
        kept[named] = ticket
        while len(kept) > TICKETS_MAX:
            del kept[next(iter(kept))]
