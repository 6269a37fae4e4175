"""What a TRE answers, and everything that it must not sign for."""

import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from m2me_agent.tre.errors import (
    AnchorError,
    BootLogError,
    ChallengeError,
    KeysChangedError,
    MalformedError,
    NotEnrolledError,
    RateLimitError,
    TreError,
)
from messages.binding import PVA_EVIDENCE, PVA_IMA, PVA_KEY, extra_data
from messages.challenge import ImaOffset
from messages.evidence import decode_evidence
from standards.pki import oids
from standards.pki.jws import sign_jws
from standards.tpm2.attestation import verify_certified_key, verify_certified_nv, verify_quote
from standards.tpm2.structures import NvPublic, PcrSelection, Public
from tests.fakes.pki import EXPIRED, NOW, Authority, Validity, p256
from tests.fakes.tre import BOOT_LOG, NONCE, Device, Signer
from tests.unit.standards.ima.lists import Made, encoded, ng

DECADE = Validity(after=timedelta(days=3650))


@pytest.fixture
def device(tmp_path: Path) -> Device:
    made = Device(folder=tmp_path)
    made.enroll()
    made.tpm.signatures = 0
    return made


def long_lived(folder: Path) -> Device:
    """A device whose operators' root lives for a decade, unlike the PVA's certificate."""
    made = Device(folder=folder, operators_root=Authority.root("operators' root", validity=DECADE))
    made.enroll()
    made.tpm.signatures = 0
    return made


def refused(device: Device, token: str, error: type[TreError], *, match: str) -> None:
    """The token is refused for this reason, with every part of a refusal, and nothing was signed."""
    before = dict(device.storage.records)
    with pytest.raises(error, match=match) as caught:
        device.attestation.attest(token)
    assert type(caught.value) is error
    assert caught.value.subject
    assert caught.value.remedy
    assert device.tpm.signatures == 0
    assert device.storage.records == before


@pytest.mark.requirement("R94")
@pytest.mark.requirement("R71")
def test_evidence_verifies_against_the_challenge_and_the_pinned_keys(device: Device) -> None:
    challenge = device.challenge()
    token = device.pva.sign(challenge)
    evidence = decode_evidence(device.attestation.attest(token))

    assert evidence.challenge_token == token
    assert evidence.body == challenge.context()
    assert evidence.boot_log == BOOT_LOG
    assert evidence.ima is None
    ak = Public.decode(evidence.ak_public)
    assert ak == device.tpm.keys.ak
    verify_quote(
        evidence.attest,
        signature=evidence.signature,
        ak=ak,
        extra_data=extra_data(PVA_EVIDENCE, nonce=NONCE, body=challenge.context()),
        selection=(PcrSelection(bank=0x000B, indices=(0, 1, 7)),),
        pcr_values=evidence.pcr_values,
    )
    key_data = extra_data(PVA_KEY, nonce=NONCE, body=challenge.context())
    verify_certified_key(
        evidence.storage_key.attest,
        signature=evidence.storage_key.signature,
        ak=ak,
        certified=Public.decode(evidence.storage_key.public),
        extra_data=key_data,
    )
    counter = verify_certified_nv(
        evidence.generation_counter.attest,
        signature=evidence.generation_counter.signature,
        ak=ak,
        index=NvPublic.decode(evidence.generation_counter.public),
        extra_data=key_data,
    )
    assert counter.contents == device.tpm.counter_value.to_bytes(8, "big")


@pytest.mark.negative
@pytest.mark.requirement("R70")
def test_a_challenge_by_a_signer_under_a_foreign_root_is_refused(device: Device) -> None:
    foreign = Signer.under(Authority.root("operators' root"))
    refused(device, foreign.sign(device.challenge()), AnchorError, match="anchor")


@pytest.mark.negative
@pytest.mark.parametrize(
    "eku", [oids.EKU_ATTESTATION_RESULT, oids.EKU_CLIENT_AUTH, oids.EKU_ANY, oids.EKU_PLATFORM_CREDENTIAL]
)
def test_a_signer_with_another_purpose_is_refused(device: Device, eku: x509.ObjectIdentifier) -> None:
    signer = Signer.under(device.operators_root, eku=eku)
    refused(device, signer.sign(device.challenge()), AnchorError, match="extended key usage")


@pytest.mark.negative
@pytest.mark.parametrize("role", [None, "sho", "dpf", "PVA", "pva "])
def test_a_signer_with_another_role_is_refused(device: Device, role: str | None) -> None:
    signer = Signer.under(device.operators_root, role=role)
    refused(device, signer.sign(device.challenge()), AnchorError, match="role")


