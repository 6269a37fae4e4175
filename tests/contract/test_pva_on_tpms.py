"""The PVA judges what TPMs really sign: a measured boot, reboots, changed boots, on every kind of TPM."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from messages.binding import PVA_EVIDENCE, PVA_IMA, PVA_KEY, extra_data
from messages.challenge import Challenge
from messages.evidence import CertifiedStructure, EvidenceMessage, ImaEvidence
from pva.refusals import RefusalCode, RefusalError
from standards.boot_log.encode import Measurement
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.structures import NvPublic, PcrSelection
from tests.contract.device_keys import ak_of, counted, storage_of
from tests.contract.tpm_devices import RunningTpm
from tests.fakes.attesting_device import SHA256, AttestingDevice, boot_log, decoded, measurements
from tests.fakes.credentials import CredentialPlan
from tests.fakes.pva_world import POLICY, World
from tests.unit.standards.ima.lists import Made, encoded, ng, sha1

NAMED = AttestingDevice(ek_seed=b"a device with a TPM")
"""The device as far as requests and credentials name it."""
ASKED = (PcrSelection(bank=SHA256, indices=(*range(10), 14)),)
ASKED_FOR_IMA = (PcrSelection(bank=SHA256, indices=(10,)),)


@dataclass(frozen=True, kw_only=True)
class TpmDevice:
    """A device whose TPM is running; `measure` is its boot."""

    tpm: TpmConnection
    ak: TpmObject
    storage: TpmObject
    counter: NvPublic

    def measure(self, boot: Sequence[Measurement]) -> bytes:
        """Extend the PCRs as a boot does; the log of it."""
        for event in decoded(boot).events:
            self.tpm.pcr_extend(event.pcr, digests=dict(event.digests))
        return boot_log(boot)

    def run(self, *entries: Made) -> None:
        """Extend PCR 10 as the kernel does for these entries."""
        for each in entries:
            self.tpm.pcr_extend(10, digests={SHA256: each.extended("sha256")})

    def ima(self, challenge: Challenge, *, log: bytes) -> ImaEvidence:
        """PCR 10 under a quote of its own."""
        quote = self.tpm.quote(
            self.ak,
            extra_data=extra_data(PVA_IMA, nonce=challenge.nonce, body=challenge.context()),
            selection=ASKED_FOR_IMA,
        )
        value = self.tpm.pcr_read_all(ASKED_FOR_IMA)[SHA256][10]
        return ImaEvidence(log=log, attest=quote.attest, signature=quote.signature, pcr_value=value)

    def evidence(self, world: World, log: bytes, *, ima_log: bytes | None = None) -> EvidenceMessage:
        """The answer to a fresh challenge."""
        token, challenge = world.challenge(device=NAMED)
        body = challenge.context()
        data = extra_data(PVA_KEY, nonce=challenge.nonce, body=body)
        quote = self.tpm.quote(
            self.ak,
            extra_data=extra_data(PVA_EVIDENCE, nonce=challenge.nonce, body=body),
            selection=ASKED,
        )
        storage = self.tpm.certify(self.storage, ak=self.ak, extra_data=data)
        counter = self.tpm.nv_certify(self.counter, ak=self.ak, extra_data=data)
        key = self.ak.public.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        plan = CredentialPlan(state=world.state)
        credential = world.supplier.credential(NAMED.device_id, key, plan=plan)
        return EvidenceMessage(
            challenge_token=token,
            body=body,
            attest=quote.attest,
            signature=quote.signature,
            pfc_chain=world.supplier.chain(credential),
            pcr_values=self.tpm.pcr_read_all(ASKED),
            boot_log=log,
            ima=None if ima_log is None else self.ima(challenge, log=ima_log),
            storage_key=CertifiedStructure(
                public=self.storage.public.encode(), attest=storage.attest, signature=storage.signature
            ),
            generation_counter=CertifiedStructure(
                public=self.counter.encode(), attest=counter.attest, signature=counter.signature
            ),
            ak_public=self.ak.public.encode(),
        )


@pytest.fixture
def world() -> World:
    return World()


def enrolled(tpm: TpmConnection) -> TpmDevice:
    index, _ = counted(tpm)
    return TpmDevice(tpm=tpm, ak=ak_of(tpm), storage=storage_of(tpm), counter=index)


@pytest.mark.requirement("R71")
@pytest.mark.requirement("R94")
def test_a_measured_boot_is_affirmed(world: World, tpm: TpmConnection) -> None:
    device = enrolled(tpm)
    log = device.measure(measurements())
    signed = world.validate(device.evidence(world, log))
    assert [(each.code, each.event) for each in signed.result.submodules["tre"].findings] == []
    assert signed.status == "affirming"
    assert signed.result.storage_key_name == device.storage.name
    assert signed.result.generation_counter == int.from_bytes(tpm.nv_read(device.counter, size=8), "big")


@pytest.mark.check("A14")
def test_reboots_are_followed_and_a_changed_boot_is_found(world: World, device: RunningTpm) -> None:
    first = enrolled(device.start())
    assert world.validate(first.evidence(world, first.measure(measurements()))).status == "affirming"
    second = replace(first, tpm=device.restart())
    log = second.measure(measurements())
    assert world.validate(second.evidence(world, log)).status == "affirming"
    assert world.validate(second.evidence(world, log)).status == "affirming", "twice in one boot"
    third = replace(first, tpm=device.restart())
    changed = third.measure(measurements(kernel=b"another kernel"))
    signed = world.validate(third.evidence(world, changed))
    assert signed.status == "contraindicated"
    codes = [each.code for each in signed.result.submodules["platform"].findings]
    assert codes == ["pcr-mismatch", "kernel-mismatch"]


@pytest.mark.negative
@pytest.mark.check("A18")
def test_a_good_log_over_a_changed_boot_is_refused(world: World, tpm: TpmConnection) -> None:
    device = enrolled(tpm)
    device.measure(measurements(kernel=b"another kernel"))
    with pytest.raises(RefusalError) as caught:
        world.validate(device.evidence(world, boot_log(measurements())))
    assert caught.value.code is RefusalCode.BOOT_LOG_MISMATCH
    assert "PCR 9" in caught.value.subject


@pytest.mark.negative
@pytest.mark.check("A23")
def test_a_quote_of_another_exchange_is_refused(world: World, tpm: TpmConnection) -> None:
    device = enrolled(tpm)
    log = device.measure(measurements())
    recorded, fresh = device.evidence(world, log), device.evidence(world, log)
    spliced = replace(fresh, attest=recorded.attest, signature=recorded.signature)
    with pytest.raises(RefusalError) as caught:
        world.validate(spliced)
    assert caught.value.code is RefusalCode.NONCE_MISMATCH


@pytest.mark.check("A22")
def test_the_ima_list_is_judged_while_the_digest_of_the_boot_stays(tpm: TpmConnection) -> None:
    world, device = World(policy=replace(POLICY, ima=True)), enrolled(tpm)
    log = device.measure(measurements())
    first, later = NAMED.boot_aggregate, Made(data=ng(b"/usr/bin/later"))
    device.run(first)
    before = world.validate(device.evidence(world, log, ima_log=encoded((first, later))))
    device.run(later)
    after = world.validate(device.evidence(world, log, ima_log=encoded((first, later))))
    assert (before.status, after.status) == ("affirming", "affirming")
    assert before.result.pcr_digest == after.result.pcr_digest


@pytest.mark.negative
@pytest.mark.check("A22")
def test_a_list_that_leaves_out_what_ran_is_refused(tpm: TpmConnection) -> None:
    world, device = World(policy=replace(POLICY, ima=True)), enrolled(tpm)
    log = device.measure(measurements())
    first, secret = NAMED.boot_aggregate, Made(data=ng(b"/tmp/secret", sha1(b"x"), algorithm=b"sha1"))
    device.run(first, secret)
    for left in ((), (secret,), (secret, first)):
        with pytest.raises(RefusalError) as caught:
            world.validate(device.evidence(world, log, ima_log=encoded(left)))
        assert caught.value.code is RefusalCode.IMA_LOG_MISMATCH
