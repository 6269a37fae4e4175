"""Templates: the public areas that keys and indices of the project are made from, and that checks compare with.

One rule: every bit counts. The EK templates are those of the TCG EK Credential Profile for TPM Family 2.0,
rev 2.5, annex B.3 (low range) and B.4 (high range); the others are the project's own (D8, D9).
"""

from dataclasses import replace

from standards.tpm2.constants import Algorithm, EccCurve, NvAttributes, ObjectAttributes
from standards.tpm2.errors import DecodeError
from standards.tpm2.structures import (
    EccParameters,
    EccPoint,
    NvPublic,
    Public,
    RsaParameters,
    Scheme,
    SymmetricDefinition,
)

AES_128_CFB = SymmetricDefinition(algorithm=Algorithm.AES, key_bits=128, mode=Algorithm.CFB)
AES_256_CFB = SymmetricDefinition(algorithm=Algorithm.AES, key_bits=256, mode=Algorithm.CFB)
_ECDSA_SHA256 = Scheme(algorithm=Algorithm.ECDSA, hash_algorithm=Algorithm.SHA256)
_RSASSA_SHA256 = Scheme(algorithm=Algorithm.RSASSA, hash_algorithm=Algorithm.SHA256)
_NO_POINT = EccPoint(x=b"", y=b"")

EK_POLICY_A_SHA256 = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
"""PolicySecret(ENDORSEMENT): whoever knows endorsementAuth may use the EK."""
EK_POLICY_B_SHA256 = bytes.fromhex("ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0")
EK_POLICY_B_SHA384 = bytes.fromhex(
    "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12"
)
"""PolicySecret(ENDORSEMENT), or what an NV index of the TPM maker authorises."""

_TPM_MADE = (
    ObjectAttributes.FIXED_TPM
    | ObjectAttributes.FIXED_PARENT
    | ObjectAttributes.SENSITIVE_DATA_ORIGIN
    | ObjectAttributes.RESTRICTED
)
_EK_LOW = _TPM_MADE | ObjectAttributes.ADMIN_WITH_POLICY | ObjectAttributes.DECRYPT
_EK_HIGH = _EK_LOW | ObjectAttributes.USER_WITH_AUTH
_DEVICE_KEY = _TPM_MADE | ObjectAttributes.USER_WITH_AUTH | ObjectAttributes.NO_DA

EK_RSA_2048 = Public(
    type=Algorithm.RSA,
    name_algorithm=Algorithm.SHA256,
    attributes=_EK_LOW,
    auth_policy=EK_POLICY_A_SHA256,
    parameters=RsaParameters(symmetric=AES_128_CFB, scheme=Scheme(), key_bits=2048),
    unique=bytes(256),
)
"""Template L-1, persistent at 0x81010001."""
EK_ECC_P256 = Public(
    type=Algorithm.ECC,
    name_algorithm=Algorithm.SHA256,
    attributes=_EK_LOW,
    auth_policy=EK_POLICY_A_SHA256,
    parameters=EccParameters(symmetric=AES_128_CFB, scheme=Scheme(), curve=EccCurve.NIST_P256, kdf=Scheme()),
    unique=EccPoint(x=bytes(32), y=bytes(32)),
)
"""Template L-2, persistent at 0x8101000A."""
EK_RSA_2048_HIGH = replace(EK_RSA_2048, attributes=_EK_HIGH, auth_policy=EK_POLICY_B_SHA256, unique=b"")
"""Template H-1."""
EK_ECC_P256_HIGH = replace(EK_ECC_P256, attributes=_EK_HIGH, auth_policy=EK_POLICY_B_SHA256, unique=_NO_POINT)
"""Template H-2."""
EK_ECC_P384 = Public(
    type=Algorithm.ECC,
    name_algorithm=Algorithm.SHA384,
    attributes=_EK_HIGH,
    auth_policy=EK_POLICY_B_SHA384,
    parameters=EccParameters(symmetric=AES_256_CFB, scheme=Scheme(), curve=EccCurve.NIST_P384, kdf=Scheme()),
    unique=_NO_POINT,
)
"""Template H-3, persistent at 0x81010016; a password session with the empty authValue may use it."""
EK_TEMPLATES = (EK_RSA_2048, EK_ECC_P256, EK_RSA_2048_HIGH, EK_ECC_P256_HIGH, EK_ECC_P384)

