"""The DRF's use cases: who is attached, whose device it is, one registration, a relay that sees nothing."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from edge.database import transaction
from messages import discovery as discoveries
from messages.device_code import device_code
from messages.discovery import DISCOVERY_KIND, Discovery
from messages.operator_token import verify_operator_token
from operators.drf import schema
from operators.drf.discovery import Question, choose
from operators.drf.refusals import REFUSALS, RefusalCode, RefusalError
from operators.drf.registrations import RegistrationWish
from operators.drf.store import REGISTRATIONS_MAX
from tests.fakes.pki import NOW
from tests.unit.operators.drf.room import ATTACHMENT, DEVICE, KNOWN, OPERATORS_ROOT, PCID, DrfRoom, proven

CODE = device_code(DEVICE)
WISH = RegistrationWish(
    pcid=PCID, device_id=DEVICE, sho="sho-1", pfc_chain=(b"pfc", b"issuing ca"), ak_public=b"ak"
)
QUESTION = Question(device_id=DEVICE, nonce=b"\x01" * 32, supplier=None, choice=None)


@pytest.fixture
def room() -> DrfRoom:
    return DrfRoom()


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(RefusalError) as caught:
        call()
    assert caught.value.remedy
    return caught.value.code


def kinds(room: DrfRoom) -> list[str]:
    with transaction(room.engine, write=False) as connection:
        return [each.kind for each in schema.ledger.entries(connection)]


def answered(room: DrfRoom, question: Question, *, at: datetime = NOW) -> Discovery:
    """The answer, verified as a TRE does."""
    token = room.discovery.discover(question, at=at)
    signed = verify_operator_token(token, DISCOVERY_KIND, anchors=[OPERATORS_ROOT.certificate], at=NOW)
    return discoveries.read_claims(signed.claims)


# attachments


@pytest.mark.requirement("R90")
def test_the_device_behind_an_attached_pcid_is_known(room: DrfRoom) -> None:
    room.attachments.attached(ATTACHMENT, at=NOW)
    assert room.attachments.authenticate(proven(), at=NOW) == ATTACHMENT
    assert kinds(room) == ["attached"]


@pytest.mark.negative
@pytest.mark.requirement("R90")
def test_who_proves_no_present_attachment_is_nobody(room: DrfRoom) -> None:
    never = refused(lambda: room.attachments.authenticate(proven(), at=NOW))
    room.attachments.attached(ATTACHMENT, at=NOW)
    right = proven()
    tries = {
        "another PCID": replace(right, pcid="262019999000002"),
        "another body": replace(right, body=b"{} "),
        "another path": replace(right, path="/v1/registrations"),
        "another method": replace(right, method="PUT"),
        "another key": proven(key=b"\x01" * 32),
        "nobody's key": proven(key=bytes(32)),
    }
    codes = {why: refused(lambda: room.attachments.authenticate(each, at=NOW)) for why, each in tries.items()}  # noqa: B023
    assert {never, *codes.values()} == {RefusalCode.NOT_ATTACHED}
    late = ATTACHMENT.expires_at
    assert refused(lambda: room.attachments.authenticate(right, at=late)) == RefusalCode.NOT_ATTACHED


@pytest.mark.negative
@pytest.mark.requirement("R90")
def test_nobodys_key_opens_nothing_for_a_pcid_that_never_attached(room: DrfRoom) -> None:
    guess = proven(key=bytes(32))
    assert refused(lambda: room.attachments.authenticate(guess, at=NOW)) == RefusalCode.NOT_ATTACHED


@pytest.mark.negative
@pytest.mark.requirement("R90")
@pytest.mark.parametrize("ends_at", [NOW, NOW - timedelta(hours=1), NOW + timedelta(days=2)])
def test_an_attachment_that_is_not_now_is_not_taken(room: DrfRoom, ends_at: datetime) -> None:
    told = replace(ATTACHMENT, expires_at=ends_at)
    assert refused(lambda: room.attachments.attached(told, at=NOW)) == RefusalCode.ATTACHMENT_NOT_NOW
    assert refused(lambda: room.attachments.authenticate(proven(), at=NOW)) == RefusalCode.NOT_ATTACHED


def test_a_new_attachment_ends_the_key_of_the_one_before(room: DrfRoom) -> None:
    room.attachments.attached(ATTACHMENT, at=NOW)
    room.attachments.attached(replace(ATTACHMENT, key=b"\x02" * 32), at=NOW)
    assert refused(lambda: room.attachments.authenticate(proven(), at=NOW)) == RefusalCode.NOT_ATTACHED
    room.attachments.authenticate(proven(key=b"\x02" * 32), at=NOW)


@pytest.mark.negative
def test_one_icf_cannot_take_anothers_attachment(room: DrfRoom) -> None:
    room.attachments.attached(ATTACHMENT, at=NOW)
    other = replace(ATTACHMENT, icf="icf-2", key=b"\x02" * 32, expires_at=NOW + timedelta(hours=9))
    assert refused(lambda: room.attachments.attached(other, at=NOW)) == RefusalCode.ATTACHMENT_CONFLICT
    room.attachments.attached(other, at=ATTACHMENT.expires_at)


# discovery


@pytest.mark.requirement("R91")
@pytest.mark.parametrize(
    ("ordered", "choice", "default", "found"),
    [
        ({"sho-1"}, None, None, ("sho-1", "registered-order")),
        ({"sho-1"}, "sho-2", "sho-2", ("sho-1", "registered-order")),
        ({"sho-1", "sho-2"}, "sho-2", None, ("sho-2", "user-choice")),
        (set(), "sho-2", "sho-1", ("sho-2", "user-choice")),
        (set(), None, "sho-2", ("sho-2", "supplier-default")),
    ],
)
def test_order_before_choice_before_default(
    ordered: Collection[str], choice: str | None, default: str | None, found: tuple[str, str]
) -> None:
    assert choose(ordered, choice=choice, default=default, known=KNOWN) == found


@pytest.mark.negative
@pytest.mark.requirement("R91")
@pytest.mark.parametrize(
    ("ordered", "choice", "default", "code"),
    [
        ({"sho-1", "sho-2"}, None, "sho-1", RefusalCode.CONFLICTING_ORDERS),
        ({"sho-1", "sho-2"}, "sho-3", None, RefusalCode.CONFLICTING_ORDERS),
        (set(), "sho-3", "sho-1", RefusalCode.SHO_UNKNOWN),
        (set(), None, None, RefusalCode.NO_OPERATOR),
        (set(), None, "sho-9", RefusalCode.NO_OPERATOR),
    ],
)
def test_no_operator_is_guessed(
    ordered: Collection[str], choice: str | None, default: str | None, code: RefusalCode
) -> None:
    assert refused(lambda: choose(ordered, choice=choice, default=default, known=KNOWN)) == code


@pytest.mark.requirement("R91")
def test_the_answer_is_signed_for_this_device_and_nonce(room: DrfRoom) -> None:
    typed = CODE.lower().replace("-", "")
    for _ in range(2):
        room.discovery.announce("order-1", sho="sho-1", code=typed, sho_name="Operator", at=NOW)
    answer = answered(room, QUESTION)
    assert (answer.device_id, answer.nonce, answer.drf) == (DEVICE, QUESTION.nonce, "drf-1")
    assert (answer.sho, answer.sho_name, answer.source) == ("sho-1", "Operator sho-1", "registered-order")
    assert (answer.pva_url, answer.dpf_url) == ("https://pva.sho-1", "https://dpf.sho-1")
    assert kinds(room) == ["order-announced"]


@pytest.mark.negative
@pytest.mark.requirement("R91")
def test_orders_of_two_operators_need_the_users_choice(room: DrfRoom) -> None:
    for sho in ("sho-1", "sho-2"):
        room.discovery.announce("order-1", sho=sho, code=CODE, sho_name="Operator", at=NOW)
    assert refused(lambda: answered(room, QUESTION)) == RefusalCode.CONFLICTING_ORDERS
    assert answered(room, replace(QUESTION, choice="sho-2")).source == "user-choice"


@pytest.mark.requirement("R91")
def test_old_orders_and_other_devices_orders_do_not_count(room: DrfRoom) -> None:
    room.discovery.announce("order-1", sho="sho-1", code=CODE, sho_name="Operator", at=NOW)
    other = replace(QUESTION, device_id="e2" * 32)
    assert refused(lambda: answered(room, other)) == RefusalCode.NO_OPERATOR
    assert answered(room, replace(other, supplier="Acme")).source == "supplier-default"
    late = NOW + timedelta(days=30)
    assert refused(lambda: room.discovery.discover(QUESTION, at=late)) == RefusalCode.NO_OPERATOR


@pytest.mark.negative
def test_announcements_that_cannot_be_kept(room: DrfRoom) -> None:
    def announce(order_id: str = "order-1", *, sho: str = "sho-1", code: str = CODE) -> None:
        room.discovery.announce(order_id, sho=sho, code=code, sho_name="Operator", at=NOW)

    assert refused(lambda: announce(sho="sho-9")) == RefusalCode.SHO_UNKNOWN
    mistyped = ("Z" if CODE[0] != "Z" else "Y") + CODE[1:]
    assert refused(lambda: announce(code=mistyped)) == RefusalCode.DEVICE_CODE_INVALID
    announce()
    assert refused(lambda: announce(code=device_code("e2" * 32))) == RefusalCode.ORDER_CONFLICT


# registrations


@pytest.mark.requirement("R92")
def test_a_retry_makes_one_registration(room: DrfRoom) -> None:
    tokens = {room.registrations.register(WISH, idempotency_key="key-1", at=NOW) for _ in range(3)}
    assert tokens == {"order token 1"}
    assert room.operators.asked == [WISH]
    assert kinds(room) == ["registered"]
    kept = room.store.registration(PCID, "key-1")
    assert kept is not None
    assert (kept.device_id, kept.sho) == (DEVICE, "sho-1")
    assert room.store.add_registration(replace(kept, order="of a rival")) == kept


@pytest.mark.negative
def test_a_device_that_registers_without_end_costs_no_storage(room: DrfRoom) -> None:
    room.operators.always = "the order token"
    for number in range(REGISTRATIONS_MAX + 20):
        at = NOW + timedelta(seconds=number)
        room.registrations.register(WISH, idempotency_key=f"key-{number}", at=at)
    assert kinds(room) == ["registered"]
    kept = [
        number
        for number in range(REGISTRATIONS_MAX + 20)
        if room.store.registration(PCID, f"key-{number}") is not None
    ]
    assert kept == list(range(20, REGISTRATIONS_MAX + 20))


@pytest.mark.negative
@pytest.mark.requirement("R92")
@pytest.mark.parametrize(
    "changed",
    [{"device_id": "e2" * 32}, {"sho": "sho-2"}, {"ak_public": b"x"}, {"pfc_chain": (b"x",)}],
    ids=str,
)
def test_another_registration_under_the_same_key_is_refused(
    room: DrfRoom, changed: dict[str, object]
) -> None:
    room.registrations.register(WISH, idempotency_key="key-1", at=NOW)
    other = replace(WISH, **changed)  # type: ignore[arg-type]
    again = lambda: room.registrations.register(other, idempotency_key="key-1", at=NOW)  # noqa: E731
    assert refused(again) == RefusalCode.IDEMPOTENCY_CONFLICT


@pytest.mark.negative
def test_a_key_is_its_own_pcids(room: DrfRoom) -> None:
    room.registrations.register(WISH, idempotency_key="key-1", at=NOW)
    stranger = replace(WISH, pcid="262019999000002")
    assert room.registrations.register(stranger, idempotency_key="key-1", at=NOW) == "order token 2"


@pytest.mark.negative
def test_an_operator_that_is_away_or_unknown_registers_nobody(room: DrfRoom) -> None:
    def register(wish: RegistrationWish) -> str:
        return room.registrations.register(wish, idempotency_key="key-1", at=NOW)

    assert refused(lambda: register(replace(WISH, sho="sho-9"))) == RefusalCode.SHO_UNKNOWN
    room.operators.away = True
    assert refused(lambda: register(WISH)) == RefusalCode.SHO_UNAVAILABLE
    room.operators.away = False
    assert register(WISH) == "order token 1"


# relay


@pytest.mark.requirement("R93")
def test_a_relayed_request_is_its_operators_alone(room: DrfRoom) -> None:
    first = room.relay.relay("a JWS", token_digest=b"\x01" * 32, sho="sho-1", at=NOW)
    again = room.relay.relay("a JWS", token_digest=b"\x01" * 32, sho="sho-1", at=NOW)
    assert first == again
    told = room.relay.answer(first.request_id, sho="sho-1")
    assert (told.state, told.outcome, told.sealed) == ("completed", "pass", "a JWE")
    assert kinds(room) == ["relayed"]


@pytest.mark.negative
def test_orders_of_one_number_of_two_operators_are_two(room: DrfRoom) -> None:
    other = device_code("e2" * 32)
    room.discovery.announce("order-1", sho="sho-1", code=CODE, sho_name="Operator", at=NOW)
    room.discovery.announce("order-1", sho="sho-2", code=other, sho_name="Other", at=NOW)
    since = NOW - timedelta(days=1)
    assert room.store.operators_with_orders(CODE, since=since) == {"sho-1"}
    assert room.store.operators_with_orders(other, since=since) == {"sho-2"}


@pytest.mark.negative
@pytest.mark.requirement("R93")
def test_another_operator_sees_nothing_of_it(room: DrfRoom) -> None:
    relayed = room.relay.relay("a JWS", token_digest=b"\x01" * 32, sho="sho-1", at=NOW)
    assert refused(lambda: room.relay.answer(relayed.request_id, sho="sho-2")) == RefusalCode.NOT_FOUND
    assert refused(lambda: room.relay.answer("request-9", sho="sho-1")) == RefusalCode.NOT_FOUND
    taken = lambda: room.relay.relay("a JWS", token_digest=b"\x01" * 32, sho="sho-2", at=NOW)  # noqa: E731
    assert refused(taken) == RefusalCode.NOT_FOUND


def test_refusals_of_an_attached_device_are_kept_in_a_bounded_number(room: DrfRoom) -> None:
    room.attachments.attached(ATTACHMENT, at=NOW)
    for _ in range(40):
        room.store.record_device_refusal(pcid=PCID, route="r", code="c", detail="d", at=NOW)
    assert kinds(room).count("request-refused") == 32


def test_every_code_has_a_status_of_refusal_and_a_remedy() -> None:
    assert set(REFUSALS) == set(RefusalCode)
    assert all(int(rule.status) >= 400 and rule.remedy for rule in REFUSALS.values())
