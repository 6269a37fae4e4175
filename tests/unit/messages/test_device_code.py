"""The device code: what a person types names the device, or nothing."""

import hashlib

import pytest

from messages.device_code import device_code, is_code_of, read_device_code
from messages.errors import MessageError

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DEVICES = [hashlib.sha256(bytes([number])).hexdigest() for number in range(8)]
CODES = [device_code(each) for each in DEVICES]
EDGES = ["00" * 32, "ff" * 32]


def accepted(text: str) -> bool:
    try:
        read_device_code(text)
    except MessageError:
        return False
    return True


@pytest.mark.parametrize("device_id", [*DEVICES, *EDGES])
def test_a_code_is_read_back_and_names_its_device(device_id: str) -> None:
    code = device_code(device_id)
    assert [len(group) for group in code.split("-")] == [4, 4, 4, 4, 1]
    assert read_device_code(code) == code
    assert is_code_of(code, device_id)
    assert not is_code_of(code, "5a" * 32)


def test_the_first_eighty_bits_count() -> None:
    assert device_code("ab" * 10 + "00" * 22) == device_code("ab" * 10 + "ff" * 22)
    assert device_code("ab" * 10 + "00" * 22) != device_code("ab" * 9 + "aa" + "00" * 22)


def test_how_a_person_writes_does_not_matter() -> None:
    code = device_code("00" * 3 + "42" * 29)
    spoken = code.replace("-", " ").replace("0", "o").replace("1", "l").lower()
    assert read_device_code(f"  {spoken} ") == code
    assert read_device_code(code.replace("1", "I").replace("-", "")) == code


@pytest.mark.requirement("R63")
@pytest.mark.negative
@pytest.mark.parametrize("code", CODES)
def test_every_wrong_symbol_is_found(code: str) -> None:
    for place, right in enumerate(code):
        if right != "-":
            changed = [code[:place] + wrong + code[place + 1 :] for wrong in SYMBOLS if wrong != right]
            assert not any(accepted(each) for each in changed)


@pytest.mark.requirement("R63")
@pytest.mark.negative
@pytest.mark.parametrize("code", CODES)
def test_every_swap_of_neighbours_is_found(code: str) -> None:
    symbols = code.replace("-", "")
    for place in range(len(symbols) - 1):
        left, right = symbols[place], symbols[place + 1]
        if left != right:
            assert not accepted(symbols[:place] + right + left + symbols[place + 2 :])


@pytest.mark.negative
@pytest.mark.parametrize(
    "text",
    ["", "-", CODES[0][:-1], CODES[0] + "0", "U" + CODES[0][1:], CODES[0] + "-" * 64, "é" + CODES[0], "\x00"],
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(MessageError, match="device code"):
        read_device_code(text)
