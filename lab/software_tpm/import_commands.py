"""Import: an object from outside becomes a child of a key of this TPM (Part 3, 13.3)."""

from lab.software_tpm.call import Call, Reply, reply
from lab.software_tpm.errors import CommandError, about_parameter
from lab.software_tpm.machine import Machine
from lab.software_tpm.object_attributes import check_attributes, check_binding, check_scheme, check_supported
from lab.software_tpm.object_commands import PUBLIC_BYTES_MAX
from lab.software_tpm.object_protection import (
    PRIVATE_BYTES_MAX,
    decode_sensitive,
    protect_private,
    unwrap,
    unwrap_inner,
)
from lab.software_tpm.objects import Sensitive, TpmObject
from lab.software_tpm.secret_exchange import ENCRYPTED_SECRET_BYTES_MAX, decrypt_secret
from standards.tpm2.constants import Algorithm, ObjectAttributes
from standards.tpm2.marshal import Writer
from standards.tpm2.return_codes import ReturnCode, handle, parameter
from standards.tpm2.secret_sharing import LABEL_DUPLICATE
from standards.tpm2.structures import Public, SymmetricDefinition

_KEY_BYTES_MAX = 32


def import_object(machine: Machine, call: Call) -> Reply:
    """TPM2_Import (13.3): authenticates nobody; anyone can make a blob for a public key."""
    parent = machine.object(call.handles[0])
    # 1 parameters
    inner_key = call.parameters.buffer(_KEY_BYTES_MAX)
    public = call.parameters.sized(PUBLIC_BYTES_MAX, Public.decode)
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


def _check_inner_wrap(public: Public, inner_key: bytes, symmetric: SymmetricDefinition) -> None:
    if symmetric.algorithm == Algorithm.NULL:
        if inner_key:
            raise CommandError(parameter(ReturnCode.SIZE, 1))
        if public.attributes & ObjectAttributes.ENCRYPTED_DUPLICATION:
            raise CommandError(parameter(ReturnCode.ATTRIBUTES, 1))
        return
    if symmetric.algorithm != Algorithm.AES or symmetric.mode != Algorithm.CFB:
        raise CommandError(parameter(ReturnCode.SYMMETRIC, 5))
    if symmetric.key_bits not in (128, 192, 256):
        raise CommandError(parameter(ReturnCode.VALUE, 5))
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
