"""AKA is the same protocol under every algorithm, TUAK has the sizes of the norm, and EAP-AKA' keeps accesses apart."""

import hashlib

import pytest

from standards.aka.eap_aka_prime import NETWORK_NAME_WLAN, derive_bound_keys, derive_eap_keys
from standards.aka.errors import MacError, SeparationError, SizeError
from standards.aka.functions import AuthenticationFunctions
from standards.aka.milenage import MilenageKey
from standards.aka.sequence import UsimSequence, sqn_of
from standards.aka.tuak import TuakKey, TuakSizes, derive_topc
from standards.aka.vectors import Authenticated, Resynchronisation, authenticate, make_vector, verify_auts

RAND = bytes(range(16))
AMF = b"\x80\x00"
SQN = sqn_of(seq=9, ind=4)
KEYS: dict[str, AuthenticationFunctions] = {
    "milenage": MilenageKey(k=b"k" * 16, opc=b"o" * 16),
    "tuak-128": TuakKey(k=b"k" * 16, topc=b"t" * 32),
    "tuak-256": TuakKey(k=b"k" * 32, topc=b"t" * 32, sizes=TuakSizes(res=16)),
}


@pytest.mark.requirement("R85", "R87")
@pytest.mark.parametrize("name", KEYS)
def test_usim_and_network_agree_and_find_each_other_again(name: str) -> None:
    key = KEYS[name]
    vector = make_vector(key, rand=RAND, sqn=SQN, amf=AMF)
    first = authenticate(key, rand=RAND, autn=vector.autn, sequence=UsimSequence())
    assert isinstance(first, Authenticated)
    assert (first.res, first.ck, first.ik) == (vector.xres, vector.ck, vector.ik)
    again = authenticate(key, rand=RAND, autn=vector.autn, sequence=first.sequence)
    assert isinstance(again, Resynchronisation)
    assert verify_auts(key, rand=RAND, auts=again.auts) == SQN


@pytest.mark.negative
@pytest.mark.parametrize("name", KEYS)
def test_no_algorithm_takes_the_vector_or_the_auts_of_another(name: str) -> None:
    vector = make_vector(KEYS[name], rand=RAND, sqn=SQN, amf=AMF)
    behind = authenticate(KEYS[name], rand=RAND, autn=vector.autn, sequence=UsimSequence(highest=(9,) * 32))
    assert isinstance(behind, Resynchronisation)
    for other in set(KEYS) - {name}:
        with pytest.raises(MacError):
            authenticate(KEYS[other], rand=RAND, autn=vector.autn, sequence=UsimSequence())
        with pytest.raises(MacError):
            verify_auts(KEYS[other], rand=RAND, auts=behind.auts)


def test_a_response_has_the_size_that_was_agreed() -> None:
    sizes = {name: len(key.answers(rand=RAND).res) for name, key in KEYS.items()}
    assert sizes == {"milenage": 8, "tuak-128": 8, "tuak-256": 16}


@pytest.mark.negative
def test_a_mac_that_autn_cannot_carry_makes_no_vector() -> None:
    long_mac = TuakKey(k=b"k" * 16, topc=b"t" * 32, sizes=TuakSizes(mac=16))
    with pytest.raises(SizeError, match="MAC"):
        make_vector(long_mac, rand=RAND, sqn=SQN, amf=AMF)


@pytest.mark.negative
def test_other_sizes_are_refused() -> None:
    for sizes in ({"mac": 4}, {"res": 12}, {"ck": 24}, {"ik": 8}):
        with pytest.raises(SizeError):
            TuakSizes(**sizes)
    for k, topc in ((bytes(24), bytes(32)), (bytes(16), bytes(16))):
        with pytest.raises(SizeError):
            TuakKey(k=k, topc=topc)
    with pytest.raises(SizeError):
        derive_topc(k=bytes(16), top=bytes(16))
    with pytest.raises(SizeError):
        KEYS["tuak-128"].answers(rand=bytes(15))


def test_each_size_and_key_length_changes_every_value() -> None:
    short, long = TuakSizes(res=4), TuakSizes(res=8)
    seen = {
        TuakKey(k=b"k" * size, topc=b"t" * 32, sizes=sizes).answers(rand=RAND).ck
        for size in (16, 32)
        for sizes in (short, long)
    }
    assert len(seen) == 4


def test_a_pass_of_tuak_is_shake256_of_96_bytes() -> None:
    k, top = b"k" * 32, b"t" * 32
    said = top[::-1] + b"\x01" + b"0.1KAUT" + bytes(24) + k[::-1]
    assert derive_topc(k=k, top=top) == hashlib.shake_256(said).digest(32)[::-1]


def test_nothing_shows_a_key() -> None:
    key = TuakKey(k=b"k" * 16, topc=b"t" * 32)
    bound = derive_bound_keys(ck=b"c" * 16, ik=b"i" * 16, autn=b"\x80" * 16, network_name="WLAN")
    for shown in (repr(key), repr(bound), repr(derive_eap_keys(bound, identity="6555"))):
        assert "kkkk" not in shown
        assert "tttt" not in shown
        assert "\\x" not in shown


@pytest.mark.requirement("R14")
def test_the_keys_of_eap_are_for_one_network_and_one_identity() -> None:
    vector = make_vector(KEYS["milenage"], rand=RAND, sqn=SQN, amf=AMF)
    names = (NETWORK_NAME_WLAN, "HRPD")
    msks = {
        derive_eap_keys(
            derive_bound_keys(ck=vector.ck, ik=vector.ik, autn=vector.autn, network_name=name),
            identity=identity,
        ).msk
        for name in names
        for identity in ("6001010000000001@wlan", "6001010000000002@wlan")
    }
    assert len(msks) == 4


@pytest.mark.negative
@pytest.mark.requirement("R14")
def test_a_vector_of_cellular_access_gives_no_keys_of_another() -> None:
    vector = make_vector(KEYS["milenage"], rand=RAND, sqn=SQN, amf=b"\x00\x00")
    with pytest.raises(SeparationError):
        derive_bound_keys(ck=vector.ck, ik=vector.ik, autn=vector.autn, network_name=NETWORK_NAME_WLAN)
    good = make_vector(KEYS["milenage"], rand=RAND, sqn=SQN, amf=AMF)
    with pytest.raises(SizeError):
        derive_bound_keys(ck=good.ck, ik=good.ik, autn=good.autn, network_name="")
