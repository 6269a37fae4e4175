"""Receipts: believed for the TRE's signature in the delivered platform's state, kept, and forwarded unmodified."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from edge.database import transaction
from messages.statement import decode_statement
from operators.dpf import schema
from operators.dpf.receipts import FORWARDED_AT_ONCE_MAX, FORWARDED_FOR, NotTakenError
from operators.dpf.records import AuthorizationStatus, ReceiptRecord
from operators.dpf.refusals import RefusalCode, RefusalError
from operators.dpf.store_rows import row_of_receipt
from tests.fakes.attesting_device import AttestingDevice, measurements
from tests.fakes.dpf_counterparts import DpfRoom
from tests.fakes.pki import NOW
from tests.unit.operators.dpf.room import PARTS, SECOND, WORLD, authorize, come, granted, new_room

INSTALLED = WORLD.receipt(PARTS.package)
GOOD = WORLD.statement(INSTALLED)


@pytest.fixture
def room() -> DpfRoom:
    made = new_room()
    authorize(made)
    return made


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(RefusalError) as caught:
        call()
    assert caught.value.remedy
    return caught.value.code


def status(room: DpfRoom) -> AuthorizationStatus:
    record = room.store.newest_authorization(WORLD.device.device_id, WORLD.order.digest)
    assert record is not None
    return record.status


@pytest.mark.requirement("R98")
@pytest.mark.requirement("R99")
def test_a_good_receipt_goes_to_the_operator_as_it_is_and_its_instruction_comes_back(room: DpfRoom) -> None:
    delivery, _ = granted(room)
    record = room.receipts.take(delivery.id, GOOD, at=NOW)
    assert (record.outcome, record.instruction) == ("installed", "an instruction")
    (brought,) = room.sho.brought
    assert brought.statement == GOOD
    assert brought.order_digest == WORLD.order.digest
    assert brought.fresh_result == next(iter(room.pva.answers.values()))
    assert status(room) is AuthorizationStatus.INSTALLED


@pytest.mark.requirement("R98")
def test_the_same_receipt_again_gives_the_stored_answer(room: DpfRoom) -> None:
    delivery, _ = granted(room)
    first = room.receipts.take(delivery.id, GOOD, at=NOW)
    room.sho.instruction = "another instruction"
    assert room.receipts.take(delivery.id, GOOD, at=NOW + SECOND) == first
    assert len(room.sho.brought) == 1


@pytest.mark.requirement("R99")
def test_a_second_word_of_the_same_outcome_gets_an_instruction_of_its_own(room: DpfRoom) -> None:
    delivery, _ = granted(room)
    room.receipts.take(delivery.id, GOOD, at=NOW)
    again = WORLD.statement(WORLD.receipt(PARTS.package, tre_nonce=b"\x01" * 32))
    room.sho.instruction = "for the second nonce"
    assert room.receipts.take(delivery.id, again, at=NOW).instruction == "for the second nonce"


@pytest.mark.negative
@pytest.mark.requirement("R99")
def test_a_receipt_outlives_the_absence_of_its_operator(room: DpfRoom) -> None:
    delivery, _ = granted(room)
    room.sho.away = True
    record = room.receipts.take(delivery.id, GOOD, at=NOW)
    assert (record.forwarded_at, record.instruction) == (None, None)
    assert status(room) is AuthorizationStatus.INSTALLED
    room.receipts.forward_waiting(at=NOW)
    room.sho.away = False
    room.receipts.forward_waiting(at=NOW + SECOND)
    room.receipts.forward_waiting(at=NOW + 2 * SECOND)
    assert [each.statement for each in room.sho.brought] == [GOOD]
    record = room.receipts.take(delivery.id, GOOD, at=NOW + 3 * SECOND)
    assert (record.forwarded_at, record.instruction) == (NOW + SECOND, "an instruction")


class Operators:
    """One takes what it gets, one is silent, one refuses; counts the calls of each."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def bring_receipt(self, receipt: ReceiptRecord) -> str | None:
        self.calls.append(receipt.sho)
        if receipt.sho != "sho-good":
            raise NotTakenError(receipt.sho, is_silent=receipt.sho == "sho-silent")
        return None


