"""Authentication vectors and both sides of authentication and key agreement (TS 33.102, 6.3).

Rule: nothing in AUTN or AUTS is looked at before its MAC is right, and MACs are compared in constant time.
RAND is a parameter: 16 fresh random bytes, never used twice for one key.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final

from standards.aka.errors import MacError, SequenceError
from standards.aka.functions import (
    AK_SIZE,
    AMF_SIZE,
    MAC_SIZE,
    SQN_SIZE,
    AuthenticationFunctions,
    check_size,
)
from standards.aka.sequence import UsimSequence, parts_of

AUTN_SIZE: Final = SQN_SIZE + AMF_SIZE + MAC_SIZE
AUTS_SIZE: Final = SQN_SIZE + MAC_SIZE
AMF_RESYNCHRONISATION: Final = bytes(AMF_SIZE)
"""The dummy AMF under MAC-S: not sent, so it must be the same for all (6.3.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationVector:
    """The quintet RAND, XRES, CK, IK, AUTN; what only the network may know is never shown."""

    rand: bytes
    autn: bytes
    xres: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """A USIM's answer to a network that proved itself, and what it must remember (`sequence`) before it answers."""

    res: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)
    amf: bytes
    sequence: UsimSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Resynchronisation:
    """A USIM's answer to a network that proved itself with an SQN that is not taken: AUTS, 14 bytes."""

    auts: bytes


def make_vector(key: AuthenticationFunctions, *, rand: bytes, sqn: int, amf: bytes) -> AuthenticationVector:
    """The vector of a fresh RAND (16 bytes) and SQN; `amf` 2 bytes. Raises SizeError (6.3.2)."""
    found = key.answers(rand=rand)
    number = _sqn_bytes(sqn)
    mac = check_size(key.network_mac(rand=rand, sqn=number, amf=amf), MAC_SIZE, what="MAC")
    return AuthenticationVector(
        rand=rand, autn=_xor(number, found.ak) + amf + mac, xres=found.res, ck=found.ck, ik=found.ik
    )


def authenticate(
    key: AuthenticationFunctions, *, rand: bytes, autn: bytes, sequence: UsimSequence
) -> Authenticated | Resynchronisation:
    """The USIM's side (6.3.3): RES and keys, or AUTS if the SQN is not taken; changes nothing itself.

    Raises MacError for a network that does not know the key, SizeError for other sizes.
    """
    check_size(autn, AUTN_SIZE, what="AUTN")
    found = key.answers(rand=rand)
    sqn = _xor(autn[:SQN_SIZE], found.ak)
    amf, mac = autn[SQN_SIZE : SQN_SIZE + AMF_SIZE], autn[SQN_SIZE + AMF_SIZE :]
    if not hmac.compare_digest(mac, key.network_mac(rand=rand, sqn=sqn, amf=amf)):
        raise MacError("AUTN")
    try:
        remembered = sequence.accept(int.from_bytes(sqn))
    except SequenceError:
        return Resynchronisation(auts=make_auts(key, rand=rand, sqn_ms=sequence.sqn_ms))
    return Authenticated(res=found.res, ck=found.ck, ik=found.ik, amf=amf, sequence=remembered)


def make_auts(key: AuthenticationFunctions, *, rand: bytes, sqn_ms: int) -> bytes:
    """AUTS for the RAND that was refused: SQN_MS under the resynchronisation AK, and MAC-S (6.3.3)."""
    number = _sqn_bytes(sqn_ms)
    mac = check_size(
        key.resynchronisation_mac(rand=rand, sqn=number, amf=AMF_RESYNCHRONISATION), MAC_SIZE, what="MAC"
    )
    return _xor(number, key.answers(rand=rand).ak_resync) + mac


def verify_auts(key: AuthenticationFunctions, *, rand: bytes, auts: bytes) -> int:
    """SQN_MS of an AUTS, for the AuC (6.3.5); `rand` is the one that the AuC sent. Raises MacError, SizeError."""
    check_size(auts, AUTS_SIZE, what="AUTS")
    sqn = _xor(auts[:SQN_SIZE], key.answers(rand=rand).ak_resync)
    expected = key.resynchronisation_mac(rand=rand, sqn=sqn, amf=AMF_RESYNCHRONISATION)
    if not hmac.compare_digest(auts[SQN_SIZE:], expected):
        raise MacError("AUTS")
    return int.from_bytes(sqn)


def is_response(res: bytes, *, xres: bytes) -> bool:
    """Whether RES is the expected one; takes the same time for any."""
    return hmac.compare_digest(res, xres)


def _sqn_bytes(sqn: int) -> bytes:
    parts_of(sqn)
    return sqn.to_bytes(SQN_SIZE)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, check_size(right, AK_SIZE, what="AK"), strict=True))
