"""A MID in the course of its life, as its stories share it: the device that it is in, its order, and what can be asked of whom."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from clients.dpf import DpfDeviceClient, MidStep
from clients.sho import PlacedOrder, ShoOperatorClient
from edge.http_client import ClientTls, HttpClient
from lab.fourteen_steps import asked
from lab.identities import SHO, STAFF
from lab.scene import Scene
from lab.story import GOOD_DEVICE
from m2me_agent.tre_protocol import Operation

WITH_IMSI, WITHOUT = "authenticated with the new IMSI", "not authenticated with the new IMSI"


@dataclass(slots=True, kw_only=True)
class Life:
    """One MID, the order that it came with, and the device that it is in."""

    scene: Scene
    placed: PlacedOrder
    name: str = GOOD_DEVICE
    order_digest: bytes = b""
    subscription_of: str = ""
    """The order that has the subscription now: the one that was placed, or the newest update."""

    @property
    def staff(self) -> ShoOperatorClient:
        """The SHO, as one of its own people reaches it."""
        services = self.scene.services
        return ShoOperatorClient(services.http(SHO, "operator", services.identity(STAFF)))

    def want(self, action: str, *, reason: str, step: str) -> None:
        """The staff says it; then the device asks."""
        with self.scene.narrator.line(step, "staff", "SHO", f"wants it to {action}: {reason}") as line:
            line.outcome = str(self.staff.want(self.placed.order_id, action, reason=reason).wish)

    def follow(self, *, step: str, name: str = "") -> str:
        """The device, or another one, asks what its owners want, and does it; the agent's outcome."""
        device = self.scene.devices[name or self.name]
        with self.scene.narrator.line(
            step, "M2ME", "VNO, DPF, SHO, TRE", "question, report, instruction, report"
        ) as line:
            answer = device.agent("follow")
            line.outcome = answer.outcome
        return answer.outcome

    def states(self, name: str = "") -> str:
        """The MIDs of the device, or of another one, as its TRE has them."""
        rows = asked(self.scene.devices[name or self.name], Operation.MIDS)["mids"]
        return ", ".join(str(row["state"]) for row in rows) or "none"

    def told(self) -> str:
        """What the SHO has on record of it."""
        life = self.staff.mid(self.placed.order_id)
        return f"{life.state}, {'nothing' if life.wish is None else life.wish} wanted"

    def step_by_hand(self, statement: bytes | None) -> MidStep:
        """One step of the conversation, past the agent."""
        url = f"https://{self.scene.services.address('recorder.device')}"
        with closing(HttpClient(url, tls=ClientTls(anchors=self.scene.services.tls_root))) as http:
            return DpfDeviceClient(http).mid_step(
                device_id=self.scene.ids[self.name], order_digest=self.order_digest, statement=statement
            )

    @property
    def files(self) -> Path:
        """What a thief of the disk has: everything that the TRE keeps."""
        return self.scene.site.role(f"devices/{self.name}") / "tre"
