"""Issuing a line anew, on each kind of store: who gets one, who is left out, and what a death between commits leaves."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle

import pytest
import sqlalchemy as sa
from cryptography import x509

from ca.bulk_issuance import BulkIssuance, Page, Reissue
from ca.callers import Caller
from ca.errors import RefusedError
from ca.issuance import SERIAL_BYTES
from ca.key_algorithms import CA_KEYS, KeyAlgorithm, algorithm_of
from ca.lifecycle import Reason, Status
from ca.names import crl_name
from ca.profiles import Kind
from ca.records import Authority, Intent, Issued
from ca.store import MIGRATIONS, Records, tables
from edge.process import RandomBytes
from standards.pki.extensions import ExpectedSystemState
from standards.pki.fingerprints import CA_ID_HEX_DIGITS, spki_sha256
from tests.contract.databases import new_database
from tests.fakes.ca import ADMIN, CaHouse, supplier
from tests.fakes.enrolling_device import EnrollingDevice

ACME = supplier("acme")
PVA = Caller(name="pva-1", role="pva", tenant="")
LINE = Reissue(supplier="acme", model="gw-1", manifest_id="gw/2")
DEVICES = 3

pytestmark = pytest.mark.requirement("R82")


@dataclass(kw_only=True)
class World:
    """A line of enrolled devices whose second manifest has come."""

    house: CaHouse
    devices: list[EnrollingDevice]

    @property
    def device_ids(self) -> list[str]:
        return sorted(each.device_id for each in self.devices)

    def reissue(self, *, after: str = "", limit: int = 1000, caller: Caller = ACME) -> Page:
        return self.house.bulk.reissue(LINE, after=after, limit=limit, caller=caller)

    def credentials(self, device_id: str) -> list[Issued]:
        with self.house.store.reading() as records:
            return records.certificates_of_device(device_id)

    def revoke(self, device_id: str, reason: Reason) -> None:
        with self.house.store.writing() as records:
            issued = records.certificates_of_device(device_id)[-1]
            records.change_status(issued, status=Status.REVOKED, reason=reason, at=self.house.clock())


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    house = CaHouse(database=new_database(request, request.param, MIGRATIONS))
    house.product_line()
    house.publish_manifest()
    devices = [EnrollingDevice(maker=house.maker) for _ in range(DEVICES)]
    house.list_devices(*devices)
    for each in devices:
        enrol(house, each)
    house.clock.advance(minutes=1)
    house.publish_manifest(manifest_id="gw/2", svn=2)
    yield World(house=house, devices=devices)
    house.close()


def enrol(house: CaHouse, device: EnrollingDevice) -> None:
    challenge = house.enrollment.begin(device.request().encode())
    house.enrollment.activate(device.activation(challenge).encode())


def test_every_device_gets_one_over_its_key_and_the_old_one_stays_good(world: World) -> None:
    page = world.reissue()
    assert (sorted(page.issued), page.left_out, page.next) == (world.device_ids, {}, None)
    for device_id in world.device_ids:
        old, new = world.credentials(device_id)
        assert (old.status, new.status, new.version) == (Status.GOOD, Status.GOOD, 1)
        assert (new.ca_id, new.serial) == (page.issued[device_id].ca_id, page.issued[device_id].serial)
        before, after = (x509.load_der_x509_certificate(each.der) for each in (old, new))
        assert after.public_key() == before.public_key()
        assert new.ak_name == old.ak_name
        state = ExpectedSystemState.of(after)
        assert state is not None
        assert (state.manifest_id, state.svn) == ("gw/2", 2)
        with world.house.store.reading() as records:
            issuer = records.authority(new.ca_id)
        assert issuer is not None
        after.verify_directly_issued_by(issuer.x509())


def test_each_is_in_the_feed_and_in_the_ledger(world: World) -> None:
    with world.house.store.reading() as records:
        before = records.status_counted()
    page = world.reissue(caller=PVA)
    changes, complete = world.house.changes(after=before, limit=100)
    assert complete
    assert {(each.ca_id, each.serial) for each in changes} == {
        (each.ca_id, each.serial) for each in page.issued.values()
    }
    leaves = world.house.audit_trail()[-DEVICES:]
    assert {(kind, subject, record["by"]) for kind, subject, record in leaves} == {
        ("certificate-issued", each, "pva-1") for each in world.device_ids
    }


def test_a_line_is_walked_by_pages_and_a_page_again_gives_nothing_twice(world: World) -> None:
    first = world.reissue(limit=2)
    assert (sorted(first.issued), first.next) == (world.device_ids[:2], world.device_ids[1])
    again = world.reissue(limit=2)
    assert (again.issued, again.left_out) == ({}, {"issued-already": 2})
    rest = world.reissue(after=world.device_ids[1], limit=2)
    assert (sorted(rest.issued), rest.next) == (world.device_ids[2:], None)


def test_two_that_ask_at_once_give_each_device_one(world: World) -> None:
    pages: list[object] = []

    def ask() -> None:
        try:
            pages.append(world.reissue())
        except Exception as error:  # noqa: BLE001  # looked at below
            pages.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(isinstance(each, Page) for each in pages), pages
    assert [len(world.credentials(each)) for each in world.device_ids] == [2] * DEVICES


@pytest.mark.negative
@pytest.mark.parametrize(
    ("reason", "named"),
    [
        (Reason.CERTIFICATE_HOLD, "on-hold"),
        (Reason.KEY_COMPROMISE, "ak-compromised"),
        (Reason.PRIVILEGE_WITHDRAWN, "no-good-credential"),
    ],
)
def test_a_device_whose_credential_is_not_good_is_left_out(world: World, reason: Reason, named: str) -> None:
    out = world.device_ids[0]
    world.revoke(out, reason)
    page = world.reissue()
    assert (sorted(page.issued), page.left_out) == (world.device_ids[1:], {named: 1})
    assert len(world.credentials(out)) == 1


@contextmanager
def between(world: World, what: object) -> Iterator[BulkIssuance]:
    """A use case in which `what` happens after the intents are committed and before anything is signed."""
    house = world.house
    commits = 0

    class Store:
        @contextmanager
        def writing(self) -> Iterator[Records]:
            nonlocal commits
            with house.store.writing() as records:
                yield records
            commits += 1
            if commits == 1:
                what()  # type: ignore[operator]  # a callable

    yield BulkIssuance(store=Store(), signing=house.signing, clock=house.clock)


@pytest.mark.negative
def test_a_hold_between_the_two_commits_keeps_the_device_out(world: World) -> None:
    out = world.device_ids[1]
    with between(world, lambda: world.revoke(out, Reason.CERTIFICATE_HOLD)) as bulk:
        page = bulk.reissue(LINE, caller=ACME)
    assert (len(page.issued), page.left_out) == (DEVICES - 1, {"on-hold": 1})
    assert len(world.credentials(out)) == 1


class DiedError(Exception):
    """The process was killed."""


def died() -> None:
    raise DiedError


def test_a_death_between_the_two_commits_leaves_numbers_under_which_nothing_is_good(world: World) -> None:
    with between(world, died) as bulk, pytest.raises(DiedError):
        bulk.reissue(LINE, caller=ACME)
    with world.house.store.reading() as records:
        table = tables.certificates
        left = records._connection.execute(  # noqa: SLF001, what the store holds
            sa.select(table.c.ca_id, table.c.serial).where(table.c.der.is_(None))
        ).all()
        assert len(left) == DEVICES
        assert [records.certificate(row.ca_id, int(row.serial, 16)) for row in left] == [None] * DEVICES
    assert [len(world.credentials(each)) for each in world.device_ids] == [1] * DEVICES
    assert len(world.reissue().issued) == DEVICES


@pytest.mark.negative
@pytest.mark.parametrize(
    ("asked", "caller", "reason"),
    [
        (LINE, supplier("other"), "another-supplier"),
        (LINE, Caller(name="sho-1", role="sho", tenant=""), "another-supplier"),
        (replace(LINE, model="gw-9"), ADMIN, "no-such-model"),
        (replace(LINE, manifest_id="gw/1"), ADMIN, "manifest-not-current"),
        (replace(LINE, manifest_id="gw/3"), PVA, "manifest-not-current"),
    ],
)
def test_what_is_not_this_callers_or_not_current_is_refused(
    world: World, asked: Reissue, caller: Caller, reason: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        world.house.bulk.reissue(asked, caller=caller)
    assert caught.value.reason == reason
    assert [len(world.credentials(each)) for each in world.device_ids] == [1] * DEVICES


@pytest.mark.negative
def test_a_manifest_that_is_over_and_a_ca_that_is_retired_issue_nothing(world: World) -> None:
    world.house.clock.advance(days=400)
    with pytest.raises(RefusedError) as caught:
        world.reissue()
    assert caught.value.reason == "manifest-not-valid"
    world.house.clock.advance(days=-400)
    with world.house.store.writing() as records:
        model = records.model("acme", "gw-1")
        assert model is not None
        records.retire_authority(model.ca_id)
    with pytest.raises(RefusedError) as caught:
        world.reissue()
    assert caught.value.reason == "no-issuing-ca"


def issuing_ca(world: World) -> Authority:
    with world.house.store.reading() as records:
        model = records.model("acme", "gw-1")
        assert model is not None
        found = records.authority(model.ca_id)
    assert found is not None
    return found


@pytest.mark.check("P12")
def test_each_belongs_to_the_list_that_it_names_and_is_in_it_once_revoked(world: World) -> None:
    lists = world.house.lists
    divided = lists.divide(issuing_ca(world).ca_id, count=2, caller=ADMIN)
    world.house.signing = replace(world.house.signing, random_bytes=in_turn(world.house.signing.random_bytes))
    world.reissue()
    new = [world.credentials(each)[-1] for each in world.device_ids]
    assert sorted(each.crl_partition for each in new) == [0, 1, 1]
    for each in new:
        assert each.crl_partition == each.serial % 2
        point = x509.load_der_x509_certificate(each.der).extensions.get_extension_for_class(
            x509.CRLDistributionPoints
        )
        [named] = [name.value for one in point.value for name in one.full_name or ()]
        assert named == world.house.signing.places(divided.ca_id, partition=each.crl_partition).crl_url
    revoked = next(each for each in new if each.crl_partition == 1)
    world.house.revocation.revoke(revoked.ca_id, revoked.serial, reason="superseded", caller=ACME)
    shown = [x509.load_der_x509_crl(lists.published(crl_name(divided.ca_id, each)).der) for each in (0, 1)]
    found = [each.get_revoked_certificate_by_serial_number(revoked.serial) for each in shown]
    assert [each is not None for each in found] == [False, True]


def in_turn(random_bytes: RandomBytes) -> RandomBytes:
    """Random bytes whose serial numbers are odd, odd, even, and so on: the last bit of 20 octets is cut off."""
    ends = cycle((0b11, 0b11, 0b01))

    def drawn(size: int) -> bytes:
        found = bytearray(random_bytes(size))
        if size == SERIAL_BYTES:
            found[0], found[-1] = 0x55, next(ends)
        return bytes(found)

    return drawn


@pytest.mark.requirement("R103")
@pytest.mark.parametrize("algorithm", sorted(CA_KEYS))
def test_the_next_key_of_the_ca_signs_the_line_whatever_its_algorithm(
    world: World, algorithm: KeyAlgorithm
) -> None:
    world.house.rollover.roll_issuing_ca(issuing_ca(world).ca_id, algorithm=algorithm, caller=ADMIN)
    following = issuing_ca(world)
    assert algorithm_of(following.x509().public_key()) is algorithm
    assert len(world.reissue().issued) == DEVICES
    for device_id in world.device_ids:
        new = world.credentials(device_id)[-1]
        assert new.ca_id == following.ca_id
        x509.load_der_x509_certificate(new.der).verify_directly_issued_by(following.x509())


@pytest.mark.negative
@pytest.mark.requirement("R75")
@pytest.mark.parametrize("known", ["as a CA", "as certified for one"])
def test_a_key_that_a_ca_has_gets_no_credential(world: World, known: str) -> None:
    out = world.device_ids[0]
    spki = spki_sha256(x509.load_der_x509_certificate(world.credentials(out)[0].der).public_key())
    issuer = issuing_ca(world)
    with world.house.store.writing() as records:
        if known == "as a CA":
            records.add_authority(replace(issuer, ca_id=spki[:CA_ID_HEX_DIGITS], name="another"))
        else:
            records.record_intent(
                Intent(
                    ca_id=issuer.ca_id,
                    serial=1,
                    kind=Kind.ISSUING_CA,
                    subject="another",
                    spki_sha256=spki,
                    issued_at=world.house.clock(),
                )
            )
    page = world.reissue()
    assert (sorted(page.issued), page.left_out) == (world.device_ids[1:], {"key-of-another-power": 1})
