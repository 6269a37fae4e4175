"""What the hostile agent does, stage by stage: at the enrolment, at a second subscription, at an update, and much later.

Rule: one device is attacked that has a MID already, one that is new; a third one is honest and has genuine messages of the
same types, to be mixed in. Each stage ends with what it was made for: an attack may deny, and leaves nothing behind.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from clients.ccif import CcifClient
from clients.sho import PlacedOrder, ShoOperatorClient
from edge.process import system_random
from lab.fourteen_steps import order
from lab.homes import HOME_MNC
from lab.hostile_agent.exchanges import Exchanges, code_of
from lab.hostile_agent.floods import Floods
from lab.hostile_agent.hands import Hands, Lost
from lab.hostile_agent.line import HostileLine
from lab.hostile_agent.messages import Kind
from lab.hostile_agent.outward import Exchange, Outward, Said
from lab.hostile_agent.tally import Tally
from lab.hostile_agent.travel import Traveller
from lab.hostile_agent.update import announced_update
from lab.hostile_agent.watch import Watch
from lab.identities import CCIF, SHO, STAFF, VNO
from lab.scene import Scene
from lab.story import APPROVED, UnexpectedEndError, wait_for_status
from m2me_agent.agent.download import ProvisioningFunction
from m2me_agent.agent.enrollment import enroll
from m2me_agent.agent.errors import RefusedError
from m2me_agent.agent.installation import INSTALLED
from m2me_agent.agent.journey import Arrival
from m2me_agent.agent.lives import ERASE, UPDATE, OwnersDoor
from m2me_agent.agent.ports import read_device
from m2me_agent.tre_protocol import Operation
from messages.attachment import nai_of
from standards.pki.ocsp_answer import StatusKind

UNBOUNDED = {"burst": 10_000, "interval_ms": 6_000}
"""So that thousands of tries are not all told that they are too many; floods meet the rate that is shipped."""
SHORT_S = 4.0
"""How long an agent tries while nothing arrives."""
ON_THE_WAY = (
    Operation.STATUS,
    Operation.MIDS,
    Operation.ATTACH,
    Operation.ACCEPT_ORDER,
    Operation.ATTEST,
    Operation.INSTALL,
    Operation.INSTRUCT,
)
"""The messages of a journey, in their order."""


@dataclass(slots=True, kw_only=True)
class Party:
    """One device in an agent's hands."""

    name: str
    hands: Hands
    traveller: Traveller
    exchanges: Exchanges
    receipts: list[bytes] = field(default_factory=list)

    def subscription(self) -> tuple[str, str]:
        """Id and IMSI of its first MID."""
        row = self.hands.watch.rows[0]
        return str(row["mid_id"]), str(row["applications"][0])

    def close(self) -> None:
        """End its lines; the next request opens them again."""
        self.hands.line.close()
        self.hands.watch.person.close()


