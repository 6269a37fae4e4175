"""The stories of a subscription that moves to another device of its subscriber: given up half-way, and then to its end.

Rule: as for all stories, what happened is asked of both TREs, of the AuC by a vector, and of the operator's own record.
"""

from collections.abc import Callable, Mapping
from typing import Any

from clients.sho import Migration, PlacedOrder
from lab.fourteen_steps import Journey, attach_with_subscription, connect
from lab.mid_life import WITH_IMSI, Life
from lab.outcomes import ended
from lab.story import UnexpectedEndError, enroll
from messages.device_code import device_code

OTHER_DEVICE = "device-a"
ACCEPTED = "order-accepted"
"""What the agent says when the order is bound to its device, and its person has agreed."""


def give_up(life: Life) -> None:
    """The other device has registered and is killed, the MID is locked, the operator thinks better of it."""
    scene = life.scene
    scene.power_on(OTHER_DEVICE)
    if enroll(scene, OTHER_DEVICE).status != 0:
        raise UnexpectedEndError(f"{OTHER_DEVICE} could not be enrolled")
    connect(scene, OTHER_DEVICE, step="29")
    ordered = _order(life, step="30")
    _travel(life, scene.devices[OTHER_DEVICE].kill_agent, step="31")
    ended(
        scene,
        "l",
        "the MID while its subscription is on its way",
        expected="MIGRATING, no active MID",
        happened=f"{life.states()}, {attach_with_subscription(scene, life.name)}",
    )
    with scene.narrator.line("32", "staff", "SHO", "gives the migration up") as line:
        life.staff.abort_migration(ordered.order_id)
        line.outcome = life.staff.migrations(life.subscription_of)[-1].migration
    life.follow(step="32")
    used = attach_with_subscription(scene, life.name)
    ended(
        scene,
        "m",
        "the MID, called back",
        expected=f"ACTIVE, {WITH_IMSI}; there: none",
        happened=f"{life.states()}, {used}; there: {life.states(OTHER_DEVICE)}",
    )


def move(life: Life) -> None:
    """To its end: installed there, the AuC switches, erased here."""
    scene, source = life.scene, life.name
    ordered = _order(life, step="33")
    _travel(life, lambda: None, step="34")
    told = life.staff.migrations(life.subscription_of)[-1]
    ended(
        scene,
        "n",
        "the subscription in the other device",
        expected=f"committed, here: MIGRATING, there: ACTIVE, {WITH_IMSI}",
        happened=f"{told.migration}, here: {life.states()}, there: {life.states(OTHER_DEVICE)}, "
        + attach_with_subscription(scene, OTHER_DEVICE),
    )
    life.follow(step="35")
    before = life.staff.mid(life.subscription_of)
    ended(
        scene,
        "o",
        "what is left here, by the verified proof",
        expected="none, ERASED",
        happened=f"{life.states()}, {before.state}",
    )
    life.name, life.subscription_of = OTHER_DEVICE, ordered.order_id
    life.placed = PlacedOrder(
        order_id=ordered.order_id,
        order_code=ordered.order_code,
        state=ordered.state,
        secret=ordered.secret or "",
    )
    with scene.narrator.line("35", "power", source, "off"):
        scene.devices[source].power_off()


def _order(life: Life, *, step: str) -> Migration:
    code = device_code(life.scene.ids[OTHER_DEVICE])
    with life.scene.narrator.line(step, "staff", "SHO", f"moves the subscription to {code}") as line:
        ordered = life.staff.migrate_mid(
            life.placed.order_id, device_code=code, idempotency_key=f"migration-in-step-{step}"
        )
        line.outcome = f"order code {ordered.order_code}"
    return ordered


def _travel(life: Life, then: Callable[[], None], *, step: str) -> None:
    """The journey of the other device; once it is bound, the device that has the MID hears of the lock."""

    def watch(event: Mapping[str, Any], _pid: int) -> None:
        if event["event"] == ACCEPTED:
            life.follow(step=step)
            then()

    Journey(scene=life.scene, device=life.scene.devices[OTHER_DEVICE], watch=watch).run()
