"""The scan finds what it is given, however it is spelt."""

import base64
from collections.abc import Callable

import pytest

from lab.secret_scan import spellings

SECRET = bytes(range(100, 116))

SPELT: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda value: value,
    "hex": lambda value: value.hex().encode(),
    "HEX": lambda value: value.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
}


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("spelling", SPELT)
def test_every_spelling_is_found_at_every_alignment(spelling: str, before: int) -> None:
    written = SPELT[spelling](b"\xfa" * before + SECRET + b"\xfb\xfc\xfd")
    assert any(pattern in written for pattern in spellings(SECRET).values())


@pytest.mark.negative
def test_what_is_not_there_is_not_found() -> None:
    other = SECRET[:-1] + b"\x00"
    written = b"".join(spell(b"x" + other + b"y") for spell in SPELT.values())
    raw_and_hex = [spellings(SECRET)[each] for each in ("raw", "hex", "HEX")]
    assert not any(pattern in written for pattern in raw_and_hex)
    with pytest.raises(ValueError, match="16 bytes"):
        spellings(b"short")
