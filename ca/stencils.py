"""Platform Credentials of one line by the thousand: one TBSCertificate that was examined, with four fields that vary.

The one rule: whatever the builder and the profile decide is decided once a stencil, by the builder, and linted whole. A
stencil is made from two certificates over throw-away keys: the fields are found in the first, and it counts only if it
makes the second, which the builder made from other values, bit by bit. What it fills in has a fixed size, so that no
length around it changes. Each certificate is decoded again before it leaves (docs/adr/0038-issuance-in-batches.md).

The fields: serial number (20 octets), the AK's point (P-256), its key identifier, the device id in HardwareModuleName.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha1, sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca.errors import ProfileError
from ca.issuance import SERIAL_BYTES, new_serial, rehearse
from ca.key_algorithms import signer
from ca.template import Issuer, Template
from edge.process import RandomBytes
from standards.pki.extensions import HardwareModuleName
from standards.pki.fingerprints import certificate_der, spki_der

DEVICE_ID_BYTES = 32
_POINT_BYTES = 65
_P256_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
"""A SubjectPublicKeyInfo on P-256 up to its point's coordinates: RFC 5480, uncompressed."""
_SPKI_BYTES = len(_P256_PREFIX) + _POINT_BYTES - 1
_FIRST_OCTET_MIN = 1
"""A serial number whose first octet is 0 would have 19 octets in DER, and another length."""
_SHORT_FORM_MAX = 0x7F
_SEQUENCE = 0x30
_BIT_STRING = 0x03


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What one certificate of a stencil has of its own; `spki` is a SubjectPublicKeyInfo on P-256, DER.

    That its point lies on the curve is for who proved the key to have checked, before it was in the books.
    """

    serial: int
    spki: bytes
    device_id: bytes


def full_serial(random_bytes: RandomBytes) -> int:
    """A serial number of exactly 20 octets; of 128 random ones one is drawn again."""
    while True:
        serial = new_serial(random_bytes(SERIAL_BYTES))
        if serial >> (8 * (SERIAL_BYTES - 1)) >= _FIRST_OCTET_MIN:
            return serial


def p256_spki(der: bytes, *, spki_sha256: str) -> bytes | None:
    """The SubjectPublicKeyInfo of a certificate that the books know by its digest; None where it is not on P-256."""
    start = der.find(_P256_PREFIX)
    spki = der[start : start + _SPKI_BYTES] if start >= 0 else b""
    return spki if sha256(spki).hexdigest() == spki_sha256 else None


class Stencil:
    """Certificates that differ in their `Filling` only."""

    def __init__(
        self, template: Template, *, issuer: Issuer, at: datetime, random_bytes: RandomBytes
    ) -> None:
        """Examine what `template` gives but for key and device, which are replaced. Raises ProfileError."""
        self._sign = signer(issuer.key)
        first, second = (_throw_away(random_bytes) for _ in range(2))
        rehearsals = [_rehearsed(template, each, issuer=issuer, at=at) for each in (first, second)]
        tbs = rehearsals[0].tbs_certificate_bytes
        self._parts = _cut(tbs, _values(first))
        if self._tbs(second) != rehearsals[1].tbs_certificate_bytes:
            raise ProfileError("a stencil does not make what the builder makes")
        self._algorithm = _algorithm(certificate_der(rehearsals[0]), tbs)
        self.not_after = rehearsals[0].not_valid_after_utc

    def issue(self, filling: Filling) -> bytes:
        """The signed certificate, DER. Raises ProfileError before the CA's key is touched, or for what it made."""
        _check(filling)
        tbs = self._tbs(filling)
        signature = self._sign(tbs)
        content = tbs + self._algorithm + _tagged(_BIT_STRING, b"\x00" + signature)
        der = _tagged(_SEQUENCE, content)
        made = x509.load_der_x509_certificate(der)
        if (
            made.tbs_certificate_bytes != tbs
            or made.serial_number != filling.serial
            or made.signature != signature
        ):
            raise ProfileError(f"the certificate {filling.serial:040x} is not what was to be signed")
        return der

    def _tbs(self, filling: Filling) -> bytes:
        values = _values(filling)
        joined = [self._parts[0].before]
        for part in self._parts:
            joined += [values[part.field], part.after]
        return b"".join(joined)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A field, and the constant octets around it; `before` is empty but for the first."""

    field: int
    before: bytes
    after: bytes


def _values(filling: Filling) -> Sequence[bytes]:
    point = filling.spki[-_POINT_BYTES:]
    return (
        filling.serial.to_bytes(SERIAL_BYTES, "big"),
        point,
        sha1(point, usedforsecurity=False).digest(),  # RFC 5280 section 4.2.1.2, method (1)
        filling.device_id,
    )


def _throw_away(random_bytes: RandomBytes) -> Filling:
    return Filling(
        serial=full_serial(random_bytes),
        spki=spki_der(ec.generate_private_key(ec.SECP256R1()).public_key()),
        device_id=random_bytes(DEVICE_ID_BYTES),
    )


def _rehearsed(template: Template, filling: Filling, *, issuer: Issuer, at: datetime) -> x509.Certificate:
    if template.hardware_module is None:
        raise ProfileError(f"{template.kind}: a stencil needs a hardware module to vary")
    module = HardwareModuleName(hw_type=template.hardware_module.hw_type, serial=filling.device_id)
    key = load_der_public_key(filling.spki)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ProfileError("expected the SubjectPublicKeyInfo of a key on P-256")
    varied = replace(template, public_key=key, hardware_module=module)
    return rehearse(varied, issuer=issuer, serial=filling.serial, at=at)


def _cut(tbs: bytes, values: Sequence[bytes]) -> tuple[_Part, ...]:
    places = []
    for field, value in enumerate(values):
        if tbs.count(value) != 1:
            raise ProfileError("a field of a stencil does not stand in the certificate exactly once")
        places.append((tbs.index(value), len(value), field))
    places.sort()
    ends = [start for start, _, _ in places[1:]] + [len(tbs)]
    return tuple(
        _Part(field=field, before=tbs[:start] if number == 0 else b"", after=tbs[start + size : end])
        for number, ((start, size, field), end) in enumerate(zip(places, ends, strict=True))
    )


def _algorithm(der: bytes, tbs: bytes) -> bytes:
    """The signatureAlgorithm of a certificate, which follows its TBSCertificate."""
    start = der.index(tbs) + len(tbs)
    size = 2 + der[start + 1]
    found = der[start : start + size]
    if der[start] != _SEQUENCE or der[start + 1] > _SHORT_FORM_MAX or found not in tbs:
        raise ProfileError("the signature algorithm is not the one inside the TBSCertificate")
    return found


def _check(filling: Filling) -> None:
    if not _FIRST_OCTET_MIN <= filling.serial >> (8 * (SERIAL_BYTES - 1)) <= _SHORT_FORM_MAX:
        raise ProfileError("a serial number of a stencil is positive and has 20 octets")
    if len(filling.device_id) != DEVICE_ID_BYTES:
        raise ProfileError(f"a device id has {DEVICE_ID_BYTES} bytes, got {len(filling.device_id)}")
    if not filling.spki.startswith(_P256_PREFIX) or len(filling.spki) != _SPKI_BYTES:
        raise ProfileError("expected the SubjectPublicKeyInfo of a key on P-256")


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size <= _SHORT_FORM_MAX:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content
