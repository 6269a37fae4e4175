"""What a public area may say: attributes, schemes, and whether its halves belong together.

One rule: an object that this TPM has not made itself must not look as if it had (Part 1, 25-27; Part 3, 12.1;
Part 4, Object_spt: SchemeChecks, PublicAttributesValidation, CryptValidateKeys). Refusals carry no parameter
number: callers know which parameter it was.
"""

from lab.software_tpm.errors import CommandError
from lab.software_tpm.objects import SEALED_BYTES_MAX, Sensitive, TpmObject, private_key
from lab.software_tpm.signatures import SIGNING_SCHEMES
from standards.tpm2.constants import Algorithm, EccCurve, ObjectAttributes
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest, digest_size, is_trusted
from standards.tpm2.return_codes import ReturnCode, parameter
from standards.tpm2.structures import (
    EccParameters,
    EccPoint,
    KeyedHashParameters,
    Public,
    RsaParameters,
    SymmetricDefinition,
)
from standards.tpm2.structures.public import RSA_EXPONENT

_A = ObjectAttributes
_KNOWN = (
    _A.FIXED_TPM | _A.ST_CLEAR | _A.FIXED_PARENT | _A.SENSITIVE_DATA_ORIGIN | _A.USER_WITH_AUTH
    | _A.ADMIN_WITH_POLICY | _A.NO_DA | _A.ENCRYPTED_DUPLICATION | _A.RESTRICTED | _A.DECRYPT | _A.SIGN
)  # fmt: skip
_RSA_BITS = (2048, 3072)
_TOP_BIT = 0x80
_AES_BITS = (128, 192, 256)
_CURVES = (EccCurve.NIST_P256, EccCurve.NIST_P384)
_DECRYPTION_SCHEMES = {
    Algorithm.RSA: (Algorithm.RSAES, Algorithm.OAEP),
    Algorithm.ECC: (Algorithm.ECDH,),
}


def check_supported(public: Public, *, number: int) -> None:
    """Refuse values of parameter `number` that a TPM without these algorithms could not unmarshal."""
    code = _unsupported(public)
    if code is not None:
        raise CommandError(parameter(code, number))


def _unsupported(public: Public) -> ReturnCode | None:
    if not is_trusted(public.name_algorithm):
        return ReturnCode.HASH
    if int(public.attributes) & ~int(_KNOWN):
        return ReturnCode.RESERVED_BITS
    code = _unsupported_symmetric(public.symmetric) or _unsupported_parameters(public.parameters)
    if code is not None:
        return code
    has_hash = public.scheme.algorithm not in (Algorithm.NULL, Algorithm.RSAES)
    return ReturnCode.HASH if has_hash and not is_trusted(public.scheme.hash_algorithm) else None


def _unsupported_parameters(
    parameters: RsaParameters | EccParameters | KeyedHashParameters,
) -> ReturnCode | None:
    if isinstance(parameters, RsaParameters):
        if parameters.key_bits not in _RSA_BITS:
            return ReturnCode.VALUE
        return None if parameters.exponent in (0, RSA_EXPONENT) else ReturnCode.RANGE
    if isinstance(parameters, EccParameters):
        if parameters.curve not in _CURVES:
            return ReturnCode.CURVE
        return None if parameters.kdf.algorithm == Algorithm.NULL else ReturnCode.KDF
    known = parameters.scheme.algorithm in (Algorithm.NULL, Algorithm.HMAC, Algorithm.XOR)
    return None if known else ReturnCode.VALUE


def _unsupported_symmetric(symmetric: SymmetricDefinition) -> ReturnCode | None:
    if symmetric.algorithm == Algorithm.NULL:
        return None
    if symmetric.algorithm != Algorithm.AES:
        return ReturnCode.SYMMETRIC
    if symmetric.key_bits not in _AES_BITS:
        return ReturnCode.VALUE
    return (
        None
        if symmetric.mode in (Algorithm.CFB, Algorithm.CTR, Algorithm.OFB, Algorithm.CBC)
        else ReturnCode.MODE
    )


def check_attributes(public: Public, *, parent: TpmObject | None) -> None:
    """Attributes that contradict each other or the parent; `parent` None for a primary or external object."""
    attributes = public.attributes
    if len(public.auth_policy) not in (0, digest_size(public.name_algorithm)):
        raise CommandError(ReturnCode.SIZE)
    fixed_tpm, fixed_parent = bool(attributes & _A.FIXED_TPM), bool(attributes & _A.FIXED_PARENT)
    duplicable_parent = parent is not None and not parent.has(_A.FIXED_TPM)
    sign, decrypt = bool(attributes & _A.SIGN), bool(attributes & _A.DECRYPT)
    inner = bool(attributes & _A.ENCRYPTED_DUPLICATION)
    contradictions = (
        fixed_tpm if duplicable_parent else fixed_parent != fixed_tpm,
        sign == decrypt and bool(attributes & _A.RESTRICTED),
        not sign and not decrypt and public.type != Algorithm.KEYEDHASH,
        fixed_tpm and inner,
        duplicable_parent and parent is not None and inner != parent.has(_A.ENCRYPTED_DUPLICATION),
    )
    if any(contradictions):
        raise CommandError(ReturnCode.ATTRIBUTES)


