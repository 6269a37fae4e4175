"""TUAK, the second example set of 3GPP authentication functions: f1, f1*, f2, f3, f4, f5, f5* over Keccak.

Rule: one pass of Keccak, TOP and sizes as given: what a device that does not know its operator yet can share with
all. A pass over TUAK's 96-byte input, with TUAK's padding, is SHAKE256 of those bytes (FIPS 202, 6.2): so the
permutation is `hashlib`'s, and more than one pass, which SHAKE256 cannot say, is not offered.
Source: TS 35.231, 6 and 7; test sets of TS 35.233.

    bytes 0-31   TOP or TOPc        56-57  AMF
    byte  32     instance           58-63  SQN
    bytes 33-39  "TUAK1.0"          64-95  K, padded with zeros
    bytes 40-55  RAND
    each value stands with its last byte first, and so does each value of the output
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from standards.aka.functions import (
    AK_SIZE,
    AMF_SIZE,
    CIPHER_KEY_SIZE,
    MAC_SIZE,
    RAND_SIZE,
    SQN_SIZE,
    Answers,
    check_size,
)

KEY_SIZES: Final = (16, 32)
TOP_SIZE: Final = 32
MAC_SIZES: Final = (8, 16, 32)
RES_SIZES: Final = (4, 8, 16, 32)
CIPHER_KEY_SIZES: Final = (16, 32)

_NAME: Final = b"TUAK1.0"
_LONG: Final = 32
# the instance byte: which function, which sizes (7.2 to 7.5)
_F1, _F1_STAR, _F2_TO_F5, _F5_STAR = 0x00, 0x80, 0x40, 0xC0
_SIZE_BITS: Final = {4: 0x00, 8: 0x08, 16: 0x10, 32: 0x20}
_LONG_CK, _LONG_IK, _LONG_K = 0x04, 0x02, 0x01
_CK_AT, _IK_AT, _AK_AT = 32, 64, 96
_OUTPUT_SIZE: Final = _AK_AT + AK_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class TuakSizes:
    """How long MAC, RES, CK and IK are, in bytes. SizeError for a size that TUAK has not."""

    mac: int = MAC_SIZE
    res: int = 8
    ck: int = CIPHER_KEY_SIZE
    ik: int = CIPHER_KEY_SIZE

    def __post_init__(self) -> None:
        check_size(bytes(self.mac), *MAC_SIZES, what="MAC of TUAK")
        check_size(bytes(self.res), *RES_SIZES, what="RES of TUAK")
        check_size(bytes(self.ck), *CIPHER_KEY_SIZES, what="CK of TUAK")
        check_size(bytes(self.ik), *CIPHER_KEY_SIZES, what="IK of TUAK")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuakKey:
    """Subscriber key K, 16 or 32 bytes, and TOPc, 32 bytes; neither is ever shown. SizeError for other sizes."""

    k: bytes = field(repr=False)
    topc: bytes = field(repr=False)
    sizes: TuakSizes = TuakSizes()

    def __post_init__(self) -> None:
        check_size(self.k, *KEY_SIZES, what="K")
        check_size(self.topc, TOP_SIZE, what="TOPc")

    def network_mac(self, *, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """See `standards.aka.functions.AuthenticationFunctions`."""
        return self._mac(_F1, rand=rand, sqn=sqn, amf=amf)

    def resynchronisation_mac(self, *, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """See `standards.aka.functions.AuthenticationFunctions`."""
        return self._mac(_F1_STAR, rand=rand, sqn=sqn, amf=amf)

    def answers(self, *, rand: bytes) -> Answers:
        """See `standards.aka.functions.AuthenticationFunctions`."""
        sizes = self.sizes
        instance = _F2_TO_F5 | _SIZE_BITS[sizes.res]
        instance |= _LONG_CK * (sizes.ck == _LONG) | _LONG_IK * (sizes.ik == _LONG)
        unused = bytes(SQN_SIZE), bytes(AMF_SIZE)
        out = _keccak(self.topc, instance, self.k, _checked(rand, *unused))
        resynchronisation = _keccak(self.topc, _F5_STAR, self.k, _checked(rand, *unused))
        return Answers(
            res=_value(out, 0, sizes.res),
            ck=_value(out, _CK_AT, sizes.ck),
            ik=_value(out, _IK_AT, sizes.ik),
            ak=_value(out, _AK_AT, AK_SIZE),
            ak_resync=_value(resynchronisation, _AK_AT, AK_SIZE),
        )

    def _mac(self, function: int, *, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        instance = function | _SIZE_BITS[self.sizes.mac]
        return _value(_keccak(self.topc, instance, self.k, _checked(rand, sqn, amf)), 0, self.sizes.mac)


def derive_topc(*, k: bytes, top: bytes) -> bytes:
    """TOPc of a subscriber key (16 or 32 bytes) and the operator's TOP (32 bytes). Raises SizeError (7.1)."""
    check_size(k, *KEY_SIZES, what="K")
    check_size(top, TOP_SIZE, what="TOP")
    return _value(_keccak(top, 0, k, bytes(RAND_SIZE + AMF_SIZE + SQN_SIZE)), 0, TOP_SIZE)


def _checked(rand: bytes, sqn: bytes, amf: bytes) -> bytes:
    """RAND, AMF and SQN as they stand in the input."""
    check_size(rand, RAND_SIZE, what="RAND")
    check_size(sqn, SQN_SIZE, what="SQN")
    check_size(amf, AMF_SIZE, what="AMF")
    return rand[::-1] + amf[::-1] + sqn[::-1]


def _keccak(top: bytes, instance: int, k: bytes, middle: bytes) -> bytes:
    size_of_key = _LONG_K * (len(k) == _LONG)
    head = top[::-1] + bytes([instance | size_of_key]) + _NAME[::-1]
    return hashlib.shake_256(head + middle + k[::-1].ljust(_LONG, b"\0")).digest(_OUTPUT_SIZE)


def _value(out: bytes, at: int, size: int) -> bytes:
    return out[at : at + size][::-1]
