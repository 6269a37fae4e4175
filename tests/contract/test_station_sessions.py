"""Sessions that a station opened, on real stores: one a device, apart from those that anybody can open."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from ca.errors import ConcurrentChangeError
from ca.lifecycle import SessionState
from ca.records import Session
from ca.store import MIGRATIONS
from messages.enrollment import EnrollmentChallenge
from messages.station import Part, StationMessage
from tests.contract.databases import new_database
from tests.fakes.ca import NOW, CaHouse, supplier
from tests.fakes.enrolling_device import EnrollingDevice

ACME = supplier("acme")
AT_ONCE = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest) -> Iterator[CaHouse]:
    """A CA with a product line, on a store of each kind."""
    made = CaHouse(database=new_database(request, request.param, MIGRATIONS))
    made.product_line()
    yield made
    made.close()


@pytest.fixture
def device(house: CaHouse) -> EnrollingDevice:
    made = EnrollingDevice(maker=house.maker)
    house.list_devices(made)
    return made


def session_of(device: EnrollingDevice, name: bytes, *, station: str | None = "acme") -> Session:
    return Session(
        session_id=name * 16,
        device_id=device.device_id,
        request=b"request",
        nonce=b"n" * 32,
        secret_sha256=b"d" * 32,
        state=SessionState.OPEN,
        opened_at=NOW,
        expires_at=NOW + timedelta(hours=48),
        station=station,
    )


def test_a_device_has_one_that_led_to_nothing(house: CaHouse, device: EnrollingDevice) -> None:
    used, waiting, own = (
        session_of(device, b"u"),
        session_of(device, b"w"),
        session_of(device, b"o", station=None),
    )
    with house.store.writing() as records:
        records.add_session(used)
        assert records.session(used.session_id) == used
        assert records.redeem_session(used.session_id, activation_sha256=b"a" * 32, at=NOW)
        records.add_session(waiting)
        records.add_session(own)
    with pytest.raises(ConcurrentChangeError), house.store.writing() as records:
        records.add_session(session_of(device, b"x"))
    with house.store.writing() as records:
        records.burn_session(waiting.session_id)
    with pytest.raises(ConcurrentChangeError), house.store.writing() as records:
        records.add_session(session_of(device, b"x"))
    with house.store.writing() as records:
        records.drop_surplus_sessions(device.device_id, keep=0, at=NOW)
    with house.store.reading() as records:
        there = [records.session(each.session_id) is not None for each in (used, waiting, own)]
    assert there == [True, True, False]
    with house.store.writing() as records:
        records.add_session(own)
        records.drop_station_session(device.device_id)
        records.add_session(replace(waiting, session_id=b"y" * 16))
        there = [records.session(each.session_id) is not None for each in (used, waiting, own)]
    assert there == [True, False, True]


def test_of_several_that_meet_one_is_left(house: CaHouse, device: EnrollingDevice) -> None:
    house.publish_manifest()
    request = StationMessage(device_id=device.device_id, part=Part.REQUEST, data=device.request().encode())
    barrier = threading.Barrier(AT_ONCE)

    def begin(_number: int) -> StationMessage:
        barrier.wait(30)
        [answer] = house.stations.exchange([request], caller=ACME)
        return answer

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(begin, range(AT_ONCE)))
    assert {each.part for each in answers} == {Part.CHALLENGE}
    parts = []
    for each in answers:
        activation = device.activation(EnrollmentChallenge.decode(each.data)).encode()
        message = StationMessage(device_id=device.device_id, part=Part.ACTIVATION, data=activation)
        parts += [answer.part for answer in house.stations.exchange([message], caller=ACME)]
    assert sorted(parts) == sorted([Part.RESULT, *[Part.REFUSED] * (AT_ONCE - 1)])
