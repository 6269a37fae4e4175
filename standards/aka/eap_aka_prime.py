"""Keys of EAP-AKA': from CK and IK of one authentication to the MSK of an access by WLAN (RFC 9048).

Rule: CK' and IK' are bound to the network's name and to SQN xor AK, and are derived only where the network has set
the AMF's separation bit: CK and IK of a vector for cellular access never become keys of another access.
Source: RFC 9048, 3.3 and 3.4; TS 33.402, A.2; TS 33.102, annex H.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final

from standards.aka.errors import SeparationError, SizeError
from standards.aka.functions import CIPHER_KEY_SIZE, SQN_SIZE, check_size
from standards.aka.vectors import AUTN_SIZE

NETWORK_NAME_WLAN: Final = "WLAN"
"""The access network identity of WLAN (TS 24.302, 8.1.1.2)."""
MSK_SIZE: Final = 64

_FC: Final = b"\x20"
_LABEL: Final = b"EAP-AKA'"
_SEPARATION: Final = 0x80
_NAME_SIZE_MAX: Final = 0xFFFF
_SIZES: Final = {"k_encr": 16, "k_aut": 32, "k_re": 32, "msk": MSK_SIZE, "emsk": MSK_SIZE}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundKeys:
    """CK' and IK', good in the network of one name."""

    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EapKeys:
    """K_encr 16, K_aut and K_re 32, MSK and EMSK 64 bytes."""

    k_encr: bytes = field(repr=False)
    k_aut: bytes = field(repr=False)
    k_re: bytes = field(repr=False)
    msk: bytes = field(repr=False)
    emsk: bytes = field(repr=False)


def derive_bound_keys(*, ck: bytes, ik: bytes, autn: bytes, network_name: str) -> BoundKeys:
    """CK' and IK' (RFC 9048, 3.3). Raises SeparationError for a vector of another access, SizeError."""
    check_size(ck, CIPHER_KEY_SIZE, what="CK")
    check_size(ik, CIPHER_KEY_SIZE, what="IK")
    check_size(autn, AUTN_SIZE, what="AUTN")
    if not autn[SQN_SIZE] & _SEPARATION:
        raise SeparationError
    name = network_name.encode()
    if not 1 <= len(name) <= _NAME_SIZE_MAX:
        raise SizeError("network name", expected=f"1 to {_NAME_SIZE_MAX} bytes", got=str(len(name)))
    concealed = autn[:SQN_SIZE]
    text = _FC + name + len(name).to_bytes(2) + concealed + len(concealed).to_bytes(2)
    keys = hmac.digest(ck + ik, text, "sha256")
    return BoundKeys(ck=keys[:CIPHER_KEY_SIZE], ik=keys[CIPHER_KEY_SIZE:])


def derive_eap_keys(bound: BoundKeys, *, identity: str) -> EapKeys:
    """The five keys of a full authentication; `identity` as the peer sent it (RFC 9048, 3.3)."""
    stream = _prf(bound.ik + bound.ck, _LABEL + identity.encode(), sum(_SIZES.values()))
    keys, at = {}, 0
    for name, size in _SIZES.items():
        keys[name] = stream[at : at + size]
        at += size
    return EapKeys(**keys)


def _prf(key: bytes, seed: bytes, size: int) -> bytes:
    """PRF' (RFC 9048, 3.4.1)."""
    stream, block = b"", b""
    number = 0
    while len(stream) < size:
        number += 1
        block = hmac.digest(key, block + seed + bytes([number]), "sha256")
        stream += block
    return stream[:size]
