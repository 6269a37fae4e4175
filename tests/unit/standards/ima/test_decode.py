"""Binary and text lists: what they hold, and what is refused."""

import pytest

from standards.ima.decode import decode_binary_list, entries_begin_at
from standards.ima.decode_text import decode_text_list
from standards.ima.entries import ImaList
from standards.ima.errors import ImaError
from standards.ima.measured import read_measured
from standards.ima.replay import verify_template_digests
from tests.unit.standards.ima.lists import ENTRIES, FILE_DIGEST, SIGNATURE, Made, encoded, field, legacy, ng

GOOD = Made(data=ng(b"/usr/bin/meter"))
LINE = (
    b"10 "
    + GOOD.digest.hex().encode()
    + b" ima-ng sha256:"
    + FILE_DIGEST.hex().encode()
    + b" /usr/bin/meter\n"
)


def rows(decoded: ImaList) -> list[tuple[int, bytes, str, bytes]]:
    return [
        (each.pcr, each.template_digest, each.template.name, each.data)
        for each in decoded.entries(up_to=decoded.first + len(decoded))
    ]


def test_every_template_is_decoded() -> None:
    decoded = decode_binary_list(encoded(ENTRIES))
    assert rows(decoded) == [(each.pcr, each.digest, each.template.decode(), each.data) for each in ENTRIES]
    assert [each.violation for each in decoded.entries(up_to=99)].index(True) == 6


def test_no_bytes_are_no_entries() -> None:
    assert len(decode_binary_list(b"")) == len(decode_text_list(b"")) == 0


def test_where_an_entry_begins_is_found_without_decoding_the_list() -> None:
    data, starts = encoded(ENTRIES), [len(encoded(ENTRIES[:count])) for count in range(len(ENTRIES) + 1)]
    assert [entries_begin_at(data, number) for number in range(len(ENTRIES) + 1)] == starts
    assert entries_begin_at(data, len(ENTRIES) + 1) is None
    assert entries_begin_at(b"", 0) == 0


@pytest.mark.negative
@pytest.mark.parametrize("cut", [1, 30, 45])
def test_a_list_that_ends_before_the_entry_is_whole_is_refused(cut: int) -> None:
    with pytest.raises(ImaError):
        entries_begin_at(GOOD.encoded + GOOD.encoded[:-cut], 2)


def test_a_part_of_a_list_keeps_the_numbers_of_its_boot() -> None:
    part = decode_binary_list(encoded(ENTRIES[4:]), first=4)
    assert [each.number for each in part.entries(up_to=7)] == [4, 5, 6]


def test_the_text_form_is_the_same_list() -> None:
    assert decode_text_list(LINE) == decode_binary_list(GOOD.encoded)


def test_the_text_form_of_other_templates() -> None:
    digest = FILE_DIGEST.hex().encode()
    signed = Made(data=ng(b"/a") + field(SIGNATURE), template=b"ima-sig")
    unsigned = Made(data=ng(b"/b") + field(b""), template=b"ima-sig")
    owned = Made(data=field(b"/c\x00") + field((1000).to_bytes(4, "little")), template=b"n-ng|iuid")
    old = legacy(b"/sbin/init", FILE_DIGEST[:20])
    lines = [
        (signed, b"ima-sig sha256:" + digest + b" /a " + SIGNATURE.hex().encode()),
        (unsigned, b"ima-sig sha256:" + digest + b" /b "),
        (owned, b"n-ng|iuid /c 1000"),
        (old, b"ima " + digest[:40] + b" /sbin/init"),
    ]
    text = b"".join(b"10 " + each.digest.hex().encode() + b" " + rest + b"\n" for each, rest in lines)
    assert decode_text_list(text) == decode_binary_list(encoded(each for each, _ in lines))


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (GOOD.encoded[:27], "header"),
        (GOOD.encoded[:30], "template name"),
        (GOOD.encoded[:-1], "template data"),
        (GOOD.encoded + b"\n", "header"),
        (Made(data=b"", template=b"").encoded, "template name size"),
        (Made(data=b"", template=b"n" * 129).encoded, "template name size"),
        (Made(data=b"", template=b"ima-new").encoded, "template"),
        (Made(data=b"", template=b"n|n").encoded, "template"),
        (Made(data=b"", template=b"d-ng|\xff").encoded, "template"),
        (legacy(b"/init").encoded[:-1], "name"),
        (legacy(b"/init").encoded[:50], "template data"),
        (Made(template=b"ima", data=b"", listed=bytes(20) + field(b"n" * 256)).encoded, "name size"),
    ],
)
def test_a_binary_list_that_is_none(data: bytes, what: str) -> None:
    with pytest.raises(ImaError) as refused:
        decode_binary_list(ENTRIES[0].encoded + data, first=7)
    assert (refused.value.what, refused.value.entry in {8, 9}) == (what, True)


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (LINE[:-1], "last line"),
        (LINE + b"\n", "line"),
        (LINE.replace(b"10 ", b"ten ", 1), "line"),
        (LINE.replace(b" /usr", b"/usr"), "fields"),
        (LINE.replace(b"ima-ng", b"ima-nu"), "template"),
        (LINE.replace(b"sha256:", b"sha256:0"), "field d-ng"),
        (LINE.replace(b"ima-ng", b"d|n-ng").replace(b"sha256:", b"g"), "field d"),
        (b"10 " + b"0" * 40 + b" imode 65536\n", "field imode"),
        (b"10 " + b"0" * 40 + b" iuid 01\n", "field iuid"),
        (b"10 " + b"0" * 40 + b" ima 00 /init\n", "fields"),
    ],
)
def test_a_text_that_is_none(changed: bytes, what: str) -> None:
    with pytest.raises(ImaError) as refused:
        decode_text_list(changed)
    assert refused.value.what == what


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_line_feed_in_a_name_makes_no_entry_of_a_text() -> None:
    inside = Made(data=ng(b"/tmp/x\n" + LINE.rstrip()))
    text = (
        b"10 "
        + inside.digest.hex().encode()
        + b" ima-ng sha256:"
        + FILE_DIGEST.hex().encode()
        + b" /tmp/x\n"
        + LINE
    )
    decoded = decode_text_list(text)
    assert len(decoded) == 2
    with pytest.raises(ImaError, match="template digest of entry 0"):
        verify_template_digests(decoded)


