"""The project's own certificate extensions, and the hardware module name of a device.

    ExpectedSystemState ::= SEQUENCE {
        manifestId      UTF8String,           -- 1..128 characters
        manifestDigest  OCTET STRING,         -- SHA-256 of the signed manifest, 32 bytes
        svn             INTEGER }             -- 0..2^63-1
    OperatorRole ::= SEQUENCE { role UTF8String, id UTF8String }        -- 1..64 and 1..128 characters
    Requesters ::= SEQUENCE { line SEQUENCE OF Requester }              -- 0..8
    Requester ::= SEQUENCE { name UTF8String, keySha256 OCTET STRING }  -- 1..200 characters, 32 bytes
    HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING }   -- RFC 4108, 5

The one rule: decoding is strict DER and checks every bound, encoding refuses what decoding would refuse.
"""

import re
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat import asn1

from standards.pki import oids
from standards.pki.errors import DecodeError

_SHA256_BYTES = 32
_SVN_MAX = (1 << 63) - 1
_ID_CHARACTERS_MAX = 128
_ROLE_CHARACTERS_MAX = 64
_HW_SERIAL_BYTES_MAX = 64
_REQUESTER_CHARACTERS_MAX = 200
REQUESTERS_MAX = 8

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")

_T = TypeVar("_T")


@asn1.sequence
class _ExpectedSystemState:
    manifest_id: str
    manifest_digest: bytes
    svn: int


@asn1.sequence
class _OperatorRole:
    role: str
    id: str


@asn1.sequence
class _Requester:
    name: str
    key_sha256: bytes


@asn1.sequence
class _Requesters:
    line: list[_Requester]


@asn1.sequence
class _HardwareModuleName:
    hw_type: x509.ObjectIdentifier
    serial: bytes


def _decode(kind: type[_T], der: bytes, *, what: str) -> _T:
    try:
        return asn1.decode_der(kind, der)
    except (ValueError, TypeError, OverflowError) as error:
        raise DecodeError(what, expected="its DER structure", got=str(error)) from error


