"""The agent's own code over hostile hands, in this process: enrolment, journey and update as the product's agent goes them.

Rule: nothing of the agent is copied: its use cases are given another port to the TRE and another to the DPF, and everything
else as its command would give it. So an attack is upon what an agent really carries.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.ca import CaDeviceClient
from clients.pva import PvaDeviceClient
from clients.vno import VnoClient
from edge.http_client import ClientTls, HttpClient, client_context
from edge.process import system_random
from lab.device import Device
from lab.fourteen_steps import AWAITED
from lab.hostile_agent.hands import Hands
from m2me_agent.agent.attachment import Attachment, attach
from m2me_agent.agent.bearer_services import BearerServices, VnoService
from m2me_agent.agent.ca_service import CaService
from m2me_agent.agent.download import Grant, ProvisioningFunction, ReceiptAnswer
from m2me_agent.agent.journey import Arrival, Travelling, provision
from m2me_agent.agent.mid_update import Updating
from m2me_agent.agent.ports import Device as DeviceFacts
from m2me_agent.agent.ports import Pace, Patience, read_device
from m2me_agent.agent.pva_service import PvaService
from m2me_agent.agent.registration import Wishes
from m2me_agent.agent.shelf import DiskShelf
from m2me_agent.tre_protocol import Operation

TIMEOUT_S, PATIENCE_S = 20.0, 40.0
OnReceipt = Callable[[ProvisioningFunction, str, bytes], None]


class TappedDpf:
    """The DPF as the agent sees it; a receipt is shown to the attacker before it is handed in."""

    def __init__(self, dpf: ProvisioningFunction, on_receipt: OnReceipt) -> None:
        self._dpf, self._on_receipt = dpf, on_receipt
        self._shown: set[bytes] = set()

    def request(self, device: DeviceFacts, *, order_digest: bytes) -> str:
        """As the DPF."""
        return self._dpf.request(device, order_digest=order_digest)

    def granted(self, delivery_id: str, *, order_digest: bytes) -> Grant | None:
        """As the DPF."""
        return self._dpf.granted(delivery_id, order_digest=order_digest)

    def content(self, delivery_id: str, *, offset: int) -> bytes:
        """As the DPF."""
        return self._dpf.content(delivery_id, offset=offset)

    def receipt(self, delivery_id: str, statement: bytes) -> ReceiptAnswer:
        """As the DPF, after the attacker had his turn, once for each receipt."""
        if statement not in self._shown:
            self._shown.add(statement)
            self._on_receipt(self._dpf, delivery_id, statement)
        return self._dpf.receipt(delivery_id, statement)


class TappedServices:
    """Services behind a bearer, with a tap before the DPF."""

    def __init__(self, services: BearerServices, on_receipt: OnReceipt) -> None:
        self._services, self._on_receipt = services, on_receipt

    def drf(self, attachment: Attachment) -> Any:
        """As it is."""
        return self._services.drf(attachment)

    def pva(self, attachment: Attachment, url: str) -> PvaService:
        """As it is."""
        return self._services.pva(attachment, url)

    def dpf(self, attachment: Attachment, url: str) -> TappedDpf:
        """With the tap."""
        return TappedDpf(self._services.dpf(attachment, url), self._on_receipt)


@dataclass(slots=True, kw_only=True)
class Traveller:
    """One device's agent; its person agrees to whatever is shown."""

    device: Device
    hands: Hands
    folder: Path
    on_receipt: OnReceipt = lambda _dpf, _delivery_id, _statement: None
    patience_s: float = PATIENCE_S
    events: list[str] = field(default_factory=list)
    _urls: Mapping[str, Any] = field(init=False)
    _clients: dict[str, HttpClient] = field(default_factory=dict)
    _context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        """Read what the agent is configured with."""
        self._urls = self.device.agent_services()
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def provision(self) -> Arrival:
        """From where the device stands to an active subscription. Raises AgentError."""
        wishes = Wishes(consent=Patience(first_s=0.05, total_s=self.patience_s))
        return provision(self._way(), wishes)

    def ca(self) -> CaService:
        """The CA of the agent's settings."""
        return CaService(CaDeviceClient(self._http(self._urls["ca_url"])))

    def pva(self) -> PvaService:
        """The PVA of the agent's settings."""
        return PvaService(PvaDeviceClient(self._http(self._urls["pva_url"])))

    def attached(self) -> Attachment:
        """A fresh bearer. Raises AgentError."""
        return attach(self.hands, self.vno(), read_device(self.hands), tell=self._heard)

    def vno(self) -> VnoService:
        """The visited network of the agent's settings."""
        return VnoService(VnoClient(self._http(self._urls["vno_url"])))

    def dpf(self) -> Any:
        """The DPF behind a fresh bearer."""
        return self._bearer_services().dpf(self.attached(), self._urls["dpf_url"])

    def update(self, order: str) -> str:
        """An update of a MID, from its owner's order to the outcome of its receipt. Raises AgentError."""
        updating = Updating(
            way=self._way(),
            attachment=self.attached(),
            device=read_device(self.hands),
            pva_url=self._urls["pva_url"],
            dpf_url=self._urls["dpf_url"],
        )
        return updating.update(order).outcome

    def _way(self) -> Travelling:
        return Travelling(
            tre=self.hands,
            network=self.vno(),
            services=TappedServices(self._bearer_services(), self.on_receipt),
            shelf=DiskShelf(self.folder),
            random_bytes=system_random,
            pace=Pace(patience=Patience(total_s=self.patience_s), sleep=time.sleep, tell=self._heard),
        )

    def _bearer_services(self) -> BearerServices:
        return BearerServices(drf_url=self._urls["drf_url"], tls=self._tls(), timeout_s=TIMEOUT_S)

    def _http(self, url: str) -> HttpClient:
        """One client a service: a connection is kept, as an agent keeps it."""
        if url not in self._clients:
            tls = self._tls() if url.startswith("https:") else None
            self._clients[url] = HttpClient(url, tls=tls, timeout_s=TIMEOUT_S)
        return self._clients[url]

    def _tls(self) -> ssl.SSLContext:
        self._context = self._context or client_context(ClientTls(anchors=Path(self._urls["tls_root"])))
        return self._context

    def _heard(self, step: int, event: str, **details: str | int) -> None:
        self.events.append(f"{step} {event}")
        if event == AWAITED:
            person = self.hands.watch.person
            shown = person.ask(Operation.PENDING, {})
            for row in shown["orders"] if isinstance(shown, dict) else ():
                if row["order_code"] == details["order_code"]:
                    person.ask(Operation.CONSENT, {"order_digest": row["order_digest"]})
            self.hands.watch.look_again()