@pytest.mark.negative
@pytest.mark.parametrize("typ", ["JWT", "eat+jwt", "pva-batch+jwt", "pva-challenge"])
def test_a_token_of_another_type_is_refused(device: Device, typ: str) -> None:
    signer = replace(device.pva, typ=typ)
    refused(device, signer.sign(device.challenge()), AnchorError, match="type")


@pytest.mark.negative
def test_a_token_that_somebody_changed_is_refused(device: Device) -> None:
    mine, other = (device.pva.sign(device.challenge(life=timedelta(minutes=m))) for m in (5, 6))
    head, _, signature = mine.split(".")
    refused(device, ".".join((head, other.split(".")[1], signature)), AnchorError, match="signature")


@pytest.mark.negative
def test_a_token_signed_by_a_key_other_than_its_certificate_is_refused(device: Device) -> None:
    stranger = p256()
    chain = device.operators_root.issue("PVA", key=stranger.public_key())
    token = sign_jws(device.challenge().claims(), key=stranger, chain=(chain,), typ=device.pva.typ)
    head, payload, _ = device.pva.sign(device.challenge()).split(".")
    refused(device, ".".join((head, payload, token.split(".")[2])), AnchorError, match="signature")


@pytest.mark.negative
@pytest.mark.parametrize(
    "validity", [EXPIRED, Validity(before=-timedelta(days=1))], ids=["expired", "not yet valid"]
)
def test_a_signer_whose_certificate_was_not_valid_when_it_signed_is_refused(
    device: Device, validity: Validity
) -> None:
    signer = Signer.under(device.operators_root, validity=validity)
    refused(device, signer.sign(device.challenge()), AnchorError, match="valid")


@pytest.mark.negative
@pytest.mark.requirement("R60")
def test_a_challenge_for_another_device_is_refused(device: Device) -> None:
    challenge = device.challenge(device_id="00" * 32)
    refused(device, device.pva.sign(challenge), ChallengeError, match="device")


@pytest.mark.negative
@pytest.mark.requirement("R70")
def test_a_purpose_that_the_policy_does_not_list_is_refused(device: Device) -> None:
    device.purposes = frozenset({"recovery"})
    device.start()
    refused(device, device.pva.sign(device.challenge()), ChallengeError, match="purpose")


@pytest.mark.negative
def test_time_never_runs_backwards_not_even_after_a_restart(device: Device) -> None:
    device.attestation.attest(device.pva.sign(device.challenge()))
    device.tpm.signatures = 0
    device.start()
    older = device.challenge(issued_at=NOW - timedelta(seconds=1))
    refused(device, device.pva.sign(older), ChallengeError, match="backwards")


@pytest.mark.negative
@pytest.mark.requirement("R31")
def test_a_pva_that_signed_the_far_future_keeps_no_other_from_being_answered(tmp_path: Path) -> None:
    device = long_lived(tmp_path)
    rogue = Signer.under(device.operators_root, name="pva-2", validity=DECADE)
    device.attestation.attest(rogue.sign(device.challenge(issued_at=NOW + timedelta(days=3000))))
    device.attestation.attest(device.pva.sign(device.challenge(issued_at=NOW + timedelta(days=29, hours=23))))
    device.tpm.signatures = 0
    refused(device, rogue.sign(device.challenge(issued_at=NOW)), ChallengeError, match="backwards")


@pytest.mark.negative
@pytest.mark.requirement("R31")
def test_no_pva_signs_a_time_at_which_its_certificate_is_over(tmp_path: Path) -> None:
    device = long_lived(tmp_path)
    later = device.challenge(issued_at=NOW + timedelta(days=31))
    refused(device, device.pva.sign(later), AnchorError, match="valid")


@pytest.mark.negative
def test_order_in_time_outlives_the_renewal_of_a_pvas_key_and_certificate(device: Device) -> None:
    device.attestation.attest(device.pva.sign(device.challenge()))
    device.tpm.signatures = 0
    renewed = Signer.under(device.operators_root)
    older = device.challenge(issued_at=NOW - timedelta(seconds=1))
    refused(device, renewed.sign(older), ChallengeError, match="backwards")


@pytest.mark.negative
def test_a_challenge_that_lives_for_longer_than_ten_minutes_is_refused(device: Device) -> None:
    challenge = device.challenge(life=timedelta(minutes=10, seconds=1))
    refused(device, device.pva.sign(challenge), ChallengeError, match="life")


