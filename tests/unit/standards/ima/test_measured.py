"""What entries say, and names that an attacker chose."""

import pytest

from standards.ima.decode import decode_binary_list
from standards.ima.errors import ImaError
from standards.ima.measured import Measured, read_measured, shown_name
from tests.unit.standards.ima.lists import ENTRIES, FILE_DIGEST, SIGNATURE, Made, encoded, field, ng


def read(made: Made) -> Measured:
    (entry,) = decode_binary_list(made.encoded).entries(up_to=1)
    return read_measured(entry)


def test_every_template_is_read() -> None:
    said = [read_measured(each) for each in decode_binary_list(encoded(ENTRIES)).entries(up_to=99)]
    assert [each.name for each in said] == [
        b"boot_aggregate",
        b"/usr/bin/meter",
        b"/etc/evil\n10 name with space",
        b"/usr/bin/signed",
        b"/usr/bin/unsigned",
        b"kexec-cmdline",
        b"/var/log/open",
        b"/custom",
        b"/other/register",
        b"/sbin/init",
    ]
    assert {(each.algorithm, each.digest) for each in said[1:6]} == {("sha256", FILE_DIGEST)}
    assert (said[3].signature, said[4].signature, said[5].buffer) == (SIGNATURE, b"", b"root=/dev/sda1")
    assert (said[6].algorithm, said[6].digest) == ("sha256", bytes(20))
    assert (said[7].algorithm, said[7].digest) == ("sha1", FILE_DIGEST[:20])
    assert (said[9].algorithm, len(said[9].digest or b"")) == ("sha1", 20)


def test_digests_of_fs_verity_are_told_from_digests_of_files() -> None:
    kinds = [
        read(Made(data=ng(b"/a", algorithm=prefix), template=b"ima-ngv2")).algorithm
        for prefix in (b"ima:sha256", b"verity:sha256")
    ]
    assert kinds == ["sha256", "verity:sha256"]


def test_a_template_without_digest_or_name() -> None:
    said = read(Made(data=field(b"\xe8\x03\x00\x00"), template=b"iuid"))
    assert (said.algorithm, said.digest, said.name, said.fields["iuid"]) == (
        None,
        None,
        None,
        b"\xe8\x03\x00\x00",
    )


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("data", "template", "what"),
    [
        (ng(b"/a")[:-1], b"ima-ng", "field n-ng"),
        (ng(b"/a")[:2], b"ima-ng", "field d-ng"),
        (ng(b"/a") + b"\x00", b"ima-ng", "template data"),
        (ng(b"/a"), b"ima-sig", "field sig"),
        (ng(b"/a\x00/b"), b"ima-ng", "name"),
        (field(b"sha256:\x00" + FILE_DIGEST) + field(b"/a"), b"ima-ng", "name"),
        (ng(b"/a", FILE_DIGEST[:31]), b"ima-ng", "field d-ng"),
        (ng(b"/a", algorithm=b"sha3"), b"ima-ng", "field d-ng"),
        (ng(b"/a", algorithm=b"\xff"), b"ima-ng", "field d-ng"),
        (ng(b"/a", algorithm=b"verity:sha256"), b"ima-ng", "field d-ng"),
        (field(b"sha256" + FILE_DIGEST) + field(b"/a\x00"), b"ima-ng", "field d-ng"),
        (field(FILE_DIGEST) + field(b"/a\x00"), b"d|n", "field d"),
    ],
)
def test_template_data_that_are_not_their_fields(data: bytes, template: bytes, what: str) -> None:
    with pytest.raises(ImaError) as refused:
        read(Made(data=data, template=template))
    assert (refused.value.what, refused.value.entry) == (what, 0)


@pytest.mark.check("A22")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"/usr/bin/meter", "/usr/bin/meter"),
        ("/z\u00e4hler".encode(), "/z\u00e4hler"),
        (b"/a b", "/a b"),
        (b"/a\n10 b\r\t", r"/a\n10 b\r\t"),
        (b"/a\x00b", r"/a\x00b"),
        (b"/a\\nb", r"/a\\nb"),
        (b"/\xff\xfe", r"/\xff\xfe"),
        ("/\u202egpj.exe".encode(), r"/\u202egpj.exe"),
        ("/\U000e0001".encode(), r"/\U000e0001"),
    ],
)
def test_names_are_shown_on_one_line_of_printable_characters(name: bytes, shown: str) -> None:
    assert shown_name(name) == shown
