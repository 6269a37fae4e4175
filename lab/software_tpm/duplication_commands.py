"""Duplicate and Import: how an object leaves a TPM for a key elsewhere, and arrives (Part 1, 23; Part 3, 13)."""

from lab.software_tpm.call import Call, Reply, reply
from lab.software_tpm.errors import CommandError, about_parameter
from lab.software_tpm.machine import Machine
from lab.software_tpm.object_attributes import check_attributes, check_binding, check_scheme, check_supported
from lab.software_tpm.object_protection import (
    PRIVATE_BYTES_MAX,
    decode_sensitive,
    protect_private,
    unwrap,
    unwrap_inner,
    wrap_inner,
)
from lab.software_tpm.objects import Sensitive, TpmObject
from lab.software_tpm.secret_exchange import ENCRYPTED_SECRET_BYTES_MAX, decrypt_secret
from standards.tpm2.constants import Algorithm, Handle, ObjectAttributes
from standards.tpm2.marshal import Writer, tpm2b
from standards.tpm2.outer_wrap import wrap
from standards.tpm2.return_codes import ReturnCode, handle, parameter
from standards.tpm2.secret_sharing import LABEL_DUPLICATE, share_fresh_secret
from standards.tpm2.structures import Public, SymmetricDefinition

_KEY_BYTES_MAX = 32
_STORAGE = ObjectAttributes.RESTRICTED | ObjectAttributes.DECRYPT


def import_object(machine: Machine, call: Call) -> Reply:
    """TPM2_Import (13.3): authenticates nobody; anyone can make a blob for a public key."""
    parent = machine.object(call.handles[0])
    # 1 parameters
    inner_key = call.parameters.buffer(_KEY_BYTES_MAX)
    public = call.parameters.sized(Public.decode)
    check_supported(public, number=2)
    duplicate = call.parameters.buffer(PRIVATE_BYTES_MAX)
    encrypted_seed = call.parameters.buffer(ENCRYPTED_SECRET_BYTES_MAX)
    symmetric = call.parameters.read(SymmetricDefinition.read)
    call.parameters.end()
    # 2 what the object and its wraps may be
    if not parent.is_parent:
        raise CommandError(handle(ReturnCode.TYPE, 1))
    if public.attributes & (ObjectAttributes.FIXED_TPM | ObjectAttributes.FIXED_PARENT):
        raise CommandError(parameter(ReturnCode.ATTRIBUTES, 2))
    _check_inner_wrap(public, inner_key, symmetric)
    # 3 outer wrap, inner wrap, sensitive area
    sensitive = _unwrap(parent, public, duplicate, encrypted_seed=encrypted_seed, inner_key=inner_key)
    # 4 the object is judged as if it were loaded
    if parent.has(ObjectAttributes.FIXED_TPM):
        with about_parameter(2):
            check_attributes(public, parent=None)
            check_scheme(public, parent=None)
        check_binding(public, sensitive, public_number=2, sensitive_number=3)
    # 5 a private area for Load
    private = protect_private(sensitive, public=public, parent=parent, random_bytes=machine.random_bytes)
    return reply(Writer().tpm2b(private))


def duplicate(machine: Machine, call: Call) -> Reply:
    """TPM2_Duplicate (13.1): only a policy that names this command lets an object go."""
    leaving = machine.object(call.handles[0])
    inner_key = call.parameters.buffer(_KEY_BYTES_MAX)
    symmetric = call.parameters.read(SymmetricDefinition.read)
    call.parameters.end()
    if leaving.has(ObjectAttributes.FIXED_PARENT) or leaving.sensitive is None:
        raise CommandError(handle(ReturnCode.ATTRIBUTES, 1))
    new_parent = None if call.handles[1] == Handle.NULL else machine.object(call.handles[1])
    if new_parent is not None and not (new_parent.is_asymmetric and new_parent.has(_STORAGE)):
        raise CommandError(handle(ReturnCode.TYPE, 2))
    _check_leaving(leaving, new_parent, symmetric)
    made_key = b""
    content = tpm2b(leaving.sensitive.encode())
    if symmetric.algorithm != Algorithm.NULL:
        made_key = b"" if inner_key else machine.random_bytes(symmetric.key_bits // 8)
        _check_inner_key(inner_key or made_key, symmetric, symmetric_number=2)
        content = wrap_inner(content, key=inner_key or made_key, public=leaving.public)
    elif inner_key:
        raise CommandError(parameter(ReturnCode.SIZE, 1))
    encrypted_seed = b""
    if new_parent is not None:
        shared = share_fresh_secret(
            new_parent.public, label=LABEL_DUPLICATE, random_bytes=machine.random_bytes
        )
        content = wrap(content, parent=new_parent.public, seed=shared.seed, name=leaving.name)
        encrypted_seed = shared.encrypted
    return reply(Writer().tpm2b(made_key).tpm2b(content).tpm2b(encrypted_seed))


def _check_leaving(leaving: TpmObject, new_parent: TpmObject | None, symmetric: SymmetricDefinition) -> None:
    if leaving.has(ObjectAttributes.ENCRYPTED_DUPLICATION):
        if symmetric.algorithm == Algorithm.NULL:
            raise CommandError(parameter(ReturnCode.SYMMETRIC, 2))
        if new_parent is None:
            raise CommandError(handle(ReturnCode.HIERARCHY, 2))


def _check_inner_wrap(public: Public, inner_key: bytes, symmetric: SymmetricDefinition) -> None:
    if symmetric.algorithm == Algorithm.NULL:
        if inner_key:
            raise CommandError(parameter(ReturnCode.SIZE, 1))
        if public.attributes & ObjectAttributes.ENCRYPTED_DUPLICATION:
            raise CommandError(parameter(ReturnCode.ATTRIBUTES, 1))
        return
    _check_inner_key(inner_key, symmetric, symmetric_number=5)


def _check_inner_key(inner_key: bytes, symmetric: SymmetricDefinition, *, symmetric_number: int) -> None:
    if symmetric.algorithm != Algorithm.AES or symmetric.mode != Algorithm.CFB:
        raise CommandError(parameter(ReturnCode.SYMMETRIC, symmetric_number))
    if symmetric.key_bits not in (128, 192, 256):
        raise CommandError(parameter(ReturnCode.VALUE, symmetric_number))
    if 8 * len(inner_key) != symmetric.key_bits:
        raise CommandError(parameter(ReturnCode.SIZE, 1))


def _unwrap(
    parent: TpmObject, public: Public, duplicate: bytes, *, encrypted_seed: bytes, inner_key: bytes
) -> Sensitive:
    content = duplicate
    if encrypted_seed:
        with about_parameter(4):
            seed = decrypt_secret(parent, encrypted_seed, label=LABEL_DUPLICATE)
        with about_parameter(3):
            content = unwrap(duplicate, protector=parent.public, seed=seed, name=public.name)
    with about_parameter(3):
        if inner_key:
            content = unwrap_inner(content, key=inner_key, public=public)
        return decode_sensitive(content)