@pytest.mark.negative
@pytest.mark.requirement("R37")
@pytest.mark.parametrize("killed_in", ["quote", "certify_storage_key", "certify_generation_counter"])
def test_a_power_cut_before_any_signature_gives_neither_time_nor_allowance_back(
    device: Device, killed_in: str
) -> None:
    class PowerCutError(BaseException):
        """Nothing goes on."""

    def cut(**_arguments: object) -> None:
        raise PowerCutError

    before = device.state.exchanges()
    setattr(device.tpm, killed_in, cut)
    with pytest.raises(PowerCutError):
        device.attestation.attest(device.pva.sign(device.challenge()))
    delattr(device.tpm, killed_in)
    device.tpm.signatures = 0
    device.start()
    assert before.allowance is not None
    spent = device.state.exchanges().allowance
    assert spent is not None
    assert spent.credit_ms < before.allowance.credit_ms
    older = device.challenge(issued_at=NOW - timedelta(seconds=1))
    refused(device, device.pva.sign(older), ChallengeError, match="backwards")


@pytest.mark.negative
def test_a_challenge_that_expired_while_the_tpm_clock_ran_is_refused(device: Device) -> None:
    token = device.pva.sign(device.challenge())
    device.attestation.attest(token)
    device.tpm.signatures = 0
    device.tpm.clock = replace(device.tpm.clock, clock=device.tpm.clock.clock + 375_000)
    refused(device, token, ChallengeError, match="expired")


@pytest.mark.negative
@pytest.mark.requirement("R70")
def test_a_flood_gets_the_burst_and_then_waits_for_the_tpm_clock(tmp_path: Path) -> None:
    device = Device(folder=tmp_path, burst=3)
    device.enroll()  # the activation took one
    token = device.pva.sign(device.challenge())
    for _ in range(2):
        device.attestation.attest(token)
    device.tpm.signatures = 0
    device.start()
    refused(device, token, RateLimitError, match="exchanges")
    device.tpm.clock = replace(device.tpm.clock, clock=device.tpm.clock.clock + 1000)
    device.attestation.attest(token)


@pytest.mark.negative
def test_refused_challenges_take_nothing_from_the_allowance(tmp_path: Path) -> None:
    device = Device(folder=tmp_path, burst=2)
    device.enroll()
    foreign = Signer.under(Authority.root("operators' root")).sign(device.challenge())
    for _ in range(5):
        with pytest.raises(AnchorError):
            device.attestation.attest(foreign)
    device.attestation.attest(device.pva.sign(device.challenge()))


@pytest.mark.negative
@pytest.mark.parametrize("token", ["", "a.b.c", "e30.e30.e30", "é.é.é", "..", "x" * 20_000, "e30.bnVsbA.x"])
def test_what_is_no_challenge_token_is_refused(device: Device, token: str) -> None:
    refused(device, token, MalformedError, match="challenge")


@pytest.mark.negative
def test_nothing_is_signed_before_enrolment(tmp_path: Path) -> None:
    device = Device(folder=tmp_path)
    token = device.pva.sign(device.challenge())
    refused(device, token, NotEnrolledError, match="made yet")
    device.enrollment.begin()
    refused(device, token, NotEnrolledError, match="none is installed")


@pytest.mark.negative
def test_a_tpm_with_another_storage_key_is_refused(device: Device) -> None:
    device.tpm.storage = p256()  # what TPM2_Clear does
    refused(device, device.pva.sign(device.challenge()), KeysChangedError, match="cleared")


@pytest.mark.negative
@pytest.mark.parametrize("content", [b"", bytes(768 * 1024 + 1)], ids=["empty", "too large"])
def test_a_boot_log_that_cannot_be_carried_is_refused(device: Device, content: bytes) -> None:
    (device.folder / "boot.log").write_bytes(content)
    refused(device, device.pva.sign(device.challenge()), BootLogError, match="bytes")


def test_the_boot_log_is_read_anew_and_the_opened_one_serves_where_it_was_replaced_by_nothing(
    device: Device,
) -> None:
    token = device.pva.sign(device.challenge())
    log = device.folder / "boot.log"
    log.rename(device.folder / "old.log")
    log.write_bytes(b"next boot")
    assert decode_evidence(device.attestation.attest(token)).boot_log == b"next boot"
    log.unlink()
    assert decode_evidence(device.attestation.attest(token)).boot_log == BOOT_LOG


@pytest.fixture
def measuring(tmp_path: Path) -> Device:
    (tmp_path / "ima.log").write_bytes(b"as it was at the start")
    made = Device(folder=tmp_path, has_ima=True)
    made.enroll()
    (tmp_path / "ima.log").write_bytes(b"as it is now")
    return made


