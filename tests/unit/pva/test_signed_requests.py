"""Signed requests: the signer is whose they are, whoever carries them; a relay learns pass or fail."""

import base64
import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from messages.sealed_result import open_sealed_result
from messages.validation_request import VALIDATION_REQUEST_OF_SHO
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RequestState
from pva.signed_requests import Caller
from standards.pki import oids
from tests.fakes.attesting_device import measurements
from tests.fakes.pki import LEAF_USAGE, NOW
from tests.fakes.pva_world import World
from tests.fakes.relying_parties import DPF, ORDER, RELAY, SHO, RelyingParties


@pytest.fixture(scope="module")
def made() -> RelyingParties:
    return RelyingParties(world=World())


@pytest.fixture
def parties(made: RelyingParties) -> RelyingParties:
    """The same keys with an empty store."""
    made.world.store = type(made.world.store)()
    return made


def asked_by(challenge: str) -> str:
    """Request id of a challenge."""
    payload = challenge.split(".")[1]
    request_id: str = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[
        "pva_request_id"
    ]
    return request_id


def refused(parties: RelyingParties, token: str, *, caller: Caller = SHO) -> RefusalCode:
    before = dict(parties.world.store.requests)
    with pytest.raises(RefusalError) as caught:
        parties.world.signed_desk.submit(token, caller=caller, at=NOW)
    assert parties.world.store.requests == before
    return caught.value.code


@pytest.mark.requirement("R93")
@pytest.mark.parametrize(("role", "caller"), [("sho", SHO), ("dpf", DPF), ("sho", RELAY), ("dpf", RELAY)])
def test_a_request_belongs_to_its_signer(parties: RelyingParties, role: str, caller: Caller) -> None:
    token = parties.token(role=role)
    request, new = parties.world.signed_desk.submit(token, caller=caller, at=NOW)
    assert new
    assert (request.party.role, request.tenant) == (role, f"{role}-1")
    assert (request.order_digest, request.audience) == (ORDER, ("sho-1", "dpf-1"))
    assert request.origin is not None
    assert request.origin.token == token
    assert request.expires_at == NOW + timedelta(minutes=5)


def test_the_same_request_again_is_the_same(parties: RelyingParties) -> None:
    asked = parties.question()
    tokens = [
        parties.signers["sho"].sign(asked.claims(), typ=VALIDATION_REQUEST_OF_SHO.typ) for _ in range(2)
    ]
    first, new = parties.world.signed_desk.submit(tokens[0], caller=SHO, at=NOW)
    again, new_again = parties.world.signed_desk.submit(tokens[1], caller=RELAY, at=NOW)
    assert (new, new_again) == (True, False)
    assert again == first
    assert tokens[0] != tokens[1], "the same claims under another signature"


@pytest.mark.negative
def test_an_id_with_another_content_is_refused(parties: RelyingParties) -> None:
    asked = parties.question()
    other = replace(asked, order_digest=b"\x0e" * 32, rp_nonce=b"\x77" * 32)
    sign = parties.signers["sho"].sign
    parties.world.signed_desk.submit(
        sign(asked.claims(), typ=VALIDATION_REQUEST_OF_SHO.typ), caller=SHO, at=NOW
    )
    token = sign(other.claims(), typ=VALIDATION_REQUEST_OF_SHO.typ)
    assert refused(parties, token) is RefusalCode.REQUEST_CONFLICT


@pytest.mark.negative
def test_a_nonce_is_used_once(parties: RelyingParties) -> None:
    first = parties.question()
    parties.ask(rp_nonce=first.rp_nonce)
    assert refused(parties, parties.token(rp_nonce=first.rp_nonce)) is RefusalCode.NONCE_REUSED


