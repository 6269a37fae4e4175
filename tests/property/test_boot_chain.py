"""Any log gives a boot chain, whose texts are measured whatever its carrier wrote."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from standards.boot_log.algorithms import BANKS, SHA256
from standards.boot_log.boot_chain import BOOT_CHAIN_PCRS, boot_chain
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import EV_EVENT_TAG, EV_IPL, EV_NO_ACTION, EVENT_TYPES, Event
from standards.boot_log.grub_prediction import GrubChange, predict_grub
from tests.unit.standards.boot_log.boot_chains import GRUB, STUB, file, log_of
from tests.unit.standards.boot_log.boot_chains import command as grub_command

LOG = log_of([*GRUB, *STUB])
TEXT = st.text(max_size=40)
DATA = st.one_of(
    st.binary(max_size=80),
    TEXT.map(lambda text: text.encode("utf-16-le", "surrogatepass")),
    TEXT.map(lambda text: b"grub_cmd: " + text.encode("utf-8", "surrogatepass")),
    st.sampled_from([event.data for event in LOG.events]),
)
MEASUREMENT = st.builds(
    Measurement,
    pcr=st.sampled_from(BOOT_CHAIN_PCRS),
    type=st.sampled_from([EV_IPL, EV_EVENT_TAG, *EVENT_TYPES]),
    data=DATA,
    measured=st.none() | DATA,
)


def texts_are_measured(log: EventLog) -> None:
    """Each link belongs to its event, and what it says was measured is what the digest covers."""
    by_number = {event.number: event for event in log.events}
    for link in boot_chain(log, bank=SHA256).links:
        assert link.digest == by_number[link.number].digests[SHA256]
        if link.text is not None:
            forms = [link.text.encode(coding) for coding in ("utf-8", "utf-16-le")]
            digests = [BANKS[SHA256].digest(form + bytes(nul)) for form in forms for nul in range(6)]
            assert link.digest in digests


@given(st.lists(MEASUREMENT, max_size=8))
def test_random_events_give_a_chain(measurements: list[Measurement]) -> None:
    boot_chain(build_event_log(measurements, algorithms=(SHA256,)), bank=SHA256)


@given(st.sampled_from(LOG.events), DATA)
def test_texts_of_an_edited_log_are_measured(event: Event, data: bytes) -> None:
    edited = tuple(replace(each, data=data) if each is event else each for each in LOG.events)
    texts_are_measured(replace(LOG, events=edited))


@given(st.sampled_from(LOG.events), st.integers(0, 400), st.integers(0, 255))
def test_one_changed_byte_and_every_length(event: Event, place: int, value: int) -> None:
    changed = bytearray(event.data)
    if changed:
        changed[place % len(changed)] = value
    edited = tuple(replace(each, data=bytes(changed)) if each is event else each for each in LOG.events)
    texts_are_measured(replace(LOG, events=edited))


def test_every_prefix_of_every_event() -> None:
    for event in LOG.events:
        for length in range(len(event.data)):
            cut = replace(event, data=event.data[:length])
            boot_chain(replace(LOG, events=(cut,)), bank=SHA256)


@given(st.sampled_from(LOG.events), st.sampled_from(sorted(EVENT_TYPES)))
def test_another_type_makes_no_other_text(event: Event, kind: int) -> None:
    edited = tuple(replace(each, type=kind) if each is event else each for each in LOG.events)
    texts_are_measured(replace(LOG, events=edited))
    assert kind != EV_NO_ACTION or all(
        link.number != event.number for link in boot_chain(replace(LOG, events=edited), bank=SHA256).links
    )


def test_many_commands_and_files_take_bounded_time() -> None:
    """A lookup each, not a search each."""
    commands = [grub_command("initrd " + " ".join(f"/{n}/{m}" for m in range(20))) for n in range(300)]
    files = [file(f"/{n % 300}/{n % 20}", b"") for n in range(3000)]
    assert len(boot_chain(log_of([*commands, *files]), bank=SHA256).links) == 3300


CHANGES = st.builds(
    GrubChange,
    texts=st.lists(
        st.tuples(st.sampled_from(["6.1", "boot", "o", "vda", "grub_cmd: "]), TEXT), max_size=2
    ).map(tuple),
    files=st.dictionaries(
        st.sampled_from(["/boot/os-6.1", "/boot/grub/grub.cfg", ""]), st.binary(max_size=4)
    ),
)


@given(st.lists(MEASUREMENT | st.sampled_from(GRUB), max_size=8), CHANGES)
def test_any_boot_is_made_again_or_refused(measurements: list[Measurement], change: GrubChange) -> None:
    log = build_event_log(measurements, algorithms=(SHA256,))
    try:
        made = predict_grub(log, banks=(SHA256,), change=change)
    except BootLogError:
        return
    texts_are_measured(replace(log, events=made.events))


@given(st.lists(MEASUREMENT, max_size=8))
def test_without_a_change_digests_stay(measurements: list[Measurement]) -> None:
    log = build_event_log(measurements, algorithms=(SHA256,))
    made = predict_grub(log, banks=(SHA256,), change=GrubChange())
    before = [each.digests for each in log.events if each.extended and each.pcr in (8, 9)]
    assert [each.digests for each in made.events] == before
