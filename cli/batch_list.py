"""A batch list out of a file that a production line can write: CSV with a header, or JSON.

Rule: pure; a list is taken whole or refused whole, with the row at fault. What the signed list may hold, and that
no device stands in it twice, is `messages.batch`'s to say.

CSV: columns device_id, model, serial in any order. JSON: an array of objects with these three members.
"""

import csv
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from messages.batch import DEVICES_MAX, BatchList, read_claims
from messages.errors import MessageError
from standards.rats.fields import numeric_date

COLUMNS: Final = ("device_id", "model", "serial")
LIST_BYTES_MAX: Final = 1 << 25


def read_batch_list(text: str, *, batch: str, supplier: str, at: datetime) -> BatchList:
    """The batch list in `text`, issued `at` (whole seconds count).

    Raises:
        MessageError: it is neither form, or its rows are not such devices.
    """
    rows = _json_rows(text) if text.lstrip()[:1] == "[" else _csv_rows(text)
    claims = {"batch": batch, "supplier": supplier, "iat": numeric_date(at), "devices": rows}
    return read_claims(claims)


def _json_rows(text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(what="list", expected="a JSON array", got=f"no JSON ({error})") from None
    if not isinstance(rows, list):
        raise MessageError(what="list", expected="a JSON array", got="another value")
    return rows


def _csv_rows(text: str) -> list[Mapping[str, str]]:
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        if sorted(header) != sorted(COLUMNS):
            raise MessageError(
                what="first line",
                expected=f"the columns {','.join(COLUMNS)}, or a JSON array",
                got=",".join(header)[:80] or "nothing",
            )
        rows = [_csv_row(header, cells, reader.line_num) for cells in reader if cells]
    except csv.Error as error:
        raise MessageError(what=f"line {reader.line_num}", expected="CSV", got=str(error)) from None
    if len(rows) > DEVICES_MAX:
        raise MessageError(what="list", expected=f"at most {DEVICES_MAX} devices", got=str(len(rows)))
    return rows


def _csv_row(header: list[str], cells: list[str], line: int) -> Mapping[str, str]:
    if len(cells) != len(header):
        raise MessageError(what=f"line {line}", expected=f"{len(header)} cells", got=str(len(cells)))
    return dict(zip(header, (cell.strip() for cell in cells), strict=True))
