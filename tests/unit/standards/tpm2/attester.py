"""An attester in software: keys with public areas as a TPM has them, and structures that they sign.

What a TPM would never sign can be signed here, so that each check is tried with everything else in order.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from standards.tpm2.attestation import PcrValues
from standards.tpm2.constants import Algorithm, EccCurve, Handle, StructureTag
from standards.tpm2.hashing import digest, hash_object
from standards.tpm2.names import qualified_name
from standards.tpm2.structures import (
    Attest,
    CertifyInfo,
    ClockInfo,
    EccParameters,
    EccPoint,
    NvCertifyInfo,
    PcrSelection,
    Public,
    QuoteInfo,
    RsaParameters,
    Scheme,
    Signature,
    SymmetricDefinition,
)
from standards.tpm2.templates import AK_ECC_P256, AK_RSA_2048
from tests.vectors.slow_keys import private_rsa_key

EXTRA_DATA = b"\x42" * 32
SELECTION = (PcrSelection(bank=Algorithm.SHA256, indices=(0, 4, 7)),)
PCR_VALUES: PcrValues = {Algorithm.SHA256: {0: b"\x00" * 32, 4: b"\x04" * 32, 7: b"\x07" * 32}}
CLOCK = ClockInfo(clock=1234, reset_count=5, restart_count=0, safe=True)
_CURVES = {
    EccCurve.NIST_P256: ec.SECP256R1(),
    EccCurve.NIST_P384: ec.SECP384R1(),
    EccCurve.NIST_P521: ec.SECP521R1(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftwareKey:
    """A key with its TPMT_PUBLIC; signs any bytes by its scheme."""

    public: Public
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    def sign(self, data: bytes) -> bytes:
        """TPMT_SIGNATURE over `data`."""
        return self.signature(data).encode()

    def signature(self, data: bytes, scheme: Scheme | None = None) -> Signature:
        """A signature by `scheme`, the key's own by default."""
        used = scheme or self.public.scheme
        algorithm = _hash(used.hash_algorithm)
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            size = (self.private.key_size + 7) // 8
            der = self.private.sign(data, ec.ECDSA(algorithm))
            return Signature.from_der(der, hash_algorithm=used.hash_algorithm, coordinate_bytes=size)
        pad: padding.PSS | padding.PKCS1v15 = padding.PKCS1v15()
        if used.algorithm == Algorithm.RSAPSS:
            pad = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=padding.PSS.DIGEST_LENGTH)
        signed = self.private.sign(data, pad, algorithm)
        return Signature(algorithm=used.algorithm, hash_algorithm=used.hash_algorithm, rsa=signed)

    def changed(self, **changes: object) -> "SoftwareKey":
        """The same key with another public area."""
        return replace(self, public=replace(self.public, **changes))  # type: ignore[arg-type]  # fields of Public


def _hash(algorithm: int) -> hashes.HashAlgorithm:
    return hashes.SHA1() if algorithm == Algorithm.SHA1 else hash_object(algorithm)  # noqa: S303 - refused by the check


def ecc_key(
    template: Public = AK_ECC_P256,
    *,
    curve: int = EccCurve.NIST_P256,
    hash_algorithm: int = Algorithm.SHA256,
    scalar: int = 0xA4,
) -> SoftwareKey:
    """An ECC key of `template`, on `curve`, with ECDSA by `hash_algorithm` where it signs."""
    private = ec.derive_private_key(scalar, _CURVES[EccCurve(curve)])
    size, numbers = (private.key_size + 7) // 8, private.public_key().public_numbers()
    parameters = template.parameters
    assert isinstance(parameters, EccParameters)
    scheme = parameters.scheme
    if scheme != Scheme():
        scheme = Scheme(algorithm=Algorithm.ECDSA, hash_algorithm=hash_algorithm)
    point = EccPoint(x=numbers.x.to_bytes(size, "big"), y=numbers.y.to_bytes(size, "big"))
    return SoftwareKey(
        public=replace(template, parameters=replace(parameters, curve=curve, scheme=scheme), unique=point),
        private=private,
    )


def rsa_key(
    *,
    scheme: int = Algorithm.RSASSA,
    hash_algorithm: int = Algorithm.SHA256,
    bits: int = 2048,
    exponent: int = 65537,
) -> SoftwareKey:
    """An RSA AK."""
    private = private_rsa_key(bits, exponent)
    modulus = private.public_key().public_numbers().n
    parameters = RsaParameters(
        symmetric=SymmetricDefinition(),
        scheme=Scheme(algorithm=scheme, hash_algorithm=hash_algorithm),
        key_bits=bits,
        exponent=0 if exponent == 65537 else exponent,
    )
    return SoftwareKey(
        public=replace(AK_RSA_2048, parameters=parameters, unique=modulus.to_bytes(bits // 8, "big")),
        private=private,
    )


def attest(ak: Public, attested: QuoteInfo | CertifyInfo | NvCertifyInfo) -> Attest:
    """TPMS_ATTEST by an AK that is a primary object of ENDORSEMENT."""
    tags: dict[type, StructureTag] = {
        QuoteInfo: StructureTag.ATTEST_QUOTE,
        CertifyInfo: StructureTag.ATTEST_CERTIFY,
        NvCertifyInfo: StructureTag.ATTEST_NV,
    }
    return Attest(
        type=tags[type(attested)],
        qualified_signer=qualified_name(Handle.ENDORSEMENT, ak.name),
        extra_data=EXTRA_DATA,
        clock_info=CLOCK,
        firmware_version=0x2023_0001_0000_0000,
        attested=attested,
    )


def quote_of(
    ak: Public,
    *,
    selection: tuple[PcrSelection, ...] = SELECTION,
    values: PcrValues = PCR_VALUES,
    change: Callable[[Attest], Attest] = lambda value: value,
) -> bytes:
    """TPMS_ATTEST of a quote over `values`."""
    concatenated = b"".join(values[one.bank][index] for one in selection for index in one.indices)
    info = QuoteInfo(pcr_selections=selection, pcr_digest=digest(ak.scheme.hash_algorithm, concatenated))
    return change(attest(ak, info)).encode()
