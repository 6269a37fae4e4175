"""The fourteen steps, on the good device: from power-on with a PCID to an active MID.

Rule: what is told of the device's side is what its agent reports while it happens; what is told of the network's side
is what the roles' own answers say. Whether the subscription works is shown by attaching with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from clients.ccif import CcifClient
from clients.sho import OrderState, PlacedOrder, ShoPublicClient
from clients.vno import VnoClient
from edge.http_client import HttpError
from lab.device import Answer, Device, Refusal
from lab.homes import FIRST, HOME_MNC, PRODUCT, Home
from lab.identities import CCIF, SHO, VNO
from lab.narration import Line
from lab.network import Network
from lab.outcomes import ended
from lab.scene import Scene
from lab.story import APPROVED, UnexpectedEndError
from m2me_agent.tre_protocol import Operation
from messages.attachment import nai_of
from messages.bearer import Bearer
from messages.device_code import device_code

AWAITED = "needs-registration"
TOLD: Mapping[str, tuple[str, str, str]] = {
    "identity-sent": ("M2ME", "VNO", "attach: identity with the PCID"),
    "resynchronised": ("M2ME", "VNO, ICF", "AUTS: the network's sequence number was behind"),
    "challenge-answered": ("TRE", "VNO", "RES to the ICF's vector"),
    "attached": ("VNO", "M2ME", "bearer: destinations, quota, expiry"),
    "bearer-kept": ("M2ME", "VNO", "everything from here on over the bearer that serves"),
    "operator-found": ("DRF", "M2ME", "signed discovery answer"),
    "registered": ("M2ME", "DRF, SHO", "registration; order token"),
    AWAITED: ("TRE", "person", "operator and order code at the MMI"),
    "order-accepted": ("TRE", "-", "order bound to this TRE; consent given"),
    "validated": ("M2ME", "PVA", "evidence: quote and boot log"),
    "validated-again": ("M2ME", "PVA", "evidence for the DPF's own question"),
    "delivery-requested": ("M2ME", "DPF", "asks for its delivery"),
    "granted": ("DPF", "M2ME", "grant: package and delivery token"),
    "downloaded": ("DPF", "M2ME", "content, in chunks"),
    "receipt-signed": ("TRE", "M2ME", "what came of it, in a receipt signed by the AK"),
    "receipt-taken": ("DPF", "SHO", "receipt, unmodified"),
    "instructed": ("SHO", "TRE", "AuC open; its owner's signed word: activate, or switch"),
}
"""What an event of the agent means: who to whom, and what."""


@dataclass(slots=True, kw_only=True)
class Journey:
    """One run of an agent, told as it happens; the person at its MMI consents.

    The agent is killed after the event `stop_at`; `watch` is called at each event with the agent's process id.
    """

    scene: Scene
    device: Device
    stop_at: str = ""
    watch: Callable[[Mapping[str, Any], int], None] = lambda _event, _pid: None
    prefix: str = ""
    delivery_id: str = ""
    told_ms: dict[str, float] = field(default_factory=dict)
    _last_ms: float = 0.0

    def run(self, *, choice: str = "", bearer: Path | None = None) -> Answer:
        """From where the device stands to the end; over a bearer that serves already, where there is a file with one."""
        answer = self.device.provision(on_event=self._on_event, choice=choice, bearer=bearer)
        if answer.refusal:
            self.scene.narrator.remark(
                f"         the agent: {answer.refusal.subject}: {answer.refusal.reason}"
            )
        return answer

    def order_to_active_ms(self) -> float | None:
        """From the DRF's answer to the active MID, without the time that the person took to agree."""
        at = self.told_ms
        if not {"operator-found", "order-accepted", "instructed"} <= set(at):
            return None
        thought = at["order-accepted"] - at[AWAITED] if AWAITED in at else 0.0
        return at["instructed"] - at["operator-found"] - thought

    def _on_event(self, event: Mapping[str, Any], pid: int) -> None:
        self.tell(event)
        self.watch(event, pid)
        self.delivery_id = str(event.get("delivery_id", self.delivery_id))
        if event["event"] == AWAITED:
            code = str(event["order_code"])
            with self.scene.narrator.line(
                f"{self.prefix}7", "person", "TRE", f"consent to order {code}"
            ) as line:
                line.outcome = self.device.person("consent", code)
        if event["event"] == self.stop_at:
            self.device.kill_agent()

    def tell(self, event: Mapping[str, Any]) -> None:
        """Print one event as a line of the story."""
        name = str(event["event"])
        sender, receiver, message = TOLD.get(name, ("M2ME", "-", name.replace("-", " ")))
        outcome = next(
            (str(event[key]) for key in ("status", "outcome", "state", "source", "bytes") if key in event),
            "ok",
        )
        line = Line(
            step=f"{self.prefix}{event['step']}",
            sender=sender,
            receiver=receiver,
            message=message,
            outcome=outcome,
        )
        elapsed_ms = self.told_ms[name] = float(event["elapsed_ms"])
        self.scene.narrator.told(line, elapsed_ms=elapsed_ms - self._last_ms)
        self._last_ms = elapsed_ms


def open_network(scene: Scene, *, homes: Sequence[Home] = (FIRST,)) -> None:
    """Start the network's roles with these home operators; they recognise the approved supplier."""
    with network_beside(scene, homes=homes) as wait:
        wait()


