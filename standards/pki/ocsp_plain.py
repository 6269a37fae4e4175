"""The OCSP request that nearly everybody sends, read in a few microseconds.

One certificate by SHA-1 or SHA-256, no requestor, no signature, no extension but the nonce. The one rule: what is
read here is read exactly as `standards.pki.ocsp.decode_request` reads it; whatever is not plain, strict DER of this
shape is left to that decoder, which also says what is wrong with it.

    SEQUENCE { SEQUENCE {
        SEQUENCE { SEQUENCE { CertID } },
        [2] EXPLICIT SEQUENCE { SEQUENCE { id-pkix-ocsp-nonce, critical BOOLEAN OPTIONAL, OCTET STRING } } OPTIONAL } }

How: the lengths of CertID and nonce are guessed from where they would stand, and everything around them is compared
with what an encoder writes for these lengths. So no length octet is ever believed, and DER is strict by itself.
"""

from functools import lru_cache

from standards.pki.ocsp import NONCE_BYTES_MAX, CertId, OcspRequest
from standards.pki.ocsp_template import OCTETS, SEQUENCE, explicit, tlv

_INTEGER = 0x02
_LONG_FORM = 0x80
_HEAD_OCTETS = {0x81: 3, 0x82: 4}
_PLAIN_BYTES_MIN, _PLAIN_BYTES_MAX = 60, 400
_SERIAL_OCTETS_MAX = 20
_ID_NONCE = bytes.fromhex("06092b0601050507300102")
_CRITICAL = bytes.fromhex("0101ff")
_ALGORITHMS = {
    tlv(SEQUENCE, bytes.fromhex(oid) + parameters): (name, octets)
    for oid, name, octets in (
        ("06052b0e03021a", "1.3.14.3.2.26", 20),
        ("0609608648016503040201", "2.16.840.1.101.3.4.2.1", 32),
    )
    for parameters in (b"", b"\x05\x00")
}
"""Encoded AlgorithmIdentifier -> OID of the digest, and its size."""


def read_plain_request(data: bytes) -> OcspRequest | None:
    """What `decode_request` would give for a plain request, None for every other octets; never raises."""
    size = len(data)
    if not _PLAIN_BYTES_MIN <= size <= _PLAIN_BYTES_MAX:
        return None
    # 1 where the CertID begins, if four SEQUENCEs are around it, and where it ends
    at = 0
    for _ in range(4):
        at += _HEAD_OCTETS.get(data[at + 1], 2)
    end = at + 2 + data[at + 1]
    if end > size or data[at] != SEQUENCE or data[at + 1] >= _LONG_FORM:
        return None
    # 2 the nonce behind it, and all that is around the two
    nonce, behind = None, b""
    if end < size:
        found = _nonce(data, end)
        if found is None:
            return None
        nonce, behind = found
    if data[:at] != _before(end - at, len(behind)):
        return None
    # 3 the CertID itself
    cert_id = _cert_id(data[at:end])
    if cert_id is None:
        return None
    return OcspRequest(cert_ids=(cert_id,), nonce=nonce, der=data)


def _nonce(data: bytes, at: int) -> tuple[bytes, bytes] | None:
    """The nonce in the extensions that begin at `at` and end with the data, and these extensions."""
    behind = data[at:]
    for octets, head in _HEADS.get(len(behind), ()):
        if behind.startswith(head):
            return behind[-octets:], behind
    return None


def _cert_id(der: bytes) -> CertId | None:
    """CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }; its own head is checked."""
    name = 4 + der[3]
    digest, octets = _ALGORITHMS.get(der[2:name], ("", 0))
    hash_head = bytes((OCTETS, octets))
    key, serial = name + 2 + octets, name + 4 + 2 * octets
    if not octets or der[name : name + 2] != hash_head or der[key : key + 2] != hash_head:
        return None
    number = der[serial + 2 :]
    # a positive number in as few octets as it takes
    if (
        not 1 <= len(number) <= _SERIAL_OCTETS_MAX
        or der[serial : serial + 2] != bytes((_INTEGER, len(number)))
        or number[0] >= _LONG_FORM
        or (number[0] == 0 and (len(number) == 1 or number[1] < _LONG_FORM))
    ):
        return None
    return CertId(
        digest=digest,
        issuer_name_hash=der[name + 2 : key],
        issuer_key_hash=der[key + 2 : serial],
        serial=int.from_bytes(number, "big"),
        der=der,
    )


@lru_cache(maxsize=512)
def _before(cert_id: int, behind: int) -> bytes:
    """What an encoder writes before a CertID of so many octets when so many octets of extensions follow."""
    listed = tlv(SEQUENCE, tlv(SEQUENCE, bytes(cert_id)))
    whole = tlv(SEQUENCE, tlv(SEQUENCE, listed + bytes(behind)))
    return whole[: len(whole) - behind - cert_id]


def _extensions_head(nonce: int, *, critical: bool) -> bytes:
    """What an encoder writes before a nonce of so many octets that is the only extension."""
    flag = _CRITICAL if critical else b""
    value = tlv(OCTETS, tlv(OCTETS, bytes(nonce)))
    whole = explicit(2, tlv(SEQUENCE, tlv(SEQUENCE, _ID_NONCE + flag + value)))
    return whole[: len(whole) - nonce]


_HEADS: dict[int, list[tuple[int, bytes]]] = {}
for _octets in range(1, NONCE_BYTES_MAX + 1):
    for _critical in (False, True):
        _head = _extensions_head(_octets, critical=_critical)
        _HEADS.setdefault(_octets + len(_head), []).append((_octets, _head))
"""Size of the extensions with a nonce -> how many octets the nonce may have then, and what stands before it."""
