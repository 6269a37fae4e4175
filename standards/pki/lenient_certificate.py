"""Certificates of hardware makers, read with patience and never re-encoded.

Endorsement key certificates burnt into TPMs are not all strict DER: default values are spelt out, booleans
are not 0xFF, and what is read from an NV index may be padded up to the size of the index.

The one rule: leniency is about spelling only. Signatures are verified over the received bytes of the
TBSCertificate, and nothing that was understood from them is ever written out again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from asn1crypto import algos, core, keys, parser
from asn1crypto import x509 as lax
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from standards.pki.errors import DecodeError

CERTIFICATE_BYTES_MAX = 16384
RSA_BITS_MIN = 2048
_PADDING = (b"\x00", b"\xff")
_OID_RSA_OAEP = "1.2.840.113549.1.1.7"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
# All that asn1crypto raises on bytes that it does not understand; it reads lazily, so anywhere below.
_MISREADINGS = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """One extension; `value` is what its OCTET STRING holds."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A distinguished name: prepared for comparison (RFC 5280 section 7.1), and for people."""

    prepared: str
    readable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """What the certificate says that it was signed with, in asn1crypto's words; None where unreadable."""

    oid: str
    kind: str | None
    hash_name: str | None
    salt_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LenientCertificate:
    """A decoded certificate beside its bytes. Nothing in it is verified.

    It holds plain values only: asn1crypto's objects decode themselves when touched, which threads must not share.
    """

    der: bytes
    tbs: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signature_algorithm: SignatureAlgorithm
    serial: int
    issuer: Name
    subject: Name
    not_before: datetime
    not_after: datetime
    spki: bytes = field(repr=False)
    extensions: dict[str, Extension] = field(repr=False)

    @property
    def name(self) -> str:
        """The subject for people, or the serial where it is empty."""
        return self.subject.readable or f"serial {self.serial:x}"

    @property
    def self_issued(self) -> bool:
        """Whether subject and issuer are the same name."""
        return self.subject.prepared == self.issuer.prepared

    def read(self, oid: str, kind: Any) -> Any:
        """An extension through the asn1crypto class `kind`, as native Python; None where it is absent."""
        found = self.extensions.get(oid)
        if found is None:
            return None
        with reading(f"extension {oid}"):
            return kind.load(found.value).native

    def public_key(self) -> PublicKeyTypes:
        """The subject's key; raises DecodeError where its kind is not supported."""
        return _public_key(self.spki)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn whatever asn1crypto raises inside into DecodeError."""
    try:
        yield
    except _MISREADINGS as error:
        got = f"{type(error).__name__}: {error}"
        raise DecodeError(what, expected="well-formed ASN.1", got=got) from error


@lru_cache(maxsize=512)
def decode_lenient(data: bytes) -> LenientCertificate:
    """Decode one certificate, tolerating BER and NV padding (0x00 or 0xFF) after it; raises DecodeError."""
    if not 0 < len(data) <= CERTIFICATE_BYTES_MAX:
        raise DecodeError("certificate", expected=f"1 to {CERTIFICATE_BYTES_MAX} bytes", got=str(len(data)))
    with reading("certificate"):
        return _decode(data)


def _decode(data: bytes) -> LenientCertificate:
    length = parser.peek(data)
    rest = data[length:]
    if rest and rest.strip(_PADDING[0]) and rest.strip(_PADDING[1]):
        raise DecodeError("certificate", expected="padding or nothing after it", got=f"{len(rest)} bytes")
    whole = lax.Certificate.load(data[:length])
    tbs = whole["tbs_certificate"]
    if whole["signature_algorithm"]["algorithm"].dotted != tbs["signature"]["algorithm"].dotted:
        raise DecodeError("certificate", expected="one signature algorithm", got="two different ones")
    validity = tbs["validity"]
    return LenientCertificate(
        der=data[:length],
        tbs=tbs.dump(),
        signature=_signature(whole["signature_value"]),
        signature_algorithm=_signature_algorithm(whole["signature_algorithm"]),
        serial=tbs["serial_number"].native,
        issuer=_name(tbs["issuer"]),
        subject=_name(tbs["subject"]),
        not_before=_time(validity["not_before"]),
        not_after=_time(validity["not_after"]),
        spki=tbs["subject_public_key_info"].dump(),
        extensions=_extensions(tbs["extensions"]),
    )


def _signature(encoded: Any) -> bytes:
    signature = encoded.native
    if encoded.unused_bits:  # not a matter of spelling: a signature is whole octets, whatever its last bit
        raise DecodeError("certificate signature", expected="whole octets", got="unused bits at its end")
    return bytes(signature)


def _name(encoded: Any) -> Name:
    return Name(prepared=encoded.hashable, readable=encoded.human_friendly)


def _signature_algorithm(encoded: Any) -> SignatureAlgorithm:
    oid = encoded["algorithm"].dotted
    try:
        kind = encoded.signature_algo
        salt_bytes = int(encoded["parameters"]["salt_length"].native) if kind == "rsassa_pss" else None
        hash_name = encoded.hash_algo
    except ValueError:  # an algorithm that asn1crypto does not know: nothing verifies under it
        return SignatureAlgorithm(oid=oid, kind=None, hash_name=None, salt_bytes=None)
    return SignatureAlgorithm(oid=oid, kind=kind, hash_name=hash_name, salt_bytes=salt_bytes)


def _time(encoded: Any) -> datetime:
    at = encoded.native
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise DecodeError("certificate date", expected="a date with its zone", got=repr(at))
    return at.astimezone(UTC) if at.utcoffset() else at.replace(tzinfo=UTC)


def _extensions(encoded: Any) -> dict[str, Extension]:
    found: dict[str, Extension] = {}
    if isinstance(encoded, core.Void):
        return found
    for each in encoded:
        oid = each["extn_id"].dotted
        if oid in found:
            raise DecodeError("certificate extensions", expected="each extension once", got=f"{oid} twice")
        value = each["extn_value"].contents
        found[oid] = Extension(oid=oid, critical=bool(each["critical"].native), value=value)
    return found


def verify_signature(certificate: LenientCertificate, *, issuer: LenientCertificate) -> bool:
    """Whether `issuer`'s key signed the received TBSCertificate bytes. Judges no name and no date."""
    algorithm = certificate.signature_algorithm
    digest = _HASHES.get(algorithm.hash_name or "")
    if digest is None:
        return False
    try:
        key = issuer.public_key()
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN:
            filling = _rsa_padding(algorithm, digest)
            key.verify(certificate.signature, certificate.tbs, filling, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
            if algorithm.kind != "ecdsa":
                return False
            key.verify(_strict_ecdsa(certificate.signature), certificate.tbs, ec.ECDSA(digest))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, DecodeError, ValueError):
        return False
    return True


