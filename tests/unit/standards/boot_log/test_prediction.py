"""What a boot will measure, computed from files."""

import hashlib
import struct
from typing import Any

import pytest

from standards.boot_log.algorithms import SHA256, SHA384
from standards.boot_log.encode import build_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.portable_executable import FILL_BYTES_MAX, decode_image
from standards.boot_log.prediction import predict_images, predict_sections, stub_version
from standards.boot_log.replay import replay
from tests.unit.standards.boot_log.images import STUB, image, unified


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.mark.parametrize("wide", [True, False], ids=["PE32+", "PE32"])
@pytest.mark.parametrize(
    "parts",
    [{}, {"after": b"symbols"}, {"signature": b"signature."}, {"after": b"x" * 9, "signature": b"s" * 99}],
)
def test_a_digest_leaves_out_checksum_and_signature_alone(wide: bool, parts: dict[str, Any]) -> None:  # noqa: FBT001 - pytest gives it by position or name
    built = image({".text": b"code", ".data": b"d" * 700}, wide=wide, **parts)
    assert decode_image(built.data).measured == built.measured
    unsigned = image({".text": b"code", ".data": b"d" * 700}, wide=wide, **{**parts, "signature": b""})
    assert decode_image(built.data).measured == decode_image(unsigned.data).measured


@pytest.mark.check("A21")
def test_images_lead_to_pcr_4_in_the_order_in_which_they_run() -> None:
    shim, kernel = (decode_image(image({".text": text}).data) for text in (b"shim", b"kernel"))
    expected = bytes(32)
    for part in (b"Calling EFI Application from Boot Option", bytes(4), shim.measured, kernel.measured):
        expected = sha256(expected + sha256(part))
    log = build_event_log(predict_images([("shim", shim), ("kernel", kernel)]), algorithms=(SHA256,))
    assert replay(log, bank=SHA256) == {4: expected}
    other = build_event_log(predict_images([("kernel", kernel), ("shim", shim)]), algorithms=(SHA256,))
    assert replay(other, bank=SHA256)[4] != expected


@pytest.mark.check("A21")
def test_sections_lead_to_pcr_11_by_name_and_content_in_the_stubs_order() -> None:
    parts = unified(sbat=b"sbat,1", uname=b"6.1", osrel=b"ID=x", pcrsig=b"{}", pcrpkey=b"key")
    measured = (".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat", ".pcrpkey")
    expected = bytes(48)
    for name in measured:
        for part in (name.encode() + b"\x00", parts[name]):
            expected = hashlib.sha384(expected + hashlib.sha384(part).digest()).digest()
    predicted = predict_sections(decode_image(image(parts).data))
    assert replay(build_event_log(predicted, algorithms=(SHA384,)), bank=SHA384) == {11: expected}


def test_an_older_stub_measures_less() -> None:
    parts = unified(sbat=b"sbat,1", uname=b"6.1", sdmagic=STUB.replace(b"255.4-1", b"252.39-1~deb12u2"))
    names = [each.data for each in predict_sections(decode_image(image(parts).data))][::2]
    assert names == [b".linux\x00", b".cmdline\x00", b".initrd\x00"]


def test_a_section_is_measured_as_it_is_in_memory() -> None:
    built = image(unified(), memory={".cmdline": 20, ".initrd": 3})
    measured = {each.data: each.measured for each in predict_sections(decode_image(built.data))}
    assert measured[b".cmdline\x00"] == b"root=/dev/vda ro" + bytes(4)
    assert measured[b".initrd\x00"] == b"ini"


@pytest.mark.negative
@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"sdmagic": b"#### LoaderInfo: another 255 ####"}, "none"),
        ({"sdmagic": STUB.replace(b"255", b"251")}, "version 251"),
        ({"sdmagic": STUB.replace(b"255", b"253")}, "version 253"),
        ({"profile": b"ID=main"}, ".profile"),
        ({"dtbauto": b"tree"}, ".dtbauto"),
        ({"hwids": b"ids"}, ".hwids"),
    ],
)
def test_what_the_file_alone_does_not_determine_is_not_predicted(parts: dict[str, bytes], named: str) -> None:
    with pytest.raises(BootLogError, match=named):
        predict_sections(decode_image(image(unified(**parts)).data))


@pytest.mark.negative
def test_a_section_twice_or_no_kernel_is_not_predicted() -> None:
    rows = list(unified().items())
    with pytest.raises(BootLogError, match="cmdline"):
        predict_sections(decode_image(image([*rows, (".cmdline", b"init=/bin/sh")]).data))
    with pytest.raises(BootLogError, match="linux"):
        predict_sections(decode_image(image([row for row in rows if row[0] != ".linux"]).data))
    with pytest.raises(BootLogError, match="systemd-stub"):
        stub_version(decode_image(image([*rows, (".sdmagic", STUB)]).data))


@pytest.mark.negative
def test_zeros_are_not_filled_in_without_end() -> None:
    built = image(unified(), memory={".cmdline": FILL_BYTES_MAX + 600})
    with pytest.raises(BootLogError, match="zeros"):
        predict_sections(decode_image(built.data))


def changed(data: bytes, at: int, form: str, value: int) -> bytes:
    edited = bytearray(data)
    struct.pack_into(form, edited, at, value)
    return bytes(edited)


GOOD = image({".text": b"code", ".data": b"data"}, after=b"more", signature=b"signature")
OPTIONAL = 64 + 4 + 20
TABLE = OPTIONAL + 112 + 128
FAULTS: dict[str, bytes] = {
    "no MZ": b"ZM" + GOOD.data[2:],
    "a PE header past the end": changed(GOOD.data, 60, "<I", 1 << 31),
    "another PE signature": changed(GOOD.data, 64, "<I", 0),
    "no section": changed(GOOD.data, 64 + 6, "<H", 0),
    "too many sections": changed(GOOD.data, 64 + 6, "<H", 97),
    "another magic": changed(GOOD.data, OPTIONAL, "<H", 0x107),
    "an optional header without room": changed(GOOD.data, 64 + 20, "<H", 112),
    "headers past the end": changed(GOOD.data, OPTIONAL + 60, "<I", 1 << 20),
    "headers that end before the sections' table": changed(GOOD.data, OPTIONAL + 60, "<I", 64),
    "a section past the end": changed(GOOD.data, TABLE + 20, "<I", 1 << 20),
    "a section of too many bytes": changed(GOOD.data, TABLE + 16, "<I", 1 << 31),
    "a section inside of the headers": changed(GOOD.data, TABLE + 20, "<I", 0),
    "two sections in one place": changed(GOOD.data, TABLE + 40 + 20, "<I", 512),
    "a name that is none": changed(GOOD.data, TABLE, "<Q", 0x0A),
    "a signature that is not at the end": changed(GOOD.data, OPTIONAL + 112 + 32, "<I", 512),
    "a signature of everything": changed(GOOD.data, OPTIONAL + 112 + 36, "<I", len(GOOD.data)),
}


@pytest.mark.negative
@pytest.mark.parametrize("fault", FAULTS)
def test_an_image_that_is_not_whole_is_refused(fault: str) -> None:
    assert decode_image(GOOD.data).measured == GOOD.measured
    with pytest.raises(BootLogError):
        decode_image(FAULTS[fault])
