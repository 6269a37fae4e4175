"""The demo of a change of operator: make before break, broken off at every step, and one MID answers after each abort."""

from pathlib import Path

from rich.console import Console

from lab.demo import open_scene, say_conditions
from lab.device import OFTEN
from lab.fourteen_steps import open_network, play_fourteen_steps
from lab.homes import NEW_HOME, PRIOR_HOME
from lab.operator_change_stories import Changing, play_change
from lab.story import (
    GOOD_DEVICE,
    UnexpectedEndError,
    enroll,
    make_devices,
    open_services,
    register_suppliers,
)


def play_operator_change_demo(state: Path, *, image: Path, console: Console, software_tpm: bool) -> bool:
    """Play everything; whether all ended as it must."""
    with open_scene(state, image=image, console=console, software_tpm=software_tpm) as scene:
        tell = scene.narrator
        say_conditions(scene)
        tell.heading("The services, the supplier, two home operators, and a device with the MID of the first")
        make_devices(scene, [GOOD_DEVICE])
        scene.devices[GOOD_DEVICE].rate = OFTEN
        open_services(scene)
        register_suppliers(scene)
        open_network(scene, homes=(PRIOR_HOME, NEW_HOME))
        if enroll(scene, GOOD_DEVICE).status != 0:
            raise UnexpectedEndError(f"{GOOD_DEVICE} could not be enrolled")
        placed = play_fourteen_steps(scene, GOOD_DEVICE)
        play_change(Changing(scene=scene, old=placed))
        tell.heading("")
        tell.table()
        return tell.all_as_expected