@dataclass(slots=True, kw_only=True)
class Stages:
    """The devices and the tally; `signed` is the manifest of their release."""

    scene: Scene
    tally: Tally
    signed: bytes
    parties: dict[str, Party] = field(default_factory=dict)
    placed: PlacedOrder = field(init=False)
    """The newest order of the attacked device."""
    report: Said = field(default_factory=dict)
    """What the owner took last."""

    def take_over(self, name: str) -> Party:
        """Boot a device, and have its agent in hands."""
        device = self.scene.devices[name]
        device.rate = UNBOUNDED
        self.scene.power_on(name)
        line, person = HostileLine(device), HostileLine(device, is_person=True)
        services = self.scene.services
        auc = ShoOperatorClient(services.http(SHO, "operator", services.identity(VNO)))
        watch = Watch(line=line, person=person, auc=auc)
        hands = Hands(line=line, watch=watch, tally=self.tally)
        traveller = Traveller(
            device=device, hands=hands, folder=self.scene.site.role(f"devices/{name}/agent")
        )
        exchanges = Exchanges(scene=self.scene, name=name, hands=hands, traveller=traveller)
        party = Party(name=name, hands=hands, traveller=traveller, exchanges=exchanges)
        traveller.on_receipt = lambda _dpf, _delivery, statement: party.receipts.append(statement)
        watch.look_again()
        self.parties[name] = party
        return party

    def close(self) -> None:
        """End the lines."""
        for party in self.parties.values():
            party.close()

    def honest(self, name: str) -> Party:
        """A device that is enrolled, connected and subscribed as it must be; what it said is remembered."""
        party = self.take_over(name)
        serial = str(enroll(party.hands, party.traveller.ca(), sleep=_no_sleep)["serial"])
        self._known_to_responder(serial)
        self._connect(party)
        order(self.scene, name)
        self._must_be_active(party.traveller.provision(), name)
        party.hands.watch.old = str(party.hands.watch.rows[0]["mid_id"])
        party.exchanges.authentication(*party.subscription())
        return party

    def at_enrolment(self, new: Party, other: Party) -> None:
        """The four messages of enrolment."""
        hands, exchanges = new.hands, new.exchanges
        hands.foreign = other.hands.pool
        self._outward(new, Operation.BEGIN_ENROLLMENT, exchanges.enrolment_request, names=True).play()
        hands.is_attacking, hands.judges = True, {Operation.ACTIVATE: exchanges.judge_activation}
        hands.ask(Operation.BEGIN_ENROLLMENT)
        session = new.traveller.ca().begin_enrollment(exchanges.request)
        hands.ask(Operation.ACTIVATE, {"challenge": session})
        self._outward(new, Operation.ACTIVATE, exchanges.activation, names=True).play()
        issued = {"result": exchanges.issued}
        hands.deliver(Operation.INSTALL_CREDENTIAL, issued)
        hands.ask(Operation.INSTALL_CREDENTIAL, issued)
        self._connect(new)
        hands.is_attacking = False
        hands.replay_judged()

    def at_subscription(self, victim: Party, other: Party) -> None:
        """The journey to a second MID, each of its messages attacked; the first MID works throughout."""
        hands = victim.hands
        hands.foreign = other.hands.pool
        hands.told[Operation.MIDS] = {"mids": []}  # or the agent would be content with the first one
        hands.judges = {Operation.ATTEST: victim.exchanges.judge_evidence}
        order(self.scene, victim.name, key=f"second-order-of-{victim.name}")
        hands.is_attacking = True
        hands.attacked.add(
            Operation.ATTACH
        )  # a session of the visited network is over too soon: see `at_the_air`
        victim.traveller.on_receipt = self._receipts(victim, other)
        self._must_be_active(victim.traveller.provision(), victim.name)
        hands.is_attacking = False
        hands.replay_judged()

    def at_losses(self, victim: Party) -> None:
        """A third MID, while each message of the journey is lost, and then each answer; it goes on where it stood."""
        self.placed = order(self.scene, victim.name, key=f"third-order-of-{victim.name}")
        patience_s, victim.traveller.patience_s = victim.traveller.patience_s, SHORT_S
        for operation in ON_THE_WAY:
            for is_answer in (False, True):
                if operation is Operation.INSTRUCT and is_answer:
                    continue  # an agent whose journey is over does not ask again
                victim.hands.lost = Lost(operation=operation, is_answer=is_answer)
                code = code_of(victim.traveller.provision)
                victim.hands.lost = None
                if code != "lost":
                    raise UnexpectedEndError(f"without {operation}: expected a lost message, got {code!r}")
        victim.traveller.patience_s = patience_s
        self._must_be_active(victim.traveller.provision(), victim.name)

    def _receipts(self, victim: Party, other: Party) -> Callable[[ProvisioningFunction, str, bytes], None]:
        def on_receipt(dpf: ProvisioningFunction, delivery_id: str, statement: bytes) -> None:
            played = self._outward(
                victim,
                Operation.INSTALL,
                lambda: victim.exchanges.receipt(dpf, delivery_id, statement),
                names=False,
            )
            played.foreign = [{"statement": each} for each in (*victim.receipts, *other.receipts)]
            played.play()

        return on_receipt

    def at_the_air(self, victim: Party) -> None:
        """What the TRE answers to the visited network and to the PVA."""
        exchanges, mid = victim.exchanges, victim.subscription()
        victim.hands.is_attacking = True
        victim.hands.attacked.discard(Operation.ATTACH)
        self._answer_once(victim)
        victim.hands.is_attacking = False
        self._outward(victim, Operation.ATTACH, exchanges.attachment, names=False).play()
        self._outward(
            victim, Operation.AUTHENTICATE, lambda: exchanges.authentication(*mid), names=False
        ).play()
        self._outward(victim, Operation.ATTEST, exchanges.evidence, names=True).play()

    def at_the_next_version(self, victim: Party) -> None:
        """The newest MID's next version, whose order is attacked on its way to the TRE."""
        order_digest = bytes(victim.hands.watch.rows[-1]["order_digest"])
        self._staff().update_mid(self.placed.order_id, idempotency_key=f"next-version-of-{victim.name}")
        door = victim.traveller.dpf()
        genuine = victim.exchanges.report(door, order_digest)
        code, step = genuine.submit(genuine.said), victim.exchanges.next_step
        if code or step is None or step.step != UPDATE:
            raise UnexpectedEndError(f"expected the order of an update, got {code or step}")
        victim.hands.is_attacking = True
        victim.hands.ask(Operation.ACCEPT_UPDATE, {"order": step.token or ""})
        victim.hands.is_attacking = False
        outcome = victim.traveller.update(step.token or "")
        if outcome != INSTALLED:
            raise UnexpectedEndError(f"{victim.name}: expected the next version, got {outcome}")
        victim.hands.watch.look_again()

    def at_update(self, victim: Party, other: Party) -> None:
        """The owner's approvals of the state after an update."""
        digest = announced_update(self.scene, signed_before=self.signed)
        hands, exchanges = victim.hands, victim.exchanges
        for party in (victim, other):  # the owner approves for the counter that the PVA has seen last
            seen = party.exchanges.evidence()
            if seen.submit(seen.said):
                raise UnexpectedEndError(f"{party.name}: its evidence was refused")
        theirs = other.exchanges.update_question(SHO, other.traveller.dpf(), manifest_digest=digest)
        if theirs.submit(theirs.said):
            raise UnexpectedEndError(f"{other.name}: its owner's approvals were not taken")
        dpf = victim.traveller.dpf()
        self._outward(
            victim,
            Operation.BEGIN_UPDATE,
            lambda: exchanges.update_question(SHO, dpf, manifest_digest=digest),
            names=False,
        ).play()
        hands.is_attacking = True
        hands.ask(Operation.BEGIN_UPDATE, {"sho": SHO})
        begun = exchanges.asked(Operation.BEGIN_UPDATE, sho=SHO)
        token = exchanges.approvals(dpf, begun, manifest_digest=digest)
        with suppress(RefusedError):  # the nonce is spent by the first try: a denial
            hands.ask(Operation.TAKE_APPROVALS, {"approvals": token})
        hands.is_attacking = False
        again = exchanges.update_question(SHO, dpf, manifest_digest=digest)
        if again.submit(again.said):
            raise UnexpectedEndError("after the attack the owner's approvals were not taken")

    def at_the_owners_door(self, victim: Party) -> None:
        """The newest MID is to be erased: the owner's question, its instruction, the TRE's report and proof."""
        hands, exchanges = victim.hands, victim.exchanges
        row = hands.watch.rows[-1]
        order_digest = bytes(row["order_digest"])
        self._staff().want(self.placed.order_id, "erase", reason="end of contract")
        door = victim.traveller.dpf()
        hands.is_attacking = True
        question = door.mid_step(read_device(hands), order_digest=order_digest, statement=None)
        hands.ask(Operation.REPORT, {"query": question.token or ""})
        self._outward(
            victim, Operation.REPORT, lambda: exchanges.report(door, order_digest), names=False
        ).play()
        with suppress(RefusedError):  # another report takes the place of the one that this answers: a denial
            hands.ask(Operation.ERASE, {"instruction": self._wanted(victim, door, order_digest)})
        hands.is_attacking = False
        if any(bytes(each["order_digest"]) == order_digest for each in hands.watch.rows):
            exchanges.asked(Operation.ERASE, instruction=self._wanted(victim, door, order_digest))
        newest = hands.pool[Operation.ERASE][-1]
        hands.again(Operation.ERASE, newest, kind=Kind.REPLAY)
        proof = exchanges.asked(Operation.ERASE, **newest)["statement"]
        played = self._outward(
            victim, Operation.ERASE, lambda: exchanges.erasure(door, order_digest, proof), names=False
        )
        played.foreign = [self.report]
        played.play()

    def _staff(self) -> ShoOperatorClient:
        services = self.scene.services
        return ShoOperatorClient(services.http(SHO, "operator", services.identity(STAFF)))

    def _wanted(self, victim: Party, door: OwnersDoor, order_digest: bytes) -> str:
        """The owner's instruction, after a report that it takes."""
        genuine = victim.exchanges.report(door, order_digest)
        code, self.report = genuine.submit(genuine.said), genuine.said
        step = victim.exchanges.next_step
        if code or step is None or step.step != ERASE:
            raise UnexpectedEndError(f"expected an instruction to erase, got {code or step}")
        return step.token or ""

    def much_later(self, victim: Party) -> None:
        """The TRE is started again; then everything that was genuine once comes again."""
        victim.close()
        self.scene.devices[victim.name].restart_tre(lambda _tpm: None, random_bytes=system_random)
        victim.hands.watch.look_again()
        victim.hands.out_of_order(Operation.STATUS)
        victim.hands.late()

    def flood(self, victim: Party) -> None:
        """Booted with the rates that it is shipped with, and flooded."""
        victim.close()
        device = self.scene.devices[victim.name]
        device.rate = {}
        self.scene.power_on(victim.name)
        Floods(scene=self.scene, device=device, hands=victim.hands, tally=self.tally).play()

    def _connect(self, party: Party) -> None:
        """The factory's connectivity, through the agent's hands."""
        status = party.hands.ask(Operation.STATUS)["status"]
        services = self.scene.services
        issued = CcifClient(services.http(CCIF, "operator", services.identity(APPROVED))).connectivity(
            device_id=self.scene.ids[party.name], storage_public=bytes.fromhex(status["storage_public"])
        )
        party.hands.ask(Operation.INSTALL_CONNECTIVITY, {"token": issued.token})

    def _answer_once(self, victim: Party) -> None:
        """Challenges of the visited network to the PCID and to the first MID, attacked on their way to the TRE."""
        mid_id, imsi = victim.subscription()
        vno = victim.traveller.vno()
        challenge = vno.attach(read_device(victim.hands).identity)
        victim.hands.ask(Operation.ATTACH, {"rand": challenge.rand, "autn": challenge.autn})
        challenge = vno.attach(nai_of(imsi, mnc_digits=len(HOME_MNC)))
        victim.hands.ask(
            Operation.AUTHENTICATE,
            {"mid_id": mid_id, "application": imsi, "rand": challenge.rand, "autn": challenge.autn},
        )

    def _outward(
        self, party: Party, operation: Operation, fresh: Callable[[], Exchange], *, names: bool
    ) -> Outward:
        return Outward(
            operation=operation,
            fresh=fresh,
            tally=self.tally,
            watch=party.hands.watch,
            names_its_question=names,
        )

    def _must_be_active(self, arrival: Arrival, name: str) -> None:
        if arrival.outcome != "active":
            raise UnexpectedEndError(f"{name}: expected an active subscription, got {arrival.outcome}")

    def _known_to_responder(self, serial: str) -> None:
        leaf, issuer = self.scene.suppliers[APPROVED].credential(int(serial, 16))
        wait_for_status(self.scene, leaf, issuer=issuer, kind=StatusKind.GOOD)


def _no_sleep(_seconds: float) -> None:
    """Nothing is waited for."""
