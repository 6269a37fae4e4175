"""The demo: everything set up from nothing, the good story, the hostile stories, and what strangers can re-check.

Rule: it fails if any story ends otherwise than it must, or if a foreign tool disagrees.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from clients.sho import PlacedOrder
from lab.artefacts import Check, recheck, write_artefacts
from lab.audit_logs import AuditLogs
from lab.audit_trail import AuditTrail
from lab.explanations import keep_explanations
from lab.fourteen_steps import network_beside, play_fourteen_steps
from lab.hostile_stories import play
from lab.narration import Narrator
from lab.processes import Processes, RunningProcess, start_command
from lab.recorder import Records
from lab.scene import Scene
from lab.secrets_story import AgentWatch
from lab.services import Services
from lab.sho_records import ShoRecords
from lab.site import open_site
from lab.state_stories import Stage
from lab.story import (
    DEVICES,
    GOOD_DEVICE,
    make_devices,
    open_services,
    register_suppliers,
    validate_good_device,
)
from lab.subscription_stories import play_subscription_stories
from lab.tpms import choose_maker


@contextmanager
def open_scene(
    state: Path,
    *,
    image: Path,
    console: Console,
    software_tpm: bool,
    start_module: Callable[..., RunningProcess] = start_command,
) -> Iterator[Scene]:
    """An empty lab; its processes end with it."""
    with open_site(state, image=image) as site, Processes(site.logs, start_module) as processes:
        maker = choose_maker(site.role("tpm-maker"), image=image, software=software_tpm)
        yield Scene(
            site=site,
            processes=processes,
            narrator=Narrator(console),
            maker=maker,
            services=Services(site, processes),
        )


def play_demo(state: Path, *, image: Path, console: Console, software_tpm: bool) -> bool:
    """Play everything; whether all ended as it must."""
    with open_scene(state, image=image, console=console, software_tpm=software_tpm) as scene:
        tell = scene.narrator
        say_conditions(scene)
        tell.heading("The services")
        with ThreadPoolExecutor(1) as factory:  # the maker's root is there with its first TPM
            make_devices(scene, [GOOD_DEVICE])
            others = factory.submit(make_devices, scene, [each for each in DEVICES if each != GOOD_DEVICE])
            open_services(scene)
            others.result()
        tell.heading("The suppliers and a good device")
        register_suppliers(scene)
        with network_beside(scene) as network_is_up:
            run = validate_good_device(scene)
            play(scene)
            tell.heading("The network, and the fourteen steps")
            network_is_up()
        logs = AuditLogs.first_look(scene, result=run.result)
        stage = _subscribe(scene)
        play_subscription_stories(scene, stage, unrelated_result=run.result)
        tell.heading("The audit logs, each read by somebody who relies on it")
        logs.look_again()
        tell.heading("")
        tell.table()
        tell.heading("What the PVA says about the stories that came to it (pva result explain)")
        keep_explanations(scene)
        checks = write_artefacts(scene.site.artefacts, run)
        return _recheck(scene, checks) and tell.all_as_expected


def _subscribe(scene: Scene) -> Stage:
    """The good device gets its subscription, its agent watched; then everybody is searched for the keys."""
    records = ShoRecords(scene.services)
    watch = AgentWatch(scene=scene, records=records)
    watch.plant()

    def look(placed: PlacedOrder, event: Mapping[str, Any], pid: int) -> None:
        watch.order_id = placed.order_id
        watch.watch(event, pid)

    scene.power_on(GOOD_DEVICE)
    trail = AuditTrail(scene)
    placed = play_fourteen_steps(scene, GOOD_DEVICE, watch=look)
    trail.tell()
    watch.tell()
    return Stage(
        records=records,
        recorded=Records(folder=scene.services.site.role("recorder") / "records"),
        good=placed,
    )


def say_conditions(scene: Scene) -> None:
    """Tell the reader what this machine lets the lab show, and what not."""
    tell = scene.narrator
    if scene.maker.kind == "swtpm":
        tell.remark("TPMs: swtpm")
    else:
        tell.remark(
            "TPMs: this project's software TPM; for the real thing: ./dev setup-tpm (swtpm, tpm2-tools)"
        )
    if os.geteuid() == 0:
        tell.remark("Users: each device's TRE and agent have a uid of their own")
    else:
        tell.remark(
            "Users: not root, so TRE and agent run as you: that only the TRE reaches the TPM and its files, and "
            "that the TRE knows its agent by peer credentials, is not shown here"
        )


def _recheck(scene: Scene, checks: tuple[Check, ...]) -> bool:
    tell = scene.narrator
    tell.heading("Check it again with other people's tools")
    tell.remark(f"cd {os.path.relpath(scene.site.artefacts)}")
    outcomes = []
    for check in checks:
        outcome = recheck(scene.site.artefacts, check)
        outcomes.append(outcome)
        tell.remark(f"{check.line()}\n    # {outcome}")
    return not any(outcome.startswith("FAILED") for outcome in outcomes)
