"""The batch feed: a long batch list that travels in chunks and counts only whole (D2, R78).

    line 1      the head, a signed token: batch, supplier, number of devices, digest of each chunk
    line 2 ...  one device a line: SHA-256 of what follows in base64url, one space, the device as JSON

Rule: the head signs every line, by two steps of digests. So a chunk is judged when it comes, and an entry that is not the
one that was signed is named by its line. Each CHUNK_LINES lines are a chunk, the last one may be shorter; a line's
number is the one that an editor shows. Nothing here knows what other chunks or other batches hold.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from messages.batch import DEVICES_MAX, NAME_MAX, BatchDevice, read_device
from messages.errors import MessageError, refusal
from standards.rats.fields import Fields, encode_base64url, numeric_date

FEED_TYPE: Final = "pva-batch-feed+jwt"
HEAD_BYTES_MAX: Final = 65_536
CHUNK_LINES: Final = 1_000
LINE_BYTES_MAX: Final = 640
CHUNK_BYTES_MAX: Final = CHUNK_LINES * LINE_BYTES_MAX
FAULTS_SHOWN: Final = 20
DIGEST_SIZE: Final = 32
_FIRST_DEVICE: Final = 2
"""The head is line 1."""
_LINE_LABEL: Final = b"pva/batch-line/1\x00"
_CHUNK_LABEL: Final = b"pva/batch-chunk/1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedHead:
    """What is signed: `chunks` are the digests of the chunks in their order."""

    batch: str
    supplier: str
    issued_at: datetime
    devices: int
    chunks: tuple[bytes, ...]

    def claims(self) -> dict[str, Any]:
        """JWT claims; `read_head` takes them back."""
        return {
            "batch": self.batch,
            "supplier": self.supplier,
            "iat": numeric_date(self.issued_at),
            "devices": self.devices,
            "chunks": [encode_base64url(each) for each in self.chunks],
        }

    def lines_of(self, number: int) -> range:
        """Numbers of the lines of a chunk (0 is the first)."""
        start = number * CHUNK_LINES
        return range(start + _FIRST_DEVICE, min(start + CHUNK_LINES, self.devices) + _FIRST_DEVICE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFault:
    """What is wrong with one line; `line` is the number that an editor shows."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class ChunkError(Exception):
    """A chunk is refused whole; `faults` name its lines in order, never empty."""

    def __init__(self, faults: Iterable[LineFault]) -> None:
        """Keep them."""
        self.faults = tuple(sorted(faults, key=lambda each: each.line))
        super().__init__(faults_text(self.faults))


def faults_text(faults: Sequence[LineFault]) -> str:
    """The first FAULTS_SHOWN of `faults`, and how many more there are."""
    shown = "; ".join(str(each) for each in faults[:FAULTS_SHOWN])
    more = len(faults) - FAULTS_SHOWN
    return shown if more <= 0 else f"{shown}; and {more} more"


