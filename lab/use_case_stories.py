"""The use cases a, b and c of TR 33.812, 4.1.1, as stories: a car, a home gateway, a phone of two operators.

Rule: as for all stories; each use case has what it shows, and what must not happen in it. What a home operator and a
device make of one authentication is compared, never assumed.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clients.sho import PlacedOrder
from edge.process import system_clock
from lab.device import Device, Refusal
from lab.fourteen_steps import AWAITED, Journey, connect, order, state_of
from lab.homes import CARELESS_PRODUCT, HOME_PRODUCT, HOME_USERS, IN_CAR_PRODUCT, PHONE_PRODUCT
from lab.identities import SHO, SHO_2
from lab.mid_use import attach, held, over_wlan, owners_of, rows_of, states_of, tried, usim_of
from lab.outcomes import ended, refusal_of, refused, said
from lab.scene import Scene
from lab.story import APPROVED, UnexpectedEndError, attest, enroll
from lab.web_user import order_on_the_page
from m2me_agent.tre_protocol import Operation
from messages.device_code import device_code
from messages.mid_policy import CELLULAR, DEVICE_POLICY_TYPE, FULL, IMS, TUAK, WLAN, DevicePolicy
from messages.ownership import OWNERSHIP_TYPE, Ownership
from standards.aka.eap_aka_prime import MSK_SIZE

CAR, GATEWAY, PHONE = "device-a", "device-b", "device-c"
DEVICES = (CAR, GATEWAY, PHONE)


@dataclass(slots=True, kw_only=True)
class UseCases:
    """The stage: `manifest` is the signed one that the devices are accepted under."""

    scene: Scene
    manifest: bytes

    @property
    def manifest_digest(self) -> str:
        """Its name."""
        return hashlib.sha256(self.manifest).hexdigest()


def play_use_cases(cases: UseCases) -> None:
    """All of them."""
    stories: tuple[tuple[str, Callable[[UseCases], None]], ...] = (
        ("a: a device in a car; its buyer is asked, and picks his operator", _car),
        ("b: a home gateway; nobody is asked, its owner is on record", _gateway),
        ("c: a personal device with two operators", _phone),
    )
    for title, story in stories:
        cases.scene.narrator.heading(title)
        story(cases)


def _car(cases: UseCases) -> None:
    scene = cases.scene
    _ready(scene, CAR, step="a.0")
    nobody = Journey(scene=scene, device=scene.devices[CAR], prefix="a.").run()
    refused(scene, "a1", "before anybody has ordered", refusal_of(nobody), expected="no-operator")
    placed = _order_on_the_page(scene, CAR, sho=SHO_2, product=IN_CAR_PRODUCT)
    seen = _Seen(device=scene.devices[CAR], told=lambda: state_of(scene, placed, SHO_2).informed)
    answer = Journey(scene=scene, device=scene.devices[CAR], prefix="a.", watch=seen.look).run()
    refused(scene, "a2", "the agent agrees in the person's place", seen.agent_consents, expected="malformed")
    stands = state_of(scene, placed, SHO_2)
    ended(
        scene,
        "a3",
        "when the user is told",
        expected="asked once, told nothing before the receipt, told once afterwards",
        happened=f"asked {_times(seen.asked)}, told {_times(len(seen.told_before))} before the receipt, "
        f"told {_times(len(stands.informed))} afterwards",
    )
    ended(
        scene,
        "a4",
        "the operator that the buyer picked",
        expected=f"active, of {SHO_2}, order active, authenticated",
        happened=f"{answer.outcome}, of {owners_of(scene, CAR)}, order {stands.state}, "
        f"{attach(scene, CAR, sho=SHO_2)}",
    )


def _gateway(cases: UseCases) -> None:
    scene = cases.scene
    _own(scene)
    _ready(scene, GATEWAY, step="b.0")
    placed = order(scene, GATEWAY, step="b.0", product=HOME_PRODUCT)
    seen = _Seen(device=scene.devices[GATEWAY], told=lambda: state_of(scene, placed).informed)
    answer = Journey(scene=scene, device=scene.devices[GATEWAY], prefix="b.", watch=seen.look).run()
    ended(
        scene,
        "b1",
        "from power-on to an active MID, by the ownership record",
        expected=f"active, of {SHO}, asked nobody",
        happened=f"{answer.outcome}, of {owners_of(scene, GATEWAY)}, asked {_times(seen.asked, 'nobody')}",
    )
    ended(
        scene,
        "b2",
        "what the MID holds",
        expected=f"USIMs for {CELLULAR}, {WLAN}; an ISIM with {len(HOME_USERS) + 1} identities",
        happened=held(scene, GATEWAY),
    )
    ended(
        scene,
        "b3",
        "the WLAN USIM against the operator, as EAP-AKA' uses it",
        expected=f"RES of 16 bytes is right, one MSK of {MSK_SIZE} bytes at both ends",
        happened=over_wlan(scene, GATEWAY, sho=SHO),
    )
    _widens(scene)
    _altered(scene)


def _phone(cases: UseCases) -> None:
    scene = cases.scene
    _ready(scene, PHONE, step="c.0")
    for number, sho in enumerate((SHO, SHO_2), start=1):
        order(scene, PHONE, step=f"c.{number}", key=f"phone-of-{sho}-order", product=PHONE_PRODUCT, sho=sho)
        Journey(scene=scene, device=scene.devices[PHONE], prefix=f"c.{number}.").run(choice=sho)
        if number == 1:
            ended(
                scene,
                "c1",
                "the first operator's USIM",
                expected="authenticated",
                happened=attach(scene, PHONE, sho=sho),
            )
    ended(
        scene,
        "c2",
        "each operator in a compartment of its own",
        expected=f"{SHO}: ACTIVE, {SHO_2}: ACTIVE",
        happened=states_of(scene, PHONE),
    )
    refused(
        scene,
        "c3",
        "the second USIM, while the first serves",
        tried(scene, PHONE, sho=SHO_2),
        expected="mid-refused",
    )
    mid_id, imsi = usim_of(scene, PHONE, SHO_2)
    selected = scene.devices[PHONE].ask_tre(Operation.SELECT, {"mid_id": mid_id, "application": imsi})
    refused(scene, "c4", "the agent selects one itself", selected, expected="malformed")
    with scene.narrator.line("c.3", "person", "TRE", f"select {imsi} at the MMI") as line:
        line.outcome = scene.devices[PHONE].person("select", imsi)
    ended(
        scene,
        "c5",
        "the second USIM, after a person has selected it",
        expected="authenticated; the first is refused: mid-refused",
        happened=f"{attach(scene, PHONE, sho=SHO_2)}; the first is {said(tried(scene, PHONE, sho=SHO))}",
    )
    _reboot(cases)


def _reboot(cases: UseCases) -> None:
    """Both owners approve the present state for the generation of now; then the device starts again."""
    scene, device = cases.scene, cases.scene.devices[PHONE]
    attest(scene, PHONE, step="c.4")
    with scene.narrator.line(
        "c.5", PHONE, "SHOs", "approvals of the present state, for the counter of now"
    ) as line:
        prepared = device.agent("prepare-update", "--manifest", cases.manifest_digest)
        line.outcome = prepared.outcome
    with scene.narrator.line("c.6", "person", PHONE, "switches it off and on"):
        scene.power_on(PHONE)
    ended(
        scene,
        "c6",
        "both compartments after a restart",
        expected=f"{SHO}: ACTIVE, {SHO_2}: ACTIVE; authenticated",
        happened=f"{states_of(scene, PHONE)}; {attach(scene, PHONE, sho=SHO_2)}",
    )


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What happens at the person's side of a journey: how often it was asked, and when the user was told what."""

    device: Device
    told: Callable[[], tuple[str, ...]]
    asked: int = 0
    told_before: tuple[str, ...] = ()
    agent_consents: object = None

    def look(self, event: Mapping[str, Any], _pid: int) -> None:
        """At each event of the agent."""
        if event["event"] == AWAITED:
            self.asked += 1
            self.agent_consents = self.device.ask_tre(Operation.CONSENT, {"order_digest": bytes(32)})
        if event["event"] == "receipt-signed":
            self.told_before = self.told()


