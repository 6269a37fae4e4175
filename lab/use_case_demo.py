"""The demo of the three use cases of TR 33.812, 4.1.1: two home operators, three devices, and what each of them shows."""

from pathlib import Path

from rich.console import Console

from lab.demo import open_scene, say_conditions
from lab.fourteen_steps import open_network
from lab.homes import FIRST_OF_TWO, SECOND_OF_TWO
from lab.story import make_devices, open_services, register_suppliers
from lab.use_case_stories import DEVICES, UseCases, play_use_cases


def play_use_case_demo(state: Path, *, image: Path, console: Console, software_tpm: bool) -> bool:
    """Play everything; whether all ended as it must."""
    with open_scene(state, image=image, console=console, software_tpm=software_tpm) as scene:
        tell = scene.narrator
        say_conditions(scene)
        tell.heading("The services, the supplier, two home operators and three devices")
        make_devices(scene, DEVICES)
        open_services(scene)
        signed = register_suppliers(scene)
        open_network(scene, homes=(FIRST_OF_TWO, SECOND_OF_TWO))
        play_use_cases(UseCases(scene=scene, manifest=signed))
        tell.heading("")
        tell.table()
        return tell.all_as_expected
