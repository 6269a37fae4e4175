"""`pva result export` and `pva result recheck`: a verdict with all that it stands on, computed again by a stranger."""

from pathlib import Path

import click

from cli.answers import Answer
from cli.commands.results import result
from cli.failures import EXIT_NEGATIVE, refused
from cli.files import file_in, out_option, read_certificates, read_file, write_file
from cli.invocation import Invocation, pass_invocation
from pva.recheck import BUNDLE_BYTES_MAX, RecheckError, decode_bundle, recheck
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
@pass_invocation
def recheck_bundle(invocation: Invocation, *, path: Path, operators_root: Path) -> None:
    """Compute the verdict of a bundle again, from the device's own evidence. Needs no settings and no network.

    Ends with 0 when the same affirming verdict comes out, with 3 when the same other one does, with 1 when a part was
    changed (it is named) or another verdict comes out. That the audit leaf is in the PVA's log is not checked yet.
    """
    data = read_file(path, bytes_max=BUNDLE_BYTES_MAX)
    try:
        found = recheck(data, anchors=read_certificates(operators_root))
    except RecheckError as error:
        remedy = (
            "get the bundle again; if it is the same, do not rely on the result, and ask the PVA's operator"
        )
        raise refused(
            "bundle-not-confirmed", subject=error.part, reason=error.reason, remedy=remedy
        ) from None
    affirming = found.status is Tier.AFFIRMING
    members = {
        "result_id": found.result_id,
        "device_id": found.device_id,
        "issued_at": f"{found.issued_at:%Y-%m-%dT%H:%M:%SZ}",
        "status": found.status.value,
        "scopes": [{"scope": name, "status": part.status.value} for name, part in found.submodules.items()],
        "findings": [
            {"scope": each.scope, "code": each.code, "subject": each.subject}
            for part in found.submodules.values()
            for each in part.findings
        ],
    }
    invocation.answer(
        Answer(outcome="confirmed", members=members, exit_code=0 if affirming else EXIT_NEGATIVE)
    )