def _bounded(what: str, value: int, *, low: int, high: int, unit: str) -> None:
    if not low <= value <= high:
        raise DecodeError(what, expected=f"{low} to {high} {unit}", got=str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSystemState:
    """Which signed manifest describes the approved state of the certified platform."""

    manifest_id: str
    manifest_digest: bytes
    svn: int

    def __post_init__(self) -> None:
        _bounded("manifest id", len(self.manifest_id), low=1, high=_ID_CHARACTERS_MAX, unit="characters")
        _bounded(
            "manifest digest", len(self.manifest_digest), low=_SHA256_BYTES, high=_SHA256_BYTES, unit="bytes"
        )
        _bounded("security version", self.svn, low=0, high=_SVN_MAX, unit="")

    def encode(self) -> bytes:
        """DER, the content of the extension."""
        return asn1.encode_der(
            _ExpectedSystemState(
                manifest_id=self.manifest_id, manifest_digest=self.manifest_digest, svn=self.svn
            )
        )

    @classmethod
    def decode(cls, der: bytes) -> "ExpectedSystemState":
        """From the content of the extension; raises DecodeError."""
        raw = _decode(_ExpectedSystemState, der, what="expected system state")
        return cls(manifest_id=raw.manifest_id, manifest_digest=raw.manifest_digest, svn=raw.svn)

    def to_extension(self) -> x509.UnrecognizedExtension:
        """For a certificate builder; add it as non-critical."""
        return x509.UnrecognizedExtension(oids.EXT_EXPECTED_SYSTEM_STATE, self.encode())

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "ExpectedSystemState | None":
        """From a certificate, None where it has no such extension; raises DecodeError."""
        der = _extension_value(certificate, oids.EXT_EXPECTED_SYSTEM_STATE)
        return None if der is None else cls.decode(der)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRole:
    """Role (`pva`, `sho`, `dpf`, ...) and id of an operator's service under the operators' root."""

    role: str
    id: str

    def __post_init__(self) -> None:
        _bounded("role", len(self.role), low=1, high=_ROLE_CHARACTERS_MAX, unit="characters")
        _bounded("id of the operator", len(self.id), low=1, high=_ID_CHARACTERS_MAX, unit="characters")

    def encode(self) -> bytes:
        """DER, the content of the extension."""
        return asn1.encode_der(_OperatorRole(role=self.role, id=self.id))

    @classmethod
    def decode(cls, der: bytes) -> "OperatorRole":
        """From the content of the extension; raises DecodeError."""
        raw = _decode(_OperatorRole, der, what="operator role")
        return cls(role=raw.role, id=raw.id)

    def to_extension(self) -> x509.UnrecognizedExtension:
        """For a certificate builder; add it as non-critical."""
        return x509.UnrecognizedExtension(oids.EXT_OPERATOR_ROLE, self.encode())

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "OperatorRole | None":
        """From a certificate, None where it has no such extension; raises DecodeError."""
        der = _extension_value(certificate, oids.EXT_OPERATOR_ROLE)
        return None if der is None else cls.decode(der)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who had a certificate issued: his name at the CA, and the SHA-256 of his key (DER SPKI) in hex."""

    name: str
    key_sha256: str

    def __post_init__(self) -> None:
        _bounded("requester", len(self.name), low=1, high=_REQUESTER_CHARACTERS_MAX, unit="characters")
        if not _SHA256_HEX.fullmatch(self.key_sha256):
            raise DecodeError(
                "key of the requester", expected="64 hexadecimal digits", got=self.key_sha256[:80]
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Requesters:
    """Who had the certificate of a TLS client issued, then who had his issued, and so on: nearest first.

    An empty line says that it was made at the CA's own machine, in a ceremony.
    """

    line: tuple[Requester, ...]

    def __post_init__(self) -> None:
        _bounded("line of requesters", len(self.line), low=0, high=REQUESTERS_MAX, unit="requesters")

    def encode(self) -> bytes:
        """DER, the content of the extension."""
        line = [_Requester(name=each.name, key_sha256=bytes.fromhex(each.key_sha256)) for each in self.line]
        return asn1.encode_der(_Requesters(line=line))

    @classmethod
    def decode(cls, der: bytes) -> "Requesters":
        """From the content of the extension; raises DecodeError."""
        raw = _decode(_Requesters, der, what="requesters")
        return cls(
            line=tuple(Requester(name=each.name, key_sha256=each.key_sha256.hex()) for each in raw.line)
        )

    def to_extension(self) -> x509.UnrecognizedExtension:
        """For a certificate builder; add it as non-critical."""
        return x509.UnrecognizedExtension(oids.EXT_REQUESTERS, self.encode())

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "Requesters | None":
        """From a certificate, None where it does not say; raises DecodeError."""
        der = _extension_value(certificate, oids.EXT_REQUESTERS)
        return None if der is None else cls.decode(der)


AT_A_CEREMONY = Requesters(line=())
"""Nobody asked for it over the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareModuleName:
    """SAN otherName of a device: its model, and a serial that says nothing to people (RFC 4108 section 5)."""

    hw_type: x509.ObjectIdentifier
    serial: bytes

    def __post_init__(self) -> None:
        _bounded("hardware serial", len(self.serial), low=1, high=_HW_SERIAL_BYTES_MAX, unit="bytes")

    def encode(self) -> bytes:
        """DER, the value of the otherName."""
        return asn1.encode_der(_HardwareModuleName(hw_type=self.hw_type, serial=self.serial))

    @classmethod
    def decode(cls, der: bytes) -> "HardwareModuleName":
        """From the value of the otherName; raises DecodeError."""
        raw = _decode(_HardwareModuleName, der, what="hardware module name")
        return cls(hw_type=raw.hw_type, serial=raw.serial)

    def to_general_name(self) -> x509.OtherName:
        """For a SubjectAlternativeName."""
        return x509.OtherName(oids.ON_HARDWARE_MODULE_NAME, self.encode())

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "HardwareModuleName | None":
        """From a certificate's SAN, None where it names no hardware module; raises DecodeError."""
        try:
            san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return None
        except (ValueError, x509.DuplicateExtension) as error:
            raise DecodeError("extensions", expected="well-formed extensions", got=str(error)) from error
        named = [
            each
            for each in san
            if isinstance(each, x509.OtherName) and each.type_id == oids.ON_HARDWARE_MODULE_NAME
        ]
        if len(named) > 1:
            raise DecodeError("hardware module name", expected="one a certificate", got=str(len(named)))
        return cls.decode(named[0].value) if named else None


def tre_level(certificate: x509.Certificate) -> int | None:
    """Security level of the TRE that the certificate policies assert (1, 2, 3), None without one.

    Several levels in one certificate mean nothing that could be relied on: DecodeError.
    """
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension) as error:
        raise DecodeError("extensions", expected="well-formed extensions", got=str(error)) from error
    named = {policy.policy_identifier for policy in policies}
    levels = [level for level, oid in oids.POLICY_TRE_LEVELS.items() if oid in named]
    if len(levels) > 1:
        raise DecodeError("TRE security level", expected="one policy", got=f"levels {levels}")
    return levels[0] if levels else None


def _extension_value(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension) as error:
        raise DecodeError("extensions", expected="well-formed extensions", got=str(error)) from error
    return found.value if isinstance(found, x509.UnrecognizedExtension) else None
