"""Certify, Quote, NV_Certify (Part 3, 18.2, 18.4, 31.16).

One rule: what is signed starts with TPM_GENERATED_VALUE and is made here, never handed in.
"""

from dataclasses import dataclass

from lab.software_tpm.call import Call, Reply, reply
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from lab.software_tpm.nv_access import check_readable, nv_slice
from lab.software_tpm.objects import TpmObject
from lab.software_tpm.pcr_selection import read_selections
from lab.software_tpm.signatures import effective_scheme, read_scheme, sign_digest
from standards.tpm2.constants import NONCE_BYTES_MAX, Algorithm, Handle, ObjectAttributes, StructureTag
from standards.tpm2.hashing import digest
from standards.tpm2.kdf import kdfa
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.return_codes import ReturnCode, handle, parameter
from standards.tpm2.structures import (
    Attest,
    CertifyInfo,
    ClockInfo,
    NvCertifyInfo,
    QuoteInfo,
    Scheme,
)
from standards.tpm2.structures.attest import Attested

FIRMWARE_VERSION = 0x2026_0001_0000_0001
_OBFUSCATION_BITS = 128
_U32, _U64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signer:
    """The signing key of one command, None for signHandle NULL, and the scheme to use."""

    key: TpmObject | None
    scheme: Scheme

    @property
    def hash_algorithm(self) -> int:
        """Hash of the signature, also used for a quote's pcrDigest."""
        return self.scheme.hash_algorithm or Algorithm.SHA256


def quote(machine: Machine, call: Call) -> Reply:
    """TPM2_Quote (18.4)."""
    extra_data = call.parameters.buffer(NONCE_BYTES_MAX)
    asked = call.parameters.read(read_scheme)
    selections = call.parameters.read(read_selections)
    call.parameters.end()
    signer = _signer(machine, call.handles[0], asked, handle_number=1)
    values = machine.volatile.selected(selections)
    quoted = QuoteInfo(
        pcr_selections=machine.volatile.implemented(selections),
        pcr_digest=digest(signer.hash_algorithm, b"".join(values)),
    )
    return _attest(machine, signer, StructureTag.ATTEST_QUOTE, extra_data=extra_data, attested=quoted)


def certify(machine: Machine, call: Call) -> Reply:
    """TPM2_Certify (18.2)."""
    extra_data = call.parameters.buffer(NONCE_BYTES_MAX)
    asked = call.parameters.read(read_scheme)
    call.parameters.end()
    signer = _signer(machine, call.handles[1], asked, handle_number=2)
    certified = machine.object(call.handles[0])
    info = CertifyInfo(name=certified.name, qualified_name=certified.qualified_name)
    return _attest(machine, signer, StructureTag.ATTEST_CERTIFY, extra_data=extra_data, attested=info)


def nv_certify(machine: Machine, call: Call) -> Reply:
    """TPM2_NV_Certify (31.16) of contents; the form for digests (size and offset 0) is not offered."""
    sign_handle, auth_handle, nv_handle = call.handles
    extra_data = call.parameters.buffer(NONCE_BYTES_MAX)
    asked = call.parameters.read(read_scheme)
    size, offset = call.parameters.u16(), call.parameters.u16()
    call.parameters.end()
    signer = _signer(machine, sign_handle, asked, handle_number=1)
    index = machine.state.nv[nv_handle]
    check_readable(index, auth_handle=auth_handle)
    if size == 0 and offset == 0:
        raise CommandError(parameter(ReturnCode.VALUE, 3))
    if size + offset > index.public.data_size:
        raise CommandError(ReturnCode.NV_RANGE)
    contents = nv_slice(index, size=size, offset=offset, size_parameter=3, offset_parameter=4)
    info = NvCertifyInfo(index_name=index.public.name, offset=offset, contents=contents)
    return _attest(machine, signer, StructureTag.ATTEST_NV, extra_data=extra_data, attested=info)


def _signer(machine: Machine, sign_handle: int, asked: Scheme, *, handle_number: int) -> _Signer:
    if sign_handle == Handle.NULL:
        return _Signer(key=None, scheme=asked)
    key = machine.object(sign_handle)
    if not key.has(ObjectAttributes.SIGN) or not key.is_asymmetric:
        raise CommandError(handle(ReturnCode.KEY, handle_number))
    scheme = effective_scheme(key.public, asked)
    if scheme is None:
        raise CommandError(parameter(ReturnCode.SCHEME, 2))
    return _Signer(key=key, scheme=scheme)


def _attest(
    machine: Machine, signer: _Signer, tag: StructureTag, *, extra_data: bytes, attested: Attested
) -> Reply:
    qualified_signer = signer.key.qualified_name if signer.key else Handle.NULL.to_bytes(4, "big")
    clock_info, firmware_version = _clock_and_firmware(machine, signer, qualified_signer)
    attest = Attest(
        type=tag,
        qualified_signer=qualified_signer,
        extra_data=extra_data,
        clock_info=clock_info,
        firmware_version=firmware_version,
        attested=attested,
    ).encode()
    writer = Writer().tpm2b(attest)
    if signer.key is None:
        return reply(writer.u16(Algorithm.NULL))
    hashed = digest(signer.hash_algorithm, attest)
    return reply(writer.raw(sign_digest(signer.key, hashed, scheme=signer.scheme).encode()))


def _clock_and_firmware(machine: Machine, signer: _Signer, qualified_signer: bytes) -> tuple[ClockInfo, int]:
    """Counts and firmware version, obfuscated for a signer outside ENDORSEMENT and PLATFORM (Part 1, 36)."""
    now = machine.clock_info
    if signer.key is not None and signer.key.hierarchy in (Handle.ENDORSEMENT, Handle.PLATFORM):
        return now, FIRMWARE_VERSION
    proof = machine.hierarchy(Handle.OWNER).proof
    mask = kdfa(
        Algorithm.SHA512, key=proof, label=b"OBFUSCATE", context_u=qualified_signer, bits=_OBFUSCATION_BITS
    )
    reader = Reader(mask)
    firmware, resets, restarts = reader.u64("mask"), reader.u32("mask"), reader.u32("mask")
    hidden = ClockInfo(
        clock=now.clock,
        reset_count=now.reset_count + resets & _U32,
        restart_count=now.restart_count + restarts & _U32,
        safe=now.safe,
    )
    return hidden, FIRMWARE_VERSION + firmware & _U64
