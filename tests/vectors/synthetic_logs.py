"""Logs that no machine here has written: every type, size, bank and oddity that the profile allows, and some that it does not.

They are encoded here by `struct` and replayed here by `hashlib`, without this project's code, so that they judge it.
Source: TCG PC Client Platform Firmware Profile 1.06, section 10.
"""

import hashlib
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

SHA1, SHA256, SHA384, SHA512, VENDOR = 0x0004, 0x000B, 0x000C, 0x000D, 0x8F01
NO_ACTION, SEPARATOR, IPL, HCRTM = 0x03, 0x04, 0x0D, 0x80000010
DRIVER_CONFIG, AUTHORITY = 0x80000001, 0x800000E0
SIZES = MappingProxyType({SHA1: 20, SHA256: 32, SHA384: 48, SHA512: 64, VENDOR: 24})
NAMES = MappingProxyType({SHA1: "sha1", SHA256: "sha256", SHA384: "sha384", SHA512: "sha512"})
TYPES = (*range(0x14), *range(0x80000001, 0x8000000E), 0x80000010, 0x800000E0, *range(0x800000E1, 0x800000E5))
UNKNOWN = (0x00010000, 0x0000FFFF, 0x7FFFFFFF, 0x80001234, 0xA0000000, 0xFFFFFFFF)
SHIM = uuid.UUID("605dab50-e046-4300-abb6-3dd810dd8b23")
GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
STARTUP = b"StartupLocality\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An event: `measured` is what is hashed, None for the data itself."""

    pcr: int
    type: int
    data: bytes
    measured: bytes | None = None

    def digest(self, bank: int) -> bytes:
        """What stands in the log: zeros where nothing is extended, anything of the size in a vendor's bank."""
        if self.type == NO_ACTION or bank not in NAMES:
            return bytes(SIZES[bank])
        return hashlib.new(NAMES[bank], self.data if self.measured is None else self.measured).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticLog:
    """A log as bytes, and where its events lead: bank -> PCR -> value, of the banks that hashlib has."""

    events: Sequence[Made]
    banks: tuple[int, ...] = (SHA256,)
    legacy: bool = False
    locality: int = 0

    @property
    def data(self) -> bytes:
        """The log."""
        if self.legacy:
            return b"".join(_place(each) + each.digest(SHA1) + _counted(each) for each in self.events)
        return _header(self.banks) + b"".join(self._record(each) for each in self.events)

    def _record(self, event: Made) -> bytes:
        digests = b"".join(struct.pack("<H", bank) + event.digest(bank) for bank in self.banks)
        return _place(event) + struct.pack("<I", len(self.banks)) + digests + _counted(event)

    @property
    def values(self) -> Mapping[int, Mapping[int, bytes]]:
        """Where it leads."""
        return {bank: self._replayed(bank) for bank in self.banks if bank in NAMES}

    def _replayed(self, bank: int) -> dict[int, bytes]:
        size = SIZES[bank]
        values = {0: self.locality.to_bytes(size, "big")} if self.locality else {}
        for event in self.events:
            if event.type != NO_ACTION:
                before = values.get(event.pcr, bytes(size))
                values[event.pcr] = hashlib.new(NAMES[bank], before + event.digest(bank)).digest()
        return values


def _place(event: Made) -> bytes:
    return struct.pack("<II", event.pcr, event.type)


def _counted(event: Made) -> bytes:
    return struct.pack("<I", len(event.data)) + event.data


def _header(banks: tuple[int, ...]) -> bytes:
    sizes = b"".join(struct.pack("<HH", bank, SIZES[bank]) for bank in banks)
    data = struct.pack("<16sIBBBBI", b"Spec ID Event03", 0, 0, 2, 106, 2, len(banks)) + sizes
    return (
        _place(Made(pcr=0, type=NO_ACTION, data=b""))
        + bytes(20)
        + struct.pack("<I", len(data) + 1)
        + data
        + b"\x00"
    )


def variable(vendor: uuid.UUID, name: str, content: bytes) -> bytes:
    """UEFI_VARIABLE_DATA."""
    return vendor.bytes_le + struct.pack("<QQ", len(name), len(content)) + name.encode("utf-16-le") + content


def handoff_tables(count: int) -> bytes:
    """UEFI_HANDOFF_TABLE_POINTERS2: a counted description, and pairs of a vendor's GUID and a pointer."""
    pairs = b"".join(
        uuid.UUID(int=number).bytes_le + struct.pack("<Q", 1 << number) for number in range(count)
    )
    return b"\x06SMBIOS" + struct.pack("<Q", count) + pairs


def spdm_device(content: bytes) -> bytes:
    """DEVICE_SECURITY_EVENT_DATA2 up to its measurement: signature, version, authentication state, lengths, device type."""
    return struct.pack("<16sHBBII", b"SPDM Device Sec2", 2, 0, 0, 24 + len(content), 1) + content


STRUCTURES = MappingProxyType(
    dict.fromkeys(
        (DRIVER_CONFIG, 0x80000002, 0x8000000C, AUTHORITY), variable(GLOBAL, "BootOrder", b"\x01\x00")
    )
    | dict.fromkeys((0x80000003, 0x80000004, 0x80000005), struct.pack("<QQQQ", 1 << 32, 4_096, 0, 0))
    | dict.fromkeys((0x80000006, 0x8000000D), bytes(92) + struct.pack("<Q", 0))
    | dict.fromkeys((0x80000008, 0x8000000A), struct.pack("<QQ", 0xFF00_0000, 1 << 20))
)
"""Data that are what their type says, for the types whose structure a reader may insist on."""


