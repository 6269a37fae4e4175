"""EFI_SIGNATURE_LIST: what its lengths may be (A20)."""

import struct
import uuid

import pytest

from standards.boot_log.errors import BootLogError
from standards.boot_log.payloads import signature_data, signature_list
from standards.boot_log.signature_lists import EFI_CERT_SHA256, EFI_CERT_X509, decode_signature_lists
from tests.unit.standards.boot_log.secure_boots import CERTIFICATE, DB, DBX, DIGEST, OWNER

VENDOR_TYPE = uuid.UUID("0c0c0c0c-0000-4000-8000-00000000000c")


def raw(kind: uuid.UUID, *, list_size: int, header_size: int, size: int, rest: bytes) -> bytes:
    return struct.pack("<16sIII", kind.bytes_le, list_size, header_size, size) + rest


def test_entries_of_several_lists_come_in_order() -> None:
    entries = decode_signature_lists(DB)
    assert [(entry.type, entry.owner, entry.data) for entry in entries] == [
        (EFI_CERT_X509, OWNER, CERTIFICATE),
        (EFI_CERT_SHA256, OWNER, DIGEST),
    ]


def test_no_bytes_are_no_entries() -> None:
    assert decode_signature_lists(b"") == ()


def test_a_type_of_a_vendor_may_have_a_header_and_any_size() -> None:
    lists = raw(VENDOR_TYPE, list_size=28 + 3 + 34, header_size=3, size=17, rest=b"hdr" + b"e" * 34)
    assert [entry.data for entry in decode_signature_lists(lists)] == [b"e", b"e"]


@pytest.mark.check("A20")
@pytest.mark.negative
@pytest.mark.parametrize(
    "data",
    [
        DB[:-1],
        DB + b"\x00",
        DB + bytes(27),
        raw(EFI_CERT_X509, list_size=27, header_size=0, size=48, rest=b""),
        raw(EFI_CERT_X509, list_size=28 + 48, header_size=0, size=48, rest=b"e" * 47),
        raw(EFI_CERT_X509, list_size=28 + 48, header_size=49, size=48, rest=b"e" * 48),
        raw(EFI_CERT_X509, list_size=28 + 48, header_size=0, size=0, rest=b"e" * 48),
        raw(EFI_CERT_X509, list_size=28 + 48, header_size=0, size=16, rest=b"e" * 48),
        raw(EFI_CERT_X509, list_size=28 + 48, header_size=0, size=32, rest=b"e" * 48),
        raw(EFI_CERT_X509, list_size=28 + 48, header_size=0, size=0xFFFFFFFF, rest=b"e" * 48),
        raw(EFI_CERT_X509, list_size=0xFFFFFFFF, header_size=0, size=48, rest=b"e" * 48),
        raw(EFI_CERT_SHA256, list_size=28 + 49, header_size=0, size=49, rest=b"e" * 49),
        signature_list(EFI_CERT_SHA256, [signature_data(OWNER, bytes(20))]),
    ],
)
def test_a_length_that_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(BootLogError, match="EFI_SIGNATURE_LIST"):
        decode_signature_lists(data)


@pytest.mark.negative
def test_the_number_of_entries_is_bounded() -> None:
    assert len(decode_signature_lists(DBX, entries_max=3)) == 3
    with pytest.raises(BootLogError, match="at most 2 entries"):
        decode_signature_lists(DBX, entries_max=2)
