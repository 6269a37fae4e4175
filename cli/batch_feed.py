"""A batch feed as a file: written for a list, and sent in chunks with a look at how far it is.

Rule: the file is never read whole; what has arrived is asked from the CA, so a run that was cut short goes on there.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final, Protocol

from cli.failures import CliError, refused
from cli.files import Signer
from cli.progress import watched
from clients.ca import FeedProgress, ImportedBatch
from messages.batch import BatchList
from messages.batch_feed import (
    CHUNK_LINES,
    FEED_TYPE,
    HEAD_BYTES_MAX,
    LINE_BYTES_MAX,
    FeedHead,
    chunk_digests,
    feed_lines,
)
from standards.pki.jws import sign_jws

_MARK: Final = b"\n"


class FeedDesk(Protocol):
    """The CA's side."""

    def open_feed(self, head: str) -> FeedProgress:
        """Begin a feed, or hear how far it has come."""

    def add_chunk(self, feed: str, number: int, lines: bytes) -> FeedProgress:
        """Hand in one chunk."""

    def import_feed(self, feed: str) -> ImportedBatch:
        """Have a whole feed imported."""


def write_feed(path: Path, listed: BatchList, *, signer: Signer) -> None:
    """Write the signed feed of a list to a new file. Raises PkiError for the signer, CliError for the file."""
    head = FeedHead(
        batch=listed.batch,
        supplier=listed.supplier,
        issued_at=listed.issued_at,
        devices=len(listed.devices),
        chunks=tuple(chunk_digests(feed_lines(listed.devices))),
    )
    token = sign_jws(head.claims(), key=signer.key, chain=signer.chain, typ=FEED_TYPE)
    try:
        with path.open("xb") as file:
            file.write(token.encode("ascii") + _MARK)
            file.writelines(line + _MARK for line in feed_lines(listed.devices))
    except OSError as error:
        raise _unusable(path, f"cannot be written: {error.strerror}") from None


def is_feed(path: Path) -> bool:
    """Whether a file has lines behind its head; a token alone is one line. Raises CliError."""
    try:
        with path.open("rb") as file:
            head = file.readline(HEAD_BYTES_MAX)
            return head.endswith(_MARK) and bool(file.read(1))
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None


def send_feed(path: Path, *, desk: FeedDesk) -> ImportedBatch:
    """Hand a feed to the CA: what it has not, then the import. Raises CliError for the file."""
    with path.open("rb") as file:
        try:
            head = file.readline(HEAD_BYTES_MAX).decode("ascii").strip()
        except UnicodeDecodeError:
            raise _unusable(path, "its first line is no signed token") from None
        began = desk.open_feed(head)
        chunks = enumerate(_chunks(file, path=path))
        for number, chunk in watched(chunks, total=began.chunks, named="chunks"):
            if number >= began.chunks:
                raise _unusable(path, "has more lines than its head signs")
            if number in began.missing:
                desk.add_chunk(began.feed, number, chunk)
    return desk.import_feed(began.feed)


def _chunks(file: IO[bytes], *, path: Path) -> Iterator[bytes]:
    lines = iter(lambda: file.readline(LINE_BYTES_MAX + 2), b"")
    for chunk in iter(lambda: list(islice(lines, CHUNK_LINES)), []):
        if any(len(line) > LINE_BYTES_MAX + 1 for line in chunk):
            raise _unusable(path, f"has a line of more than {LINE_BYTES_MAX} bytes")
        yield b"".join(chunk)


def _unusable(path: Path, reason: str) -> CliError:
    return refused(
        "file", subject=str(path), reason=reason, remedy="name the file that pva batch sign-feed wrote"
    )
