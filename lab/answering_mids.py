"""Which MIDs of a device answer their operators: each is asked with a vector of its own operator's, and its RES is compared.

Rule: a MID answers if AuC and TRE agree on RES; who refused, where one did not, is told.
"""

from collections.abc import Mapping
from typing import Any

from clients.sho import ShoOperatorClient
from edge.http_client import HttpError
from lab.device import Refusal
from lab.identities import VNO
from lab.mid_use import rows_of
from lab.scene import Scene
from m2me_agent.tre_protocol import Operation

ALONE = "{} alone answers"
TRIES_MAX = 4
"""Vectors that are tried: a TRE that was restarted has lost part of a block of numbers, and says so once."""


def answering(scene: Scene, name: str) -> str:
    """Which operators' MIDs answer now, in words."""
    found = sorted({str(row["owner"]) for row in rows_of(scene, name) if _answers(scene, name, row)})
    return ALONE.format(found[0]) if len(found) == 1 else f"{' and '.join(found) or 'nobody'} answer"


def _answers(scene: Scene, name: str, row: Mapping[str, Any]) -> bool:
    sho = str(row["owner"])
    if not row["applications"]:
        return False
    imsi = str(row["applications"][0])
    auc = ShoOperatorClient(scene.services.http(sho, "operator", scene.services.identity(VNO)))
    behind: tuple[bytes, bytes] | None = None
    for _ in range(TRIES_MAX):
        try:
            batch = auc.authentication_vectors(imsi, serving_network=VNO, resynchronisation=behind)
        except HttpError:
            return False
        vector = batch.vectors[0]
        named = {"mid_id": row["mid_id"], "application": imsi, "rand": vector.rand, "autn": vector.autn}
        answer = scene.devices[name].ask_tre(Operation.AUTHENTICATE, named)
        if isinstance(answer, Refusal):
            return False
        if "res" in answer:
            return bool(answer["res"] == vector.xres)
        behind = (vector.rand, answer["auts"])
    return False
