"""What PCR 7 says about Secure Boot (A20).

Rule: only bytes that a digest covers are read (A19), and an event is what those bytes make it, never what its type
says: the type is not measured, so whoever carries the log could change it. A violation is `proven` where covered bytes
alone show it; where an event of PCR 7 could not be read, what seems to be missing may be in there, and is not proven.
Theory: firmware measures SecureBoot, PK, KEK, db and dbx, then a separator of four zero bytes, then, as images are
verified, the entry of db that vouched for each ("authority"). shim adds what it verified with and its own settings
under a vendor GUID of its own (PCR 7), and digests of its lists (PCR 14).
Source: TCG PC Client Platform Firmware Profile 1.06, section 3.3.4.8; UEFI Specification 2.10, section 32.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from standards.boot_log.algorithms import BANKS
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import EV_EFI_VARIABLE_AUTHORITY, Event
from standards.boot_log.measured import measured_payload
from standards.boot_log.payloads import EFI_GLOBAL_VARIABLE, EFI_IMAGE_SECURITY_DATABASE, SEPARATOR
from standards.boot_log.secure_boot_facts import (
    REQUIRED,
    SECURE_BOOT,
    Authority,
    MokFact,
    SecureBootFacts,
    Violation,
    ViolationKind,
)
from standards.boot_log.signature_lists import OWNER_SIZE, SignatureEntry, decode_signature_lists
from standards.boot_log.uefi import UefiVariable, read_variable

SECURE_BOOT_PCR: Final = 7
MOK_PCR: Final = 14
SHIM_LOCK: Final = uuid.UUID("605dab50-e046-4300-abb6-3dd810dd8b23")

_VENDORS: Final = MappingProxyType(
    {
        SECURE_BOOT: EFI_GLOBAL_VARIABLE,
        "PK": EFI_GLOBAL_VARIABLE,
        "KEK": EFI_GLOBAL_VARIABLE,
        "db": EFI_IMAGE_SECURITY_DATABASE,
        "dbx": EFI_IMAGE_SECURITY_DATABASE,
    }
)
_SEPARATORS: Final = (SEPARATOR, b"\xff" * 4, b"\x01\x00\x00\x00")
"""Values that a separator can have: UEFI's, the legacy BIOS's, and the one that reports an error."""
_SETTINGS_OF_SHIM: Final = frozenset(
    {"MokList", "MokListX", "MokListTrusted", "MokSBState", "MokDBState", "SbatLevel"}
)
_SURPLUS_OF_OLD_SHIM: Final = bytes(5)
"""Old shims measured five zero bytes after the variable, and logged one byte more that they did not measure."""


def secure_boot_facts(log: EventLog, *, bank: int) -> SecureBootFacts:
    """Read PCR 7 and 14 of a log in one bank.

    What is NOT checked here: that the log reaches the quoted values of these PCRs.

    Raises:
        BootLogError: the log has no digests for this bank.
    """
    if bank not in log.algorithms or bank not in BANKS:
        raise BootLogError(what="PCR bank", expected="a known one that the log lists", got=f"0x{bank:04x}")
    reading = _Reading(bank=bank)
    for event in log.extended_into(SECURE_BOOT_PCR):
        reading.take(event)
    reading.finish()
    return SecureBootFacts(
        variables=MappingProxyType(reading.variables),
        databases=MappingProxyType(reading.databases),
        others=tuple(reading.others),
        actions=tuple(reading.actions),
        authorities=tuple(reading.authorities),
        mok=(*reading.mok, *_lists_of_shim(log, bank=bank)),
        violations=tuple(reading.violations),
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """PCR 7, read event by event; `held` is what db vouches for now, `late` what came after the separator only."""

    bank: int
    variables: dict[str, bytes] = field(default_factory=dict)
    databases: dict[str, tuple[SignatureEntry, ...]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    authorities: list[Authority] = field(default_factory=list)
    mok: list[MokFact] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    held: frozenset[bytes] = frozenset()
    late: set[str] = field(default_factory=set)
    separated: bool = False
    complete: bool = True

    def take(self, event: Event) -> None:
        """Read one event by what its digest covers."""
        payload = _covered(event, bank=self.bank)
        variable = None if payload is None else _variable(payload)
        if payload in _SEPARATORS:
            self._separator(event, payload or b"")
        elif variable is not None:
            self._variable(event, variable)
        elif payload and payload.isascii() and payload.decode("ascii").isprintable():
            self.actions.append(payload.decode("ascii"))
        else:
            self.complete = False
            got = "data that its digest does not cover" if payload is None else "another structure"
            self._violated(
                ViolationKind.UNREADABLE,
                event=event,
                said=(f"event {event.number}", "a measured variable, separator or action", got),
                proven=False,
            )

    def finish(self) -> None:
        """What is missing at the end; a platform that measured none of the variables has no Secure Boot."""
        if not self.separated:
            said = ("separator", "four zero bytes", "none")
            self._violated(ViolationKind.SEPARATOR, event=None, said=said, proven=self.complete)
        if self.variables or self.late:
            for name in REQUIRED:
                if name not in self.variables and name not in self.late:
                    said = (name, "one event before the separator", "none")
                    self._violated(ViolationKind.MISSING, event=None, said=said, proven=self.complete)

    def _separator(self, event: Event, payload: bytes) -> None:
        if self.separated or payload != SEPARATOR:
            expected = "one separator" if self.separated else "four zero bytes"
            said = ("separator", expected, payload.hex())
            self._violated(ViolationKind.SEPARATOR, event=event, said=said, proven=True)
        self.separated = True

    def _variable(self, event: Event, variable: UefiVariable) -> None:
        if variable.vendor == SHIM_LOCK:
            self._of_shim(event, variable)
        elif _VENDORS.get(variable.name) != variable.vendor:
            self._other(event, variable)
        elif variable.name == SECURE_BOOT:
            self._policy(event, variable)
        else:
            self._database(event, variable)

    def _database(self, event: Event, variable: UefiVariable) -> None:
        """Lists are the variable itself; a single entry under the name of db is an authority."""
        try:
            entries = decode_signature_lists(variable.content)
        except BootLogError as error:
            if variable.name == "db" and (self.separated or self._vouched(variable.content)):
                self._authority(event, variable)
                return
            self._policy(event, variable)
            said = (variable.name, error.expected, error.got)
            self._violated(ViolationKind.DATABASE, event=event, said=said, proven=True)
            return
        self._policy(event, variable)
        self.databases[variable.name] = entries
        if variable.name == "db":
            self.held = frozenset(entry.data for entry in entries)

    def _policy(self, event: Event, variable: UefiVariable) -> None:
        name, size = variable.name, f"{len(variable.content)} bytes"
        if self.separated:
            self.late.add(name)
            said = (name, "no event after the separator", size)
            self._violated(ViolationKind.AFTER_SEPARATOR, event=event, said=said, proven=True)
        elif name in self.variables:
            said = (name, "one event", f"another one, of {size}")
            self._violated(ViolationKind.REPEATED, event=event, said=said, proven=True)
        else:
            self.variables[name] = variable.content

    def _authority(self, event: Event, variable: UefiVariable) -> None:
        vouched = self._vouched(variable.content)
        proven = "db" in self.databases and self.complete
        self.authorities.append(_authority(event, variable, in_db=vouched if vouched or proven else None))
        if not vouched:
            expected = f"one of the {len(self.databases.get('db', ()))} entries of db"
            said = ("authority", expected, f"another one, of {len(variable.content)} bytes")
            self._violated(ViolationKind.AUTHORITY, event=event, said=said, proven=proven)

    def _vouched(self, content: bytes) -> bool:
        """Whether db holds the entry, whoever owns it; old shims measured entries without their owner."""
        return content in self.held or content[OWNER_SIZE:] in self.held

    def _of_shim(self, event: Event, variable: UefiVariable) -> None:
        if variable.name not in _SETTINGS_OF_SHIM:
            self.authorities.append(_authority(event, variable, in_db=None))
            return
        digest = event.digests[self.bank]
        self.mok.append(
            MokFact(
                number=event.number,
                pcr=event.pcr,
                name=variable.name,
                digest=digest,
                content=variable.content,
            )
        )

    def _other(self, event: Event, variable: UefiVariable) -> None:
        """Further variables are the platform's own affair, but none of them vouches for an image."""
        self.others.append(variable.name)
        if event.type == EV_EFI_VARIABLE_AUTHORITY:
            said = ("authority", "an entry of db, or shim's", f"{variable.name} ({variable.vendor})")
            self._violated(ViolationKind.AUTHORITY, event=event, said=said, proven=False)

    def _violated(
        self, kind: ViolationKind, *, event: Event | None, said: tuple[str, str, str], proven: bool
    ) -> None:
        """Note a violation; `said` is subject, expected, measured."""
        subject, expected, measured = said
        self.violations.append(
            Violation(
                kind=kind,
                subject=subject,
                expected=expected,
                measured=measured,
                event=None if event is None else event.number,
                proven=proven,
            )
        )


