"""Enrolment: the good way once, and one refusal for each step that must refuse."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from ca.callers import Caller
from ca.enrollment import IDLE_SESSIONS_MAX
from ca.errors import EnrollmentRefusedError, MalformedMessageError
from ca.lifecycle import DeviceState, Reason, Status
from ca.profiles import Kind
from messages.binding import PVA_KEY, extra_data
from messages.enrollment import ActivationRequest, EnrollmentChallenge, EnrollmentRequest
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName, tre_level
from standards.tpm2.constants import Handle, ObjectAttributes
from standards.tpm2.templates import AK_ECC_P256, GENERATION_COUNTER, STORAGE_ECC_P256
from tests.fakes.attesting_device import p256, with_point
from tests.fakes.ca import ADMIN, OCSP_URL, PUBLIC_URL, CaHouse, supplier
from tests.fakes.enrolling_device import EnrollingDevice, TpmMaker

ACME = supplier("acme")


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.product_line()
    made.publish_manifest()
    return made


@pytest.fixture(scope="module")
def device(founded: CaHouse) -> EnrollingDevice:
    made = EnrollingDevice(maker=founded.maker)
    founded.list_devices(made)
    return made


@pytest.fixture
def house(founded: CaHouse, device: EnrollingDevice) -> CaHouse:  # noqa: ARG001, the device is listed first
    return founded.copy()


def begin(house: CaHouse, device: EnrollingDevice) -> EnrollmentChallenge:
    return house.enrollment.begin(device.request().encode())


def enroll(house: CaHouse, device: EnrollingDevice) -> x509.Certificate:
    activation = device.activation(begin(house, device))
    chain = house.enrollment.activate(activation.encode()).pfc_chain
    return x509.load_der_x509_certificate(chain[0])


def refusal_to_begin(house: CaHouse, request: EnrollmentRequest) -> EnrollmentRefusedError:
    with pytest.raises(EnrollmentRefusedError) as caught:
        house.enrollment.begin(request.encode())
    assert caught.value.subject
    assert caught.value.detail
    assert caught.value.remedy
    return caught.value


def refusal_to_activate(house: CaHouse, activation: ActivationRequest) -> EnrollmentRefusedError:
    with pytest.raises(EnrollmentRefusedError) as caught:
        house.enrollment.activate(activation.encode())
    return caught.value


def state_of(house: CaHouse, device: EnrollingDevice) -> DeviceState:
    with house.store.reading() as records:
        found = records.device(device.device_id)
    assert found is not None
    return found.state


def pfcs_of(house: CaHouse, device: EnrollingDevice) -> list[tuple[Status, Reason | None]]:
    with house.store.reading() as records:
        return [(each.status, each.reason) for each in records.certificates_of_device(device.device_id)]


@pytest.mark.requirement("R80")
@pytest.mark.requirement("R79")
@pytest.mark.requirement("R77")
@pytest.mark.check("P1")
@pytest.mark.check("P6")
@pytest.mark.check("O20")
def test_a_listed_device_gets_a_platform_credential(house: CaHouse, device: EnrollingDevice) -> None:
    pfc = enroll(house, device)
    assert pfc.public_key() == device.attesting.ak.public_key()
    assert list(pfc.subject) == []
    assert pfc.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    named = HardwareModuleName.of(pfc)
    assert named is not None
    assert named.serial.hex() == device.device_id
    assert named.hw_type == oids.hw_type_of_model(1)
    purposes = pfc.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [oids.EKU_TPM_AIK, oids.EKU_PLATFORM_CREDENTIAL]
    assert tre_level(pfc) == 2
    state = ExpectedSystemState.of(pfc)
    assert state is not None
    assert (state.manifest_id, state.svn) == ("gw/1", 1)
    with house.store.reading() as records:
        current = records.current_manifest("acme", "gw-1")
    assert current is not None
    assert state.manifest_digest == current.digest
    access = {
        each.access_method: each.access_location.value
        for each in pfc.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    }
    assert access[AuthorityInformationAccessOID.OCSP] == OCSP_URL
    assert access[AuthorityInformationAccessOID.CA_ISSUERS].startswith(f"{PUBLIC_URL}/ca/")
    assert state_of(house, device) is DeviceState.ENROLLED
    kinds = [kind for kind, subject, _ in house.audit_trail() if subject == device.device_id]
    assert kinds == ["certificate-issued"]


@pytest.mark.check("A13")
def test_a_repeated_activation_gets_the_same_answer(house: CaHouse, device: EnrollingDevice) -> None:
    activation = device.activation(begin(house, device)).encode()
    first = house.enrollment.activate(activation)
    house.clock.advance(hours=1)
    assert house.enrollment.activate(activation) == first
    assert pfcs_of(house, device) == [(Status.GOOD, None)]


@pytest.mark.negative
@pytest.mark.requirement("R80")
def test_a_genuine_tpm_of_no_batch_is_refused(house: CaHouse) -> None:
    stranger = EnrollingDevice(maker=house.maker)
    refused = refusal_to_begin(house, stranger.request())
    assert refused.reason == "ek-not-listed"
    assert refused.subject == stranger.device_id
    kinds = [kind for kind, subject, _ in house.audit_trail() if subject == stranger.device_id]
    assert kinds == ["enrollment-refused"]


@pytest.mark.negative
@pytest.mark.check("A12")
def test_an_ek_of_an_unknown_maker_is_refused(house: CaHouse, device: EnrollingDevice) -> None:
    foreign = replace(device, maker=TpmMaker(title="somebody else"))
    assert refusal_to_begin(house, foreign.request()).reason == "ek-certificate"
    copied_name = replace(device, maker=TpmMaker(title=house.maker.title))
    assert refusal_to_begin(house, copied_name.request()).reason == "ek-certificate"


@pytest.mark.negative
@pytest.mark.check("A12")
def test_an_ek_certificate_of_another_ek_is_refused(house: CaHouse, device: EnrollingDevice) -> None:
    other = EnrollingDevice(maker=house.maker)
    request = replace(device.request(), ek_chain=other.request().ek_chain)
    assert refusal_to_begin(house, request).reason == "ek-certificate"


@pytest.mark.negative
@pytest.mark.check("A12")
def test_an_ek_of_no_template_is_refused(house: CaHouse, device: EnrollingDevice) -> None:
    loose = replace(device.ek, attributes=device.ek.attributes & ~ObjectAttributes.RESTRICTED)
    request = replace(device.request(), ek_public=loose.encode())
    assert refusal_to_begin(house, request).reason == "ek-template"


@pytest.mark.negative
@pytest.mark.check("A11")
@pytest.mark.parametrize(
    "cleared",
    [
        ObjectAttributes.RESTRICTED,
        ObjectAttributes.FIXED_TPM,
        ObjectAttributes.FIXED_PARENT,
        ObjectAttributes.SENSITIVE_DATA_ORIGIN,
        ObjectAttributes.SIGN,
    ],
)
def test_an_ak_without_an_attribute_is_refused(
    house: CaHouse, device: EnrollingDevice, cleared: ObjectAttributes
) -> None:
    weak = replace(AK_ECC_P256, attributes=AK_ECC_P256.attributes & ~cleared)
    forged = replace(device, attesting=replace(device.attesting, ak_template=weak))
    assert refusal_to_begin(house, forged.request()).reason == "ak-attributes"


@pytest.mark.negative
@pytest.mark.check("A30")
@pytest.mark.parametrize(
    ("cleared", "added"),
    [
        (ObjectAttributes.FIXED_TPM, ObjectAttributes(0)),
        (ObjectAttributes.RESTRICTED, ObjectAttributes(0)),
        (ObjectAttributes.SENSITIVE_DATA_ORIGIN, ObjectAttributes(0)),
        (ObjectAttributes(0), ObjectAttributes.SIGN),
    ],
)
def test_a_storage_key_with_wrong_attributes_is_refused(
    house: CaHouse, device: EnrollingDevice, cleared: ObjectAttributes, added: ObjectAttributes
) -> None:
    imported = replace(device.attesting.storage, attributes=(STORAGE_ECC_P256.attributes & ~cleared) | added)
    forged = replace(device, attesting=replace(device.attesting, storage=imported))
    assert refusal_to_begin(house, forged.request()).reason == "storage-key-attributes"


@pytest.mark.negative
def test_another_counter_is_refused(house: CaHouse, device: EnrollingDevice) -> None:
    unwritten = replace(device, counter=GENERATION_COUNTER)
    assert refusal_to_begin(house, unwritten.request()).reason == "counter-template"


@pytest.mark.negative
def test_malformed_messages_are_refused(house: CaHouse, device: EnrollingDevice) -> None:
    for handler, message in (
        (house.enrollment.begin, device.request().encode()),
        (house.enrollment.activate, device.activation(begin(house, device)).encode()),
    ):
        for wrong in (b"", message[:-1], message + b"\x00", b"\xff" * 40):
            with pytest.raises(MalformedMessageError):
                handler(wrong)


@pytest.mark.negative
@pytest.mark.check("A13")
def test_a_wrong_secret_burns_the_session(house: CaHouse, device: EnrollingDevice) -> None:
    right = device.activation(begin(house, device))
    assert refusal_to_activate(house, replace(right, secret=bytes(32))).reason == "activation-secret"
    assert refusal_to_activate(house, right).reason == "session-burned"
    assert pfcs_of(house, device) == []
    assert state_of(house, device) is DeviceState.LISTED
    kinds = [kind for kind, subject, _ in house.audit_trail() if subject == device.device_id]
    assert kinds == ["enrollment-refused"]


@pytest.mark.negative
@pytest.mark.check("A13")
def test_a_prefix_of_the_secret_is_a_wrong_secret(house: CaHouse, device: EnrollingDevice) -> None:
    right = device.activation(begin(house, device))
    cut = replace(right, secret=right.secret[:-1])
    assert refusal_to_activate(house, cut).reason == "activation-secret"


@pytest.mark.negative
@pytest.mark.check("A10")
def test_the_credential_is_bound_to_the_name_of_the_ak(house: CaHouse, device: EnrollingDevice) -> None:
    """An AK whose public area is not the one in the TPM: that TPM does not give the secret out."""
    liar = replace(device, attesting=replace(device.attesting, ak_key=p256()))
    challenge = house.enrollment.begin(liar.request().encode())
    with pytest.raises(ValueError, match="another EK or AK"):
        device.activate_credential(challenge)


@pytest.mark.negative
def test_a_session_ends(house: CaHouse, device: EnrollingDevice) -> None:
    activation = device.activation(begin(house, device))
    house.clock.advance(minutes=5)
    assert refusal_to_activate(house, activation).reason == "session-expired"
    assert pfcs_of(house, device) == []


@pytest.mark.negative
def test_an_unknown_session_is_refused(house: CaHouse, device: EnrollingDevice) -> None:
    activation = replace(device.activation(begin(house, device)), session_id=bytes(16))
    assert refusal_to_activate(house, activation).reason == "session-unknown"


@pytest.mark.negative
def test_a_used_session_answers_nothing_else(house: CaHouse, device: EnrollingDevice) -> None:
    challenge = begin(house, device)
    house.enrollment.activate(device.activation(challenge).encode())
    # the AK signs anew, so these are other bytes with the same meaning
    assert refusal_to_activate(house, device.activation(challenge)).reason == "session-used"


@pytest.mark.negative
@pytest.mark.check("A30")
def test_statements_of_another_exchange_are_refused(house: CaHouse, device: EnrollingDevice) -> None:
    earlier = device.activation(begin(house, device))
    now = device.activation(begin(house, device))
    mixed = replace(now, storage_key=earlier.storage_key)
    assert refusal_to_activate(house, mixed).reason == "storage-key-statement"
    again = device.activation(begin(house, device))
    mixed = replace(again, generation_counter=earlier.generation_counter)
    assert refusal_to_activate(house, mixed).reason == "counter-statement"


@pytest.mark.negative
@pytest.mark.check("A30")
def test_a_statement_over_another_key_is_refused(house: CaHouse, device: EnrollingDevice) -> None:
    """The AK certified a key that was imported from software; the one in the request is as it should be."""
    challenge = begin(house, device)
    data = extra_data(PVA_KEY, nonce=challenge.nonce, body=device.request().key_body())
    imported = replace(
        with_point(STORAGE_ECC_P256, p256()),
        attributes=STORAGE_ECC_P256.attributes & ~ObjectAttributes.FIXED_TPM,
    )
    forged = replace(
        device.activation(challenge), storage_key=device.certified_storage_key(data, storage=imported)
    )
    assert refusal_to_activate(house, forged).reason == "storage-key-statement"


@pytest.mark.negative
@pytest.mark.check("A30")
def test_a_storage_key_outside_the_owner_hierarchy_is_refused(
    house: CaHouse, device: EnrollingDevice
) -> None:
    elsewhere = replace(device, attesting=replace(device.attesting, storage_hierarchy=Handle.ENDORSEMENT))
    activation = elsewhere.activation(begin(house, elsewhere))
    assert refusal_to_activate(house, activation).reason == "storage-key-statement"


@pytest.mark.negative
@pytest.mark.check("A9")
def test_an_ak_outside_the_endorsement_hierarchy_is_refused(house: CaHouse, device: EnrollingDevice) -> None:
    elsewhere = replace(device, attesting=replace(device.attesting, ak_hierarchy=Handle.OWNER))
    activation = elsewhere.activation(begin(house, elsewhere))
    assert refusal_to_activate(house, activation).reason == "storage-key-statement"


@pytest.mark.negative
def test_an_ek_enrols_once(house: CaHouse, device: EnrollingDevice) -> None:
    waiting = device.activation(begin(house, device))
    enroll(house, device)
    assert refusal_to_begin(house, device.request()).reason == "ek-already-enrolled"
    assert refusal_to_activate(house, waiting).reason == "ek-already-enrolled"
    assert pfcs_of(house, device) == [(Status.GOOD, None)]


@pytest.mark.check("A26")
def test_a_cleared_tpm_enrols_again_after_the_supplier_reopened_it(
    house: CaHouse, device: EnrollingDevice
) -> None:
    enroll(house, device)
    cleared = device.cleared()
    assert refusal_to_begin(house, cleared.request()).reason == "storage-key-changed"
    house.revocation.reopen(device.device_id, caller=ACME)
    house.clock.advance(minutes=1)
    enroll(house, cleared)
    assert pfcs_of(house, device) == [(Status.REVOKED, Reason.SUPERSEDED), (Status.GOOD, None)]
    assert refusal_to_begin(house, cleared.request()).reason == "ek-already-enrolled"


@pytest.mark.negative
@pytest.mark.check("A26")
def test_one_ek_with_two_aks_raises_an_alarm(house: CaHouse, device: EnrollingDevice) -> None:
    enroll(house, device)
    copy = replace(device, attesting=replace(device.attesting, ak_key=p256()))
    assert refusal_to_begin(house, copy.request()).reason == "ek-under-two-identities"
    assert ("enrollment-alarm", device.device_id) in [entry[:2] for entry in house.audit_trail()]


@pytest.mark.negative
@pytest.mark.check("A26")
def test_one_ak_under_two_eks_raises_an_alarm(house: CaHouse, device: EnrollingDevice) -> None:
    second = replace(device, ek_key=p256())
    house.list_devices(second, batch="batch-2")
    both = [each.activation(begin(house, each)) for each in (device, second)]
    house.enrollment.activate(both[0].encode())
    assert refusal_to_activate(house, both[1]).reason == "key-of-another-device"
    assert refusal_to_begin(house, second.request()).reason == "key-of-another-device"
    assert state_of(house, second) is DeviceState.LISTED
    assert ("enrollment-alarm", second.device_id) in [entry[:2] for entry in house.audit_trail()]


@pytest.mark.negative
def test_a_compromised_ak_is_never_certified_again(house: CaHouse, device: EnrollingDevice) -> None:
    pfc = enroll(house, device)
    with house.store.reading() as records:
        issued = records.certificates_of_device(device.device_id)[0]
    house.revocation.revoke(issued.ca_id, pfc.serial_number, reason="keyCompromise", caller=ACME)
    house.revocation.reopen(device.device_id, caller=ACME)
    assert refusal_to_begin(house, device.request()).reason == "ak-compromised"


@pytest.mark.negative
def test_a_hold_after_the_reopening_stops_the_enrolment(house: CaHouse, device: EnrollingDevice) -> None:
    pfc = enroll(house, device)
    with house.store.reading() as records:
        issued = records.certificates_of_device(device.device_id)[0]
    house.revocation.reopen(device.device_id, caller=ACME)
    waiting = device.activation(begin(house, device))
    house.revocation.revoke(issued.ca_id, pfc.serial_number, reason="certificateHold", caller=ADMIN)
    assert refusal_to_activate(house, waiting).reason == "platform-credential-on-hold"
    assert refusal_to_begin(house, device.request()).reason == "platform-credential-on-hold"
    assert pfcs_of(house, device) == [(Status.REVOKED, Reason.CERTIFICATE_HOLD)]


@pytest.mark.negative
def test_without_a_manifest_nothing_is_issued() -> None:
    house = CaHouse()
    house.product_line()
    device = EnrollingDevice(maker=house.maker)
    house.list_devices(device)
    assert refusal_to_begin(house, device.request()).reason == "no-manifest"
    house.publish_manifest()
    house.clock.advance(days=366)
    assert refusal_to_begin(house, device.request()).reason == "manifest-not-valid"


@pytest.mark.negative
def test_a_revoked_issuing_ca_issues_nothing(house: CaHouse, device: EnrollingDevice) -> None:
    root = house.es_root()
    with house.store.reading() as records:
        issuing = records.authorities(Kind.ISSUING_CA)[0].x509()
    admin = Caller(name="admin", role="admin", tenant="")
    house.revocation.revoke(root.ca_id, issuing.serial_number, reason="cACompromise", caller=admin)
    assert refusal_to_begin(house, device.request()).reason == "no-issuing-ca"


def test_a_refusal_is_audited_once_an_hour(house: CaHouse) -> None:
    stranger = EnrollingDevice(maker=house.maker)
    for _ in range(3):
        refusal_to_begin(house, stranger.request())
    house.clock.advance(hours=1)
    refusal_to_begin(house, stranger.request())
    assert [subject for _, subject, _ in house.audit_trail()].count(stranger.device_id) == 2


def test_only_the_newest_sessions_of_a_device_are_kept(house: CaHouse, device: EnrollingDevice) -> None:
    first = device.activation(begin(house, device))
    for _ in range(IDLE_SESSIONS_MAX):
        house.clock.advance(seconds=1)
        last = device.activation(begin(house, device))
    assert refusal_to_activate(house, first).reason == "session-unknown"
    house.enrollment.activate(last.encode())


def test_sessions_that_others_open_do_not_end_an_open_one(house: CaHouse, device: EnrollingDevice) -> None:
    """Somebody with the EK certificate opens sessions over keys of his own, one fewer than are kept."""
    waiting = device.activation(begin(house, device))
    other = replace(device, attesting=replace(device.attesting, ak_key=p256()))
    for _ in range(IDLE_SESSIONS_MAX - 1):
        house.clock.advance(seconds=1)
        begin(house, other)
    house.enrollment.activate(waiting.encode())


@pytest.mark.negative
def test_sessions_that_others_burn_do_not_end_an_open_one(house: CaHouse, device: EnrollingDevice) -> None:
    waiting = device.activation(begin(house, device))
    for _ in range(IDLE_SESSIONS_MAX + 4):
        house.clock.advance(seconds=1)
        wrong = replace(device.activation(begin(house, device)), secret=bytes(32))
        refusal_to_activate(house, wrong)
    house.enrollment.activate(waiting.encode())


def test_a_new_session_is_kept_whatever_came_at_the_same_moment(
    house: CaHouse, device: EnrollingDevice
) -> None:
    for _ in range(20):
        last = begin(house, device)
    house.enrollment.activate(device.activation(last).encode())


@pytest.mark.negative
def test_burning_sessions_fills_neither_store_nor_ledger(house: CaHouse, device: EnrollingDevice) -> None:
    for _ in range(IDLE_SESSIONS_MAX + 4):
        house.clock.advance(seconds=1)
        wrong = replace(device.activation(begin(house, device)), secret=bytes(32))
        assert refusal_to_activate(house, wrong).reason == "activation-secret"
    kinds = [kind for kind, subject, _ in house.audit_trail() if subject == device.device_id]
    assert kinds == ["enrollment-refused"]
    house.clock.advance(days=8)
    assert house.enrollment.forget_old_sessions() == IDLE_SESSIONS_MAX


def test_old_sessions_are_forgotten(house: CaHouse, device: EnrollingDevice) -> None:
    activation = device.activation(begin(house, device))
    house.clock.advance(days=8)
    assert house.enrollment.forget_old_sessions() == 1
    assert refusal_to_activate(house, activation).reason == "session-unknown"


def test_the_credential_cannot_be_a_tls_certificate(house: CaHouse, device: EnrollingDevice) -> None:
    purposes = enroll(house, device).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} & set(purposes)
