"""Manufacture: a TPM gets its endorsement keys, and the TPM maker certifies them (TCG EK Credential Profile for TPM Family 2.0).

The result is laid out as `swtpm_setup` does it: RSA-2048 EK at 0x81010001 with its certificate in NV 0x01C00002,
P-384 EK at 0x81010016 with its certificate in NV 0x01C00016.
"""

from dataclasses import dataclass
from pathlib import Path

from edge.process import Clock, RandomBytes
from lab.software_tpm.errors import StateError
from lab.software_tpm.key_generation import PrimarySource, make_object
from lab.software_tpm.machine import Machine
from lab.software_tpm.maker_ca import MakerCa
from lab.software_tpm.objects import TpmObject
from lab.software_tpm.state import NvIndex, State
from lab.software_tpm.state_store import StateDirectory
from lab.software_tpm.volatile import Volatile
from standards.tpm2.constants import Algorithm, Handle, NvAttributes
from standards.tpm2.structures import NvPublic, Public
from standards.tpm2.templates import EK_ECC_P384, EK_RSA_2048

CERTIFICATE_ATTRIBUTES = (
    NvAttributes.PPWRITE
    | NvAttributes.WRITEDEFINE
    | NvAttributes.PPREAD
    | NvAttributes.OWNERREAD
    | NvAttributes.AUTHREAD
    | NvAttributes.NO_DA
    | NvAttributes.PLATFORMCREATE
    | NvAttributes.WRITELOCKED
    | NvAttributes.WRITTEN
)
"""The maker's index: everyone reads it, nobody writes it again, TPM2_Clear keeps it."""
_EKS = (
    (EK_RSA_2048, Handle.EK_RSA_2048, Handle.EK_CERTIFICATE_RSA_2048),
    (EK_ECC_P384, Handle.EK_ECC_P384, Handle.EK_CERTIFICATE_ECC_P384),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManufacturedTpm:
    """Certificates of the TPM's maker, and the DER certificate of each EK by its persistent handle."""

    root_certificate: Path
    intermediate_certificate: Path
    ek_certificates: dict[int, bytes]


def manufacture(state_dir: Path, ca_dir: Path, *, random_bytes: RandomBytes, clock: Clock) -> ManufacturedTpm:
    """Make a TPM in `state_dir`, which holds none yet, with certificates by the CA in `ca_dir`.

    The CA is made on first use; TPMs of one maker share it. Raises StateError and leaves an existing TPM alone.
    """
    # 1 a place for the TPM, and its maker
    directory = StateDirectory.open(state_dir)
    try:
        if directory.load() is not None:
            raise StateError(state_dir, reason="a TPM is there already", remedy="name another directory")
        at = clock()
        maker = MakerCa.open(ca_dir, random_bytes=random_bytes, at=at)
        # 2 seeds, endorsement keys, certificates
        machine = _machine(random_bytes)
        certificates: dict[int, bytes] = {}
        for template, ek_handle, nv_handle in _EKS:
            ek = _make_ek(machine, template)
            certificate = maker.certify_ek(ek.public.public_key(), random_bytes=random_bytes, at=at)
            certificates[ek_handle] = certificate
            placed = machine.state.with_persistent(ek_handle, ek)
            machine.state = placed.with_nv(_certificate_index(nv_handle, certificate))
        # 3 saved whole or not at all
        directory.save(machine.state)
    finally:
        directory.close()
    return ManufacturedTpm(
        root_certificate=maker.root_file,
        intermediate_certificate=maker.intermediate_file,
        ek_certificates=certificates,
    )


def _machine(random_bytes: RandomBytes) -> Machine:
    return Machine(
        state=State.fresh(random_bytes),
        volatile=Volatile.after_reset(random_bytes, clock_offset=0, clock_safe_at=0),
        random_bytes=random_bytes,
        milliseconds=lambda: 0,
        command_handles={},
    )


def _make_ek(machine: Machine, template: Public) -> TpmObject:
    """The same key that CreatePrimary gives for the template, as the profile demands."""
    source = PrimarySource(machine, Handle.ENDORSEMENT, template=template.encode())
    public, sensitive = make_object(template, auth_value=b"", data=b"", source=source)
    return TpmObject.under(
        Handle.ENDORSEMENT, public=public, sensitive=sensitive, hierarchy=Handle.ENDORSEMENT
    )


def _certificate_index(index: int, certificate: bytes) -> NvIndex:
    public = NvPublic(
        index=index,
        name_algorithm=Algorithm.SHA256,
        attributes=CERTIFICATE_ATTRIBUTES,
        auth_policy=b"",
        data_size=len(certificate),
    )
    return NvIndex(public=public, auth_value=b"", contents=certificate)
