"""MakeCredential and ActivateCredential (Part 3, 12.5, 12.6)."""

from lab.software_tpm.call import Call, Reply, reply
from lab.software_tpm.errors import CommandError, about_parameter
from lab.software_tpm.machine import Machine
from lab.software_tpm.object_protection import unwrap
from lab.software_tpm.objects import TpmObject
from lab.software_tpm.secret_exchange import ENCRYPTED_SECRET_BYTES_MAX, decrypt_secret
from standards.tpm2.constants import DIGEST_BYTES_MAX, NAME_BYTES_MAX, ObjectAttributes
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest_size
from standards.tpm2.marshal import Reader, Writer, tpm2b
from standards.tpm2.outer_wrap import wrap
from standards.tpm2.return_codes import ReturnCode, handle, parameter
from standards.tpm2.secret_sharing import LABEL_IDENTITY, share_fresh_secret

_ID_OBJECT_BYTES_MAX = 2 * (2 + DIGEST_BYTES_MAX)
_STORAGE = ObjectAttributes.RESTRICTED | ObjectAttributes.DECRYPT


def make_credential(machine: Machine, call: Call) -> Reply:
    """TPM2_MakeCredential (12.6): the public half of `handle` is enough."""
    key = machine.object(call.handles[0])
    secret = call.parameters.buffer(DIGEST_BYTES_MAX)
    object_name = call.parameters.buffer(NAME_BYTES_MAX)
    call.parameters.end()
    _check_is_storage_key(key, number=1)
    size = digest_size(key.public.name_algorithm)
    if len(secret) > size:
        raise CommandError(parameter(ReturnCode.SIZE, 1))
    shared = share_fresh_secret(key.public, label=LABEL_IDENTITY, random_bytes=machine.random_bytes)
    id_object = wrap(tpm2b(secret), parent=key.public, seed=shared.seed, name=object_name)
    return reply(Writer().tpm2b(id_object).tpm2b(shared.encrypted))


def activate_credential(machine: Machine, call: Call) -> Reply:
    """TPM2_ActivateCredential (12.5): gives the secret out only beside the object that it was made for."""
    activated, key = (machine.object(at) for at in call.handles)
    blob = call.parameters.buffer(_ID_OBJECT_BYTES_MAX)
    encrypted_secret = call.parameters.buffer(ENCRYPTED_SECRET_BYTES_MAX)
    call.parameters.end()
    _check_is_storage_key(key, number=2)
    with about_parameter(2):
        seed = decrypt_secret(key, encrypted_secret, label=LABEL_IDENTITY)
    with about_parameter(1):
        content = unwrap(blob, protector=key.public, seed=seed, name=activated.name)
    try:
        reader = Reader(content)
        secret = reader.tpm2b(digest_size(key.public.name_algorithm), "credential")
        reader.end("size of the credential")
    except DecodeError:
        raise CommandError(parameter(ReturnCode.SIZE, 1)) from None
    return reply(Writer().tpm2b(secret))


def _check_is_storage_key(key: TpmObject, *, number: int) -> None:
    if not key.is_asymmetric or not key.has(_STORAGE):
        raise CommandError(handle(ReturnCode.TYPE, number))
