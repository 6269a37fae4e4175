"""Who may do what with a MID: the owner's policy inside the package, and the supplier's for the whole device.

Rule: the owner's policy travels under the package's seal (R43, R44); the supplier's is a token under the ES root that is
anchored in the device (R45). An owner may only narrow what the supplier allows, and where it says nothing the
supplier's word holds. Which of two is the narrower one is the TRE's decision, not this file's.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.errors import MessageError, refusal
from messages.order import ID_MAX
from standards.aka.functions import RES_SIZE_MAX, RES_SIZE_MIN
from standards.rats.fields import Fields, numeric_date

MILENAGE: Final = "milenage"
TUAK: Final = "tuak"
ALGORITHMS: Final = frozenset({MILENAGE, TUAK})
"""Shared services of a MIDE (R35)."""
CELLULAR: Final = "cellular"
WLAN: Final = "wlan"
IMS: Final = "ims"
ACCESSES: Final = frozenset({CELLULAR, WLAN, IMS})
"""What an application of a MID opens: a network of 3GPP, a network by WLAN, or IMS over either."""
MINIMAL: Final = "minimal"
FULL: Final = "full"
PROFILES: Final = frozenset({MINIMAL, FULL})
DEVICE_POLICY_TYPE: Final = "pva-device-policy+jwt"
"""Signed with the purpose batch-signing: what a supplier says about its devices."""
DEVICE_POLICY_BYTES_MAX: Final = 16_384

_RES_BYTES_MIN, _ACCESSES, _CHECKED = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MidPolicy:
    """The owner's word about one MID; None where it says nothing, and the device's rule holds.

    `res_bytes_min` is the shortest RES, `is_checked_each_session` whether the MID is checked before it authenticates.
    """

    algorithms: tuple[str, ...]
    res_bytes_min: int | None = None
    accesses: tuple[str, ...] | None = None
    is_checked_each_session: bool | None = None

    def rules(self) -> dict[int, Any]:
        """CBOR form of what it says beside the algorithms; `read_rules` takes it back."""
        said = {
            _RES_BYTES_MIN: self.res_bytes_min,
            _ACCESSES: None if self.accesses is None else list(self.accesses),
            _CHECKED: None if self.is_checked_each_session is None else int(self.is_checked_each_session),
        }
        return {key: value for key, value in said.items() if value is not None}


def read_rules(fields: Fields, *, algorithms: tuple[str, ...], what: str) -> MidPolicy:
    """The policy with these algorithms and the rules of `fields`. Raises MessageError."""
    policy = MidPolicy(
        algorithms=_known(algorithms, ALGORITHMS, what=f"{what}.algorithms"),
        res_bytes_min=(
            fields.integer(_RES_BYTES_MIN, low=RES_SIZE_MIN, high=RES_SIZE_MAX)
            if _RES_BYTES_MIN in fields
            else None
        ),
        accesses=(
            _known(fields.texts(_ACCESSES, size_max=len(ACCESSES)), ACCESSES, what=f"{what}.accesses")
            if _ACCESSES in fields
            else None
        ),
        is_checked_each_session=bool(fields.integer(_CHECKED, high=1)) if _CHECKED in fields else None,
    )
    fields.close()
    return policy


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePolicy:
    """The supplier's word about every MID in its device; `profile` says which functions the device has at all (R30)."""

    supplier: str
    profile: str
    algorithms: tuple[str, ...]
    accesses: tuple[str, ...]
    res_bytes_min: int
    is_checked_each_session: bool
    issued_at: datetime

    def claims(self) -> dict[str, Any]:
        """JWT claims; `read_device_policy` takes them back."""
        return {
            "iss": self.supplier,
            "iat": numeric_date(self.issued_at),
            "pva_profile": self.profile,
            "pva_algorithms": list(self.algorithms),
            "pva_accesses": list(self.accesses),
            "pva_res_bytes_min": self.res_bytes_min,
            "pva_checked_each_session": int(self.is_checked_each_session),
        }


def read_device_policy(claims: object) -> DevicePolicy:
    """Read verified claims. Raises MessageError."""
    what = "device policy"
    fields = Fields(claims, what=what, refusal=refusal)
    policy = DevicePolicy(
        supplier=fields.text("iss", size_max=ID_MAX),
        profile=fields.text("pva_profile", size_max=16),
        algorithms=_known(
            fields.texts("pva_algorithms", size_min=1, size_max=len(ALGORITHMS)), ALGORITHMS, what=what
        ),
        accesses=_known(
            fields.texts("pva_accesses", size_min=1, size_max=len(ACCESSES)), ACCESSES, what=what
        ),
        res_bytes_min=fields.integer("pva_res_bytes_min", low=RES_SIZE_MIN, high=RES_SIZE_MAX),
        is_checked_each_session=bool(fields.integer("pva_checked_each_session", high=1)),
        issued_at=fields.time("iat"),
    )
    fields.close()
    if policy.profile not in PROFILES:
        raise MessageError(
            what="device policy.pva_profile", expected=" or ".join(sorted(PROFILES)), got="another"
        )
    return policy


def _known(words: tuple[str, ...], known: frozenset[str], *, what: str) -> tuple[str, ...]:
    if not set(words) <= known or len(set(words)) != len(words):
        raise MessageError(
            what=what, expected=f"each once, of {', '.join(sorted(known))}", got="another word"
        )
    return words
