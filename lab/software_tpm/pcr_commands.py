"""PCR_Read, PCR_Extend, PCR_Reset (Part 3, 22)."""

from dataclasses import replace

from lab.software_tpm.call import EMPTY, Call, Reply, reply
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from lab.software_tpm.pcr_selection import PCR_HASHES, read_selections
from lab.software_tpm.volatile import EXTENDABLE_PCRS, RESETTABLE_PCRS
from standards.tpm2.constants import Handle
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest_size
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.return_codes import ReturnCode
from standards.tpm2.structures import PcrSelection, encode_pcr_selections

PCR_READ_DIGESTS_MAX = 8
"""A TPML_DIGEST has room for eight (Part 2, 10.9.3)."""


def pcr_read(machine: Machine, call: Call) -> Reply:
    """TPM2_PCR_Read (22.4): at most eight digests; pcrSelectionOut says which ones they are."""
    asked = call.parameters.read(read_selections)
    call.parameters.end()
    answered: list[PcrSelection] = []
    digests: list[bytes] = []
    for selection in machine.volatile.implemented(asked):
        room = PCR_READ_DIGESTS_MAX - len(digests)
        answered.append(replace(selection, indices=selection.indices[:room]))
        digests += [machine.volatile.banks[selection.bank][index] for index in selection.indices[:room]]
    writer = Writer().u32(machine.volatile.pcr_counter).raw(encode_pcr_selections(tuple(answered)))
    writer.u32(len(digests))
    for value in digests:
        writer.tpm2b(value)
    return reply(writer)


def pcr_extend(machine: Machine, call: Call) -> Reply:
    """TPM2_PCR_Extend (22.2) from locality 0; digests for banks that are not allocated are ignored."""
    (pcr,) = call.handles
    digests = call.parameters.read(_read_digests)
    call.parameters.end()
    if pcr == Handle.NULL:
        return EMPTY
    if pcr not in EXTENDABLE_PCRS:
        raise CommandError(ReturnCode.LOCALITY)
    for bank, value in digests:
        if bank in machine.volatile.banks:
            machine.volatile = machine.volatile.extended(pcr, bank=bank, digest=value).pcr_changed(pcr)
    return EMPTY


def pcr_reset(machine: Machine, call: Call) -> Reply:
    """TPM2_PCR_Reset (22.8) from locality 0."""
    (pcr,) = call.handles
    call.parameters.end()
    if pcr not in RESETTABLE_PCRS:
        raise CommandError(ReturnCode.LOCALITY)
    machine.volatile = machine.volatile.pcr_reset(pcr).pcr_changed(pcr)
    return EMPTY


def _read_digests(reader: Reader) -> tuple[tuple[int, bytes], ...]:
    """TPML_DIGEST_VALUES (Part 2, 10.9.6)."""
    count = reader.u32("count of digests")
    if count > len(PCR_HASHES):
        raise DecodeError("size of TPML_DIGEST_VALUES", expected=f"at most {len(PCR_HASHES)}", got=str(count))
    return tuple(_read_digest(reader) for _ in range(count))


def _read_digest(reader: Reader) -> tuple[int, bytes]:
    algorithm = reader.u16("hash of a digest")
    if algorithm not in PCR_HASHES:
        raise DecodeError("hash of a digest", expected="a hash of this TPM", got=f"0x{algorithm:04x}")
    return algorithm, reader.take(digest_size(algorithm), "digest")
