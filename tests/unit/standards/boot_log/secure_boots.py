"""Boots with Secure Boot for the tests of this room: a good one, and the parts to make bad ones from."""

import uuid
from collections.abc import Sequence

from standards.boot_log import events as ev
from standards.boot_log import payloads
from standards.boot_log.algorithms import SHA1, SHA256
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.event_log import EventLog
from standards.boot_log.secure_boot import SHIM_LOCK
from standards.boot_log.signature_lists import EFI_CERT_SHA256, EFI_CERT_X509

OWNER = uuid.UUID("0a0a0a0a-0000-4000-8000-00000000000a")
OTHER_OWNER = uuid.UUID("0b0b0b0b-0000-4000-8000-00000000000b")
CERTIFICATE = b"\x30\x82\x00\x10" + b"a certificate!!!"
DIGEST = b"\xd1" * 32
GLOBAL, IMAGES = payloads.EFI_GLOBAL_VARIABLE, payloads.EFI_IMAGE_SECURITY_DATABASE

DB = payloads.signature_list(EFI_CERT_X509, [payloads.signature_data(OWNER, CERTIFICATE)])
DB += payloads.signature_list(EFI_CERT_SHA256, [payloads.signature_data(OWNER, DIGEST)])
DBX = payloads.signature_list(
    EFI_CERT_SHA256, [payloads.signature_data(OWNER, bytes([number]) * 32) for number in range(3)]
)
KEYS = payloads.signature_list(EFI_CERT_X509, [payloads.signature_data(OWNER, b"a key")])


def variable(name: str, content: bytes, *, vendor: uuid.UUID = GLOBAL) -> Measurement:
    """A variable of the Secure Boot policy."""
    data = payloads.variable(vendor, name, content)
    return Measurement(pcr=7, type=ev.EV_EFI_VARIABLE_DRIVER_CONFIG, data=data)


def authority(content: bytes, *, name: str = "db", vendor: uuid.UUID = IMAGES) -> Measurement:
    """What vouched for an image."""
    data = payloads.variable(vendor, name, content)
    return Measurement(pcr=7, type=ev.EV_EFI_VARIABLE_AUTHORITY, data=data)


def separator(value: bytes = bytes(4)) -> Measurement:
    """The separator of PCR 7."""
    return Measurement(pcr=7, type=ev.EV_SEPARATOR, data=value)


SECURE_BOOT = variable("SecureBoot", b"\x01")
PK, KEK = variable("PK", KEYS), variable("KEK", KEYS)
DB_VARIABLE, DBX_VARIABLE = variable("db", DB, vendor=IMAGES), variable("dbx", DBX, vendor=IMAGES)
POLICY = (SECURE_BOOT, PK, KEK, DB_VARIABLE, DBX_VARIABLE)
FIRMWARE_AUTHORITY = authority(payloads.signature_data(OWNER, CERTIFICATE))
SBAT = authority(b"sbat,1,2024010900\n", name="SbatLevel", vendor=SHIM_LOCK)
SHIM_AUTHORITY = authority(b"\x30\x82the vendor's certificate", name="Shim", vendor=SHIM_LOCK)
MOK_LIST = Measurement(pcr=14, type=ev.EV_IPL, data=b"MokList\x00", measured=b"the list")
MOK_LIST_X = Measurement(pcr=14, type=ev.EV_IPL, data=b"MokListX\x00", measured=b"the other list")

GOOD = (*POLICY, separator(), FIRMWARE_AUTHORITY, SBAT, SHIM_AUTHORITY, MOK_LIST, MOK_LIST_X)
"""Secure Boot on, shim vouched for by a certificate of db, and what shim verified with its own."""


def log_of(measurements: Sequence[Measurement]) -> EventLog:
    """The log of a boot that measured these."""
    return build_event_log(measurements, algorithms=(SHA1, SHA256))
