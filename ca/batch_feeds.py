"""Importing a batch feed: a long list in chunks, which counts when it is whole and not before (D2, R78, R80).

    supplier                               CA
      head (signed)                    ->    open: 1-5, says which chunks are missing
      chunk n, in any order, repeated  ->    add_chunk: 1-6, kept aside
      import                           ->    import_feed: 1-6, one transaction makes the devices

The one rule: until the import nothing of a feed is a listed device, and the import is one transaction. The head signs
every line, so a chunk is judged when it comes, and what is wrong is named by its line. A feed is known by the digest of
what its head says; a chunk that comes again changes nothing, so a broken upload goes on where it ended.
A feed of the same batch name that was signed anew takes the place of one that is not imported.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ca.batches import (
    BatchRecords,
    check_models,
    check_origin,
    claims_digest,
    record_batch,
    same_batch,
    verified_list,
)
from ca.callers import Caller
from ca.errors import ConflictError, InvalidInputError, NotFoundError
from ca.races import repeated
from ca.records import Authority, Batch, FeedLine, OpenFeed
from ca.supplier_signers import check_signer, es_roots_of
from edge.process import Clock
from messages.batch import BatchDevice
from messages.batch_feed import (
    FAULTS_SHOWN,
    FEED_TYPE,
    HEAD_BYTES_MAX,
    ChunkError,
    FeedHead,
    LineFault,
    faults_text,
    read_chunk,
    read_head,
)
from messages.errors import MessageError
from standards.pki.fingerprints import certificate_sha256
from standards.pki.jws import VerifiedJws

OPEN_FEEDS_MAX = 4
FEEDS_KEPT = timedelta(days=7)


class FeedRecords(BatchRecords, Protocol):
    """Port to feeds on their way, and to what they become."""

    def batch_of_digest(self, supplier: str, claims_sha256: str) -> Batch | None:
        """The batch of a supplier that was imported with this content."""

    def feed(self, feed: str) -> OpenFeed | None:
        """The feed of this digest."""

    def feed_of_batch(self, supplier: str, batch: str) -> OpenFeed | None:
        """The feed that brings the batch of this name."""

    def open_feeds(self, supplier: str) -> int:
        """How many feeds of a supplier are on their way."""

    def add_feed(self, feed: OpenFeed) -> None:
        """Record a feed of which nothing came yet."""

    def chunks_there(self, feed: str) -> frozenset[int]:
        """Numbers of the chunks that came."""

    def take_chunk(self, feed: str, number: int) -> bool:
        """Note that a chunk came, in one statement; False when it was there."""

    def add_lines(self, feed: str, lines: Sequence[FeedLine]) -> None:
        """Keep the lines of a chunk."""

    def lines_with_devices(self, feed: str, device_ids: Collection[str]) -> Iterator[FeedLine]:
        """Lines of a feed that name one of these devices."""

    def lines_with_serials(self, feed: str, named: Collection[tuple[str, str]]) -> Iterator[FeedLine]:
        """Lines of a feed that name one of the (model, serial) pairs."""

    def lines_listed_already(self, feed: str, *, supplier: str, limit: int) -> list[FeedLine]:
        """Lines of a feed whose device, or whose serial with this supplier, some batch has; the first `limit`."""

    def models_in_feed(self, feed: str) -> frozenset[str]:
        """Names of the models of a feed."""

    def list_devices_of(self, feed: OpenFeed) -> int:
        """Make listed devices of all lines of a feed, in one statement; how many."""

    def forget_feed(self, feed: str) -> None:
        """Delete a feed with all that came of it."""

    def feeds_opened_before(self, moment: datetime) -> list[str]:
        """Digests of feeds that were opened before this moment and are not imported."""


class FeedStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[FeedRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[FeedRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedProgress:
    """How far a feed has come: `missing` are the numbers of chunks, the first is 0; `imported` when it is over."""

    feed: str
    batch: str
    devices: int
    chunks: int
    missing: tuple[int, ...]
    imported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFeeds:
    """The use cases around feeds; each is for the supplier that `caller` speaks for."""

    store: FeedStore
    clock: Clock

    @repeated
    def open(self, token: str, *, caller: Caller) -> FeedProgress:
        """Begin a feed by its signed head, or say how far it has come."""
        at = self.clock()
        supplier = caller.tenant
        # 1 signed for this purpose under the supplier's ES root, the only anchor
        with self.store.reading() as records:
            roots = es_roots_of(records, supplier)
        signed, head = _verified(token, roots=roots, at=at)
        digest = claims_digest(signed.claims)
        with self.store.writing() as records:
            # 2 by a signer that is not revoked
            check_signer(records, roots, signed.path)
            # 3 imported already, or on its way already
            imported = records.batch(supplier, head.batch)
            if imported is not None:
                return _progress(digest, head, there=None, imported=same_batch(imported, digest))
            if records.feed(digest) is not None:
                return _progress(digest, head, there=records.chunks_there(digest))
            # 4 it takes the place of another one of that name; few at a time
            before = records.feed_of_batch(supplier, head.batch)
            if before is not None:
                records.forget_feed(before.feed)
            if records.open_feeds(supplier) >= OPEN_FEEDS_MAX:
                raise _too_many(head)
            # 5 keep the head
            feed = OpenFeed(feed=digest, supplier=supplier, batch=head.batch, head=token, opened_at=at)
            records.add_feed(feed)
        return _progress(digest, head, there=frozenset())

    def progress(self, feed: str, *, caller: Caller) -> FeedProgress:
        """How far a feed has come that is not imported."""
        with self.store.reading() as records:
            opened, head = self._opened(records, feed, caller=caller)
            return _progress(opened.feed, head, there=records.chunks_there(opened.feed))

    @repeated
    def add_chunk(self, feed: str, number: int, data: bytes, *, caller: Caller) -> FeedProgress:
        """Keep one chunk aside; the same chunk again changes nothing. Raises InvalidInputError naming its lines."""
        # 1 a feed of this supplier, and a chunk that it has
        with self.store.reading() as records:
            opened, head = self._opened(records, feed, caller=caller)
        if not 0 <= number < len(head.chunks):
            raise _no_chunk(head, number)
        # 2 the lines that the head signs, each a device
        try:
            devices = read_chunk(data, number=number, head=head)
        except ChunkError as error:
            raise _wrong_lines(head, error.faults) from error
        with self.store.writing() as records:
            if records.feed(feed) is None:
                raise _no_feed(feed)
            # 3 once
            if records.take_chunk(feed, number):
                # 4 known models, 5 no device of another chunk or of another batch
                check_models(
                    records, {each.model for each in devices}, supplier=opened.supplier, batch=head.batch
                )
                numbered = dict(zip(head.lines_of(number), devices, strict=True))
                faults = [*_in_other_chunks(records, feed, numbered), *_in_batches(records, head, numbered)]
                if faults:
                    raise _wrong_lines(head, faults)
                # 6 keep them
                records.add_lines(feed, [_line(at, each) for at, each in numbered.items()])
            return _progress(feed, head, there=records.chunks_there(feed))

    @repeated
    def import_feed(self, feed: str, *, caller: Caller) -> Batch:
        """Make listed devices of a whole feed, all or none; the same feed again is the same batch."""
        at = self.clock()
        supplier = caller.tenant
        with self.store.writing() as records:
            # 1 a feed of this supplier, that is not imported already
            imported = records.batch_of_digest(supplier, feed)
            if imported is not None:
                return imported
            opened, _ = self._opened(records, feed, caller=caller)
            # 2 still signed by somebody who may
            roots = es_roots_of(records, supplier)
            signed, head = _verified(opened.head, roots=roots, at=at)
            check_signer(records, roots, signed.path)
            # 3 whole
            missing = _progress(feed, head, there=records.chunks_there(feed)).missing
            if missing:
                raise _not_whole(head, missing)
            # 4 a name, models and devices that nobody has taken meanwhile
            other = records.batch(supplier, head.batch)
            if other is not None:
                return same_batch(other, feed)
            check_models(records, records.models_in_feed(feed), supplier=supplier, batch=head.batch)
            taken = records.lines_listed_already(feed, supplier=supplier, limit=FAULTS_SHOWN + 1)
            if taken:
                raise _wrong_lines(
                    head, [LineFault(line=each.line, reason="is listed already") for each in taken]
                )
            # 5 batch, audit leaf, devices
            made = Batch(
                supplier=supplier,
                batch=head.batch,
                claims_sha256=feed,
                signer_sha256=certificate_sha256(signed.path[0]),
                devices=head.devices,
                imported_at=at,
            )
            record_batch(records, made, caller=caller)
            if records.list_devices_of(opened) != head.devices:
                raise LookupError(f"the feed {feed} has not as many lines as its head says")
            # 6 what was kept aside has done its service
            records.forget_feed(feed)
            return made

    @repeated
    def forget_old(self) -> int:
        """Delete feeds that were left unfinished; how many."""
        with self.store.writing() as records:
            old = records.feeds_opened_before(self.clock() - FEEDS_KEPT)
            for each in old:
                records.forget_feed(each)
        return len(old)

    def _opened(self, records: FeedRecords, feed: str, *, caller: Caller) -> tuple[OpenFeed, FeedHead]:
        """An open feed of the caller, with its head as it was verified when the feed was opened."""
        opened = records.feed(feed)
        if opened is None or opened.supplier != caller.tenant:
            raise _no_feed(feed)
        roots = es_roots_of(records, opened.supplier)
        _, head = _verified(opened.head, roots=roots, at=opened.opened_at)
        return opened, head


def _verified(token: str, *, roots: Sequence[Authority], at: datetime) -> tuple[VerifiedJws, FeedHead]:
    supplier = roots[0].supplier or ""
    signed = verified_list(token, roots=roots, at=at, typ=FEED_TYPE, bytes_max=HEAD_BYTES_MAX)
    try:
        head = read_head(signed.claims)
    except MessageError as error:
        raise InvalidInputError(
            "batch-malformed",
            subject=f"batch feed of {supplier}",
            detail=str(error),
            remedy="make the feed again with `pva batch sign-feed`; nothing was imported",
        ) from error
    check_origin(head, supplier=supplier, at=at)
    return signed, head


def _progress(
    feed: str, head: FeedHead, *, there: Collection[int] | None, imported: Batch | None = None
) -> FeedProgress:
    missing = () if there is None else tuple(n for n in range(len(head.chunks)) if n not in there)
    return FeedProgress(
        feed=feed,
        batch=head.batch,
        devices=head.devices,
        chunks=len(head.chunks),
        missing=missing,
        imported=imported is not None,
    )


def _line(at: int, device: BatchDevice) -> FeedLine:
    return FeedLine(line=at, device_id=device.device_id, model=device.model, serial=device.serial)


def _in_other_chunks(
    records: FeedRecords, feed: str, numbered: dict[int, BatchDevice]
) -> Iterator[LineFault]:
    by_device, by_serial = _places(numbered)
    for line in records.lines_with_devices(feed, list(by_device)):
        yield LineFault(line=by_device[line.device_id], reason=f"names the device of line {line.line} again")
    for line in records.lines_with_serials(feed, list(by_serial)):
        at = by_serial[line.model, line.serial]
        if numbered[at].device_id != line.device_id:  # else it was named above
            yield LineFault(line=at, reason=f"names the serial of line {line.line} again")


def _in_batches(
    records: FeedRecords, head: FeedHead, numbered: dict[int, BatchDevice]
) -> Iterator[LineFault]:
    by_device, by_serial = _places(numbered)
    for device in records.listed_already(list(by_device)):
        where = (
            f"the batch {device.batch!r}" if device.supplier == head.supplier else "another supplier's batch"
        )
        yield LineFault(line=by_device[device.device_id], reason=f"names a device of {where}")
    for device in records.serials_taken(head.supplier, list(by_serial)):
        at = by_serial[device.model, device.serial]
        if numbered[at].device_id != device.device_id:
            yield LineFault(line=at, reason=f"names a serial of the batch {device.batch!r}")


def _places(numbered: dict[int, BatchDevice]) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    return (
        {each.device_id: at for at, each in numbered.items()},
        {(each.model, each.serial): at for at, each in numbered.items()},
    )


def _wrong_lines(head: FeedHead, faults: Sequence[LineFault]) -> InvalidInputError:
    ordered = sorted(faults, key=lambda each: each.line)
    return InvalidInputError(
        "batch-lines",
        subject=f"batch {head.batch}",
        detail=faults_text(ordered),
        remedy="correct these lines of the list, sign it again and send it; nothing was imported",
    )


def _no_feed(feed: str) -> NotFoundError:
    return NotFoundError(
        "no-such-feed",
        subject=f"batch feed {feed[:64]}",
        detail="no feed of this digest is on its way; what is imported is not on its way any more",
        remedy="send the head of the feed first",
    )


def _no_chunk(head: FeedHead, number: int) -> NotFoundError:
    return NotFoundError(
        "no-such-chunk",
        subject=f"batch {head.batch}",
        detail=f"expected a chunk of 0 to {len(head.chunks) - 1}, got {number}",
        remedy="send each 1000 lines after the head as one chunk",
    )


def _not_whole(head: FeedHead, missing: Sequence[int]) -> ConflictError:
    return ConflictError(
        "feed-not-whole",
        subject=f"batch {head.batch}",
        detail=f"{len(missing)} of {len(head.chunks)} chunks are missing, the first is {missing[0]}",
        remedy="send them, then import the feed; nothing was imported",
    )


def _too_many(head: FeedHead) -> ConflictError:
    return ConflictError(
        "too-many-feeds",
        subject=f"batch {head.batch}",
        detail=f"{OPEN_FEEDS_MAX} feeds of this supplier are on their way",
        remedy="finish one of them first; one that is left alone is forgotten after 7 days",
    )
