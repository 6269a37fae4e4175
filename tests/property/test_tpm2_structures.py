"""Any structure survives its bytes; any prefix, suffix or noise gives the value or a DecodeError."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standards.tpm2.constants import Algorithm, EccCurve, NvAttributes, ObjectAttributes, StructureTag
from standards.tpm2.errors import DecodeError
from standards.tpm2.structures import (
    Attest,
    CertifyInfo,
    ClockInfo,
    EccParameters,
    EccPoint,
    KeyedHashParameters,
    NvCertifyInfo,
    NvPublic,
    PcrSelection,
    Public,
    QuoteInfo,
    RsaParameters,
    Scheme,
    Signature,
    SymmetricDefinition,
    decode_pcr_selections,
    encode_pcr_selections,
)


class Encodable(Protocol):
    """A value with bytes."""

    def encode(self) -> bytes:
        """The value as bytes."""
        ...


u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
digests = st.binary(max_size=64)
coordinates = st.binary(max_size=66)
hashes = st.sampled_from([Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384, Algorithm.SHA512])
schemes = st.one_of(
    st.just(Scheme()),
    st.builds(
        Scheme,
        algorithm=st.sampled_from([Algorithm.RSASSA, Algorithm.ECDSA, Algorithm.OAEP, Algorithm.HMAC]),
        hash_algorithm=hashes,
    ),
    st.builds(
        Scheme,
        algorithm=st.sampled_from([Algorithm.ECDAA, Algorithm.XOR]),
        hash_algorithm=hashes,
        detail=u16,
    ),
)
kdf_schemes = st.one_of(
    st.just(Scheme()),
    st.builds(Scheme, algorithm=st.just(Algorithm.KDF1_SP800_108), hash_algorithm=hashes),
)
symmetric = st.one_of(
    st.just(SymmetricDefinition()),
    st.builds(
        SymmetricDefinition,
        algorithm=st.just(Algorithm.AES),
        key_bits=st.sampled_from([128, 256]),
        mode=st.just(Algorithm.CFB),
    ),
)
attributes = u32.map(ObjectAttributes)
points = st.builds(EccPoint, x=coordinates, y=coordinates)
publics = st.one_of(
    st.builds(
        Public,
        type=st.just(Algorithm.RSA),
        name_algorithm=hashes,
        attributes=attributes,
        auth_policy=digests,
        parameters=st.builds(RsaParameters, symmetric=symmetric, scheme=schemes, key_bits=u16, exponent=u32),
        unique=st.binary(max_size=512),
    ),
    st.builds(
        Public,
        type=st.just(Algorithm.ECC),
        name_algorithm=hashes,
        attributes=attributes,
        auth_policy=digests,
        parameters=st.builds(
            EccParameters,
            symmetric=symmetric,
            scheme=schemes,
            curve=st.sampled_from(EccCurve),
            kdf=kdf_schemes,
        ),
        unique=points,
    ),
    st.builds(
        Public,
        type=st.just(Algorithm.KEYEDHASH),
        name_algorithm=hashes,
        attributes=attributes,
        auth_policy=digests,
        parameters=st.builds(KeyedHashParameters, scheme=schemes),
        unique=digests,
    ),
)
selections = st.builds(
    PcrSelection, bank=hashes, indices=st.sets(st.integers(0, 23)).map(lambda found: tuple(sorted(found)))
)
selection_lists = st.lists(selections, max_size=4).map(tuple)
clocks = st.builds(ClockInfo, clock=u64, reset_count=u32, restart_count=u32, safe=st.booleans())
names = st.binary(max_size=66)


def attests(
    tag: StructureTag, attested: st.SearchStrategy[QuoteInfo | CertifyInfo | NvCertifyInfo]
) -> st.SearchStrategy[Attest]:
    return st.builds(
        Attest,
        type=st.just(int(tag)),
        qualified_signer=names,
        extra_data=names,
        clock_info=clocks,
        firmware_version=u64,
        attested=attested,
    )


attest_values = st.one_of(
    attests(
        StructureTag.ATTEST_QUOTE,
        st.builds(QuoteInfo, pcr_selections=selection_lists, pcr_digest=digests),
    ),
    attests(StructureTag.ATTEST_CERTIFY, st.builds(CertifyInfo, name=names, qualified_name=names)),
    attests(
        StructureTag.ATTEST_NV,
        st.builds(NvCertifyInfo, index_name=names, offset=u16, contents=st.binary(max_size=80)),
    ),
)
signatures = st.one_of(
    st.builds(
        Signature,
        algorithm=st.sampled_from([Algorithm.RSASSA, Algorithm.RSAPSS]),
        hash_algorithm=hashes,
        rsa=st.binary(max_size=512),
    ),
    st.builds(
        Signature, algorithm=st.just(Algorithm.ECDSA), hash_algorithm=hashes, r=coordinates, s=coordinates
    ),
)
nv_publics = st.builds(
    NvPublic,
    index=u32,
    name_algorithm=hashes,
    attributes=u32.map(NvAttributes),
    auth_policy=digests,
    data_size=u16,
)
KINDS: list[tuple[st.SearchStrategy[Encodable], Callable[[bytes], Encodable]]] = [
    (publics, Public.decode),
    (attest_values, Attest.decode),
    (signatures, Signature.decode),
    (nv_publics, NvPublic.decode),
]
IDS = ["Public", "Attest", "Signature", "NvPublic"]


def encoded_anew(value: Any) -> bytes:
    """The bytes of a value made from its fields, not those that it was decoded from and keeps."""
    encoded: bytes = replace(value).encode()
    return encoded


@pytest.mark.parametrize(("values", "decode"), KINDS, ids=IDS)
def test_a_value_survives_its_bytes(
    values: st.SearchStrategy[Encodable], decode: Callable[[bytes], Encodable]
) -> None:
    @given(values)
    def holds(value: Encodable) -> None:
        assert decode(value.encode()) == value
        assert encoded_anew(decode(value.encode())) == value.encode()

    holds()


@pytest.mark.check("A1")
@pytest.mark.negative
@pytest.mark.parametrize(("values", "decode"), KINDS, ids=IDS)
def test_every_prefix_and_every_longer_message_is_refused(
    values: st.SearchStrategy[Encodable], decode: Callable[[bytes], Encodable]
) -> None:
    @given(values, st.data())
    def holds(value: Encodable, data: st.DataObject) -> None:
        encoded = value.encode()
        size = data.draw(st.integers(0, len(encoded) - 1))
        suffix = data.draw(st.binary(min_size=1, max_size=1))
        for wrong in (encoded[:size], encoded + suffix):
            with pytest.raises(DecodeError):
                decode(wrong)

    holds()


@pytest.mark.parametrize("decode", [decode for _, decode in KINDS], ids=IDS)
def test_noise_gives_a_value_or_a_decode_error(decode: Callable[[bytes], Encodable]) -> None:
    @given(st.binary(max_size=300))
    def holds(noise: bytes) -> None:
        try:
            value = decode(noise)
        except DecodeError:
            return
        assert encoded_anew(value) == noise

    holds()


@given(publics, st.data())
def test_a_damaged_public_area_gives_a_value_or_a_decode_error(public: Public, data: st.DataObject) -> None:
    encoded = bytearray(public.encode())
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 255))
    try:
        damaged = Public.decode(bytes(encoded))
        assert encoded_anew(damaged) == bytes(encoded)
        damaged.public_key()
    except DecodeError:
        return


@given(selection_lists)
def test_pcr_selections_survive_their_bytes(value: tuple[PcrSelection, ...]) -> None:
    assert decode_pcr_selections(encode_pcr_selections(value)) == value
