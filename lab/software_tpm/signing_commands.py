"""Hash, Sign, VerifySignature (Part 3, 15.4, 20)."""

from lab.software_tpm.call import Call, Reply, reply
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from lab.software_tpm.signatures import effective_scheme, is_signature_valid, read_scheme, sign_digest
from lab.software_tpm.tickets import is_ticket_valid, make_ticket, read_ticket
from standards.tpm2.constants import (
    DIGEST_BYTES_MAX,
    TPM_GENERATED_VALUE,
    Algorithm,
    Handle,
    ObjectAttributes,
    StructureTag,
)
from standards.tpm2.hashing import digest, digest_size
from standards.tpm2.marshal import Writer
from standards.tpm2.return_codes import ReturnCode, handle, parameter
from standards.tpm2.structures import Signature, Ticket

MAX_BUFFER_BYTES = 1024
"""TPM2B_MAX_BUFFER."""
_HIERARCHIES = (Handle.OWNER, Handle.ENDORSEMENT, Handle.PLATFORM, Handle.NULL)


def hash_data(machine: Machine, call: Call) -> Reply:
    """TPM2_Hash (15.4): the ticket says that `data` cannot be mistaken for a structure of the TPM."""
    data = call.parameters.buffer(MAX_BUFFER_BYTES)
    algorithm = call.parameters.hash_algorithm()
    hierarchy = call.parameters.one_of(*_HIERARCHIES)
    call.parameters.end()
    hashed = digest(algorithm, data)
    if data.startswith(TPM_GENERATED_VALUE.to_bytes(4, "big")):
        ticket = Ticket.null(StructureTag.HASHCHECK)
    else:
        content = Writer().u16(algorithm).raw(hashed).done()
        ticket = make_ticket(machine, StructureTag.HASHCHECK, hierarchy=hierarchy, content=content)
    return reply(Writer().tpm2b(hashed).raw(ticket.encode()))


def sign(machine: Machine, call: Call) -> Reply:
    """TPM2_Sign (20.2): a restricted key only signs what TPM2_Hash has seen."""
    key = machine.object(call.handles[0])
    hashed = call.parameters.buffer(DIGEST_BYTES_MAX)
    asked = call.parameters.read(read_scheme)
    ticket = call.parameters.read(lambda reader: read_ticket(reader, tag=StructureTag.HASHCHECK))
    call.parameters.end()
    if not key.has(ObjectAttributes.SIGN) or not key.is_asymmetric:
        raise CommandError(handle(ReturnCode.KEY, 1))
    scheme = effective_scheme(key.public, asked)
    if scheme is None:
        raise CommandError(parameter(ReturnCode.SCHEME, 2))
    if len(hashed) != digest_size(scheme.hash_algorithm):
        raise CommandError(parameter(ReturnCode.SIZE, 1))
    if ticket.digest or key.has(ObjectAttributes.RESTRICTED):
        content = Writer().u16(scheme.hash_algorithm).raw(hashed).done()
        if not is_ticket_valid(machine, ticket, content=content):
            raise CommandError(parameter(ReturnCode.TICKET, 3))
    return reply(Writer().raw(sign_digest(key, hashed, scheme=scheme).encode()))


def verify_signature(machine: Machine, call: Call) -> Reply:
    """TPM2_VerifySignature (20.1): the ticket lets PolicyAuthorize rely on it."""
    key = machine.object(call.handles[0])
    hashed = call.parameters.buffer(DIGEST_BYTES_MAX)
    signature = call.parameters.read(Signature.read)
    call.parameters.end()
    if not key.has(ObjectAttributes.SIGN):
        raise CommandError(handle(ReturnCode.ATTRIBUTES, 1))
    if key.public.type not in (Algorithm.RSA, Algorithm.ECC) or not is_signature_valid(
        key.public, hashed, signature
    ):
        raise CommandError(parameter(ReturnCode.SIGNATURE, 2))
    ticket = make_ticket(machine, StructureTag.VERIFIED, hierarchy=key.hierarchy, content=hashed + key.name)
    return reply(Writer().raw(ticket.encode()))
