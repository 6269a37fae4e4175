"""Each role of the network, and the device, killed in the middle of a journey: it ends as if nothing had been.

A process is killed without warning at a step of the agent's, and started again; then `m2me provision` is run again, as
whoever owns the device would. One lab serves the whole file, a device each case.
"""

import time
from dataclasses import dataclass, field

import pytest

from clients.ccif import CcifClient, IssuedConnectivity
from clients.sho import PlacedOrder
from edge.database import engine_for, transaction
from edge.ledger_leaf import verify_entry
from lab.device import Answer
from lab.fourteen_steps import attach_with_subscription, connect, order, state_of
from lab.identities import CCIF, DPF, DRF, ICF, SHO, VNO
from lab.scene import Scene
from lab.story import APPROVED, enroll
from m2me_agent.tre_protocol import Operation
from operators.icf.schema import ledger
from tests.end_to_end.lab_services import Way, add_devices, bring_up, rows
from tests.tools import only_deep

RUNS_MAX = 3
"""The journey that was cut, the next one, and one more where the cut came late enough to cost that one, too."""
DEVICE = "device"
AGENT = "agent"


@dataclass(frozen=True, kw_only=True)
class CutCase:
    """Who is killed, after which step of the agent, and how much later; `--deep` plays those that are not for every run."""

    who: str
    after: str
    later_s: float = 0.0
    is_for_every_run: bool = False

    @property
    def device(self) -> str:
        return f"{self.who}-{self.after}-{self.later_s:g}".replace(".", "_")


CASES = (
    CutCase(who=VNO, after="attached"),
    CutCase(who=ICF, after="identity-sent"),
    CutCase(who=DRF, after="registered"),
    CutCase(who=SHO, after="validated", is_for_every_run=True),
    CutCase(who="ocsp", after="order-accepted"),
    CutCase(who="pva", after="delivery-requested", is_for_every_run=True),
    CutCase(who=DPF, after="granted", is_for_every_run=True),
    CutCase(who=DPF, after="receipt-signed", is_for_every_run=True),
    CutCase(who=SHO, after="receipt-signed"),
    CutCase(who=AGENT, after="downloaded"),
    CutCase(who=DEVICE, after="order-accepted"),
    CutCase(who=DEVICE, after="downloaded", later_s=0.02),
    CutCase(who=DEVICE, after="receipt-signed", is_for_every_run=True),
)


FACTORY_DEVICE = "in-the-factory"
STORES = (VNO, ICF, CCIF, DRF, SHO, DPF, "pva")


@pytest.fixture(scope="module")
def scene(network: Scene) -> Scene:
    add_devices(network, [FACTORY_DEVICE], batch="in-the-factory")
    return network


@dataclass(kw_only=True)
class PowerCut:
    """Makes the cut of a case, once."""

    scene: Scene
    case: CutCase
    made: bool = False
    answers: list[Answer] = field(default_factory=list)

    def on_event(self, name: str) -> None:
        if name == self.case.after and not self.made:
            self.made = True
            time.sleep(self.case.later_s)
            self.cut()

    def cut(self) -> None:
        scene, name = self.scene, self.case.device
        match self.case.who:
            case "agent":
                scene.devices[name].kill_agent()
            case "device":
                for part in ("tre", "tpm"):
                    scene.processes.kill(f"{name}-{part}")
                scene.devices[name].kill_agent()
            case "ocsp" | "pva" as service:
                scene.services.restart(service)
            case role:
                assert scene.network is not None
                scene.network.restart(role)

    def travel(self) -> Answer:
        """Run the agent until it says active, a few times at most."""
        for _ in range(RUNS_MAX):
            answer = Way(scene=self.scene, name=self.case.device, on_event=self.on_event).run()
            self.answers.append(answer)
            if self.made and answer.said.get("outcome") == "active":
                break
            if self.case.who == DEVICE and len(self.answers) == 1:
                self.scene.power_on(self.case.device)
        return answer


