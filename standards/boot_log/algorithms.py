"""Hash algorithms of PCR banks: identifier, name, size (TCG Algorithm Registry, table "TPM_ALG_ID").

Rule: a bank is named by its TPM_ALG_ID everywhere in the code; its name appears only in JSON and for people.
"""

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives import hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAlgorithm:
    """One hash algorithm that a PCR bank may use; `size` in bytes."""

    id: int
    name: str
    size: int
    factory: type[hashes.HashAlgorithm]

    def digest(self, data: bytes) -> bytes:
        """Hash of data."""
        if self.id == SHA256:
            return hashlib.sha256(data).digest()  # the bank of every quote: without the detour of an object
        digest = hashes.Hash(self.factory())
        digest.update(data)
        return digest.finalize()


SHA1: Final = 0x0004
SHA256: Final = 0x000B
SHA384: Final = 0x000C
SHA512: Final = 0x000D

BANKS: Final = MappingProxyType(
    {
        algorithm.id: algorithm
        for algorithm in (
            BankAlgorithm(id=SHA1, name="sha1", size=20, factory=hashes.SHA1),
            BankAlgorithm(id=SHA256, name="sha256", size=32, factory=hashes.SHA256),
            BankAlgorithm(id=SHA384, name="sha384", size=48, factory=hashes.SHA384),
            BankAlgorithm(id=SHA512, name="sha512", size=64, factory=hashes.SHA512),
            BankAlgorithm(id=0x0012, name="sm3_256", size=32, factory=hashes.SM3),
            BankAlgorithm(id=0x0027, name="sha3_256", size=32, factory=hashes.SHA3_256),
            BankAlgorithm(id=0x0028, name="sha3_384", size=48, factory=hashes.SHA3_384),
            BankAlgorithm(id=0x0029, name="sha3_512", size=64, factory=hashes.SHA3_512),
        )
    }
)
"""Bank by TPM_ALG_ID."""

BANKS_BY_NAME: Final = MappingProxyType({bank.name: bank for bank in BANKS.values()})
"""Bank by its name in JSON."""
