"""`pva log`: the audit logs of the services, verified by whoever holds their verifier keys."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from cli.answers import Answer
from cli.commands.naming import Sha256
from cli.failures import refused
from cli.files import file_in, out_option, read_file, write_file
from cli.invocation import Invocation, Section, pass_invocation
from cli.verifier_key import log_not_proven, read_verifier_key
from edge.keys import create_log_key, create_passphrase
from edge.ledger_leaf import LedgerError, verify_entry
from edge.log_verification import check_records, prove_leaf, verify_log
from standards.merkle.checkpoint import NOTE_BYTES_MAX, VerifierKey, check_name
from standards.merkle.tree import MerkleError


@click.group(cls=Section)
def log() -> None:
    """Audit logs: signed trees of everything that a service did."""


@log.command("key")
@click.argument("path", type=file_in, metavar="KEY_FILE")
@click.option("--name", required=True, help="The log's public name, such as pva-1.example.net/log.")
@click.option(
    "--passphrase-file",
    type=file_in,
    required=True,
    help="File whose first line encrypts the key; made with a random one if there is none.",
)
@out_option("Write the verifier key, which others verify the log with, to this file.", required=True)
@pass_invocation
def create_key(invocation: Invocation, *, path: Path, name: str, passphrase_file: Path, out: Path) -> None:
    """Make the Ed25519 key of a log, and the line of text that others verify it with."""
    if not check_name(name):
        raise click.BadParameter("a log's name has no spaces and no plus sign", param_hint="--name")
    if not passphrase_file.exists():
        create_passphrase(passphrase_file, random_bytes=invocation.random_bytes)
    key = VerifierKey(
        name=name, public_key=create_log_key(path, passphrase_file=passphrase_file).public_key()
    )
    write_file(out, f"{key}\n".encode())
    invocation.answer(
        Answer(
            outcome="created",
            members={"key": str(path), "verifier_key": str(key)},
            next_step="name it under [audit_log] in the service's settings, and publish the verifier key",
        )
    )


def _log_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which log, and the key that it is verified with."""
    key = click.option(
        "--verifier-key", type=file_in, required=True, help="File with the log's key, from its operator."
    )
    return click.argument("service", metavar="ca|pva|URL")(key(command))


@log.command("verify")
@_log_options
@click.option("--known", type=file_in, help="A checkpoint that you kept: nothing since may be taken back.")
@out_option("Keep the checkpoint in this file, for the next time.")
@click.option("--records", is_flag=True, help="Check each record against its leaf, too (admin, auditor).")
@pass_invocation
def verify(
    invocation: Invocation,
    *,
    service: str,
    verifier_key: Path,
    known: Path | None,
    out: Path | None,
    records: bool,
) -> None:
    """Read the log of a service whole, compute its tree anew, and compare it with what was signed.

    SERVICE is ca or pva (by the settings), or the https URL of an operator listener.
    """
    key = read_verifier_key(verifier_key)
    seen = None if known is None else read_file(known, bytes_max=NOTE_BYTES_MAX)
    reader = invocation.audit_log(service)
    with Progress(console=Console(stderr=True), transient=True, disable=invocation.output == "json") as bar:
        task = bar.add_task("reading the log", total=None)
        try:
            verified = verify_log(
                reader,
                key,
                known=seen,
                progress=lambda done, all_: bar.update(task, completed=done, total=all_),
            )
            checked = check_records(reader, verified) if records else None
        except (MerkleError, LedgerError) as error:
            raise log_not_proven(key, error) from None
    if out is not None:
        write_file(out, verified.note)
    members: dict[str, Any] = {
        "log": key.name,
        "leaves": verified.checkpoint.size,
        "root": verified.checkpoint.root.hex(),
        "nothing_taken_back_since": "not asked" if known is None else str(known),
        "records_checked": "not asked" if checked is None else checked.kept,
        "records_erased": None if checked is None else checked.erased,
    }
    step = "keep the checkpoint (--out), and give it as --known the next time" if out is None else ""
    invocation.answer(Answer(outcome="verified", members=members, next_step=step))


@log.command("show")
@click.argument("service", metavar="ca|pva|URL")
@click.option(
    "--first", type=click.IntRange(min=0), default=0, show_default=True, help="Index of the first leaf."
)
@pass_invocation
def show(invocation: Invocation, *, service: str, first: int) -> None:
    """List what a service did, a page of its log, each record checked against its leaf (admin, auditor)."""
    entries = invocation.audit_log(service).records(first=first)
    rows = []
    for entry in entries:
        try:
            at = "erased" if entry.record is None else verify_entry(entry)["at"]
        except LedgerError as error:
            raise refused(
                "log-not-proven",
                subject=f"leaf {entry.leaf_hash.hex()} of {service}",
                reason=str(error),
                remedy="run pva log verify --records, and ask the service's operator",
            ) from None
        rows.append(
            {
                "index": entry.log_index,
                "at": at,
                "kind": entry.kind,
                "subject": entry.subject,
                "leaf": entry.leaf_hash.hex(),
            }
        )
    step = f"--first {first + len(rows)} for more; pva log prove shows that a leaf is in the signed tree"
    invocation.answer(Answer(outcome="shown", members={"leaves": rows}, next_step=step if rows else ""))


@log.command("prove")
@_log_options
@click.argument("leaf", type=Sha256(), metavar="LEAF_HASH")
@pass_invocation
def prove(invocation: Invocation, *, service: str, verifier_key: Path, leaf: str) -> None:
    """Show that one leaf is under the log's signed root, and its record (admin, auditor)."""
    key = read_verifier_key(verifier_key)
    try:
        entry, checkpoint = prove_leaf(invocation.audit_log(service), key, bytes.fromhex(leaf))
    except (MerkleError, LedgerError) as error:
        raise log_not_proven(key, error) from None
    members = {
        "log": key.name,
        "index": entry.log_index,
        "leaves": checkpoint.size,
        "root": checkpoint.root.hex(),
        "kind": entry.kind,
        "subject": entry.subject,
        "record": "erased" if entry.record is None else entry.record.decode("utf-8", "replace"),
    }
    invocation.answer(Answer(outcome="proven", members=members))
