"""AR4SI trustworthiness vectors and tiers (draft-ietf-rats-ar4si, section 2.3).

Rule: the tier of a vector is that of its worst claim, and a claim that could not be judged (unexpected evidence,
verifier malfunction) keeps the whole from being affirming; nothing claimed is "none", never "affirming".
"""

from collections.abc import Iterable, Mapping
from enum import Enum, unique
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from standards.rats.errors import RatsError

NOT_CLAIMED: Final = 0
UNEXPECTED_EVIDENCE: Final = 1
VERIFIER_MALFUNCTION: Final = -1
CRYPTO_VALIDATION_FAILED: Final = 99
_OF_EVERY_CLAIM: Final = frozenset(
    {NOT_CLAIMED, UNEXPECTED_EVIDENCE, VERIFIER_MALFUNCTION, CRYPTO_VALIDATION_FAILED}
)

STANDARD_VALUES: Final[Mapping[str, frozenset[int]]] = MappingProxyType(
    {
        claim: frozenset(values) | _OF_EVERY_CLAIM
        for claim, values in {
            "instance-identity": (2, 96, 97),
            "configuration": (2, 3, 32, 36, 96),
            "executables": (2, 3, 32, 33, 96),
            "file-system": (2, 32, 96),
            "hardware": (2, 32, 96, 97),
            "runtime-opaque": (2, 32, 96),
            "storage-opaque": (2, 32, 96),
            "sourced-data": (2, 32, 96),
        }.items()
    }
)
"""Values that the draft gives a meaning, by claim (section 2.3.4)."""

_VALUE_MIN: Final = -128
_VALUE_MAX: Final = 127
_WARNING_FROM: Final = 32
_CONTRAINDICATED_FROM: Final = 96


@unique
class Tier(Enum):
    """Trustworthiness tiers by their names in JSON; `max` of several is the one with the least trust."""

    AFFIRMING = "affirming"
    NONE = "none"
    WARNING = "warning"
    CONTRAINDICATED = "contraindicated"

    def __init__(self, _name: str) -> None:
        self.distrust = len(type(self).__members__)

    def __lt__(self, other: "Tier") -> bool:
        return self.distrust < other.distrust

    def __le__(self, other: "Tier") -> bool:
        return self.distrust <= other.distrust

    def __gt__(self, other: "Tier") -> bool:
        return self.distrust > other.distrust

    def __ge__(self, other: "Tier") -> bool:
        return self.distrust >= other.distrust


_BY_DISTRUST: Final = attrgetter("distrust")


def tier_of_claim(value: int) -> Tier:
    """Tier of one claim; negative values are a verifier's own reasons in the mirrored ranges."""
    reason = value if value >= 0 else -value - 1
    if value in (NOT_CLAIMED, UNEXPECTED_EVIDENCE, VERIFIER_MALFUNCTION):
        return Tier.NONE
    if reason < _WARNING_FROM:
        return Tier.AFFIRMING
    return Tier.WARNING if reason < _CONTRAINDICATED_FROM else Tier.CONTRAINDICATED


_OF_VALUES: Final = MappingProxyType(
    {value: tier_of_claim(value) for value in range(_VALUE_MIN, _VALUE_MAX + 1)}
)


def tier_of(vector: Mapping[str, int]) -> Tier:
    """Tier of a vector: the worst of its claims; without any claim "none".

    Raises:
        RatsError: unknown claim or value out of range.
    """
    check_vector(vector)
    return worst([_OF_VALUES[value] for value in vector.values() if value != NOT_CLAIMED])


def worst(tiers: Iterable[Tier]) -> Tier:
    """The tier with the least trust; "none" where there is nothing to judge."""
    return max(tiers, key=_BY_DISTRUST, default=Tier.NONE)


def check_vector(vector: Mapping[str, int]) -> None:
    """Refuse claims that the draft does not know, and values outside of a signed 8-bit integer."""
    for claim, value in vector.items():
        if claim not in STANDARD_VALUES:
            known = ", ".join(STANDARD_VALUES)
            raise RatsError(
                what="trustworthiness vector", expected=f"claims out of {known}", got="another claim"
            )
        if type(value) is not int or not _VALUE_MIN <= value <= _VALUE_MAX:
            raise RatsError(
                what=claim, expected=f"an integer of {_VALUE_MIN} to {_VALUE_MAX}", got="another value"
            )


def check_standard_vector(vector: Mapping[str, int]) -> None:
    """Refuse, before it is signed, every value that the draft gives no meaning."""
    check_vector(vector)
    for claim, value in vector.items():
        if value not in STANDARD_VALUES[claim]:
            known = ", ".join(str(each) for each in sorted(STANDARD_VALUES[claim]))
            raise RatsError(what=claim, expected=f"one of {known}", got=str(value))
