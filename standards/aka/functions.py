"""What an algorithm of authentication and key agreement is: f1, f1*, f2, f3, f4, f5, f5* under one subscriber key.

Rule: whoever makes or answers a vector works with this one interface, and knows no algorithm by name. An algorithm is
its key: `MilenageKey` and `TuakKey` are the two that there are. Source: TS 33.102, 6.3.
"""

from dataclasses import dataclass, field
from typing import Final, Protocol

from standards.aka.errors import SizeError

RAND_SIZE: Final = 16
SQN_SIZE: Final = 6
AMF_SIZE: Final = 2
AK_SIZE: Final = 6
MAC_SIZE: Final = 8
"""MAC-A and MAC-S as AUTN and AUTS carry them (6.3.2): whatever else an algorithm could make."""
RES_SIZE_MIN: Final = 4
RES_SIZE_MAX: Final = 16
CIPHER_KEY_SIZE: Final = 16
"""CK and IK of a vector (6.3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What f2 to f5* make of one RAND: RES, CK, IK, AK, and AK for resynchronisation."""

    res: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)
    ak: bytes = field(repr=False)
    ak_resync: bytes = field(repr=False)


class AuthenticationFunctions(Protocol):
    """The seven functions, under one key. `rand` 16, `sqn` 6, `amf` 2 bytes; others raise SizeError."""

    def network_mac(self, *, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """f1: MAC-A, with which the network proves itself."""

    def resynchronisation_mac(self, *, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """f1*: MAC-S, with which a USIM proves its sequence number."""

    def answers(self, *, rand: bytes) -> Answers:
        """f2, f3, f4, f5 and f5*."""


def check_size(value: bytes, *sizes: int, what: str) -> bytes:
    """The value, if it has one of the sizes. Raises SizeError."""
    if len(value) not in sizes:
        raise SizeError(what, expected=f"{' or '.join(map(str, sizes))} bytes", got=str(len(value)))
    return value
