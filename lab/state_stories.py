"""Stories of the wrong state or the wrong device: h1, h2, j, k; told after a device has its subscription.

Rule: as for all stories; where a device must get nothing, the recorder before the DPF must have seen no byte of what
was authorised for it, and the same look must find what the good device got.
"""

import time
from dataclasses import dataclass, replace

from clients.sho import PlacedOrder
from edge.process import system_random
from lab.fourteen_steps import Journey, asked, connect, order, state_of
from lab.identities import SHO
from lab.outcomes import ended, refusal_of, refused
from lab.recorder import Records
from lab.scene import Scene
from lab.sho_records import AuthorizedOrder, ShoRecords
from lab.story import GOOD_DEVICE, UnexpectedEndError, enroll
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


def play_state_stories(scene: Scene, stage: Stage) -> None:
    """All of them, in order."""
    tell = scene.narrator
    tell.heading(
        "h: the state changes between validation and download, and once more before the TPM is asked"
    )
    placed = changed_before_the_download(scene, stage)
    changed_before_unseal(scene, placed)
    tell.heading("j: the attacker's own approved device for another user's order")
    attackers_own_device(scene)
    tell.heading("k: the package carried to a twin, and replayed where it was installed")
    package_for_a_twin(scene, stage)
    package_replayed(scene, stage)


def changed_before_the_download(scene: Scene, stage: Stage) -> PlacedOrder:
    """Validated and authorised; then another kernel is booted before the download."""
    ready(scene, CHANGING, step="h.0")
    placed = order(scene, CHANGING, step="h.0")
    Journey(scene=scene, device=scene.devices[CHANGING], stop_at="validated", prefix="h.").run()
    _wait_until_authorized(scene, placed)
    authorized = stage.records.authorized(placed.order_id)
    with scene.narrator.line("h.11", "thief", CHANGING, "boots another kernel, then goes on"):
        scene.power_on(CHANGING, release=replace(scene.release(), kernel=OTHER_KERNEL))
    answer = Journey(scene=scene, device=scene.devices[CHANGING], prefix="h.").run()
    refused(
        scene,
        "h1",
        "state changed between validation and download",
        refusal_of(answer),
        expected="fresh-result-not-affirming",
    )
    _nothing_left(scene, stage, authorized)
    return placed


def changed_before_unseal(scene: Scene, placed: PlacedOrder) -> None:
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
    rows = asked(device, Operation.MIDS)["mids"]
    stands = state_of(scene, placed).state
    ended(
        scene,
        "h2",
        "state changed between the last check and Unseal",
        expected="the TPM refused: no MID, order not active",
        happened=f"{'the TPM refused: no MID' if not rows else 'a MID is there'}, order "
        f"{'not active' if stands != 'active' else 'active'}",
    )


def attackers_own_device(scene: Scene) -> None:
    """A good, approved device asks for the subscription that somebody ordered for another one."""
    ready(scene, TWIN, step="j.0")
    answer = Journey(scene=scene, device=scene.devices[TWIN], prefix="j.").run(choice=SHO)
    refused(
        scene,
        "j",
        "the attacker's own approved device for another's order",
        refusal_of(answer),
        expected="no-order",
    )


def package_for_a_twin(scene: Scene, stage: Stage) -> None:
    """What the good device got, seen on the way, handed to the TRE of a twin in the same approved state."""
    twin = scene.devices[TWIN]
    package = stage.package_of_the_good_device()
    delivery = str(stage.recorded.answer_with(package.package.encode())["delivery"])
    with scene.narrator.line("k.1", "thief", TWIN, "another device's package, delivery and content") as line:
        answer = twin.ask_tre(
            Operation.INSTALL,
            {"package": package.package, "delivery": delivery, "content": package.content},
        )
        line.outcome = _outcome(answer)
    installed = asked(twin, Operation.MIDS)["mids"]
    ended(
        scene,
        "k1",
        "package carried to a twin device",
        expected="package-refused, no MID",
        happened=f"{_outcome(answer)}, {'no MID' if not installed else 'a MID'}",
    )


def package_replayed(scene: Scene, stage: Stage) -> None:
    """The same on the good device itself, which has installed it already."""
    device = scene.devices[GOOD_DEVICE]
    package = stage.package_of_the_good_device()
    delivery = str(stage.recorded.answer_with(package.package.encode())["delivery"])
    before = asked(device, Operation.MIDS)["mids"]
    with scene.narrator.line("k.2", "thief", GOOD_DEVICE, "its own package once more") as line:
        answer = device.ask_tre(
            Operation.INSTALL,
            {"package": package.package, "delivery": delivery, "content": package.content},
        )
        line.outcome = _outcome(answer)
    changed = asked(device, Operation.MIDS)["mids"] != before
    ended(
        scene,
        "k2",
        "package replayed after the install",
        expected="the old receipt again, nothing changed",
        happened=f"{'the old receipt again' if _outcome(answer) == 'installed' else _outcome(answer)}, "
        f"{'something changed' if changed else 'nothing changed'}",
    )


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


def _outcome(answer: object) -> str:
    """What a TRE said to an installation: the outcome in its receipt, or its refusal."""
    if isinstance(answer, dict):
        return decode_receipt(decode_statement(answer["statement"]).body).outcome
    return str(getattr(answer, "code", answer))
