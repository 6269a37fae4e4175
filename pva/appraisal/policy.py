"""The appraisal policy: what this PVA asks of every device, whoever asks for the validation.

Rule: one immutable value, named in every result by a digest that changes with any of its parts, the table of
findings included; so two results with the same policy digest were judged by the same rules.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType

from messages.encoding import encode_deterministic
from pva.appraisal.findings import FINDINGS
from standards.rats.fields import encode_base64url

POLICY_VERSION = 4
"""Raised when the code of the appraisal changes what it decides."""

VARIANTS_MAX = 256

FORBIDDEN_PCRS = frozenset({10, *range(16, 24)})
"""PCRs that never stand for the identity of boot code (A16): IMA's, debug, dynamic launch, application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalPolicy:
    """What is asked and how long an answer is good.

    `pcr_selections` is bank (TPM_ALG_ID) -> ascending indices, `clock_grace` how long a TPM clock may stay not
    `safe`, `result_life` the longest life of a result, `ima` whether the IMA list is asked for and judged,
    `runtime_policies` the digests of those in force, `policies` those of the policies of operator and supplier that judge
    this validation.
    """

    pcr_selections: Mapping[int, tuple[int, ...]]
    clock_grace: timedelta
    result_life: timedelta
    ima: bool = False
    runtime_policies: tuple[bytes, ...] = ()
    policies: tuple[bytes, ...] = ()
    digest: bytes = field(init=False, repr=False, compare=False)
    """SHA-256 over a deterministic encoding of the whole policy."""
    id: str = field(init=False, repr=False, compare=False)
    """URI of the policy, for `ear_appraisal_policy_ids`: the digest as a named information URI (RFC 6920)."""

    def __post_init__(self) -> None:
        selections = {bank: tuple(indices) for bank, indices in self.pcr_selections.items()}
        object.__setattr__(self, "pcr_selections", MappingProxyType(selections))
        object.__setattr__(self, "digest", self._computed_digest())
        object.__setattr__(self, "id", _uri(self.digest))

    def _computed_digest(self) -> bytes:
        rules = [[code.value, rule.claim.value, rule.value] for code, rule in sorted(FINDINGS.items())]
        value = {
            1: POLICY_VERSION,
            2: {bank: list(indices) for bank, indices in self.pcr_selections.items()},
            3: int(self.clock_grace.total_seconds()),
            4: int(self.result_life.total_seconds()),
            5: rules,
            6: self.ima,
            7: list(self.runtime_policies),
            8: list(self.policies),
        }
        return hashlib.sha256(encode_deterministic(value)).digest()

    @property
    def ids(self) -> tuple[str, ...]:
        """This policy's URI, and those of the policies of operator and supplier that it includes."""
        return (self.id, *(_uri(each) for each in self.policies))


class PolicyVariants:
    """The baseline with what else judges a request; each variant, and its digest, is made once while it is in use."""

    def __init__(self, base: AppraisalPolicy) -> None:
        """Start from the policy of the settings."""
        self._base = base
        self._made: dict[tuple[tuple[bytes, ...], tuple[bytes, ...]], AppraisalPolicy] = {}

    def including(
        self, *, runtime_policies: tuple[bytes, ...], policies: tuple[bytes, ...] = ()
    ) -> AppraisalPolicy:
        """The policy with these runtime policies and these of operator and supplier, by digest."""
        key = runtime_policies, policies
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= VARIANTS_MAX:
                self._made.clear()
            found = self._made[key] = replace(
                self._base, runtime_policies=runtime_policies, policies=policies
            )
        return found


def _uri(digest: bytes) -> str:
    return f"ni:///sha-256;{encode_base64url(digest)}"
