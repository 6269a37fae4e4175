"""Entities by handle: which handles a command takes, whether they exist, their Name, authValue and policy.

Handle types are in the most significant octet (Part 2, 7.2); the refusals are those of Part 3, 5.4.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import FIRST_TRANSIENT, SESSION_HANDLES, TRANSIENT_SLOTS, Machine
from lab.software_tpm.volatile import PCR_COUNT
from standards.tpm2.constants import Algorithm, Handle, NvAttributes
from standards.tpm2.names import handle_name
from standards.tpm2.return_codes import ReturnCode
from standards.tpm2.return_codes import handle as about_handle

_TYPE_SHIFT = 24
_INDEX_MASK = 0x00FFFFFF
PCR_TYPE = 0x00
NV_TYPE = 0x01
HMAC_SESSION_TYPE = 0x02
POLICY_SESSION_TYPE = 0x03
PERMANENT_TYPE = 0x40
TRANSIENT_TYPE = 0x80
PERSISTENT_TYPE = 0x81
_HIERARCHIES = (Handle.OWNER, Handle.ENDORSEMENT, Handle.PLATFORM)


def handle_type(handle: int) -> int:
    """TPM_HT: the most significant octet."""
    return handle >> _TYPE_SHIFT


def is_transient(handle: int) -> bool:
    """One of the transient slots, taken or not."""
    return handle in range(FIRST_TRANSIENT, FIRST_TRANSIENT + TRANSIENT_SLOTS)


def is_object(handle: int) -> bool:
    """TPMI_DH_OBJECT."""
    return is_transient(handle) or handle_type(handle) == PERSISTENT_TYPE


def is_session(handle: int) -> bool:
    """TPMI_SH_AUTH_SESSION without the password: any handle that a session could have."""
    possible = handle & _INDEX_MASK < SESSION_HANDLES
    return possible and handle_type(handle) in (HMAC_SESSION_TYPE, POLICY_SESSION_TYPE)


def is_nv_index(handle: int) -> bool:
    """TPMI_RH_NV_INDEX."""
    return handle_type(handle) == NV_TYPE


def is_pcr(handle: int) -> bool:
    """TPMI_DH_PCR."""
    return handle < PCR_COUNT


def is_entity(handle: int) -> bool:
    """TPMI_DH_ENTITY: whatever has an authValue."""
    named = handle in (*_HIERARCHIES, Handle.LOCKOUT)
    return named or is_object(handle) or is_nv_index(handle) or is_pcr(handle)


class HandleKind(Enum):
    """Interface types of handles (Part 2, 9)."""

    OBJECT = "TPMI_DH_OBJECT"
    OBJECT_OR_NULL = "TPMI_DH_OBJECT+"
    HIERARCHY = "TPMI_RH_HIERARCHY+"
    HIERARCHY_AUTH = "TPMI_RH_HIERARCHY_AUTH"
    PROVISION = "TPMI_RH_PROVISION"
    CLEAR = "TPMI_RH_CLEAR"
    LOCKOUT = "TPMI_RH_LOCKOUT"
    NV_AUTH = "TPMI_RH_NV_AUTH"
    NV_INDEX = "TPMI_RH_NV_INDEX"
    PCR = "TPMI_DH_PCR"
    PCR_OR_NULL = "TPMI_DH_PCR+"
    ENTITY = "TPMI_DH_ENTITY"
    ENTITY_OR_NULL = "TPMI_DH_ENTITY+"
    POLICY_SESSION = "TPMI_SH_POLICY"


_ACCEPTS: dict[HandleKind, Callable[[int], bool]] = {
    HandleKind.OBJECT: is_object,
    HandleKind.OBJECT_OR_NULL: lambda handle: is_object(handle) or handle == Handle.NULL,
    HandleKind.HIERARCHY: lambda handle: handle in (*_HIERARCHIES, Handle.NULL),
    HandleKind.HIERARCHY_AUTH: lambda handle: handle in (*_HIERARCHIES, Handle.LOCKOUT),
    HandleKind.PROVISION: lambda handle: handle in (Handle.OWNER, Handle.PLATFORM),
    HandleKind.CLEAR: lambda handle: handle in (Handle.LOCKOUT, Handle.PLATFORM),
    HandleKind.LOCKOUT: lambda handle: handle == Handle.LOCKOUT,
    HandleKind.NV_AUTH: lambda handle: handle in (Handle.OWNER, Handle.PLATFORM) or is_nv_index(handle),
    HandleKind.NV_INDEX: is_nv_index,
    HandleKind.PCR: is_pcr,
    HandleKind.PCR_OR_NULL: lambda handle: is_pcr(handle) or handle == Handle.NULL,
    HandleKind.ENTITY: is_entity,
    HandleKind.ENTITY_OR_NULL: lambda handle: is_entity(handle) or handle == Handle.NULL,
    HandleKind.POLICY_SESSION: lambda handle: (
        is_session(handle) and handle_type(handle) == POLICY_SESSION_TYPE
    ),
}


def check_handle_type(kind: HandleKind, handle: int, *, number: int) -> None:
    """Refuse handle `number` of a command unless it is of `kind`."""
    if not _ACCEPTS[kind](handle):
        raise CommandError(about_handle(ReturnCode.VALUE, number))


def borrow_slot(machine: Machine, handle: int) -> None:
    """A persistent object takes a transient slot while a command uses it; refuse if none is free."""
    if handle_type(handle) == PERSISTENT_TYPE:
        machine.require_free_slot()
        borrowed = machine.volatile.borrowed_slots + 1
        machine.volatile = replace(machine.volatile, borrowed_slots=borrowed)


def check_handle_present(machine: Machine, handle: int, *, number: int) -> None:
    """Refuse handle `number` of a command if nothing is there."""
    kind = handle_type(handle)
    if kind == TRANSIENT_TYPE and handle not in machine.volatile.objects:
        raise CommandError(ReturnCode.REFERENCE_H0 + number - 1)
    if kind in (HMAC_SESSION_TYPE, POLICY_SESSION_TYPE) and handle not in machine.volatile.sessions:
        raise CommandError(ReturnCode.REFERENCE_H0 + number - 1)
    if kind == PERSISTENT_TYPE and handle not in machine.state.persistent:
        raise CommandError(about_handle(ReturnCode.HANDLE, number))
    if kind == NV_TYPE and handle not in machine.state.nv:
        raise CommandError(about_handle(ReturnCode.HANDLE, number))


def name_of(machine: Machine, handle: int) -> bytes:
    """Name of the entity; a deleted one has none."""
    if is_object(handle):
        return machine.object(handle).name
    if is_nv_index(handle):
        return machine.state.nv[handle].public.name
    return handle_name(handle)


def auth_value_of(machine: Machine, handle: int) -> bytes:
    """AuthValue of the entity, without trailing zeros; empty for one that the command has just deleted."""
    if is_object(handle):
        placed = (
            machine.state.persistent if handle_type(handle) == PERSISTENT_TYPE else machine.volatile.objects
        )
        return placed[handle].auth_value if handle in placed else b""
    if is_nv_index(handle):
        index = machine.state.nv.get(handle)
        return index.auth_value if index else b""
    if handle == Handle.LOCKOUT:
        return machine.state.lockout_auth
    if handle == Handle.NULL or is_pcr(handle):
        return b""
    return machine.hierarchy(handle).auth_value


def auth_policy_of(machine: Machine, handle: int) -> tuple[int, bytes]:
    """Hash algorithm and authPolicy of the entity; hierarchies, lockout and PCRs have none here."""
    if is_object(handle):
        public = machine.object(handle).public
        return public.name_algorithm, public.auth_policy
    if is_nv_index(handle):
        index = machine.state.nv[handle].public
        return index.name_algorithm, index.auth_policy
    return Algorithm.NULL, b""


def hierarchy_of(machine: Machine, handle: int) -> int:
    """Hierarchy whose proof stands for the entity; what belongs to none counts as the owner's."""
    if is_object(handle):
        return machine.object(handle).hierarchy
    if is_nv_index(handle) and machine.state.nv[handle].has(NvAttributes.PLATFORMCREATE):
        return Handle.PLATFORM
    return handle if handle in _HIERARCHIES else Handle.OWNER