def _rsa_padding(algorithm: SignatureAlgorithm, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if algorithm.kind == "rsassa_pkcs1v15":
        return padding.PKCS1v15()
    if algorithm.kind == "rsassa_pss" and algorithm.salt_bytes is not None:
        return padding.PSS(mgf=padding.MGF1(digest), salt_length=algorithm.salt_bytes)
    raise DecodeError("signature algorithm", expected="RSASSA or RSASSA-PSS", got=str(algorithm.oid))


def _strict_ecdsa(signature: bytes) -> bytes:
    # Integers without their leading zero occur; the library would take them as negative and refuse.
    with reading("ECDSA signature"):
        pair = algos.DSASignature.load(signature, strict=True)
        r, s = (int.from_bytes(pair[name].contents, "big") for name in ("r", "s"))
    return encode_dss_signature(r, s)


def _public_key(spki: bytes) -> PublicKeyTypes:
    try:
        return load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as strict:
        # Some makers name RSAES-OAEP as the algorithm of an RSA key; the key inside is the same.
        with reading("public key"):
            info = keys.PublicKeyInfo.load(spki)
            oid = str(info["algorithm"]["algorithm"].dotted)
            if oid != _OID_RSA_OAEP:
                raise DecodeError("public key", expected="RSA or ECC", got=f"{oid}: {strict}") from strict
            inner = info["public_key"].parsed.native
            return rsa.RSAPublicNumbers(inner["public_exponent"], inner["modulus"]).public_key()
