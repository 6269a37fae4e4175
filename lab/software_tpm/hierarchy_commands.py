"""HierarchyChangeAuth, Clear, EvictControl, DictionaryAttackLockReset (Part 3, 24, 25, 28.5)."""

from dataclasses import replace

from lab.software_tpm.call import EMPTY, Call, Reply
from lab.software_tpm.entities import PERSISTENT_TYPE, handle_type
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from lab.software_tpm.state import PERSISTENT_OBJECTS_MAX, DictionaryAttack, Hierarchy, State, counter_value
from standards.tpm2.constants import DIGEST_BYTES_MAX, Handle, NvAttributes, ObjectAttributes
from standards.tpm2.return_codes import ReturnCode, handle, parameter

_OWNER_PERSISTENT = range(0x81000000, 0x81800000)
_PLATFORM_PERSISTENT = range(0x81800000, 0x82000000)


def hierarchy_change_auth(machine: Machine, call: Call) -> Reply:
    """TPM2_HierarchyChangeAuth (24.8)."""
    (changed,) = call.handles
    auth_value = call.parameters.buffer(DIGEST_BYTES_MAX).rstrip(b"\x00")
    call.parameters.end()
    if changed == Handle.LOCKOUT:
        machine.state = replace(machine.state, lockout_auth=auth_value)
    else:
        hierarchy = replace(machine.hierarchy(changed), auth_value=auth_value)
        machine.state = machine.state.with_hierarchy(changed, hierarchy)
    return EMPTY


def clear(machine: Machine, call: Call) -> Reply:
    """TPM2_Clear (24.6): a new owner; what was protected by the old storage seed is lost for good."""
    call.parameters.end()
    machine.state = _cleared(machine)
    volatile = machine.volatile.without_objects(Handle.OWNER, Handle.ENDORSEMENT)
    # Policies that were satisfied before must not authorise anything after (Part 4, Clear)
    machine.volatile = replace(
        volatile,
        pcr_counter=volatile.pcr_counter + 1,
        clock_offset=-machine.milliseconds(),
        clock_safe_at=0,
    )
    return EMPTY


def _cleared(machine: Machine) -> State:
    state, random_bytes = machine.state, machine.random_bytes
    endorsement = Hierarchy.fresh(random_bytes)
    hierarchies = {
        **state.hierarchies,
        Handle.OWNER: Hierarchy.fresh(random_bytes),
        # EPS stays, so that the EK does; its proof does not, and with it go all tickets
        Handle.ENDORSEMENT: replace(endorsement, seed=state.hierarchies[Handle.ENDORSEMENT].seed),
    }
    kept_nv = {at: index for at, index in state.nv.items() if index.has(NvAttributes.PLATFORMCREATE)}
    counters = (counter_value(index) for index in state.nv.values())
    return replace(
        state,
        hierarchies=hierarchies,
        lockout_auth=b"",
        persistent={at: kept for at, kept in state.persistent.items() if kept.hierarchy == Handle.PLATFORM},
        nv=kept_nv,
        primary_rsa_keys={
            key_id: key for key_id, key in state.primary_rsa_keys.items() if key.hierarchy != Handle.OWNER
        },
        counter_max=max(state.counter_max, *counters, 0),
        reset_count=0,
        clock=0,
        dictionary_attack=DictionaryAttack(),
    )


def evict_control(machine: Machine, call: Call) -> Reply:
    """TPM2_EvictControl (28.5): make a transient object persistent, or a persistent one gone."""
    auth_handle, object_handle = call.handles
    persistent_handle = call.parameters.u32()
    if handle_type(persistent_handle) != PERSISTENT_TYPE:
        raise call.parameters.refused(ReturnCode.VALUE)
    call.parameters.end()
    placed = machine.object(object_handle)
    if placed.external or placed.sensitive is None or placed.has(ObjectAttributes.ST_CLEAR):
        raise CommandError(handle(ReturnCode.ATTRIBUTES, 2))
    by_platform = auth_handle == Handle.PLATFORM
    if by_platform != (placed.hierarchy == Handle.PLATFORM) or placed.hierarchy == Handle.NULL:
        raise CommandError(handle(ReturnCode.HIERARCHY, 2))
    if persistent_handle not in (_PLATFORM_PERSISTENT if by_platform else _OWNER_PERSISTENT):
        raise CommandError(parameter(ReturnCode.RANGE, 1))
    if handle_type(object_handle) == PERSISTENT_TYPE:
        if persistent_handle != object_handle:
            raise CommandError(handle(ReturnCode.HANDLE, 2))
        machine.state = machine.state.without_persistent(object_handle)
        return EMPTY
    if persistent_handle in machine.state.persistent:
        raise CommandError(ReturnCode.NV_DEFINED)
    if len(machine.state.persistent) >= PERSISTENT_OBJECTS_MAX:
        raise CommandError(ReturnCode.NV_SPACE)
    machine.state = machine.state.with_persistent(persistent_handle, placed)
    return EMPTY


def dictionary_attack_lock_reset(machine: Machine, call: Call) -> Reply:
    """TPM2_DictionaryAttackLockReset (25.2)."""
    call.parameters.end()
    attack = replace(machine.state.dictionary_attack, failed_tries=0, forgiven_at=0)
    machine.state = replace(machine.state, dictionary_attack=attack)
    return EMPTY
