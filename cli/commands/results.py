"""`pva result`: what a signed attestation result (EAR) is worth, checked without any service."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from cli.answers import Answer
from cli.commands.naming import Sha256
from cli.commands.validations import Nonce
from cli.explanation_text import explanation_text
from cli.failures import EXIT_FAILED, EXIT_NEGATIVE
from cli.files import file_in, out_option, read_certificates, read_token, write_file
from cli.invocation import Invocation, Section, pass_invocation
from cli.result_check import RESULT_BYTES_MAX, Question, verify_result
from clients.pva_explanation import Explanation
from standards.rats.ar4si import Tier
from standards.rats.ear import AttestationResult, Finding

PROFILES: Final = ("ietf", "deployed")
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@click.group(cls=Section)
def result() -> None:
    """Signed attestation results (EAR)."""


def _question_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options for what was asked, handed on as one `question`."""

    def with_question(
        *args: Any, device: str | None, nonce: bytes | None, audience: str | None, **others: Any
    ) -> None:
        command(*args, question=Question(device_id=device, nonce=nonce, audience=audience), **others)

    with_question.__name__ = command.__name__
    with_question.__doc__ = command.__doc__
    for option in (
        click.option("--audience", help="The result must be for this relying party: you."),
        click.option("--nonce", type=Nonce(), help="The result must be on this nonce: yours."),
        click.option("--device", type=Sha256(), help="The result must be about this device."),
    ):
        with_question = option(with_question)
    return with_question


@result.command("verify")
@click.argument("path", type=file_in, metavar="FILE")
@click.option("--operators-root", type=file_in, required=True, help="The anchor (PEM), from whom you trust.")
@click.option("--at", type=click.DateTime([_TIME]), help="Judge as of this time (default: now).")
@_question_options
@pass_invocation
def verify(
    invocation: Invocation, *, path: Path, operators_root: Path, at: datetime | None, question: Question
) -> None:
    """Verify a saved result and print its verdict with all findings.

    Ends with 0 when it is affirming, with 3 when it is genuine and is not, with 1 when it cannot be relied on at all.
    Needs no settings and no network.
    """
    found = verify_result(
        read_token(path, bytes_max=RESULT_BYTES_MAX),
        anchors=read_certificates(operators_root),
        question=question,
        at=invocation.clock() if at is None else at.replace(tzinfo=UTC),
    )
    affirming = found.status is Tier.AFFIRMING
    unchecked = [
        f"--{name}"
        for name, asked in (
            ("device", question.device_id),
            ("nonce", question.nonce),
            ("audience", question.audience),
        )
        if asked is None
    ]
    step = f"it is genuine; say what you asked, too: {' '.join(unchecked)}" if unchecked else ""
    if not affirming:
        step = "release nothing to this device; each finding says what would help"
    invocation.answer(
        Answer(
            outcome=found.status.value,
            members=_described(found),
            next_step=step,
            exit_code=0 if affirming else EXIT_NEGATIVE,
        )
    )


@result.command("fetch")
@click.argument("some_id", metavar="ID")
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default=PROFILES[0],
    show_default=True,
    help="Names of the claims: those of the IETF's draft, or the dotted ones that others' software reads.",
)
@out_option("Write the signed result to this file.", required=True)
@pass_invocation
def fetch(invocation: Invocation, *, some_id: str, profile: str, out: Path) -> None:
    """Fetch the signed result of a validation, in the profile that your software reads (sho, dpf: your own; auditor: any).

    ID is that of the result or of the validation. In either profile it is the same verdict, and signed.
    """
    token = invocation.pva().result(some_id, profile=profile)
    write_file(out, token.encode())
    step = f"pva result verify {out} --operators-root FILE --nonce NONCE --audience YOU"
    members = {"file": str(out), "profile": profile}
    invocation.answer(Answer(outcome="fetched", members=members, next_step=step))


@result.command("explain")
@click.argument("some_id", metavar="ID")
@pass_invocation
def explain(invocation: Invocation, *, some_id: str) -> None:
    """Explain why a validation ended as it did (sho, dpf: your own; auditor: any).

    ID is that of the result or of the validation. Ends with 0 when the result is affirming, with 3 when it is not, with 1
    when there is none. What you rely on is the signed result (pva result verify), not this.
    """
    told = invocation.pva().explanation(some_id)
    members = {
        "device_id": told.device_id,
        "request_id": told.request_id,
        "result_id": told.result_id,
        "issued_at": told.issued_at,
        "manifest": told.manifest,
        "policy_digest": told.policy_digest,
    }
    invocation.answer(
        Answer(
            outcome=told.status or told.state,
            members=members,
            text=explanation_text(told),
            data=told.whole,
            next_step=_next_step(told),
            exit_code=_exit_code(told),
        )
    )


def _next_step(told: Explanation) -> str:
    if told.status is None:
        return (
            "the device attests (m2me attest) again"
            if told.state == "pending"
            else "ask again: pva validation request"
        )
    if told.status == Tier.AFFIRMING.value:
        return ""
    return "do what stands at the first finding of each scope, then validate again"


def _exit_code(told: Explanation) -> int:
    if told.status is None:
        return EXIT_FAILED
    return 0 if told.status == Tier.AFFIRMING.value else EXIT_NEGATIVE


def _described(found: AttestationResult) -> dict[str, Any]:
    manifest, promise = found.manifest, found.promise
    return {
        "result_id": found.result_id,
        "issuer": found.issuer,
        "audience": list(found.audience),
        "device_id": found.device_id,
        "purpose": found.purpose,
        "issued_at": f"{found.issued_at:{_TIME}}",
        "expires_at": f"{found.expires_at:{_TIME}}",
        "order_digest": None if found.order_digest is None else found.order_digest.hex(),
        "credential_serial": f"{found.pfc.serial:040x}",
        "manifest": None if manifest is None else f"{manifest.id} (svn {manifest.svn})",
        "manifest_digest": None if manifest is None else manifest.digest.hex(),
        "promised_leaf": None if promise is None else promise.leaf_hash.hex(),
        "promised_in": None if promise is None else f"{promise.log}, within {promise.merge_delay_s} s",
        "scopes": [{"scope": name, "status": part.status.value} for name, part in found.submodules.items()],
        "findings": [_finding(each) for part in found.submodules.values() for each in part.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    names = ("scope", "code", "subject", "reason", "expected", "measured", "event", "remedy")
    return {name: getattr(finding, name) for name in names}
