"""What may be done with a MID here: the profile, narrowed by the supplier's policy, narrowed by the owner's (R30, R42-R45).

Rule: every step may only narrow. An owner's policy that allows more than the device does is not cut down in silence but
refused, by the name of each thing that it would widen: an owner that is refused can make another policy, one that is
cut down believes in rights that it has not.
"""

from dataclasses import dataclass, replace
from typing import Final

from m2me_agent.tre.errors import PolicyError
from messages.mid_content import APPLICATIONS_MAX, MidContent
from messages.mid_policy import (
    ACCESSES,
    ALGORITHMS,
    CELLULAR,
    FULL,
    MILENAGE,
    MINIMAL,
    DevicePolicy,
    MidPolicy,
)
from standards.aka.functions import RES_SIZE_MIN
from standards.tpm2.templates import VAULT_SLOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for a device, or for one MID in it: the shared services, the accesses, and the least security."""

    algorithms: frozenset[str]
    accesses: frozenset[str]
    res_bytes_min: int
    is_checked_each_session: bool
    applications_max: int
    operators_max: int


FULL_RULES: Final = Rules(
    algorithms=ALGORITHMS,
    accesses=ACCESSES,
    res_bytes_min=RES_SIZE_MIN,
    is_checked_each_session=False,
    applications_max=APPLICATIONS_MAX,
    operators_max=VAULT_SLOTS,
)
"""Everything that this TRE can do."""

MINIMAL_RULES: Final = replace(
    FULL_RULES,
    algorithms=frozenset({MILENAGE}),
    accesses=frozenset({CELLULAR}),
    applications_max=1,
    operators_max=1,
)
"""One operator, one USIM a MID, one algorithm: a device that has no use for more."""

_OF_PROFILE: Final = {FULL: FULL_RULES, MINIMAL: MINIMAL_RULES}


def rules_of_device(policy: DevicePolicy | None) -> Rules:
    """The rules of a device whose supplier has said this, or nothing."""
    if policy is None:
        return FULL_RULES
    rules = _OF_PROFILE[policy.profile]
    return replace(
        rules,
        algorithms=rules.algorithms & set(policy.algorithms),
        accesses=rules.accesses & set(policy.accesses),
        res_bytes_min=max(rules.res_bytes_min, policy.res_bytes_min),
        is_checked_each_session=rules.is_checked_each_session or policy.is_checked_each_session,
    )


def rules_of_mid(policy: MidPolicy, device: Rules) -> Rules:
    """The rules of one MID in a device with these rules. Raises PolicyError, which names each widening (R45)."""
    widened = _widenings(policy, device)
    if widened:
        raise PolicyError(
            subject="policy of the MID",
            reason=f"would widen the device's: {'; '.join(widened)}",
            remedy="have the operator make a policy that this device's supplier allows",
        )
    accesses, res_bytes_min = policy.accesses, policy.res_bytes_min
    return replace(
        device,
        algorithms=device.algorithms & set(policy.algorithms),
        accesses=device.accesses if accesses is None else device.accesses & set(accesses),
        res_bytes_min=device.res_bytes_min if res_bytes_min is None else res_bytes_min,
        is_checked_each_session=device.is_checked_each_session or bool(policy.is_checked_each_session),
    )


def check_content(content: MidContent, device: Rules) -> None:
    """Raises PolicyError unless this MID keeps to its own policy and to the device's, in every application."""
    rules = rules_of_mid(content.policy, device)
    if len(content.applications) > rules.applications_max:
        raise _breach(f"{len(content.applications)} applications", f"at most {rules.applications_max}")
    for application in content.applications:
        of = f"{application.kind} for {application.access}"
        if application.algorithm not in rules.algorithms:
            raise _breach(f"{of}: {application.algorithm}", f"algorithms {_listed(rules.algorithms)}")
        if application.access not in rules.accesses:
            raise _breach(of, f"accesses {_listed(rules.accesses)}")
        if application.res_bytes < rules.res_bytes_min:
            raise _breach(f"{of}: RES of {application.res_bytes} bytes", f"at least {rules.res_bytes_min}")


def check_operators(operators: frozenset[str], device: Rules) -> None:
    """Raises PolicyError where these operators are more than the device may hold."""
    if len(operators) > device.operators_max:
        raise _breach(f"{len(operators)} operators", f"at most {device.operators_max}")


def _widenings(policy: MidPolicy, device: Rules) -> tuple[str, ...]:
    found = []
    for name, said, allowed in (
        ("algorithms", policy.algorithms, device.algorithms),
        ("accesses", policy.accesses or (), device.accesses),
    ):
        more = set(said) - allowed
        if more:
            found.append(f"{name}: {_listed(more)} beside {_listed(allowed)}")
    if policy.res_bytes_min is not None and policy.res_bytes_min < device.res_bytes_min:
        found.append(f"res_bytes_min: {policy.res_bytes_min} below {device.res_bytes_min}")
    if policy.is_checked_each_session is False and device.is_checked_each_session:
        found.append("checked_each_session: off where the device has it on")
    return tuple(found)


def _listed(words: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(words)) or "none"


def _breach(got: str, expected: str) -> PolicyError:
    return PolicyError(
        subject="MID",
        reason=f"expected {expected}, got {got}",
        remedy="have the operator make a MID that keeps to its own policy and to the device's",
    )