@pytest.mark.negative
@pytest.mark.requirement("R93")
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"pva": "pva-2"}, RefusalCode.REQUEST_FOR_ANOTHER_PVA),
        ({"expires_at": NOW}, RefusalCode.REQUEST_OUT_OF_TIME),
        ({"issued_at": NOW + timedelta(minutes=1)}, RefusalCode.REQUEST_OUT_OF_TIME),
        ({"requester": "sho-2", "audience": ("sho-2",)}, RefusalCode.REQUEST_UNTRUSTED),
        ({"audience": ("dpf-1",)}, RefusalCode.REQUEST_UNTRUSTED),
        ({"purpose": "recovery"}, RefusalCode.PURPOSE_NOT_OFFERED),
        ({"audience": ("sho-1", "\u202e")}, RefusalCode.REQUEST_UNTRUSTED),
    ],
)
def test_a_question_that_is_wrong_in_one_respect(
    parties: RelyingParties, changed: dict[str, Any], code: RefusalCode
) -> None:
    asked = parties.question(**changed)
    token = parties.signers["sho"].sign(asked.claims(), typ=VALIDATION_REQUEST_OF_SHO.typ)
    if "requester" in changed:
        forged = replace(parties.signers["sho"], issuer="sho-2")
        token = forged.sign(asked.claims(), typ=VALIDATION_REQUEST_OF_SHO.typ)
    assert refused(parties, token) is code


@pytest.mark.negative
@pytest.mark.requirement("R93")
@pytest.mark.parametrize(
    ("role", "caller", "code"),
    [
        ("sho", DPF, RefusalCode.REQUEST_UNTRUSTED),
        ("dpf", SHO, RefusalCode.REQUEST_UNTRUSTED),
        ("sho", Caller(role="sho", tenant="sho-2", name="other"), RefusalCode.REQUEST_OF_ANOTHER),
    ],
)
def test_nobody_but_a_relay_hands_in_another_partys(
    parties: RelyingParties, role: str, caller: Caller, code: RefusalCode
) -> None:
    assert refused(parties, parties.token(role=role), caller=caller) is code


@pytest.mark.negative
@pytest.mark.requirement("R93")
def test_what_a_relay_alters_or_signs_itself_is_refused(parties: RelyingParties) -> None:
    head, body, signature = parties.token().split(".")
    altered = f"{head}.{body[:-4]}{'AAAA' if body[-4:] != 'AAAA' else 'BBBB'}.{signature}"
    assert refused(parties, altered, caller=RELAY) is RefusalCode.REQUEST_UNTRUSTED
    relays_own = parties.signer("drf", "ro-1", oids.EKU_DISCOVERY)
    token = relays_own.sign(
        parties.question(requester="ro-1", audience=("ro-1",)).claims(), typ=VALIDATION_REQUEST_OF_SHO.typ
    )
    assert refused(parties, token, caller=RELAY) is RefusalCode.REQUEST_UNTRUSTED
    assert refused(parties, "", caller=RELAY) is RefusalCode.REQUEST_UNTRUSTED


@pytest.mark.negative
@pytest.mark.requirement("R93")
@pytest.mark.parametrize(
    "wrong",
    [
        {"eku": oids.EKU_SUBSCRIPTION},
        {"usage": LEAF_USAGE},
        {"name": "sho-2"},
        {"role": "dpf"},
    ],
    ids=["another purpose", "a signing key", "another operator's", "another role's"],
)
def test_results_are_sealed_only_for_the_signers_own_key(
    parties: RelyingParties, wrong: dict[str, Any]
) -> None:
    token = parties.token(encrypt_to=parties.encrypt_to(**wrong))
    assert refused(parties, token, caller=RELAY) is RefusalCode.ENCRYPTION_KEY_UNACCEPTABLE


@pytest.mark.negative
def test_what_is_no_certificate_is_no_key(parties: RelyingParties) -> None:
    token = parties.token(encrypt_to=b"no certificate")
    assert refused(parties, token) is RefusalCode.ENCRYPTION_KEY_UNACCEPTABLE


