"""The device code: how a person names a device to an operator, by label or QR (D11).

Rule: 80 bits of the device id and a check symbol; 80 bits are too many to hit somebody else's device by chance or by
search, and a mistyped code is found before it names anything.
Form: Crockford's base 32, 16 symbols and one check symbol (mod 37), in groups: `ABCD-EFGH-JKMN-PQRS-T`.
"""

import hmac
from typing import Final

from messages.errors import MessageError

CODE_BITS: Final = 80
_SYMBOLS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHECK_SYMBOLS: Final = _SYMBOLS + "*~$=U"
_DATA_SYMBOLS: Final = CODE_BITS // 5
_GROUP: Final = 4
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def device_code(device_id: str) -> str:
    """The code of a device; `device_id` is 64 hexadecimal digits."""
    number = int(device_id[: CODE_BITS // 4], 16)
    symbols = "".join(_SYMBOLS[number >> 5 * place & 31] for place in reversed(range(_DATA_SYMBOLS)))
    symbols += _CHECK_SYMBOLS[number % len(_CHECK_SYMBOLS)]
    return "-".join(symbols[start : start + _GROUP] for start in range(0, len(symbols), _GROUP))


def read_device_code(text: str) -> str:
    """The canonical form of what a person typed: case, dashes, spaces and look-alike letters do not matter.

    Raises:
        MessageError: not a code, or its check symbol is wrong.
    """
    symbols = text.upper().translate(_READ_AS) if len(text) <= 64 and text.isascii() else ""  # noqa: PLR2004
    data, check = symbols[:_DATA_SYMBOLS], symbols[_DATA_SYMBOLS:]
    if len(data) != _DATA_SYMBOLS or len(check) != 1 or not set(data) <= set(_SYMBOLS):
        raise MessageError(
            what="device code",
            expected=f"{_DATA_SYMBOLS + 1} letters and digits from the label",
            got="others",
        )
    number = 0
    for symbol in data:
        number = number << 5 | _SYMBOLS.index(symbol)
    if check != _CHECK_SYMBOLS[number % len(_CHECK_SYMBOLS)]:
        raise MessageError(
            what="device code", expected="a code without a typing error", got="a wrong check symbol"
        )
    return device_code(f"{number:0{CODE_BITS // 4}x}")


def is_code_of(code: str, device_id: str) -> bool:
    """Whether a canonical code names this device; takes the same time for any."""
    return hmac.compare_digest(code.encode(), device_code(device_id).encode())
