"""Signing and verifying digests with objects (Part 1, B.7, C.4; Part 3, 20)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from lab.software_tpm.objects import TpmObject
from standards.tpm2.constants import Algorithm
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest_size, hash_object, is_trusted
from standards.tpm2.marshal import Reader
from standards.tpm2.structures import Public, Scheme, Signature

SIGNING_SCHEMES = {
    Algorithm.RSA: (Algorithm.RSASSA, Algorithm.RSAPSS),
    Algorithm.ECC: (Algorithm.ECDSA,),
}


def read_scheme(reader: Reader) -> Scheme:
    """TPMT_SIG_SCHEME+ at the cursor (Part 2, 11.2.1.5): one that this TPM signs with, or NULL."""
    scheme = Scheme.read(reader, "signing scheme")
    if scheme.algorithm == Algorithm.NULL:
        return scheme
    if scheme.algorithm not in (Algorithm.RSASSA, Algorithm.RSAPSS, Algorithm.ECDSA):
        raise DecodeError("signing scheme", expected="RSASSA, RSAPSS, ECDSA", got=f"0x{scheme.algorithm:04x}")
    if not is_trusted(scheme.hash_algorithm):
        raise DecodeError(
            "hash of the signing scheme", expected="SHA-2", got=f"0x{scheme.hash_algorithm:04x}"
        )
    return scheme


def effective_scheme(public: Public, asked: Scheme) -> Scheme | None:
    """The scheme of the key, or the one asked for where the key leaves it open; None if they contradict."""
    own = public.scheme
    if own.algorithm == Algorithm.NULL:
        return asked if asked.algorithm in SIGNING_SCHEMES.get(Algorithm(public.type), ()) else None
    return own if asked.algorithm == Algorithm.NULL or asked == own else None


def sign_digest(key: TpmObject, digest: bytes, *, scheme: Scheme) -> Signature:
    """Signature of `digest`, which has the size of the scheme's hash."""
    private = key.private_key()
    prehashed = Prehashed(hash_object(scheme.hash_algorithm))
    if isinstance(private, ec.EllipticCurvePrivateKey):
        der = private.sign(digest, ec.ECDSA(prehashed))
        size = (private.curve.key_size + 7) // 8
        return Signature.from_der(der, hash_algorithm=scheme.hash_algorithm, coordinate_bytes=size)
    signed = private.sign(digest, _padding(scheme.algorithm, scheme.hash_algorithm), prehashed)
    return Signature(algorithm=scheme.algorithm, hash_algorithm=scheme.hash_algorithm, rsa=signed)


def is_signature_valid(public: Public, digest: bytes, signature: Signature) -> bool:
    """Whether `signature` of `digest` is by `public`, in the scheme of the key if it names one."""
    scheme = public.scheme
    fixed = (scheme.algorithm, scheme.hash_algorithm)
    if scheme.algorithm != Algorithm.NULL and fixed != (signature.algorithm, signature.hash_algorithm):
        return False
    if not is_trusted(signature.hash_algorithm) or len(digest) != digest_size(signature.hash_algorithm):
        return False
    prehashed = Prehashed(hash_object(signature.hash_algorithm))
    key = public.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey) and signature.algorithm != Algorithm.ECDSA:
            scheme_padding = _padding(signature.algorithm, signature.hash_algorithm)
            key.verify(signature.rsa, digest, scheme_padding, prehashed)
            return True
        if isinstance(key, ec.EllipticCurvePublicKey) and signature.algorithm == Algorithm.ECDSA:
            key.verify(signature.der(), digest, ec.ECDSA(prehashed))
            return True
    except (InvalidSignature, ValueError):
        return False
    return False


def _padding(algorithm: int, hash_algorithm: int) -> padding.AsymmetricPadding:
    if algorithm == Algorithm.RSAPSS:
        # Salt as long as the digest: what Part 1, B.7 (FIPS mode) makes and every verifier takes
        return padding.PSS(
            mgf=padding.MGF1(hash_object(hash_algorithm)), salt_length=digest_size(hash_algorithm)
        )
    return padding.PKCS1v15()