@pytest.mark.check("A22")
def test_the_ima_list_comes_with_a_quote_of_its_own_where_it_is_asked_for(measuring: Device) -> None:
    challenge = replace(measuring.challenge(), ima=True)
    evidence = decode_evidence(measuring.attestation.attest(measuring.pva.sign(challenge)))
    assert evidence.ima is not None
    assert evidence.ima.log == b"as it is now"
    assert set(evidence.pcr_values[0x000B]) == {0, 1, 7}
    verify_quote(
        evidence.ima.attest,
        signature=evidence.ima.signature,
        ak=measuring.tpm.keys.ak,
        extra_data=extra_data(PVA_IMA, nonce=NONCE, body=challenge.context()),
        selection=(PcrSelection(bank=0x000B, indices=(10,)),),
        pcr_values={0x000B: {10: evidence.ima.pcr_value}},
    )


@pytest.mark.check("A22")
@pytest.mark.negative
def test_the_ima_list_is_not_sent_unasked_or_by_a_machine_without_one(
    measuring: Device, device: Device
) -> None:
    unasked = decode_evidence(measuring.attestation.attest(measuring.pva.sign(measuring.challenge())))
    asked = replace(device.challenge(), ima=True)
    absent = decode_evidence(device.attestation.attest(device.pva.sign(asked)))
    assert (unasked.ima, absent.ima) == (None, None)


@pytest.mark.negative
def test_logs_that_do_not_fit_into_one_answer_are_refused(measuring: Device) -> None:
    (measuring.folder / "ima.log").write_bytes(bytes(768 * 1024 - len(BOOT_LOG) + 1))
    token = measuring.pva.sign(replace(measuring.challenge(), ima=True))
    with pytest.raises(BootLogError, match="IMA list"):
        measuring.attestation.attest(token)


IMA_LIST = tuple(Made(data=ng(b"/usr/bin/%d" % number)) for number in range(4))


def measured(device: Device, after: ImaOffset | None) -> tuple[int, bytes]:
    """First entry and log of the answer to a challenge that knows so much."""
    challenge = replace(device.challenge(), ima=True, ima_after=after)
    evidence = decode_evidence(device.attestation.attest(device.pva.sign(challenge)))
    assert evidence.ima is not None
    return evidence.ima.first, evidence.ima.log


def offset(device: Device, count: int, *, resets: int = 0) -> ImaOffset:
    clock = device.tpm.read_clock()
    return ImaOffset(count=count, reset_count=clock.reset_count + resets, restart_count=clock.restart_count)


@pytest.mark.check("A22")
def test_only_what_the_pva_does_not_know_of_this_boot_is_sent(measuring: Device) -> None:
    (measuring.folder / "ima.log").write_bytes(encoded(IMA_LIST))
    assert measured(measuring, offset(measuring, 3)) == (3, IMA_LIST[3].encoded)
    assert measured(measuring, offset(measuring, 4)) == (4, b"")
    assert measured(measuring, None) == (0, encoded(IMA_LIST))


@pytest.mark.check("A14")
@pytest.mark.negative
def test_of_another_boot_the_whole_list_is_sent(measuring: Device) -> None:
    (measuring.folder / "ima.log").write_bytes(encoded(IMA_LIST))
    assert measured(measuring, offset(measuring, 3, resets=1)) == (0, encoded(IMA_LIST))


@pytest.mark.negative
@pytest.mark.parametrize("content", [encoded(IMA_LIST[:2]), b"no list"], ids=["shorter", "malformed"])
def test_a_list_in_which_the_offset_is_not_found_is_sent_whole(measuring: Device, content: bytes) -> None:
    (measuring.folder / "ima.log").write_bytes(content)
    assert measured(measuring, offset(measuring, 3)) == (0, content)


def test_a_list_longer_than_an_answer_is_sent_where_its_new_entries_fit(measuring: Device) -> None:
    long = tuple(Made(data=ng(b"/" + b"x" * 4_000 + b"%d" % number)) for number in range(200))
    (measuring.folder / "ima.log").write_bytes(encoded(long))
    first, log = measured(measuring, offset(measuring, 199))
    assert (first, log) == (199, long[199].encoded)
    token = measuring.pva.sign(replace(measuring.challenge(), ima=True, ima_after=offset(measuring, 1)))
    with pytest.raises(BootLogError, match="after entry 1"):
        measuring.attestation.attest(token)


@pytest.mark.negative
def test_a_log_of_50_mb_is_refused_before_it_is_read(device: Device) -> None:
    with (device.folder / "boot.log").open("wb") as log:
        log.truncate(50 << 20)
    tracemalloc.start()
    refused(device, device.pva.sign(device.challenge()), BootLogError, match="larger than")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_machine_without_an_event_log_says_so(device: Device) -> None:
    attestation = replace(device.attestation, boot_log=None)
    evidence = decode_evidence(attestation.attest(device.pva.sign(device.challenge())))
    assert evidence.boot_log == b""
