"""`pva manifest learn` and `build`: descriptions for `pva manifest sign`, drafted and never finished by a machine.

Rule: a draft lacks what a person decides (id, supplier, models, svn, version), so that `sign` refuses it until somebody has
read and completed it.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from cli.answers import Answer
from cli.evidence_draft import Draft, DraftError, draft, read_source
from cli.failures import refused
from cli.files import file_in, out_option, read_file, write_file
from cli.invocation import Command, Invocation, pass_invocation
from cli.manifest_description import event_of
from cli.release_draft import Release, draft_release
from messages.evidence import EVIDENCE_BYTES_MAX
from standards.boot_log.algorithms import BANKS, SHA1
from standards.boot_log.decode import LOG_BYTES_MAX
from standards.boot_log.errors import BootLogError
from standards.boot_log.events import PCR_INDEX_MAX
from standards.boot_log.grub_prediction import GrubChange

IMAGE_BYTES_MAX: Final = 1 << 29
BANK_NAMES: Final = tuple(bank.name for bank in BANKS.values() if bank.id not in {SHA1, 0x0012})


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
    _answer(invocation, made, out=out)


@click.command("build", cls=Command)
@click.option(
    "--image",
    "images",
    type=file_in,
    multiple=True,
    help="An EFI image that runs, in the order in which they run: shim, boot loader, kernel. Signed, as deployed.",
)
@click.option("--unified", is_flag=True, help="The last image is a unified kernel image (systemd-stub).")
@click.option("--inner-kernel", is_flag=True, help="Firmware measures the kernel inside of it as well.")
@click.option("--kernel", type=file_in, help="A kernel that GRUB reads; its digests are listed.")
@click.option("--initrd", type=file_in, help="An initrd that GRUB reads; its digest is listed.")
@click.option("--command-line", help="The kernel's command line as GRUB gives it; its digest is listed.")
@click.option(
    "--grub-boot",
    type=file_in,
    metavar="LOG",
    help="Boot log of a good boot by GRUB of the release before: PCR 8 and 9 are predicted from it and what is new.",
)
@click.option(
    "--grub-text",
    "grub_texts",
    type=(str, str),
    multiple=True,
    metavar="OLD NEW",
    help="A text in GRUB's commands and names that is another one now: a version, a parameter, the TRE's digest.",
)
@click.option(
    "--grub-file",
    "grub_files",
    type=(str, file_in),
    multiple=True,
    metavar="PATH FILE",
    help="What a path that GRUB reads has in it now: kernel, initrd, grub.cfg.",
)
@click.option(
    "--bank", "banks", type=click.Choice(BANK_NAMES), multiple=True, default=("sha256",), show_default=True
)
@out_option("Write the draft (TOML) to this file.", required=True)
@pass_invocation
def build(invocation: Invocation, /, *, banks: Sequence[str], out: Path, **files: Any) -> None:
    """Draft a manifest's description from a release's files, without a device; nothing is signed or sent.

    The draft has the registers that the files determine: PCR 4 of --image, PCR 11 to 13 of a unified one, and with the log of
    a good boot PCR 8 and 9 of GRUB. What cannot be predicted is said.
    """
    if not files["images"]:
        raise click.UsageError("expected at least one --image")
    if files["inner_kernel"] and not files["unified"]:
        raise click.UsageError("--inner-kernel is of a unified kernel image: give --unified, too")
    if (files["grub_texts"] or files["grub_files"]) and files["grub_boot"] is None:
        raise click.UsageError("--grub-text and --grub-file change a boot: give its log as --grub-boot, too")
    release = Release(
        images=tuple(_named(path) for path in files["images"]),
        unified=files["unified"],
        inner_kernel=files["inner_kernel"],
        kernel=None if files["kernel"] is None else _named(files["kernel"]),
        initrd=None if files["initrd"] is None else _named(files["initrd"]),
        command_line=files["command_line"],
        grub_boot=None if files["grub_boot"] is None else _log(files["grub_boot"]),
        grub_change=GrubChange(
            texts=tuple(files["grub_texts"]),
            files={path: _named(file)[1] for path, file in files["grub_files"]},
        ),
    )
    try:
        made = draft_release(release, bank_names=list(dict.fromkeys(banks)))
    except BootLogError as error:
        names = ", ".join(name for name, _ in release.images)
        remedy = "give images, log and files as they are deployed; nothing was written"
        raise refused("release", subject=names, reason=str(error), remedy=remedy) from None
    _answer(invocation, made, out=out)


COMMANDS: Final = (learn, build)


def _named(path: Path) -> tuple[str, bytes]:
    return path.name, read_file(path, bytes_max=IMAGE_BYTES_MAX)


def _log(path: Path) -> bytes:
    return read_file(path, bytes_max=LOG_BYTES_MAX)


def _answer(invocation: Invocation, made: Draft, *, out: Path) -> None:
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


def _refused(subject: str, reason: str) -> Exception:
    remedy = "give the evidence of a good device as it was sent, or leave --keep out; nothing was written"
    return refused("evidence", subject=subject, reason=reason, remedy=remedy)


def _toml(made: Draft) -> Iterator[str]:
    """A description without its head; texts from logs are quoted as JSON quotes them, which TOML reads alike."""
    yield "# A draft. Nobody has approved it. Decide:"
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