@pytest.mark.requirement("R93")
@pytest.mark.requirement("R95")
def test_a_relay_sees_pass_and_the_signer_what_is_sealed(parties: RelyingParties) -> None:
    desk = parties.world.signed_desk
    token = parties.token(encrypt_to=parties.encrypt_to())
    request, _ = desk.submit(token, caller=RELAY, at=NOW)
    waiting = desk.relayed(request.id, relay="ro-1", at=NOW)
    assert (waiting.state, waiting.outcome, waiting.sealed) == (RequestState.PENDING, None, None)
    signed = parties.world.validate(parties.world.answer())
    relayed = desk.relayed(request.id, relay="ro-1", at=NOW)
    assert (relayed.state, relayed.outcome) == (RequestState.COMPLETED, "pass")
    assert relayed.sealed is not None
    opened = open_sealed_result(relayed.sealed, key=parties.encryption_key)
    assert (opened.result, opened.refusals) == (signed.token, [])
    assert desk.progress(request.id, caller=SHO, at=NOW).result == signed.token


@pytest.mark.negative
@pytest.mark.requirement("R93")
def test_a_relay_sees_fail_for_a_platform_that_is_not_approved(parties: RelyingParties) -> None:
    desk = parties.world.signed_desk
    token = parties.token(encrypt_to=parties.encrypt_to())
    request, _ = desk.submit(token, caller=RELAY, at=NOW)
    changed = replace(parties.world.device, boot=tuple(measurements(kernel=b"another kernel")))
    assert parties.world.validate(parties.world.answer(changed)).status == "contraindicated"
    relayed = desk.relayed(request.id, relay="ro-1", at=NOW)
    assert relayed.outcome == "fail"
    assert "another" not in json.dumps(relayed.sealed)


@pytest.mark.negative
@pytest.mark.requirement("R95")
def test_the_reasons_of_a_request_that_expired_come_sealed_too(parties: RelyingParties) -> None:
    desk = parties.world.signed_desk
    token = parties.token(encrypt_to=parties.encrypt_to())
    request, _ = desk.submit(token, caller=RELAY, at=NOW)
    refusal = RefusalError(RefusalCode.PFC_REVOKED, subject="PfC", reason="keyCompromise")
    parties.world.store.record_refusal(request.id, refusal, authenticated=True, at=NOW)
    relayed = desk.relayed(request.id, relay="ro-1", at=NOW + timedelta(minutes=6))
    assert (relayed.state, relayed.outcome) == (RequestState.EXPIRED, None)
    assert relayed.sealed is not None
    opened = open_sealed_result(relayed.sealed, key=parties.encryption_key)
    assert opened.result is None
    assert [each["code"] for each in opened.refusals] == ["pfc-revoked"]


@pytest.mark.negative
@pytest.mark.requirement("R40")
def test_each_sees_only_its_own(parties: RelyingParties) -> None:
    desk = parties.world.signed_desk
    request_id = parties.ask()
    for caller in (DPF, Caller(role="sho", tenant="sho-2", name="other"), replace(SHO, role="dpf")):
        with pytest.raises(RefusalError) as caught:
            desk.progress(request_id, caller=caller, at=NOW)
        assert caught.value.code is RefusalCode.NOT_FOUND
    with pytest.raises(RefusalError) as caught:
        desk.relayed(request_id, relay="ro-1", at=NOW)
    assert caught.value.code is RefusalCode.NOT_FOUND


@pytest.mark.negative
def test_no_relying_party_keeps_a_device_from_another(parties: RelyingParties) -> None:
    world = parties.world
    for _ in range(world.desk.pending_max):
        parties.ask()
    assert refused(parties, parties.token()) is RefusalCode.TOO_MANY_REQUESTS
    lots = random.Random(33812)  # noqa: S311 - the same lots in every run
    desk = replace(world.desk, random_bytes=lots.randbytes)
    later = NOW + timedelta(seconds=1)
    token = parties.token(role="dpf", at=later)
    request, _ = world.signed_desk.submit(token, caller=DPF, at=later)
    drawn = {asked_by(desk.challenge(world.device.device_id, at=later)) for _ in range(16)}
    assert request.id in drawn
    assert len(drawn) == 2, "of the SHO's, the oldest alone waits for its turn"
