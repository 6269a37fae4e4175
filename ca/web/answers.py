"""What the operator's views share: who asks, how numbers are read from a URL."""

import re

from ca.callers import Caller
from ca.errors import InvalidInputError
from edge.principals import current_key_sha256, current_principal

_SERIAL = re.compile(r"[0-9a-fA-F]{1,40}")
_DIGITS_MAX = 18
"""Decimal digits of a number that fits a BIGINT."""


def caller() -> Caller:
    """The principal of the present request."""
    principal = current_principal()
    return Caller(
        name=principal.name,
        role=principal.role,
        tenant=principal.tenant,
        key_sha256=current_key_sha256(),
        issued_at_request_of=principal.issued_at_request_of,
    )


def serial_of(text: str) -> int:
    """A serial number out of a URL, in hexadecimal; raises InvalidInputError."""
    if not _SERIAL.fullmatch(text):
        raise InvalidInputError(
            "serial-number",
            subject="serial number",
            detail="expected 1 to 40 hexadecimal digits",
            remedy="give the serial number as it stands in the certificate, in hexadecimal",
        )
    return int(text, 16)


def whole_number(text: str, *, name: str) -> int:
    """A whole number of 0 or more out of a URL, which calls it `name`; raises InvalidInputError."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise InvalidInputError(
            "query",
            subject=name,
            detail=f"{name}: expected a whole number of 0 or more",
            remedy="correct the query",
        )
    return int(text)
