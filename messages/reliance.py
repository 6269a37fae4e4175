"""What a relying party checks of an attestation result before it acts on it (R81, A27; PROTOCOL section 5).

Rule: every relying party checks by itself, against its own operators' root, and checks everything again at each use: a
result that was good a minute ago proves nothing now. What the verdict permits is decided by `permits_release`: both
scopes affirming, and for the purpose `validation`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from messages.challenge import VALIDATION
from messages.errors import MessageError
from messages.operator_token import TokenKind, check_life, verify_operator_token
from messages.pcr import covers_boot
from standards.pki import oids
from standards.rats.ar4si import Tier
from standards.rats.ear import RESULT_TYPE, AttestationResult, read_claims
from standards.rats.errors import RatsError

RESULT_KIND: Final = TokenKind(typ=RESULT_TYPE, eku=oids.EKU_ATTESTATION_RESULT, roles=frozenset({"pva"}))
RESULT_BYTES_MAX: Final = 1 << 18
SCOPES: Final = ("tre", "platform")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the relying party asked; None where it has no expectation."""

    audience: str
    device_id: str
    nonce: bytes | None = None
    order_digest: bytes | None = None
    ak_name: bytes | None = None
    storage_key_name: bytes | None = None


def verify_result(token: str, *, anchors: Sequence[x509.Certificate], at: datetime) -> AttestationResult:
    """The result, signed by the PVA that it names under `anchors`, within its life `at`.

    NOT checked here: whose question it answers, and what it says. Raises MessageError.
    """
    signed = verify_operator_token(token, RESULT_KIND, anchors=anchors, at=at, bytes_max=RESULT_BYTES_MAX)
    try:
        result = read_claims(signed.claims)
    except RatsError as error:
        raise MessageError(what=error.what, expected=error.expected, got=error.got) from error
    check_life("the result", issued_at=result.issued_at, expires_at=result.expires_at, at=at)
    return result


def check_answers(result: AttestationResult, expected: Expected) -> None:
    """Raise MessageError unless the result is for this relying party, device, nonce, order and keys."""
    pairs: dict[str, tuple[Any, Any]] = {
        "device": (expected.device_id, result.device_id),
        "nonce": (expected.nonce, result.nonce),
        "order": (expected.order_digest, result.order_digest),
        "AK": (expected.ak_name, result.ak_name),
        "storage key": (expected.storage_key_name, result.storage_key_name),
    }
    wrong = [name for name, (asked, got) in pairs.items() if asked is not None and asked != got]
    if expected.audience not in result.audience:
        wrong.append("audience")
    if wrong:
        raise MessageError(
            what="result", expected="the answer to this question", got=f"another {', another '.join(wrong)}"
        )


def permits_release(result: AttestationResult) -> bool:
    """Whether a subscription may go to this platform: TRE and platform both affirming, purpose `validation`.

    A verdict over registers that say nothing about the boot chain is none.
    """
    return (
        result.purpose == VALIDATION
        and set(SCOPES) <= set(result.submodules)
        and all(result.submodules[scope].status is Tier.AFFIRMING for scope in SCOPES)
        and result.status is Tier.AFFIRMING
        and covers_boot(result.pcr_selections)
    )