def good_logs() -> dict[str, SyntheticLog]:
    """All of them, by name."""
    all_banks = (SHA1, SHA256, SHA384, SHA512)
    every = [
        Made(pcr=place % 16, type=kind, data=b"data of type %08x" % kind, measured=b"image %d" % place)
        for place, kind in enumerate(each for each in TYPES if each not in (NO_ACTION, HCRTM))
    ]
    formed = [
        Made(pcr=each.pcr, type=each.type, data=STRUCTURES.get(each.type, each.data), measured=each.measured)
        for each in every
    ]
    return {
        "every type, four banks": SyntheticLog(events=formed, banks=all_banks),
        "every type, legacy": SyntheticLog(events=formed, banks=(SHA1,), legacy=True),
        "every type with other data": SyntheticLog(events=every, banks=all_banks),
        "unknown types": SyntheticLog(
            events=[Made(pcr=5, type=kind, data=b"?") for kind in UNKNOWN], banks=all_banks
        ),
        "odd sizes": SyntheticLog(
            events=[Made(pcr=2, type=0x0E, data=b"\xa5" * size) for size in (0, 1, 3, 255, 256, 4097, 65_535)]
        ),
        "one event of a megabyte": SyntheticLog(events=[Made(pcr=1, type=0x0A, data=b"\x5a" * (1 << 20))]),
        "thousands of events": SyntheticLog(
            events=[Made(pcr=n % 8, type=0x05, data=b"%d" % n) for n in range(6_000)]
        ),
        "vendor algorithm": SyntheticLog(
            events=[Made(pcr=0, type=0x08, data=b"v"), *_separators(bytes(4))], banks=(VENDOR, SHA256)
        ),
        "startup locality 3": SyntheticLog(
            events=[Made(pcr=0, type=NO_ACTION, data=STARTUP + b"\x03"), *_separators(bytes(4))], locality=3
        ),
        "startup locality 4 and H-CRTM": SyntheticLog(
            events=[
                Made(pcr=0, type=NO_ACTION, data=STARTUP + b"\x04"),
                Made(pcr=0, type=HCRTM, data=b"HCRTM", measured=b"core root"),
                *_separators(bytes(4)),
            ],
            locality=4,
        ),
        "no action, every kind": SyntheticLog(events=_no_actions(), banks=(SHA256, SHA384)),
        "separators of errors": SyntheticLog(events=_separators(b"\x01\x00\x00\x00", b"an error")),
        "separators of a BIOS": SyntheticLog(events=_separators(b"\xff" * 4)),
        "handoff tables": SyntheticLog(
            events=[Made(pcr=1, type=0x8000000B, data=handoff_tables(count)) for count in (0, 1, 5)]
        ),
        "SPDM devices": SyntheticLog(
            events=[
                Made(pcr=2 + place % 2 if place < 2 else 7, type=kind, data=spdm_device(b"measurement"))
                for place, kind in enumerate(range(0x800000E1, 0x800000E5))
            ],
            banks=(SHA256, SHA384),
        ),
        "shim": SyntheticLog(events=_shim()),
        "every register": SyntheticLog(
            events=[Made(pcr=pcr, type=IPL, data=b"r%d\x00" % pcr) for pcr in range(16)]
        ),
    }


def _separators(value: bytes, measured: bytes | None = None) -> list[Made]:
    return [Made(pcr=pcr, type=SEPARATOR, data=value, measured=measured) for pcr in range(8)]


def _no_actions() -> list[Made]:
    """Events that reach no register, between two that do."""
    texts = (
        b"SP800-155 Event\x00",
        b"SP800-155 Event2",
        b"SP800-155 Event3",
        b"H-CRTM CompMeas\x00",
        b"BIOS ID event\x00\x00\x00",
    )
    silent = [
        Made(pcr=pcr, type=NO_ACTION, data=text + bytes(range(64))) for pcr in (0, 5, 14) for text in texts
    ]
    return [
        Made(pcr=4, type=SEPARATOR, data=bytes(4)),
        *silent,
        Made(pcr=0, type=NO_ACTION, data=b""),
        Made(pcr=4, type=IPL, data=b"last\x00"),
    ]


def _shim() -> list[Made]:
    """Shim's variables in PCR 7 and its lists in PCR 14."""
    sbat = b"sbat,1,2024040900\nshim,4\ngrub,4\n"
    policy = variable(SHIM, "SbatLevel", sbat)
    lists = ("MokList", "MokListX", "MokListTrusted", "SbatLevel")
    return [
        Made(pcr=7, type=DRIVER_CONFIG, data=variable(GLOBAL, "SecureBoot", b"\x01")),
        Made(pcr=7, type=SEPARATOR, data=bytes(4)),
        Made(pcr=7, type=AUTHORITY, data=policy),
        Made(pcr=7, type=AUTHORITY, data=variable(SHIM, "Shim", b"a certificate")),
        Made(pcr=7, type=AUTHORITY, data=variable(SHIM, "MokSBState", b"\x00")),
        *(Made(pcr=14, type=IPL, data=name.encode() + b"\x00", measured=name.encode() * 9) for name in lists),
    ]
