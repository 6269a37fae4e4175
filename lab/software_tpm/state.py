"""What outlives a power cycle: hierarchies, persistent objects, NV indices, counts of resets, clock.

Immutable values; `state_codec` turns them into bytes, `state_store` keeps the bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge.process import RandomBytes
from lab.software_tpm.objects import TpmObject
from standards.tpm2.constants import Handle, NvAttributes
from standards.tpm2.structures import NvPublic

SEED_BYTES = 64
NV_INDICES_MAX = 64
NV_BYTES_MAX = 2048
"""Largest NV index (Part 2, TPM_PT_NV_INDEX_MAX)."""
PERSISTENT_OBJECTS_MAX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """A primary seed, the proof that keys its tickets, and the authValue (Part 1, 14)."""

    seed: bytes = field(repr=False)
    proof: bytes = field(repr=False)
    auth_value: bytes = field(repr=False, default=b"")

    @classmethod
    def fresh(cls, random_bytes: RandomBytes) -> "Hierarchy":
        """New seed and proof, empty authValue."""
        return cls(seed=random_bytes(SEED_BYTES), proof=random_bytes(SEED_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class NvIndex:
    """An NV index; `contents` has the size of the index once it has been written, and is empty before."""

    public: NvPublic
    auth_value: bytes = field(repr=False)
    contents: bytes = field(repr=False, default=b"")

    def has(self, attributes: NvAttributes) -> bool:
        """Whether all of `attributes` are set."""
        return self.public.attributes & attributes == attributes

    @property
    def written(self) -> bool:
        """Whether it was ever written."""
        return self.has(NvAttributes.WRITTEN)

    @property
    def is_counter(self) -> bool:
        """Whether it is of type COUNTER."""
        return self.has(NvAttributes.TYPE_COUNTER)

    def with_contents(self, contents: bytes) -> "NvIndex":
        """The same index, written."""
        return replace(self, public=self.public.written(), contents=contents)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryRsaKey:
    """The primes of an RSA primary key, kept by a digest of seed and template (see `key_generation`)."""

    hierarchy: int
    modulus: bytes
    prime: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DictionaryAttack:
    """Failed tries and when they are forgiven, in milliseconds of the TPM's clock (Part 1, 19.11)."""

    failed_tries: int = 0
    forgiven_at: int = 0
    tries_max: int = 3
    recovery_s: int = 1000
    lockout_recovery_s: int = 1000
    lockout_disabled_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The persistent state; `clock` in milliseconds as last recorded, `orderly` after a TPM2_Shutdown."""

    hierarchies: Mapping[int, Hierarchy]
    lockout_auth: bytes = field(repr=False, default=b"")
    persistent: Mapping[int, TpmObject] = field(default_factory=dict)
    nv: Mapping[int, NvIndex] = field(default_factory=dict)
    primary_rsa_keys: Mapping[bytes, PrimaryRsaKey] = field(default_factory=dict)
    counter_max: int = 0
    reset_count: int = 0
    clock: int = 0
    orderly: bool = True
    dictionary_attack: DictionaryAttack = field(default_factory=DictionaryAttack)

    @classmethod
    def fresh(cls, random_bytes: RandomBytes) -> "State":
        """A TPM as it leaves the wafer: seeds, no objects."""
        handles = (Handle.OWNER, Handle.ENDORSEMENT, Handle.PLATFORM)
        return cls(hierarchies={int(handle): Hierarchy.fresh(random_bytes) for handle in handles})

    def with_hierarchy(self, handle: int, hierarchy: Hierarchy) -> "State":
        """With another seed, proof or authValue of one hierarchy."""
        return replace(self, hierarchies={**self.hierarchies, handle: hierarchy})

    def after_reset(self, *, clock: int) -> "State":
        """What a TPM reset makes of it: one boot more, and the NV attributes of Startup(CLEAR)."""
        nv = {handle: _after_startup(index) for handle, index in self.nv.items()}
        return replace(self, nv=nv, reset_count=self.reset_count + 1, clock=clock, orderly=False)

    def with_nv(self, index: NvIndex) -> "State":
        """With one NV index added or changed."""
        return replace(self, nv={**self.nv, index.public.index: index})

    def without_nv(self, index: NvIndex) -> "State":
        """Without one NV index; the largest counter ever seen is remembered, so that no counter returns lower."""
        remaining = {handle: kept for handle, kept in self.nv.items() if handle != index.public.index}
        return replace(self, nv=remaining, counter_max=max(self.counter_max, counter_value(index)))

    def with_persistent(self, handle: int, placed: TpmObject) -> "State":
        """With one persistent object more."""
        return replace(self, persistent={**self.persistent, handle: placed})

    def without_persistent(self, handle: int) -> "State":
        """Without one persistent object."""
        remaining = {at: kept for at, kept in self.persistent.items() if at != handle}
        return replace(self, persistent=remaining)


def _after_startup(index: NvIndex) -> NvIndex:
    """WRITTEN and READLOCKED fall where an index asks for it (Part 2, 13.4; Part 3, 9.3)."""
    attributes = index.public.attributes & ~NvAttributes.READLOCKED
    if index.has(NvAttributes.CLEAR_STCLEAR) and not index.is_counter:
        attributes &= ~NvAttributes.WRITTEN
    return replace(index, public=replace(index.public, attributes=attributes))


def counter_value(index: NvIndex) -> int:
    """Value of a counter index; 0 for one never incremented, and for other types."""
    return int.from_bytes(index.contents, "big") if index.is_counter else 0