def read_head(claims: object) -> FeedHead:
    """Read verified claims.

    Raises:
        MessageError: a claim is missing, unknown, or of another type or size.
    """
    fields = Fields(claims, what="batch feed", refusal=refusal)
    devices = fields.integer("devices", low=1, high=DEVICES_MAX)
    chunks = -(-devices // CHUNK_LINES)
    digests = fields.items("chunks", size_min=chunks, size_max=chunks)
    each = Fields(dict(enumerate(digests)), what="batch feed.chunks", refusal=refusal)
    head = FeedHead(
        batch=fields.text("batch", size_max=NAME_MAX),
        supplier=fields.text("supplier", size_max=NAME_MAX),
        issued_at=fields.time("iat"),
        devices=devices,
        chunks=tuple(
            each.base64url(number, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE) for number in range(chunks)
        ),
    )
    fields.close()
    return head


def feed_lines(devices: Iterable[BatchDevice]) -> Iterator[bytes]:
    """The lines of the devices, without line ends."""
    for device in devices:
        entry = {"device_id": device.device_id, "model": device.model, "serial": device.serial}
        content = json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode()
        yield encode_base64url(_line_digest(content)).encode() + b" " + content


def chunk_digests(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The digests of the chunks that `lines` make, for the head."""
    rest = iter(lines)
    while chunk := list(islice(rest, CHUNK_LINES)):
        yield _chunk_digest(_line_digest(line.partition(b" ")[2]) for line in chunk)


def read_chunk(data: bytes, *, number: int, head: FeedHead) -> tuple[BatchDevice, ...]:
    """The devices of the chunk `number` of a feed whose `head` was verified.

    NOT checked here: models, and whether other chunks or batches hold the same device. Raises ChunkError.
    """
    numbers = head.lines_of(number)
    # 1 as many lines as the head says, none of them longer than a line may be
    lines = data.removesuffix(b"\n").split(b"\n")
    if len(lines) != len(numbers):
        raise _whole(numbers, f"expected {len(numbers)} lines to line {numbers[-1]}, got {len(lines)}")
    _raise(
        LineFault(line=at, reason=f"is longer than {LINE_BYTES_MAX} bytes")
        for at, line in zip(numbers, lines, strict=True)
        if len(line) > LINE_BYTES_MAX
    )
    # 2 the digests are those that the head signs
    split = [line.partition(b" ") for line in lines]
    stated = [encoded for encoded, _, _ in split]
    contents = [content for _, _, content in split]
    own = [_line_digest(content) for content in contents]
    if _chunk_digest(own) != head.chunks[number]:
        if not _signed(stated, head.chunks[number]):
            raise _whole(numbers, f"lines {numbers[0]} to {numbers[-1]} have other digests than those signed")
        # 3 each entry is the one of its digest
        _raise(
            LineFault(line=at, reason="is not the entry that was signed")
            for at, said, made in zip(numbers, stated, own, strict=True)
            if said != encode_base64url(made).encode()
        )
    # 4 each entry is a device
    devices = _devices(contents, numbers)
    # 5 no device and no serial twice
    _refuse_twice(devices, numbers)
    return devices


def _devices(contents: Sequence[bytes], numbers: range) -> tuple[BatchDevice, ...]:
    devices, faults = [], []
    for at, content in zip(numbers, contents, strict=True):
        try:
            devices.append(read_device(json.loads(content), what="device"))
        except MessageError as error:
            faults.append(LineFault(line=at, reason=str(error)))
        except (ValueError, RecursionError):
            faults.append(LineFault(line=at, reason="is no JSON"))
    _raise(faults)
    return tuple(devices)


def _refuse_twice(devices: Sequence[BatchDevice], numbers: range) -> None:
    first: dict[object, int] = {}
    faults = []
    for at, device in zip(numbers, devices, strict=True):
        for key, named in ((device.device_id, "device"), ((device.model, device.serial), "serial")):
            before = first.setdefault(key, at)
            if before != at:
                faults.append(LineFault(line=at, reason=f"names the {named} of line {before} again"))
                break
    _raise(faults)


def _raise(faults: Iterable[LineFault]) -> None:
    found = tuple(faults)
    if found:
        raise ChunkError(found)


def _whole(numbers: range, reason: str) -> ChunkError:
    return ChunkError([LineFault(line=numbers[0], reason=reason)])


def _signed(stated: Sequence[bytes], digest: bytes) -> bool:
    fields = Fields(
        dict(enumerate(each.decode("latin-1") for each in stated)), what="digest", refusal=refusal
    )
    try:
        told = [
            fields.base64url(index, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE)
            for index in range(len(stated))
        ]
    except MessageError:
        return False
    return _chunk_digest(told) == digest


def _line_digest(content: bytes) -> bytes:
    return sha256(_LINE_LABEL + content).digest()


def _chunk_digest(lines: Iterable[bytes]) -> bytes:
    return sha256(_CHUNK_LABEL + b"".join(lines)).digest()
