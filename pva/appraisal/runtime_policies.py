"""The runtime policies that this PVA judges by: each held once, whatever the number of devices.

Rule: a policy is signed under the root of the recognised supplier that it names, for models that this supplier may
certify, and each model has one at most; anything else stops the start of the process, for a policy that is silently not
in force would look like one that is. Which policies are in force is part of the appraisal policy's digest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from messages.errors import MessageError
from messages.runtime_policy import VerifiedRuntimePolicy, verify_runtime_policy
from pva.appraisal.credential import Supplier
from standards.pki.errors import PkiError
from standards.pki.fingerprints import certificate_der


class RuntimePolicyError(Exception):
    """A runtime policy of the settings cannot be in force; names its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePolicies:
    """Policies in force, by supplier and hwType.

    `others` are the digests of those in force whose content is not here, `signed` the signed form of each by its digest.
    """

    by_model: Mapping[tuple[str, str], VerifiedRuntimePolicy]
    others: tuple[bytes, ...] = ()
    signed: Mapping[bytes, bytes] = field(default_factory=dict)

    def of(self, *, supplier: str, hw_type: str) -> VerifiedRuntimePolicy | None:
        """The policy of a model of device, None where the supplier gave none."""
        return self.by_model.get((supplier, hw_type))

    @property
    def digests(self) -> tuple[bytes, ...]:
        """The names of all policies in force."""
        return tuple(sorted({each.digest for each in self.by_model.values()} | set(self.others)))


NO_RUNTIME_POLICIES = RuntimePolicies(by_model={})


def no_runtime_policies() -> RuntimePolicies:
    """Where no supplier gave any."""
    return NO_RUNTIME_POLICIES


def check_runtime_policies(
    signed: Mapping[str, bytes], *, suppliers: Sequence[Supplier], at: datetime
) -> RuntimePolicies:
    """The policies of these files (name -> signed policy). Raises RuntimePolicyError with a sentence."""
    by_model: dict[tuple[str, str], VerifiedRuntimePolicy] = {}
    forms: dict[bytes, bytes] = {}
    for name, data in signed.items():
        try:
            verified = verify_runtime_policy(data, anchors=[each.root for each in suppliers], at=at)
        except (MessageError, PkiError) as error:
            raise RuntimePolicyError(f"runtime policy {name}: {error}") from None
        for place in _places(verified, name=name, suppliers=suppliers):
            if place in by_model:
                raise RuntimePolicyError(
                    f"runtime policy {name}: expected one policy for each model, got another"
                )
            by_model[place] = verified
        forms[verified.digest] = data
    return RuntimePolicies(by_model=by_model, signed=forms)


def _places(
    verified: VerifiedRuntimePolicy, *, name: str, suppliers: Sequence[Supplier]
) -> list[tuple[str, str]]:
    """Supplier and hwType of each model that the policy is for."""
    policy, root = verified.policy, certificate_der(verified.root)
    signer = next(each for each in suppliers if certificate_der(each.root) == root)
    if signer.name != policy.supplier:
        raise RuntimePolicyError(
            f"runtime policy {name}: expected one of {signer.name!r}, who signed it, got one of {policy.supplier!r}"
        )
    unknown = sorted(set(policy.models) - set(signer.models))
    if unknown:
        raise RuntimePolicyError(
            f"runtime policy {name}: expected models that {signer.name!r} is recognised for, got {', '.join(unknown)}"
        )
    return [(signer.name, signer.models[model]) for model in policy.models]
