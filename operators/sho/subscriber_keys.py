"""The key of one USIM: its algorithm, K, OPc or TOPc, and the size of its RES, as one value that is sealed whole (R85).

Rule: the algorithm is sealed with the keys that it is for: whoever alters the database cannot have a TUAK key run as
another algorithm's. 32 bytes alone are K and OPc of MILENAGE.
"""

from dataclasses import dataclass, field
from typing import Final

from edge.process import RandomBytes
from messages.encoding import decode_fields, encode_deterministic
from messages.mid_policy import MILENAGE, TUAK
from standards.aka.functions import RES_SIZE_MAX, RES_SIZE_MIN, AuthenticationFunctions
from standards.aka.milenage import KEY_SIZE, RES_SIZE, MilenageKey
from standards.aka.tuak import KEY_SIZES, TOP_SIZE, TuakKey, TuakSizes

_SEALED_BYTES_MAX: Final = 256
_K_OF_TUAK: Final = max(KEY_SIZES)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberKey:
    """K and OPc of MILENAGE, or K and TOPc of TUAK; `functions` raises SizeError where they are not."""

    algorithm: str
    k: bytes = field(repr=False)
    opc: bytes = field(repr=False)
    res_bytes: int = RES_SIZE

    @property
    def functions(self) -> AuthenticationFunctions:
        """The algorithm under this key."""
        if self.algorithm == TUAK:
            return TuakKey(k=self.k, topc=self.opc, sizes=TuakSizes(res=self.res_bytes))
        return MilenageKey(k=self.k, opc=self.opc)

    def encode(self) -> bytes:
        """What is sealed; `decode_key` takes it back."""
        return encode_deterministic({1: self.algorithm, 2: self.k, 3: self.opc, 4: self.res_bytes})


def decode_key(data: bytes) -> SubscriberKey:
    """Read what was sealed. Raises MessageError."""
    if len(data) == 2 * KEY_SIZE:
        return SubscriberKey(algorithm=MILENAGE, k=data[:KEY_SIZE], opc=data[KEY_SIZE:])
    fields = decode_fields(data, what="subscriber key", bytes_max=_SEALED_BYTES_MAX)
    key = SubscriberKey(
        algorithm=fields.text(1, size_max=16),
        k=fields.octets(2, size_min=KEY_SIZE, size_max=_K_OF_TUAK),
        opc=fields.octets(3, size_min=KEY_SIZE, size_max=TOP_SIZE),
        res_bytes=fields.integer(4, low=RES_SIZE_MIN, high=RES_SIZE_MAX),
    )
    fields.close()
    return key


def make_key(algorithm: str, *, res_bytes: int, random_bytes: RandomBytes) -> SubscriberKey:
    """A key that nobody had before."""
    k_size, opc_size = (_K_OF_TUAK, TOP_SIZE) if algorithm == TUAK else (KEY_SIZE, KEY_SIZE)
    return SubscriberKey(
        algorithm=algorithm, k=random_bytes(k_size), opc=random_bytes(opc_size), res_bytes=res_bytes
    )
