"""Who may read and write an NV index, and which part of it (Part 3, 31.1; Part 4, NV_spt)."""

from lab.software_tpm.errors import CommandError
from lab.software_tpm.state import NvIndex
from standards.tpm2.constants import Handle, NvAttributes
from standards.tpm2.return_codes import ReturnCode, parameter

NV_BUFFER_BYTES_MAX = 1024
"""Largest read or write in one command (TPM_PT_NV_BUFFER_MAX)."""


def check_readable(index: NvIndex, *, auth_handle: int) -> None:
    """Refuse unless `auth_handle` may read the index, and there is something to read."""
    if index.has(NvAttributes.READLOCKED):
        raise CommandError(ReturnCode.NV_LOCKED)
    _check_authorizes(index, auth_handle, owner=NvAttributes.OWNERREAD, platform=NvAttributes.PPREAD)
    if not index.written:
        raise CommandError(ReturnCode.NV_UNINITIALIZED)


def check_writable(index: NvIndex, *, auth_handle: int) -> None:
    """Refuse unless `auth_handle` may write the index."""
    _check_authorizes(index, auth_handle, owner=NvAttributes.OWNERWRITE, platform=NvAttributes.PPWRITE)
    if index.has(NvAttributes.WRITELOCKED):
        raise CommandError(ReturnCode.NV_LOCKED)


def nv_slice(index: NvIndex, *, size: int, offset: int, size_parameter: int, offset_parameter: int) -> bytes:
    """`size` bytes from `offset`; the last two arguments number the parameters for the refusal."""
    if size > NV_BUFFER_BYTES_MAX:
        raise CommandError(parameter(ReturnCode.VALUE, size_parameter))
    if offset > index.public.data_size:
        raise CommandError(parameter(ReturnCode.VALUE, offset_parameter))
    if size + offset > index.public.data_size:
        raise CommandError(ReturnCode.NV_RANGE)
    return index.contents[offset : offset + size]


def _check_authorizes(
    index: NvIndex, auth_handle: int, *, owner: NvAttributes, platform: NvAttributes
) -> None:
    if auth_handle == Handle.OWNER:
        allowed = index.has(owner)
    elif auth_handle == Handle.PLATFORM:
        allowed = index.has(platform)
    else:
        allowed = auth_handle == index.public.index
    if not allowed:
        raise CommandError(ReturnCode.NV_AUTHORIZATION)
