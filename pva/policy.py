"""The appraisal policy: what this PVA asks of every device, whoever asks for the validation.

Rule: one immutable value, named in every result by a digest that changes with any of its parts, the table of
findings included; so two results with the same policy digest were judged by the same rules.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from messages.encoding import encode_deterministic
from pva.findings import FINDINGS
from standards.rats.fields import encode_base64url

POLICY_VERSION = 4
"""Raised when the code of the appraisal changes what it decides."""

FORBIDDEN_PCRS = frozenset({10, *range(16, 24)})
"""PCRs that never stand for the identity of boot code (A16): IMA's, debug, dynamic launch, application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalPolicy:
    """What is asked and how long an answer is good.

    `pcr_selections` is bank (TPM_ALG_ID) -> ascending indices, `clock_grace` how long a TPM clock may stay not
    `safe`, `result_life` the longest life of a result, `ima` whether the IMA list is asked for and judged,
    `runtime_policies` the digests of those in force.
    """

    pcr_selections: Mapping[int, tuple[int, ...]]
    clock_grace: timedelta
    result_life: timedelta
    ima: bool = False
    runtime_policies: tuple[bytes, ...] = ()

    @property
    def digest(self) -> bytes:
        """SHA-256 over a deterministic encoding of the whole policy."""
        rules = [[code.value, rule.claim.value, rule.value] for code, rule in sorted(FINDINGS.items())]
        value = {
            1: POLICY_VERSION,
            2: {bank: list(indices) for bank, indices in self.pcr_selections.items()},
            3: int(self.clock_grace.total_seconds()),
            4: int(self.result_life.total_seconds()),
            5: rules,
            6: self.ima,
            7: list(self.runtime_policies),
        }
        return hashlib.sha256(encode_deterministic(value)).digest()

    @property
    def id(self) -> str:
        """URI of the policy, for `ear_appraisal_policy_ids`: the digest as a named information URI (RFC 6920)."""
        return f"ni:///sha-256;{encode_base64url(self.digest)}"
