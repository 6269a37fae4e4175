"""GetCapability: what this TPM is and holds (Part 3, 30.2; Part 2, 6.12, 6.13)."""

from collections.abc import Callable, Iterable, Mapping

from lab.software_tpm.attestation_commands import FIRMWARE_VERSION
from lab.software_tpm.call import Call, Reply, reply
from lab.software_tpm.entities import (
    HMAC_SESSION_TYPE,
    NV_TYPE,
    PCR_TYPE,
    PERMANENT_TYPE,
    PERSISTENT_TYPE,
    POLICY_SESSION_TYPE,
    TRANSIENT_TYPE,
    handle_type,
)
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import COMMAND_BYTES_MAX, SESSION_SLOTS, TRANSIENT_SLOTS, Machine
from lab.software_tpm.nv_access import NV_BUFFER_BYTES_MAX
from lab.software_tpm.pcr_selection import PCR_HASHES
from lab.software_tpm.state import NV_BYTES_MAX, PERSISTENT_OBJECTS_MAX
from lab.software_tpm.volatile import PCR_COUNT
from standards.tpm2.constants import DIGEST_BYTES_MAX, Algorithm, Capability, EccCurve, Handle
from standards.tpm2.marshal import Writer
from standards.tpm2.return_codes import ReturnCode, parameter
from standards.tpm2.structures import PcrSelection, encode_pcr_selections
from standards.tpm2.structures.pcr import SELECT_BYTES

MANUFACTURER = 0x5056_4100
"""TPM_PT_MANUFACTURER: "PVA"; no id of the TCG's vendor registry, since no vendor makes this TPM."""
_FIRST_VARIABLE = 0x200
_COUNT_MAX = 127
"""Entries of one answer, well below TPM_PT_MAX_RESPONSE_SIZE."""
_ASYMMETRIC, _SYMMETRIC, _HASH, _OBJECT = 0x1, 0x2, 0x4, 0x8
_SIGNING, _ENCRYPTING, _METHOD = 0x100, 0x200, 0x400
_ALGORITHMS = {
    Algorithm.RSA: _ASYMMETRIC | _OBJECT,
    Algorithm.SHA1: _HASH,
    Algorithm.HMAC: _HASH | _SIGNING,
    Algorithm.AES: _SYMMETRIC,
    Algorithm.KEYEDHASH: _HASH | _OBJECT,
    Algorithm.SHA256: _HASH,
    Algorithm.SHA384: _HASH,
    Algorithm.SHA512: _HASH,
    Algorithm.RSASSA: _ASYMMETRIC | _SIGNING,
    Algorithm.RSAPSS: _ASYMMETRIC | _SIGNING,
    Algorithm.OAEP: _ASYMMETRIC | _ENCRYPTING,
    Algorithm.ECDSA: _ASYMMETRIC | _SIGNING | _METHOD,
    Algorithm.ECDH: _ASYMMETRIC | _METHOD,
    Algorithm.KDF1_SP800_56A: _HASH | _METHOD,
    Algorithm.KDF1_SP800_108: _HASH | _METHOD,
    Algorithm.ECC: _ASYMMETRIC | _OBJECT,
    Algorithm.CFB: _SYMMETRIC | _ENCRYPTING,
}
_HANDLE_NUMBER = 0x00FFFFFF
_HANDLE_COUNT_SHIFT = 25
_HANDLE_TYPES = (
    PCR_TYPE,
    NV_TYPE,
    HMAC_SESSION_TYPE,
    POLICY_SESSION_TYPE,
    PERMANENT_TYPE,
    TRANSIENT_TYPE,
    PERSISTENT_TYPE,
)
_PERMANENT = (
    Handle.OWNER,
    Handle.NULL,
    Handle.PASSWORD,
    Handle.LOCKOUT,
    Handle.ENDORSEMENT,
    Handle.PLATFORM,
)


def get_capability(machine: Machine, call: Call) -> Reply:
    """TPM2_GetCapability (30.2)."""
    number = call.parameters.u32()
    known = number in tuple(Capability)
    if not known:
        raise call.parameters.refused(ReturnCode.VALUE)
    first = call.parameters.u32()
    count = min(call.parameters.u32(), _COUNT_MAX)
    call.parameters.end()
    if number == Capability.PCRS:
        return reply(Writer().u8(0).u32(number).raw(encode_pcr_selections(_banks(machine))))
    if number == Capability.HANDLES and handle_type(first) not in _HANDLE_TYPES:
        raise CommandError(parameter(ReturnCode.HANDLE, 2))
    entries = _ENTRIES[Capability(number)](machine, first)
    shown = entries[:count]
    writer = Writer().u8(int(len(shown) < len(entries))).u32(number).u32(len(shown))
    return reply(writer.raw(b"".join(shown)))


