"""`pva manifest learn`: descriptions for `pva manifest sign`, drafted and never finished by a machine.

Rule: a draft lacks what a person decides (id, supplier, models, svn, version), so that `sign` refuses it until somebody has
read and completed it.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from cli.answers import Answer
from cli.evidence_draft import Draft, DraftError, draft, read_source
from cli.failures import refused
from cli.files import file_in, out_option, read_file, write_file
from cli.invocation import Command, Invocation, pass_invocation
from cli.manifest_description import event_of
from messages.evidence import EVIDENCE_BYTES_MAX
from standards.boot_log.algorithms import BANKS
from standards.boot_log.events import PCR_INDEX_MAX


@click.command("learn", cls=Command)
@click.argument("paths", nargs=-1, required=True, type=file_in, metavar="EVIDENCE...")
@click.option(
    "--keep",
    type=click.IntRange(0, PCR_INDEX_MAX),
    multiple=True,
    metavar="PCR",
    help="Keep a register that is otherwise left out as one machine's.",
)
@out_option("Write the draft (TOML) to this file.", required=True)
@pass_invocation
def learn(invocation: Invocation, *, paths: Sequence[Path], keep: Sequence[int], out: Path) -> None:
    """Draft a manifest's description from the evidence of good devices; nothing is signed or sent.

    EVIDENCE is what a device sends to the PVA. With that of several devices, what differs between them is left out.
    """
    sources = []
    for path in paths:
        try:
            sources.append(read_source(read_file(path, bytes_max=EVIDENCE_BYTES_MAX)))
        except DraftError as error:
            raise _refused(str(path), str(error)) from None
    try:
        made = draft(sources, keep=keep)
    except DraftError as error:
        raise _refused(", ".join(map(str, paths)), str(error)) from None
    write_file(out, "".join(f"{line}\n" for line in _toml(made)).encode())
    members = {
        "file": str(out),
        "pcrs": sorted({pcr for values in made.registers.values() for pcr in values}),
        "left_out": [{"pcr": pcr, "why": why} for pcr, why in made.left_out.items()],
        "components": [
            {"pcr": pcr, "component": component, "name": name, "digest": digest}
            for pcr, component, name, digest in made.components
        ],
        "tre_image": made.tre_image or "none",
        "decide": [{"what": each} for each in made.decisions],
    }
    step = f"read {out}, decide what is listed, fill in its head, then: pva manifest sign {out}"
    invocation.answer(Answer(outcome="drafted", members=members, next_step=step))


COMMANDS: Final = (learn,)


def _refused(subject: str, reason: str) -> Exception:
    remedy = "give the evidence of a good device as it was sent, or leave --keep out; nothing was written"
    return refused("evidence", subject=subject, reason=reason, remedy=remedy)


def _toml(made: Draft) -> Iterator[str]:
    """A description without its head; texts from logs are quoted as JSON quotes them, which TOML reads alike."""
    yield "# Drafted from evidence. Nobody has approved it. Decide:"
    yield from (f"# - {each}" for each in made.decisions)
    for pcr, why in made.left_out.items():
        yield f"# PCR {pcr} is left out: {why}"
    yield from (f"# {name} = " for name in ("id", "supplier", "models", "svn", "version"))
    if made.tre_image is not None:
        yield f"tre_image = {_quoted(made.tre_image)}"
    for bank, values in made.registers.items():
        yield ""
        yield f"[registers.{BANKS[bank].name}]"
        yield from (f'{pcr} = "{value.hex()}"' for pcr, value in values.items())
    banks = list(made.registers)
    for pcr in sorted({pcr for values in made.registers.values() for pcr in values}):
        for position, event in enumerate(made.log.extended_into(pcr)):
            reference = event_of(event, position, banks=banks)
            digests = ", ".join(
                f'{BANKS[bank].name} = "{value.hex()}"' for bank, value in reference.digest.items()
            )
            yield ""
            yield "[[events]]"
            yield f"pcr = {pcr}"
            yield f"position = {position}"
            yield f"digest = {{ {digests} }}"
            yield f"name = {_quoted(reference.name)}"
            yield f"scope = {_quoted(reference.scope)}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
