"""A device without a TPM that signs the structures of one: every field of its evidence can be made wrong.

The AK is an ordinary P-256 key; everything that it signs is encoded by `standards.tpm2`, so that evidence is
right in all respects but the one that a test changes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from messages.binding import PVA_EVIDENCE, PVA_IMA, PVA_KEY, extra_data
from messages.challenge import Challenge
from messages.evidence import CertifiedStructure, EvidenceMessage, ImaEvidence
from standards.boot_log.decode import decode_event_log
from standards.boot_log.encode import Measurement, build_event_log, encode_event_log
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import EV_EFI_BOOT_SERVICES_APPLICATION, EV_IPL, EV_SEPARATOR
from standards.boot_log.replay import replay, reset_value
from standards.tpm2.constants import Handle, StructureTag
from standards.tpm2.hashing import digest
from standards.tpm2.marshal import Writer
from standards.tpm2.names import qualified_name
from standards.tpm2.structures import (
    Attest,
    CertifyInfo,
    ClockInfo,
    EccPoint,
    NvCertifyInfo,
    NvPublic,
    PcrSelection,
    Public,
    QuoteInfo,
)
from standards.tpm2.templates import AK_ECC_P256, GENERATION_COUNTER, STORAGE_ECC_P256
from tests.unit.standards.ima.lists import Made, encoded, ng, pcr_after

SHA256 = 0x000B
TRE_IMAGE = hashlib.sha256(b"the approved TRE").digest()
FIRMWARE_VERSION = 0x2024_0125_0012_0000


def command_line(tre_image: bytes = TRE_IMAGE) -> bytes:
    """The kernel command line that names a TRE image."""
    return b"/vmlinuz root=/dev/vda ro pva.tre=" + tre_image.hex().encode()


def measurements(*, kernel: bytes = b"kernel 6.1", line: bytes | None = None) -> list[Measurement]:
    """A short but complete boot: firmware, boot manager, separators, boot loader, kernel, TRE."""
    text = command_line() if line is None else line
    separators = [Measurement(pcr=pcr, type=EV_SEPARATOR, data=bytes(4)) for pcr in range(8)]
    return [
        Measurement(pcr=0, type=0x00000008, data=b"firmware 1.2.3"),
        Measurement(pcr=4, type=EV_EFI_BOOT_SERVICES_APPLICATION, data=b"shim", measured=b"shim image"),
        *separators,
        Measurement(pcr=8, type=EV_IPL, data=b"grub_cmd: linux /vmlinuz\x00", measured=b"linux /vmlinuz"),
        Measurement(pcr=8, type=EV_IPL, data=b"kernel_cmdline: " + text + b"\x00", measured=text),
        Measurement(pcr=9, type=EV_IPL, data=b"/vmlinuz\x00", measured=kernel),
        Measurement(pcr=14, type=EV_IPL, data=b"MokList\x00", measured=b"mok list"),
    ]


def unified_measurements(*, line: bytes | None = None) -> list[Measurement]:
    """A boot of a unified kernel image: what GRUB measures is not there, the sections are in PCR 11 by name and content."""
    text = command_line() if line is None else line
    sections = {".linux": b"kernel 6.1", ".cmdline": text, ".initrd": b"initrd"}
    image = b"unified image: " + b"".join(sections.values())
    return [
        *(each for each in measurements() if each.pcr not in {8, 9}),
        Measurement(pcr=4, type=EV_EFI_BOOT_SERVICES_APPLICATION, data=b"gateway.efi", measured=image),
        *(
            Measurement(pcr=11, type=EV_IPL, data=f"{name}\0".encode("utf-16-le"), measured=measured)
            for name, content in sections.items()
            for measured in (name.encode() + b"\x00", content)
        ),
    ]


def boot_log(boot: Sequence[Measurement]) -> bytes:
    """The bytes of the log of a boot."""
    return encode_event_log(build_event_log(boot, algorithms=(SHA256,)))


def decoded(boot: Sequence[Measurement]) -> EventLog:
    """The log of a boot as values."""
    return decode_event_log(boot_log(boot))


def p256() -> ec.EllipticCurvePrivateKey:
    """A fresh key."""
    return ec.generate_private_key(ec.SECP256R1())


def with_point(template: Public, key: ec.EllipticCurvePrivateKey) -> Public:
    """A template with the point of a key."""
    numbers = key.public_key().public_numbers()
    return replace(
        template, unique=EccPoint(x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"))
    )


@dataclass(frozen=True, kw_only=True)
class AttestingDevice:
    """One device: its keys, its boot, its clock. `replace` it to change what it says."""

    ak_key: ec.EllipticCurvePrivateKey = field(default_factory=p256, repr=False)
    storage: Public = field(default_factory=lambda: with_point(STORAGE_ECC_P256, p256()))
    boot: tuple[Measurement, ...] = field(default_factory=lambda: tuple(measurements()))
    clock_info: ClockInfo = field(
        default_factory=lambda: ClockInfo(clock=50_000, reset_count=7, restart_count=0, safe=True)
    )
    firmware_version: int = FIRMWARE_VERSION
    counter: NvPublic = field(default_factory=GENERATION_COUNTER.written)
    counter_value: int = 1
    ak_hierarchy: int = Handle.ENDORSEMENT
    storage_hierarchy: int = Handle.OWNER
    ek_seed: bytes = b"device"
    ak_template: Public = AK_ECC_P256
    ima: tuple[Made, ...] | None = None
    logged: bool = True

    @property
    def device_id(self) -> str:
        """Stands for the digest of the EK's public key."""
        return hashlib.sha256(self.ek_seed).hexdigest()

    @property
    def ak(self) -> Public:
        """TPMT_PUBLIC of the AK."""
        return with_point(self.ak_template, self.ak_key)

    @property
    def boot_log(self) -> bytes:
        """The log of the running boot."""
        return boot_log(self.boot)

    def later(self, milliseconds: int = 1000) -> "AttestingDevice":
        """The same device some powered time later."""
        return replace(self, clock_info=replace(self.clock_info, clock=self.clock_info.clock + milliseconds))

    def pcr_values(self, selections: Mapping[int, tuple[int, ...]]) -> dict[int, dict[int, bytes]]:
        """The PCRs of the running boot."""
        log = decode_event_log(self.boot_log)
        values = {}
        for bank, indices in selections.items():
            reached = replay(log, bank=bank)
            values[bank] = {index: reached.get(index, reset_value(index, bank)) for index in indices}
        return values

    def quote(self, challenge: Challenge, *, body: bytes | None = None) -> tuple[bytes, bytes]:
        """Attest and signature of a quote for a challenge, or over another body than its context."""
        values = self.pcr_values(challenge.pcr_selections)
        selections = sorted(challenge.pcr_selections.items())
        covered = b"".join(values[bank][index] for bank, indices in selections for index in indices)
        info = QuoteInfo(
            pcr_selections=tuple(PcrSelection(bank=bank, indices=indices) for bank, indices in selections),
            pcr_digest=digest(SHA256, covered),
        )
        data = extra_data(PVA_EVIDENCE, nonce=challenge.nonce, body=body or challenge.context())
        return self.attested(StructureTag.ATTEST_QUOTE, info, data)

    def certified_storage_key(self, challenge: Challenge) -> CertifiedStructure:
        """The storage key under the AK."""
        info = CertifyInfo(
            name=self.storage.name, qualified_name=qualified_name(self.storage_hierarchy, self.storage.name)
        )
        attest, signature = self.attested(StructureTag.ATTEST_CERTIFY, info, self._key_data(challenge))
        return CertifiedStructure(public=self.storage.encode(), attest=attest, signature=signature)

    def certified_counter(self, challenge: Challenge) -> CertifiedStructure:
        """The generation counter under the AK."""
        info = NvCertifyInfo(
            index_name=self.counter.name, offset=0, contents=self.counter_value.to_bytes(8, "big")
        )
        attest, signature = self.attested(StructureTag.ATTEST_NV, info, self._key_data(challenge))
        return CertifiedStructure(public=self.counter.encode(), attest=attest, signature=signature)

    def evidence(self, challenge: Challenge, *, token: str, chain: Sequence[bytes]) -> EvidenceMessage:
        """The whole answer to a challenge."""
        attest, signature = self.quote(challenge)
        return EvidenceMessage(
            challenge_token=token,
            body=challenge.context(),
            attest=attest,
            signature=signature,
            pfc_chain=tuple(chain),
            pcr_values=self.pcr_values(challenge.pcr_selections),
            boot_log=self.boot_log if self.logged else b"",
            ima=self.ima_evidence(challenge) if challenge.ima else None,
            storage_key=self.certified_storage_key(challenge),
            generation_counter=self.certified_counter(challenge),
            ak_public=self.ak.encode(),
        )

    def ima_evidence(
        self, challenge: Challenge, *, label: str = PVA_IMA, pcr: int = 10, tail: Sequence[Made] = ()
    ) -> ImaEvidence | None:
        """The list under a quote of its own; `tail` was measured after it. None of a device without IMA."""
        if self.ima is None:
            return None
        value = pcr_after(self.ima)
        info = QuoteInfo(
            pcr_selections=(PcrSelection(bank=SHA256, indices=(pcr,)),), pcr_digest=digest(SHA256, value)
        )
        data = extra_data(label, nonce=challenge.nonce, body=challenge.context())
        attest, signature = self.attested(StructureTag.ATTEST_QUOTE, info, data)
        after, clock = challenge.ima_after, self.clock_info
        known = after is not None and (after.reset_count, after.restart_count) == (
            clock.reset_count,
            clock.restart_count,
        )
        first = after.count if after is not None and known else 0
        log = encoded([*self.ima[first:], *tail])
        return ImaEvidence(log=log, attest=attest, signature=signature, pcr_value=value, first=first)

    @property
    def boot_aggregate(self) -> Made:
        """The first entry of an IMA list of the running boot."""
        values = self.pcr_values({SHA256: tuple(range(10))})[SHA256]
        return Made(data=ng(b"boot_aggregate", hashlib.sha256(b"".join(values.values())).digest()))

    def attested(
        self, kind: int, info: QuoteInfo | CertifyInfo | NvCertifyInfo, data: bytes
    ) -> tuple[bytes, bytes]:
        """A TPMS_ATTEST of any kind, signed by the AK."""
        attest = Attest(
            type=kind,
            qualified_signer=qualified_name(self.ak_hierarchy, self.ak.name),
            extra_data=data,
            clock_info=self.clock_info,
            firmware_version=self.firmware_version,
            attested=info,
        ).encode()
        return attest, self.signed(attest)

    def signed(self, attest: bytes) -> bytes:
        """TPMT_SIGNATURE (ECDSA, SHA-256) by the AK."""
        r, s = decode_dss_signature(self.ak_key.sign(attest, ec.ECDSA(hashes.SHA256())))
        writer = Writer().u16(0x0018).u16(SHA256)
        return writer.tpm2b(r.to_bytes(32, "big")).tpm2b(s.to_bytes(32, "big")).done()

    def _key_data(self, challenge: Challenge) -> bytes:
        return extra_data(PVA_KEY, nonce=challenge.nonce, body=challenge.context())
