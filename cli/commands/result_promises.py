"""`pva result logged`: whether the PVA has put a result into its log, as the result itself promises."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from joserfc.util import urlsafe_b64decode

from cli.answers import Answer
from cli.commands.result_bundles import result
from cli.failures import EXIT_FAILED, refused
from cli.files import file_in, out_option, read_certificates, read_token, write_file
from cli.invocation import Invocation, pass_invocation
from cli.result_check import RESULT_BYTES_MAX, Question, verify_result
from cli.verifier_key import log_not_proven, read_verifier_key
from clients.inclusion import NothingPromisedError, PromiseBrokenError, PromiseState, check_promise
from standards.merkle.tree import MerkleError

__all__ = ["result"]

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_SEGMENTS: Final = 3


@result.command("logged")
@click.argument("path", type=file_in, metavar="FILE")
@click.option("--operators-root", type=file_in, required=True, help="The anchor (PEM), from whom you trust.")
@click.option(
    "--verifier-key",
    type=file_in,
    required=True,
    help="File with the key of the PVA's audit log, from its operator.",
)
@click.option("--service", default="pva", show_default=True, metavar="pva|URL", help="Where the log is read.")
@out_option("Keep the log's signed checkpoint in this file: where the promise is broken, half of the proof.")
@pass_invocation
def logged(
    invocation: Invocation,
    *,
    path: Path,
    operators_root: Path,
    verifier_key: Path,
    service: str,
    out: Path | None,
) -> None:
    """Check that the audit leaf which a saved result promises is in the PVA's signed log.

    Ends with 0 when it is there, and with 1 when it is not: as long as the merge delay lasts the answer is "waiting", after it the
    promise is broken (promise-broken), and the result is the signed proof of that.
    """
    token = read_token(path, bytes_max=RESULT_BYTES_MAX)
    found = verify_result(
        token, anchors=read_certificates(operators_root), question=Question(), at=_issued_at(token)
    )
    key = read_verifier_key(verifier_key)
    try:
        state = check_promise(found, log=invocation.audit_log(service), key=key, at=invocation.clock())
    except NothingPromisedError as error:
        raise refused(
            "nothing-promised",
            subject=f"result {found.result_id}",
            reason=str(error),
            remedy="give the key of the log that the result names; pva log prove shows a leaf to administrators and auditors",
        ) from None
    except PromiseBrokenError as error:
        if out is not None:
            write_file(out, error.note)
        raise refused(
            "promise-broken",
            subject=f"result {found.result_id}",
            reason=str(error),
            remedy="keep the result and the log's checkpoint (--out), which prove it to anybody; rely on nothing that this PVA "
            "signs until its operator has explained it",
        ) from None
    except MerkleError as error:
        raise log_not_proven(key, error) from None
    if out is not None and state.note is not None:
        write_file(out, state.note)
    invocation.answer(_answer(state, result_id=found.result_id))


def _answer(state: PromiseState, *, result_id: str) -> Answer:
    checkpoint = state.checkpoint
    members = {
        "result_id": result_id,
        "log": state.promise.log,
        "leaf": state.promise.leaf_hash.hex(),
        "due_at": f"{state.due_at:{_TIME}}",
        "leaves": None if checkpoint is None else checkpoint.size,
        "root": None if checkpoint is None else checkpoint.root.hex(),
    }
    if checkpoint is None:
        step = f"ask again after {members['due_at']}: then it is there, or the promise is broken"
        return Answer(outcome="waiting", members=members, next_step=step, exit_code=EXIT_FAILED)
    return Answer(outcome="logged", members=members)


def _issued_at(token: str) -> datetime:
    """The time that a result names as its own: what it says is judged as of then. Raises a refusal."""
    segments = token.split(".")
    payload = segments[1] if len(segments) == _SEGMENTS else ""
    try:
        claims = json.loads(urlsafe_b64decode(payload.encode()))
        return datetime.fromtimestamp(int(claims["iat"]), tz=UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        raise refused(
            "result-malformed",
            subject="result",
            reason="expected a signed result (compact JWS) with the time of its issue",
            remedy="give the file that pva validation show --result-out wrote",
        ) from None
