"""IMA lists of real machines, and quotes of a TPM over PCR 10 with the lists that lead to them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from standards.ima.decode import decode_binary_list
from standards.ima.decode_text import decode_text_list
from standards.ima.entries import ImaList
from standards.ima.errors import ImaError
from standards.ima.file_signatures import decode_file_signature
from standards.ima.measured import BOOT_AGGREGATE, read_measured
from standards.ima.replay import Replayed, boot_aggregate, replayed_prefix, verify_template_digests
from tests.tools import shared_vectors

LISTS: dict[str, tuple[Callable[[bytes], ImaList], int, int]] = {
    "ima-charra-ascii.txt": (decode_text_list, 0, 1646),
    "ima-charra-binary.bin": (decode_binary_list, 0, 1650),
    "ima-keylime-sha256.txt": (decode_text_list, 0, 2),
    "ima-keylime-signatures.txt": (decode_text_list, 0, 2),
    "ima-tss-ng-sha1.bin": (decode_binary_list, 1, 6),
    "ima-tss-sig-sha256.bin": (decode_binary_list, 6, 9),
}
"""How each list is decoded, how many bytes of an entry that was cut off follow it, and how many entries it has."""

SIGNED = {b"/usr/bin/dd": ("sha256", "f3452d23"), b"/usr/bin/zmore": ("sha256", "531f4025")}


def decoded(name: str) -> ImaList:
    decode, surplus, _ = LISTS[name]
    data = (shared_vectors() / "ima" / name).read_bytes()
    return decode(data[: len(data) - surplus])


def quoted(case: str) -> dict[int, bytes]:
    values = json.loads((evidence() / f"{case}.pcrs.json").read_text(encoding="utf-8"))
    return {int(pcr): bytes.fromhex(value) for pcr, value in values.items()}


def evidence() -> Path:
    return shared_vectors() / "evidence"


def test_every_list_of_the_folder_is_known() -> None:
    provenance = json.loads((shared_vectors() / "ima" / "provenance.json").read_text(encoding="utf-8"))
    assert {each["file"] for each in provenance} == set(LISTS)


@pytest.mark.check("A22")
@pytest.mark.parametrize("name", LISTS)
def test_a_real_list_has_true_digests_and_can_be_read(name: str) -> None:
    entries = decoded(name)
    verify_template_digests(entries)
    said = [read_measured(each) for each in entries.entries(up_to=len(entries))]
    assert len(said) == LISTS[name][2]
    assert all(each.name and each.digest for each in said)


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize("name", [name for name, (_, surplus, _) in LISTS.items() if surplus])
def test_a_list_that_ends_inside_an_entry_is_refused(name: str) -> None:
    with pytest.raises(ImaError):
        decode_binary_list((shared_vectors() / "ima" / name).read_bytes())


def test_text_and_binary_form_of_one_machine_are_the_same_list() -> None:
    text, binary = decoded("ima-charra-ascii.txt"), decoded("ima-charra-binary.bin")
    assert (text.pcrs, text.template_digests, text.data) == (
        binary.pcrs[: len(text)],
        binary.template_digests[: len(text)],
        binary.data[: len(text)],
    )


def test_real_file_signatures_are_decoded() -> None:
    entries = decoded("ima-keylime-signatures.txt")
    said = {each.name: each for each in map(read_measured, entries.entries(up_to=2))}
    found = {}
    for name, each in said.items():
        signature = decode_file_signature(each.signature)
        found[name] = (signature.algorithm, signature.key_id.hex())
    assert found == SIGNED


@pytest.mark.check("A22")
@pytest.mark.parametrize("count", [1_000, 10_000])
@pytest.mark.parametrize("key", ["rsa", "ecc"])
def test_a_quote_of_a_tpm_is_reached_by_its_list(key: str, count: int) -> None:
    target = quoted(f"{key}-ima{count}")[10]
    entries = decode_text_list((evidence() / f"ima-{count}.txt").read_bytes())
    verify_template_digests(entries)
    assert replayed_prefix(entries, target, bank="sha256") == Replayed(count=count, value=target)


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_longer_list_of_the_same_boot_has_an_unverified_tail() -> None:
    target = quoted("ecc-ima1000")[10]
    longer = (
        (evidence() / "ima-1000.txt").read_bytes()
        + b"10 "
        + b"a" * 40
        + b" ima-ng sha1:"
        + b"b" * 40
        + b" /x\n"
    )
    entries = decode_text_list(longer)
    assert replayed_prefix(entries, target, bank="sha256") == Replayed(count=1_000, value=target)
    with pytest.raises(ImaError, match="entry 1000"):
        verify_template_digests(entries)
    verify_template_digests(entries, up_to=1_000)


@pytest.mark.check("A22")
@pytest.mark.negative
def test_the_list_of_another_boot_does_not_reach_the_quote() -> None:
    target = quoted("ecc-ima10000")[10]
    entries = decode_text_list((evidence() / "ima-1000.txt").read_bytes())
    assert replayed_prefix(entries, target, bank="sha256") is None


@pytest.mark.check("A22")
def test_the_first_entry_belongs_to_the_boot_that_was_quoted_with_it() -> None:
    values = quoted("ecc-mb_ima1000")
    entries = decode_text_list((evidence() / "ima-1000.txt").read_bytes())
    (first,) = entries.entries(up_to=1)
    said = read_measured(first)
    assert (said.name, said.digest) == (BOOT_AGGREGATE, boot_aggregate(values, bank="sha256"))
    assert said.digest != boot_aggregate(values | {7: bytes(32)}, bank="sha256")
