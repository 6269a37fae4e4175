"""Batch feeds on real stores: chunks that come at once, imports that come twice, a command that is cut short."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ca.store import MIGRATIONS
from cli.batch_feed import is_feed, send_feed, write_feed
from cli.failures import CliError
from cli.files import Signer
from clients.ca import FeedProgress, ImportedBatch
from messages.batch import BatchList
from messages.batch_feed import CHUNK_LINES, LINE_BYTES_MAX
from tests.contract.databases import new_database
from tests.fakes.batch_feeds import MadeFeed, devices
from tests.fakes.ca import NOW, CaHouse, SupplierSigner, supplier

ACME = supplier("acme")
COUNT = 3 * CHUNK_LINES + 1


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest) -> Iterator[CaHouse]:
    """A CA with a product line, on a store of each kind."""
    made = CaHouse(database=new_database(request, request.param, MIGRATIONS))
    made.product_line()
    yield made
    made.close()


@pytest.fixture
def signer(house: CaHouse) -> SupplierSigner:
    return house.signer("batch-signing")


def all_at_once(*work: object) -> None:
    """Run each of `work` in a thread of its own; the first error is raised."""
    errors: list[Exception] = []

    def run(one: object) -> None:
        try:
            one()  # type: ignore[operator]  # a callable
        except Exception as error:  # noqa: BLE001  # raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


def listed(house: CaHouse) -> int:
    with house.store.reading() as records:
        return sum(1 for _ in records.listed_already([f"{number:064x}" for number in range(COUNT)]))


@pytest.mark.requirement("R78")
def test_chunks_and_imports_that_meet_make_one_batch(house: CaHouse, signer: SupplierSigner) -> None:
    feed = MadeFeed.of(devices(COUNT), signer=signer)
    opened = house.feeds.open(feed.token, caller=ACME)

    def send(number: int) -> None:
        house.feeds.add_chunk(opened.feed, number, feed.chunk(number), caller=ACME)

    all_at_once(*(lambda number=number: send(number) for number in [0, 1, 2, 3, 0, 1]))
    assert house.feeds.progress(opened.feed, caller=ACME).missing == ()
    assert listed(house) == 0
    all_at_once(*[lambda: house.feeds.import_feed(opened.feed, caller=ACME)] * 3)
    assert listed(house) == COUNT
    assert [kind for kind, _, _ in house.audit_trail()].count("batch-imported") == 1


@dataclass(kw_only=True)
class Desk:
    """The CA as the command sees it; it goes away once before each of the chunks `lost`."""

    house: CaHouse
    lost: set[int] = field(default_factory=set)
    taken: list[int] = field(default_factory=list)

    def open_feed(self, head: str) -> FeedProgress:
        return self._progress(self.house.feeds.open(head, caller=ACME))

    def add_chunk(self, feed: str, number: int, lines: bytes) -> FeedProgress:
        if number in self.lost:
            self.lost.discard(number)
            raise ConnectionError("cut")
        self.taken.append(number)
        return self._progress(self.house.feeds.add_chunk(feed, number, lines, caller=ACME))

    def import_feed(self, feed: str) -> ImportedBatch:
        made = self.house.feeds.import_feed(feed, caller=ACME)
        return ImportedBatch(batch=made.batch, supplier=made.supplier, devices=made.devices)

    @staticmethod
    def _progress(made: object) -> FeedProgress:
        return FeedProgress(**{name: getattr(made, name) for name in FeedProgress.__slots__})


@pytest.fixture
def file(tmp_path: Path, signer: SupplierSigner) -> Path:
    """A feed as `pva batch sign-feed` writes it."""
    path = tmp_path / "batch.feed"
    batch = BatchList(batch="batch-1", supplier="acme", issued_at=NOW, devices=tuple(devices(COUNT)))
    write_feed(path, batch, signer=Signer(key=signer.key, chain=(signer.certificate,)))
    return path


def test_a_command_that_was_cut_short_goes_on_where_it_ended(house: CaHouse, file: Path) -> None:
    assert is_feed(file)
    desk = Desk(house=house, lost={1, 2})
    for _ in range(2):
        with pytest.raises(ConnectionError):
            send_feed(file, desk=desk)
    assert listed(house) == 0
    assert send_feed(file, desk=desk).devices == COUNT
    assert desk.taken == [0, 1, 2, 3]
    assert send_feed(file, desk=desk).devices == COUNT
    assert desk.taken == [0, 1, 2, 3]
    assert listed(house) == COUNT


@pytest.mark.negative
def test_a_file_with_more_lines_than_its_head_signs_is_refused(house: CaHouse, file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines, *lines[1:] * 2]))
    with pytest.raises(Exception, match="expected 1 lines to line 3002, got 1000"):
        send_feed(file, desk=Desk(house=house))
    assert listed(house) == 0


@pytest.mark.negative
def test_a_file_with_a_chunk_too_many_is_refused(
    house: CaHouse, signer: SupplierSigner, tmp_path: Path
) -> None:
    path = tmp_path / "batch.feed"
    made = MadeFeed.of(devices(CHUNK_LINES), signer=signer)
    path.write_bytes(made.token.encode() + b"\n" + made.chunk(0) * 2)
    with pytest.raises(CliError, match="has more lines than its head signs"):
        send_feed(path, desk=Desk(house=house))
    assert listed(house) == 0


@pytest.mark.negative
def test_a_line_without_an_end_is_not_read_whole(house: CaHouse, file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"x" * (LINE_BYTES_MAX + 2))
    with pytest.raises(CliError, match="has a line of more than"):
        send_feed(file, desk=Desk(house=house))


def test_a_token_alone_is_no_feed(tmp_path: Path) -> None:
    token = tmp_path / "batch.jws"
    token.write_bytes(b"a.b.c" + os.linesep.encode())
    assert not is_feed(token)
