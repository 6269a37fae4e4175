"""What a power cycle ends: PCRs, transient objects, sessions, the NULL hierarchy (Part 1, 12.2)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge.process import RandomBytes
from lab.software_tpm.objects import TpmObject
from lab.software_tpm.state import Hierarchy
from standards.tpm2.constants import Algorithm, SessionType
from standards.tpm2.hashing import digest_size
from standards.tpm2.structures import PcrSelection, SymmetricDefinition

PCR_COUNT = 24
PCR_BANKS = (int(Algorithm.SHA1), int(Algorithm.SHA256))
"""Banks as swtpm is usually made with; SHA-1 only because boot logs still carry it."""
_LOCALITY_4_PCRS = range(17, 23)
PCRS_OUTSIDE_COUNTER = frozenset({16, 21, 22, 23})
"""PCRs whose change leaves pcrUpdateCounter alone (PC Client Platform TPM Profile)."""
RESETTABLE_PCRS = frozenset({16, 23})
"""PCRs that locality 0 may reset (PC Client Platform TPM Profile)."""
EXTENDABLE_PCRS = frozenset(range(17)) | {23}
"""PCRs that locality 0, the only one here, may extend."""
_HASH_NAMES = {Algorithm.SHA1: "sha1", Algorithm.SHA256: "sha256"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a policy session has been told so far (Part 1, 19.7).

    `pcr_counter` is pcrUpdateCounter at PolicyPCR; `expires_at` in milliseconds since the reset.
    """

    digest: bytes
    command_code: int | None = None
    pcr_counter: int | None = None
    cp_hash: bytes = b""
    auth_value_needed: bool = False
    password_needed: bool = False
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An HMAC, policy or trial session; `bound` identifies the entity it was bound to, with its authValue.

    `started_at` in milliseconds since the reset.
    """

    handle: int
    kind: SessionType
    hash_algorithm: int
    symmetric: SymmetricDefinition
    session_key: bytes = field(repr=False)
    nonce_tpm: bytes
    started_at: int
    bound: bytes | None = field(repr=False, default=None)
    policy: Policy

    @property
    def is_hmac(self) -> bool:
        """An HMAC session, as opposed to a policy or trial one."""
        return self.kind == SessionType.HMAC

    def with_fresh_policy(self) -> "Session":
        """The session as it was before any assertion: after use, or by PolicyRestart."""
        return replace(self, policy=Policy(digest=bytes(digest_size(self.hash_algorithm))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Volatile:
    """The volatile state, as Startup(CLEAR) and the commands since have made it.

    `clock_offset` added to milliseconds since the reset gives the TPM's clock, which is safe from
    `clock_safe_at` on; `borrowed_slots` counts the persistent objects that the running command uses.
    """

    banks: Mapping[int, tuple[bytes, ...]]
    null_hierarchy: Hierarchy
    clock_offset: int
    clock_safe_at: int
    pcr_counter: int = 0
    objects: Mapping[int, TpmObject] = field(default_factory=dict)
    sessions: Mapping[int, Session] = field(default_factory=dict)
    borrowed_slots: int = 0

    @classmethod
    def after_reset(cls, random_bytes: RandomBytes, *, clock_offset: int, clock_safe_at: int) -> "Volatile":
        """Right after TPM reset and Startup(CLEAR)."""
        return cls(
            banks={bank: _reset_values(bank) for bank in PCR_BANKS},
            null_hierarchy=Hierarchy.fresh(random_bytes),
            clock_offset=clock_offset,
            clock_safe_at=clock_safe_at,
        )

    def extended(self, pcr: int, *, bank: int, digest: bytes) -> "Volatile":
        """PCR := H(PCR || digest) in one bank (Part 3, 22.2)."""
        before = self.banks[bank][pcr]
        value = hashlib.new(_HASH_NAMES[Algorithm(bank)], before + digest, usedforsecurity=False).digest()
        return self._with_pcr(pcr, bank=bank, value=value)

    def pcr_reset(self, pcr: int) -> "Volatile":
        """One PCR back to its reset value in every bank."""
        changed = self
        for bank in self.banks:
            changed = changed._with_pcr(pcr, bank=bank, value=bytes(digest_size(bank)))
        return changed

    def pcr_changed(self, pcr: int) -> "Volatile":
        """After a change of `pcr`: pcrUpdateCounter moves, except for the PCRs outside it."""
        if pcr in PCRS_OUTSIDE_COUNTER:
            return self
        return replace(self, pcr_counter=self.pcr_counter + 1)

    def _with_pcr(self, pcr: int, *, bank: int, value: bytes) -> "Volatile":
        values = list(self.banks[bank])
        values[pcr] = value
        return replace(self, banks={**self.banks, bank: tuple(values)})

    def implemented(self, selections: tuple[PcrSelection, ...]) -> tuple[PcrSelection, ...]:
        """`selections` without the PCRs that do not exist here (Part 3, 22.4)."""
        return tuple(
            replace(selection, indices=tuple(index for index in selection.indices if index < PCR_COUNT))
            if selection.bank in self.banks
            else replace(selection, indices=())
            for selection in selections
        )

    def selected(self, selections: tuple[PcrSelection, ...]) -> tuple[bytes, ...]:
        """Values of the implemented PCRs among `selections`, in their order."""
        return tuple(
            self.banks[selection.bank][index]
            for selection in self.implemented(selections)
            for index in selection.indices
        )

    def with_session(self, session: Session) -> "Volatile":
        """With one session added or changed."""
        return replace(self, sessions={**self.sessions, session.handle: session})

    def without_session(self, handle: int) -> "Volatile":
        """Without one session."""
        return replace(self, sessions={at: kept for at, kept in self.sessions.items() if at != handle})

    def without_objects(self, *hierarchies: int) -> "Volatile":
        """Without the transient objects of some hierarchies."""
        remaining = {at: kept for at, kept in self.objects.items() if kept.hierarchy not in hierarchies}
        return replace(self, objects=remaining)


def _reset_values(bank: int) -> tuple[bytes, ...]:
    size = digest_size(bank)
    return tuple(b"\xff" * size if pcr in _LOCALITY_4_PCRS else bytes(size) for pcr in range(PCR_COUNT))
