"""Destinations that a bearer may reach: host and port in one spelling (R08, R89).

Rule: there is one way to write a destination, and it is compared letter by letter. A host is a DNS name in lower case
or an IPv4 address as four plain decimal numbers: no user information, no IPv6 form, no other base, no leading zero, no
final dot. Whoever spells it otherwise names another destination, which is on no list.
"""

import ipaddress
import re
from typing import Final

from messages.errors import MessageError

DESTINATION_MAX: Final = 260
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DESTINATION: Final = re.compile(rf"(?P<host>{_LABEL}(?:\.{_LABEL})*):(?P<port>[1-9][0-9]{{0,4}})", re.ASCII)
_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.ASCII)
_PORT_MAX: Final = 65_535


def check_destination(text: str) -> str:
    """The destination, if it is written in the one way. Raises MessageError."""
    read_destination(text)
    return text


def read_destination(text: str) -> tuple[str, int]:
    """Host and port of a destination written in the one way. Raises MessageError."""
    match = _DESTINATION.fullmatch(text) if len(text) <= DESTINATION_MAX else None
    if match is not None and int(match["port"]) <= _PORT_MAX and _is_one_spelling(match["host"]):
        return match["host"], int(match["port"])
    raise MessageError(
        what="destination",
        expected="host:port, a lower-case name or four decimal numbers",
        got="another form",
    )


def _is_one_spelling(host: str) -> bool:
    """A host whose last label is a number would be read as an IPv4 address, in whatever form (WHATWG URL, 3.5)."""
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return True
    try:
        return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False
