"""The entries of a CRL in DER, by template: 100,000 of them in a fraction of a second (RFC 5280 section 5.1.2.6).

    revokedCertificates ::= SEQUENCE OF SEQUENCE {
        userCertificate     INTEGER,                    -- 1 to 159 bits here
        revocationDate      Time,                       -- UTCTime to 2049, then GeneralizedTime
        crlEntryExtensions  SEQUENCE { reasonCode } }   -- one extension, not critical, an ENUMERATED

The one rule: every entry has this form and no other, so a template is enough. What it makes is read back by
form, entry by entry, before a CA signs it, and compared with the library's own encoding and reading in tests.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from standards.pki.errors import DecodeError

SERIAL_BITS_MAX = 159
REASONS = frozenset({1, 2, 3, 4, 5, 6, 8, 9, 10})
"""CRLReason codes that an entry may carry: unspecified(0) is to be absent, 7 is not used."""
_UTC_TIME_END = 2050
_SEQUENCE, _INTEGER, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x02, b"\x17\x0d", b"\x18\x0f"
_SHORT_LENGTH_END = 0x80
# SEQUENCE { SEQUENCE { id-ce-cRLReasons 2.5.29.21, OCTET STRING { ENUMERATED } } }, all but the last octet
_REASON = bytes.fromhex("300c300a0603551d1504030a01")


_SERIAL_END = 1 << SERIAL_BITS_MAX
_HEADS = {
    time: {
        size: bytes((_SEQUENCE, 2 + size + time + len(_REASON) + 1, _INTEGER, size))
        for size in range(1, SERIAL_BITS_MAX // 8 + 2)
    }
    for time in (15, 17)  # octets of a UTCTime and of a GeneralizedTime
}
"""All that stands before the serial number, by the sizes of time and serial number."""


def _entry_form(size: int) -> re.Pattern[bytes]:
    """One entry whose serial number, a positive INTEGER in its shortest form, has `size` octets."""
    serial = rb"[\x01-\x7f].{%d}" % (size - 1)
    if size > 1:
        serial += rb"|\x00[\x80-\xff].{%d}" % (size - 2)
    time = rb"\x17\x0d[0-9]{12}Z|\x18\x0f[0-9]{14}Z"
    reasons = b"[" + b"".join(re.escape(bytes([code])) for code in sorted(REASONS)) + b"]"
    head = re.escape(bytes([_INTEGER, size]))
    return re.compile(
        rb"\x30.%s(%s)(%s)%s(%s)" % (head, serial, time, re.escape(_REASON), reasons), re.DOTALL
    )


_ENTRIES = {size: _entry_form(size) for size in range(1, SERIAL_BITS_MAX // 8 + 2)}
_NEVER = re.compile(rb"(?!)")


def encode_crl_entries(entries: Iterable[tuple[int, datetime, int]]) -> bytes:
    """DER of revokedCertificates for (serial number, aware time of revocation, reason code), in this order.

    The content of an absent list is not foreseen here: RFC 5280 leaves the field out. Raises DecodeError.
    """
    reasons = {code: _REASON + bytes([code]) for code in REASONS}
    times: dict[datetime, bytes] = {}
    encoded: list[bytes] = []
    for serial, at, code in entries:
        if not 0 < serial < _SERIAL_END or code not in reasons:
            raise DecodeError(
                "CRL entry", expected="a serial and a reason of RFC 5280", got=f"{serial}, {code}"
            )
        when = times.get(at)
        if when is None:
            when = times[at] = _time(at)
        size = (serial.bit_length() >> 3) + 1
        head = _HEADS[len(when)][size]
        encoded.append(head + serial.to_bytes(size, "big") + when + reasons[code])
    return _sequence(b"".join(encoded))


def decode_crl_entries(der: bytes) -> Iterator[tuple[int, datetime, int]]:
    """(serial number, time of revocation, reason code) of each entry of revokedCertificates.

    Every octet must belong to an entry of the one form above. Raises DecodeError.
    """
    position = _content_start(der)
    times: dict[bytes, datetime] = {}
    while position < len(der):
        form = _ENTRIES.get(der[position + 3], _NEVER) if position + 3 < len(der) else _NEVER
        found = form.match(der, position)
        if found is None or der[position + 1] != found.end() - position - 2:
            raise DecodeError(
                "CRL entry", expected="serial, time and one reason", got=f"octets at {position}"
            )
        number, when, reason = found.groups()
        at = times.get(when)
        if at is None:
            at = times[when] = _moment(when)
        yield int.from_bytes(number, "big"), at, reason[0]
        position = found.end()


def _content_start(der: bytes) -> int:
    """Offset of the first entry, after a DER length that covers all that follows."""
    for start in range(2, 7):
        if der[:start] == _sequence_head(len(der) - start):
            return start
    raise DecodeError("CRL entries", expected="one DER SEQUENCE", got=der[:6].hex())


def _moment(when: bytes) -> datetime:
    digits = when[2:].decode("ascii")
    if when.startswith(_UTC_TIME):  # RFC 5280 4.1.2.5.1: 50 and above are of the twentieth century
        digits = ("20" if digits < "50" else "19") + digits
    try:
        found = datetime.fromisoformat(f"{digits[:8]}T{digits[8:]}")
    except ValueError as error:
        raise DecodeError("time of revocation", expected="YYMMDDHHMMSSZ", got=str(error)) from error
    if (found.year < _UTC_TIME_END) != when.startswith(_UTC_TIME):
        raise DecodeError(
            "time of revocation", expected="UTCTime to 2049, then GeneralizedTime", got=str(found)
        )
    return found


def _time(at: datetime) -> bytes:
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    text = at.isoformat()  # 2031-07-01T12:00:00; strftime takes five times as long
    digits = f"{text[2:4]}{text[5:7]}{text[8:10]}{text[11:13]}{text[14:16]}{text[17:19]}Z".encode("ascii")
    if at.year < _UTC_TIME_END:
        return _UTC_TIME + digits
    return _GENERALIZED_TIME + text[:2].encode("ascii") + digits


def _sequence(content: bytes) -> bytes:
    return _sequence_head(len(content)) + content


def _sequence_head(size: int) -> bytes:
    if size < _SHORT_LENGTH_END:
        return bytes((_SEQUENCE, max(size, 0)))
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((_SEQUENCE, 0x80 | len(length))) + length