def _ready(scene: Scene, name: str, *, step: str) -> None:
    if enroll(scene, name, step=step).status != 0:
        raise UnexpectedEndError(f"{name} could not be enrolled")
    connect(scene, name, step=step)


def _own(scene: Scene) -> None:
    """What the supplier puts into the gateway's image: whose it is, and what every MID in it must keep to."""
    supplier, now = scene.suppliers[APPROVED], system_clock().replace(microsecond=0)
    record = Ownership(
        supplier=APPROVED,
        device_id=scene.ids[GATEWAY],
        owner="owner-of-the-house",
        operators=(SHO, SHO_2),
        issued_at=now,
    )
    policy = DevicePolicy(
        supplier=APPROVED,
        profile=FULL,
        algorithms=(TUAK,),
        accesses=(CELLULAR, WLAN, IMS),
        res_bytes_min=8,
        is_checked_each_session=True,
        issued_at=now,
    )
    with scene.narrator.line("b.0", APPROVED, GATEWAY, "ownership record and device policy, signed") as line:
        scene.devices[GATEWAY].ownership = supplier.say(record.claims(), typ=OWNERSHIP_TYPE)
        scene.devices[GATEWAY].device_policy = supplier.say(policy.claims(), typ=DEVICE_POLICY_TYPE)
        line.outcome = f"operators {', '.join(record.operators)}; {TUAK} alone"


