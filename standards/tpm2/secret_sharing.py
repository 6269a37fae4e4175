"""Secret sharing: a seed that only the holder of one private key learns (Part 1, B.10 and C.6).

Three protocols use it, told apart by the label: IDENTITY (credentials), DUPLICATE (import blobs), SECRET
(salts of sessions). With an RSA key the caller's random seed is encrypted by OAEP; with an ECC key the seed
comes out of a one-pass Diffie-Hellman with the caller's ephemeral key.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest_size, hash_object
from standards.tpm2.kdf import kdfe
from standards.tpm2.structures import EccPoint, Public

LABEL_IDENTITY = b"IDENTITY"
LABEL_DUPLICATE = b"DUPLICATE"
LABEL_SECRET = b"SECRET"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSecret:
    """`seed` stays here; `encrypted` is the content of a TPM2B_ENCRYPTED_SECRET and travels."""

    seed: bytes
    encrypted: bytes

    def __repr__(self) -> str:
        """Without the seed."""
        return f"SharedSecret(encrypted={len(self.encrypted)} bytes)"


def share_secret(
    public: Public, *, label: bytes, seed: bytes, ephemeral: ec.EllipticCurvePrivateKey | None
) -> SharedSecret:
    """A secret for the holder of `public`, as long as a digest of its nameAlg.

    An RSA key takes `seed` (fresh random bytes of that length) and no `ephemeral`; an ECC key takes a fresh
    `ephemeral` on its own curve, and `seed` is not used. DecodeError where these do not fit the key.
    """
    key = public.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return _by_oaep(key, public.name_algorithm, label, seed)
    return _by_ecdh(key, public.name_algorithm, label, ephemeral)


def _by_oaep(key: rsa.RSAPublicKey, algorithm: int, label: bytes, seed: bytes) -> SharedSecret:
    size = digest_size(algorithm)
    if len(seed) != size:
        raise DecodeError("seed for an RSA key", expected=f"{size} bytes", got=str(len(seed)))
    # B.4: the label of OAEP includes its terminating NUL, other than in the KDFs, which add it themselves
    oaep = padding.OAEP(
        mgf=padding.MGF1(hash_object(algorithm)), algorithm=hash_object(algorithm), label=label + b"\x00"
    )
    return SharedSecret(seed=seed, encrypted=key.encrypt(seed, oaep))


def _by_ecdh(
    key: ec.EllipticCurvePublicKey,
    algorithm: int,
    label: bytes,
    ephemeral: ec.EllipticCurvePrivateKey | None,
) -> SharedSecret:
    if ephemeral is None or ephemeral.curve.name != key.curve.name:
        raise DecodeError(
            "ephemeral key",
            expected=f"a private key on {key.curve.name}",
            got="none" if ephemeral is None else ephemeral.curve.name,
        )
    own = _point(ephemeral.public_key())
    seed = kdfe(
        algorithm,
        secret=ephemeral.exchange(ec.ECDH(), key),
        label=label,
        party_u=own.x,
        party_v=_point(key).x,
        bits=8 * digest_size(algorithm),
    )
    return SharedSecret(seed=seed, encrypted=own.encode())


def _point(key: ec.EllipticCurvePublicKey) -> EccPoint:
    size = (key.curve.key_size + 7) // 8
    numbers = key.public_numbers()
    return EccPoint(x=numbers.x.to_bytes(size, "big"), y=numbers.y.to_bytes(size, "big"))
