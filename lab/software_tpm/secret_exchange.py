"""The receiving end of a shared secret; the sender's is `standards.tpm2.secret_sharing` (Part 1, B.10, C.6)."""

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from lab.software_tpm.errors import CommandError
from lab.software_tpm.objects import TpmObject
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest_size, hash_object
from standards.tpm2.kdf import kdfe
from standards.tpm2.marshal import Reader
from standards.tpm2.return_codes import ReturnCode
from standards.tpm2.structures import EccPoint

ENCRYPTED_SECRET_BYTES_MAX = 512


def decrypt_secret(key: TpmObject, encrypted: bytes, *, label: bytes) -> bytes:
    """The seed in `encrypted`; CommandError, without the number of a parameter, if it is for another key."""
    private = key.private_key()
    try:
        if isinstance(private, rsa.RSAPrivateKey):
            return _by_oaep(private, key.public.name_algorithm, encrypted, label)
        return _by_ecdh(private, key.public.name_algorithm, encrypted, label)
    except DecodeError:
        raise CommandError(ReturnCode.SIZE) from None
    except ValueError:
        raise CommandError(ReturnCode.VALUE) from None


def _by_oaep(private: rsa.RSAPrivateKey, algorithm: int, encrypted: bytes, label: bytes) -> bytes:
    sha = hash_object(algorithm)
    oaep = padding.OAEP(mgf=padding.MGF1(sha), algorithm=sha, label=label + b"\x00")
    seed = private.decrypt(encrypted, oaep)
    if len(seed) > digest_size(algorithm):
        raise CommandError(ReturnCode.VALUE)
    return seed


def _by_ecdh(private: ec.EllipticCurvePrivateKey, algorithm: int, encrypted: bytes, label: bytes) -> bytes:
    reader = Reader(encrypted)
    point = EccPoint.read(reader)
    reader.end("size of TPMS_ECC_POINT")
    x, y = int.from_bytes(point.x, "big"), int.from_bytes(point.y, "big")
    try:
        ephemeral = ec.EllipticCurvePublicNumbers(x, y, private.curve).public_key()
    except ValueError:
        raise CommandError(ReturnCode.ECC_POINT) from None
    size = (private.curve.key_size + 7) // 8
    own_x = private.public_key().public_numbers().x
    return kdfe(
        algorithm,
        secret=private.exchange(ec.ECDH(), ephemeral),
        label=label,
        party_u=x.to_bytes(size, "big"),
        party_v=own_x.to_bytes(size, "big"),
        bits=8 * digest_size(algorithm),
    )
