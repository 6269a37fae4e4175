"""A station's folder as the supplier's shell sees it: what waits in it goes to the CA, what comes back goes into it.

Rule: a message is sent while it has no answer in the folder, so a run that was cut short goes on there. Each answer is
written whole as soon as it has come; sending again what the CA answered just before a break changes nothing there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cli.failures import CliError, refused
from cli.progress import watched
from edge.exchange_folder import ExchangeFolder, ExchangeFolderError
from messages.enrollment import ENROLLMENT_BYTES_MAX
from messages.errors import MessageError
from messages.station import (
    MESSAGES_MAX,
    PAGE_BYTES_MAX,
    REFUSAL_BYTES_MAX,
    Part,
    StationMessage,
    StationRefusal,
    file_name,
    read_name,
    waits_for_ca,
)

Parts = Mapping[str, frozenset[Part]]
"""Device id -> what the folder holds of it."""
_AROUND_BYTES: Final = 128
"""Of a message in JSON beside its base64: id and names."""


class StationDesk(Protocol):
    """The CA's side."""

    def exchange(self, page: Sequence[StationMessage]) -> tuple[StationMessage, ...]:
        """The answer to each message of a page, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What one run carried: how many messages were sent, and how many were answered in which way."""

    sent: int
    challenges: int
    results: int
    refused: int


def parts_in(folder: ExchangeFolder) -> Parts:
    """What the folder holds of each device. Raises CliError."""
    found: dict[str, set[Part]] = {}
    try:
        for name in folder.names():
            known = read_name(name)
            if known is not None:
                found.setdefault(known[0], set()).add(known[1])
    except ExchangeFolderError as error:
        raise _unusable(error) from error
    return {device_id: frozenset(parts) for device_id, parts in sorted(found.items())}


def take_up_refused(folder: ExchangeFolder) -> None:
    """Have every device that was refused begin again with its request. Raises CliError."""
    for device_id, parts in parts_in(folder).items():
        if Part.REFUSED not in parts or parts & {Part.RESULT, Part.INSTALLED}:
            continue
        try:
            # the refusal last: cut short before, the device is refused still
            for part in (Part.ACTIVATION, Part.CHALLENGE, Part.REFUSED):
                folder.remove(file_name(device_id, part))
        except ExchangeFolderError as error:
            raise _unusable(error) from error


def exchange(folder: ExchangeFolder, *, desk: StationDesk) -> Exchanged:
    """Send what waits, page by page, and write what comes back. Raises CliError; errors of the client pass through."""
    waiting = {device_id: waits_for_ca(parts) for device_id, parts in parts_in(folder).items()}
    named = [(device_id, part) for device_id, part in waiting.items() if part is not None]
    counted = dict.fromkeys(Part, 0)
    sent = 0
    for page in _pages(watched(_read(folder, named), total=len(named), named="messages")):
        answers = desk.exchange(page)
        sent += len(page)
        for answer in answers:
            _write(folder, answer)
            counted[answer.part] += 1
    return Exchanged(
        sent=sent,
        challenges=counted[Part.CHALLENGE],
        results=counted[Part.RESULT],
        refused=counted[Part.REFUSED],
    )


def refusals_in(folder: ExchangeFolder, parts: Parts) -> Iterator[tuple[str, StationRefusal]]:
    """Device id and refusal of each device that stands refused; one that cannot be read is one, too."""
    for device_id, those in parts.items():
        if Part.REFUSED in those and not those & {Part.RESULT, Part.INSTALLED}:
            try:
                data = folder.read(file_name(device_id, Part.REFUSED), bytes_max=REFUSAL_BYTES_MAX)
                yield device_id, StationRefusal.decode(data or b"")
            except (ExchangeFolderError, MessageError) as error:
                yield device_id, _unreadable(device_id, str(error))


def _read(folder: ExchangeFolder, named: Sequence[tuple[str, Part]]) -> Iterator[StationMessage]:
    for device_id, part in named:
        try:
            data = folder.read(file_name(device_id, part), bytes_max=ENROLLMENT_BYTES_MAX)
        except ExchangeFolderError as error:
            # one file that is no message keeps no other device back
            _write(folder, _refused_here(device_id, error.reason))
            continue
        if data:
            yield StationMessage(device_id=device_id, part=part, data=data)
        elif data is not None:
            _write(folder, _refused_here(device_id, "is empty"))


def _pages(messages: Iterator[StationMessage]) -> Iterator[list[StationMessage]]:
    page: list[StationMessage] = []
    size = 0
    for each in messages:
        grown = 4 * -(-len(each.data) // 3) + _AROUND_BYTES
        if page and (len(page) == MESSAGES_MAX or size + grown > PAGE_BYTES_MAX - _AROUND_BYTES):
            yield page
            page, size = [], 0
        page.append(each)
        size += grown
    if page:
        yield page


def _write(folder: ExchangeFolder, answer: StationMessage) -> None:
    try:
        folder.write(file_name(answer.device_id, answer.part), answer.data)
    except ExchangeFolderError as error:
        raise _unusable(error) from error


def _refused_here(device_id: str, reason: str) -> StationMessage:
    return StationMessage(
        device_id=device_id, part=Part.REFUSED, data=_unreadable(device_id, f"its file {reason}").encode()
    )


def _unreadable(device_id: str, reason: str) -> StationRefusal:
    return StationRefusal(
        code="station-file",
        subject=device_id,
        reason=reason,
        remedy="remove the device's files from the folder and let it begin again: m2me enroll --station",
    )


def _unusable(error: ExchangeFolderError) -> CliError:
    return refused(
        "station-folder",
        subject=str(error.path),
        reason=error.reason,
        remedy="name the folder that the devices of the station write to, and that you may write to",
    )
