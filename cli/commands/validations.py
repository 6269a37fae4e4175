"""`pva validation`: a home operator asks what a device is, and sees what came of it."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cli.answers import Answer
from cli.commands.naming import Sha256
from cli.failures import EXIT_FAILED
from cli.files import out_option, write_file
from cli.invocation import Invocation, Section, pass_invocation
from clients.pva import ValidationProgress
from standards.rats.fields import encode_base64url

NONCE_BYTES = 32
_NONCE = re.compile(r"[A-Za-z0-9_-]{43}")


class Nonce(click.ParamType[bytes]):
    """32 bytes in base64url without padding."""

    name = "NONCE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """The bytes."""
        if isinstance(value, bytes):
            return value
        text = str(value)
        if _NONCE.fullmatch(text):
            nonce = base64.urlsafe_b64decode(text + "=")
            if encode_base64url(nonce) == text:
                return nonce
        return self.fail(f"{text!r}: expected {NONCE_BYTES} bytes in base64url without padding", param, ctx)


@click.group(cls=Section)
def validation() -> None:
    """Validations of devices, as the home operator who asks for them."""


@validation.command("request")
@click.argument("device_id", type=Sha256())
@click.option(
    "--audience", multiple=True, required=True, help="Who may rely on the result, you among them; repeat it."
)
@click.option("--nonce", type=Nonce(), help="Your own fresh nonce (default: a random one, shown).")
@click.option(
    "--purpose",
    default="validation",
    show_default=True,
    help="recovery where the device's credential is on hold.",
)
@pass_invocation
def request(
    invocation: Invocation,
    *,
    device_id: str,
    audience: Sequence[str],
    nonce: bytes | None,
    purpose: str,
) -> None:
    """Ask the PVA to look at a device of yours (sho); it answers when the device has.

    A device that has an order is validated for the signed request of its operator's service, not by this command.
    """
    asked = nonce or invocation.random_bytes(NONCE_BYTES)
    request_id = invocation.pva().request_validation(
        device_id=device_id,
        nonce=asked,
        audience=list(audience),
        purpose=purpose,
        key=invocation.new_key(),
    )
    members = {"request_id": request_id, "device_id": device_id, "nonce": encode_base64url(asked)}
    step = f"keep the nonce; when the device has attested: pva validation show {request_id} --result-out FILE"
    invocation.answer(Answer(outcome="requested", members=members, next_step=step))


@validation.command("show")
@click.argument("request_id")
@out_option("Write the signed result to this file.", "--result-out")
@pass_invocation
def show(invocation: Invocation, *, request_id: str, result_out: Path | None) -> None:
    """Show what came of a validation (sho): refused tries, and the result once there is one.

    The verdict is in the signed result: pva result verify says what it is worth.
    """
    progress = invocation.pva().validation(request_id)
    if progress.result is not None and result_out is not None:
        write_file(result_out, progress.result.encode())
    members: dict[str, Any] = {
        "request_id": progress.request_id,
        "device_id": progress.device_id,
        "refusals": [
            {
                "at": each.at,
                "code": each.code,
                "subject": each.subject,
                "reason": each.reason,
                "remedy": each.remedy,
            }
            for each in progress.refusals
        ],
    }
    if progress.result is not None and result_out is not None:
        members["result_file"] = str(result_out)
    elif progress.result is not None:
        members["result"] = progress.result
    missing = result_out is not None and progress.result is None
    invocation.answer(
        Answer(
            outcome=progress.state,
            members=members,
            next_step=_next_step(progress, result_out=result_out),
            exit_code=EXIT_FAILED if missing else 0,
        )
    )


def _next_step(progress: ValidationProgress, *, result_out: Path | None) -> str:
    if progress.result is not None:
        file = result_out or "FILE"
        return f"pva result verify {file} --operators-root FILE --device {progress.device_id} --nonce NONCE"
    if progress.state == "pending":
        return "the device attests (m2me attest), then look again"
    return "ask again: pva validation request"
