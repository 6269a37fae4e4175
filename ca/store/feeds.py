"""Batch feeds on their way: what came of them so far, and the one step that makes devices of it."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa

from ca.lifecycle import DeviceState
from ca.records import FeedLine, OpenFeed
from ca.store import tables
from ca.store.devices import chunks_of
from ca.store.rows import Rows

_LINE = ("line", "device_id", "model", "serial")


class FeedRows(Rows):
    """Feeds that are not imported yet."""

    def feed(self, feed: str) -> OpenFeed | None:
        """The feed of this digest."""
        return self._feed(tables.batch_feeds.c.feed == feed)

    def feed_of_batch(self, supplier: str, batch: str) -> OpenFeed | None:
        """The feed that brings the batch of this name."""
        table = tables.batch_feeds
        return self._feed(table.c.supplier == supplier, table.c.batch == batch)

    def open_feeds(self, supplier: str) -> int:
        """How many feeds of a supplier are on their way."""
        table = tables.batch_feeds
        query = sa.select(sa.func.count()).select_from(table).where(table.c.supplier == supplier)
        return int(self._connection.execute(query).scalar_one())

    def add_feed(self, feed: OpenFeed) -> None:
        """Record a feed of which nothing came yet."""
        values = {column.name: getattr(feed, column.name) for column in tables.batch_feeds.c}
        self._connection.execute(sa.insert(tables.batch_feeds).values(**values))

    def chunks_there(self, feed: str) -> frozenset[int]:
        """Numbers of the chunks that came."""
        table = tables.batch_feed_chunks
        query = sa.select(table.c.number).where(table.c.feed == feed)
        return frozenset(self._connection.execute(query).scalars())

    def take_chunk(self, feed: str, number: int) -> bool:
        """Note that a chunk came, in one statement; False when it was there."""
        return self._insert_once(tables.batch_feed_chunks, {"feed": feed, "number": number})

    def add_lines(self, feed: str, lines: Sequence[FeedLine]) -> None:
        """Keep the lines of a chunk."""
        rows = [{"feed": feed, **{name: getattr(line, name) for name in _LINE}} for line in lines]
        self._connection.execute(sa.insert(tables.batch_feed_lines), rows)

    def lines_with_devices(self, feed: str, device_ids: Collection[str]) -> Iterator[FeedLine]:
        """Lines of a feed that name one of these devices."""
        table = tables.batch_feed_lines
        for chunk in chunks_of(device_ids):
            yield from self._lines(table.c.feed == feed, table.c.device_id.in_(chunk))

    def lines_with_serials(self, feed: str, named: Collection[tuple[str, str]]) -> Iterator[FeedLine]:
        """Lines of a feed that name one of the (model, serial) pairs."""
        table = tables.batch_feed_lines
        for model in sorted({model for model, _ in named}):
            for chunk in chunks_of(sorted(serial for of_model, serial in named if of_model == model)):
                yield from self._lines(
                    table.c.feed == feed, table.c.model == model, table.c.serial.in_(chunk)
                )

    def lines_listed_already(self, feed: str, *, supplier: str, limit: int) -> list[FeedLine]:
        """Lines of a feed whose device, or whose serial with this supplier, some batch has; the first `limit`."""
        lines, devices = tables.batch_feed_lines, tables.devices
        by_device = sa.exists().where(devices.c.device_id == lines.c.device_id)
        by_serial = sa.exists().where(
            devices.c.supplier == supplier,
            devices.c.model == lines.c.model,
            devices.c.serial == lines.c.serial,
        )
        query = (
            sa.select(*(lines.c[name] for name in _LINE))
            .where(lines.c.feed == feed, sa.or_(by_device, by_serial))
            .order_by(lines.c.line)
            .limit(limit)
        )
        return [FeedLine(**row) for row in self._connection.execute(query).mappings()]

    def models_in_feed(self, feed: str) -> frozenset[str]:
        """Names of the models of a feed."""
        table = tables.batch_feed_lines
        query = sa.select(table.c.model).where(table.c.feed == feed).distinct()
        return frozenset(self._connection.execute(query).scalars())

    def list_devices_of(self, feed: OpenFeed) -> int:
        """Make listed devices of all lines of a feed, in one statement; how many."""
        lines, devices = tables.batch_feed_lines, tables.devices
        made = sa.select(
            lines.c.device_id,
            sa.literal(feed.supplier),
            lines.c.model,
            sa.literal(feed.batch),
            lines.c.serial,
            sa.literal(str(DeviceState.LISTED)),
        ).where(lines.c.feed == feed.feed)
        names = ["device_id", "supplier", "model", "batch", "serial", "state"]
        self._connection.execute(sa.insert(devices).from_select(names, made))
        query = sa.select(sa.func.count()).select_from(lines).where(lines.c.feed == feed.feed)
        return int(self._connection.execute(query).scalar_one())

    def forget_feed(self, feed: str) -> None:
        """Delete a feed with all that came of it."""
        for table in (tables.batch_feed_lines, tables.batch_feed_chunks, tables.batch_feeds):
            self._connection.execute(sa.delete(table).where(table.c.feed == feed))

    def feeds_opened_before(self, moment: datetime) -> list[str]:
        """Digests of feeds that were opened before this moment and are not imported."""
        table = tables.batch_feeds
        query = sa.select(table.c.feed).where(table.c.opened_at < moment)
        return list(self._connection.execute(query).scalars())

    def _feed(self, *conditions: sa.ColumnElement[bool]) -> OpenFeed | None:
        query = sa.select(tables.batch_feeds).where(*conditions)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else OpenFeed(**row)

    def _lines(self, *conditions: sa.ColumnElement[bool]) -> Iterator[FeedLine]:
        table = tables.batch_feed_lines
        query = sa.select(*(table.c[name] for name in _LINE)).where(*conditions)
        yield from (FeedLine(**row) for row in self._connection.execute(query).mappings())
