"""A fleet in a PVA's real store, filled through the real use cases over six days: everything that a dashboard shows.

Devices that are fine, one with another kernel, one with another command line, one whose TPM has other firmware, one that a
policy denies, one with a revoked credential, one that is silent; two operators, two suppliers' worth of manifests, a
roll-out, a policy in force, an audit log.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.administrator_store import SqlAdministrators
from edge.administrators import AdministratorDesk
from edge.audit_log import AuditLog, LogSigner
from edge.principals import Principal, RowKey
from edge.process import system_random
from messages.operator_token import OperatorSigner
from pva.fleet.fleet import FleetDesk
from pva.fleet.journey import JourneyDesk
from pva.manifests.approvals import Administrator
from pva.policies.desk import Owner
from pva.refusals import RefusalError
from pva.requests import ValidationWish
from pva.results.result import SignedResult
from pva.store import tables
from pva.store.approvals import ApprovalStore
from pva.store.fleet import FleetStore
from pva.store.policies import PolicyStore
from pva.store.references import ReferenceStore
from pva.store.results import ResultStore
from pva.store.updates import UpdateStore
from pva.store.validations import Store
from pva.store.watches import WatchStore
from pva.updates.rollouts import RolloutDesk
from pva.watching.watches import WatchDesk, WatchKeeper
from pva.watching.watching import WatchTerms
from pva.web.dashboard.desks import DashboardDesks
from standards.pki.crl import Revocation, RevocationReason
from standards.rats.manifest import Predecessor
from tests.fakes.attesting_device import AttestingDevice, command_line, measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_world import AUDIENCE, TENANT, World, reference_manifest
from tests.fakes.real_status import signed_status
from tests.fakes.relying_parties import DPF, ORDER, RelyingParties


class NoPrincipals:
    """A file of principals with nobody in it."""

    def listed(self) -> Mapping[RowKey, Principal]:
        """No rows."""
        return {}

    def issuer_digests(self) -> frozenset[str]:
        """No CA."""
        return frozenset()


OTHER_TENANT: Final = "sho-2"
DAYS: Final = 6
NOW_OF_PAGES: Final = NOW + timedelta(days=DAYS, hours=3)
"""When people look at it."""
FINE: Final = 9
"""Devices that are fine all the time."""
LINE: Final = (
    b"BOOT_IMAGE=/boot/vmlinuz-6.1.0-18-amd64 root=/dev/mapper/gw ro quiet lockdown=integrity "
    + command_line()
)
CHANGED_LINE: Final = LINE.replace(b"quiet lockdown=integrity", b"quiet init=/bin/sh")
POLICY: Final = """
@id("no-early-firmware")
@reason("devices with hw 1 need security version 3 or later")
forbid (principal, action, resource) when { resource has svn && resource.svn < 3 };
"""
HOSTILE_NAME: Final = '<script>alert("x")</script>\u202eevil'


def booted(kernel: bytes = b"kernel 6.1.0-18", line: bytes = LINE) -> Any:
    """A boot of a gateway."""
    return tuple(measurements(kernel=kernel, line=line))


def hours(count: float) -> timedelta:
    """So many hours."""
    return timedelta(hours=count)


@dataclass(kw_only=True)
class WatchedFleet:
    """The store, its use cases, and the devices by what they are for."""

    engine: sa.Engine
    devices: dict[str, AttestingDevice] = field(default_factory=dict)
    results: dict[str, SignedResult] = field(default_factory=dict)
    refused_requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let six days go by."""
        self.world = World(
            device=AttestingDevice(boot=booted(), ek_seed=b"gateway 0"),
            store=Store(self.engine, random_bytes=system_random, callbacks=frozenset({"dpf-1"})),
            references=ReferenceStore(self.engine, random_bytes=system_random),
            approvals=ApprovalStore(self.engine, random_bytes=system_random),
            records=ResultStore(self.engine, random_bytes=system_random),
            policies=PolicyStore(self.engine, random_bytes=system_random),
            random_bytes=system_random,
        )
        self.world.responder = signed_status(self.world.supplier)
        self.log = AuditLog(
            self.engine,
            tables.ledger,
            signer=LogSigner(name="pva-1.example.net/log", key=Ed25519PrivateKey.generate()),
            clock=lambda: NOW,
        )
        self.world.log = self.log
        self._put_policy_in_force()
        self._publish_releases()
        self._let_days_go_by()
        self._order()
        self._fall_silent()
        self._ask_elsewhere()
        self.log.sequence_all()

    @property
    def rollouts(self) -> RolloutDesk:
        """The use case of roll-outs."""
        return RolloutDesk(records=UpdateStore(self.engine, random_bytes=system_random))

    @property
    def desks(self) -> DashboardDesks:
        """The use cases that have pages."""
        views = FleetStore(self.engine)
        return DashboardDesks(
            fleet=FleetDesk(records=views),
            journeys=JourneyDesk(records=views, anchors=[self.world.operators.certificate]),
            explanations=self.world.explanation_desk,
            recognition=self.world.recognition,
            manifests=self.world.manifest_desk,
            rollouts=self.rollouts,
            policies=self.world.policy_desk,
            proposals=self.world.proposal_desk,
            administrators=AdministratorDesk(
                store=SqlAdministrators(
                    self.engine, tables.administrators, tables.ledger, random_bytes=system_random
                ),
                file=NoPrincipals(),
            ),
            log=self.log,
        )

    def _put_policy_in_force(self) -> None:
        owner = Owner(role="sho", tenant=TENANT)
        desk = self.world.policy_desk
        added = desk.add(POLICY.strip(), owner=owner, by="Ada of sho-1", at=NOW)
        self.policy = desk.activate(added.digest, owner=owner, by="Ada of sho-1", at=NOW)

    def _publish_releases(self) -> None:
        """One that follows and is announced to a few, one after it that waits for a second administrator."""
        self.first = self.world.state.manifest_digest
        second = self._signed(2, follows=self.first)
        self.second = self.world.publish(second).manifest_digest
        self.rollouts.announce(self.second, share_percent=10, only_of="Acme", by="acme", at=NOW + hours(1))
        third = self._signed(3, follows=self.second)
        imported = self.world.recognition.import_manifest(third, only_of="Acme", by="acme", at=NOW)
        self.third = imported.digest
        self.world.manifest_desk.approve(
            self.third,
            by=Administrator(name="first", key_sha256="f" * 64, issued_at_request_of=()),
            at=NOW_OF_PAGES - hours(2),
        )

    def _signed(self, release: int, *, follows: bytes) -> bytes:
        device = replace(self.world.device, boot=booted(kernel=b"kernel 6.1.0-%d" % (18 + release)))
        before = Predecessor(id=f"release-{release - 1}", digest=follows, until=NOW + timedelta(days=30))
        manifest = reference_manifest(
            device,
            id=f"release-{release}",
            line_name="release-1",
            version=f"{release}.0.0",
            svn=2 + release,
            predecessor=before,
        )
        return self.world.sign(manifest)

    def _let_days_go_by(self) -> None:
        for number in range(FINE):
            self.devices[f"fine {number}"] = self._device(number)
        self.devices["kernel"] = self._device(FINE)
        self.devices["line"] = self._device(FINE + 1)
        self.devices["firmware"] = self._device(FINE + 2)
        self.devices["revoked"] = self._device(FINE + 3)
        self.devices["silent"] = self._device(FINE + 4)
        for round_number, at in enumerate(self._rounds()):
            for place, (name, device) in enumerate(self.devices.items()):
                if (round_number + place) % 2 == 0:
                    self._look(name, self._as_of(name, device, at), at=at + timedelta(minutes=7 * place))

    def _rounds(self) -> Iterator[datetime]:
        return (NOW + hours(18) * number for number in range(DAYS * 4 // 3))

    def _device(self, number: int) -> AttestingDevice:
        return AttestingDevice(boot=booted(), ek_seed=b"gateway %d" % number)

    def _as_of(self, name: str, device: AttestingDevice, at: datetime) -> AttestingDevice:
        """A device at a time: the last days go wrong for some."""
        later = device.later(int((at - NOW).total_seconds()) * 1000)
        if at < NOW + timedelta(days=DAYS - 2):
            return later
        if name == "kernel":
            return replace(later, boot=booted(kernel=b"kernel of somebody else"))
        if name == "line":
            return replace(later, boot=booted(line=CHANGED_LINE))
        if name == "firmware":
            return replace(later, firmware_version=later.firmware_version + int((at - NOW).total_seconds()))
        return later

    def _look(self, name: str, device: AttestingDevice, *, at: datetime) -> None:
        if name == "silent" and at > NOW + timedelta(days=DAYS - 2):
            return
        request_id = self.world.ask(device=device, at=at)
        if name == "revoked" and at > NOW + timedelta(days=DAYS - 2):
            gone = Revocation(at=at - hours(1), reason=RevocationReason.KEY_COMPROMISE)
            self.world.responder = signed_status(self.world.supplier, revocation=gone)
            try:
                self.world.validate(self.world.answer(device, at=at), at=at)
            except RefusalError:
                self.refused_requests.append(request_id)
            self.world.responder = signed_status(self.world.supplier)
            return
        self.results[name] = self.world.validate(self.world.answer(device, at=at), at=at)

    def _order(self) -> None:
        """The way of an order: asked for by a signed request, approved, and looked at by the DPF once more."""
        at = NOW_OF_PAGES - hours(1)
        device = self.devices["fine 0"].later(int((at - NOW).total_seconds()) * 1000)
        parties = RelyingParties(world=self.world)
        ordered = parties.validated(device=device, at=at, device_id=device.device_id)
        self.world.approval_desk.approve(
            ordered.id, order_digest=ORDER, sho=TENANT, at=at + timedelta(seconds=2)
        )
        self.results["ordered"] = ordered
        again = at + timedelta(minutes=1)
        token = parties.token(role="dpf", at=again, device_id=device.device_id)
        self.world.signed_desk.submit(token, caller=DPF, at=again)
        self.results["delivered"] = self.world.validate(
            self.world.answer(device.later(60_000), at=again), at=again
        )

    def _fall_silent(self) -> None:
        """A watch, and a device that does not answer any more."""
        moment = [NOW + timedelta(days=DAYS - 1)]
        store = WatchStore(
            self.engine, random_bytes=system_random, callbacks=frozenset(), event_life=timedelta(days=1)
        )
        signer = OperatorSigner(
            key=self.world.result_key, chain=(self.world.result_certificate,), issuer="pva-1"
        )
        keeper = WatchKeeper(
            store=store,
            requests=self.world.desk,
            signer=signer,
            clock=lambda: moment[0],
            random_bytes=system_random,
            holder="keeper",
        )
        desk = WatchDesk(store=store, requests=self.world.desk, random_bytes=system_random, watches_max=9)
        terms = WatchTerms(
            device_id=self.devices["silent"].device_id,
            interval=timedelta(minutes=10),
            grace=timedelta(minutes=30),
            audience=AUDIENCE,
        )
        desk.add(terms, operator=TENANT, requester="Ada of sho-1", at=moment[0])
        for _ in range(10):
            moment[0] += timedelta(minutes=6)
            keeper.round()

    def _ask_elsewhere(self) -> None:
        """Another operator asks too, in a name that is not kind."""
        at = NOW_OF_PAGES - hours(4)
        device = self.devices["other"] = replace(self._device(FINE + 5), boot=booted())
        wish = ValidationWish(
            device_id=device.device_id,
            purpose="validation",
            rp_nonce=system_random(32),
            order_digest=None,
            audience=(OTHER_TENANT,),
        )
        asked = self.world.desk.ask(wish, tenant=OTHER_TENANT, requester=HOSTILE_NAME, at=at)
        self.other_request = asked.id
        self.results["other"] = self.world.validate(self.world.answer(device, at=at), at=at)
