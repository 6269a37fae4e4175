"""Stories of the wrong state or the wrong device (h, j, k), told after a device has its subscription.

Rule: as for all stories; where a device must get nothing, the recorder before the DPF must have seen no byte of what
was authorised for it, and the same look must find what the good device got.
"""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from clients.dpf import DpfDeviceClient
from clients.sho import PlacedOrder
from edge.http_client import ClientTls, HttpClient, HttpError
from edge.process import system_random
from lab.device import Refusal, refusal_in
from lab.fourteen_steps import Journey, asked, connect, order, state_of
from lab.identities import SHO
from lab.outcomes import ended, refusal_of, refused, said
from lab.recorder import Records
from lab.scene import Scene
from lab.sho_records import AuthorizedOrder, ShoRecords
from lab.story import GOOD_DEVICE, UnexpectedEndError, attest, enroll
from m2me_agent.tre_protocol import Operation
from messages.mid_package import package_digest
from messages.statement import decode_receipt, decode_statement
from standards.tpm2.constants import Algorithm

CHANGING, TWIN = "device-h", "device-k"
AUTHORIZED_WAIT_S, PAUSE_S = 15.0, 0.05
OTHER_KERNEL = "vmlinuz-6.1.0-of-someone-else"
MEASURED_LATE = bytes(range(32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What these stories look into: the SHO's records, what the recorder kept, and the good device's order."""

    records: ShoRecords
    recorded: Records
    good: PlacedOrder

    def package_of_the_good_device(self) -> AuthorizedOrder:
        """What the good device got."""
        return self.records.authorized(self.good.order_id)


def changed_before_the_download(scene: Scene, stage: Stage) -> PlacedOrder:
    """Validated and authorised; then another kernel is booted before the download."""
    ready(scene, CHANGING, step="h.0")
    placed = order(scene, CHANGING, step="h.0")
    Journey(scene=scene, device=scene.devices[CHANGING], stop_at="validated", prefix="h.").run()
    _wait_until_authorized(scene, placed)
    authorized = stage.records.authorized(placed.order_id)
    with scene.narrator.line("h.11", "thief", CHANGING, "boots another kernel, then goes on"):
        scene.power_on(CHANGING, release=replace(scene.release(), kernel=OTHER_KERNEL))
    journey = Journey(scene=scene, device=scene.devices[CHANGING], prefix="h.")
    journey.run()
    with scene.narrator.line("h.12", "thief", "DPF", "asks for the delivery all the same") as line:
        answer = _asked_for(scene, journey.delivery_id)
        line.outcome = said(answer)
    refused(
        scene,
        "h1",
        "state changed between validation and download",
        answer,
        expected="fresh-result-not-affirming",
    )
    _nothing_left(scene, stage, authorized)
    return placed


def changed_before_unseal(scene: Scene, stage: Stage, placed: PlacedOrder) -> None:
    """The DPF's last check is passed in the approved state; something is measured before the TPM is asked."""
    with scene.narrator.line("h.12", "owner", CHANGING, "boots the approved release again"):
        scene.power_on(CHANGING)
    device = scene.devices[CHANGING]
    Journey(scene=scene, device=device, stop_at="granted", prefix="h.").run()
    with scene.narrator.line("h.12", "thief", "TPM", "one more event is measured into PCR 4"):
        device.restart_tre(
            lambda tpm: tpm.pcr_extend(4, digests={Algorithm.SHA256: MEASURED_LATE}),
            random_bytes=system_random,
        )
    Journey(scene=scene, device=device, prefix="h.").run()
    authorized = stage.records.authorized(placed.order_id)
    with scene.narrator.line("h.13", "thief", "TRE", "the package once more, past its agent") as line:
        outcome = line.outcome = _outcome(_installed(scene, CHANGING, stage, authorized))
    stands = state_of(scene, placed).state
    ended(
        scene,
        "h2",
        "state changed between the last check and Unseal",
        expected="state-refused by the TPM, no MID, order not active",
        happened=f"{outcome}{' by the TPM' if outcome == 'state-refused' else ''}, {_mids(scene, CHANGING)}, "
        f"order {'active' if stands == 'active' else 'not active'}",
    )


def attackers_own_device(scene: Scene) -> None:
    """A good, approved device asks for the subscription that somebody ordered for another one."""
    answer = Journey(scene=scene, device=scene.devices[TWIN], prefix="j.").run(choice=SHO)
    refused(
        scene,
        "j",
        "the attacker's own approved device for another's order",
        refusal_of(answer),
        expected="registration-refused",
    )


def package_for_a_twin(scene: Scene, stage: Stage) -> None:
    """What the good device got, seen on the way, handed to the TRE of a twin in the same approved state."""
    attest(scene, TWIN, step="k.0")  # in the approved state, as the good device is
    with scene.narrator.line("k.1", "thief", TWIN, "another device's package, delivery and content") as line:
        outcome = line.outcome = _outcome(_installed(scene, TWIN, stage, stage.package_of_the_good_device()))
    ended(
        scene,
        "k1",
        "package carried to a twin device",
        expected="package-refused, no MID",
        happened=f"{outcome}, {_mids(scene, TWIN)}",
    )


def package_replayed(scene: Scene, stage: Stage) -> None:
    """The same on the good device itself, which has installed it already."""
    before = asked(scene.devices[GOOD_DEVICE], Operation.MIDS)["mids"]
    with scene.narrator.line("k.2", "thief", GOOD_DEVICE, "its own package once more") as line:
        outcome = line.outcome = _outcome(
            _installed(scene, GOOD_DEVICE, stage, stage.package_of_the_good_device())
        )
    changed = asked(scene.devices[GOOD_DEVICE], Operation.MIDS)["mids"] != before
    ended(
        scene,
        "k2",
        "package replayed after the install",
        expected="the old receipt again, nothing changed",
        happened=f"{'the old receipt again' if outcome == 'installed' else outcome}, "
        f"{'something changed' if changed else 'nothing changed'}",
    )


def _installed(
    scene: Scene, name: str, stage: Stage, package: AuthorizedOrder
) -> Mapping[str, Any] | Refusal:
    """What a TRE says to a package that was seen on the way, with the delivery token that came with it."""
    delivery = str(stage.recorded.answer_with(package.package.encode())["delivery"])
    parts = {"package": package.package, "delivery": delivery, "content": package.content}
    return scene.devices[name].ask_tre(Operation.INSTALL, parts)


def _mids(scene: Scene, name: str) -> str:
    return "a MID" if asked(scene.devices[name], Operation.MIDS)["mids"] else "no MID"


def _asked_for(scene: Scene, delivery_id: str) -> Refusal | str:
    """What the DPF answers to whoever knows the id of a delivery."""
    url = f"https://{scene.services.address('recorder.device')}"
    with closing(HttpClient(url, tls=ClientTls(anchors=scene.services.tls_root))) as http:
        try:
            return DpfDeviceClient(http).delivery(delivery_id).state
        except HttpError as error:
            return refusal_in(error)


def ready(scene: Scene, name: str, *, step: str) -> None:
    """Enrol a device and give it its PCID."""
    answer = enroll(scene, name, step=step)
    if answer.refusal or answer.status != 0:
        raise UnexpectedEndError(f"{name} could not be enrolled: {answer.outcome}")
    connect(scene, name, step=step)


def _wait_until_authorized(scene: Scene, placed: PlacedOrder) -> None:
    deadline = time.monotonic() + AUTHORIZED_WAIT_S
    while (state := state_of(scene, placed).state) != "authorized":
        if time.monotonic() > deadline:
            raise UnexpectedEndError(f"order {placed.order_id} is {state}, expected authorized")
        time.sleep(PAUSE_S)


def _nothing_left(scene: Scene, stage: Stage, authorized: AuthorizedOrder) -> None:
    """Nothing of this package has passed the recorder; of the good device's, everything has."""
    good = stage.package_of_the_good_device()
    left = any(stage.recorded.holds(authorized.package.encode(), authorized.content))
    sees = all(stage.recorded.holds(good.package.encode(), good.content))
    scene.narrator.remark(
        f"         recorder before the DPF: package {package_digest(authorized.package).hex()[:16]} "
        f"{'LEFT' if left else 'did not leave'}; positive control {'found' if sees else 'MISSED'}"
    )
    ended(
        scene,
        "h1r",
        "what the recorder before the DPF saw",
        expected="nothing of it left; the good device's package was seen",
        happened=f"{'something' if left else 'nothing'} of it left; the good device's package was "
        f"{'seen' if sees else 'not seen'}",
    )


def _outcome(answer: Mapping[str, Any] | Refusal) -> str:
    """What a TRE said to an installation: the outcome in its receipt, or its refusal."""
    if isinstance(answer, Refusal):
        return said(answer)
    return decode_receipt(decode_statement(answer["statement"]).body).outcome
