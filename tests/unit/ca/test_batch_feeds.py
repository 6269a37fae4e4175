"""Importing batch feeds: in chunks, resumable, and all or nothing at the end."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ca.batch_feeds import FEEDS_KEPT, OPEN_FEEDS_MAX, FeedProgress
from ca.errors import RefusedError
from messages.batch import BatchDevice
from messages.batch_feed import CHUNK_LINES, FEED_TYPE
from standards.pki.jws import sign_jws
from tests.fakes.batch_feeds import MadeFeed, devices
from tests.fakes.ca import ADMIN, CaHouse, SupplierSigner, batch_of, supplier

ACME = supplier("acme")
COUNT = CHUNK_LINES + 5

pytestmark = [pytest.mark.requirement("R78"), pytest.mark.requirement("R80")]


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.product_line("acme")
    made.product_line("other", models=("ap-9",))
    return made


@pytest.fixture(scope="module")
def signer(founded: CaHouse) -> SupplierSigner:
    return founded.signer("batch-signing")


@pytest.fixture
def house(founded: CaHouse, signer: SupplierSigner) -> CaHouse:  # noqa: ARG001, the signer is certified first
    return founded.copy()


@pytest.fixture(scope="module")
def made_feed(signer: SupplierSigner) -> MadeFeed:
    return MadeFeed.of(devices(COUNT), signer=signer)


@pytest.fixture
def feed(made_feed: MadeFeed) -> MadeFeed:
    return replace(made_feed, lines=list(made_feed.lines))


def sent(house: CaHouse, feed: MadeFeed) -> FeedProgress:
    opened = house.feeds.open(feed.token, caller=ACME)
    for number in opened.missing:
        opened = house.feeds.add_chunk(opened.feed, number, feed.chunk(number), caller=ACME)
    return opened


def listed(house: CaHouse, feed: MadeFeed) -> int:
    with house.store.reading() as records:
        return sum(1 for _ in records.listed_already([f"{n:064x}" for n in range(feed.head.devices)]))


def refused(caught: pytest.ExceptionInfo[RefusedError]) -> str:
    return caught.value.reason


def test_a_whole_feed_becomes_a_batch_at_once(house: CaHouse, feed: MadeFeed) -> None:
    opened = sent(house, feed)
    assert (opened.missing, listed(house, feed)) == ((), 0)
    made = house.feeds.import_feed(opened.feed, caller=ACME)
    assert (made.batch, made.devices, listed(house, feed)) == ("batch-1", COUNT, COUNT)
    kind, subject, record = house.audit_trail()[-1]
    assert (kind, subject, record["devices"]) == ("batch-imported", "batch-1", COUNT)
    assert record["claims_sha256"] == opened.feed


def test_an_upload_that_was_cut_short_goes_on_where_it_ended(house: CaHouse, feed: MadeFeed) -> None:
    opened = house.feeds.open(feed.token, caller=ACME)
    assert opened.missing == (0, 1)
    house.feeds.add_chunk(opened.feed, 1, feed.chunk(1), caller=ACME)
    again = house.feeds.open(feed.token, caller=ACME)
    assert (again.feed, again.missing) == (opened.feed, (0,))
    assert house.feeds.progress(opened.feed, caller=ACME) == again
    repeated = house.feeds.add_chunk(opened.feed, 1, feed.chunk(1), caller=ACME)
    assert repeated == again
    house.feeds.add_chunk(opened.feed, 0, feed.chunk(0), caller=ACME)
    assert house.feeds.import_feed(opened.feed, caller=ACME).devices == COUNT


def test_the_same_feed_again_is_the_same_batch(house: CaHouse, feed: MadeFeed) -> None:
    opened = sent(house, feed)
    made = house.feeds.import_feed(opened.feed, caller=ACME)
    assert house.feeds.import_feed(opened.feed, caller=ACME) == made
    again = house.feeds.open(feed.token, caller=ACME)
    assert (again.imported, again.missing) == (True, ())


def test_a_feed_signed_anew_takes_the_place_of_the_one_before(
    house: CaHouse, feed: MadeFeed, signer: SupplierSigner
) -> None:
    before = sent(house, feed)
    corrected = MadeFeed.of(devices(3), signer=signer)
    after = sent(house, corrected)
    with pytest.raises(RefusedError) as caught:
        house.feeds.import_feed(before.feed, caller=ACME)
    assert refused(caught) == "no-such-feed"
    assert house.feeds.import_feed(after.feed, caller=ACME).devices == 3


@pytest.mark.negative
def test_a_feed_that_is_not_whole_is_not_imported(house: CaHouse, feed: MadeFeed) -> None:
    opened = house.feeds.open(feed.token, caller=ACME)
    house.feeds.add_chunk(opened.feed, 0, feed.chunk(0), caller=ACME)
    with pytest.raises(RefusedError, match="1 of 2 chunks are missing, the first is 1") as caught:
        house.feeds.import_feed(opened.feed, caller=ACME)
    assert (refused(caught), listed(house, feed)) == ("feed-not-whole", 0)


@pytest.mark.negative
def test_a_forged_line_is_named_and_its_chunk_is_still_missing(house: CaHouse, feed: MadeFeed) -> None:
    opened = house.feeds.open(feed.token, caller=ACME)
    feed.lines[7] = feed.lines[7].replace(b"gw-1", b"gw-2")
    with pytest.raises(RefusedError, match=r"^line 9: is not the entry that was signed$") as caught:
        house.feeds.add_chunk(opened.feed, 0, feed.chunk(0), caller=ACME)
    assert refused(caught) == "batch-lines"
    assert house.feeds.progress(opened.feed, caller=ACME).missing == (0, 1)


@pytest.mark.negative
def test_a_device_or_serial_of_another_chunk_is_named_by_both_lines(
    house: CaHouse, signer: SupplierSigner
) -> None:
    many = devices(COUNT)
    many[CHUNK_LINES] = replace(many[CHUNK_LINES], device_id=many[3].device_id)
    many[CHUNK_LINES + 1] = replace(many[CHUNK_LINES + 1], serial=many[4].serial)
    feed = MadeFeed.of(many, signer=signer)
    opened = house.feeds.open(feed.token, caller=ACME)
    house.feeds.add_chunk(opened.feed, 0, feed.chunk(0), caller=ACME)
    with pytest.raises(RefusedError) as caught:
        house.feeds.add_chunk(opened.feed, 1, feed.chunk(1), caller=ACME)
    assert caught.value.detail == (
        "line 1002: names the device of line 5 again; line 1003: names the serial of line 6 again"
    )


@pytest.mark.negative
def test_a_device_that_a_batch_lists_is_named_by_its_line(house: CaHouse, signer: SupplierSigner) -> None:
    known = devices(1)[0]
    house.batches.import_batch(
        signer.sign_batch(batch_of("acme", known.device_id, batch="before")), caller=ACME
    )
    other = BatchDevice(device_id="e" * 64, model="gw-1", serial="before/0")
    feed = MadeFeed.of([*devices(3), other], signer=signer)
    opened = house.feeds.open(feed.token, caller=ACME)
    with pytest.raises(RefusedError) as caught:
        house.feeds.add_chunk(opened.feed, 0, feed.chunk(0), caller=ACME)
    assert caught.value.detail == (
        "line 2: names a device of the batch 'before'; line 5: names a serial of the batch 'before'"
    )


@pytest.mark.negative
def test_a_device_that_was_listed_while_the_feed_was_on_its_way_keeps_it_out(
    house: CaHouse, feed: MadeFeed, signer: SupplierSigner
) -> None:
    opened = sent(house, feed)
    house.batches.import_batch(
        signer.sign_batch(batch_of("acme", f"{5:064x}", batch="meanwhile")), caller=ACME
    )
    with pytest.raises(RefusedError, match=r"^line 7: is listed already$"):
        house.feeds.import_feed(opened.feed, caller=ACME)
    assert listed(house, feed) == 1


@pytest.mark.negative
def test_a_model_that_nobody_certifies_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    feed = MadeFeed.of(devices(2, model="unheard-of"), signer=signer)
    opened = house.feeds.open(feed.token, caller=ACME)
    with pytest.raises(RefusedError) as caught:
        house.feeds.add_chunk(opened.feed, 0, feed.chunk(0), caller=ACME)
    assert refused(caught) == "model-unknown"


@pytest.mark.negative
def test_a_head_signed_by_another_supplier_is_refused(house: CaHouse) -> None:
    foreign = MadeFeed.of(devices(2), signer=house.signer("batch-signing", "other"))
    with pytest.raises(RefusedError) as caught:
        house.feeds.open(foreign.token, caller=ACME)
    assert refused(caught) == "batch-signature"


@pytest.mark.negative
def test_a_head_signed_for_another_purpose_is_refused(house: CaHouse) -> None:
    wrong = MadeFeed.of(devices(2), signer=house.signer("manifest-signing"))
    with pytest.raises(RefusedError) as caught:
        house.feeds.open(wrong.token, caller=ACME)
    assert refused(caught) == "batch-signature"


@pytest.mark.negative
def test_a_batch_token_is_no_head(house: CaHouse, signer: SupplierSigner) -> None:
    with pytest.raises(RefusedError) as caught:
        house.feeds.open(signer.sign_batch(batch_of("acme", "11" * 32)), caller=ACME)
    assert refused(caught) == "batch-signature"


@pytest.mark.negative
def test_a_head_of_another_supplier_or_of_the_future_or_malformed_is_refused(
    house: CaHouse, feed: MadeFeed, signer: SupplierSigner
) -> None:
    for head, reason in (
        (replace(feed.head, supplier="other"), "batch-of-another-supplier"),
        (replace(feed.head, issued_at=feed.head.issued_at + timedelta(hours=1)), "batch-of-the-future"),
        (replace(feed.head, chunks=feed.head.chunks[:1]), "batch-malformed"),
    ):
        token = sign_jws(head.claims(), key=signer.key, chain=[signer.certificate], typ=FEED_TYPE)
        with pytest.raises(RefusedError) as caught:
            house.feeds.open(token, caller=ACME)
        assert refused(caught) == reason


@pytest.mark.negative
def test_a_signer_that_was_revoked_meanwhile_imports_nothing(house: CaHouse, feed: MadeFeed) -> None:
    opened = sent(house, feed)
    signer = house.es_root()
    with house.store.reading() as records:
        issued = records.feed(opened.feed)
    assert issued is not None
    revoke_batch_signer(house, issuer=signer.ca_id)
    with pytest.raises(RefusedError) as caught:
        house.feeds.import_feed(opened.feed, caller=ACME)
    assert (refused(caught), listed(house, feed)) == ("signer-not-valid", 0)


def revoke_batch_signer(house: CaHouse, *, issuer: str) -> None:
    serials = [
        int(record["serial"], 16)
        for kind, _, record in house.audit_trail()
        if kind == "certificate-issued" and record["certificate_kind"] == "batch-signing"
    ]
    for serial in serials:
        house.revocation.revoke(issuer, serial, reason="keyCompromise", caller=ADMIN)


@pytest.mark.negative
def test_another_supplier_sees_nothing_of_a_feed(house: CaHouse, feed: MadeFeed) -> None:
    opened = sent(house, feed)
    other = supplier("other")
    for attempt in (
        lambda: house.feeds.progress(opened.feed, caller=other),
        lambda: house.feeds.add_chunk(opened.feed, 0, feed.chunk(0), caller=other),
        lambda: house.feeds.import_feed(opened.feed, caller=other),
    ):
        with pytest.raises(RefusedError) as caught:
            attempt()
        assert refused(caught) == "no-such-feed"


@pytest.mark.negative
def test_a_chunk_that_the_feed_has_not_is_refused(house: CaHouse, feed: MadeFeed) -> None:
    opened = house.feeds.open(feed.token, caller=ACME)
    with pytest.raises(RefusedError) as caught:
        house.feeds.add_chunk(opened.feed, 2, feed.chunk(1), caller=ACME)
    assert refused(caught) == "no-such-chunk"


@pytest.mark.negative
def test_few_feeds_are_on_their_way_and_those_left_alone_are_forgotten(
    house: CaHouse, signer: SupplierSigner
) -> None:
    feeds = [
        MadeFeed.of(devices(1, first=number), signer=signer, batch=f"b{number}")
        for number in range(OPEN_FEEDS_MAX + 1)
    ]
    for each in feeds[:-1]:
        sent(house, each)
    with pytest.raises(RefusedError) as caught:
        house.feeds.open(feeds[-1].token, caller=ACME)
    assert refused(caught) == "too-many-feeds"
    house.clock.advance(seconds=FEEDS_KEPT.total_seconds() + 1)
    assert house.feeds.forget_old() == OPEN_FEEDS_MAX
    assert house.feeds.open(feeds[-1].token, caller=ACME).missing == (0,)


@pytest.mark.negative
def test_another_list_of_an_imported_name_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    house.batches.import_batch(signer.sign_batch(batch_of("acme", "11" * 32)), caller=ACME)
    with pytest.raises(RefusedError) as caught:
        house.feeds.open(MadeFeed.of(devices(1), signer=signer).token, caller=ACME)
    assert refused(caught) == "batch-exists-already"