@pytest.mark.negative
@pytest.mark.requirement("R99")
def test_an_operator_that_takes_nothing_holds_up_no_other(room: DpfRoom) -> None:
    delivery, _ = granted(room)
    room.sho.away = True
    first = room.receipts.take(delivery.id, GOOD, at=NOW)
    with transaction(room.engine) as connection:
        connection.execute(sa.delete(schema.receipts))
        for number in range(3 * FORWARDED_AT_ONCE_MAX):
            sho = ("sho-silent", "sho-refusing")[number % 2]
            record = replace(first, digest=number.to_bytes(32), sho=sho)
            connection.execute(sa.insert(schema.receipts).values(**row_of_receipt(record)))
        newest = replace(first, digest=b"\xff" * 32, sho="sho-good", received_at=NOW + SECOND)
        connection.execute(sa.insert(schema.receipts).values(**row_of_receipt(newest)))
    operators = Operators()
    desk = replace(room.receipts, operators=operators)
    desk.forward_waiting(at=NOW + 2 * SECOND)
    assert room.store.receipt(newest.digest) == replace(newest, forwarded_at=NOW + 2 * SECOND)
    assert (operators.calls.count("sho-silent"), operators.calls.count("sho-good")) == (1, 1)
    assert operators.calls.count("sho-refusing") == 150
    desk.forward_waiting(at=NOW + 2 * FORWARDED_FOR)
    assert len(operators.calls) == 152


def flipped(statement: bytes, part: str) -> bytes:
    signed = decode_statement(statement)
    data: bytes = getattr(signed, part)
    changed: dict[str, Any] = {part: data[:-1] + bytes([data[-1] ^ 1])}
    return replace(signed, **changed).encode()


FORGED: Mapping[str, tuple[bytes, RefusalCode]] = {
    "no statement": (b"\x00", RefusalCode.RECEIPT_MALFORMED),
    "a cut statement": (GOOD[:-1], RefusalCode.RECEIPT_MALFORMED),
    "another body than was signed": (
        replace(
            decode_statement(WORLD.statement(WORLD.receipt(PARTS.package, outcome="storage"))),
            body=INSTALLED.encode(),
        ).encode(),
        RefusalCode.RECEIPT_INVALID,
    ),
    "another signature": (flipped(GOOD, "signature"), RefusalCode.RECEIPT_INVALID),
    "another attest": (flipped(GOOD, "attest"), RefusalCode.RECEIPT_INVALID),
    "another nonce": (WORLD.statement(INSTALLED, nonce=b"\x01" * 32), RefusalCode.RECEIPT_INVALID),
    "another device's AK": (
        WORLD.statement(INSTALLED, device=AttestingDevice()),
        RefusalCode.RECEIPT_INVALID,
    ),
    "another package": (
        WORLD.statement(WORLD.receipt(PARTS.package, package_digest=b"\x01" * 32)),
        RefusalCode.RECEIPT_MISMATCH,
    ),
    "another order": (
        WORLD.statement(WORLD.receipt(PARTS.package, order_digest=b"\x01" * 32)),
        RefusalCode.RECEIPT_MISMATCH,
    ),
    "another device": (
        WORLD.statement(WORLD.receipt(PARTS.package, device_id="ab" * 32)),
        RefusalCode.RECEIPT_MISMATCH,
    ),
    "another MID": (
        WORLD.statement(WORLD.receipt(PARTS.package, mid_id="mid-2")),
        RefusalCode.RECEIPT_MISMATCH,
    ),
}


@pytest.mark.negative
@pytest.mark.requirement("R98")
def test_an_agent_that_forges_success_is_refused(room: DpfRoom) -> None:
    delivery, _ = granted(room)
    codes = {
        what: refused(functools.partial(room.receipts.take, delivery.id, statement, at=NOW))
        for what, (statement, _) in FORGED.items()
    }
    assert codes == {what: code for what, (_, code) in FORGED.items()}
    assert room.sho.brought == []
    assert status(room) is AuthorizationStatus.GRANTED
    # the genuine one is still welcome
    assert room.receipts.take(delivery.id, GOOD, at=NOW).outcome == "installed"


