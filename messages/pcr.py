"""PCR selections and values as messages carry them.

Rule: a bank appears once, indices ascend and lie in 0..23, a value has the size of its bank. A selection is
`{bank: (index, ...)}`, values are `{bank: {index: digest}}`, with the bank as TPM_ALG_ID.
"""

from collections.abc import Mapping
from typing import Final

from messages.errors import MessageError, refusal
from standards.boot_log.algorithms import BANKS, BANKS_BY_NAME
from standards.rats.fields import Fields
from standards.tpm2.constants import Algorithm

PCR_INDEX_MAX: Final = 23
BANKS_MAX: Final = 4

BOOT_PCRS: Final = frozenset({0, 4, 7})
"""Firmware, boot loader, Secure Boot policy: a state that leaves one of them out says nothing about what was booted."""
WEAK_BANKS: Final = frozenset({Algorithm.SHA1})
"""Banks that count for nothing: whoever can collide the hash can extend a register to any approved value."""

PcrSelections = Mapping[int, tuple[int, ...]]
PcrValues = Mapping[int, Mapping[int, bytes]]


def covers_boot(selections: PcrSelections) -> bool:
    """Whether a selection speaks of the whole boot chain, in a bank of a hash that still holds."""
    return any(set(indices) >= BOOT_PCRS for bank, indices in selections.items() if bank not in WEAK_BANKS)


def encode_selections(selections: PcrSelections) -> dict[int, list[int]]:
    """CBOR form, checked: `{bank: [index, ...]}`."""
    encoded = {bank: list(indices) for bank, indices in selections.items()}
    decode_selections(encoded, what="PCR selection")
    return encoded


def decode_selections(value: object, *, what: str) -> dict[int, tuple[int, ...]]:
    """Read `{bank: [index, ...]}`; empty selections are refused."""
    fields = Fields(value, what=what, refusal=refusal)
    return {_bank(bank, what=what): _indices(fields, bank) for bank in _banks(fields, what=what)}


def name_selections(selections: PcrSelections) -> dict[str, list[int]]:
    """JSON form: `{"sha256": [index, ...]}`."""
    return {BANKS[bank].name: indices for bank, indices in encode_selections(selections).items()}


def read_named_selections(value: object, *, what: str) -> dict[int, tuple[int, ...]]:
    """Read the JSON form."""
    fields = Fields(value, what=what, refusal=refusal)
    selections = {}
    for name in _banks(fields, what=what):
        bank = BANKS_BY_NAME.get(str(name))
        if bank is None:
            raise refusal(what, "names of PCR banks such as sha256", "another name")
        selections[bank.id] = _indices(fields, name)
    return selections


def encode_values(values: PcrValues) -> dict[int, dict[int, bytes]]:
    """CBOR form, checked: `{bank: {index: digest}}`."""
    encoded = {bank: dict(of_bank) for bank, of_bank in values.items()}
    decode_values(encoded, what="PCR values")
    return encoded


def decode_values(value: object, *, what: str) -> dict[int, dict[int, bytes]]:
    """Read `{bank: {index: digest}}`; empty maps are refused."""
    fields = Fields(value, what=what, refusal=refusal)
    values: dict[int, dict[int, bytes]] = {}
    for key in _banks(fields, what=what):
        bank = _bank(key, what=what)
        size = BANKS[bank].size
        of_bank = fields.raw(bank)
        if not _is_of_digests(of_bank, size=size):
            each_read = fields.nested(bank)  # says which it is
            of_bank = {i: each_read.octets(i, size_min=size, size_max=size) for i in each_read.present()}
        _check_indices(list(of_bank), what=f"{what}.{bank}")
        values[bank] = of_bank
    return values


def _is_of_digests(of_bank: object, *, size: int) -> bool:
    if not isinstance(of_bank, dict):
        return False
    digests = of_bank.values()
    return set(map(type, digests)) == {bytes} and set(map(len, digests)) == {size}


def _banks(fields: Fields, *, what: str) -> tuple[int | str, ...]:
    banks = fields.present()
    if not 1 <= len(banks) <= BANKS_MAX:
        raise MessageError(what=what, expected=f"1 to {BANKS_MAX} PCR banks", got=str(len(banks)))
    return banks


def _bank(bank: int | str, *, what: str) -> int:
    if not isinstance(bank, int) or bank not in BANKS:
        raise MessageError(what=what, expected="TPM_ALG_ID of a hash algorithm as key", got=str(bank)[:32])
    return bank


def _indices(fields: Fields, bank: int | str) -> tuple[int, ...]:
    indices = fields.items(bank, size_min=1, size_max=PCR_INDEX_MAX + 1)
    _check_indices(indices, what=f"PCR selection of bank {bank}")
    return tuple(indices)


def _check_indices(indices: list[object], *, what: str) -> None:
    last = -1
    for index in indices:
        if type(index) is not int or not last < index <= PCR_INDEX_MAX:
            break
        last = index
    else:
        if indices:
            return
    raise MessageError(
        what=what, expected=f"ascending PCR indices of 0 to {PCR_INDEX_MAX}", got=f"{len(indices)} others"
    )
