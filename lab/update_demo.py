"""The demo of an update: the services, two devices of which one has a MID, and the stories of `lab.update_stories`."""

import hashlib
import time
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from lab.demo import open_scene, say_conditions
from lab.fourteen_steps import open_network, play_fourteen_steps
from lab.reference import reference_manifest
from lab.scene import MODEL, Scene
from lab.story import (
    APPROVED,
    UnexpectedEndError,
    attest,
    enroll,
    make_devices,
    open_services,
    register_suppliers,
)
from lab.update_stories import LEFT_BEHIND, UPDATED, Update, play_update_stories

OVERLAP_MIN_S = 45.0
"""The window is twice as long as the services took to start, and this at least: a slow machine needs a longer one."""


def play_update_demo(state: Path, *, image: Path, console: Console, software_tpm: bool) -> bool:
    """Play everything; whether all ended as it must."""
    with open_scene(state, image=image, console=console, software_tpm=software_tpm) as scene:
        tell = scene.narrator
        say_conditions(scene)
        tell.heading("The services, the supplier and two devices")
        make_devices(scene, [UPDATED, LEFT_BEHIND])
        begun = time.monotonic()
        open_services(scene)
        signed = register_suppliers(scene)
        open_network(scene)
        overlap = timedelta(seconds=max(OVERLAP_MIN_S, 2 * (time.monotonic() - begun)))
        for name in (UPDATED, LEFT_BEHIND):
            if enroll(scene, name).status != 0:
                raise UnexpectedEndError(f"{name} could not be enrolled")
        tell.heading("A MID for the first one")
        update = _subscribed(scene, signed, overlap=overlap)
        play_update_stories(update)
        tell.heading("")
        tell.table()
        return tell.all_as_expected


def _subscribed(scene: Scene, signed: bytes, *, overlap: timedelta) -> Update:
    placed = play_fourteen_steps(scene, UPDATED)
    attest(scene, UPDATED, step="15")  # the counter as it is after the installation
    first = reference_manifest(scene.release(), supplier=APPROVED, model=MODEL[APPROVED])
    return Update(
        scene=scene,
        placed=placed,
        first=first,
        first_digest=hashlib.sha256(signed).digest(),
        overlap=overlap,
    )
