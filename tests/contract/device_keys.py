"""The keys of a device at their persistent handles, as the contract tests make them."""

from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import (
    Algorithm,
    Handle,
    NvAttributes,
)
from standards.tpm2.structures import NvPublic, PcrSelection
from standards.tpm2.templates import (
    AK_ECC_P256,
    GENERATION_COUNTER,
    STORAGE_ECC_P256,
)
from tests.contract.tpm_devices import make_persistent

AK_HANDLE = 0x81000101
STORAGE_HANDLE = 0x81000102
EXTRA_DATA = b"\x5a" * 32
BOOT = (PcrSelection(bank=Algorithm.SHA256, indices=(*range(10), 14)),)
EK_HANDLES = [Handle.EK_RSA_2048, Handle.EK_ECC_P384]
CERTIFICATE_INDICES = [Handle.EK_CERTIFICATE_RSA_2048, Handle.EK_CERTIFICATE_ECC_P384]
ORDINARY = NvPublic(
    index=0x01800060,
    name_algorithm=Algorithm.SHA256,
    attributes=NvAttributes.AUTHREAD | NvAttributes.AUTHWRITE | NvAttributes.NO_DA,
    auth_policy=b"",
    data_size=8,
)


def ak_of(tpm: TpmConnection) -> TpmObject:
    return make_persistent(tpm, hierarchy=Handle.ENDORSEMENT, template=AK_ECC_P256, persistent=AK_HANDLE)


def storage_of(tpm: TpmConnection) -> TpmObject:
    return make_persistent(tpm, hierarchy=Handle.OWNER, template=STORAGE_ECC_P256, persistent=STORAGE_HANDLE)


def counted(tpm: TpmConnection) -> tuple[NvPublic, bytes]:
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    tpm.nv_increment(GENERATION_COUNTER)
    index = GENERATION_COUNTER.written()
    return index, tpm.nv_read(index, size=8)
