"""Startup, Shutdown, SelfTest, random numbers, clock (Part 3, 9, 10, 16, 29)."""

from dataclasses import replace

from lab.software_tpm.call import EMPTY, Call, Reply, reply
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from lab.software_tpm.self_test import self_test
from standards.tpm2.constants import DIGEST_BYTES_MAX, STARTUP_CLEAR, STARTUP_STATE
from standards.tpm2.marshal import Writer
from standards.tpm2.return_codes import ReturnCode

_STIR_BYTES_MAX = 128


def _startup_type(call: Call) -> int:
    startup_type = call.parameters.u16()
    if startup_type not in (STARTUP_CLEAR, STARTUP_STATE):
        raise call.parameters.refused(ReturnCode.VALUE)
    call.parameters.end()
    return startup_type


def startup(machine: Machine, call: Call) -> Reply:  # noqa: ARG001 every command has one shape
    """TPM2_Startup (9.3): refused, since the start of the process was the TPM reset and Startup(CLEAR)."""
    _startup_type(call)
    raise CommandError(ReturnCode.INITIALIZE)


def shutdown(machine: Machine, call: Call) -> Reply:
    """TPM2_Shutdown (9.4): the next start finds a clock that it can trust."""
    _startup_type(call)
    machine.state = replace(machine.state, orderly=True)
    return EMPTY


def run_self_test(machine: Machine, call: Call) -> Reply:
    """TPM2_SelfTest (10.2): always the full test."""
    call.parameters.yes_no()
    call.parameters.end()
    if not self_test(machine.random_bytes):
        raise CommandError(ReturnCode.FAILURE)
    return EMPTY


def get_random(machine: Machine, call: Call) -> Reply:
    """TPM2_GetRandom (16.1): at most one digest's worth."""
    size = min(call.parameters.u16(), DIGEST_BYTES_MAX)
    call.parameters.end()
    return reply(Writer().tpm2b(machine.random_bytes(size)))


def stir_random(machine: Machine, call: Call) -> Reply:  # noqa: ARG001 every command has one shape
    """TPM2_StirRandom (16.2): accepted; the generator of the operating system needs no stirring."""
    call.parameters.buffer(_STIR_BYTES_MAX)
    call.parameters.end()
    return EMPTY


def read_clock(machine: Machine, call: Call) -> Reply:
    """TPM2_ReadClock (29.1)."""
    call.parameters.end()
    return reply(Writer().raw(time_info(machine)))


def time_info(machine: Machine) -> bytes:
    """TPMS_TIME_INFO (Part 2, 10.11.6)."""
    return Writer().u64(machine.milliseconds()).raw(machine.clock_info.encode()).done()
