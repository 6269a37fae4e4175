"""The real services, started by the lab in a folder of the test's: for walking routes and killing processes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from lab.demo import open_scene
from lab.scene import Scene
from lab.story import make_devices, open_services, register_suppliers

ROOT = Path(__file__).parents[2]


@contextmanager
def running_lab(folder: Path, *, devices: tuple[str, ...], software_tpm: bool = True) -> Iterator[Scene]:
    """CA, responder and PVA with their suppliers registered, and these devices made but not powered."""
    console = Console(file=io.StringIO(), width=150)
    with open_scene(folder / "lab", image=ROOT, console=console, software_tpm=software_tpm) as scene:
        make_devices(scene, devices)
        open_services(scene)
        register_suppliers(scene)
        yield scene
