"""IMA lists, good and bad, with what must come of each: written to `ima_lists/` by running this module.

    python -m tests.vectors.ima_lists

`index.json` holds for each good list the value of PCR 10 after each of its entries (SHA-256), the names as they are
shown and the violations; for each bad one the part that is refused. The PCR values are computed with hashlib alone.
"""

import json
from pathlib import Path
from typing import Any

from standards.ima.decode import decode_binary_list
from standards.ima.measured import read_measured, shown_name
from tests.unit.standards.ima.lists import (
    BOOT_AGGREGATE,
    ENTRIES,
    VIOLATION,
    Made,
    encoded,
    field,
    legacy,
    ng,
    pcr_after,
)

FOLDER = Path(__file__).parent / "ima_lists"
INDEX = FOLDER / "index.json"
_NAMES = (b"/a\n10 b", b"/a b", b"/\xff\xfe", "/\u202egpj.exe".encode(), b"/" + b"n" * 4_000, b"")
_METER = Made(data=ng(b"/usr/bin/meter"))


def good_lists() -> dict[str, tuple[Made, ...]]:
    """Lists that replay, by file name."""
    return {
        "every-template.bin": ENTRIES,
        "legacy-template.bin": (legacy(b"boot_aggregate"), legacy(b"n" * 255)),
        "hostile-names.bin": (BOOT_AGGREGATE, *(Made(data=ng(name)) for name in _NAMES)),
        "violation.bin": (BOOT_AGGREGATE, Made(data=ng(b"/var/log", bytes(20)), template_digest=VIOLATION)),
        "empty.bin": (),
    }


def bad_lists() -> dict[str, tuple[bytes, str]]:
    """Lists that are refused, each right in all respects but one, with the part that the refusal names."""
    good = encoded(ENTRIES)
    return {
        "cut-in-a-header.bin": (good + _METER.encoded[:20], "header"),
        "cut-in-an-entry.bin": (good + _METER.encoded[:-1], "template data"),
        "unknown-template.bin": (good + Made(data=_METER.data, template=b"ima-new").encoded, "template"),
        "template-name-of-129-bytes.bin": (
            good + Made(data=b"", template=b"n" * 129).encoded,
            "template name size",
        ),
        "template-digest-of-other-data.bin": (
            good + Made(data=_METER.data, template_digest=b"\x01" * 20).encoded,
            "template digest",
        ),
        "nul-in-a-name.bin": (good + Made(data=ng(b"/a\x00/b")).encoded, "name"),
        "byte-after-the-fields.bin": (good + Made(data=_METER.data + b"\x00").encoded, "template data"),
        "digest-of-another-size.bin": (good + Made(data=ng(b"/a", bytes(31))).encoded, "field d-ng"),
        "legacy-name-of-256-bytes.bin": (
            good + Made(template=b"ima", data=b"", listed=bytes(20) + field(b"n" * 256)).encoded,
            "name size",
        ),
    }


def index() -> dict[str, Any]:
    """Content of `index.json`."""
    return {
        "good": {name: _expected(entries) for name, entries in good_lists().items()},
        "bad": {name: {"refused_part": what} for name, (_, what) in bad_lists().items()},
    }


def write() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, entries in good_lists().items():
        (FOLDER / name).write_bytes(encoded(entries))
    for name, (data, _) in bad_lists().items():
        (FOLDER / name).write_bytes(data)
    INDEX.write_text(json.dumps(index(), indent=1) + "\n", encoding="utf-8")


def _expected(entries: tuple[Made, ...]) -> dict[str, Any]:
    decoded = decode_binary_list(encoded(entries)).entries(up_to=len(entries))
    return {
        "pcr_10": [pcr_after(entries[:count]).hex() for count in range(len(entries) + 1)],
        "names": [shown_name(read_measured(each).name or b"") for each in decoded],
        "violations": [number for number, each in enumerate(entries) if each.digest == VIOLATION],
    }


if __name__ == "__main__":
    write()
