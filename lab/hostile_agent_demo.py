"""The demo of the hostile agent: every message between TRE and network, attacked in every way, on the real processes."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from lab.demo import open_scene, say_conditions
from lab.fourteen_steps import open_network
from lab.hostile_agent.at_the_tpm import attack_tpm
from lab.hostile_agent.stages import Stages
from lab.hostile_agent.tally import Tally
from lab.story import make_devices, open_services, register_suppliers

VICTIM, TWIN, NEW = "device-1", "device-a", "device-b"


def play_hostile_agent(state: Path, *, image: Path, console: Console, software_tpm: bool) -> bool:
    """Play everything; whether all ended as it must."""
    with open_scene(state, image=image, console=console, software_tpm=software_tpm) as scene:
        tell = scene.narrator
        say_conditions(scene)
        tell.heading("The services, the supplier and three devices")
        make_devices(scene, [VICTIM, TWIN, NEW])
        open_services(scene)
        signed = register_suppliers(scene)
        open_network(scene)
        stages = Stages(scene=scene, tally=Tally(), signed=signed)
        try:
            tell.heading("Two devices get a MID each; their agents remember every message")
            twin, victim = stages.honest(TWIN), stages.honest(VICTIM)
            played: tuple[tuple[str, Callable[[], None]], ...] = (
                ("Enrolment in hostile hands", lambda: stages.at_enrolment(stages.take_over(NEW), twin)),
                ("A second MID in hostile hands", lambda: stages.at_subscription(victim, twin)),
                ("A third MID, with every message lost once", lambda: stages.at_losses(victim)),
                ("Answers to the visited network and to the PVA", lambda: stages.at_the_air(victim)),
                ("A MID's next version in hostile hands", lambda: stages.at_the_next_version(victim)),
                ("Approvals of the next state in hostile hands", lambda: stages.at_update(victim, twin)),
                ("The owner's words in hostile hands", lambda: stages.at_the_owners_door(victim)),
                ("Much later, after a restart of the TRE", lambda: stages.much_later(victim)),
                ("Floods, with the rates that a TRE is shipped with", lambda: stages.flood(victim)),
                ("Past the TRE, at the TPM itself", lambda: attack_tpm(scene, twin, stages.tally)),
            )
            for title, play in played:
                tell.heading(title)
                before, begun = stages.tally.attacks, time.monotonic()
                play()
                count, took_s = stages.tally.attacks - before, time.monotonic() - begun
                tell.remark(f"       {count} attacks in {took_s:.1f} s")
        finally:
            stages.close()
            stages.tally.print(console)
        tell.heading("")
        stages.tally.print(console)
        return stages.tally.all_refused()
