"""The TPM of the worked example, played with published keys: public areas, statements, a boot log."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from messages.enrollment import CertifiedStatement
from standards.boot_log import events as ev
from standards.boot_log import payloads
from standards.boot_log.algorithms import SHA256
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.event_log import EventLog
from standards.boot_log.replay import replay, reset_value
from standards.tpm2.constants import Handle, StructureTag
from standards.tpm2.names import qualified_name
from standards.tpm2.structures import (
    Attest,
    CertifyInfo,
    ClockInfo,
    EccPoint,
    NvCertifyInfo,
    PcrSelection,
    Public,
    QuoteInfo,
    Signature,
)
from standards.tpm2.structures.attest import Attested
from standards.tpm2.templates import AK_ECC_P256, EK_ECC_P384, GENERATION_COUNTER, STORAGE_ECC_P256
from tests.vectors.protocol import hierarchy as pki

PCRS: Final = (0, 4, 8)
COUNTER_VALUE: Final = 3
TRE_IMAGE: Final = hashlib.sha256(b"openpva example: TRE image").hexdigest()
_CLOCK = ClockInfo(clock=86_400_000, reset_count=2, restart_count=0, safe=True)
_FIRMWARE_VERSION = 0x0007_0002_0001_0000


def _with_key(template: Public, key: ec.EllipticCurvePrivateKey) -> Public:
    size = (key.curve.key_size + 7) // 8
    numbers = key.public_key().public_numbers()
    return replace(
        template, unique=EccPoint(x=numbers.x.to_bytes(size, "big"), y=numbers.y.to_bytes(size, "big"))
    )


EK_PUBLIC: Final = _with_key(EK_ECC_P384, pki.EK.key)
AK_PUBLIC: Final = _with_key(AK_ECC_P256, pki.PFC.key)
STORAGE_PUBLIC: Final = _with_key(STORAGE_ECC_P256, pki.private_key("storage key"))
COUNTER_PUBLIC: Final = GENERATION_COUNTER.written()


def sign_ecdsa(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Deterministic ECDSA with SHA-256 (RFC 6979), as r and s of 32 bytes each."""
    der = key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der))


def quote(qualifying: bytes) -> CertifiedStatement:
    """TPM2_Quote over the example's PCRs."""
    values = pcr_values()
    digest = hashlib.sha256(b"".join(values[pcr] for pcr in PCRS)).digest()
    selections = (PcrSelection(bank=SHA256, indices=PCRS),)
    return _signed(
        StructureTag.ATTEST_QUOTE, QuoteInfo(pcr_selections=selections, pcr_digest=digest), qualifying
    )


def certify_storage_key(qualifying: bytes) -> CertifiedStatement:
    """TPM2_Certify of the storage key by the AK."""
    name = STORAGE_PUBLIC.name
    info = CertifyInfo(name=name, qualified_name=qualified_name(Handle.OWNER, name))
    return _signed(StructureTag.ATTEST_CERTIFY, info, qualifying)


def certify_counter(qualifying: bytes) -> CertifiedStatement:
    """TPM2_NV_Certify of the whole generation counter by the AK."""
    contents = COUNTER_VALUE.to_bytes(8, "big")
    info = NvCertifyInfo(index_name=COUNTER_PUBLIC.name, offset=0, contents=contents)
    return _signed(StructureTag.ATTEST_NV, info, qualifying)


def pcr_values() -> Mapping[int, bytes]:
    """Values of the quoted PCRs after the example's boot."""
    replayed = replay(boot_log(), bank=SHA256)
    return {pcr: replayed.get(pcr, reset_value(pcr, SHA256)) for pcr in PCRS}


def boot_log() -> EventLog:
    """A boot of four events; the command line names the TRE image."""
    command_line = f"/vmlinuz root=/dev/vda1 ro pva.tre={TRE_IMAGE}"
    application = payloads.loaded_image("\\EFI\\BOOT\\BOOTX64.EFI", size=4096)
    measurements = (
        Measurement(pcr=0, type=ev.EV_S_CRTM_VERSION, data="1.0\x00".encode("utf-16-le")),
        Measurement(pcr=4, type=ev.EV_SEPARATOR, data=payloads.SEPARATOR),
        Measurement(
            pcr=4, type=ev.EV_EFI_BOOT_SERVICES_APPLICATION, data=application, measured=b"boot loader"
        ),
        Measurement(
            pcr=8,
            type=ev.EV_IPL,
            data=payloads.boot_loader("kernel_cmdline", command_line),
            measured=command_line.encode(),
        ),
    )
    return build_event_log(measurements, algorithms=(SHA256,))


def _signed(kind: int, attested: Attested, qualifying: bytes) -> CertifiedStatement:
    """A TPMS_ATTEST by the AK, and its TPMT_SIGNATURE."""
    attest = Attest(
        type=kind,
        qualified_signer=qualified_name(Handle.ENDORSEMENT, AK_PUBLIC.name),
        extra_data=qualifying,
        clock_info=_CLOCK,
        firmware_version=_FIRMWARE_VERSION,
        attested=attested,
    ).encode()
    rs = sign_ecdsa(pki.PFC.key, attest)
    scheme = AK_PUBLIC.scheme
    signature = Signature(
        algorithm=scheme.algorithm, hash_algorithm=scheme.hash_algorithm, r=rs[:32], s=rs[32:]
    )
    return CertifiedStatement(attest=attest, signature=signature.encode())
