"""Hash algorithms of PCR banks: identifier, name, size (TCG Algorithm Registry, table "TPM_ALG_ID").

Rule: a bank is named by its TPM_ALG_ID everywhere in the code; its name appears only in JSON and for people.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives import hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAlgorithm:
    """One hash algorithm that a PCR bank may use; `size` in bytes, `digest` hashes data."""

    id: int
    name: str
    size: int
    digest: Callable[[bytes], bytes] = field(compare=False)


def _of_hashlib(factory: Callable[[bytes], Any]) -> Callable[[bytes], bytes]:
    return lambda data: factory(data).digest()


def _sm3(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


SHA1: Final = 0x0004
SHA256: Final = 0x000B
SHA384: Final = 0x000C
SHA512: Final = 0x000D

BANKS: Final = MappingProxyType(
    {
        algorithm.id: algorithm
        for algorithm in (
            BankAlgorithm(id=SHA1, name="sha1", size=20, digest=_sha1),
            BankAlgorithm(id=SHA256, name="sha256", size=32, digest=_of_hashlib(hashlib.sha256)),
            BankAlgorithm(id=SHA384, name="sha384", size=48, digest=_of_hashlib(hashlib.sha384)),
            BankAlgorithm(id=SHA512, name="sha512", size=64, digest=_of_hashlib(hashlib.sha512)),
            BankAlgorithm(id=0x0012, name="sm3_256", size=32, digest=_sm3),
            BankAlgorithm(id=0x0027, name="sha3_256", size=32, digest=_of_hashlib(hashlib.sha3_256)),
            BankAlgorithm(id=0x0028, name="sha3_384", size=48, digest=_of_hashlib(hashlib.sha3_384)),
            BankAlgorithm(id=0x0029, name="sha3_512", size=64, digest=_of_hashlib(hashlib.sha3_512)),
        )
    }
)
"""Bank by TPM_ALG_ID."""

BANKS_BY_NAME: Final = MappingProxyType({bank.name: bank for bank in BANKS.values()})
"""Bank by its name in JSON."""
