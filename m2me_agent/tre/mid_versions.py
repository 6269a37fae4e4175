"""Versions of a MID in this TRE: what comes is above what is here, and above what was here and is gone (R46, R47, R59).

The rule: a version only grows, for as long as anything here remembers the MID. A MID is replaced by its own owner, under an
order that says so by the MID's name; whatever else brings a MID of an id that is here changes nothing.
"""

from collections.abc import Iterable
from dataclasses import replace

from m2me_agent.tre.errors import MidError
from m2me_agent.tre.installation_outcomes import (
    CONTENT_REFUSED,
    REPLAYED,
    ROLLBACK,
    UPDATE_REFUSED,
    InstallationError,
)
from m2me_agent.tre.lifecycle import MidEvent, after
from m2me_agent.tre.tombstones import Tombstone
from m2me_agent.tre.vault_record import Installed, OpenCompartment, transition
from messages.mid_package import PackageHeader
from standards.tpm2.structures import ClockInfo


def check_version(
    header: PackageHeader,
    *,
    updates: str | None,
    rows: Iterable[tuple[str, Installed]],
    tombstones: Iterable[Tombstone],
) -> None:
    """Raises InstallationError unless the package brings a new MID, or the next version of the one that its order `updates`.

    `rows` are those of every owner, by its id.
    """
    if updates is not None and header.mid_id != updates:
        raise InstallationError(UPDATE_REFUSED, f"its order updates the MID {updates}, and it brings another")
    known = None
    for sho, row in rows:
        is_own = sho == header.sho
        _check_not_installed(header, row, updates=updates, is_own=is_own)
        known = row if row.mid_id == header.mid_id else known
    for tombstone in tombstones:
        if tombstone.order_digest == header.order_digest:
            raise InstallationError(REPLAYED, "the MID of this order was erased here")
        if tombstone.mid_id == header.mid_id:
            _check_above(header, tombstone.version, what="was erased here")
    if updates is not None:
        _check_next(header, known)


def with_content(
    before: OpenCompartment, row: Installed, content: bytes, *, clock: ClockInfo
) -> OpenCompartment:
    """The compartment with a new MID, or with the next version of one in its place, which stays in the state that it is in.

    Raises MidError: the state of the one that is there does not allow it.
    """
    known = next((each for each in before.visible.journal if each.mid_id == row.mid_id), None)
    if known is None:
        event, visible = MidEvent.SEALED, replace(before.visible, journal=(*before.visible.journal, row))
    else:
        event = MidEvent.UPDATE
        row = replace(row, state=after(known.state, event))
        visible = before.visible.with_row(row)
    made = transition(row.mid_id, event=event, state=row.state, clock=clock)
    return replace(before, visible=visible.recorded(made), contents={**before.contents, row.mid_id: content})


def _check_above(header: PackageHeader, version: int, *, what: str) -> None:
    if header.version <= version:
        raise InstallationError(
            ROLLBACK, f"expected a version above {version}, which {what}, got {header.version}"
        )


def _check_not_installed(header: PackageHeader, row: Installed, *, updates: str | None, is_own: bool) -> None:
    """That a row is not of this package or order, nor of a MID that the package may not replace."""
    is_same_order = updates is None and row.order_digest == header.order_digest
    if (is_own and row.package_id == header.package_id) or is_same_order:
        raise InstallationError(REPLAYED, "this order or package was installed before")
    if row.mid_id == header.mid_id and (not is_own or updates is None):
        raise InstallationError(CONTENT_REFUSED, "a MID of this id is here already")


def _check_next(header: PackageHeader, known: Installed | None) -> None:
    """That the MID that is updated is here, below this version, and in a state that allows it."""
    if known is None:
        raise InstallationError(UPDATE_REFUSED, "the MID that it updates is not here")
    _check_above(header, known.version, what="is here")
    try:
        after(known.state, MidEvent.UPDATE)
    except MidError as error:
        raise InstallationError(UPDATE_REFUSED, error.reason) from error