@contextmanager
def network_beside(scene: Scene, *, homes: Sequence[Home] = (FIRST,)) -> Iterator[Callable[[], None]]:
    """Begin to start the network's roles beside what is told meanwhile; the call that is given waits for them."""
    network = Network(scene.services, scene.processes, homes=homes)
    es_root = scene.anchors(APPROVED).es_root

    def wait() -> None:
        with scene.narrator.line(
            "0", "operators", "CA", "keys, certificates; the network's roles start"
        ) as line:
            opening.result()
            line.outcome = "VNO, ICF, CCIF, DRF, SHO, DPF"
        scene.network = network

    with ThreadPoolExecutor(
        1
    ) as worker:  # whatever happens meanwhile, no process starts after the others end
        opening = worker.submit(network.open, scene.administrator, supplier=APPROVED, es_root=es_root)
        yield wait


def connect(scene: Scene, name: str, *, step: str = "0") -> None:
    """The factory gives a device its PCID: sealed by the CCIF for this TPM, put into its TRE."""
    device = scene.devices[name]
    with scene.narrator.line(step, "factory", "CCIF, TRE", "PCID and sealed key; K at the ICF") as line:
        status = asked(device, Operation.STATUS)["status"]
        client = CcifClient(scene.services.http(CCIF, "operator", scene.services.identity(APPROVED)))
        issued = client.connectivity(
            device_id=scene.ids[name], storage_public=bytes.fromhex(status["storage_public"])
        )
        line.outcome = f"PCID {asked(device, Operation.INSTALL_CONNECTIVITY, token=issued.token)['pcid']}"


def order(
    scene: Scene, name: str, *, step: str = "0", key: str = "", product: str = PRODUCT, sho: str = SHO
) -> PlacedOrder:
    """The user orders at the operator of his choice, with the code on the device's label."""
    code = device_code(scene.ids[name])
    with scene.narrator.line(step, "user", "SHO" if sho == SHO else sho, f"order for {code}") as line:
        placed = public(scene, sho).order(
            subscriber=f"subscriber of {name}",
            device_code=code,
            product=product,
            idempotency_key=key or f"lab-order-of-{name}",
        )
        line.outcome = f"order code {placed.order_code}"
    return placed


def public(scene: Scene, sho: str = SHO) -> ShoPublicClient:
    """The operator's public listener, as a user's browser reaches it."""
    return ShoPublicClient(scene.services.http(sho, "public"))


def state_of(scene: Scene, placed: PlacedOrder, sho: str = SHO) -> OrderState:
    """Where an order stands, as its user sees it."""
    return public(scene, sho).order_state(placed.order_id, secret=placed.secret)


def play_fourteen_steps(
    scene: Scene,
    name: str,
    *,
    watch: Callable[[PlacedOrder, Mapping[str, Any], int], None] = lambda _order, _event, _pid: None,
) -> PlacedOrder:
    """All of them on one enrolled device, and the subscription used once.

    `watch` is called at each event of the agent, with the order and the agent's process id.
    """
    connect(scene, name)
    placed = order(scene, name)
    journey = Journey(scene=scene, device=scene.devices[name], watch=partial(watch, placed))
    answer = journey.run()
    stands = state_of(scene, placed)
    told = ", ".join(stands.informed) or "nothing"
    scene.narrator.remark(f"       the user was told: {told}")
    if (took_ms := journey.order_to_active_ms()) is not None:
        scene.narrator.remark(
            f"       from registration to ACTIVE, without the person's consent: {took_ms:.0f} ms"
        )
    used = attach_with_subscription(scene, name)
    happened = f"{answer.said.get('outcome', answer.outcome)}, order {stands.state}, {used}"
    ended(
        scene,
        "steps",
        "from power-on to an active MID",
        expected="active, order active, authenticated with the new IMSI",
        happened=answer.outcome if answer.refusal else happened,
    )
    return placed


def attach_with_subscription(scene: Scene, name: str) -> str:
    """Attach with the MID's IMSI: the SHO's AuC gives vectors now, the TRE answers with the new key."""
    device = scene.devices[name]
    rows = asked(device, Operation.MIDS)["mids"]
    active = [row for row in rows if row["state"].upper() == "ACTIVE"]
    if not active:
        return "no active MID"
    mid_id, imsi = str(active[0]["mid_id"]), str(active[0]["applications"][0])
    vno = VnoClient(scene.services.http(VNO, "device"))
    with scene.narrator.line("14", "TRE", "VNO, SHO", f"attach with the new IMSI {imsi}") as line:
        try:
            bearer = attached(vno, device, mid_id=mid_id, imsi=imsi)
        except HttpError as error:
            line.outcome = f"refused: {error.problem.reason if error.problem else error.status}"
            return "not authenticated with the new IMSI"
        line.outcome = f"bearer to {bearer.apn}"
    return "authenticated with the new IMSI"


def attached(vno: VnoClient, device: Device, *, mid_id: str, imsi: str) -> Bearer:
    """AKA with a MID, after one resynchronisation at most: a TRE that was restarted has lost part of a block."""
    challenge = vno.attach(nai_of(imsi, mnc_digits=len(HOME_MNC)))
    named = {"mid_id": mid_id, "application": imsi}
    answer = asked(device, Operation.AUTHENTICATE, rand=challenge.rand, autn=challenge.autn, **named)
    if "auts" in answer:
        challenge = vno.resynchronise(challenge.session, auts=answer["auts"])
        answer = asked(device, Operation.AUTHENTICATE, rand=challenge.rand, autn=challenge.autn, **named)
    return vno.respond(challenge.session, res=answer.get("res", b""))


def asked(device: Device, operation: Operation, **parameters: Any) -> Mapping[str, Any]:
    """What a TRE answers to its agent. Raises UnexpectedEndError where it refuses."""
    answer = device.ask_tre(operation, parameters)
    if isinstance(answer, Refusal):
        raise UnexpectedEndError(f"the TRE of {device.name} refused {operation}: {answer.reason}")
    return answer
