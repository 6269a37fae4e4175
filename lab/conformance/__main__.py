"""`./dev conformance ocsp [URL]`: how a responder keeps to the norms, item by item.

Without URL this project's responder and `openssl ocsp` are asked, started on loopback for a CA of the runner's own.
Exit status: 0 every item is met or not applicable, 3 some item of the responder at URL (of this project's, without
one) is not met, 4 nobody answers there.
"""

import contextlib
import http.client
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from cryptography import x509

from edge.process import system_clock, system_random
from lab.conformance.ocsp_answers import RFC6960
from lab.conformance.ocsp_hierarchy import make_hierarchy, openssl_responder, this_responder
from lab.conformance.ocsp_http import HTTP
from lab.conformance.subject import Subject
from lab.conformance.table import as_document, as_text
from lab.conformance.verdicts import Outcome, Verdict, verdict

ITEMS = tuple(sorted((*RFC6960, *HTTP), key=lambda item: ("OLNB".index(item.name[0]), int(item.name[1:]))))
Judged = dict[str, Sequence[Verdict]]
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def main() -> None:
    """Hold a service against the norms."""


@main.command()
@click.argument("url", required=False)
@click.option("--issuer", type=_FILE, help="the CA's certificate, PEM")
@click.option("--good", type=_FILE, help="a certificate of it that is good")
@click.option("--revoked", type=_FILE, help="one that is revoked")
@click.option("--unknown", type=_FILE, help="one that the responder does not know")
@click.option("-o", "--output", type=click.Choice(["text", "json", "document"]), default="text")
def ocsp(  # one parameter an option
    url: str | None,
    *,
    issuer: Path | None,
    good: Path | None,
    revoked: Path | None,
    unknown: Path | None,
    output: str,
) -> None:
    """Ask the OCSP responder at URL, or this project's and openssl's."""
    if url is None:
        judged = judge_here()
    elif issuer is None or good is None:
        raise click.UsageError("a URL needs --issuer and --good")
    else:
        subject = Subject(
            name=url,
            url=url,
            issuer=_certificate(issuer),
            good=_certificate(good),
            revoked=None if revoked is None else _certificate(revoked),
            unknown=None if unknown is None else _certificate(unknown),
            clock=system_clock,
            random_bytes=system_random,
        )
        try:
            subject.post(subject.request().dump())
        except (ConnectionResetError, http.client.HTTPException):
            pass  # somebody is there
        except OSError as error:
            click.echo(f"{url}: nobody answers: {error.strerror or error}", err=True)
            sys.exit(4)
        judged = {url: judge(subject)}
    if output == "json":
        shown = {name: [_shown(each) for each in verdicts] for name, verdicts in judged.items()}
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo((as_text if output == "text" else as_document)(ITEMS, judged))
    first = next(iter(judged.values()))
    sys.exit(3 if any(each.outcome is Outcome.NOT_MET for each in first) else 0)


def judge(subject: Subject) -> Sequence[Verdict]:
    """Every item, in order."""
    return tuple(verdict(item, subject) for item in ITEMS)


def judge_here() -> Judged:
    """This project's responder and, where there is one, openssl's."""
    judged: Judged = {}
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder, contextlib.ExitStack() as stack:
        now = system_clock()
        made = make_hierarchy(Path(folder), now=now, random_bytes=system_random)
        for name, url in (
            ("this", stack.enter_context(this_responder(made))),
            ("openssl ocsp", stack.enter_context(openssl_responder(made, now=now))),
        ):
            if url is not None:
                judged[name] = judge(
                    Subject(
                        name=name,
                        url=url,
                        issuer=made.issuer,
                        good=made.good,
                        revoked=made.revoked,
                        unknown=made.unknown,
                        clock=system_clock,
                        random_bytes=system_random,
                    )
                )
    return judged


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise click.UsageError(f"{path}: expected a certificate in PEM") from error


def _shown(each: Verdict) -> dict[str, str]:
    return {**asdict(each), "outcome": each.outcome.value}


if __name__ == "__main__":
    main(prog_name="./dev conformance")
