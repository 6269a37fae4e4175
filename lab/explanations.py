"""Why the PVA judged as it did in each hostile story, as it tells those who asked: kept beside the other artefacts.

Rule: each is read over the PVA's operator listener by the party whose validation it was; what other parties refused (the
CA, a TRE, the DRF) never came to the PVA, and it has nothing to explain about that.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from clients.pva import PvaOperatorClient
from edge.database import engine_for, transaction
from lab.identities import DPF
from lab.scene import Scene
from lab.state_stories import CHANGING
from operators.dpf import schema

FOLDER = "explanations"
STORIES: Mapping[str, str] = {
    "device-a": "a",
    "device-b": "b",
    "device-c": "c",
    "device-d": "d",
    "device-e": "e",
    "device-f": "f",
}
"""Device of a hostile story -> the story."""
CHANGED_STORY = "h1"


def keep_explanations(scene: Scene) -> None:
    """Write what the PVA says about the validations of each story, one file a story, and tell what it comes to."""
    folder = scene.site.artefacts / FOLDER
    folder.mkdir(exist_ok=True)
    told = {**_of_the_operator(scene), CHANGED_STORY: list(_of_the_dpf(scene))}
    for story, explanations in sorted(told.items()):
        (folder / f"{story}.json").write_text(json.dumps(explanations, indent=1) + "\n")
        for each in explanations:
            scene.narrator.remark(f"{story:>5}  {_in_short(each)}")


def _of_the_operator(scene: Scene) -> dict[str, list[Mapping[str, Any]]]:
    names = {scene.ids[device]: story for device, story in STORIES.items()}
    told: dict[str, list[Mapping[str, Any]]] = {story: [] for story in STORIES.values()}
    for question in scene.operator.questions:
        if question.device_id in names:
            told[names[question.device_id]].append(scene.operator.explanation(question))
    return told


def _of_the_dpf(scene: Scene) -> Iterator[Mapping[str, Any]]:
    """What the DPF asked itself about the device that changed between its validation and its download."""
    pva = PvaOperatorClient(scene.services.http("pva", "operator", scene.services.identity(DPF)))
    for request_id in _asked_by_the_dpf(scene):
        told = pva.explanation(request_id)
        if told.device_id == scene.ids[CHANGING] and told.findings:
            yield told.whole


def _asked_by_the_dpf(scene: Scene) -> list[str]:
    engine = engine_for(f"sqlite:///{scene.site.role(DPF) / f'{DPF}.sqlite'}")
    column = schema.deliveries.c.request_id
    try:
        with transaction(engine, write=False) as connection:
            return list(connection.execute(sa.select(column).where(column.is_not(None))).scalars())
    finally:
        engine.dispose()


def _in_short(explanation: Mapping[str, Any]) -> str:
    refused = ", ".join(dict.fromkeys(each["code"] for each in explanation["refusals"]))
    verdict = explanation.get("status", "no result")
    state = explanation.get("nearest", {}).get("sentence", "")
    return "; ".join(each for each in (verdict, state, refused and f"refused: {refused}") if each)
