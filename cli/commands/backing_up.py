"""`pva backup`: the stores of a machine's services, copied while they run and put back where nothing is."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from cli.answers import Answer
from cli.backups import Copy, back_up, read_inventory, restore, store_of, write_inventory
from cli.failures import refused
from cli.files import file_in
from cli.invocation import Invocation, Section, pass_invocation
from cli.services_file import ServiceEntry, read_services_file

_folder = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
_services = click.option(
    "--services", type=file_in, required=True, help="File that names the services, as for `pva serve`."
)


@click.group(cls=Section)
def backup() -> None:
    """Copies of stores; keys are copied apart."""


@backup.command("create")
@_folder
@_services
@pass_invocation
def create(invocation: Invocation, *, folder: Path, services: Path) -> None:
    """Copy the store of every service into a new folder; the services go on meanwhile."""
    entries = read_services_file(services).services
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise refused(
            "folder",
            subject=str(folder),
            reason=f"cannot be made: {error.strerror}",
            remedy="name a folder that does not exist, in one that does",
        ) from None
    copies = [back_up(name, entry, folder=folder) for name, entry in _stores(entries)]
    write_inventory(copies, folder=folder, at=invocation.clock())
    invocation.answer(
        Answer(
            outcome="copied",
            members={"stores": _rows(copies)},
            next_step="copy the folder to another machine, and the keys, apart from it, to a third place",
        )
    )


@backup.command("restore")
@_folder
@_services
@pass_invocation
def put_back(invocation: Invocation, *, folder: Path, services: Path) -> None:
    """Put the copies of a folder back where the services' settings say; where something is, nothing is done."""
    entries = read_services_file(services).services
    copies = read_inventory(folder)
    missing = [each.service for each in copies if each.service not in entries]
    if missing:
        raise refused(
            "service-missing",
            subject=", ".join(missing),
            reason=f"{services} names no such service",
            remedy="name the services as they were named when the backup was taken",
        )
    for each in copies:
        restore(each, entries[each.service], folder=folder)
    invocation.answer(
        Answer(
            outcome="restored",
            members={"stores": _rows(copies)},
            next_step="read docs/OPERATIONS.md, 'After a restore', before you start the services",
        )
    )


def _stores(entries: Mapping[str, ServiceEntry]) -> Iterator[tuple[str, ServiceEntry]]:
    """Each store once: nodes of one role may share theirs."""
    seen: set[str] = set()
    for name, entry in entries.items():
        url = str(store_of(name, entry))
        if url not in seen:
            seen.add(url)
            yield name, entry


def _rows(copies: list[Copy]) -> list[dict[str, str]]:
    return [
        {"service": each.service, "kind": each.kind, "file": each.file, "sha256": each.sha256}
        for each in copies
    ]
