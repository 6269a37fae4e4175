"""The story of a validation: each numbered step has a test in which everything else is right."""

import base64
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from messages.evidence import EvidenceMessage, encode_evidence
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RequestState
from standards.pki import oids
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.jws import verify_jws
from standards.rats.ear import RESULT_TYPE, AttestationResult, read_claims
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import CredentialPlan, FakeSupplier
from tests.fakes.pki import EXPIRED, NOW
from tests.fakes.pva_world import (
    AUDIENCE,
    POLICY,
    TENANT,
    World,
    good,
    reference_manifest,
    revoked,
)


@pytest.fixture
def world() -> World:
    return World()


def refused(world: World, message: EvidenceMessage, **options: Any) -> RefusalError:
    """Hand in evidence that must be refused, with nothing signed and no device state changed."""
    results, histories = dict(world.store.results), dict(world.store.histories)
    with pytest.raises(RefusalError) as caught:
        world.validate(message, **options)
    refusal: RefusalError = caught.value
    assert refusal.subject
    assert refusal.reason
    assert refusal.remedy
    assert world.store.results == results
    assert world.store.histories == histories
    return refusal


def verified(world: World, token: str) -> AttestationResult:
    claims = verify_jws(
        token,
        anchors=[world.operators.certificate],
        eku=oids.EKU_ATTESTATION_RESULT,
        typ=RESULT_TYPE,
        at=NOW,
    ).claims
    return read_claims(claims)


@pytest.mark.requirement("R94")
@pytest.mark.requirement("R95")
@pytest.mark.requirement("R69")
def test_an_approved_device_is_affirmed_in_both_scopes(world: World) -> None:
    request_id = world.ask()
    signed = world.validate(world.answer())
    result = verified(world, signed.token)
    assert result.status.value == "affirming"
    assert {name: each.status.value for name, each in result.submodules.items()} == {
        "tre": "affirming",
        "platform": "affirming",
    }
    assert result.audience == AUDIENCE
    assert result.nonce == world.store.requests[request_id].rp_nonce
    assert result.device_id == world.device.device_id
    assert result.ak_name == world.device.ak.name
    assert result.storage_key_name == world.device.storage.name
    assert result.policy_digest == POLICY.digest
    assert result.manifest is not None
    assert result.manifest.digest == world.state.manifest_digest
    progress = world.desk.progress(request_id, tenant=TENANT, at=NOW)
    assert progress.state is RequestState.COMPLETED
    assert progress.result == signed.token
    assert world.store.audit_kinds() == ("validation-requested", "validation-result")


# 1 decode


@pytest.mark.negative
@pytest.mark.check("A1")
def test_bytes_that_are_no_evidence_are_refused(world: World) -> None:
    with pytest.raises(RefusalError) as caught:
        world.verifier.validate_platform(b"\x82\x01\x02", at=NOW)
    assert caught.value.code is RefusalCode.EVIDENCE_MALFORMED


# 2 redeem


@pytest.mark.negative
@pytest.mark.requirement("R94")
def test_a_challenge_is_good_for_one_try(world: World) -> None:
    request_id = world.ask()
    message = world.answer()
    world.validate(message)
    assert refused(world, message).code is RefusalCode.CHALLENGE_USED
    told = world.desk.progress(request_id, tenant=TENANT, at=NOW).refusals
    assert [each.code for each in told] == ["challenge-used"]


@pytest.mark.negative
def test_a_refused_try_spends_its_challenge_too_and_leaves_the_request_pending(world: World) -> None:
    request_id = world.ask()
    message = world.answer()
    assert refused(world, replace(message, boot_log=b"\x00")).code is RefusalCode.BOOT_LOG_MALFORMED
    assert refused(world, message).code is RefusalCode.CHALLENGE_USED
    assert world.desk.progress(request_id, tenant=TENANT, at=NOW).state is RequestState.PENDING
    assert world.validate(world.answer()).status == "affirming"


@pytest.mark.negative
def test_a_challenge_whose_signature_was_rewritten_is_the_same_challenge(world: World) -> None:
    message = world.answer()
    world.validate(message)
    rewritten = malleated(message.challenge_token)
    assert rewritten != message.challenge_token
    assert refused(world, replace(message, challenge_token=rewritten)).code is RefusalCode.CHALLENGE_USED


