"""The hostile stories around a subscription, h to n, in order; and where its secrets are, and are not.

Rule: they are told after the good device has its subscription, on two more devices: one whose state changes, and a twin
of the good one.
"""

from collections.abc import Callable

from lab.forgery_stories import (
    forged_at_the_gate,
    operator_beyond_the_anchors,
    order_of_another_registration,
    relay_that_alters,
)
from lab.scene import Scene
from lab.state_stories import (
    TWIN,
    Stage,
    attackers_own_device,
    changed_before_the_download,
    changed_before_unseal,
    package_for_a_twin,
    package_replayed,
    ready,
)


def play_subscription_stories(scene: Scene, stage: Stage, *, unrelated_result: str) -> None:
    """All of them; `unrelated_result` is a genuine result of another question."""

    def state_changes() -> None:
        placed = changed_before_the_download(scene, stage)
        changed_before_unseal(scene, stage, placed)

    def twin_with_another_order() -> None:
        ready(scene, TWIN, step="i.0")
        order_of_another_registration(scene, stage)

    def package_elsewhere_and_again() -> None:
        package_for_a_twin(scene, stage)
        package_replayed(scene, stage)

    stories: tuple[tuple[str, Callable[[], None]], ...] = (
        ("h: the state changes before the download, and before the TPM is asked", state_changes),
        ("i: the order token of another registration", twin_with_another_order),
        (
            "j: the attacker's own approved device for another user's order",
            lambda: attackers_own_device(scene),
        ),
        (
            "k: the package carried to a twin, and replayed where it was installed",
            package_elsewhere_and_again,
        ),
        ("l: an SHO that the TRE's anchors do not reach", lambda: operator_beyond_the_anchors(scene, stage)),
        (
            "m: forged or stale words at the DPF",
            lambda: forged_at_the_gate(scene, stage, unrelated_result=unrelated_result),
        ),
        ("n: a registration operator that relays and alters", lambda: relay_that_alters(scene)),
    )
    for title, story in stories:
        scene.narrator.heading(title)
        story()