@pytest.mark.negative
@pytest.mark.requirement("R98")
def test_a_receipt_from_another_state_is_no_success(room: DpfRoom) -> None:
    delivery, _ = granted(room)
    changed = replace(WORLD.device, boot=tuple(measurements(kernel=b"another kernel")))
    statement = WORLD.statement(INSTALLED, device=changed)
    take = lambda: room.receipts.take(delivery.id, statement, at=NOW)  # noqa: E731
    assert refused(take) == RefusalCode.RECEIPT_STATE_CHANGED
    assert room.sho.brought == []
    assert status(room) is AuthorizationStatus.OPEN
    assert come(room, at=NOW + SECOND).id != delivery.id


@pytest.mark.negative
def test_nothing_delivered_nothing_receipted(room: DpfRoom) -> None:
    delivery = come(room)
    assert refused(lambda: room.receipts.take(delivery.id, GOOD, at=NOW)) == RefusalCode.NOT_GRANTED
    assert refused(lambda: room.receipts.take("none", GOOD, at=NOW)) == RefusalCode.NOT_FOUND


@pytest.mark.requirement("R98")
def test_a_failure_that_a_new_try_can_mend_opens_the_authorisation_three_times_at_most(
    room: DpfRoom,
) -> None:
    at, outcomes = NOW, ["state-refused", "storage", "state-refused"]
    for number, outcome in enumerate(outcomes, start=1):
        at = NOW + number * 2 * SECOND
        delivery, grant = granted(room, at=at)
        assert grant.grant.number == number
        said = WORLD.receipt(PARTS.package, outcome=outcome, detail="why", tre_nonce=bytes([number]) * 32)
        room.receipts.take(delivery.id, WORLD.statement(said), at=at)
    assert status(room) is AuthorizationStatus.CLOSED
    later = at + timedelta(minutes=1)
    assert refused(lambda: come(room, at=later)) == RefusalCode.AUTHORIZATION_CLOSED
    assert [each.outcome for each in room.sho.brought] == outcomes


@pytest.mark.requirement("R98")
@pytest.mark.parametrize("outcome", ["package-refused", "order-refused", "replayed", "content-refused"])
def test_any_other_failure_closes_it(room: DpfRoom, outcome: str) -> None:
    delivery, _ = granted(room)
    said = WORLD.receipt(PARTS.package, outcome=outcome, detail="why")
    assert room.receipts.take(delivery.id, WORLD.statement(said), at=NOW).outcome == outcome
    assert refused(lambda: come(room, at=NOW + SECOND)) == RefusalCode.AUTHORIZATION_CLOSED


@pytest.mark.negative
def test_a_replayed_failure_spends_nothing(room: DpfRoom) -> None:
    delivery, _ = granted(room)
    failed = WORLD.statement(WORLD.receipt(PARTS.package, outcome="storage"))
    room.receipts.take(delivery.id, failed, at=NOW)
    second, _ = granted(room, at=NOW + SECOND)
    record = room.receipts.take(second.id, failed, at=NOW + SECOND)
    assert record.delivery_id == delivery.id
    assert status(room) is AuthorizationStatus.GRANTED


def test_an_installation_counts_also_after_the_grants_end(room: DpfRoom) -> None:
    delivery, grant = granted(room)
    late = grant.grant.expires_at + SECOND
    come(room, at=late)
    assert room.receipts.take(delivery.id, GOOD, at=late + SECOND).outcome == "installed"
    assert refused(lambda: come(room, at=late + 2 * SECOND)) == RefusalCode.ORDER_INSTALLED
    anew = WORLD.parts(changed={"authorization": {"jti": "authorization-2"}})
    assert refused(lambda: authorize(room, anew)) == RefusalCode.ORDER_INSTALLED


@pytest.mark.negative
def test_a_tre_that_said_installed_cannot_say_failed(room: DpfRoom) -> None:
    delivery, _ = granted(room)
    room.receipts.take(delivery.id, GOOD, at=NOW)
    failed = WORLD.statement(WORLD.receipt(PARTS.package, outcome="storage"))
    take = lambda: room.receipts.take(delivery.id, failed, at=NOW)  # noqa: E731
    assert refused(take) == RefusalCode.RECEIPT_CONFLICT
    assert status(room) is AuthorizationStatus.INSTALLED
