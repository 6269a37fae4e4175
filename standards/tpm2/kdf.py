"""KDFa and KDFe, the key derivations of the TPM 2.0 Library (Part 1, 11.4.10)."""

from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from standards.tpm2.hashing import hash_object


def kdfa(  # the six are the norm's own
    algorithm: int, *, key: bytes, label: bytes, context_u: bytes = b"", context_v: bytes = b"", bits: int
) -> bytes:
    """KDFa (Part 1, 11.4.10.2): SP 800-108 in counter mode with HMAC; `label` without its final NUL.

    `bits` must be a multiple of 8; the result has bits / 8 bytes.
    """
    return KBKDFHMAC(
        algorithm=hash_object(algorithm),
        mode=Mode.CounterMode,
        length=bits // 8,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=label,
        context=context_u + context_v,
        fixed=None,
    ).derive(key)


def kdfe(algorithm: int, *, secret: bytes, label: bytes, party_u: bytes, party_v: bytes, bits: int) -> bytes:
    """KDFe (Part 1, 11.4.10.3): SP 800-56A concatenation over an ECDH secret; `label` without its final NUL.

    `secret`, `party_u` and `party_v` are x-coordinates, padded to the size of the curve.
    """
    other_info = label + b"\x00" + party_u + party_v
    return ConcatKDFHash(algorithm=hash_object(algorithm), length=bits // 8, otherinfo=other_info).derive(
        secret
    )
