"""Any bytes in PCR 7 give facts or the package's own error, and no fact without a digest behind it."""

import uuid
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from standards.boot_log.algorithms import SHA256
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import (
    EV_EFI_VARIABLE_AUTHORITY,
    EV_EFI_VARIABLE_DRIVER_CONFIG,
    EV_NO_ACTION,
    EV_SEPARATOR,
    Event,
)
from standards.boot_log.payloads import signature_data, signature_list
from standards.boot_log.secure_boot import secure_boot_facts
from standards.boot_log.signature_lists import EFI_CERT_SHA256, SIGNATURE_DATA_SIZES, decode_signature_lists
from tests.unit.standards.boot_log.secure_boots import (
    DB,
    DB_VARIABLE,
    GOOD,
    IMAGES,
    OWNER,
    POLICY,
    authority,
    log_of,
    separator,
    variable,
)

LOG = log_of(GOOD)
TYPES = st.sampled_from([EV_EFI_VARIABLE_DRIVER_CONFIG, EV_EFI_VARIABLE_AUTHORITY, EV_SEPARATOR, 0x8000_1234])


def decoded(data: bytes) -> int | None:
    try:
        return len(decode_signature_lists(data))
    except BootLogError:
        return None


def with_data(log: EventLog, number: int, data: bytes) -> EventLog:
    """The log as a carrier may edit it: other data, the same digests."""
    events = [replace(each, data=data) if each.number == number else each for each in log.events]
    return replace(log, events=tuple(events))


@given(st.binary(max_size=200))
def test_random_bytes_are_lists_or_refused(data: bytes) -> None:
    decoded(data)


@given(st.uuids(), st.integers(17, 40), st.integers(1, 5), st.data())
def test_what_was_written_is_read(owner: uuid.UUID, size: int, count: int, data: st.DataObject) -> None:
    other = data.draw(st.uuids())
    assume(other not in SIGNATURE_DATA_SIZES)
    values = [data.draw(st.binary(min_size=size, max_size=size)) for _ in range(count)]
    lists = signature_list(other, [signature_data(owner, value) for value in values])
    assert [(each.owner, each.data) for each in decode_signature_lists(lists)] == [
        (owner, value) for value in values
    ]


def test_every_prefix_and_every_surplus_byte_of_lists_is_refused_or_fewer_lists() -> None:
    whole = decoded(DB)
    assert whole == 2
    assert [length for length in range(len(DB)) if decoded(DB[:length]) is not None] == [0, 28 + 36]
    assert all(decoded(DB + bytes([surplus])) is None for surplus in range(256))


@given(st.integers(0, len(DB) - 1), st.integers(0, 255))
def test_one_changed_byte_of_lists(place: int, value: int) -> None:
    changed = bytearray(DB)
    changed[place] = value
    count = decoded(bytes(changed))
    assert count is None or count <= len(DB) // 17


@given(st.lists(st.tuples(TYPES, st.binary(max_size=120)), max_size=6))
def test_random_events_of_pcr_7(events: list[tuple[int, bytes]]) -> None:
    measurements = [Measurement(pcr=7, type=kind, data=data) for kind, data in events]
    facts = secure_boot_facts(build_event_log(measurements, algorithms=(SHA256,)), bank=SHA256)
    assert facts.violations


@given(st.sampled_from(LOG.events), st.binary(max_size=120))
def test_edited_data_never_turns_into_facts_or_proofs(event: Event, data: bytes) -> None:
    number = event.number
    facts = secure_boot_facts(with_data(LOG, number, data), bank=SHA256)
    good = secure_boot_facts(LOG, bank=SHA256)
    assert not any(each.proven for each in facts.violations)
    assert set(facts.variables.items()) <= set(good.variables.items())
    assert {(each.number, each.content) for each in facts.authorities} <= {
        (each.number, each.content) for each in good.authorities
    }
    assert not any(each.in_db is False for each in facts.authorities)


@given(st.sampled_from(LOG.events), st.integers(0, 7), st.integers(0, 255))
def test_an_edited_type_or_length_proves_nothing(event: Event, place: int, value: int) -> None:
    assume(value != EV_NO_ACTION)  # such a log does not reach the quote any more
    number = event.number
    original = LOG.events[number - 1]
    changed = bytearray(original.data)
    changed[min(16 + place, len(changed) - 1)] = value  # the length of the name
    types = replace(original, type=value, data=bytes(changed))
    events = tuple(types if each.number == number else each for each in LOG.events)
    facts = secure_boot_facts(replace(LOG, events=events), bank=SHA256)
    assert not any(each.proven for each in facts.violations)


def test_many_authorities_of_a_long_db_take_bounded_time() -> None:
    """A lookup each, not a search each: 3000 authorities of 4000 entries are read in a moment."""
    values = [number.to_bytes(32, "big") for number in range(4000)]
    db = signature_list(EFI_CERT_SHA256, [signature_data(OWNER, value) for value in values])
    policy = [variable("db", db, vendor=IMAGES) if each is DB_VARIABLE else each for each in POLICY]
    vouched = [authority(signature_data(OWNER, value)) for value in values[:3000]]
    facts = secure_boot_facts(log_of([*policy, separator(), *vouched]), bank=SHA256)
    assert sum(each.in_db is True for each in facts.authorities) == 3000