def _banks(machine: Machine) -> tuple[PcrSelection, ...]:
    """All PCRs of the banks that are allocated, none of the others."""
    allocated = machine.volatile.banks
    every = tuple(range(PCR_COUNT))
    return tuple(PcrSelection(bank=bank, indices=every if bank in allocated else ()) for bank in PCR_HASHES)


def _algorithms(machine: Machine, first: int) -> list[bytes]:  # noqa: ARG001 one shape for all capabilities
    return [Writer().u16(at).u32(kind).done() for at, kind in _ALGORITHMS.items() if at >= first]


def _curves(machine: Machine, first: int) -> list[bytes]:  # noqa: ARG001 one shape for all capabilities
    return [at.to_bytes(2, "big") for at in (EccCurve.NIST_P256, EccCurve.NIST_P384) if at >= first]


def _commands(machine: Machine, first: int) -> list[bytes]:
    """TPMA_CC (Part 2, 8.9) of every command: its code and how many handles it takes."""
    table = machine.command_handles
    return [
        (code | table[code] << _HANDLE_COUNT_SHIFT).to_bytes(4, "big")
        for code in sorted(table)
        if code >= first
    ]


def _handles(machine: Machine, first: int) -> list[bytes]:
    state, volatile = machine.state, machine.volatile
    placed: dict[int, Iterable[int]] = {
        PCR_TYPE: range(PCR_COUNT),
        NV_TYPE: state.nv,
        HMAC_SESSION_TYPE: volatile.sessions,
        PERMANENT_TYPE: _PERMANENT,
        TRANSIENT_TYPE: volatile.objects,
        PERSISTENT_TYPE: state.persistent,
    }
    # loaded sessions are of two types in one numbering (Part 3, 30.2)
    numbered = {at & _HANDLE_NUMBER: at for at in placed.get(handle_type(first), ())}
    return [
        at.to_bytes(4, "big") for number, at in sorted(numbered.items()) if number >= first & _HANDLE_NUMBER
    ]


def _properties(machine: Machine, first: int) -> list[bytes]:
    fixed = {
        0x100: int.from_bytes(b"2.0\x00", "big"),  # FAMILY_INDICATOR
        0x101: 0,  # LEVEL
        0x102: 159,  # REVISION
        0x105: MANUFACTURER,
        0x106: int.from_bytes(b"soft", "big"),  # VENDOR_STRING_1
        0x107: int.from_bytes(b"ware", "big"),  # VENDOR_STRING_2
        0x10B: FIRMWARE_VERSION >> 32,
        0x10C: FIRMWARE_VERSION & 0xFFFFFFFF,
        0x10D: 1024,  # INPUT_BUFFER
        0x10E: TRANSIENT_SLOTS,  # HR_TRANSIENT_MIN
        0x10F: PERSISTENT_OBJECTS_MAX,  # HR_PERSISTENT_MIN
        0x110: SESSION_SLOTS,  # HR_LOADED_MIN
        0x111: SESSION_SLOTS,  # ACTIVE_SESSIONS_MAX
        0x112: PCR_COUNT,
        0x113: SELECT_BYTES,  # PCR_SELECT_MIN
        0x117: NV_BYTES_MAX,  # NV_INDEX_MAX
        0x11E: COMMAND_BYTES_MAX,
        0x11F: COMMAND_BYTES_MAX,  # MAX_RESPONSE_SIZE
        0x120: DIGEST_BYTES_MAX,
        0x129: len(machine.command_handles),  # TOTAL_COMMANDS
        0x12C: NV_BUFFER_BYTES_MAX,
    }
    attack = machine.state.dictionary_attack
    variable = {
        0x202: len(machine.state.nv),  # HR_NV_INDEX
        0x203: len(machine.volatile.sessions),  # HR_LOADED
        0x204: SESSION_SLOTS - len(machine.volatile.sessions),  # HR_LOADED_AVAIL
        0x207: TRANSIENT_SLOTS - len(machine.volatile.objects),  # HR_TRANSIENT_AVAIL
        0x208: len(machine.state.persistent),  # HR_PERSISTENT
        0x20E: attack.failed_tries,  # LOCKOUT_COUNTER
        0x20F: attack.tries_max,
        0x210: attack.recovery_s,
        0x211: attack.lockout_recovery_s,
    }
    # TPM_PT comes in groups, and one answer never crosses from one into the next
    group = variable if first >= _FIRST_VARIABLE else fixed
    return [Writer().u32(at).u32(value).done() for at, value in group.items() if at >= first]


_ENTRIES: Mapping[Capability, Callable[[Machine, int], list[bytes]]] = {
    Capability.ALGS: _algorithms,
    Capability.HANDLES: _handles,
    Capability.COMMANDS: _commands,
    Capability.TPM_PROPERTIES: _properties,
    Capability.ECC_CURVES: _curves,
}
