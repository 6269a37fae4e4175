"""What the new owner says in a change of operator: its MID serves in place of the prior one, and later: for good (R23, R37).

Rule: each word answers a nonce of this TRE, and the first one brings the prior owner's release. It has no times: the TRE
judges no wall-clock time, and the window of a switch is counted by its TPM's clock.
"""

from dataclasses import dataclass
from typing import Any, Final

from messages.errors import MessageError, refusal
from messages.instruction import TRE_NONCE_SIZE
from messages.operator_token import TokenKind
from messages.order import DIGEST_SIZE, ID_MAX
from messages.release import carried_release
from standards.pki import oids
from standards.rats.fields import Fields, encode_base64url

SWITCH_KIND: Final = TokenKind(typ="pva-switch+jwt", eku=oids.EKU_SUBSCRIPTION, roles=frozenset({"sho"}))
SWITCH: Final = "switch"
CONFIRM: Final = "confirm"
SWITCH_ACTIONS: Final = frozenset({SWITCH, CONFIRM})
WINDOW_MS_MIN: Final = 1_000
WINDOW_MS_MAX: Final = 3_600_000
"""For how long a switch may stand unconfirmed, in milliseconds: an hour at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """`nsho` lets its MID serve in place of the prior one (`switch`), or keeps it so (`confirm`).

    `tre_nonce` is what it answers. `window_ms` comes with `switch` and with nothing else: the time of the TPM's clock after
    which the TRE goes back to the prior MID by itself. So does `release`: the token of the prior owner, which is not
    verified here.
    """

    nsho: str
    action: str
    device_id: str
    mid_id: str
    prior_mid_id: str
    tre_nonce: bytes
    window_ms: int | None = None
    release: str | None = None

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_switch` takes them back."""
        claims: dict[str, Any] = {
            "sub": self.device_id,
            "nonce": encode_base64url(self.tre_nonce),
            "pva_action": self.action,
            "pva_mid_id": self.mid_id,
            "pva_prior_mid_id": self.prior_mid_id,
        }
        if self.window_ms is not None:
            claims["pva_window_ms"] = self.window_ms
        if self.release is not None:
            claims["pva_release"] = self.release
        return claims


def read_switch(claims: object) -> Switch:
    """Read verified claims. Raises MessageError."""
    fields = Fields(claims, what="switch", refusal=refusal)
    switch = Switch(
        nsho=fields.text("iss", size_max=ID_MAX),
        action=fields.text("pva_action", size_max=32),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        mid_id=fields.text("pva_mid_id", size_max=ID_MAX),
        prior_mid_id=fields.text("pva_prior_mid_id", size_max=ID_MAX),
        tre_nonce=fields.base64url("nonce", size_min=TRE_NONCE_SIZE, size_max=TRE_NONCE_SIZE),
        window_ms=(
            fields.integer("pva_window_ms", low=WINDOW_MS_MIN, high=WINDOW_MS_MAX)
            if "pva_window_ms" in fields
            else None
        ),
        release=carried_release(fields, what="switch") if "pva_release" in fields else None,
    )
    fields.close()
    if switch.action not in SWITCH_ACTIONS:
        raise MessageError(
            what="switch.pva_action", expected=" or ".join(sorted(SWITCH_ACTIONS)), got="another"
        )
    for claim, value in (("pva_window_ms", switch.window_ms), ("pva_release", switch.release)):
        if (switch.action == SWITCH) != (value is not None):
            raise MessageError(
                what=f"switch.{claim}",
                expected=f"one with {SWITCH}, none with anything else",
                got="the other way round",
            )
    return switch
