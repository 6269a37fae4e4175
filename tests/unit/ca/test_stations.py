"""Enrolment that a supplier's station carries: the same proofs, and sessions that are apart from those anybody can open."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from ca.callers import Caller
from ca.enrollment import IDLE_SESSIONS_MAX
from ca.errors import EnrollmentRefusedError
from ca.lifecycle import DeviceState, Reason, Status
from messages.enrollment import ActivationRequest, EnrollmentChallenge, EnrollmentResult
from messages.station import Part, StationMessage, StationRefusal
from tests.fakes.attesting_device import p256
from tests.fakes.ca import ADMIN, CaHouse, supplier
from tests.fakes.enrolling_device import EnrollingDevice

ACME = supplier("acme")
OTHER = supplier("other")


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.product_line()
    made.publish_manifest()
    return made


@pytest.fixture(scope="module")
def devices(founded: CaHouse) -> list[EnrollingDevice]:
    made = [EnrollingDevice(maker=founded.maker) for _ in range(3)]
    founded.list_devices(*made)
    return made


@pytest.fixture
def device(devices: list[EnrollingDevice]) -> EnrollingDevice:
    return devices[0]


@pytest.fixture
def house(founded: CaHouse, devices: list[EnrollingDevice]) -> CaHouse:  # noqa: ARG001, the devices are listed first
    return founded.copy()


def request_of(device: EnrollingDevice) -> StationMessage:
    return StationMessage(device_id=device.device_id, part=Part.REQUEST, data=device.request().encode())


def activation_of(device: EnrollingDevice, activation: ActivationRequest) -> StationMessage:
    return StationMessage(device_id=device.device_id, part=Part.ACTIVATION, data=activation.encode())


def carry(house: CaHouse, message: StationMessage, *, caller: Caller = ACME) -> StationMessage:
    [answer] = house.stations.exchange([message], caller=caller)
    assert answer.device_id == message.device_id
    return answer


def challenged(house: CaHouse, device: EnrollingDevice) -> EnrollmentChallenge:
    answer = carry(house, request_of(device))
    assert answer.part is Part.CHALLENGE, StationRefusal.decode(answer.data)
    return EnrollmentChallenge.decode(answer.data)


def refusal(house: CaHouse, message: StationMessage, *, caller: Caller = ACME) -> StationRefusal:
    answer = carry(house, message, caller=caller)
    assert answer.part is Part.REFUSED
    told = StationRefusal.decode(answer.data)
    assert told.subject
    assert told.reason
    assert told.remedy
    return told


def trail(house: CaHouse, device: EnrollingDevice) -> list[tuple[str, str]]:
    """Kind, and whose principal, of the leaves about a device."""
    return [
        (kind, str(record.get("by")))
        for kind, about, record in house.audit_trail()
        if about == device.device_id
    ]


def state_of(house: CaHouse, device: EnrollingDevice) -> DeviceState:
    with house.store.reading() as records:
        found = records.device(device.device_id)
    assert found is not None
    return found.state


@pytest.mark.requirement("R25")
@pytest.mark.requirement("R80")
def test_a_device_gets_its_credential_a_day_later(house: CaHouse, device: EnrollingDevice) -> None:
    activation = activation_of(device, device.activation(challenged(house, device)))
    house.clock.advance(hours=47)
    answer = carry(house, activation)
    assert answer.part is Part.RESULT
    pfc = x509.load_der_x509_certificate(EnrollmentResult.decode(answer.data).pfc_chain[0])
    assert pfc.public_key() == device.attesting.ak.public_key()
    assert state_of(house, device) is DeviceState.ENROLLED
    assert [kind for kind, _ in trail(house, device)] == ["certificate-issued"]


@pytest.mark.requirement("R78")
def test_a_page_holds_both_messages_of_several_devices(
    house: CaHouse, devices: list[EnrollingDevice]
) -> None:
    first, second, third = devices
    activation = activation_of(first, first.activation(challenged(house, first)))
    page = [activation, request_of(second), request_of(third)]
    answers = house.stations.exchange(page, caller=ACME)
    assert [each.part for each in answers] == [Part.RESULT, Part.CHALLENGE, Part.CHALLENGE]
    assert [each.device_id for each in answers] == [each.device_id for each in devices]


@pytest.mark.negative
def test_a_bad_message_among_good_ones_refuses_itself_only(
    house: CaHouse, devices: list[EnrollingDevice]
) -> None:
    first, second, third = devices
    wrong = replace(first.activation(challenged(house, first)), secret=bytes(32))
    page = [
        activation_of(first, wrong),
        replace(request_of(second), data=b"\xff" * 40),
        request_of(third),
    ]
    answers = house.stations.exchange(page, caller=ACME)
    assert [each.part for each in answers] == [Part.REFUSED, Part.REFUSED, Part.CHALLENGE]
    codes = [StationRefusal.decode(each.data).code for each in answers[:2]]
    assert codes == ["activation-secret", "malformed-message"]
    assert trail(house, first) == trail(house, second) == [("enrollment-refused", ACME.name)]
    assert trail(house, third) == []


def test_a_repeated_activation_gets_the_same_answer(house: CaHouse, device: EnrollingDevice) -> None:
    activation = activation_of(device, device.activation(challenged(house, device)))
    first = carry(house, activation)
    house.clock.advance(days=3)
    assert carry(house, activation) == first
    assert trail(house, device).count(("certificate-issued", "None")) == 1


@pytest.mark.negative
def test_a_used_session_answers_nothing_else(house: CaHouse, device: EnrollingDevice) -> None:
    challenge = challenged(house, device)
    carry(house, activation_of(device, device.activation(challenge)))
    # the AK signs anew, so these are other bytes with the same meaning
    again = activation_of(device, device.activation(challenge))
    assert refusal(house, again).code == "session-used"
    assert refusal(house, request_of(device)).code == "ek-already-enrolled"


@pytest.mark.negative
@pytest.mark.check("A13")
def test_a_wrong_secret_burns_the_session(house: CaHouse, device: EnrollingDevice) -> None:
    right = device.activation(challenged(house, device))
    wrong = activation_of(device, replace(right, secret=bytes(32)))
    assert refusal(house, wrong).code == "activation-secret"
    assert refusal(house, activation_of(device, right)).code == "session-burned"
    assert state_of(house, device) is DeviceState.LISTED
    # and the device may begin again
    answer = carry(house, activation_of(device, device.activation(challenged(house, device))))
    assert answer.part is Part.RESULT


@pytest.mark.negative
def test_the_long_life_ends(house: CaHouse, device: EnrollingDevice) -> None:
    activation = activation_of(device, device.activation(challenged(house, device)))
    house.clock.advance(hours=48)
    assert refusal(house, activation).code == "session-expired"
    assert state_of(house, device) is DeviceState.LISTED


@pytest.mark.negative
@pytest.mark.requirement("R80")
def test_another_suppliers_device_is_answered_like_an_unlisted_one(
    house: CaHouse, device: EnrollingDevice
) -> None:
    stranger = EnrollingDevice(maker=house.maker)
    told = refusal(house, request_of(device), caller=OTHER)
    untold = refusal(house, request_of(stranger), caller=OTHER)
    assert (told.code, told.reason, told.remedy) == (untold.code, untold.reason, untold.remedy)
    assert told.code == "ek-not-listed"
    assert trail(house, device) == [("enrollment-refused", OTHER.name)]


@pytest.mark.negative
def test_another_supplier_neither_uses_nor_ends_a_session(house: CaHouse, device: EnrollingDevice) -> None:
    right = device.activation(challenged(house, device))
    wrong = activation_of(device, replace(right, secret=bytes(32)))
    assert refusal(house, wrong, caller=OTHER).code == "session-unknown"
    assert refusal(house, activation_of(device, right), caller=OTHER).code == "session-unknown"
    refusal(house, request_of(device), caller=OTHER)
    assert carry(house, activation_of(device, right)).part is Part.RESULT


@pytest.mark.negative
def test_a_message_in_the_name_of_another_device_is_refused(
    house: CaHouse, devices: list[EnrollingDevice]
) -> None:
    first, second, _ = devices
    renamed = replace(request_of(first), device_id=second.device_id)
    assert refusal(house, renamed).code == "message-of-another-device"
    activation = activation_of(first, first.activation(challenged(house, first)))
    assert refusal(house, replace(activation, device_id=second.device_id)).code == "session-unknown"
    assert carry(house, activation).part is Part.RESULT


@pytest.mark.negative
def test_a_session_is_used_where_it_was_opened(house: CaHouse, device: EnrollingDevice) -> None:
    carried = device.activation(challenged(house, device))
    own = device.activation(house.enrollment.begin(device.request().encode()))
    assert refusal(house, activation_of(device, own)).code == "session-unknown"
    with pytest.raises(EnrollmentRefusedError) as caught:
        house.enrollment.activate(carried.encode())
    assert caught.value.reason == "session-unknown"
    assert carry(house, activation_of(device, carried)).part is Part.RESULT


@pytest.mark.negative
def test_sessions_that_anybody_opens_do_not_touch_it(house: CaHouse, device: EnrollingDevice) -> None:
    waiting = activation_of(device, device.activation(challenged(house, device)))
    for _ in range(IDLE_SESSIONS_MAX + 4):
        house.clock.advance(seconds=1)
        house.enrollment.begin(device.request().encode())
    assert carry(house, waiting).part is Part.RESULT


def test_a_newer_one_takes_its_place(house: CaHouse, device: EnrollingDevice) -> None:
    older = activation_of(device, device.activation(challenged(house, device)))
    own = device.activation(house.enrollment.begin(device.request().encode()))
    newer = activation_of(device, device.activation(challenged(house, device)))
    assert refusal(house, older).code == "session-unknown"
    assert carry(house, newer).part is Part.RESULT
    # those that the device opens itself are not counted among them
    with pytest.raises(EnrollmentRefusedError) as caught:
        house.enrollment.activate(own.encode())
    assert caught.value.reason == "ek-already-enrolled"


def test_old_ones_are_forgotten(house: CaHouse, device: EnrollingDevice) -> None:
    activation = activation_of(device, device.activation(challenged(house, device)))
    house.clock.advance(days=8)
    assert house.enrollment.forget_old_sessions() == 1
    assert refusal(house, activation).code == "session-unknown"


@pytest.mark.negative
@pytest.mark.check("A26")
def test_a_clone_and_a_hold_stop_it(house: CaHouse, devices: list[EnrollingDevice]) -> None:
    first, second, _ = devices
    answer = carry(house, activation_of(first, first.activation(challenged(house, first))))
    pfc = x509.load_der_x509_certificate(EnrollmentResult.decode(answer.data).pfc_chain[0])
    copied = replace(second, attesting=replace(second.attesting, ak_key=first.attesting.ak_key))
    assert refusal(house, request_of(copied)).code == "key-of-another-device"
    assert trail(house, second) == [("enrollment-alarm", ACME.name)]
    with house.store.reading() as records:
        issued = records.certificates_of_device(first.device_id)[0]
    house.revocation.reopen(first.device_id, caller=ACME)
    waiting = activation_of(first, first.activation(challenged(house, first)))
    house.revocation.revoke(issued.ca_id, pfc.serial_number, reason="certificateHold", caller=ADMIN)
    assert refusal(house, waiting).code == "platform-credential-on-hold"
    with house.store.reading() as records:
        held = [(each.status, each.reason) for each in records.certificates_of_device(first.device_id)]
    assert held == [(Status.REVOKED, Reason.CERTIFICATE_HOLD)]


@pytest.mark.negative
def test_a_stranger_among_the_keys_is_refused(house: CaHouse, device: EnrollingDevice) -> None:
    weak = replace(device, attesting=replace(device.attesting, ak_key=p256()))
    challenge = challenged(house, weak)
    with pytest.raises(ValueError, match="another EK or AK"):
        device.activate_credential(challenge)


def test_refusals_are_audited_once_an_hour(house: CaHouse) -> None:
    stranger = EnrollingDevice(maker=house.maker)
    for _ in range(3):
        refusal(house, request_of(stranger))
    assert trail(house, stranger) == [("enrollment-refused", ACME.name)]
    house.clock.advance(hours=1)
    refusal(house, request_of(stranger))
    assert len(trail(house, stranger)) == 2


def test_the_life_is_that_of_the_settings(house: CaHouse, device: EnrollingDevice) -> None:
    shorter = replace(house.stations, enrollment=replace(house.enrollment, station_life=timedelta(minutes=1)))
    [answer] = shorter.exchange([request_of(device)], caller=ACME)
    activation = device.activation(EnrollmentChallenge.decode(answer.data))
    house.clock.advance(minutes=1)
    assert refusal(house, activation_of(device, activation)).code == "session-expired"
