"""An update of a MID (R46, R57): its owner's order to the TRE, then a validation, a delivery and a receipt as of any order.

Rule: the TRE says whether the order is its owner's and updates a MID that is here; the agent carries it, and the package
after it, and can hold both back. What it had begun before is brought to its end first, so that no receipt is lost.
"""

from dataclasses import dataclass

from m2me_agent.agent.attachment import Attachment
from m2me_agent.agent.download import Delivering
from m2me_agent.agent.installation import Installation
from m2me_agent.agent.journey import Travelling, deliver, deliver_again
from m2me_agent.agent.ports import Device
from m2me_agent.tre_protocol import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Updating:
    """The parties, behind one bearer; the URLs are those of the settings."""

    way: Travelling
    attachment: Attachment
    device: Device
    pva_url: str
    dpf_url: str

    def finish(self) -> Installation | None:
        """Bring a delivery that was begun before to its end; None where there is none. Raises AgentError."""
        kept = self.way.shelf.grant()
        if kept is None:
            return None
        granted = kept
        return deliver(self.way, self.way.services.dpf(self.attachment, granted.dpf_url), lambda: granted)

    def update(self, order: str) -> Installation:
        """Carry one update, from its order to what came of it.

        Raises:
            AgentError: a party refused, or could not be reached. The whole may be repeated: the TRE takes a version once.
        """
        order_digest = self.way.tre.ask(Operation.ACCEPT_UPDATE, {"order": order})["order_digest"]
        self.way.pace.tell(7, "update-accepted", order_digest=order_digest.hex())
        delivering = Delivering(
            tre=self.way.tre,
            pva=self.way.services.pva(self.attachment, self.pva_url),
            dpf=self.way.services.dpf(self.attachment, self.dpf_url),
            device=self.device,
            order_digest=order_digest,
            pace=self.way.pace,
        )
        return deliver_again(self.way, delivering, dpf_url=self.dpf_url)
