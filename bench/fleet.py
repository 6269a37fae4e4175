"""Whether a PVA's memory grows with the devices that share a boot log and a runtime policy."""

import gc
import tracemalloc
from dataclasses import dataclass, replace

from messages.evidence import encode_evidence
from pva.appraisal.known import CREDENTIALS_MAX, KEYS_MAX, Known
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.pki import NOW
from tests.fakes.pva_world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetGrowth:
    """Bytes that a verifier holds after a part and after the whole of a fleet, its stores apart."""

    devices: int
    logs: int
    per_log_device: float
    per_device: float

    def words(self) -> str:
        """One line for people."""
        return (
            f"{self.devices:,} devices with one boot log: {self.logs} replay held, {self.per_log_device:,.0f} bytes more a "
            f"device that was seen before; {self.per_device:,.0f} a new one, for its key and credential, up to "
            f"{KEYS_MAX:,} and {CREDENTIALS_MAX:,} of them"
        )


def fleet_growth(devices: int) -> FleetGrowth:
    """Validate `devices` devices that boot alike, and then all of them again."""
    world = World()
    verifier = replace(world.verifier, known=Known())
    fleet = [AttestingDevice(boot=world.device.boot, ek_seed=b"%d" % number) for number in range(devices)]
    chains = [world.chain(device=device) for device in fleet]

    def one(device: AttestingDevice, number: int) -> None:
        token, challenge = world.challenge(device=device)
        verifier.validate_platform(
            encode_evidence(device.evidence(challenge, token=token, chain=chains[number])), at=NOW
        )
        # what a store would hold on disk is not the verifier's memory
        for kept in (world.store.requests, world.store.results, world.store.histories, world.store.redeemed):
            kept.clear()
        for kept in (world.store.audit, world.store.revisions, world.announced):
            kept.clear()

    one(fleet[0], 0)
    tracemalloc.start()
    try:
        before = _held()
        for number, device in enumerate(fleet):
            one(device, number)
        first = _held()
        for number, device in enumerate(fleet):
            one(device.later(), number)
        again = _held()
    finally:
        tracemalloc.stop()
    return FleetGrowth(
        devices=devices,
        logs=len(verifier.known.logs),
        per_log_device=max(again - first, 0) / devices,
        per_device=max(first - before, 0) / devices,
    )


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