def _covered(event: Event, *, bank: int) -> bytes | None:
    """What the digest covers; a separator is known by its digest, whatever was logged with it."""
    for value in _SEPARATORS:
        if event.digests[bank] == BANKS[bank].digest(value):
            return value
    payload = measured_payload(event, bank=bank)
    if payload is None and event.type == EV_EFI_VARIABLE_AUTHORITY:
        return measured_payload(replace(event, data=event.data[:-1]), bank=bank)
    return payload


def _variable(payload: bytes) -> UefiVariable | None:
    variable = read_variable(payload)
    if variable is None and payload.endswith(_SURPLUS_OF_OLD_SHIM):
        return read_variable(payload[: -len(_SURPLUS_OF_OLD_SHIM)])
    return variable


def _authority(event: Event, variable: UefiVariable, *, in_db: bool | None) -> Authority:
    return Authority(
        number=event.number,
        name=variable.name,
        vendor=variable.vendor,
        content=variable.content,
        in_db=in_db,
    )


def _lists_of_shim(log: EventLog, *, bank: int) -> Iterator[MokFact]:
    """PCR 14: the data only names the list, so the name is a hint."""
    for event in log.extended_into(MOK_PCR):
        name = event.data.removesuffix(b"\x00").decode("ascii", "backslashreplace")
        if name in _SETTINGS_OF_SHIM:
            digest = event.digests[bank]
            yield MokFact(number=event.number, pcr=MOK_PCR, name=name, digest=digest, content=None)
