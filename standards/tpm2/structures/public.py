"""TPMT_PUBLIC: what an object is (Part 2, 12.2.4)."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from standards.tpm2.constants import DIGEST_BYTES_MAX, Algorithm, EccCurve, ObjectAttributes
from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.names import object_name

RSA_EXPONENT = 65537
_RSA_BYTES_MAX = 512
_COORDINATE_BYTES_MAX = 66
_CURVES: dict[int, ec.EllipticCurve] = {
    EccCurve.NIST_P256: ec.SECP256R1(),
    EccCurve.NIST_P384: ec.SECP384R1(),
    EccCurve.NIST_P521: ec.SECP521R1(),
}
_SCHEMES_WITH_HASH = {
    Algorithm.RSASSA,
    Algorithm.RSAPSS,
    Algorithm.OAEP,
    Algorithm.ECDSA,
    Algorithm.ECDH,
    Algorithm.SM2,
    Algorithm.ECSCHNORR,
    Algorithm.ECMQV,
    Algorithm.HMAC,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SymmetricDefinition:
    """TPMT_SYM_DEF_OBJECT (Part 2, 11.1.7); all but the algorithm are 0 where it is NULL."""

    algorithm: int = Algorithm.NULL
    key_bits: int = 0
    mode: int = 0

    @classmethod
    def read(cls, reader: Reader) -> "SymmetricDefinition":
        """The definition at the cursor."""
        algorithm = reader.u16("symmetric algorithm")
        if algorithm == Algorithm.NULL:
            return cls()
        if algorithm not in (Algorithm.AES, Algorithm.SM4, Algorithm.CAMELLIA):
            raise DecodeError(
                "symmetric algorithm", expected="a block cipher or NULL", got=f"0x{algorithm:04x}"
            )
        return cls(
            algorithm=algorithm,
            key_bits=reader.u16("keyBits of the symmetric algorithm"),
            mode=reader.u16("mode of the symmetric algorithm"),
        )

    def encode(self) -> bytes:
        """The definition as bytes."""
        writer = Writer().u16(self.algorithm)
        if self.algorithm != Algorithm.NULL:
            writer.u16(self.key_bits).u16(self.mode)
        return writer.done()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """TPMT_RSA_SCHEME, TPMT_ECC_SCHEME, TPMT_KEYEDHASH_SCHEME or TPMT_KDF_SCHEME (Part 2, 11.1, 11.2).

    `hash_algorithm` is 0 where the scheme has none; `detail` is the count of ECDAA or the KDF of XOR.
    """

    algorithm: int = Algorithm.NULL
    hash_algorithm: int = 0
    detail: int = 0

    @classmethod
    def read(cls, reader: Reader, what: str) -> "Scheme":
        """The signing, encryption or keyed-hash scheme at the cursor."""
        algorithm = reader.u16(what)
        if algorithm in (Algorithm.NULL, Algorithm.RSAES):
            return cls(algorithm=algorithm)
        if algorithm in _SCHEMES_WITH_HASH:
            return cls(algorithm=algorithm, hash_algorithm=reader.u16(f"hash of the {what}"))
        if algorithm in (Algorithm.ECDAA, Algorithm.XOR):
            hash_algorithm = reader.u16(f"hash of the {what}")
            return cls(
                algorithm=algorithm, hash_algorithm=hash_algorithm, detail=reader.u16(f"detail of the {what}")
            )
        raise DecodeError(what, expected="a scheme of the norm", got=f"0x{algorithm:04x}")

    @classmethod
    def read_kdf(cls, reader: Reader) -> "Scheme":
        """TPMT_KDF_SCHEME at the cursor."""
        algorithm = reader.u16("kdf scheme")
        if algorithm == Algorithm.NULL:
            return cls()
        if algorithm not in (Algorithm.KDF1_SP800_56A, Algorithm.KDF2, Algorithm.KDF1_SP800_108):
            raise DecodeError("kdf scheme", expected="a KDF of the norm", got=f"0x{algorithm:04x}")
        return cls(algorithm=algorithm, hash_algorithm=reader.u16("hash of the kdf scheme"))

    def encode(self) -> bytes:
        """The scheme as bytes."""
        writer = Writer().u16(self.algorithm)
        if self.algorithm not in (Algorithm.NULL, Algorithm.RSAES):
            writer.u16(self.hash_algorithm)
        if self.algorithm in (Algorithm.ECDAA, Algorithm.XOR):
            writer.u16(self.detail)
        return writer.done()


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaParameters:
    """TPMS_RSA_PARMS (Part 2, 12.2.3.5); exponent 0 stands for 65537."""

    symmetric: SymmetricDefinition
    scheme: Scheme
    key_bits: int
    exponent: int = 0

    @classmethod
    def read(cls, reader: Reader) -> "RsaParameters":
        """The parameters at the cursor."""
        return cls(
            symmetric=SymmetricDefinition.read(reader),
            scheme=Scheme.read(reader, "RSA scheme"),
            key_bits=reader.u16("keyBits"),
            exponent=reader.u32("exponent"),
        )

    def encode(self) -> bytes:
        """The parameters as bytes."""
        writer = Writer().raw(self.symmetric.encode()).raw(self.scheme.encode())
        return writer.u16(self.key_bits).u32(self.exponent).done()


@dataclass(frozen=True, slots=True, kw_only=True)
class EccParameters:
    """TPMS_ECC_PARMS (Part 2, 12.2.3.6)."""

    symmetric: SymmetricDefinition
    scheme: Scheme
    curve: int
    kdf: Scheme

    @classmethod
    def read(cls, reader: Reader) -> "EccParameters":
        """The parameters at the cursor."""
        return cls(
            symmetric=SymmetricDefinition.read(reader),
            scheme=Scheme.read(reader, "ECC scheme"),
            curve=reader.u16("curveID"),
            kdf=Scheme.read_kdf(reader),
        )

    def encode(self) -> bytes:
        """The parameters as bytes."""
        writer = Writer().raw(self.symmetric.encode()).raw(self.scheme.encode())
        return writer.u16(self.curve).raw(self.kdf.encode()).done()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedHashParameters:
    """TPMS_KEYEDHASH_PARMS (Part 2, 12.2.3.3): scheme NULL for a sealed data object."""

    scheme: Scheme

    @classmethod
    def read(cls, reader: Reader) -> "KeyedHashParameters":
        """The parameters at the cursor."""
        return cls(scheme=Scheme.read(reader, "keyedhash scheme"))

    def encode(self) -> bytes:
        """The parameters as bytes."""
        return self.scheme.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class EccPoint:
    """TPMS_ECC_POINT: coordinates as sent, big-endian, padded or not (Part 2, 11.2.5.2)."""

    x: bytes
    y: bytes

    @classmethod
    def read(cls, reader: Reader) -> "EccPoint":
        """The point at the cursor."""
        x = reader.tpm2b(_COORDINATE_BYTES_MAX, "x-coordinate")
        return cls(x=x, y=reader.tpm2b(_COORDINATE_BYTES_MAX, "y-coordinate"))

    def encode(self) -> bytes:
        """The point as bytes."""
        return Writer().tpm2b(self.x).tpm2b(self.y).done()


Parameters = RsaParameters | EccParameters | KeyedHashParameters
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Public:
    """TPMT_PUBLIC of an RSA key, an ECC key or a keyed-hash object (a sealed secret).

    `unique` is the modulus, the digest of a keyed-hash object, or the point of an ECC key. A decoded value keeps the
    received bytes, which are what its Name is a digest of.
    """

    type: int
    name_algorithm: int
    attributes: ObjectAttributes
    auth_policy: bytes
    parameters: Parameters
    unique: bytes | EccPoint
    _received: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def decode(cls, data: bytes) -> "Public":
        """TPMT_PUBLIC (the content of a TPM2B_PUBLIC) and nothing after it."""
        reader = Reader(data)
        kind = reader.u16("type of TPMT_PUBLIC")
        name_algorithm = reader.u16("nameAlg")
        attributes = ObjectAttributes(reader.u32("objectAttributes"))
        auth_policy = reader.tpm2b(DIGEST_BYTES_MAX, "authPolicy")
        parameters, unique = _read_parameters_and_unique(kind, reader)
        reader.end("TPMT_PUBLIC")
        public = cls(
            type=kind,
            name_algorithm=name_algorithm,
            attributes=attributes,
            auth_policy=auth_policy,
            parameters=parameters,
            unique=unique,
        )
        object.__setattr__(public, "_received", bytes(data))
        return public

    def encode(self) -> bytes:
        """TPMT_PUBLIC as bytes; equal to what was decoded."""
        if self._received is not None:
            return self._received
        writer = Writer().u16(self.type).u16(self.name_algorithm).u32(self.attributes)
        writer.tpm2b(self.auth_policy).raw(self.parameters.encode())
        if isinstance(self.unique, EccPoint):
            return writer.raw(self.unique.encode()).done()
        return writer.tpm2b(self.unique).done()

    @property
    def raw(self) -> bytes:
        """The bytes that the Name is a digest of."""
        return self.encode()

    @property
    def name(self) -> bytes:
        """Name of the object, recomputed (A10); DecodeError if nameAlg is not a trusted hash."""
        return object_name(self.name_algorithm, self.encode())

    @property
    def scheme(self) -> Scheme:
        """Signing, encryption or keyed-hash scheme."""
        return self.parameters.scheme

    @property
    def symmetric(self) -> SymmetricDefinition:
        """Protection of the objects below a storage key; NULL for a keyed-hash object."""
        if isinstance(self.parameters, KeyedHashParameters):
            return SymmetricDefinition()
        return self.parameters.symmetric

    def public_key(self) -> PublicKey:
        """The key for `cryptography`; DecodeError for a keyed-hash object, a point off its curve, a bad modulus."""
        try:
            if isinstance(self.parameters, EccParameters) and isinstance(self.unique, EccPoint):
                return _ecc_key(self.parameters.curve, self.unique)
            if isinstance(self.parameters, RsaParameters) and isinstance(self.unique, bytes):
                return _rsa_key(self.parameters, self.unique)
        except ValueError:
            raise DecodeError("public key", expected="a valid modulus or point", got="none") from None
        raise DecodeError("public key", expected="an RSA or ECC object", got=f"type 0x{self.type:04x}")


def _read_parameters_and_unique(kind: int, reader: Reader) -> tuple[Parameters, bytes | EccPoint]:
    if kind == Algorithm.RSA:
        return RsaParameters.read(reader), reader.tpm2b(_RSA_BYTES_MAX, "modulus")
    if kind == Algorithm.ECC:
        return EccParameters.read(reader), EccPoint.read(reader)
    if kind == Algorithm.KEYEDHASH:
        return KeyedHashParameters.read(reader), reader.tpm2b(DIGEST_BYTES_MAX, "unique of a keyed hash")
    raise DecodeError("type of TPMT_PUBLIC", expected="RSA, ECC or KEYEDHASH", got=f"0x{kind:04x}")


def _ecc_key(curve: int, point: EccPoint) -> ec.EllipticCurvePublicKey:
    known = _CURVES.get(curve)
    if known is None:
        raise DecodeError("curveID", expected="NIST P-256, P-384 or P-521", got=f"0x{curve:04x}")
    x, y = int.from_bytes(point.x, "big"), int.from_bytes(point.y, "big")
    return ec.EllipticCurvePublicNumbers(x, y, known).public_key()


def _rsa_key(parameters: RsaParameters, modulus: bytes) -> rsa.RSAPublicKey:
    number = int.from_bytes(modulus, "big")
    if number.bit_length() != parameters.key_bits:
        raise DecodeError(
            "modulus", expected=f"{parameters.key_bits} bits as keyBits says", got=f"{number.bit_length()}"
        )
    return rsa.RSAPublicNumbers(parameters.exponent or RSA_EXPONENT, number).public_key()
