"""The stage of the demo: services, parties and the releases that devices boot, ready for any story.

Rule: a story gets its devices from here and shares none with another; what differs from the good case is what
its story is about, and nothing else.
"""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.pva import PvaDeviceClient
from edge.http_client import HttpError
from edge.process import system_random
from lab.boot import Release, measure_tre_image
from lab.device import Anchors, Device, Refusal, refusal_in
from lab.narration import Narrator
from lab.network import Network
from lab.parties import Administrator, Operator, Supplier
from lab.processes import Processes
from lab.services import Services
from lab.site import Site
from lab.tpms import TpmMaker
from messages.batch import BatchDevice
from standards.pki.fingerprints import device_id, spki_der

MODEL = {"supplier-1": "gateway-1", "supplier-2": "gateway-2"}
RELEASE_VERSION = "1.0"


@dataclass(slots=True, kw_only=True)
class Scene:
    """Everything that a story needs."""

    site: Site
    processes: Processes
    narrator: Narrator
    maker: TpmMaker
    services: Services
    network: Network | None = None
    administrator: Administrator = field(init=False)
    operator: Operator = field(init=False)
    suppliers: dict[str, Supplier] = field(default_factory=dict)
    roots: dict[str, x509.Certificate] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def release(self) -> Release:
        """The release that the suppliers approve: the TRE is the code of this checkout."""
        return Release(version=RELEASE_VERSION, svn=1, tre_image=measure_tre_image(self.site.image))

    def anchors(self, supplier: str) -> Anchors:
        """What the factory puts into a device's image (D20): no operator's data."""
        es_root = self.services.first / f"{supplier}-root.pem"
        if not es_root.exists():
            es_root.write_bytes(self.roots[supplier].public_bytes(Encoding.PEM))
        return Anchors(
            es_root=es_root, operators_root=self.services.operators_root, tls_root=self.services.tls_root
        )

    def make_device(self, name: str, number: int) -> Device:
        """A device with a TPM of the maker, its endorsement key read on the factory line."""
        device = Device(name, number, site=self.site, processes=self.processes, maker=self.maker)
        device.manufacture()
        ek = device.endorsement_key(system_random)
        self.devices[name] = device
        self.ids[name] = device_id(spki_der(ek.public_key())).hex()
        return device

    def batch_entry(self, name: str, supplier: str) -> BatchDevice:
        """The row of a batch list for a device."""
        return BatchDevice(device_id=self.ids[name], model=MODEL[supplier], serial=f"sn-{name}")

    def power_on(self, name: str, *, supplier: str = "supplier-1", release: Release | None = None) -> Device:
        """Boot a device with the approved release or another, and connect its agent."""
        device, anchors = self.devices[name], self.anchors(supplier)
        device.power_on(release or self.release(), anchors=anchors, random_bytes=system_random)
        urls = self.services.urls
        known = {"ca_url": urls["ca"]["device"], "pva_url": urls["pva"]["device"]}
        if self.network is not None:
            dpf_url = f"https://{self.services.address('recorder.device')}"
            known |= {"vno_url": self.network.vno_url, "drf_url": self.network.drf_url, "dpf_url": dpf_url}
        device.connect_agent(known, anchors=anchors)
        return device

    def challenge(self, name: str) -> str:
        """A challenge for a device, as anybody on the network who knows its id can fetch it."""
        return PvaDeviceClient(self.services.http("pva", "device")).challenge(self.ids[name])

    def submit(self, evidence: bytes) -> str | Refusal:
        """Hand evidence to the PVA as anybody on the network can: the tier, or the refusal."""
        try:
            return PvaDeviceClient(self.services.http("pva", "device")).submit_evidence(evidence).status
        except HttpError as error:
            refusal = refusal_in(error)
            if isinstance(refusal, str):
                raise
            return refusal
