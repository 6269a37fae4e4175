"""Both sides of AKA: what a USIM takes, what it refuses, and how an AuC finds its way back."""

from dataclasses import replace

import pytest

from standards.aka.errors import MacError, SequenceError, SizeError
from standards.aka.milenage import MilenageKey, derive_opc
from standards.aka.sequence import (
    DELTA,
    IND_COUNT,
    SEQ_MAX,
    SQN_MAX,
    HomeSequence,
    UsimSequence,
    parts_of,
    sqn_of,
)
from standards.aka.vectors import (
    Authenticated,
    Resynchronisation,
    authenticate,
    is_response,
    make_auts,
    make_vector,
    verify_auts,
)

KEY = MilenageKey(k=bytes(range(16)), opc=bytes(range(16, 32)))
OTHER_KEY = MilenageKey(k=bytes(range(1, 17)), opc=KEY.opc)
RAND = bytes(range(32, 48))
AMF = b"\x80\x00"
SQN = sqn_of(seq=7, ind=3)
VECTOR = make_vector(KEY, rand=RAND, sqn=SQN, amf=AMF)


def flipped(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


@pytest.mark.requirement("R85")
def test_test_set_one_of_ts_35_208() -> None:
    key = MilenageKey(
        k=bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"),
        opc=bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf"),
    )
    rand = bytes.fromhex("23553cbe9637a89d218ae64dae47bf35")
    assert derive_opc(k=key.k, op=bytes.fromhex("cdc202d5123e20f62b6d676ac72cb318")) == key.opc
    assert key.answers(rand=rand).res.hex() == "a54211d5e3ba50bf"
    vector = make_vector(key, rand=rand, sqn=0xFF9BB4D0B607, amf=b"\xb9\xb9")
    assert vector.autn.hex() == "55f328b43577b9b94a9ffac354dfafb3"


@pytest.mark.requirement("R87")
def test_usim_and_network_agree() -> None:
    answer = authenticate(KEY, rand=RAND, autn=VECTOR.autn, sequence=UsimSequence())
    assert isinstance(answer, Authenticated)
    assert (answer.res, answer.ck, answer.ik, answer.amf) == (VECTOR.xres, VECTOR.ck, VECTOR.ik, AMF)
    assert answer.sequence.highest[3] == 7
    assert is_response(answer.res, xres=VECTOR.xres)
    assert not is_response(flipped(answer.res, 0), xres=VECTOR.xres)


@pytest.mark.negative
@pytest.mark.parametrize("at", range(16))
def test_an_altered_autn_is_no_network(at: int) -> None:
    with pytest.raises(MacError):
        authenticate(KEY, rand=RAND, autn=flipped(VECTOR.autn, at), sequence=UsimSequence())


@pytest.mark.negative
def test_another_key_or_rand_is_no_network() -> None:
    with pytest.raises(MacError):
        authenticate(OTHER_KEY, rand=RAND, autn=VECTOR.autn, sequence=UsimSequence())
    with pytest.raises(MacError):
        authenticate(KEY, rand=flipped(RAND, 0), autn=VECTOR.autn, sequence=UsimSequence())


@pytest.mark.negative
@pytest.mark.requirement("R87")
def test_a_vector_is_taken_once_and_then_answered_with_auts() -> None:
    first = authenticate(KEY, rand=RAND, autn=VECTOR.autn, sequence=UsimSequence())
    assert isinstance(first, Authenticated)
    again = authenticate(KEY, rand=RAND, autn=VECTOR.autn, sequence=first.sequence)
    assert isinstance(again, Resynchronisation)
    assert verify_auts(KEY, rand=RAND, auts=again.auts) == SQN


@pytest.mark.negative
@pytest.mark.parametrize("at", range(14))
def test_an_altered_auts_moves_no_counter(at: int) -> None:
    auts = make_auts(KEY, rand=RAND, sqn_ms=SQN)
    with pytest.raises(MacError):
        verify_auts(KEY, rand=RAND, auts=flipped(auts, at))


@pytest.mark.negative
def test_auts_is_for_one_rand_and_one_key() -> None:
    auts = make_auts(KEY, rand=RAND, sqn_ms=SQN)
    with pytest.raises(MacError):
        verify_auts(KEY, rand=flipped(RAND, 5), auts=auts)
    with pytest.raises(MacError):
        verify_auts(OTHER_KEY, rand=RAND, auts=auts)


def test_the_auc_goes_on_after_the_usim() -> None:
    home = HomeSequence(seq=2, ind=31)
    usim = UsimSequence(highest=(0, 90, *((0,) * 30)))
    assert home.resynchronised(usim.sqn_ms).batch(2) == (sqn_of(seq=91, ind=0), sqn_of(seq=92, ind=0))
    ahead = HomeSequence(seq=200, ind=4)
    assert ahead.resynchronised(usim.sqn_ms) == ahead


def test_a_usim_that_was_left_behind_is_caught_up_with() -> None:
    usim = UsimSequence().accept(sqn_of(seq=90, ind=3))
    for seq in (89 + DELTA, 90 + DELTA, 91 + DELTA, SEQ_MAX):
        following = HomeSequence(seq=seq).resynchronised(usim.sqn_ms).batch(1)[0]
        assert max(usim.accept(following).highest) > max(usim.highest)


def test_a_batch_has_one_ind_and_the_next_another() -> None:
    home = HomeSequence(seq=10, ind=5)
    assert [parts_of(sqn) for sqn in home.batch(3)] == [(11, 6), (12, 6), (13, 6)]
    assert home.after(3) == HomeSequence(seq=13, ind=6)


def test_batches_may_be_used_in_any_order() -> None:
    home = HomeSequence()
    first, second = home.batch(2), home.after(2).batch(2)
    usim = UsimSequence()
    for sqn in (*second, *first):
        usim = usim.accept(sqn)
    assert usim.sqn_ms == second[-1]


@pytest.mark.negative
def test_within_a_batch_nothing_older_is_taken() -> None:
    first, second = HomeSequence().batch(2)
    usim = UsimSequence().accept(second)
    with pytest.raises(SequenceError):
        usim.accept(first)
    with pytest.raises(SequenceError):
        usim.accept(second)


@pytest.mark.negative
def test_a_jump_is_taken_up_to_delta_and_not_further() -> None:
    usim = UsimSequence(highest=(5,) * IND_COUNT)
    assert usim.accept(sqn_of(seq=5 + DELTA, ind=0)).highest[0] == 5 + DELTA
    with pytest.raises(SequenceError):
        usim.accept(sqn_of(seq=6 + DELTA, ind=0))


@pytest.mark.negative
def test_numbers_that_are_used_up_make_no_vector() -> None:
    assert HomeSequence(seq=SEQ_MAX - 1).batch(1) == (sqn_of(seq=SEQ_MAX, ind=1),)
    with pytest.raises(SequenceError):
        HomeSequence(seq=SEQ_MAX - 1).batch(2)


@pytest.mark.negative
def test_other_sizes_are_refused() -> None:
    for k, opc in ((bytes(15), bytes(16)), (bytes(16), bytes(17))):
        with pytest.raises(SizeError):
            MilenageKey(k=k, opc=opc)
    with pytest.raises(SizeError):
        derive_opc(k=bytes(16), op=bytes(15))
    with pytest.raises(SizeError):
        make_vector(KEY, rand=bytes(15), sqn=SQN, amf=AMF)
    with pytest.raises(SizeError):
        make_vector(KEY, rand=RAND, sqn=SQN_MAX + 1, amf=AMF)
    with pytest.raises(SizeError):
        make_vector(KEY, rand=RAND, sqn=SQN, amf=b"")
    with pytest.raises(SizeError):
        authenticate(KEY, rand=RAND, autn=VECTOR.autn[:-1], sequence=UsimSequence())
    with pytest.raises(SizeError):
        verify_auts(KEY, rand=RAND, auts=bytes(15))
    with pytest.raises(SizeError):
        sqn_of(seq=1, ind=IND_COUNT)
    with pytest.raises(SizeError):
        UsimSequence(highest=(0,) * 31)


def test_nothing_shows_a_key() -> None:
    answer = authenticate(KEY, rand=RAND, autn=VECTOR.autn, sequence=UsimSequence())
    for shown in (repr(KEY), repr(VECTOR), repr(answer), repr(KEY.answers(rand=RAND))):
        for secret in (KEY.k, KEY.opc, VECTOR.ck, VECTOR.ik, VECTOR.xres):
            assert repr(secret) not in shown
    assert replace(KEY) == KEY