def malleated(token: str) -> str:
    """The other valid ECDSA signature over the same token: (r, n - s)."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    s = order - int.from_bytes(raw[32:], "big")
    return f"{signed}.{base64.urlsafe_b64encode(raw[:32] + s.to_bytes(32, 'big')).rstrip(b'=').decode()}"


@pytest.mark.negative
def test_a_challenge_ends(world: World) -> None:
    message = world.answer()
    assert refused(world, message, at=NOW + timedelta(minutes=1)).code is RefusalCode.CHALLENGE_EXPIRED


@pytest.mark.negative
@pytest.mark.requirement("R94")
def test_a_challenge_of_another_pva_is_refused(world: World) -> None:
    other = World(operators=world.operators, supplier=world.supplier, device=world.device)
    foreign = other.answer()
    assert refused(world, foreign).code is RefusalCode.CHALLENGE_INVALID


@pytest.mark.negative
def test_a_request_that_has_its_result_takes_no_second_one(world: World) -> None:
    request_id = world.ask()
    first, second = world.answer(), world.answer()
    world.validate(first)
    assert refused(world, second).code is RefusalCode.REQUEST_CLOSED
    assert world.desk.progress(request_id, tenant=TENANT, at=NOW).state is RequestState.COMPLETED


# 3 credential path and status


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R74")
def test_a_supplier_that_nobody_recognised_is_refused_by_name(world: World) -> None:
    foreign = world.chain(supplier=FakeSupplier.make("Unknown"))
    refusal = refused(world, replace(world.answer(), pfc_chain=tuple(foreign)))
    assert refusal.code is RefusalCode.SUPPLIER_NOT_RECOGNISED
    assert "Unknown" in refusal.subject


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R25")
def test_a_root_of_the_same_name_is_not_the_same_root(world: World) -> None:
    double = world.chain(supplier=FakeSupplier.make("Acme"))
    refusal = refused(world, replace(world.answer(), pfc_chain=tuple(double)))
    assert refusal.code is RefusalCode.PFC_INVALID


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R77")
@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ({"purposes": (oids.EKU_TPM_AIK,)}, RefusalCode.PFC_WRONG_PURPOSE),
        ({"purposes": (oids.EKU_PLATFORM_CREDENTIAL,)}, RefusalCode.PFC_WRONG_PURPOSE),
        ({"purposes": (oids.EKU_CLIENT_AUTH,)}, RefusalCode.PFC_WRONG_PURPOSE),
        ({"validity": EXPIRED}, RefusalCode.PFC_INVALID),
        ({"state": None}, RefusalCode.PFC_INVALID),
        ({"named_device": False}, RefusalCode.PFC_INVALID),
    ],
    ids=["no PfC purpose", "no AK purpose", "a TLS certificate", "expired", "no state", "no device"],
)
def test_a_certificate_that_is_no_platform_credential(
    world: World, plan: dict[str, Any], code: RefusalCode
) -> None:
    chain = world.chain(plan=CredentialPlan(**{"state": world.state, **plan}))
    assert refused(world, replace(world.answer(), pfc_chain=tuple(chain))).code is code


@pytest.mark.negative
@pytest.mark.check("A25")
def test_a_credential_without_its_issuing_ca_has_no_path(world: World) -> None:
    message = world.answer()
    assert (
        refused(world, replace(message, pfc_chain=message.pfc_chain[:1])).code
        is RefusalCode.SUPPLIER_NOT_RECOGNISED
    )


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R74")
@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (RevocationReason.KEY_COMPROMISE, RefusalCode.PFC_REVOKED),
        (RevocationReason.SUPERSEDED, RefusalCode.PFC_REVOKED),
        (RevocationReason.CERTIFICATE_HOLD, RefusalCode.PFC_ON_HOLD),
    ],
)
def test_a_revoked_credential_gets_no_result(
    world: World, reason: RevocationReason, code: RefusalCode
) -> None:
    world.status = revoked(Revocation(reason=reason, at=NOW - timedelta(hours=1)))
    refusal = refused(world, world.answer())
    assert refusal.code is code
    assert reason.flag.value in refusal.reason
    assert world.store.audit_kinds()[-1] == "validation-refused"


@pytest.mark.negative
@pytest.mark.check("A25")
def test_a_credential_that_the_responder_does_not_know_gets_no_result(world: World) -> None:
    world.status = replace(good(NOW), kind=type(good(NOW).kind).UNKNOWN)
    assert refused(world, world.answer()).code is RefusalCode.PFC_UNKNOWN


@pytest.mark.negative
@pytest.mark.check("A25")
def test_silence_of_the_responder_is_temporary(world: World) -> None:
    world.status = RefusalError(
        RefusalCode.STATUS_UNAVAILABLE, subject="PfC", reason="no answer", retry_after_s=5
    )
    refusal = refused(world, world.answer())
    assert refusal.code is RefusalCode.STATUS_UNAVAILABLE
    assert refusal.retry_after_s == 5


@pytest.mark.negative
@pytest.mark.requirement("R61")
def test_another_device_cannot_answer_with_its_own_credential(world: World) -> None:
    other = AttestingDevice(ek_seed=b"another device")
    token, challenge = world.challenge()
    relayed = other.evidence(challenge, token=token, chain=world.chain(device=other))
    assert refused(world, relayed).code is RefusalCode.DEVICE_MISMATCH


# 4 quote, storage key, counter


@pytest.mark.negative
@pytest.mark.check("A4")
@pytest.mark.requirement("R61")
def test_another_devices_quote_under_this_devices_credential_is_refused(world: World) -> None:
    other = AttestingDevice(ek_seed=b"another device")
    token, challenge = world.challenge()
    relayed = other.evidence(challenge, token=token, chain=world.chain())
    assert refused(world, replace(relayed, ak_public=world.device.ak.encode())).code is (
        RefusalCode.QUOTE_SIGNATURE_INVALID
    )


@pytest.mark.negative
@pytest.mark.check("A10")
def test_a_public_area_of_another_key_is_refused(world: World) -> None:
    message = replace(world.answer(), ak_public=AttestingDevice().ak.encode())
    assert refused(world, message).code is RefusalCode.AK_MISMATCH


@pytest.mark.negative
@pytest.mark.check("A5")
@pytest.mark.check("A23")
@pytest.mark.requirement("R94")
def test_a_recorded_quote_inside_a_fresh_exchange_is_refused(world: World) -> None:
    recorded = world.answer()
    fresh = world.answer()
    with_old_context = replace(
        recorded, challenge_token=fresh.challenge_token, pcr_values=recorded.pcr_values
    )
    assert refused(world, with_old_context).code is RefusalCode.NONCE_MISMATCH
    fresh = world.answer()
    with_new_context = replace(recorded, challenge_token=fresh.challenge_token, body=fresh.body)
    refusal = refused(world, with_new_context)
    assert refusal.code is RefusalCode.NONCE_MISMATCH


@pytest.mark.negative
@pytest.mark.check("A23")
def test_a_recorded_storage_key_or_counter_inside_a_fresh_exchange_is_refused(world: World) -> None:
    recorded = world.answer()
    for part in ("storage_key", "generation_counter"):
        spliced = replace(world.answer(), **{part: getattr(recorded, part)})
        assert refused(world, spliced).code is RefusalCode.NONCE_MISMATCH


@pytest.mark.negative
@pytest.mark.check("A8")
def test_pcr_values_that_the_quote_does_not_cover_are_refused(world: World) -> None:
    message = world.answer()
    values = {bank: dict(of_bank) for bank, of_bank in message.pcr_values.items()}
    values[11][4] = bytes(32)
    assert refused(world, replace(message, pcr_values=values)).code is RefusalCode.PCR_VALUES_MISMATCH


@pytest.mark.negative
@pytest.mark.check("A7")
def test_a_quote_over_other_pcrs_is_refused(world: World) -> None:
    token, challenge = world.challenge()
    chain = world.chain()
    narrower = replace(challenge, pcr_selections={11: (0, 1)})
    attest, signature = world.device.quote(narrower, body=challenge.context())
    message = world.device.evidence(challenge, token=token, chain=chain)
    message = replace(message, attest=attest, signature=signature)
    assert refused(world, message).code is RefusalCode.SELECTION_MISMATCH


# 5 replay


@pytest.mark.negative
@pytest.mark.check("A18")
def test_a_log_that_does_not_reach_the_quote_is_refused_on_record(world: World) -> None:
    request_id = world.ask()
    message = world.answer()
    shorter = replace(world.device, boot=world.device.boot[:-1]).boot_log
    assert refused(world, replace(message, boot_log=shorter)).code is RefusalCode.BOOT_LOG_MISMATCH
    (told,) = world.desk.progress(request_id, tenant=TENANT, at=NOW).refusals
    assert told.authenticated
    assert "PCR 14" in told.subject


# 6 appraise: what is not a finding


@pytest.mark.negative
@pytest.mark.check("A26")
def test_one_ak_under_two_devices_raises_an_alarm(world: World) -> None:
    world.validate(world.answer())
    clone = replace(world.device, ek_seed=b"a clone")
    message = world.answer(clone)
    assert refused(world, message).code is RefusalCode.IDENTITY_CONFLICT


@pytest.mark.negative
@pytest.mark.check("A29")
def test_an_older_manifest_than_the_last_accepted_one_is_refused(world: World) -> None:
    world.validate(world.answer())
    older = replace(world.state, svn=2)
    device = world.device.later()
    token, challenge = world.challenge(device=device)
    chain = world.chain(device=device, plan=CredentialPlan(state=older))
    message = device.evidence(challenge, token=token, chain=chain)
    assert refused(world, message).code is RefusalCode.MANIFEST_ROLLBACK


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R79")
def test_a_manifest_that_is_not_the_one_named_is_refused(world: World) -> None:
    swapped = replace(world.state, manifest_id="release-2")
    chain = world.chain(plan=CredentialPlan(state=swapped))
    message = replace(world.answer(), pfc_chain=tuple(chain))
    assert refused(world, message).code is RefusalCode.MANIFEST_MISMATCH


# 7 sign


@pytest.mark.check("A27")
@pytest.mark.requirement("R81")
def test_a_result_lives_no_longer_than_the_status_of_its_credential(world: World) -> None:
    assert verified(world, world.validate(world.answer()).token).expires_at == NOW + timedelta(minutes=5)
    world.status = good(NOW, life=timedelta(seconds=40))
    shorter = verified(world, world.validate(world.answer(world.device.later())).token)
    assert shorter.expires_at == NOW + timedelta(seconds=40)


@pytest.mark.negative
@pytest.mark.check("A25")
def test_the_model_is_read_from_the_credential(world: World) -> None:
    token, challenge = world.challenge()
    chain = world.chain(plan=CredentialPlan(state=world.state, model_number=2))
    result = world.validate(world.device.evidence(challenge, token=token, chain=chain))
    assert result.status == "contraindicated"
    codes = {each.code for each in verified(world, result.token).submodules["platform"].findings}
    assert codes == {"model-mismatch"}


@pytest.mark.check("A27")
def test_a_result_lives_no_longer_than_the_window_of_its_manifest(world: World) -> None:
    closing = reference_manifest(world.device, id="closing", valid_to=NOW + timedelta(seconds=30))
    state = world.publish(world.sign(closing))
    token, challenge = world.challenge()
    chain = world.chain(plan=CredentialPlan(state=state))
    result = world.validate(world.device.evidence(challenge, token=token, chain=chain))
    assert verified(world, result.token).expires_at == NOW + timedelta(seconds=30)


@pytest.mark.negative
@pytest.mark.check("A27")
def test_a_result_without_any_life_left_is_not_signed(world: World) -> None:
    world.status = good(NOW, life=timedelta(milliseconds=500))
    assert refused(world, world.answer()).code is RefusalCode.STATUS_UNAVAILABLE


# 8 record, and any exception


@pytest.mark.negative
@pytest.mark.check("A24")
def test_any_exception_is_a_refusal_that_signs_nothing(world: World) -> None:
    request_id = world.ask()
    message = world.answer()
    failing = replace(world.verifier, status_of=broken)
    with pytest.raises(ZeroDivisionError):
        failing.validate_platform(encode_evidence(message), at=NOW)
    assert not world.store.results
    assert not world.store.histories
    (told,) = world.desk.progress(request_id, tenant=TENANT, at=NOW).refusals
    assert told.code == "verifier-malfunction"


def broken(*_: object) -> Any:
    raise ZeroDivisionError


@pytest.mark.negative
@pytest.mark.check("A24")
def test_a_history_that_moved_meanwhile_takes_the_result_back(world: World) -> None:
    world.validate(world.answer())
    message = world.answer(world.device.later())
    known = world.store.histories[world.device.device_id]
    seen: list[object] = []

    def meanwhile(request_id: str, *, device_id: str, at: datetime) -> Any:
        del at
        seen.append(device_id)
        world.store.histories[device_id] = replace(known, revision=known.revision + len(seen))
        return world.store.requests[request_id], known

    world.store.open_request = meanwhile
    with pytest.raises(RefusalError) as caught:
        world.validate(message)
    assert caught.value.code is RefusalCode.CONCURRENT_VALIDATION
    assert len(world.store.results) == 1
