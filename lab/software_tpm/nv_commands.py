"""NV indices: ordinary ones and counters (Part 3, 31).

ORDERLY indices are saved at once like all others: slower than a TPM may be, and never wrong after a power cut.
Types BITS, EXTEND and PIN are not offered.
"""

from dataclasses import replace

from lab.software_tpm.call import EMPTY, Call, Reply, reply
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from lab.software_tpm.nv_access import NV_BUFFER_BYTES_MAX, check_readable, check_writable, nv_slice
from lab.software_tpm.state import NV_BYTES_MAX, NV_INDICES_MAX, NvIndex
from standards.tpm2.constants import DIGEST_BYTES_MAX, Handle, NvAttributes
from standards.tpm2.hashing import digest_size, is_trusted
from standards.tpm2.marshal import Writer
from standards.tpm2.return_codes import ReturnCode, handle, parameter
from standards.tpm2.structures import NvPublic

_NV_RANGE = range(0x01000000, 0x02000000)
_COUNTER_BYTES = 8
_RESERVED = 0x01F00300
_TYPE_MASK = 0x000000F0
_WRITE = NvAttributes.PPWRITE | NvAttributes.OWNERWRITE | NvAttributes.AUTHWRITE | NvAttributes.POLICYWRITE
_READ = NvAttributes.PPREAD | NvAttributes.OWNERREAD | NvAttributes.AUTHREAD | NvAttributes.POLICYREAD
_SET_BY_TPM = NvAttributes.WRITTEN | NvAttributes.READLOCKED | NvAttributes.WRITELOCKED


def nv_define_space(machine: Machine, call: Call) -> Reply:
    """TPM2_NV_DefineSpace (31.3)."""
    (auth_handle,) = call.handles
    auth_value = call.parameters.buffer(DIGEST_BYTES_MAX).rstrip(b"\x00")
    public = call.parameters.sized(NvPublic.decode)
    call.parameters.end()
    _check_public(public)
    _check_attributes(public, by_platform=auth_handle == Handle.PLATFORM)
    if len(auth_value) > digest_size(public.name_algorithm):
        raise CommandError(parameter(ReturnCode.SIZE, 1))
    if public.index in machine.state.nv:
        raise CommandError(ReturnCode.NV_DEFINED)
    if len(machine.state.nv) >= NV_INDICES_MAX:
        raise CommandError(ReturnCode.NV_SPACE)
    machine.state = machine.state.with_nv(NvIndex(public=public, auth_value=auth_value))
    return EMPTY


def nv_undefine_space(machine: Machine, call: Call) -> Reply:
    """TPM2_NV_UndefineSpace (31.4)."""
    auth_handle, nv_handle = call.handles
    call.parameters.end()
    index = machine.state.nv[nv_handle]
    if index.has(NvAttributes.POLICY_DELETE):
        raise CommandError(handle(ReturnCode.ATTRIBUTES, 2))
    if auth_handle == Handle.OWNER and index.has(NvAttributes.PLATFORMCREATE):
        raise CommandError(ReturnCode.NV_AUTHORIZATION)
    machine.state = machine.state.without_nv(index)
    return EMPTY


def nv_read_public(machine: Machine, call: Call) -> Reply:
    """TPM2_NV_ReadPublic (31.6)."""
    call.parameters.end()
    public = machine.state.nv[call.handles[0]].public
    return reply(Writer().tpm2b(public.encode()).tpm2b(public.name))


def nv_read(machine: Machine, call: Call) -> Reply:
    """TPM2_NV_Read (31.13)."""
    auth_handle, nv_handle = call.handles
    size, offset = call.parameters.u16(), call.parameters.u16()
    call.parameters.end()
    index = machine.state.nv[nv_handle]
    check_readable(index, auth_handle=auth_handle)
    return reply(
        Writer().tpm2b(nv_slice(index, size=size, offset=offset, size_parameter=1, offset_parameter=2))
    )


def nv_write(machine: Machine, call: Call) -> Reply:
    """TPM2_NV_Write (31.7)."""
    auth_handle, nv_handle = call.handles
    data = call.parameters.buffer(NV_BUFFER_BYTES_MAX)
    offset = call.parameters.u16()
    call.parameters.end()
    index = machine.state.nv[nv_handle]
    check_writable(index, auth_handle=auth_handle)
    if index.is_counter:
        raise CommandError(handle(ReturnCode.ATTRIBUTES, 2))
    data_size = index.public.data_size
    if offset > data_size:
        raise CommandError(parameter(ReturnCode.VALUE, 2))
    whole = index.has(NvAttributes.WRITEALL)
    if offset + len(data) > data_size or (whole and len(data) < data_size):
        raise CommandError(ReturnCode.NV_RANGE)
    # What was never written reads as ones, like erased memory
    before = index.contents or b"\xff" * data_size
    contents = before[:offset] + data + before[offset + len(data) :]
    machine.state = machine.state.with_nv(index.with_contents(contents))
    return EMPTY


def nv_increment(machine: Machine, call: Call) -> Reply:
    """TPM2_NV_Increment (31.8): a new counter starts above every counter that this TPM ever had."""
    auth_handle, nv_handle = call.handles
    call.parameters.end()
    index = machine.state.nv[nv_handle]
    check_writable(index, auth_handle=auth_handle)
    if not index.is_counter:
        raise CommandError(handle(ReturnCode.ATTRIBUTES, 2))
    before = int.from_bytes(index.contents, "big") if index.written else machine.state.counter_max
    value = before + 1
    grown = replace(machine.state, counter_max=max(machine.state.counter_max, value))
    machine.state = grown.with_nv(index.with_contents(value.to_bytes(_COUNTER_BYTES, "big")))
    return EMPTY


def _check_public(public: NvPublic) -> None:
    """Fields that do not unmarshal (Part 2, 13.6)."""
    if public.index not in _NV_RANGE:
        raise CommandError(parameter(ReturnCode.VALUE, 2))
    if not is_trusted(public.name_algorithm):
        raise CommandError(parameter(ReturnCode.HASH, 2))
    if public.attributes & _RESERVED:
        raise CommandError(parameter(ReturnCode.RESERVED_BITS, 2))
    if public.data_size > NV_BYTES_MAX:
        raise CommandError(parameter(ReturnCode.SIZE, 2))
    if len(public.auth_policy) not in (0, digest_size(public.name_algorithm)):
        raise CommandError(parameter(ReturnCode.SIZE, 2))


def _check_attributes(public: NvPublic, *, by_platform: bool) -> None:
    attributes = public.attributes
    kind = attributes & _TYPE_MASK
    is_counter = kind == NvAttributes.TYPE_COUNTER
    if kind and not is_counter:
        raise CommandError(parameter(ReturnCode.ATTRIBUTES, 2))
    if is_counter and public.data_size != _COUNTER_BYTES:
        raise CommandError(parameter(ReturnCode.SIZE, 2))
    contradictions = (
        attributes & _SET_BY_TPM,
        not attributes & _WRITE,
        not attributes & _READ,
        is_counter and attributes & NvAttributes.CLEAR_STCLEAR,
        bool(attributes & NvAttributes.PLATFORMCREATE) != by_platform,
        attributes & NvAttributes.POLICY_DELETE and not by_platform,
    )
    if any(contradictions):
        raise CommandError(parameter(ReturnCode.ATTRIBUTES, 2))
