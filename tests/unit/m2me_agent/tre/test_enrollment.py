"""Enrolment as the TRE sees it: keys, activation, and the only PfC that it installs."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from m2me_agent.tre.errors import (
    CredentialError,
    KeysChangedError,
    MalformedError,
    NotEnrolledError,
    RateLimitError,
    StateError,
    TpmDeviceError,
)
from messages.binding import PVA_KEY, extra_data
from messages.enrollment import ActivationRequest, EnrollmentRequest, EnrollmentResult
from standards.pki import oids
from standards.tpm2.attestation import verify_certified_key, verify_certified_nv
from tests.fakes.pki import EXPIRED, Authority, Validity, p256
from tests.fakes.tre import NONCE, SECRET, Device


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(folder=tmp_path)


def test_the_request_names_the_keys_and_the_ek_certificate(device: Device) -> None:
    request = EnrollmentRequest.decode(device.enrollment.begin())
    keys = device.tpm.keys
    assert request.ek_chain == device.tpm.read_endorsement().chain
    assert request.ak_public == keys.ak.encode()
    assert request.storage_public == keys.storage.encode()
    assert request.counter_public == keys.counter.encode()


def test_beginning_again_gives_the_same_request_and_the_same_auth_values(device: Device) -> None:
    first = device.enrollment.begin()
    authorization = device.tpm.authorization
    device.start()
    assert device.enrollment.begin() == first
    assert device.tpm.authorization == authorization


def test_auth_values_are_32_bytes_each_different_and_never_shown(device: Device) -> None:
    device.enrollment.begin()
    authorization = device.tpm.authorization
    assert authorization is not None
    values = {authorization.ak, authorization.storage, authorization.counter}
    assert [len(value) for value in values] == [32, 32, 32]
    assert not any(
        value.hex() in repr(authorization) or repr(value) in repr(authorization) for value in values
    )


def test_auth_values_are_durable_before_the_tpm_has_them(device: Device) -> None:
    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    device.tpm.make_keys = power_cut  # type: ignore[method-assign, assignment] # the moment that matters
    with pytest.raises(KeyboardInterrupt):
        device.enrollment.begin()
    assert "authorization" in device.storage.records


@pytest.mark.check("A13")
@pytest.mark.check("A30")
def test_activation_gives_the_secret_and_certifies_both(device: Device) -> None:
    request = EnrollmentRequest.decode(device.enrollment.begin())
    activation = ActivationRequest.decode(device.enrollment.activate(device.enrollment_challenge()))
    assert activation.secret == SECRET
    qualifying = extra_data(PVA_KEY, nonce=NONCE, body=request.key_body())
    keys = device.tpm.keys
    verify_certified_key(
        activation.storage_key.attest,
        signature=activation.storage_key.signature,
        ak=keys.ak,
        certified=keys.storage,
        extra_data=qualifying,
    )
    verify_certified_nv(
        activation.generation_counter.attest,
        signature=activation.generation_counter.signature,
        ak=keys.ak,
        index=keys.counter,
        extra_data=qualifying,
    )


@pytest.mark.negative
@pytest.mark.check("A13")
def test_a_credential_for_another_ak_gives_no_secret_and_no_signature(device: Device) -> None:
    device.enrollment.begin()
    other = replace(device.tpm, ak=p256()).keys.ak
    with pytest.raises(TpmDeviceError):
        device.enrollment.activate(device.enrollment_challenge(ak=other))
    assert device.tpm.signatures == 0


@pytest.mark.negative
@pytest.mark.requirement("R70")
def test_a_flood_of_activations_is_bounded(tmp_path: Path) -> None:
    device = Device(folder=tmp_path, burst=2)
    device.enrollment.begin()
    for _ in range(2):
        device.enrollment.activate(device.enrollment_challenge())
    with pytest.raises(RateLimitError):
        device.enrollment.activate(device.enrollment_challenge())


@pytest.mark.negative
@pytest.mark.parametrize("message", [b"", b"\xa0", b"\x00" * 100, b"\xff"])
def test_malformed_messages_of_the_ca_are_refused(device: Device, message: bytes) -> None:
    device.enrollment.begin()
    with pytest.raises(MalformedError):
        device.enrollment.activate(message)
    with pytest.raises(MalformedError):
        device.enrollment.install(message)
    with pytest.raises(MalformedError):
        device.enrollment.install(EnrollmentResult(pfc_chain=(b"no certificate",)).encode())


@pytest.mark.negative
def test_activation_and_installation_before_the_beginning_are_refused(device: Device) -> None:
    with pytest.raises(NotEnrolledError):
        device.enrollment.activate(device.enrollment_challenge())
    with pytest.raises(NotEnrolledError):
        device.enrollment.install(device.platform_credential())


def test_the_pfc_of_the_anchored_supplier_over_this_ak_is_installed(device: Device) -> None:
    device.enroll()
    assert (
        device.state.credential() == EnrollmentResult.decode(device.storage.records["credential"]).pfc_chain
    )


@pytest.mark.negative
@pytest.mark.requirement("R74")
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"key": p256().public_key()}, "another key"),
        ({"device_id": bytes(32)}, "HardwareModuleName"),
        ({"issuer": Authority.root("ES root").subordinate("issuing CA", path_length=0)}, "anchor"),
        ({"eku": oids.EKU_CLIENT_AUTH}, "extended key usage"),
        ({"eku": oids.EKU_TPM_AIK}, "extended key usage"),
    ],
    ids=["key", "device", "root", "EKU of TLS", "EKU of any AIK"],
)
def test_a_pfc_that_is_wrong_in_one_respect_is_refused_and_the_old_one_stands(
    device: Device, wrong: dict[str, object], reason: str
) -> None:
    device.enroll()
    installed = device.state.credential()
    with pytest.raises(CredentialError, match=reason):
        device.enrollment.install(device.platform_credential(**wrong))  # type: ignore[arg-type] # one each
    assert device.state.credential() == installed


@pytest.mark.negative
def test_a_pfc_that_has_expired_by_the_time_that_a_pva_told_is_refused(device: Device) -> None:
    device.enroll()
    device.attestation.attest(device.pva.sign(device.challenge()))
    with pytest.raises(CredentialError, match="valid"):
        device.enrollment.install(device.platform_credential(validity=EXPIRED))


def test_a_pfc_that_begins_after_the_known_time_is_judged_at_its_beginning(device: Device) -> None:
    device.enroll()
    later = Validity(before=-timedelta(days=1), after=timedelta(days=30))
    device.enrollment.install(device.platform_credential(validity=later))


@pytest.mark.negative
def test_an_ek_certificate_over_another_key_is_refused(device: Device) -> None:
    device.tpm.certificate = device.tpm.maker.issue("EK", key=p256().public_key())
    with pytest.raises(TpmDeviceError, match="another key"):
        device.enrollment.begin()
    assert device.storage.records == {}


@pytest.mark.negative
def test_another_tpm_under_the_old_state_is_refused(device: Device) -> None:
    device.enroll()
    device.tpm.ek, device.tpm.certificate = p256(), None
    with pytest.raises(KeysChangedError):
        device.enrollment.begin()


def test_after_a_clear_the_old_pfc_is_forgotten_with_the_old_keys(device: Device) -> None:
    device.enroll()
    device.tpm.storage = p256()
    device.enrollment.begin()
    assert device.state.credential() is None
    keys = device.state.keys()
    assert keys is not None
    assert keys.storage == device.tpm.keys.storage


@pytest.mark.negative
@pytest.mark.parametrize("record", ["authorization", "keys", "credential", "exchanges"])
def test_a_record_that_cannot_be_understood_is_told_by_name(device: Device, record: str) -> None:
    device.enroll()
    device.storage.records[record] = b"\xa1\x09\x00"
    with pytest.raises(StateError, match=record):
        device.attestation.attest(device.pva.sign(device.challenge()))


@pytest.mark.requirement("R94")
@pytest.mark.negative
def test_what_an_agent_puts_beside_a_credential_is_not_kept(device: Device) -> None:
    device.enroll()
    issued = EnrollmentResult.decode(device.platform_credential()).pfc_chain
    device.enrollment.install(EnrollmentResult(pfc_chain=(*issued, issued[1], issued[0])).encode())
    assert device.state.credential() == issued
