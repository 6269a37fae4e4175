"""Where the secrets of a subscription are: in the TRE and at the SHO, and nowhere else (R21, R51, R55).

Rule: the agent is looked into while it holds the receipt, when everything has passed through its hands; the places are
searched for K and OPc as the SHO has them, and each search must find what was planted for it. The content key of the
package is known to nobody afterwards; it is searched for where the TPM is one that the lab can look into.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.process import system_clock, system_random
from lab.content_key import content_key
from lab.identities import CCIF, DPF, DRF, ICF, VNO
from lab.outcomes import ended
from lab.scene import Scene
from lab.secret_scan import SecretScan, Sighting
from lab.sho_records import ShoRecords
from lab.story import GOOD_DEVICE, UnexpectedEndError
from messages.mid_package import PACKAGE_KIND, read_claims
from messages.operator_token import verify_operator_token
from standards.pki.fingerprints import decode_pem_certificates

PLANTED_BYTES = 32
PLANT = "LAB_PLANTED"
SEARCHED = ("ca", "ocsp", "pva", VNO, ICF, CCIF, DRF, DPF, "recorder")
"""Everybody's folder but the SHO's; TPM and TRE of a device have theirs below `devices`."""


@dataclass(slots=True, kw_only=True)
class AgentWatch:
    """Plants a secret with the good device's agent, and looks into its memory when it holds the receipt.

    The order is known once it is placed; its K and OPc once the device has registered.
    """

    scene: Scene
    records: ShoRecords
    order_id: str = ""
    planted: bytes = field(default_factory=lambda: system_random(PLANTED_BYTES), repr=False)
    looked: bool = False
    found: list[Sighting] = field(default_factory=list)

    def plant(self) -> None:
        """Give the agent's process the planted secret, spelt in hexadecimal."""
        self.scene.devices[GOOD_DEVICE].planted[PLANT] = self.planted.hex()

    def watch(self, event: Mapping[str, Any], pid: int) -> None:
        """Look when the receipt has been signed: package, content and receipt are in the agent's memory."""
        if event["event"] != "receipt-signed" or self.looked:
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            self.found = self._scan().memory(pid, name=f"the agent of {GOOD_DEVICE}")
            self.looked = True
        finally:
            os.kill(pid, signal.SIGCONT)

    def tell(self) -> None:
        """Search the files of everybody else, and say what came of both."""
        if not self.looked:
            raise UnexpectedEndError("the agent was not seen with a receipt in its hands")
        site = self.scene.site
        plant = site.logs / "planted"
        plant.write_bytes(self.planted)
        folders = [site.logs, *(site.role(name) for name in SEARCHED), *self._downloads()]
        with self.scene.narrator.line(
            "s", "auditor", "everybody", f"{self._sought}: raw, hex, base64"
        ) as line:
            found = [*self.found, *self._scan().files(folders, plant_in=plant)]
            line.outcome = f"found {len(found)} times"
        plant.unlink()
        for sighting in found:
            self.scene.narrator.remark(f"         {sighting.what} as {sighting.spelling} in {sighting.place}")
        ended(
            self.scene,
            "s",
            f"{self._sought} outside TRE and SHO",
            expected="nowhere: not in the agent's memory, a log, a store or on the wire",
            happened="nowhere: not in the agent's memory, a log, a store or on the wire"
            if not found
            else f"found in {len(found)} places",
        )

    def _scan(self) -> SecretScan:
        key = self.records.subscriber_key(self.order_id)
        secrets = {"K": key.k, "OPc": key.opc}
        if self._knows_content_key:
            token = self.records.authorized(self.order_id).package
            anchors = decode_pem_certificates(self.scene.services.operators_root.read_bytes())
            header = read_claims(
                verify_operator_token(token, PACKAGE_KIND, anchors=anchors, at=system_clock()).claims
            )
            tpm_state = self.scene.devices[GOOD_DEVICE].tpm_state
            secrets["content key"] = content_key(tpm_state, header.sealed_key)
        return SecretScan(secrets, planted=self.planted)

    @property
    def _knows_content_key(self) -> bool:
        """Whether the good device's TPM is one that the lab can look into."""
        return self.scene.maker.kind == "software TPM"

    @property
    def _sought(self) -> str:
        return "K, OPc, content key" if self._knows_content_key else "K, OPc"

    def _downloads(self) -> list[Path]:
        return [device.run / "downloads" for device in self.scene.devices.values()]
