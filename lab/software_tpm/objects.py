"""Objects: a public area, perhaps a sensitive one, and where in the hierarchies it stands (Part 1, 27)."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from standards.tpm2.constants import DIGEST_BYTES_MAX, Algorithm, ObjectAttributes
from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.names import qualified_name
from standards.tpm2.structures import EccParameters, EccPoint, Public, RsaParameters
from standards.tpm2.structures.public import RSA_EXPONENT

SEALED_BYTES_MAX = 128
"""TPM2B_SENSITIVE_DATA of a keyed-hash object (Part 2, 11.1.14)."""
_PRIVATE_BYTES_MAX: dict[int, int] = {
    Algorithm.RSA: 192,
    Algorithm.ECC: 66,
    Algorithm.KEYEDHASH: SEALED_BYTES_MAX,
}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitive:
    """TPMT_SENSITIVE (Part 2, 12.3.2.4): `secret` is one RSA prime, an ECC scalar or sealed data."""

    type: int
    auth_value: bytes = field(repr=False)
    seed_value: bytes = field(repr=False)
    secret: bytes = field(repr=False)

    @classmethod
    def decode(cls, data: bytes) -> "Sensitive":
        """TPMT_SENSITIVE and nothing after it."""
        reader = Reader(data)
        kind = reader.u16("type of TPMT_SENSITIVE")
        bytes_max = _PRIVATE_BYTES_MAX.get(kind)
        if bytes_max is None:
            raise DecodeError("type of TPMT_SENSITIVE", expected="RSA, ECC or KEYEDHASH", got=f"0x{kind:04x}")
        sensitive = cls(
            type=kind,
            auth_value=reader.tpm2b(DIGEST_BYTES_MAX, "authValue").rstrip(b"\x00"),
            seed_value=reader.tpm2b(DIGEST_BYTES_MAX, "seedValue"),
            secret=reader.tpm2b(bytes_max, "sensitive"),
        )
        reader.end("size of TPMT_SENSITIVE")
        return sensitive

    def encode(self, *, auth_bytes: int = 0) -> bytes:
        """TPMT_SENSITIVE as bytes, the authValue padded to `auth_bytes` so that its length is no hint."""
        writer = Writer().u16(self.type).tpm2b(self.auth_value.ljust(auth_bytes, b"\x00"))
        return writer.tpm2b(self.seed_value).tpm2b(self.secret).done()


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmObject:
    """A loaded or persistent object. `external`: came by LoadExternal, so it can be neither parent nor persistent."""

    public: Public
    name: bytes
    qualified_name: bytes
    hierarchy: int
    sensitive: Sensitive | None = None
    external: bool = False

    @classmethod
    def under(
        cls, parent: "TpmObject | int", *, public: Public, sensitive: Sensitive | None, hierarchy: int
    ) -> "TpmObject":
        """An object below `parent`, or below a hierarchy, with its Names computed."""
        above = parent if isinstance(parent, int) else parent.qualified_name
        name = public.name
        return cls(
            public=public,
            name=name,
            qualified_name=qualified_name(above, name),
            hierarchy=hierarchy,
            sensitive=sensitive,
        )

    @classmethod
    def from_outside(cls, public: Public, *, sensitive: Sensitive | None, hierarchy: int) -> "TpmObject":
        """An object of LoadExternal: it stands under nothing, so its Qualified Name is its Name."""
        name = public.name
        return cls(
            public=public,
            name=name,
            qualified_name=name,
            hierarchy=hierarchy,
            sensitive=sensitive,
            external=True,
        )

    def has(self, attributes: ObjectAttributes) -> bool:
        """Whether all of `attributes` are set."""
        return self.public.attributes & attributes == attributes

    @property
    def is_parent(self) -> bool:
        """Whether objects can be created, loaded and imported below it (Part 1, 27.2)."""
        asymmetric = self.public.type in (Algorithm.RSA, Algorithm.ECC)
        storage = self.has(ObjectAttributes.RESTRICTED | ObjectAttributes.DECRYPT)
        return asymmetric and storage and self.sensitive is not None and not self.external

    @property
    def is_asymmetric(self) -> bool:
        """RSA or ECC."""
        return self.public.type in (Algorithm.RSA, Algorithm.ECC)

    @property
    def auth_value(self) -> bytes:
        """The authValue; empty for a public-only object, which allows no authorisation anyway."""
        return self.sensitive.auth_value if self.sensitive else b""

    @property
    def dictionary_attack_protected(self) -> bool:
        """Whether a wrong authValue is counted."""
        return not self.has(ObjectAttributes.NO_DA)

    def private_key(self) -> PrivateKey:
        """The private key for `cryptography`; DecodeError if the object has none or its halves do not match."""
        if self.sensitive is None:
            raise DecodeError("private key", expected="a sensitive area", got="a public-only object")
        return private_key(self.public, self.sensitive)


def private_key(public: Public, sensitive: Sensitive, *, is_new: bool = False) -> PrivateKey:
    """The private key of an asymmetric object; DecodeError if the two areas do not belong together.

    `is_new`: the primes of an RSA key from outside are tested, once, before it is used.
    """
    try:
        if isinstance(public.parameters, RsaParameters) and isinstance(public.unique, bytes):
            numbers = _rsa_numbers(public.parameters, modulus=public.unique, prime=sensitive.secret)
            # Testing the primes again for each command would cost 30 ms
            return numbers.private_key(unsafe_skip_rsa_key_validation=not is_new)
        if isinstance(public.parameters, EccParameters) and isinstance(public.unique, EccPoint):
            curve = _ecc_public_curve(public)
            scalar = int.from_bytes(sensitive.secret, "big")
            key = ec.derive_private_key(scalar, curve)
            if key.public_key() == public.public_key():
                return key
    except (ValueError, ZeroDivisionError):
        pass
    raise DecodeError("private key", expected="the private half of the public area", got="another")


def _ecc_public_curve(public: Public) -> ec.EllipticCurve:
    key = public.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise DecodeError("curveID", expected="an ECC key", got="another")
    return key.curve


def _rsa_numbers(parameters: RsaParameters, *, modulus: bytes, prime: bytes) -> rsa.RSAPrivateNumbers:
    n, p, e = (
        int.from_bytes(modulus, "big"),
        int.from_bytes(prime, "big"),
        parameters.exponent or RSA_EXPONENT,
    )
    q, remainder = divmod(n, p)
    if remainder or 1 in (p, q):
        raise DecodeError("private key", expected="a prime factor of the modulus", got="another number")
    d = pow(e, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(e, n),
    )
