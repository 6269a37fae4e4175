"""Replay to a prefix, from anywhere in the boot's list; digests of templates; the aggregate of the boot."""

import hashlib

import pytest

from standards.ima.decode import decode_binary_list
from standards.ima.errors import ImaError
from standards.ima.replay import (
    BANK_SIZES,
    Replayed,
    boot_aggregate,
    replayed_prefix,
    verify_template_digests,
)
from tests.unit.standards.ima.lists import (
    BOOT_AGGREGATE,
    BOOT_PCRS,
    ENTRIES,
    FILE_DIGEST,
    VIOLATION,
    Made,
    encoded,
    legacy,
    ng,
    pcr_after,
    sha1,
)

LIST = decode_binary_list(encoded(ENTRIES))
WHOLE = pcr_after(ENTRIES)


@pytest.mark.check("A22")
@pytest.mark.parametrize("bank", BANK_SIZES)
def test_a_quote_is_reached_at_a_prefix(bank: str) -> None:
    for count in range(len(ENTRIES) + 1):
        target = pcr_after(ENTRIES[:count], bank=bank)
        reached = replayed_prefix(LIST, target, bank=bank)
        # entry 8 is another register's: the list reaches the value before it
        assert reached == Replayed(count=8 if count == 9 else count, value=target)


@pytest.mark.check("A22")
def test_another_register_has_a_replay_of_its_own() -> None:
    target = pcr_after(ENTRIES, pcr=11)
    assert replayed_prefix(LIST, target, bank="sha256", pcr=11) == Replayed(count=9, value=target)


@pytest.mark.check("A22")
def test_a_later_quote_needs_only_the_new_entries() -> None:
    before = replayed_prefix(LIST, pcr_after(ENTRIES[:4]), bank="sha256")
    assert before is not None
    new = decode_binary_list(encoded(ENTRIES[4:]), first=4)
    assert replayed_prefix(new, WHOLE, bank="sha256", start=before) == Replayed(
        count=len(ENTRIES), value=WHOLE
    )
    assert replayed_prefix(new, before.value, bank="sha256", start=before) == before


@pytest.mark.check("A22")
@pytest.mark.negative
def test_new_entries_count_only_where_the_earlier_ones_ended() -> None:
    before = Replayed(count=4, value=pcr_after(ENTRIES[:4]))
    for first in (0, 3, 5):
        with pytest.raises(ImaError, match="first entry"):
            replayed_prefix(
                decode_binary_list(encoded(ENTRIES[4:]), first=first), WHOLE, bank="sha256", start=before
            )
    with pytest.raises(ImaError, match="first entry"):
        replayed_prefix(decode_binary_list(encoded(ENTRIES[4:]), first=4), WHOLE, bank="sha256")
    with pytest.raises(ImaError, match="first entry"):
        replayed_prefix(LIST, WHOLE, bank="sha384", start=Replayed(count=0, value=bytes(32)))


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        ENTRIES[1:],
        ENTRIES[:-1],
        (ENTRIES[1], ENTRIES[0], *ENTRIES[2:]),
        (
            ENTRIES[0],
            Made(data=ng(b"/usr/bin/meter", hashlib.sha256(b"another file").digest())),
            *ENTRIES[2:],
        ),
        (ENTRIES[0], Made(data=ng(b"/usr/bin/metre")), *ENTRIES[2:]),
        (ENTRIES[0], Made(data=ENTRIES[1].data, template_digest=VIOLATION), *ENTRIES[2:]),
        (*ENTRIES[:6], Made(data=ENTRIES[6].data), *ENTRIES[7:]),
        (ENTRIES[0], Made(data=ENTRIES[1].data, pcr=11), *ENTRIES[2:]),
    ],
    ids=[
        "first left out",
        "last left out",
        "swapped",
        "digest",
        "name",
        "violation",
        "no violation",
        "register",
    ],
)
def test_another_list_never_reaches_the_quote(changed: tuple[Made, ...]) -> None:
    assert replayed_prefix(decode_binary_list(encoded(changed)), WHOLE, bank="sha256") is None


@pytest.mark.check("A22")
def test_the_padded_digests_of_old_kernels_must_be_asked_for() -> None:
    entries = (BOOT_AGGREGATE, ENTRIES[6], legacy(b"/init"))
    value = bytes(32)
    for each in entries:
        extended = b"\xff" * 20 if each.digest == VIOLATION else sha1(each.data)
        value = hashlib.sha256(value + extended + bytes(12)).digest()
    decoded = decode_binary_list(encoded(entries))
    assert replayed_prefix(decoded, value, bank="sha256") is None
    assert replayed_prefix(decoded, value, bank="sha256", padded_sha1=True) == Replayed(count=3, value=value)


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_template_digest_that_is_not_of_its_data() -> None:
    verify_template_digests(LIST)
    wrong = decode_binary_list(encoded((*ENTRIES, Made(data=ng(b"/a"), template_digest=FILE_DIGEST[:20]))))
    verify_template_digests(wrong, up_to=len(ENTRIES))
    with pytest.raises(ImaError, match=f"template digest of entry {len(ENTRIES)}"):
        verify_template_digests(wrong)


@pytest.mark.check("A22")
def test_the_boot_aggregate() -> None:
    assert boot_aggregate(BOOT_PCRS, bank="sha256") == hashlib.sha256(b"".join(BOOT_PCRS.values())).digest()
    eight = {pcr: BOOT_PCRS[pcr] for pcr in range(8)}
    assert (
        boot_aggregate(eight, bank="sha256", registers=8) == hashlib.sha256(b"".join(eight.values())).digest()
    )
    zeros = dict.fromkeys(range(8), bytes(20))
    assert boot_aggregate(zeros, bank="sha1", registers=8) == sha1(bytes(160))


@pytest.mark.negative
@pytest.mark.parametrize(
    ("values", "bank", "registers"),
    [
        ({pcr: BOOT_PCRS[pcr] for pcr in range(9)}, "sha256", 10),
        (BOOT_PCRS | {3: bytes(20)}, "sha256", 10),
        (BOOT_PCRS, "sha256", 9),
        (BOOT_PCRS, "md5", 10),
    ],
)
def test_no_boot_aggregate_of_less(values: dict[int, bytes], bank: str, registers: int) -> None:
    with pytest.raises(ImaError):
        boot_aggregate(values, bank=bank, registers=registers)


@pytest.mark.negative
def test_an_unknown_bank() -> None:
    with pytest.raises(ImaError, match="PCR bank"):
        replayed_prefix(LIST, WHOLE, bank="shake_128")