def check_scheme(public: Public, *, parent: TpmObject | None) -> None:
    """Schemes that contradict the attributes."""
    attributes = public.attributes
    sign, decrypt = bool(attributes & _A.SIGN), bool(attributes & _A.DECRYPT)
    restricted = bool(attributes & _A.RESTRICTED)
    scheme = public.scheme.algorithm
    kind = Algorithm(public.type)
    if kind == Algorithm.KEYEDHASH:
        _check_keyed_hash_scheme(scheme, sign=sign, decrypt=decrypt)
        return
    if sign == decrypt:
        suits = scheme == Algorithm.NULL
    elif sign:
        suits = scheme in SIGNING_SCHEMES[kind] or (scheme == Algorithm.NULL and not restricted)
    else:
        suits = scheme == Algorithm.NULL or (not restricted and scheme in _DECRYPTION_SCHEMES[kind])
    if not suits:
        raise CommandError(ReturnCode.SCHEME)
    _check_protection(public, is_parent=restricted and decrypt, parent=parent)


def _check_keyed_hash_scheme(scheme: int, *, sign: bool, decrypt: bool) -> None:
    if sign == decrypt:
        suits = scheme == Algorithm.NULL
    else:
        suits = scheme == (Algorithm.HMAC if sign else Algorithm.XOR)
    if not suits:
        raise CommandError(ReturnCode.SCHEME)


def _check_protection(public: Public, *, is_parent: bool, parent: TpmObject | None) -> None:
    symmetric = public.symmetric
    if is_parent != (symmetric.algorithm != Algorithm.NULL):
        raise CommandError(ReturnCode.SYMMETRIC)
    if not is_parent:
        return
    if symmetric.mode != Algorithm.CFB:
        raise CommandError(ReturnCode.MODE)
    if parent is not None and public.attributes & _A.FIXED_PARENT:
        if public.name_algorithm != parent.public.name_algorithm:
            raise CommandError(ReturnCode.HASH)
        if symmetric != parent.public.symmetric:
            raise CommandError(ReturnCode.SYMMETRIC)


def check_public_key(public: Public) -> None:
    """The key of a public-only object: size of the modulus, point on its curve, size of the digest."""
    if public.type == Algorithm.KEYEDHASH:
        if not isinstance(public.unique, bytes) or len(public.unique) != digest_size(public.name_algorithm):
            raise CommandError(ReturnCode.KEY)
        return
    if not _has_full_size(public):
        raise CommandError(ReturnCode.KEY)
    try:
        public.public_key()
    except DecodeError:
        code = ReturnCode.ECC_POINT if public.type == Algorithm.ECC else ReturnCode.KEY
        raise CommandError(code) from None


def check_binding(public: Public, sensitive: Sensitive, *, public_number: int, sensitive_number: int) -> None:
    """Whether `sensitive` is the other half of `public`; the numbers are those of the two parameters."""
    size = digest_size(public.name_algorithm)
    if sensitive.type != public.type:
        raise CommandError(parameter(ReturnCode.TYPE, sensitive_number))
    if len(sensitive.auth_value) > size:
        raise CommandError(parameter(ReturnCode.SIZE, sensitive_number))
    if len(sensitive.seed_value) > size:
        raise CommandError(parameter(ReturnCode.KEY_SIZE, sensitive_number))
    if public.type == Algorithm.KEYEDHASH:
        _check_keyed_hash_binding(public, sensitive, public_number, sensitive_number)
        return
    try:
        check_public_key(public)
    except CommandError as error:
        raise CommandError(parameter(ReturnCode(error.rc), public_number)) from None
    if public.type == Algorithm.RSA and not _is_half_of_modulus(public, sensitive.secret):
        raise CommandError(parameter(ReturnCode.KEY_SIZE, sensitive_number))
    try:
        private_key(public, sensitive, is_new=True)
    except DecodeError:
        raise CommandError(ReturnCode.BINDING) from None
    is_parent = public.attributes & (_A.RESTRICTED | _A.DECRYPT) == _A.RESTRICTED | _A.DECRYPT
    if is_parent and len(sensitive.seed_value) < size // 2:
        raise CommandError(parameter(ReturnCode.SIZE, sensitive_number))


def _check_keyed_hash_binding(
    public: Public, sensitive: Sensitive, public_number: int, sensitive_number: int
) -> None:
    size = digest_size(public.name_algorithm)
    if len(sensitive.secret) > SEALED_BYTES_MAX:
        raise CommandError(parameter(ReturnCode.KEY_SIZE, sensitive_number))
    if not isinstance(public.unique, bytes) or len(public.unique) != size:
        raise CommandError(parameter(ReturnCode.KEY, public_number))
    if len(sensitive.seed_value) != size:
        raise CommandError(parameter(ReturnCode.KEY_SIZE, sensitive_number))
    if public.unique != digest(public.name_algorithm, sensitive.seed_value + sensitive.secret):
        raise CommandError(ReturnCode.BINDING)


def _is_half_of_modulus(public: Public, prime: bytes) -> bool:
    whole = len(public.unique) if isinstance(public.unique, bytes) else 0
    return 2 * len(prime) == whole and bool(prime[0] & _TOP_BIT)


def _has_full_size(public: Public) -> bool:
    if isinstance(public.parameters, RsaParameters):
        modulus = public.unique if isinstance(public.unique, bytes) else b""
        return 8 * len(modulus) == public.parameters.key_bits and bool(modulus[-1] & 1)
    if isinstance(public.parameters, EccParameters) and isinstance(public.unique, EccPoint):
        size = {EccCurve.NIST_P256: 32, EccCurve.NIST_P384: 48}[EccCurve(public.parameters.curve)]
        return len(public.unique.x) == len(public.unique.y) == size
    return False