@pytest.mark.negative
def test_both_decoders_are_bounded() -> None:
    for decode, data in ((decode_binary_list, GOOD.encoded), (decode_text_list, LINE)):
        assert len(decode(data * 2, entries_max=2, bytes_max=2 * len(data))) == 2
        with pytest.raises(ImaError, match="size"):
            decode(data * 2, bytes_max=2 * len(data) - 1)
        with pytest.raises(ImaError, match="length"):
            decode(data * 2, entries_max=1)


SHA256_HEX = FILE_DIGEST.hex()
IN_BOTH_FORMS = {
    "ima-ng": (ng(b"/a"), f"sha256:{SHA256_HEX} /a"),
    "ima-sig": (ng(b"/a") + field(SIGNATURE), f"sha256:{SHA256_HEX} /a {SIGNATURE.hex()}"),
    "ima-buf": (ng(b"keys") + field(b"\x01\x02"), f"sha256:{SHA256_HEX} keys 0102"),
    "ima-ngv2": (ng(b"/a", algorithm=b"verity:sha256"), f"verity:sha256:{SHA256_HEX} /a"),
    "ima-sigv2": (
        ng(b"/a", algorithm=b"ima:sha256") + field(SIGNATURE),
        f"ima:sha256:{SHA256_HEX} /a {SIGNATURE.hex()}",
    ),
    "ima-modsig": (
        ng(b"/a") + field(b"") + field(b"sha256:\x00" + FILE_DIGEST) + field(b"\x30\x00"),
        f"sha256:{SHA256_HEX} /a  sha256:{SHA256_HEX} 3000",
    ),
    "evm-sig": (
        ng(b"/a")
        + field(b"\x05\x02")
        + field(b"security.selinux|security.ima\x00")
        + field(bytes([2, 0, 0, 0, 1, 0, 0, 0]))
        + field(b"\x0a\x0b\x0c")
        + field((0).to_bytes(4, "little"))
        + field((1000).to_bytes(4, "little"))
        + field((0o100755).to_bytes(2, "little")),
        f"sha256:{SHA256_HEX} /a 0502 security.selinux|security.ima 0200000001000000 0a0b0c 0 1000 33261",
    ),
}


@pytest.mark.check("A22")
@pytest.mark.parametrize("template", IN_BOTH_FORMS)
def test_the_kernels_templates_are_the_same_in_both_forms(template: str) -> None:
    data, text = IN_BOTH_FORMS[template]
    made = Made(data=data, template=template.encode())
    binary = decode_binary_list(encoded([made]))
    assert binary == decode_text_list(f"10 {made.digest.hex()} {template} {text}\n".encode())
    verify_template_digests(binary)
    measured = read_measured(binary.entry(0))
    assert (measured.digest, measured.name) == (FILE_DIGEST, b"keys" if template == "ima-buf" else b"/a")
