"""IMA lists made by hand, after the kernel's documentation and without this project's code."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

VIOLATION = bytes(20)
FILE_DIGEST = hashlib.sha256(b"a file").digest()


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def field(data: bytes) -> bytes:
    """A field as it is hashed and listed: its length, then itself."""
    return len(data).to_bytes(4, "little") + data


def ng(name: bytes, digest: bytes = FILE_DIGEST, *, algorithm: bytes = b"sha256") -> bytes:
    """Template data of `ima-ng`."""
    return field(algorithm + b":\x00" + digest) + field(name + b"\x00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An entry: `data` as hashed; `listed` is how the list holds them, where that is not with their length."""

    data: bytes
    template: bytes = b"ima-ng"
    template_digest: bytes | None = None
    pcr: int = 10
    listed: bytes | None = None

    @property
    def digest(self) -> bytes:
        return sha1(self.data) if self.template_digest is None else self.template_digest

    @property
    def encoded(self) -> bytes:
        """The entry in the binary list."""
        data = field(self.data) if self.listed is None else self.listed
        return self.pcr.to_bytes(4, "little") + self.digest + field(self.template) + data

    def extended(self, bank: str) -> bytes:
        """What the kernel extends into a bank."""
        size = hashlib.new(bank).digest_size
        return b"\xff" * size if self.digest == VIOLATION else hashlib.new(bank, self.data).digest()


def legacy(name: bytes, digest: bytes = sha1(b"a file")) -> Made:
    """An entry of the template `ima`: the name is filled up to 256 bytes where it is hashed."""
    return Made(template=b"ima", data=digest + name.ljust(256, b"\x00"), listed=digest + field(name))


def encoded(entries: Iterable[Made]) -> bytes:
    return b"".join(each.encoded for each in entries)


def pcr_after(entries: Iterable[Made], *, bank: str = "sha256", pcr: int = 10) -> bytes:
    """The value of a PCR after these entries."""
    value = bytes(hashlib.new(bank).digest_size)
    for each in entries:
        if each.pcr == pcr:
            value = hashlib.new(bank, value + each.extended(bank)).digest()
    return value


BOOT_PCRS = {pcr: hashlib.sha256(bytes([pcr])).digest() for pcr in range(10)}
BOOT_AGGREGATE = Made(
    data=ng(b"boot_aggregate", hashlib.sha256(b"".join(BOOT_PCRS[pcr] for pcr in range(10))).digest())
)
SIGNATURE = bytes.fromhex("03020400000001") + (4).to_bytes(2, "big") + b"four"
ENTRIES = (
    BOOT_AGGREGATE,
    Made(data=ng(b"/usr/bin/meter")),
    Made(data=ng(b"/etc/evil\n10 name with space"), template=b"ima-ng"),
    Made(data=ng(b"/usr/bin/signed") + field(SIGNATURE), template=b"ima-sig"),
    Made(data=ng(b"/usr/bin/unsigned") + field(b""), template=b"ima-sig"),
    Made(data=ng(b"kexec-cmdline") + field(b"root=/dev/sda1"), template=b"ima-buf"),
    Made(data=ng(b"/var/log/open", bytes(20)), template_digest=VIOLATION),
    Made(data=field(FILE_DIGEST[:20]) + field(b"/custom\x00"), template=b"d|n"),
    Made(data=ng(b"/other/register"), pcr=11),
    legacy(b"/sbin/init"),
)
"""One entry of every kind; the names are a meter's and an attacker's."""
