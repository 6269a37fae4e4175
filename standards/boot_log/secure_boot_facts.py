"""`SecureBootFacts`: what PCR 7 (and shim's PCR 14) of one boot say, as values.

Rule: facts and violations of A20, no verdict; `secure_boot` makes them, out of nothing but bytes that digests cover.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from standards.boot_log.signature_lists import SignatureEntry

SECURE_BOOT: Final = "SecureBoot"
REQUIRED: Final = (SECURE_BOOT, "PK", "KEK", "db", "dbx")
"""Variables that are measured once each (A20); platforms do it in this order, which is not checked."""
ON: Final = b"\x01"


@unique
class ViolationKind(StrEnum):
    """Ways in which PCR 7 is not what A20 asks for."""

    MISSING = "missing"
    REPEATED = "repeated"
    AFTER_SEPARATOR = "after the separator"
    SEPARATOR = "separator"
    DATABASE = "database"
    AUTHORITY = "authority"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One deviation from A20; `event` is the event's number, None where there is none to name."""

    kind: ViolationKind
    subject: str
    expected: str
    measured: str
    event: int | None
    proven: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What vouched for an image: `name` and `vendor` of the variable, its content, and whether db holds it.

    `in_db` is None for shim's own authorities, which are not db's, and where db itself could not be read.
    """

    number: int
    name: str
    vendor: uuid.UUID
    content: bytes
    in_db: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MokFact:
    """One of shim's lists or settings: its digest in the bank, and its content where PCR 7 covers that.

    In PCR 14 the name is a hint: the digest covers the content alone.
    """

    number: int
    pcr: int
    name: str
    digest: bytes
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureBootFacts:
    """What the covered events of PCR 7 (and, for shim, 14) say; nothing here is a verdict.

    `variables` holds the content of each variable measured before the separator, first value by name, `databases`
    the last entries measured for PK, KEK, db and dbx, `others` the names of further variables, `actions` text that
    firmware measured.
    """

    variables: Mapping[str, bytes]
    databases: Mapping[str, tuple[SignatureEntry, ...]]
    others: tuple[str, ...]
    actions: tuple[str, ...]
    authorities: tuple[Authority, ...]
    mok: tuple[MokFact, ...]
    violations: tuple[Violation, ...]

    @property
    def measured(self) -> bool:
        """Whether any of the variables was measured: platforms without Secure Boot measure none."""
        return bool(self.variables)

    @property
    def enabled(self) -> bool:
        """Whether Secure Boot was measured as on."""
        return self.variables.get(SECURE_BOOT) == ON

    @property
    def revoked(self) -> int:
        """Number of entries of dbx."""
        return len(self.databases.get("dbx", ()))

    @property
    def sbat_level(self) -> str | None:
        """The revocation level that shim measured, as text."""
        found = next((each.content for each in self.mok if each.name == "SbatLevel" and each.content), None)
        return None if found is None else found.rstrip(b"\x00").decode("ascii", "backslashreplace").strip()

    @property
    def shim_validates(self) -> bool:
        """False where shim was told, by the measured MokSBState, to load what nobody signed."""
        return not any(each.name == "MokSBState" and each.content == ON for each in self.mok)
