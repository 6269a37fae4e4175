"""A PVA's approval opens a sealed secret in a real TPM: in the approved state, at this counter, for this order alone."""

from dataclasses import dataclass, replace

import pytest

from messages.approval import USE_VAULT, Use, approved_policy, decode_approval
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.commands.policies import Approval
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Algorithm, Comparison
from standards.tpm2.import_blob import make_import_blob
from standards.tpm2.structures import Public, Signature
from tests.contract.sealing import FRESH, KEY, OTHER_KEY, SECRET, PolicyKey, policy_session
from tests.contract.test_pva_on_tpms import NAMED, TpmDevice, enrolled
from tests.contract.tpm_devices import RunningTpm, refused
from tests.fakes.attesting_device import measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_world import World
from tests.fakes.relying_parties import ORDER, RelyingParties

OTHER_ORDER = b"\x0e" * 32
POLICY_FAIL = 0x99D
VALUE = 0x1C4
POLICY_NV_FALSE = 0x126


@dataclass(frozen=True, kw_only=True)
class SealedDevice:
    """A validated device with a secret under the SHO's policy root; `package`, `vault`, `next_vault` are approvals."""

    parties: RelyingParties
    device: TpmDevice
    log: bytes

    @property
    def tpm(self) -> TpmConnection:
        """Its TPM."""
        return self.device.tpm

    def approvals(self, order: bytes = ORDER) -> list[bytes]:
        """Have the device validated now for an order, and its state approved."""
        world = self.parties.world
        self.parties.ask(order_digest=order, device_id=NAMED.device_id)
        result = world.validate(self.device.evidence(world, self.log))
        approved = world.approval_desk.approve(result.id, order_digest=order, sho="sho-1", at=NOW)
        assert approved.storage_public == self.device.storage.public.encode()
        return list(approved.given.approvals)

    def sealed(self, use: Use) -> TpmObject:
        """A secret sealed by the SHO for a use, imported."""
        blob = make_import_blob(
            self.device.storage.public, secret=SECRET, auth_policy=use.sealed_policy(KEY.public), fresh=FRESH
        )
        return self.tpm.load(
            self.device.storage, stored=self.tpm.import_object(self.device.storage, blob=blob)
        )

    def opened(
        self, sealed: TpmObject, encoded: bytes, *, delegated_for: Use | None = None, root: PolicyKey = KEY
    ) -> bytes:
        """The TRE's sequence: the state as it is, the day key's approval, the root's delegation, the secret."""
        approval = decode_approval(encoded)
        day_key = Public.decode(approval.day_key)
        use = delegated_for or approval.use
        delegation = root.sign(use.delegation_digest(day_key))
        session = policy_session(self.tpm)
        try:
            self.tpm.policy_pcr(session, selection=approval.state.selection)
            self.tpm.policy_nv(
                session,
                index=self.device.counter,
                operand=approval.state.counter.to_bytes(8, "big"),
                comparison=Comparison.EQ,
            )
            if approval.use.use == USE_VAULT:
                self.tpm.policy_auth_value(session)
            day = self._ticket(
                day_key,
                policy=approved_policy(approval.use, approval.state),
                use=approval.use,
                digest=approval.digest,
                signature=Signature.decode(approval.signature),
            )
            self.tpm.policy_authorize(session, approval=day)
            of_root = self._ticket(
                root.public,
                policy=use.delegated_policy(day_key),
                use=use,
                digest=use.delegation_digest(day_key),
                signature=delegation,
            )
            self.tpm.policy_authorize(session, approval=of_root)
            return self.tpm.unseal(sealed, auth=session.authorize())
        finally:
            self.tpm.flush_context(session.handle)

    def _ticket(
        self, key: Public, *, policy: bytes, use: Use, digest: bytes, signature: Signature
    ) -> Approval:
        loaded = self.tpm.load_external(key)
        try:
            ticket = self.tpm.verify_signature(loaded, digest=digest, signature=signature)
        finally:
            self.tpm.flush_context(loaded.handle)
        return Approval(approved_policy=policy, policy_ref=use.ref, key_name=key.name, ticket=ticket)


@pytest.fixture
def sealed_device(tpm: TpmConnection) -> SealedDevice:
    device = enrolled(tpm)
    log = device.measure(measurements())
    return SealedDevice(parties=RelyingParties(world=World()), device=device, log=log)


def use_of(encoded: bytes) -> Use:
    return decode_approval(encoded).use


@pytest.mark.requirement("R76")
def test_approval_and_delegation_open_the_package_and_the_vault(sealed_device: SealedDevice) -> None:
    package, vault, *_ = sealed_device.approvals()
    assert sealed_device.opened(sealed_device.sealed(use_of(package)), package) == SECRET
    assert sealed_device.opened(sealed_device.sealed(use_of(vault)), vault) == SECRET


@pytest.mark.negative
@pytest.mark.check("A16")
def test_a_register_that_moved_closes_it(sealed_device: SealedDevice) -> None:
    package, *_ = sealed_device.approvals()
    sealed = sealed_device.sealed(use_of(package))
    sealed_device.tpm.pcr_extend(9, digests={Algorithm.SHA256: b"\x01" * 32})
    with refused(VALUE):
        sealed_device.opened(sealed, package)


@pytest.mark.negative
def test_a_raised_counter_closes_the_package_and_the_next_approval_opens_the_vault(
    sealed_device: SealedDevice,
) -> None:
    package, vault, next_vault, *_ = sealed_device.approvals()
    sealed, kept = sealed_device.sealed(use_of(package)), sealed_device.sealed(use_of(vault))
    with refused(POLICY_NV_FALSE):
        sealed_device.opened(kept, next_vault)
    sealed_device.tpm.nv_increment(sealed_device.device.counter)
    for old, secret in ((package, sealed), (vault, kept)):
        with refused(POLICY_NV_FALSE):
            sealed_device.opened(secret, old)
    assert sealed_device.opened(kept, next_vault) == SECRET


@pytest.mark.negative
def test_another_orders_approval_opens_nothing(sealed_device: SealedDevice) -> None:
    package, vault, *_ = sealed_device.approvals()
    sealed = sealed_device.sealed(use_of(package))
    for other in (sealed_device.approvals(OTHER_ORDER)[0], vault):
        with refused(POLICY_FAIL):
            sealed_device.opened(sealed, other)
        with refused(VALUE):
            sealed_device.opened(sealed, other, delegated_for=use_of(package))


@pytest.mark.negative
@pytest.mark.requirement("R76")
def test_another_operators_root_delegates_nothing(sealed_device: SealedDevice) -> None:
    package, *_ = sealed_device.approvals()
    with refused(POLICY_FAIL):
        sealed_device.opened(sealed_device.sealed(use_of(package)), package, root=OTHER_KEY)


def test_the_same_approval_opens_after_a_reboot_into_the_same_state(device: RunningTpm) -> None:
    first = enrolled(device.start())
    parties = RelyingParties(world=World())
    booted = SealedDevice(parties=parties, device=first, log=first.measure(measurements()))
    _, vault, *_ = booted.approvals()
    again = replace(booted, device=replace(first, tpm=device.restart()))
    again.device.measure(measurements())
    assert again.opened(again.sealed(use_of(vault)), vault) == SECRET
