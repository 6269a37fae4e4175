"""What holds for every key, number and head: AKA agrees, one bit is enough to refuse, a parser has one error."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.refused import RefusedError
from messages.destination import read_destination
from messages.errors import MessageError
from operators.vno.connect_request import HeadParser, read_credentials
from standards.aka.errors import AkaError, MacError
from standards.aka.milenage import MilenageKey
from standards.aka.sequence import DELTA, IND_COUNT, UsimSequence, sqn_of
from standards.aka.vectors import (
    AUTN_SIZE,
    AUTS_SIZE,
    Authenticated,
    Resynchronisation,
    authenticate,
    make_auts,
    make_vector,
    verify_auts,
)

BLOCKS = st.binary(min_size=16, max_size=16)
KEYS = st.builds(lambda k, opc: MilenageKey(k=k, opc=opc), BLOCKS, BLOCKS)
SEQS = st.integers(min_value=1, max_value=DELTA)
INDS = st.integers(min_value=0, max_value=IND_COUNT - 1)
AMFS = st.binary(min_size=2, max_size=2)


@pytest.mark.requirement("R85")
@given(key=KEYS, rand=BLOCKS, seq=SEQS, ind=INDS, amf=AMFS)
def test_usim_and_network_agree_once(key: MilenageKey, rand: bytes, seq: int, ind: int, amf: bytes) -> None:
    vector = make_vector(key, rand=rand, sqn=sqn_of(seq=seq, ind=ind), amf=amf)
    first = authenticate(key, rand=rand, autn=vector.autn, sequence=UsimSequence())
    assert isinstance(first, Authenticated)
    assert (first.res, first.ck, first.ik, first.amf) == (vector.xres, vector.ck, vector.ik, amf)
    again = authenticate(key, rand=rand, autn=vector.autn, sequence=first.sequence)
    assert isinstance(again, Resynchronisation)
    assert verify_auts(key, rand=rand, auts=again.auts) == sqn_of(seq=seq, ind=ind)


@pytest.mark.negative
@given(
    key=KEYS,
    rand=BLOCKS,
    seq=SEQS,
    autn_bit=st.integers(0, 8 * AUTN_SIZE - 1),
    auts_bit=st.integers(0, 8 * AUTS_SIZE - 1),
)
def test_one_bit_is_enough(key: MilenageKey, rand: bytes, seq: int, autn_bit: int, auts_bit: int) -> None:
    sqn = sqn_of(seq=seq, ind=0)
    autn = make_vector(key, rand=rand, sqn=sqn, amf=b"\x00\x00").autn
    with pytest.raises(MacError):
        authenticate(key, rand=rand, autn=flipped(autn, autn_bit), sequence=UsimSequence())
    with pytest.raises(MacError):
        verify_auts(key, rand=rand, auts=flipped(make_auts(key, rand=rand, sqn_ms=sqn), auts_bit))


@given(rand=st.binary(max_size=20), data=st.binary(max_size=20))
def test_random_bytes_give_the_package_s_own_error(rand: bytes, data: bytes) -> None:
    key = MilenageKey(k=bytes(16), opc=bytes(16))
    with pytest.raises(AkaError):
        authenticate(key, rand=rand, autn=data, sequence=UsimSequence())
    with pytest.raises(AkaError):
        verify_auts(key, rand=rand, auts=data)


@given(
    head=st.binary(max_size=200)
    | st.builds(
        lambda target, rest: b"CONNECT " + target + b" HTTP/1.1\r\n" + rest + b"\r\n\r\n",
        st.binary(max_size=40),
        st.binary(max_size=80),
    )
)
def test_a_head_is_read_or_refused(head: bytes) -> None:
    with contextlib.suppress(RefusedError):
        request = HeadParser().feed(head)
        assert request is None or request.target.isascii()


@given(value=st.binary(max_size=100) | st.binary(max_size=60).map(lambda data: b"Basic " + data))
def test_credentials_are_read_or_none(value: bytes) -> None:
    found = read_credentials(value)
    assert found is None or (found.id and found.secret)


HOSTS = st.text("az019.-x", min_size=1, max_size=12)


@given(
    text=st.text("aZ09.-:@[]/ ", max_size=20)
    | st.builds(lambda host, port: f"{host}:{port}", HOSTS, st.integers(0, 70_000))
)
def test_a_destination_has_one_spelling(text: str) -> None:
    with contextlib.suppress(MessageError):
        host, port = read_destination(text)
        assert f"{host}:{port}" == text


def flipped(value: bytes, bit: int) -> bytes:
    at, mask = bit // 8, 1 << bit % 8
    return value[:at] + bytes([value[at] ^ mask]) + value[at + 1 :]
