"""`pva batch`: a supplier's signed lists of the devices that are his."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cli.answers import Answer
from cli.batch_feed import is_feed, send_feed, write_feed
from cli.batch_list import LIST_BYTES_MAX, read_batch_list
from cli.failures import refused
from cli.files import Signer, file_in, out_option, read_file, read_token, signer_options, write_file
from cli.invocation import Invocation, Section, pass_invocation
from messages.batch import BATCH_BYTES_MAX, BATCH_TYPE, BatchList
from messages.errors import MessageError
from standards.pki.errors import PkiError
from standards.pki.jws import sign_jws


@click.group(cls=Section)
def batch() -> None:
    """Lists of devices, by the digest of their endorsement keys, signed by their supplier."""


@batch.command("sign")
@click.argument("path", type=file_in, metavar="LIST")
@click.option("--batch", "name", required=True, help="Name of the batch; the CA takes each once.")
@click.option("--supplier", required=True, help="Your name, as the CA has it.")
@signer_options
@out_option("Write the signed list to this file.", required=True)
@pass_invocation
def sign(invocation: Invocation, *, path: Path, name: str, supplier: str, signer: Signer, out: Path) -> None:
    """Sign a list of devices with the supplier's own key; nothing is sent.

    LIST is CSV with the columns device_id,model,serial, or a JSON array of such objects.
    """
    listed = _listed(path, batch=name, supplier=supplier, invocation=invocation)
    with _own_signer():
        token = sign_jws(listed.claims(), key=signer.key, chain=signer.chain, typ=BATCH_TYPE)
    write_file(out, token.encode("ascii"))
    invocation.answer(_signed(listed, out))


@batch.command("sign-feed")
@click.argument("path", type=file_in, metavar="LIST")
@click.option("--batch", "name", required=True, help="Name of the batch; the CA takes each once.")
@click.option("--supplier", required=True, help="Your name, as the CA has it.")
@signer_options
@out_option("Write the signed feed to this file.", required=True)
@pass_invocation
def sign_feed(
    invocation: Invocation, *, path: Path, name: str, supplier: str, signer: Signer, out: Path
) -> None:
    """Sign a long list as a feed, which is handed in by chunks; nothing is sent.

    LIST is as for `sign`.
    """
    listed = _listed(path, batch=name, supplier=supplier, invocation=invocation)
    with _own_signer():
        write_feed(out, listed, signer=signer)
    invocation.answer(_signed(listed, out))


@batch.command("import")
@click.argument("path", type=file_in, metavar="FILE")
@pass_invocation
def import_batch(invocation: Invocation, *, path: Path) -> None:
    """Hand a signed list or feed to the CA; its devices may enrol then (the supplier).

    A feed goes in chunks, and counts when it is whole. Run it again after it was cut short: it goes on there.
    """
    if is_feed(path):
        made = send_feed(path, desk=invocation.ca())
    else:
        made = invocation.ca().import_batch(read_token(path, bytes_max=BATCH_BYTES_MAX))
    members = {"batch": made.batch, "supplier": made.supplier, "devices": made.devices}
    step = "its devices can enrol, once their model has a manifest: m2me enroll"
    invocation.answer(Answer(outcome="imported", members=members, next_step=step))


@contextmanager
def _own_signer() -> Iterator[None]:
    try:
        yield
    except PkiError as error:
        remedy = "give the P-256 key and, first in the file, the batch-signing certificate that is its own"
        raise refused("signer", subject="--key, --certificate", reason=str(error), remedy=remedy) from None


def _signed(listed: BatchList, out: Path) -> Answer:
    members = {
        "batch": listed.batch,
        "supplier": listed.supplier,
        "devices": len(listed.devices),
        "models": sorted({each.model for each in listed.devices}),
        "file": str(out),
    }
    return Answer(outcome="signed", members=members, next_step=f"pva batch import {out}")


def _listed(path: Path, *, batch: str, supplier: str, invocation: Invocation) -> BatchList:
    try:
        text = read_file(path, bytes_max=LIST_BYTES_MAX).decode("utf-8-sig")  # spreadsheets write a mark
        return read_batch_list(text, batch=batch, supplier=supplier, at=invocation.clock())
    except (UnicodeDecodeError, MessageError) as error:
        raise refused(
            "batch-list",
            subject=str(path),
            reason=str(error),
            remedy="correct the list; nothing was signed",
        ) from None
