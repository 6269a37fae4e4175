"""Policy digests in software: what a policy session's policyDigest becomes (Part 1, 19.7; Part 3, 23).

One rule: whoever signs an approval computes its digest here, from meaning, and never signs one handed in.

Theory: a policy is a chain of hashes, one link for each assertion. An object opens when the session's chain ends
in its authPolicy. PolicyAuthorize replaces the chain so far by the Name of a key, if that key signed it: so the
object's policy stays while the approved states change. All digests are SHA-256, as the sessions are.
"""

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from standards.tpm2.constants import Algorithm, CommandCode, Comparison, EccCurve, ObjectAttributes
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest, digest_size
from standards.tpm2.marshal import Writer
from standards.tpm2.sessions import SESSION_HASH
from standards.tpm2.structures import (
    EccParameters,
    EccPoint,
    PcrSelection,
    Public,
    Scheme,
    SymmetricDefinition,
    encode_pcr_selections,
)

EMPTY_POLICY = bytes(32)
"""A session's policyDigest before the first assertion."""
_BRANCHES_MIN = 2
_BRANCHES_MAX = 8


def policy_pcr(before: bytes, *, selection: Sequence[PcrSelection], pcr_digest: bytes) -> bytes:
    """After PolicyPCR; `pcr_digest` is `pcr_digest(selection, values)` (Part 3, 23.7)."""
    selections = encode_pcr_selections(tuple(selection))
    return _extend(before, CommandCode.POLICY_PCR, selections + pcr_digest)


def pcr_digest(selection: Sequence[PcrSelection], values: Mapping[int, Mapping[int, bytes]]) -> bytes:
    """Digest over the selected registers, bank -> index -> value; DecodeError where one is missing or has a wrong size."""
    collected = b""
    for one in selection:
        for index in one.indices:
            value = values.get(one.bank, {}).get(index, b"")
            if len(value) != digest_size(one.bank):
                expected = f"{digest_size(one.bank)} bytes"
                raise DecodeError(f"value of PCR {index}", expected=expected, got=str(len(value)))
            collected += value
    return digest(SESSION_HASH, collected)


def policy_nv(
    before: bytes, *, index_name: bytes, operand: bytes, comparison: Comparison, offset: int = 0
) -> bytes:
    """After PolicyNV; `index_name` is that of the written index (Part 3, 23.9)."""
    arguments = digest(SESSION_HASH, _comparison(operand, offset, comparison))
    return _extend(before, CommandCode.POLICY_NV, arguments + index_name)


def policy_counter_timer(before: bytes, *, operand: bytes, offset: int, comparison: Comparison) -> bytes:
    """After PolicyCounterTimer (Part 3, 23.10)."""
    arguments = digest(SESSION_HASH, _comparison(operand, offset, comparison))
    return _extend(before, CommandCode.POLICY_COUNTER_TIMER, arguments)


def policy_authorize(*, key_name: bytes, policy_ref: bytes = b"") -> bytes:
    """After PolicyAuthorize, whatever was before; the authPolicy of an object that a key approves for (Part 3, 23.16)."""
    return _extend_twice(EMPTY_POLICY, CommandCode.POLICY_AUTHORIZE, key_name, policy_ref)


def policy_secret(before: bytes, *, subject_name: bytes, policy_ref: bytes = b"") -> bytes:
    """After PolicySecret; the Name of a hierarchy is its handle (Part 3, 23.4)."""
    return _extend_twice(before, CommandCode.POLICY_SECRET, subject_name, policy_ref)


def policy_signed(before: bytes, *, key_name: bytes, policy_ref: bytes = b"") -> bytes:
    """After PolicySigned (Part 3, 23.3)."""
    return _extend_twice(before, CommandCode.POLICY_SIGNED, key_name, policy_ref)


def policy_command_code(before: bytes, *, code: CommandCode) -> bytes:
    """After PolicyCommandCode (Part 3, 23.11)."""
    return _extend(before, CommandCode.POLICY_COMMAND_CODE, code.to_bytes(4, "big"))


def policy_auth_value(before: bytes) -> bytes:
    """After PolicyAuthValue (Part 3, 23.17)."""
    return _extend(before, CommandCode.POLICY_AUTH_VALUE, b"")


def policy_or(branches: Sequence[bytes]) -> bytes:
    """After PolicyOR over 2 to 8 digests, whichever of them was before (Part 3, 23.6)."""
    if not _BRANCHES_MIN <= len(branches) <= _BRANCHES_MAX:
        raise DecodeError("branches of PolicyOR", expected="2 to 8", got=str(len(branches)))
    return _extend(EMPTY_POLICY, CommandCode.POLICY_OR, b"".join(branches))


def approval_digest(approved_policy: bytes, *, policy_ref: bytes = b"") -> bytes:
    """Digest aHash that an approving key signs for PolicyAuthorize: H(approvedPolicy || policyRef) (Part 3, 23.16)."""
    return digest(SESSION_HASH, approved_policy + policy_ref)


def grant_digest(
    *, nonce_tpm: bytes = b"", expiration_s: int = 0, cp_hash: bytes = b"", policy_ref: bytes = b""
) -> bytes:
    """Digest aHash that a key signs for PolicySigned: H(nonceTPM || expiration || cpHashA || policyRef) (Part 3, 23.3)."""
    expiration = expiration_s.to_bytes(4, "big", signed=True)
    return digest(SESSION_HASH, nonce_tpm + expiration + cp_hash + policy_ref)


def policy_key_public(key: ec.EllipticCurvePublicKey) -> Public:
    """The public area that stands for an approving P-256 key: frozen, since its Name is in every authPolicy."""
    if key.curve.name != "secp256r1":
        raise DecodeError("policy key", expected="P-256", got=key.curve.name)
    numbers = key.public_numbers()
    return Public(
        type=Algorithm.ECC,
        name_algorithm=Algorithm.SHA256,
        attributes=ObjectAttributes.SIGN | ObjectAttributes.USER_WITH_AUTH | ObjectAttributes.NO_DA,
        auth_policy=b"",
        parameters=EccParameters(
            symmetric=SymmetricDefinition(),
            scheme=Scheme(algorithm=Algorithm.ECDSA, hash_algorithm=Algorithm.SHA256),
            curve=EccCurve.NIST_P256,
            kdf=Scheme(),
        ),
        unique=EccPoint(x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big")),
    )


def _comparison(operand: bytes, offset: int, comparison: Comparison) -> bytes:
    return Writer().raw(operand).u16(offset).u16(comparison).done()


def _extend(before: bytes, code: CommandCode, data: bytes) -> bytes:
    return digest(SESSION_HASH, before + code.to_bytes(4, "big") + data)


def _extend_twice(before: bytes, code: CommandCode, name: bytes, policy_ref: bytes) -> bytes:
    return digest(SESSION_HASH, _extend(before, code, name) + policy_ref)
