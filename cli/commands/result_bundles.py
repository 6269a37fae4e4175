"""`pva result export` and `pva result recheck`: a verdict with all that it stands on, computed again by a stranger."""

from pathlib import Path
from typing import Any

import click

from cli.answers import Answer
from cli.commands.results import result
from cli.failures import EXIT_NEGATIVE, refused
from cli.files import file_in, out_option, read_certificates, read_file, write_file
from cli.invocation import Invocation, pass_invocation
from cli.verifier_key import read_verifier_key
from pva.recheck.bundles import BUNDLE_BYTES_MAX, RecheckError, decode_bundle
from pva.recheck.recheck import Rechecked, recheck
from standards.rats.ar4si import Tier

__all__ = ["result"]


@result.command("export")
@click.argument("some_id", metavar="ID")
@out_option("Write the bundle to this file.", required=True)
@pass_invocation
def export(invocation: Invocation, *, some_id: str, out: Path) -> None:
    """Fetch a result with all that it stands on, as long as its evidence is kept (sho, dpf: your own; auditor: any).

    The bundle holds evidence of a device, and the texts of the policies that judged: keep it as you keep those.
    """
    bundle = invocation.pva().export_result(some_id)
    write_file(out, bundle)
    step = f"compute the verdict again: pva result recheck {out} --operators-root FILE"
    members = {"file": str(out), "parts": sorted(decode_bundle(bundle))}
    invocation.answer(Answer(outcome="exported", members=members, next_step=step))


@result.command("recheck")
@click.argument("path", type=file_in, metavar="BUNDLE")
@click.option("--operators-root", type=file_in, required=True, help="The anchor (PEM), from whom you trust.")
@click.option(
    "--verifier-key", type=file_in, help="File with the key of the PVA's audit log, from its operator."
)
@pass_invocation
def recheck_bundle(
    invocation: Invocation, *, path: Path, operators_root: Path, verifier_key: Path | None
) -> None:
    """Compute the verdict of a bundle again, from the device's own evidence. Needs no settings and no network.

    Ends with 0 when the same affirming verdict comes out, with 3 when the same other one does, with 1 when a part was
    changed (it is named) or another verdict comes out. With --verifier-key the audit leaf must be in the PVA's signed
    log, too.
    """
    data = read_file(path, bytes_max=BUNDLE_BYTES_MAX)
    anchors = read_certificates(operators_root)
    key = None if verifier_key is None else read_verifier_key(verifier_key)
    try:
        found = recheck(data, anchors=anchors, log_key=key)
    except RecheckError as error:
        raise refused(
            "bundle-not-confirmed", subject=error.part, reason=error.reason, remedy=error.remedy
        ) from None
    step = "" if key is not None else "the log was not checked: give its key as --verifier-key"
    affirming = found.result.status is Tier.AFFIRMING
    invocation.answer(
        Answer(
            outcome="confirmed",
            members=_members(found),
            exit_code=0 if affirming else EXIT_NEGATIVE,
            next_step=step,
        )
    )


def _members(found: Rechecked) -> dict[str, Any]:
    verdict, log = found.result, found.log
    return {
        "result_id": verdict.result_id,
        "device_id": verdict.device_id,
        "issued_at": f"{verdict.issued_at:%Y-%m-%dT%H:%M:%SZ}",
        "status": verdict.status.value,
        "scopes": [{"scope": name, "status": part.status.value} for name, part in verdict.submodules.items()],
        "findings": [
            {"scope": each.scope, "code": each.code, "subject": each.subject}
            for part in verdict.submodules.values()
            for each in part.findings
        ],
        "leaf": found.leaf.hex(),
        "log": "not checked" if log is None else f"{log.origin}, under its root of {log.size} leaves",
        "ima_entries_not_in_the_bundle": found.ima_before,
    }
