"""Whatever stands in a TRE's file, or comes as a token, gives a value or the TRE's own error, never another."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.errors import StateError, TreError
from m2me_agent.tre.lifecycle import MidState
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.orders import OrderBook
from m2me_agent.tre.sequence_numbers import SequenceNumbers
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tombstones import Grave, Graves, Tombstone
from m2me_agent.tre.vault_record import (
    Compartment,
    Installed,
    NextState,
    OpenCompartment,
    decode_compartment,
)
from messages.encoding import encode_deterministic
from messages.mid_package import ApprovedUse
from messages.registry import Transition
from tests.fakes.pki import Authority
from tests.fakes.tre import MemoryStorage

LEAVES = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.binary(max_size=40)
PLAIN = st.recursive(
    LEAVES | st.sampled_from(["INACTIVE", "sho-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 9), inner, max_size=9),
    max_leaves=10,
)
CONTENTS = st.binary(max_size=100) | PLAIN.map(encode_deterministic)
ROWS = st.builds(
    Installed,
    package_id=st.just("package-1"),
    package_digest=st.binary(min_size=32, max_size=32),
    order_digest=st.binary(min_size=32, max_size=32),
    mid_id=st.sampled_from(["mid-1", "mid-2"]),
    state=st.sampled_from([MidState.INACTIVE, MidState.ACTIVE, MidState.BLOCKED]),
    generation=st.integers(0, 1 << 40),
    tre_nonce=st.binary(min_size=32, max_size=32),
    version=st.integers(0, 9),
    is_answered=st.booleans(),
    reason=st.sampled_from(["", "owner"]),
)
TRANSITIONS = st.builds(
    Transition,
    number=st.integers(0, 1 << 40),
    mid_id=st.just("mid-1"),
    event=st.just("erase"),
    state=st.just("ERASED"),
    clock_ms=st.integers(0, 1 << 40),
    reset_count=st.integers(0, 9),
)
TOMBSTONES = st.builds(
    Tombstone,
    mid_id=st.just("mid-3"),
    package_id=st.just("package-3"),
    order_digest=st.binary(min_size=32, max_size=32),
    version=st.integers(0, 9),
    reason=st.just("moved"),
    clock_ms=st.integers(0, 1 << 40),
    reset_count=st.integers(0, 9),
    known_at=st.integers(0, 1 << 33),
    tre_nonce=st.binary(min_size=32, max_size=32),
    proof_nonce=st.binary(min_size=32, max_size=32),
)
GRAVES = st.lists(
    st.builds(
        Grave,
        sho=st.sampled_from(["sho-1", "sho-2"]),
        tombstone=TOMBSTONES,
        proof=st.binary(min_size=1, max_size=9),
    ),
    max_size=3,
)
APPROVALS = st.builds(
    ApprovedUse, approval=st.binary(min_size=1, max_size=9), delegation=st.binary(min_size=1, max_size=9)
)
NEXT_STATES = st.builds(
    NextState,
    manifest_digest=st.binary(min_size=32, max_size=32),
    generation=st.integers(0, 1 << 40),
    approvals=st.lists(APPROVALS, max_size=2).map(tuple),
)
COMPARTMENTS = st.builds(
    Compartment,
    sho=st.just("sho-1"),
    slot=st.integers(0, 7),
    storage_key_name=st.just(b"\x00\x0b" + bytes(32)),
    policy_root=st.just(b"root"),
    version=st.integers(0, 1 << 40),
    journal=st.lists(ROWS, max_size=2).map(tuple),
    approvals=st.lists(APPROVALS, max_size=2).map(tuple),
    next_state=st.none() | NEXT_STATES,
    transitions=st.lists(TRANSITIONS, max_size=2).map(tuple),
    tombstones=st.lists(TOMBSTONES, max_size=2).map(tuple),
)
OPEN = st.builds(
    OpenCompartment,
    visible=COMPARTMENTS,
    key=st.binary(min_size=32, max_size=32),
    contents=st.dictionaries(st.sampled_from(["mid-1", "mid-2"]), st.binary(min_size=1, max_size=9)),
)
TOKENS = OperatorTokens(
    anchors=Anchors(es_roots=(), operators_roots=(Authority.root().certificate,)),
    known_time=datetime(2026, 6, 1, tzinfo=UTC),
)


@given(OPEN, st.binary(min_size=12, max_size=12))
def test_every_compartment_comes_back(opened: OpenCompartment, nonce: bytes) -> None:
    sealed = opened.seal(nonce)
    decoded = decode_compartment(sealed.encode(), name="vault-0")
    assert decoded == sealed
    assert decoded.open(opened.key) == opened


@given(OPEN, st.binary(min_size=32, max_size=32))
def test_a_compartment_under_another_key_opens_with_either_and_no_third(
    opened: OpenCompartment, key: bytes
) -> None:
    sealed = opened.seal_anew(key, nonce=bytes(12), key_nonce=b"n" * 12)
    decoded = decode_compartment(sealed.encode(), name="vault-0")
    assert decoded == sealed
    assert decoded.open(opened.key) == decoded.open(key) == replace(opened, key=key)
    with contextlib.suppress(TreError):
        decoded.open(bytes(each ^ 1 for each in key))
        raise AssertionError("a third key opened it")


@given(GRAVES)
def test_every_grave_comes_back(graves: list[Grave]) -> None:
    storage = MemoryStorage()
    for each in graves:
        Graves(storage).add(each)
    newest = {(each.sho, each.tombstone.mid_id): each for each in graves}
    assert set(Graves(storage).all()) == set(newest.values())


@given(OPEN, st.data())
def test_every_changed_byte_of_a_compartment_is_found(opened: OpenCompartment, data: st.DataObject) -> None:
    content = bytearray(opened.seal(bytes(12)).encode())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decode_compartment(bytes(content), name="vault-0").open(opened.key)
    except TreError:
        return
    raise AssertionError("a changed file was opened")


@given(CONTENTS)
def test_any_file_gives_a_value_or_the_own_error(content: bytes) -> None:
    storage = MemoryStorage()
    for name in ("orders", "sequence-numbers", "exchanges", "graves"):
        storage.write(name, content)
    with contextlib.suppress(StateError):
        decode_compartment(content, name="vault-0")
    with contextlib.suppress(StateError):
        OrderBook(storage).all()
    with contextlib.suppress(StateError):
        Graves(storage).all()
    with contextlib.suppress(StateError):
        SequenceNumbers(storage).of("pcid/1")
    with contextlib.suppress(StateError):
        TreState(storage).exchanges()


@given(st.text(st.sampled_from("eyJ0.-_={}[]\u00e9\x00"), max_size=40))
@example("e30.e30.e30")
@example("eyJ4NWMiOlsiISJdfQ.eyJpYXQiOjF9.AA")
@example("eyJ4NWMiOlsiISJdfQ.eyJpYXQiOjk5OTk5OTk5OTk5OTk5fQ.AA")
def test_any_text_as_a_token_gives_the_own_error(text: str) -> None:
    for read in (
        TOKENS.connectivity,
        TOKENS.order,
        TOKENS.discovery,
        TOKENS.package,
        TOKENS.delivery,
        TOKENS.instruction,
        TOKENS.registry_query,
        TOKENS.ownership,
    ):
        try:
            read(text)
        except TreError:
            continue
        raise AssertionError("somebody's token was believed")
