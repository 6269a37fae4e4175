"""A batch list out of a file that a production line can write: CSV with a header, or JSON.

Rule: pure; a list is taken whole or refused whole, with the row at fault. What the signed list may hold, and that
no device stands in it twice, is `messages.batch`'s to say; of CSV, faults name the line.

CSV: columns device_id, model, serial in any order. JSON: an array of objects with these three members.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from messages.batch import DEVICES_MAX, BatchList, read_claims
from messages.errors import MessageError
from standards.rats.fields import numeric_date

COLUMNS: Final = ("device_id", "model", "serial")
LIST_BYTES_MAX: Final = 1 << 25
_PLACE: Final = re.compile(r"(?:batch\.)?devices\.([0-9]+)")


def read_batch_list(text: str, *, batch: str, supplier: str, at: datetime) -> BatchList:
    """The batch list in `text`, issued `at` (whole seconds count).

    Raises:
        MessageError: it is neither form, or its rows are not such devices.
    """
    claims: dict[str, Any] = {"batch": batch, "supplier": supplier, "iat": numeric_date(at)}
    if text.lstrip()[:1] == "[":
        return read_claims({**claims, "devices": _json_rows(text)})
    rows, lines = _csv_rows(text)
    try:
        return read_claims({**claims, "devices": rows})
    except MessageError as error:
        raise _by_lines(error, lines) from None


def _by_lines(error: MessageError, lines: Sequence[int]) -> MessageError:
    """The same error, which names lines of the file where it named places in the list."""

    def line(place: re.Match[str]) -> str:
        return f"line {lines[int(place[1])]}"

    what, got = (_PLACE.sub(line, text) for text in (error.what, error.got))
    return MessageError(what=what, expected=error.expected, got=got)


def _json_rows(text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(what="list", expected="a JSON array", got=f"no JSON ({error})") from None
    if not isinstance(rows, list):
        raise MessageError(what="list", expected="a JSON array", got="another value")
    return rows


def _csv_rows(text: str) -> tuple[list[Mapping[str, str]], list[int]]:
    """The rows, and the line on which each ends."""
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        if sorted(header) != sorted(COLUMNS):
            raise MessageError(
                what="first line",
                expected=f"the columns {','.join(COLUMNS)}, or a JSON array",
                got=",".join(header)[:80] or "nothing",
            )
        read = [(_csv_row(header, cells, reader.line_num), reader.line_num) for cells in reader if cells]
    except csv.Error as error:
        raise MessageError(what=f"line {reader.line_num}", expected="CSV", got=str(error)) from None
    if len(read) > DEVICES_MAX:
        raise MessageError(what="list", expected=f"at most {DEVICES_MAX} devices", got=str(len(read)))
    return [row for row, _ in read], [line for _, line in read]


def _csv_row(header: list[str], cells: list[str], line: int) -> Mapping[str, str]:
    if len(cells) != len(header):
        raise MessageError(what=f"line {line}", expected=f"{len(header)} cells", got=str(len(cells)))
    return dict(zip(header, (cell.strip() for cell in cells), strict=True))
