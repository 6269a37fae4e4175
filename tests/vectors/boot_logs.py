"""Boot logs, good and bad, with what must come of each: written to `boot_logs/` by running this module.

    python -m tests.vectors.boot_logs

`index.json` holds for each file either the PCR values that its events lead to (by bank and index), one line an event,
violations of A20 and components of the boot chain, or the part that a decoder must refuse. The PCR values are computed here with hashlib alone, so that they
judge the replay and do not repeat it.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from standards.boot_log import events as ev
from standards.boot_log import payloads
from standards.boot_log.algorithms import BANKS, SHA1, SHA256, SHA384, SHA512
from standards.boot_log.boot_chain import boot_chain
from standards.boot_log.decode import decode_event_log
from standards.boot_log.describe import describe
from standards.boot_log.encode import Measurement, build_event_log, encode_event_log
from standards.boot_log.event_log import EventLog, startup_locality_data
from standards.boot_log.events import EVENT_TYPES
from standards.boot_log.secure_boot import SECURE_BOOT_PCR, secure_boot_facts
from tests.unit.standards.boot_log import boot_chains, secure_boots
from tests.unit.standards.boot_log.logs import LOG, header, record

FOLDER = Path(__file__).parent / "boot_logs"
INDEX = FOLDER / "index.json"
_HASHLIB_NAMES = {0x0012: "sm3"}
_SEPARATOR = Measurement(pcr=0, type=ev.EV_SEPARATOR, data=payloads.SEPARATOR)
_VIOLATIONS = (
    secure_boots.SECURE_BOOT,
    secure_boots.PK,
    secure_boots.PK,
    secure_boots.DB_VARIABLE,
    secure_boots.DBX_VARIABLE,
    secure_boots.separator(b"\xff" * 4),
    secure_boots.authority(payloads.signature_data(secure_boots.OWNER, b"a stranger")),
    secure_boots.DBX_VARIABLE,
)
"""Without KEK, PK twice, a separator of a BIOS, an authority that db does not hold, dbx again after the separator."""


def good_logs() -> dict[str, bytes]:
    """Logs that decode, by file name."""
    every_type = [
        Measurement(pcr=number % 16, type=event_type, data=name.encode())
        for number, (event_type, name) in enumerate(EVENT_TYPES.items())
        if event_type != ev.EV_EFI_HCRTM_EVENT
    ]
    h_crtm = Measurement(pcr=0, type=ev.EV_EFI_HCRTM_EVENT, data=b"HCRTM", measured=b"core root of trust")
    locality = Measurement(pcr=0, type=ev.EV_NO_ACTION, data=startup_locality_data(3))
    legacy = struct.pack("<II", 4, ev.EV_SEPARATOR) + hashlib.sha1(bytes(4)).digest()  # noqa: S324 - TPM 1.2
    built = {
        "interpreted-events.bin": LOG,
        "every-event-type.bin": build_event_log(every_type, algorithms=(SHA256,)),
        "four-banks.bin": build_event_log([_SEPARATOR], algorithms=(SHA512, SHA1, SHA384, SHA256)),
        "startup-locality-3.bin": build_event_log([locality, _SEPARATOR], algorithms=(SHA256,)),
        "h-crtm.bin": build_event_log([h_crtm, _SEPARATOR], algorithms=(SHA256,)),
        "no-events.bin": build_event_log([], algorithms=(SHA256,)),
        "secure-boot.bin": build_event_log(secure_boots.GOOD, algorithms=(SHA256, SHA384)),
        "secure-boot-off.bin": build_event_log(
            [secure_boots.variable("SecureBoot", b"\x00"), *secure_boots.GOOD[1:]], algorithms=(SHA256,)
        ),
        "secure-boot-violations.bin": build_event_log(_VIOLATIONS, algorithms=(SHA256,)),
        "grub.bin": build_event_log(boot_chains.GRUB, algorithms=(SHA256,)),
        "unified-kernel-image.bin": build_event_log(boot_chains.STUB, algorithms=(SHA256,)),
        "sm3-and-sha3.bin": build_event_log([_SEPARATOR], algorithms=(0x0012, 0x0027, SHA256)),
    }
    return {name: encode_event_log(log) for name, log in built.items()} | {
        "tpm-1.2-format.bin": (legacy + struct.pack("<I", 4) + bytes(4)) * 2,
        "unused-rest-of-the-area.bin": encode_event_log(built["four-banks.bin"]) + bytes(512),
        "erased-rest-of-the-area.bin": encode_event_log(built["four-banks.bin"]) + b"\xff" * 512,
        "vendor-info.bin": header(vendor=b"\x05ACME!") + record(),
    }


def bad_logs() -> dict[str, tuple[bytes, str]]:
    """Logs that must be refused, by file name, with the part that is named in the refusal."""
    good = encode_event_log(LOG)
    localities = [
        Measurement(pcr=0, type=ev.EV_NO_ACTION, data=startup_locality_data(value)) for value in (0, 3)
    ]
    two_sizes = struct.pack("<IHHHH", 2, SHA256, 32, SHA256, 32)
    return {
        "empty.bin": (b"", "content"),
        "zeros.bin": (bytes(64), "content"),
        "cut-in-the-header.bin": (good[:50], "event data"),
        "cut-in-an-event.bin": (good[:-1], "event data"),
        "bytes-after-the-log.bin": (good + b"\x01", "pcrIndex"),
        "header-of-another-version.bin": (header(version=b"\x00\x01\x00\x02"), "Specification ID event"),
        "header-in-another-pcr.bin": (header(pcr=1), "Specification ID event"),
        "no-algorithms.bin": (header(algorithms=struct.pack("<I", 0)), "numberOfAlgorithms"),
        "algorithm-twice.bin": (header(algorithms=two_sizes), "algorithm list"),
        "wrong-digest-size.bin": (
            header(algorithms=struct.pack("<IHH", 1, SHA256, 20)),
            "digestSize of 0x000b",
        ),
        "no-digest.bin": (header() + record(digests=struct.pack("<I", 0)), "digest count"),
        "unlisted-digest.bin": (
            header() + record(digests=struct.pack("<IH", 1, SHA384) + bytes(48)),
            "digests",
        ),
        "pcr-24.bin": (header() + record(pcr=24), "pcrIndex"),
        "two-startup-localities.bin": (
            encode_event_log(build_event_log(localities, algorithms=(SHA256,))),
            "StartupLocality",
        ),
        "impossible-startup-locality.bin": (
            header() + record(event_type=ev.EV_NO_ACTION, data=startup_locality_data(7)),
            "StartupLocality",
        ),
    }


def index() -> dict[str, Any]:
    """Content of `index.json`."""
    return {
        "good": {name: _expected(decode_event_log(data)) for name, data in good_logs().items()},
        "bad": {name: {"refused_part": what} for name, (_, what) in bad_logs().items()},
    }


def write() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    files = good_logs() | {name: data for name, (data, _) in bad_logs().items()}
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)
    INDEX.write_text(json.dumps(index(), indent=1) + "\n", encoding="utf-8")


def _expected(log: EventLog) -> dict[str, Any]:
    h_crtm = any(event.type == ev.EV_EFI_HCRTM_EVENT for event in log.events)
    said = [event.data[-1] for event in log.events if event.data.startswith(b"StartupLocality")]
    locality = 4 if h_crtm else (said or [0])[0]
    pcrs = {
        BANKS[bank].name: _replayed(log, bank=bank, locality=locality)
        for bank in log.algorithms
        if bank in BANKS
    }
    expected: dict[str, Any] = {"pcrs": pcrs, "events": [describe(event) for event in log.events]}
    bank = next((bank for bank in log.algorithms if bank in BANKS), SHA1)
    if any(event.pcr == SECURE_BOOT_PCR and event.extended for event in log.events):
        facts = secure_boot_facts(log, bank=bank)
        expected["secure_boot"] = facts.enabled
        expected["violations"] = [f"{each.kind}: {each.subject}" for each in facts.violations]
    links = boot_chain(log, bank=bank).links
    if links:
        expected["boot_chain"] = [f"{link.component}: {link.name}" for link in links]
    return expected


def _replayed(log: EventLog, *, bank: int, locality: int) -> dict[str, str]:
    values: dict[int, bytes] = {0: locality.to_bytes(BANKS[bank].size, "big")} if locality else {}
    for event in log.events:
        if event.type != ev.EV_NO_ACTION:
            before = values.get(event.pcr, bytes(BANKS[bank].size))
            values[event.pcr] = hashlib.new(
                _HASHLIB_NAMES.get(bank, BANKS[bank].name), before + event.digests[bank]
            ).digest()
    return {str(pcr): value.hex() for pcr, value in sorted(values.items())}


if __name__ == "__main__":
    write()