def counted(scene: Scene, placed: PlacedOrder, name: str) -> dict[str, object]:
    """What of a journey there is, wherever it must be once."""
    order_id, device_id = placed.order_id, scene.ids[name]
    mids = scene.devices[name].ask_tre(Operation.MIDS)
    assert isinstance(mids, dict), mids
    digests = rows(
        scene,
        DPF,
        "SELECT count(DISTINCT r.order_digest), count(DISTINCT g.id) FROM receipts r"
        " JOIN deliveries d ON r.delivery_id = d.id JOIN grants g ON g.delivery_id = d.id"
        " WHERE d.device_id = :device",
        device=device_id,
    )
    return {
        "order": state_of(scene, placed).state,
        "told": len(state_of(scene, placed).informed),
        "orders registered": len(
            rows(scene, DRF, 'SELECT DISTINCT "order" FROM registrations WHERE device_id = :d', d=device_id)
        ),
        "subscriptions": len(
            rows(scene, SHO, "SELECT imsi FROM subscriptions WHERE order_id = :o", o=order_id)
        ),
        "packages": len(rows(scene, SHO, "SELECT digest FROM packages WHERE order_id = :o", o=order_id)),
        "orders and grants with a receipt": digests,
        "receipts' outcomes": rows(
            scene, SHO, "SELECT DISTINCT outcome FROM receipts WHERE order_id = :o", o=order_id
        ),
        "MIDs": [row["state"] for row in mids["mids"]],
    }


def is_whole(scene: Scene, role: str) -> bool:
    """Whether a store is sound, and each leaf of its ledger there and what it was."""
    ((said,),) = rows(scene, role, "SELECT integrity_check FROM pragma_integrity_check")
    engine = engine_for(f"sqlite:///{scene.site.role(role) / f'{role}.sqlite'}")
    with transaction(engine, write=False) as connection:
        entries = ledger.entries(connection, limit=10_000)
    engine.dispose()
    for entry in entries:
        verify_entry(entry)
    return said == "ok" and [entry.number for entry in entries] == list(range(1, len(entries) + 1))


ENDED_ONCE = {
    "order": "active",
    "told": 1,
    "orders registered": 1,
    "subscriptions": 1,
    "packages": 1,
    "orders and grants with a receipt": [(1, 1)],
    "receipts' outcomes": [("installed",)],
    "MIDs": ["ACTIVE"],
}


@pytest.mark.requirement("R97")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.device)
def test_a_journey_that_was_cut_ends_as_if_it_had_not_been(
    scene: Scene, case: CutCase, request: pytest.FixtureRequest
) -> None:
    if not case.is_for_every_run:
        only_deep(request)
    add_devices(scene, [case.device], batch=f"batch-of-{case.device}")
    bring_up(scene, case.device)
    placed = order(scene, case.device)
    cut = PowerCut(scene=scene, case=case)
    answer = cut.travel()
    assert cut.made
    assert answer.said.get("outcome") == "active", cut.answers
    assert counted(scene, placed, case.device) == ENDED_ONCE
    assert [role for role in STORES if not is_whole(scene, role)] == []
    assert list((scene.devices[case.device].run / "downloads").glob("*")) == []
    assert attach_with_subscription(scene, case.device) == "authenticated with the new IMSI"


def test_a_ccif_that_is_killed_before_its_answer_is_used_gives_the_same_pcid(scene: Scene) -> None:
    assert enroll(scene, FACTORY_DEVICE).status == 0
    said = scene.devices[FACTORY_DEVICE].ask_tre(Operation.STATUS)
    assert isinstance(said, dict), said
    storage = bytes.fromhex(said["status"]["storage_public"])

    def ask() -> IssuedConnectivity:
        ccif = CcifClient(scene.services.http(CCIF, "operator", scene.services.identity(APPROVED)))
        return ccif.connectivity(device_id=scene.ids[FACTORY_DEVICE], storage_public=storage)

    first = ask()
    assert scene.network is not None
    scene.network.restart(CCIF)
    assert ask() == first
    connect(scene, FACTORY_DEVICE)
    assert rows(scene, ICF, "SELECT count(*) FROM subscribers WHERE pcid = :p", p=first.pcid) == [(1,)]
    assert is_whole(scene, CCIF)