def _order_on_the_page(scene: Scene, name: str, *, sho: str, product: str) -> PlacedOrder:
    code = device_code(scene.ids[name])
    with scene.narrator.line("a.0", "user", sho, f"page /register: {product} for {code}") as line:
        placed = order_on_the_page(
            scene.services.http(sho, "public"),
            subscriber="the buyer of the car",
            device_code=code,
            product=product,
        )
        line.outcome = f"order code {placed.order_code}"
    return placed


def _widens(scene: Scene) -> None:
    """Another operator's product for the gateway, under an algorithm that the supplier does not allow there."""
    placed = order(
        scene, GATEWAY, step="b.1", key="careless-order-of-gateway", product=CARELESS_PRODUCT, sho=SHO_2
    )
    journey = Journey(scene=scene, device=scene.devices[GATEWAY], prefix="b.")
    answer = journey.run(choice=SHO_2)
    ended(
        scene,
        "b4",
        "a MID whose policy is wider than the device's",
        expected="policy-refused, order failed, no MID of sho-2",
        happened=f"{answer.outcome}, order {state_of(scene, placed, SHO_2).state}, "
        f"{'a' if SHO_2 in states_of(scene, GATEWAY) else 'no'} MID of {SHO_2}",
    )


def _altered(scene: Scene) -> None:
    """Somebody with the gateway's disk changes one bit of what its TRE stored, between two sessions."""
    (file,) = scene.devices[GATEWAY].tre_state.glob("vault-*")
    with scene.narrator.line("b.2", "thief", GATEWAY, f"changes a bit of {file.name} on the disk"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    first = tried(scene, GATEWAY, sho=SHO)
    (row,) = rows_of(scene, GATEWAY)
    if isinstance(first, Refusal):
        scene.narrator.remark(f"         the TRE: {first.reason}")
    ended(
        scene,
        "b5",
        "a MID that was altered on the disk, at its next session",
        expected="refused: state, then BLOCKED (integrity: state)",
        happened=f"{said(first)}, then {row['state']} ({row['reason']})",
    )


def _times(count: int, never: str = "nothing") -> str:
    return {0: never, 1: "once"}.get(count, f"{count} times")