AK_ECC_P256 = Public(
    type=Algorithm.ECC,
    name_algorithm=Algorithm.SHA256,
    attributes=_DEVICE_KEY | ObjectAttributes.SIGN,
    auth_policy=b"",
    parameters=EccParameters(
        symmetric=SymmetricDefinition(),
        scheme=_ECDSA_SHA256,
        curve=EccCurve.NIST_P256,
        kdf=Scheme(),
    ),
    unique=_NO_POINT,
)
"""The device's AK, a primary object of the ENDORSEMENT hierarchy: attributes 0x00050472."""
AK_RSA_2048 = replace(
    AK_ECC_P256,
    type=Algorithm.RSA,
    parameters=RsaParameters(symmetric=SymmetricDefinition(), scheme=_RSASSA_SHA256, key_bits=2048),
    unique=b"",
)

STORAGE_ECC_P256 = Public(
    type=Algorithm.ECC,
    name_algorithm=Algorithm.SHA256,
    attributes=_DEVICE_KEY | ObjectAttributes.DECRYPT,
    auth_policy=b"",
    parameters=EccParameters(symmetric=AES_128_CFB, scheme=Scheme(), curve=EccCurve.NIST_P256, kdf=Scheme()),
    unique=_NO_POINT,
)
"""The device's storage key, a primary object of the OWNER hierarchy, so that TPM2_Clear ends it: 0x00030472."""
STORAGE_RSA_2048 = replace(
    STORAGE_ECC_P256,
    type=Algorithm.RSA,
    parameters=RsaParameters(symmetric=AES_128_CFB, scheme=Scheme(), key_bits=2048),
    unique=b"",
)

GENERATION_COUNTER = NvPublic(
    index=0x01800050,
    name_algorithm=Algorithm.SHA256,
    attributes=(
        NvAttributes.TYPE_COUNTER | NvAttributes.AUTHREAD | NvAttributes.AUTHWRITE | NvAttributes.NO_DA
    ),
    auth_policy=b"",
    data_size=8,
)
"""The generation counter (D8), as defined; `.written()` is what the AK certifies."""

VAULT_SLOTS = 8
"""Compartments that a TRE can have, each with an index for its key and one for its counter."""
_VAULT_COUNTERS = 0x01800051
_VAULT_KEYS = 0x01800060
VAULT_KEY_BYTES = 32


def vault_counter(slot: int) -> NvPublic:
    """The counter of a compartment's versions, 0x01800051 to 0x01800058, as defined (D8)."""
    return replace(GENERATION_COUNTER, index=_VAULT_COUNTERS + _checked(slot))


def vault_key(slot: int, *, auth_policy: bytes) -> NvPublic:
    """The key of a compartment, 0x01800060 to 0x01800067: attributes 0x02080008, opened by its policy alone."""
    return NvPublic(
        index=_VAULT_KEYS + _checked(slot),
        name_algorithm=Algorithm.SHA256,
        attributes=NvAttributes.POLICYREAD | NvAttributes.POLICYWRITE | NvAttributes.NO_DA,
        auth_policy=auth_policy,
        data_size=VAULT_KEY_BYTES,
    )


def _checked(slot: int) -> int:
    if not 0 <= slot < VAULT_SLOTS:
        raise DecodeError("slot of a compartment", expected=f"0 to {VAULT_SLOTS - 1}", got=str(slot))
    return slot


def without_unique(public: Public) -> Public:
    """The public area with its `unique` emptied: what two keys made from one template have in common."""
    return replace(public, unique=_NO_POINT if public.type == Algorithm.ECC else b"")
