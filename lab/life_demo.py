"""The demo of a MID's life: blocked, opened again, instructed, updated, moved, and erased so that no file that was kept opens.

Rule: as for all stories: what happened is read from the parties' answers. What the operator wants its staff says at the SHO; what
became of it the SHO believes by the TRE's signature alone.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from lab.demo import open_scene, say_conditions
from lab.device import OFTEN
from lab.fourteen_steps import asked, attach_with_subscription, open_network, play_fourteen_steps, state_of
from lab.mid_life import WITH_IMSI, WITHOUT, Life
from lab.migration_stories import OTHER_DEVICE, give_up, move
from lab.outcomes import ended, refused
from lab.sho_records import ShoRecords
from lab.story import (
    GOOD_DEVICE,
    UnexpectedEndError,
    enroll,
    make_devices,
    open_services,
    register_suppliers,
)
from m2me_agent.tre_protocol import Operation


def play_life_demo(state: Path, *, image: Path, console: Console, software_tpm: bool) -> bool:
    """Play everything; whether all ended as it must."""
    with open_scene(state, image=image, console=console, software_tpm=software_tpm) as scene:
        tell = scene.narrator
        say_conditions(scene)
        tell.heading("The services, the supplier, a device and its MID")
        make_devices(scene, [GOOD_DEVICE, OTHER_DEVICE])
        for name in (GOOD_DEVICE, OTHER_DEVICE):
            scene.devices[name].rate = OFTEN
        open_services(scene)
        register_suppliers(scene)
        open_network(scene)
        if enroll(scene, GOOD_DEVICE).status != 0:
            raise UnexpectedEndError(f"{GOOD_DEVICE} could not be enrolled")
        life = Life(scene=scene, placed=play_fourteen_steps(scene, GOOD_DEVICE))
        (row,) = asked(scene.devices[GOOD_DEVICE], Operation.MIDS)["mids"]
        life.order_digest = row["order_digest"]
        stories: tuple[tuple[str, Callable[[Life], None]], ...] = (
            ("The operator blocks a MID", _block),
            ("And opens it again", _open_again),
            ("What was recorded is good for nothing", _replay),
            ("The operator brings the MID's next version", _update),
            ("A migration is given up", give_up),
            ("The subscription moves to another device", move),
            ("The MID is erased", _erase),
            ("A thief puts every file back", _put_back),
        )
        for title, story in stories:
            tell.heading(title)
            story(life)
        tell.heading("")
        tell.table()
        return tell.all_as_expected


def _block(life: Life) -> None:
    scene = life.scene
    life.want("block", reason="stolen", step="15")
    ended(
        scene,
        "a",
        "the AuC, before the device has heard of it",
        expected=WITHOUT,
        happened=attach_with_subscription(scene, life.name),
    )
    life.follow(step="16")
    ended(scene, "b", "the MID in the TRE", expected="BLOCKED", happened=life.states())
    ended(scene, "c", "what the SHO believes", expected="BLOCKED, nothing wanted", happened=life.told())
    with scene.narrator.line("17", "power", life.name, "off and on"):
        scene.power_on(life.name)
    ended(scene, "d", "the MID after a power cut", expected="BLOCKED", happened=life.states())


def _open_again(life: Life) -> None:
    scene = life.scene
    life.want("unblock", reason="found", step="18")
    life.follow(step="19")
    ended(scene, "e", "the MID after another look", expected="INACTIVE", happened=life.states())
    life.want("activate", reason="found", step="20")
    life.follow(step="21")
    used = attach_with_subscription(scene, life.name)
    ended(
        scene,
        "f",
        "the MID, active again",
        expected=f"ACTIVE, {WITH_IMSI}",
        happened=f"{life.states()}, {used}",
    )


def _replay(life: Life) -> None:
    scene, device = life.scene, life.scene.devices[life.name]
    life.want("deactivate", reason="season", step="22")
    question = life.step_by_hand(None)
    report = asked(device, Operation.REPORT, query=question.token or "")["statement"]
    recorded = life.step_by_hand(report).token or ""
    asked(device, Operation.INSTRUCT, instruction=recorded)
    life.follow(step="23")
    life.want("activate", reason="season", step="24")
    life.follow(step="25")
    refused(
        scene,
        "g",
        "an instruction that was recorded, in a state that it fits",
        device.ask_tre(Operation.INSTRUCT, {"instruction": recorded}),
        expected="instruction-refused",
    )
    ended(scene, "h", "the MID afterwards", expected="ACTIVE", happened=life.states())


def _update(life: Life) -> None:
    scene, device = life.scene, life.scene.devices[life.name]
    records, recorded = ShoRecords(scene.services), life.placed.order_id
    before, old = records.authorized(recorded), records.subscriber_key(recorded)
    with scene.narrator.line(
        "26", "staff", "SHO", "orders the next version of the MID, with fresh keys"
    ) as line:
        update = life.staff.update_mid(recorded, idempotency_key="the-next-version-of-a-mid", fresh_keys=True)
        line.outcome = update.state
    life.follow(step="27")
    life.subscription_of = update.order_id
    stands = life.staff.mid_updates(recorded)[-1]
    other = "another key" if records.subscriber_key(update.order_id).k != old.k else "the same key"
    ended(
        scene,
        "i",
        "the update, by the receipt of the TRE",
        expected=f"active, another key, ACTIVE, {WITH_IMSI}",
        happened=f"{stands.state}, {other}, {life.states()}, {attach_with_subscription(scene, life.name)}",
    )
    (row,) = asked(device, Operation.MIDS)["mids"]
    digest_of_update = row["order_digest"]
    refused(
        scene,
        "j",
        "the order of version 1 as an update",
        device.ask_tre(Operation.ACCEPT_UPDATE, {"order": before.order}),
        expected="order-refused",
    )
    with scene.narrator.line("28", "power", life.name, "off and on"):
        scene.power_on(life.name)
    (row,) = asked(device, Operation.MIDS)["mids"]
    same = "version 2" if row["order_digest"] == digest_of_update != life.order_digest else "version 1"
    used = attach_with_subscription(scene, life.name)
    ended(
        scene,
        "k",
        "the MID after a power cut",
        expected=f"version 2, ACTIVE, {WITH_IMSI}",
        happened=f"{same}, {life.states()}, {used}",
    )


def _erase(life: Life) -> None:
    scene = life.scene
    shutil.copytree(life.files, scene.site.state / "thief")
    life.want("erase", reason="end of contract", step="36")
    life.follow(step="37")
    ended(scene, "p", "the MIDs in the TRE", expected="none", happened=life.states())
    stands = state_of(scene, life.placed)
    ended(
        scene,
        "q",
        "order and user, by the verified proof",
        expected="erased, the user was told that it has ended",
        happened=f"{stands.state}, the user was told "
        + ("that it has ended" if "has ended" in stands.informed[-1] else "something else"),
    )
    key = ShoRecords(scene.services).subscriber_key(life.subscription_of)
    kept = b"".join(path.read_bytes() for path in sorted(life.files.iterdir()))
    found = "not found" if key.k not in kept and key.opc not in kept else "found"
    ended(scene, "r", "K and OPc in the TRE's files", expected="not found", happened=found)


def _put_back(life: Life) -> None:
    scene, device = life.scene, life.scene.devices[life.name]
    with scene.narrator.line("38", "thief", life.name, "every file as it was before the erasure"):
        device.power_off()
        for path in (scene.site.state / "thief").iterdir():
            there = life.files / path.name
            owner = life.files.stat()
            there.write_bytes(path.read_bytes())
            there.chmod(0o600)
            os.chown(there, owner.st_uid, owner.st_gid)
        scene.power_on(life.name)
    ended(scene, "s", "the MID in the TRE", expected="BLOCKED", happened=life.states())
    (row,) = asked(device, Operation.MIDS)["mids"]
    answer = device.ask_tre(
        Operation.AUTHENTICATE,
        {"mid_id": row["mid_id"], "application": "1", "rand": bytes(16), "autn": bytes(16)},
    )
    refused(
        scene, "t", "authenticating with it: the key is no longer in the TPM", answer, expected="mid-refused"
    )
