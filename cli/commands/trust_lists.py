"""`pva trust-list`: signed lists of the suppliers that somebody vouches for (R26, R29)."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from cli.agreements import proposal_members
from cli.answers import Answer
from cli.failures import refused
from cli.files import Signer, file_in, out_option, read_certificates, read_token, signer_options, write_file
from cli.invocation import Invocation, Section, pass_invocation
from cli.trust_list_description import TrustListDescription, trust_list_of
from clients.pva_suppliers import TrustListEntry
from edge.settings import load_settings
from messages.errors import MessageError
from messages.operator_token import OperatorSigner, check_life
from messages.trust_list import (
    TRUST_LIST_BYTES_MAX,
    TRUST_LIST_KIND,
    TrustedSupplier,
    TrustList,
    differences,
    read_unverified,
    verify_trust_list,
)
from standards.pki.errors import PkiError


@click.group(cls=Section)
def trust_list() -> None:
    """Trust lists: the ES roots that an overseer, an operator or the PVA's administrators vouch for."""


@trust_list.command("sign")
@click.argument("path", type=file_in, metavar="DESCRIPTION")
@signer_options
@out_option("Write the signed list to this file.", required=True)
@pass_invocation
def sign(invocation: Invocation, *, path: Path, signer: Signer, out: Path) -> None:
    """Sign a trust list; nothing is sent.

    DESCRIPTION is TOML: issuer, sequence, days, and the suppliers with root, models, status address and accreditation.
    """
    description = load_settings(TrustListDescription, path=path, environ={})
    content = trust_list_of(description, at=invocation.clock())
    _sign(content, signer=signer, subject=str(path), out=out)
    step = f"pva trust-list import {out}"
    members = {**_content(content), "file": str(out)}
    invocation.answer(Answer(outcome="signed", members=members, next_step=step))


@trust_list.command("verify")
@click.argument("path", type=file_in, metavar="FILE")
@click.option("--root", type=file_in, required=True, help="Root of the issuer's certificates (PEM).")
@pass_invocation
def verify(invocation: Invocation, *, path: Path, root: Path) -> None:
    """Verify a signed trust list under its issuer's root, and that it is in time. Needs no network."""
    at, token = invocation.clock(), read_token(path, bytes_max=TRUST_LIST_BYTES_MAX)
    try:
        verified = verify_trust_list(token, anchors=read_certificates(root), at=at)
        content = verified.content
        check_life("the list", issued_at=content.issued_at, expires_at=content.expires_at, at=at)
    except MessageError as error:
        remedy = "check the root; if it is the right one, ask the issuer for the list again"
        raise refused("trust-list-not-genuine", subject=str(path), reason=str(error), remedy=remedy) from None
    members = {**_content(content), "role": verified.role, "listed": _rows(content.suppliers)}
    invocation.answer(Answer(outcome="genuine", members=members))


@trust_list.command("check")
@click.argument("path", type=file_in, metavar="FILE")
@pass_invocation
def check(invocation: Invocation, *, path: Path) -> None:
    """Have the PVA check a signed trust list as `import` would; nothing is stored."""
    made = invocation.pva_suppliers().check_trust_list(read_token(path, bytes_max=TRUST_LIST_BYTES_MAX))
    step = f"pva trust-list import {path}"
    invocation.answer(Answer(outcome="acceptable", members=_entry(made), next_step=step))


@trust_list.command("import")
@click.argument("path", type=file_in, metavar="FILE")
@click.option(
    "--to", "place", type=click.Choice(["pva", "ca"]), default="pva", show_default=True, help="Who gets it."
)
@pass_invocation
def import_list(invocation: Invocation, *, path: Path, place: str) -> None:
    """Hand a signed trust list to the PVA or the CA (admin, or its issuer); it takes the place of its issuer's last one.

    A list of the PVA's administrators counts once another one of them has approved it. A CA takes lists of overseers alone: it
    suspends suppliers whose audit is over, until a newer list says more.
    """
    if place == "ca":
        token = read_token(path, bytes_max=TRUST_LIST_BYTES_MAX)
        rows = [
            {"supplier": supplier, "accredited_until": until}
            for supplier, until in invocation.ca_suspensions().import_trust_list(token)
        ]
        invocation.answer(Answer(outcome="imported", members={"suppliers": rows}))
    made = invocation.pva_suppliers().import_trust_list(read_token(path, bytes_max=TRUST_LIST_BYTES_MAX))
    members = _entry(made)
    waits = made.proposal is not None and made.proposal.done_at is None
    step = ""
    if made.proposal is not None:
        members["proposal"] = [proposal_members(made.proposal)]
        step = f"another administrator: pva proposal approve {made.proposal.digest}" if waits else ""
    outcome = "waiting" if waits else "imported"
    invocation.answer(Answer(outcome=outcome, members=members, next_step=step))


@trust_list.command("list")
@pass_invocation
def list_lists(invocation: Invocation) -> None:
    """List the newest trust list of each issuer at the PVA."""
    rows = [_entry(each) for each in invocation.pva_suppliers().trust_lists()]
    invocation.answer(Answer(outcome=f"{len(rows)} trust lists", members={"trust_lists": rows}))


