"""From authorisation to content: the way through the gate, and every way that ends before it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from edge.database import transaction
from edge.ledger_leaf import verify_entry
from messages import delivery as deliveries
from messages.delivery import DELIVERY_KIND
from messages.encoding import encode_deterministic
from messages.operator_token import verify_operator_token
from operators.dpf import schema
from operators.dpf.records import AuthorizationStatus
from operators.dpf.refusals import RefusalCode, RefusalError
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.fingerprints import certificate_der
from standards.pki.ocsp_answer import StatusKind
from standards.rats.ar4si import Tier
from tests.fakes.dpf_counterparts import DpfRoom
from tests.fakes.dpf_world import CONTENT, SHO, affirming
from tests.fakes.pki import NOW
from tests.fakes.pva_world import good, revoked
from tests.unit.operators.dpf.room import (
    PARTS,
    SECOND,
    WORLD,
    answer,
    authorize,
    body_of,
    come,
    granted,
    new_room,
)


@pytest.fixture
def room() -> DpfRoom:
    return new_room()


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(RefusalError) as caught:
        call()
    assert caught.value.remedy
    return caught.value.code


def told(room: DpfRoom) -> list[str]:
    """Codes that the SHO sees."""
    identity = room.store.newest_authorization(WORLD.device.device_id, WORLD.order.digest)
    assert identity is not None
    _, refusals = room.authorizations.show(identity.id, sho=SHO)
    return [each.code for each in refusals]


def leaves(room: DpfRoom) -> list[dict[str, Any]]:
    with transaction(room.engine, write=False) as connection:
        return [verify_entry(each) for each in schema.ledger.entries(connection)]


def status(room: DpfRoom) -> AuthorizationStatus:
    record = room.store.newest_authorization(WORLD.device.device_id, WORLD.order.digest)
    assert record is not None
    return record.status


@pytest.mark.requirement("R68")
@pytest.mark.requirement("R97")
def test_a_device_in_its_approved_state_gets_its_package(room: DpfRoom) -> None:
    authorize(room)
    delivery = come(room)
    (question,) = room.pva.asked.values()
    assert question.rp_nonce == delivery.nonce
    assert question.audience == ("dpf-1", "sho-1")
    assert question.order_digest == WORLD.order.digest
    assert room.releases.progress(delivery.id, at=NOW) is None
    answer(room, delivery)
    grant = room.releases.progress(delivery.id, at=NOW)
    assert grant is not None
    assert grant.package == PARTS.package
    signed = verify_operator_token(
        grant.grant.delivery, DELIVERY_KIND, anchors=[WORLD.operators.certificate], at=NOW
    )
    token = deliveries.read_claims(signed.claims)
    assert (token.grant_id, token.result_id) == (grant.grant.id, "fresh-1")
    assert token.package_digest == grant.grant.package_digest
    assert status(room) is AuthorizationStatus.GRANTED
    assert [each["kind"] for each in leaves(room)] == ["authorization-accepted", "delivery-opened", "grant"]
    assert leaves(room)[-1]["record"]["ak_name"] == WORLD.device.ak.name.hex()


@pytest.mark.requirement("R97")
def test_content_comes_in_chunks_from_any_offset(room: DpfRoom) -> None:
    authorize(room)
    delivery, grant = granted(room)
    assert grant.content_size == len(CONTENT)
    for offset in (0, 1, 1001, 7777, len(CONTENT) - 1):
        chunk = room.releases.content(delivery.id, offset=offset, at=NOW)
        assert chunk == CONTENT[offset : offset + 1000]
    for offset in (len(CONTENT), len(CONTENT) + 1):
        beyond = lambda: room.releases.content(delivery.id, offset=offset, at=NOW)  # noqa: B023, E731
        assert refused(beyond) == RefusalCode.OFFSET_BEYOND_CONTENT


@pytest.mark.requirement("R68")
def test_a_pushed_result_serves_as_well_as_a_fetched_one_and_only_for_its_own_delivery(room: DpfRoom) -> None:
    authorize(room)
    delivery = come(room)
    room.results.take(WORLD.signed_result(WORLD.fresh(nonce=b"\x99" * 32)), at=NOW)
    assert room.releases.progress(delivery.id, at=NOW) is None
    room.results.take(WORLD.signed_result(WORLD.fresh(nonce=delivery.nonce)), at=NOW)
    room.pva.away = True
    assert room.releases.progress(delivery.id, at=NOW) is not None


@pytest.mark.negative
@pytest.mark.requirement("R81")
def test_a_forged_result_is_not_kept(room: DpfRoom) -> None:
    authorize(room)
    delivery = come(room)
    forged = WORLD.signed_result(WORLD.fresh(nonce=delivery.nonce), by=WORLD.sho)
    assert refused(lambda: room.results.take(forged, at=NOW)) == RefusalCode.RESULT_INVALID
    assert room.releases.progress(delivery.id, at=NOW) is None


def test_repeats_change_nothing(room: DpfRoom) -> None:
    first = authorize(room)
    again, is_new = room.authorizations.accept(body_of(PARTS), sho=SHO, at=NOW + SECOND)
    assert (again.id, is_new) == (first.id, False)
    delivery = come(room)
    assert come(room, at=NOW + SECOND).id == delivery.id
    answer(room, delivery)
    grants = {room.releases.progress(delivery.id, at=NOW + n * SECOND).grant for n in range(3)}  # type: ignore[union-attr]
    assert len(grants) == 1
    assert come(room, at=NOW + 2 * SECOND).id == delivery.id
    assert len(room.pva.asked) == 1
    assert [each["kind"] for each in leaves(room)].count("grant") == 1


@pytest.mark.negative
def test_another_authorisation_under_the_same_id_is_a_conflict(room: DpfRoom) -> None:
    authorize(room)
    other = WORLD.parts(changed={"authorization": {"expires_at": NOW + timedelta(minutes=30)}})
    assert refused(lambda: authorize(room, other)) == RefusalCode.AUTHORIZATION_CONFLICT


@pytest.mark.negative
@pytest.mark.requirement("R96")
def test_a_forged_authorisation_is_not_stored(room: DpfRoom) -> None:
    forged = WORLD.parts(signers={"authorization": WORLD.pva})
    assert refused(lambda: authorize(room, forged)) == RefusalCode.AUTHORIZATION_INVALID
    assert refused(lambda: come(room)) == RefusalCode.NOTHING_AUTHORIZED
    assert leaves(room) == []


@pytest.mark.negative
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xa0",
        encode_deterministic({1: "a", 2: "b", 3: "c", 4: "d", 5: b""}),
        encode_deterministic({1: "a", 2: "b", 3: "c", 4: "d", 5: b"e", 6: 0}),
        body_of(PARTS)[:-1],
        body_of(PARTS) + b"\x00",
    ],
)
def test_a_malformed_authorisation_is_refused(room: DpfRoom, body: bytes) -> None:
    call = lambda: room.authorizations.accept(body, sho=SHO, at=NOW)  # noqa: E731
    assert refused(call) == RefusalCode.AUTHORIZATION_MALFORMED


@pytest.mark.negative
@pytest.mark.requirement("R60")
def test_nobody_else_is_served(room: DpfRoom) -> None:
    authorize(room)
    assert refused(lambda: come(room, device_id="ab" * 32)) == RefusalCode.NOTHING_AUTHORIZED
    assert refused(lambda: come(room, order_digest=b"\x01" * 32)) == RefusalCode.NOTHING_AUTHORIZED
    assert refused(lambda: room.releases.progress("no delivery", at=NOW)) == RefusalCode.NOT_FOUND
    assert refused(lambda: room.releases.content("none", offset=0, at=NOW)) == RefusalCode.NOT_FOUND


@pytest.mark.negative
def test_an_authorisation_is_its_own_operators_to_see(room: DpfRoom) -> None:
    record = authorize(room)
    assert refused(lambda: room.authorizations.show(record.id, sho="sho-2")) == RefusalCode.NOT_FOUND
    assert room.authorizations.show(record.id, sho=SHO) == (record, ())


@pytest.mark.negative
@pytest.mark.requirement("R68")
def test_no_byte_leaves_before_the_grant(room: DpfRoom) -> None:
    authorize(room)
    delivery = come(room)
    assert refused(lambda: room.releases.content(delivery.id, offset=0, at=NOW)) == RefusalCode.NOT_GRANTED
    answer(room, delivery)
    assert refused(lambda: room.releases.content(delivery.id, offset=0, at=NOW)) == RefusalCode.NOT_GRANTED


@pytest.mark.negative
@pytest.mark.requirement("R68")
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"nonce": b"\x01" * 32}, RefusalCode.FRESH_RESULT_MISMATCH),
        ({"submodules": affirming(platform=Tier.CONTRAINDICATED)}, RefusalCode.FRESH_RESULT_NOT_AFFIRMING),
        ({"pcr_digest": bytes(32)}, RefusalCode.STATE_CHANGED),
        ({"expires_at": NOW + SECOND}, RefusalCode.FRESH_RESULT_INVALID),
    ],
)
def test_a_platform_that_changed_since_step_10_gets_nothing(
    room: DpfRoom, changed: dict[str, Any], code: RefusalCode
) -> None:
    authorize(room)
    delivery = come(room)
    answer(room, delivery, **changed)
    later = NOW + 2 * SECOND
    assert refused(lambda: room.releases.progress(delivery.id, at=later)) == code
    assert told(room) == [code]
    assert refused(lambda: room.releases.progress(delivery.id, at=later)) == RefusalCode.DELIVERY_CLOSED
    content = lambda: room.releases.content(delivery.id, offset=0, at=later)  # noqa: E731
    assert refused(content) == RefusalCode.DELIVERY_CLOSED
    assert leaves(room)[-1]["record"]["code"] == code


@pytest.mark.requirement("R68")
def test_a_platform_that_is_in_its_approved_state_again_is_granted_on_another_nonce(room: DpfRoom) -> None:
    authorize(room)
    delivery = come(room)
    answer(room, delivery, pcr_digest=bytes(32))
    assert refused(lambda: room.releases.progress(delivery.id, at=NOW)) == RefusalCode.STATE_CHANGED
    second, _ = granted(room, at=NOW + SECOND)
    assert second.nonce != delivery.nonce


@pytest.mark.negative
@pytest.mark.requirement("R27")
@pytest.mark.parametrize(
    ("said", "code"),
    [
        (revoked(Revocation(reason=RevocationReason.KEY_COMPROMISE, at=NOW)), RefusalCode.PFC_REVOKED),
        (revoked(Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=NOW)), RefusalCode.PFC_ON_HOLD),
        (replace(good(NOW), kind=StatusKind.REVOKED), RefusalCode.PFC_REVOKED),
        (replace(good(NOW), kind=StatusKind.UNKNOWN), RefusalCode.PFC_UNKNOWN),
    ],
)
def test_ocsp_vetoes(room: DpfRoom, said: Any, code: RefusalCode) -> None:
    authorize(room)
    delivery = come(room)
    answer(room, delivery)
    room.status = said
    assert refused(lambda: room.releases.progress(delivery.id, at=NOW)) == code
    assert told(room) == [code]


@pytest.mark.negative
@pytest.mark.requirement("R28")
def test_a_suspension_stops_a_delivery_after_the_validation_and_its_end_lets_the_order_go_on(
    room: DpfRoom,
) -> None:
    authorize(room)
    at_the_ca = come(room)
    answer(room, at_the_ca)
    room.status = revoked(Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=NOW))
    assert refused(lambda: room.releases.progress(at_the_ca.id, at=NOW)) == RefusalCode.PFC_ON_HOLD
    assert (
        refused(lambda: room.releases.content(at_the_ca.id, offset=0, at=NOW)) == RefusalCode.DELIVERY_CLOSED
    )
    room.status = None
    # suspended at the PVA alone: it refuses the device, so no result of this question ever comes
    at_the_pva = come(room, at=NOW + SECOND)
    late = NOW + timedelta(minutes=6)
    assert refused(lambda: room.releases.progress(at_the_pva.id, at=late)) == RefusalCode.VALIDATION_EXPIRED
    assert set(told(room)) == {RefusalCode.PFC_ON_HOLD, RefusalCode.VALIDATION_EXPIRED}
    assert status(room) is not AuthorizationStatus.GRANTED
    _, grant = granted(room, at=late + SECOND)
    assert grant.package == PARTS.package
    assert status(room) is AuthorizationStatus.GRANTED


@pytest.mark.negative
@pytest.mark.requirement("R27")
@pytest.mark.parametrize(
    "silence",
    [
        RefusalError(RefusalCode.OCSP_UNAVAILABLE, subject="PfC", reason="silence"),
        good(NOW - timedelta(minutes=6)),
    ],
)
def test_a_silent_responder_delays_and_never_releases(room: DpfRoom, silence: Any) -> None:
    authorize(room)
    delivery = come(room)
    answer(room, delivery)
    room.status = silence
    with pytest.raises(RefusalError) as caught:
        room.releases.progress(delivery.id, at=NOW)
    assert caught.value.code == RefusalCode.OCSP_UNAVAILABLE
    assert caught.value.waiting_helps
    assert refused(lambda: room.releases.content(delivery.id, offset=0, at=NOW)) == RefusalCode.NOT_GRANTED
    room.status = None
    assert room.releases.progress(delivery.id, at=NOW) is not None


@pytest.mark.negative
def test_a_silent_pva_is_asked_again(room: DpfRoom) -> None:
    authorize(room)
    room.pva.away = True
    delivery = come(room)
    assert refused(lambda: room.releases.progress(delivery.id, at=NOW)) == RefusalCode.PVA_UNAVAILABLE
    room.pva.away = False
    assert room.releases.progress(delivery.id, at=NOW) is None
    answer(room, delivery)
    assert room.releases.progress(delivery.id, at=NOW) is not None
    assert told(room) == ["pva-unavailable"]


@pytest.mark.negative
def test_a_platform_that_never_answers_is_asked_anew(room: DpfRoom) -> None:
    authorize(room)
    delivery = come(room)
    late = NOW + timedelta(minutes=5)
    assert refused(lambda: room.releases.progress(delivery.id, at=late)) == RefusalCode.VALIDATION_EXPIRED
    second = come(room, at=late)
    assert second.id != delivery.id
    later = late + timedelta(minutes=6)
    assert come(room, at=later).id not in {delivery.id, second.id}
    assert told(room) == ["validation-expired", "validation-expired"]


@pytest.mark.negative
@pytest.mark.requirement("R60")
def test_an_answer_that_lives_longer_than_this_dpf_waits_is_not_now(room: DpfRoom) -> None:
    authorize(room)
    delivery = come(room)
    room.results.take(answer(room, delivery, expires_at=NOW + timedelta(hours=1)), at=NOW)
    late = NOW + timedelta(minutes=5)
    assert refused(lambda: room.releases.progress(delivery.id, at=late)) == RefusalCode.VALIDATION_EXPIRED
    assert come(room, at=late).id != delivery.id


def test_the_same_authorisation_is_the_same_also_when_its_result_has_ended(room: DpfRoom) -> None:
    first = authorize(room)
    again = room.authorizations.accept(body_of(PARTS), sho=SHO, at=NOW + timedelta(minutes=20))
    assert again == (first, False)


@pytest.mark.negative
def test_deliveries_do_not_follow_each_other_without_a_pause(room: DpfRoom) -> None:
    authorize(room)
    delivery = come(room)
    answer(room, delivery, pcr_digest=bytes(32))
    assert refused(lambda: room.releases.progress(delivery.id, at=NOW)) == RefusalCode.STATE_CHANGED
    assert refused(lambda: come(room)) == RefusalCode.TOO_SOON
    assert come(room, at=NOW + SECOND).id != delivery.id


@pytest.mark.negative
def test_what_ended_before_the_device_came_is_refused_at_its_door(room: DpfRoom) -> None:
    authorize(room)
    late = NOW + timedelta(hours=1)
    assert refused(lambda: come(room, at=late)) == RefusalCode.AUTHORIZATION_EXPIRED
    assert told(room) == ["authorization-expired"]
    assert room.pva.asked == {}


@pytest.mark.negative
def test_the_grant_ends_and_with_it_the_content(room: DpfRoom) -> None:
    authorize(room)
    delivery, grant = granted(room)
    assert grant.grant.expires_at == NOW + timedelta(minutes=4)
    end = grant.grant.expires_at
    for call in (
        lambda: room.releases.content(delivery.id, offset=0, at=end),
        lambda: room.releases.progress(delivery.id, at=end),
    ):
        assert refused(call) == RefusalCode.GRANT_EXPIRED


@pytest.mark.negative
@pytest.mark.check("A28")
def test_three_grants_at_most_each_on_a_validation_of_its_own(room: DpfRoom) -> None:
    authorize(room)
    at, seen = NOW, set()
    for number in (1, 2, 3):
        _, grant = granted(room, at=at)
        assert grant.grant.number == number
        seen.add(grant.grant.result_id)
        at = grant.grant.expires_at
    assert len(seen) == 3
    assert refused(lambda: come(room, at=at)) == RefusalCode.AUTHORIZATION_CLOSED
    assert status(room) is AuthorizationStatus.CLOSED


@pytest.mark.negative
@pytest.mark.check("A28")
def test_one_fresh_result_makes_one_grant(room: DpfRoom) -> None:
    authorize(room)
    _, grant = granted(room)
    later = grant.grant.expires_at
    second = come(room, at=later)
    answer(room, second, at=later, result_id=grant.grant.result_id)
    assert refused(lambda: room.releases.progress(second.id, at=later)) == RefusalCode.AUTHORIZATION_CLOSED
    assert (
        refused(lambda: room.releases.content(second.id, offset=0, at=later)) == RefusalCode.DELIVERY_CLOSED
    )
    assert told(room) == ["authorization-closed"]


@pytest.mark.check("A28")
def test_of_two_that_pass_the_gate_at_once_one_makes_the_grant(room: DpfRoom) -> None:
    authorize(room)
    delivery, grant = granted(room)
    rival = replace(grant.grant, id="rival", result_id="fresh-9")
    assert room.store.grant(rival, fresh_result="token") == grant.grant
    second = replace(delivery, id="second", nonce=b"\x02" * 32)
    assert room.store.add_delivery(second, pause=SECOND).id == delivery.id


@pytest.mark.negative
def test_a_new_authorisation_takes_the_place_of_the_one_before(room: DpfRoom) -> None:
    first = authorize(room)
    delivery, _ = granted(room)
    second = authorize(room, WORLD.parts(changed={"authorization": {"jti": "authorization-2"}}))
    content = lambda: room.releases.content(delivery.id, offset=0, at=NOW)  # noqa: E731
    assert refused(content) == RefusalCode.DELIVERY_CLOSED
    shown, _ = room.authorizations.show(first.id, sho=SHO)
    assert shown.status is AuthorizationStatus.CLOSED
    later: datetime = NOW + SECOND
    _, grant = granted(room, at=later)
    assert grant.grant.authorization_id == second.id


@pytest.mark.negative
@pytest.mark.requirement("R19")
@pytest.mark.requirement("R27")
@pytest.mark.requirement("R49")
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"models": {"1.2.3": 0}}, RefusalCode.SUPPLIER_NOT_RECOGNISED),
        ({"tre_level_min": 1}, RefusalCode.TRE_LEVEL_TOO_LOW),
    ],
)
def test_equipment_that_is_not_recognised_gets_nothing(
    room: DpfRoom, changed: dict[str, Any], code: RefusalCode
) -> None:
    authorize(room)
    delivery = come(room)
    answer(room, delivery)
    room.suppliers = [WORLD.recognised(**changed)]
    assert refused(lambda: room.releases.progress(delivery.id, at=NOW)) == code
    assert told(room) == [code]


@pytest.mark.negative
@pytest.mark.requirement("R27")
def test_an_order_without_a_platform_credential_gets_nothing(room: DpfRoom) -> None:
    authorize(room)
    other = WORLD.supplier.credential(WORLD.device.device_id, WORLD.device.ak_key.public_key())
    chains: dict[str, tuple[bytes, ...]] = {
        "pfc-invalid": (b"no certificate",),
        "pfc-mismatch": WORLD.supplier.chain(other),
        "supplier-not-recognised": (certificate_der(WORLD.operators.certificate),),
    }
    for number, (code, chain) in enumerate(chains.items()):
        at = NOW + number * SECOND
        delivery = come(room, at=at, pfc_chain=chain)
        answer(room, delivery)
        assert refused(lambda: room.releases.progress(delivery.id, at=at)) == code  # noqa: B023
