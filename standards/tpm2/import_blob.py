"""Import blobs: a secret made in software for one TPM's storage key, opened only under a policy (Part 1, 23; Part 3, 13.3).

One rule: attributes are exactly noDA | adminWithPolicy. With userWithAuth the TPM would open the object for an
empty password and ask for no policy; TPM2_Import itself authenticates nobody, so the receiver checks the public
area before it imports (A31), and its Name stands under the sender's signature.
"""

import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from standards.tpm2.constants import Algorithm, ObjectAttributes
from standards.tpm2.errors import DecodeError, VerificationError
from standards.tpm2.hashing import digest, digest_size
from standards.tpm2.key_checks import check_storage_key
from standards.tpm2.marshal import Writer, tpm2b
from standards.tpm2.outer_wrap import wrap
from standards.tpm2.secret_sharing import LABEL_DUPLICATE, share_secret
from standards.tpm2.structures import KeyedHashParameters, Public, Scheme

SEALED_ATTRIBUTES = ObjectAttributes.NO_DA | ObjectAttributes.ADMIN_WITH_POLICY
SECRET_BYTES_MAX = 128
OBFUSCATION_BYTES = 32
_NAME_ALGORITHM = Algorithm.SHA256


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportBlob:
    """What travels: the public area, and the contents of TPM2B_PRIVATE and TPM2B_ENCRYPTED_SECRET."""

    public: Public
    duplicate: bytes
    encrypted_seed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshMaterial:
    """Random input of one blob, never used twice.

    `obfuscation`: 32 bytes. `seed`: as long as a digest of the storage key's nameAlg, if that is an RSA key;
    `ephemeral`: a key on its curve, if it is an ECC key.
    """

    obfuscation: bytes = field(repr=False)
    seed: bytes = field(default=b"", repr=False)
    ephemeral: ec.EllipticCurvePrivateKey | None = field(default=None, repr=False)


def make_import_blob(
    storage_key: Public, *, secret: bytes, auth_policy: bytes, fresh: FreshMaterial
) -> ImportBlob:
    """A blob of `secret` (1 to 128 bytes) that only the TPM of `storage_key` opens, and only under `auth_policy`.

    The public area of `storage_key` is checked (A30); that it was certified is for the caller to know.
    DecodeError for sizes that the TPM would refuse.
    """
    check_storage_key(storage_key)
    _check_sizes(secret, auth_policy, fresh.obfuscation)
    public = Public(
        type=Algorithm.KEYEDHASH,
        name_algorithm=_NAME_ALGORITHM,
        attributes=SEALED_ATTRIBUTES,
        auth_policy=auth_policy,
        parameters=KeyedHashParameters(scheme=Scheme()),
        unique=digest(_NAME_ALGORITHM, fresh.obfuscation + secret),
    )
    # TPMT_SENSITIVE: no authValue, since only the policy may open it (Part 2, 12.3.2.4)
    sensitive = Writer().u16(Algorithm.KEYEDHASH).tpm2b(b"").tpm2b(fresh.obfuscation).tpm2b(secret).done()
    shared = share_secret(storage_key, label=LABEL_DUPLICATE, seed=fresh.seed, ephemeral=fresh.ephemeral)
    duplicate = wrap(tpm2b(sensitive), parent=storage_key, seed=shared.seed, name=public.name)
    return ImportBlob(public=public, duplicate=duplicate, encrypted_seed=shared.encrypted)


def check_import_public(public: Public, *, auth_policy: bytes) -> bytes:
    """The Name of a sealed object that may be imported: exact attributes, and the receiver's own policy (A31)."""
    scheme_is_null = public.scheme == Scheme()
    if public.type != Algorithm.KEYEDHASH or public.name_algorithm != _NAME_ALGORITHM or not scheme_is_null:
        raise VerificationError(
            "A31",
            "not a sealed object",
            expected="KEYEDHASH with SHA-256 and scheme NULL",
            got=f"type 0x{public.type:04x}, nameAlg 0x{public.name_algorithm:04x}",
        )
    if public.attributes != SEALED_ATTRIBUTES:
        raise VerificationError(
            "A31",
            "attributes of the sealed object",
            expected=f"exactly 0x{SEALED_ATTRIBUTES:08x}",
            got=f"0x{public.attributes:08x}",
        )
    if not auth_policy or not hmac.compare_digest(public.auth_policy, auth_policy):
        raise VerificationError(
            "A31",
            "authPolicy of the sealed object",
            expected=auth_policy.hex() or "a policy",
            got=public.auth_policy.hex() or "none",
        )
    return public.name


def _check_sizes(secret: bytes, auth_policy: bytes, obfuscation: bytes) -> None:
    if not 1 <= len(secret) <= SECRET_BYTES_MAX:
        raise DecodeError("secret to seal", expected=f"1 to {SECRET_BYTES_MAX} bytes", got=str(len(secret)))
    if len(auth_policy) != digest_size(_NAME_ALGORITHM):
        raise DecodeError("authPolicy", expected="a SHA-256 digest", got=f"{len(auth_policy)} bytes")
    if len(obfuscation) != OBFUSCATION_BYTES:
        raise DecodeError(
            "obfuscation value", expected=f"{OBFUSCATION_BYTES} bytes", got=str(len(obfuscation))
        )
