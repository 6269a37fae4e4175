"""Whether a saved attestation result is what its holder believes: genuine, the PVA's, in time, and the answer to his question.

Rule: a result counts only under the operators' root that the holder gives; its signer must be a PVA by certificate,
and the one that the result names as its issuer. Whether the verdict in it is good is for the caller to read.
Source: docs/PROTOCOL.md, section on results; D5, D20.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from cli.failures import CliError, refused
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.extensions import OperatorRole
from standards.pki.jws import verify_jws
from standards.rats.ear import RESULT_TYPE, AttestationResult, read_claims
from standards.rats.errors import RatsError

RESULT_BYTES_MAX: Final = 1 << 18
VERIFIER_ROLE: Final = "pva"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the holder asked; None where he does not say."""

    device_id: str | None = None
    nonce: bytes | None = None
    audience: str | None = None


def verify_result(
    token: str, *, anchors: Sequence[x509.Certificate], question: Question, at: datetime
) -> AttestationResult:
    """The result in `token`, proven and judged `at`.

    Raises:
        CliError: forged, malformed, of another signer, out of its time, or the answer to another question.
    """
    try:
        # 1 signed for this purpose under the operators' root
        verified = verify_jws(
            token,
            anchors=anchors,
            eku=oids.EKU_ATTESTATION_RESULT,
            typ=RESULT_TYPE,
            at=at,
            bytes_max=RESULT_BYTES_MAX,
        )
        # 2 a result that does not contradict itself
        result = read_claims(verified.claims)
        signer = OperatorRole.of(verified.path[0])
    except PkiError as error:
        remedy = "check the operators' root; if it is the right one, somebody forged or damaged this result"
        raise refused("result-not-genuine", subject="result", reason=str(error), remedy=remedy) from None
    except RatsError as error:
        remedy = "ask the PVA's operator: its signature is good, its content is not"
        raise refused("result-malformed", subject="result", reason=str(error), remedy=remedy) from None
    # 3 by the PVA that it names
    if signer is None or (signer.role, signer.id) != (VERIFIER_ROLE, result.issuer):
        who = "no service" if signer is None else f"{signer.role} {signer.id}"
        reason = f"it names {result.issuer} as its issuer, but is signed by {who}"
        raise refused("result-of-another-signer", subject="result", reason=reason, remedy="do not rely on it")
    # 4 in its time
    _check_time(result, at=at)
    # 5 for this device, nonce and relying party
    _check_question(result, question)
    return result


def _check_time(result: AttestationResult, *, at: datetime) -> None:
    if result.issued_at <= at < result.expires_at:
        return
    issued, expires, now = (
        f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (result.issued_at, result.expires_at, at)
    )
    raise refused(
        "result-out-of-time",
        subject=f"result {result.result_id}",
        reason=f"it speaks for {issued} to {expires}, not for {now}",
        remedy=f"ask for a new validation; to see what it said in its time: --at {issued}",
    )


def _check_question(result: AttestationResult, question: Question) -> None:
    wrong = [
        name
        for name, differs in (
            ("device", question.device_id not in (None, result.device_id)),
            ("nonce", question.nonce not in (None, result.nonce)),
            ("audience", question.audience is not None and question.audience not in result.audience),
        )
        if differs
    ]
    if wrong:
        raise _another_question(result, wrong)


def _another_question(result: AttestationResult, wrong: Sequence[str]) -> CliError:
    return refused(
        "result-of-another-question",
        subject=f"result {result.result_id}",
        reason=f"it is genuine, but for another {' and another '.join(wrong)} than you asked about: it speaks of device "
        f"{result.device_id}, for {', '.join(result.audience)}",
        remedy="look whether files were mixed up, or an old answer is played back to you; do not rely on it",
    )
