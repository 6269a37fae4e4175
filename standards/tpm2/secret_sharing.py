"""Secret sharing: a seed that only the holder of one private key learns (Part 1, B.10 and C.6).

Three protocols use it, told apart by the label: IDENTITY (credentials), DUPLICATE (import blobs), SECRET
(salts of sessions). With an RSA key the caller's random seed is encrypted by OAEP; with an ECC key the seed
comes out of a one-pass Diffie-Hellman with the caller's ephemeral key.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest_size, hash_object
from standards.tpm2.kdf import kdfe
from standards.tpm2.structures import EccPoint, Public

LABEL_IDENTITY = b"IDENTITY"
LABEL_DUPLICATE = b"DUPLICATE"
LABEL_SECRET = b"SECRET"
_GROUP_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        16,
    ),
}
_EXTRA_BYTES = 8


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


def share_fresh_secret(public: Public, *, label: bytes, random_bytes: Callable[[int], bytes]) -> SharedSecret:
    """`share_secret` with seed or ephemeral key drawn from `random_bytes`."""
    key = public.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        seed = random_bytes(digest_size(public.name_algorithm))
        return share_secret(public, label=label, seed=seed, ephemeral=None)
    ephemeral = ephemeral_key(key.curve, random_bytes)
    return share_secret(public, label=label, seed=b"", ephemeral=ephemeral)


def ephemeral_key(
    curve: ec.EllipticCurve, random_bytes: Callable[[int], bytes]
) -> ec.EllipticCurvePrivateKey:
    """A private key on P-256 or P-384 by FIPS 186-5, A.2.1: 64 more random bits than the group order has."""
    order = _GROUP_ORDERS.get(curve.name)
    if order is None:
        raise DecodeError("curve of the receiving key", expected="P-256 or P-384", got=curve.name)
    drawn = int.from_bytes(random_bytes(order.bit_length() // 8 + _EXTRA_BYTES), "big")
    return ec.derive_private_key(drawn % (order - 1) + 1, curve)


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