@trust_list.command("show")
@click.argument("issuer")
@out_option("Write the list as it was signed to this file.")
@pass_invocation
def show(invocation: Invocation, *, issuer: str, out: Path | None) -> None:
    """Show the newest trust list of an issuer at the PVA."""
    token = invocation.pva_suppliers().trust_list(issuer)
    content = _unverified(token, subject=f"trust list of {issuer}")
    if out is not None:
        write_file(out, token.encode("ascii"))
    members = {
        **_content(content),
        "listed": _rows(content.suppliers),
        "file": None if out is None else str(out),
    }
    invocation.answer(Answer(outcome="found", members=members))


@trust_list.command("export")
@click.option("--issuer", required=True, help="The id in your certificate.")
@click.option("--sequence", type=click.IntRange(min=1), required=True, help="Above that of your last list.")
@click.option("--days", type=click.IntRange(min=1), default=365, show_default=True, help="How long it holds.")
@signer_options
@out_option("Write the signed list to this file.", required=True)
@pass_invocation
def export(
    invocation: Invocation, *, issuer: str, sequence: int, days: int, signer: Signer, out: Path
) -> None:
    """Sign everything that the PVA recognises now as a trust list of your own; nothing is sent."""
    at = invocation.clock().replace(microsecond=0)
    content = TrustList(
        issuer=issuer,
        sequence=sequence,
        issued_at=at,
        expires_at=at + timedelta(days=days),
        suppliers=tuple(each.listed for each in invocation.pva_suppliers().suppliers()),
    )
    _sign(content, signer=signer, subject="--key, --certificate", out=out)
    step = f"another PVA that has your root: pva trust-list import {out}"
    members = {**_content(content), "file": str(out)}
    invocation.answer(Answer(outcome="signed", members=members, next_step=step))


@trust_list.command("diff")
@click.argument("old")
@click.argument("new")
@pass_invocation
def diff(invocation: Invocation, *, old: str, new: str) -> None:
    """Show what NEW says otherwise than OLD, each a file, the issuer of a list at the PVA, or `recognised`.

    `recognised` is all that the PVA recognises now. Signatures are not checked here: pva trust-list verify does that.
    """
    rows = [
        {"supplier": each.supplier, "what": each.what, "old": each.old or "-", "new": each.new or "-"}
        for each in differences(_named(invocation, old), _named(invocation, new))
    ]
    count = f"{len(rows)} difference{'s' if len(rows) != 1 else ''}"
    invocation.answer(Answer(outcome=count, members={"differences": rows}))


def _named(invocation: Invocation, name: str) -> tuple[TrustedSupplier, ...]:
    path = Path(name)
    if path.exists():
        token = read_token(path, bytes_max=TRUST_LIST_BYTES_MAX)
    elif name == "recognised":
        return tuple(each.listed for each in invocation.pva_suppliers().suppliers())
    else:
        token = invocation.pva_suppliers().trust_list(name)
    return _unverified(token, subject=name).suppliers


def _unverified(token: str, *, subject: str) -> TrustList:
    try:
        return read_unverified(token)
    except MessageError as error:
        remedy = "name a trust list as pva trust-list sign wrote it"
        raise refused("trust-list", subject=subject, reason=str(error), remedy=remedy) from None


def _sign(content: TrustList, *, signer: Signer, subject: str, out: Path) -> None:
    who = OperatorSigner(key=signer.key, chain=signer.chain, issuer=content.issuer)
    try:
        token = who.sign(content.claims(), typ=TRUST_LIST_KIND.typ)
        read_unverified(token)
    except (PkiError, MessageError) as error:
        remedy = "correct the description, or the pair of --key and --certificate; nothing was signed"
        raise refused("trust-list", subject=subject, reason=str(error), remedy=remedy) from None
    write_file(out, token.encode("ascii"))


def _content(content: TrustList) -> dict[str, Any]:
    return {
        "issuer": content.issuer,
        "sequence": content.sequence,
        "expires_at": f"{content.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        "suppliers": [each.name for each in content.suppliers],
    }


def _rows(suppliers: Iterable[TrustedSupplier]) -> list[dict[str, Any]]:
    return [
        {
            "supplier": each.name,
            "models": list(each.models),
            "tre_level_min": each.tre_level_min,
            "accreditation": None
            if each.accreditation is None
            else f"{each.accreditation.scheme}, certificate {each.accreditation.certificate}",
            "accredited_to": None
            if each.accreditation is None
            else f"{each.accreditation.valid_to:%Y-%m-%dT%H:%M:%SZ}",
        }
        for each in suppliers
    ]


def _entry(entry: TrustListEntry) -> dict[str, Any]:
    return {
        "issuer": entry.issuer,
        "role": entry.role,
        "sequence": entry.sequence,
        "expires_at": entry.expires_at,
        "suppliers": list(entry.suppliers),
        "digest": entry.digest,
        "imported_by": entry.imported_by,
    }
