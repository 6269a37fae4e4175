"""MILENAGE, the example set of 3GPP authentication functions: f1, f1*, f2, f3, f4, f5, f5* over AES-128.

Rule: constants c1-c5 and rotations r1-r5 are those of TS 35.206, 4.1, for every operator: a device that does not know
its operator yet can only share what is common to all (TR 33.812, 5.2.2.6.1, note). Source: TS 35.205, TS 35.206.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from standards.aka.functions import AK_SIZE, AMF_SIZE, MAC_SIZE, RAND_SIZE, SQN_SIZE, Answers, check_size

KEY_SIZE: Final = 16
RES_SIZE: Final = 8

_BLOCK: Final = 16
_RES_AT: Final = 8
# (rotation in bytes, last byte of the constant) of OUT1 to OUT5: all rotations of the norm are whole bytes
_OUT1, _OUT2, _OUT3, _OUT4, _OUT5 = (8, 0), (0, 1), (4, 2), (8, 4), (12, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class MilenageKey:
    """Subscriber key K and OPc, 16 bytes each; neither is ever shown. SizeError for other sizes."""

    k: bytes = field(repr=False)
    opc: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_size(self.k, KEY_SIZE, what="K")
        check_size(self.opc, KEY_SIZE, what="OPc")

    def network_mac(self, *, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """See `standards.aka.functions.AuthenticationFunctions`."""
        return _out1(self, rand=rand, sqn=sqn, amf=amf)[:MAC_SIZE]

    def resynchronisation_mac(self, *, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """See `standards.aka.functions.AuthenticationFunctions`."""
        return _out1(self, rand=rand, sqn=sqn, amf=amf)[MAC_SIZE:]

    def answers(self, *, rand: bytes) -> Answers:
        """See `standards.aka.functions.AuthenticationFunctions`."""
        temp = _temp(self, rand)
        out2 = _out(self, temp, _OUT2)
        return Answers(
            res=out2[_RES_AT:],
            ck=_out(self, temp, _OUT3),
            ik=_out(self, temp, _OUT4),
            ak=out2[:AK_SIZE],
            ak_resync=_out(self, temp, _OUT5)[:AK_SIZE],
        )


def derive_opc(*, k: bytes, op: bytes) -> bytes:
    """OPc of a subscriber key and the operator's OP, 16 bytes each (TS 35.206, 4.1)."""
    check_size(k, KEY_SIZE, what="K")
    check_size(op, KEY_SIZE, what="OP")
    return _xor(_encrypt(k, op), op)


def _out1(key: MilenageKey, *, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
    half = check_size(sqn, SQN_SIZE, what="SQN") + check_size(amf, AMF_SIZE, what="AMF")
    rotated = _rotate(_xor(half + half, key.opc), _OUT1[0])
    return _xor(_encrypt(key.k, _xor(_temp(key, rand), _with_constant(rotated, _OUT1[1]))), key.opc)


def _out(key: MilenageKey, temp: bytes, parameters: tuple[int, int]) -> bytes:
    rotation, constant = parameters
    block = _with_constant(_rotate(_xor(temp, key.opc), rotation), constant)
    return _xor(_encrypt(key.k, block), key.opc)


def _temp(key: MilenageKey, rand: bytes) -> bytes:
    return _encrypt(key.k, _xor(check_size(rand, RAND_SIZE, what="RAND"), key.opc))


def _rotate(block: bytes, count: int) -> bytes:
    return block[count:] + block[:count]


def _with_constant(block: bytes, constant: int) -> bytes:
    return block[:-1] + bytes([block[-1] ^ constant])


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _encrypt(key: bytes, block: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - one block: the norm's kernel function itself
    encryptor = cipher.encryptor()
    return encryptor.update(check_size(block, _BLOCK, what="block")) + encryptor.finalize()
