"""What a public area must say before its key is trusted with a role: AK, storage key, EK.

One rule: these checks judge the public area alone. That it really is in a TPM is shown by an activated
credential (AK), by a Certify of a trusted AK (storage key), by its certificate (EK); without that, an
attribute is only a claim. Each raises VerificationError with the number of the check.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from standards.tpm2.constants import Algorithm, Handle, ObjectAttributes
from standards.tpm2.errors import DecodeError, VerificationError
from standards.tpm2.hashing import is_trusted
from standards.tpm2.names import qualified_name
from standards.tpm2.structures import Public
from standards.tpm2.structures.public import RSA_EXPONENT, PublicKey
from standards.tpm2.templates import AES_128_CFB, EK_TEMPLATES, without_unique

RSA_BITS_MIN = 2048
_MADE_AND_KEPT_IN_TPM = (
    ObjectAttributes.FIXED_TPM
    | ObjectAttributes.FIXED_PARENT
    | ObjectAttributes.SENSITIVE_DATA_ORIGIN
    | ObjectAttributes.RESTRICTED
)
_ATTRIBUTES_OF_AN_AK = _MADE_AND_KEPT_IN_TPM | ObjectAttributes.SIGN
_ATTRIBUTES_OF_A_STORAGE_KEY = _MADE_AND_KEPT_IN_TPM | ObjectAttributes.DECRYPT
_SIGNING_SCHEMES: dict[int, tuple[Algorithm, ...]] = {
    Algorithm.RSA: (Algorithm.RSASSA, Algorithm.RSAPSS),
    Algorithm.ECC: (Algorithm.ECDSA,),
}
_CURVES = ("secp256r1", "secp384r1")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationKey:
    """An AK that passed `check_ak`, with its key made once: an exchange has several statements under one AK.

    `name` is its Name, `spki` the key as a DER SubjectPublicKeyInfo, `qualified_name` that of a primary object of ENDORSEMENT with this Name. Only `accept_ak` makes it.
    """

    public: Public
    name: bytes
    key: PublicKey
    spki: bytes
    qualified_name: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageKey:
    """A storage key that passed `check_storage_key`: `qualified_name` is that of a primary object of OWNER with its Name.

    That an AK certified it is still to be proven. Only `accept_storage_key` makes it.
    """

    public: Public
    name: bytes
    qualified_name: bytes


def check_ak(public: Public) -> bytes:
    """The Name of an AK that may sign attestations (A10, A11; scheme and key of A4).

    TPM 2.0 Keys for Device Identity and Attestation, 3.2; TPM 2.0 Library Part 1, 31 (restricted signing).
    """
    return accept_ak(public).name


def accept_ak(public: Public) -> AttestationKey:
    """The same with everything that its statements are verified with (A10, A11)."""
    name = recomputed_name("A10", public)
    _check_attributes("A11", public, must=_ATTRIBUTES_OF_AN_AK, must_not=ObjectAttributes.DECRYPT)
    check_signing_scheme("A11", public)
    key = check_key_strength("A11", public)
    return AttestationKey(
        public=public,
        name=name,
        key=key,
        spki=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        qualified_name=qualified_name(Handle.ENDORSEMENT, name),
    )


def accept_storage_key(public: Public) -> StorageKey:
    """The storage key with everything that a statement about it is compared with (A30)."""
    name = check_storage_key(public)
    return StorageKey(public=public, name=name, qualified_name=qualified_name(Handle.OWNER, name))


def check_storage_key(public: Public) -> bytes:
    """The Name of a storage key that import blobs may be made for (A30, the part in its public area)."""
    name = recomputed_name("A30", public)
    _check_attributes("A30", public, must=_ATTRIBUTES_OF_A_STORAGE_KEY, must_not=ObjectAttributes.SIGN)
    if public.symmetric != AES_128_CFB:
        raise VerificationError(
            "A30",
            "objects below the storage key are not protected as packages need",
            expected="AES-128-CFB",
            got=str(public.symmetric),
        )
    check_key_strength("A30", public)
    return name


def check_ek(public: Public) -> bytes:
    """The Name of an EK made from a template of the TCG EK Credential Profile (A12, the template's part).

    Its certificate is checked elsewhere (standards.pki).
    """
    bare = without_unique(public)
    if not any(bare == without_unique(template) for template in EK_TEMPLATES):
        raise VerificationError(
            "A12",
            "the EK is made from no template of the EK Credential Profile",
            expected="RSA-2048, P-256 or P-384 with attributes and policy of the profile",
            got=f"type 0x{public.type:04x}, attributes 0x{public.attributes:08x}",
        )
    check_key_strength("A12", public)
    return recomputed_name("A12", public)


def check_signing_scheme(check: str, public: Public) -> None:
    """RSASSA, RSAPSS or ECDSA, fixed in the key, with SHA-256, SHA-384 or SHA-512."""
    allowed = _SIGNING_SCHEMES.get(public.type, ())
    if public.scheme.algorithm not in allowed:
        raise VerificationError(
            check,
            "the key has no signing scheme that is accepted",
            expected="RSASSA, RSAPSS or ECDSA in the public area",
            got=f"0x{public.scheme.algorithm:04x}",
        )
    if not is_trusted(public.scheme.hash_algorithm):
        raise VerificationError(
            check,
            "the hash of the key's scheme is not accepted",
            expected="SHA-256, SHA-384 or SHA-512",
            got=f"0x{public.scheme.hash_algorithm:04x}",
        )


def check_key_strength(check: str, public: Public) -> PublicKey:
    """RSA of at least 2048 bits with exponent 65537, or a point on P-256 or P-384; the key."""
    try:
        key = public.public_key()
    except DecodeError as error:
        raise VerificationError(check, error.what, expected=error.expected, got=error.got) from error
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa(check, key)
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _CURVES:
        raise VerificationError(
            check, "the curve is not accepted", expected="P-256 or P-384", got=key.curve.name
        )
    return key


def _check_rsa(check: str, key: rsa.RSAPublicKey) -> None:
    exponent = key.public_numbers().e
    if key.key_size < RSA_BITS_MIN or exponent != RSA_EXPONENT:
        raise VerificationError(
            check,
            "the RSA key is too weak",
            expected=f"at least {RSA_BITS_MIN} bits, exponent {RSA_EXPONENT}",
            got=f"{key.key_size} bits, exponent {exponent}",
        )


def recomputed_name(check: str, public: Public) -> bytes:
    """The Name, if nameAlg is SHA-256, SHA-384 or SHA-512; never one that was sent."""
    if not is_trusted(public.name_algorithm):
        raise VerificationError(
            check,
            "nameAlg is not accepted",
            expected="SHA-256, SHA-384 or SHA-512",
            got=f"0x{public.name_algorithm:04x}",
        )
    return public.name


def _check_attributes(
    check: str, public: Public, *, must: ObjectAttributes, must_not: ObjectAttributes
) -> None:
    attributes = int(public.attributes)
    if int(must) & ~attributes or int(must_not) & attributes:
        missing, unwanted = must & ~public.attributes, must_not & public.attributes
        raise VerificationError(
            check,
            "attributes of the key",
            expected=f"set: {_names(must)}; clear: {_names(must_not)}",
            got=f"clear: {_names(missing) or 'none of these'}; set: {_names(unwanted) or 'none of those'}",
        )


def _names(attributes: ObjectAttributes) -> str:
    return ", ".join(str(attribute.name) for attribute in attributes)
