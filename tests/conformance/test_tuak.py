"""TUAK on the test sets of TS 35.233: every function of every set, and the one that needs a second pass told by name."""

import json
from typing import Any

import pytest

from standards.aka.tuak import TuakKey, TuakSizes, derive_topc
from tests.tools import shared_vectors

SETS = 6


def _sets() -> list[dict[str, Any]]:
    text = (shared_vectors() / "tuak_ts35233.json").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(text)["sets"]
    assert len(found) == SETS
    return found


def _made(each: dict[str, Any]) -> dict[str, str]:
    value = {name: bytes.fromhex(each[name]) for name in ("k", "top", "topc", "rand", "sqn", "amf")}
    lengths = {name: len(each[name]) // 2 for name in ("f1", "f2", "f3", "f4")}
    sizes = TuakSizes(mac=lengths["f1"], res=lengths["f2"], ck=lengths["f3"], ik=lengths["f4"])
    key = TuakKey(k=value["k"], topc=value["topc"], sizes=sizes)
    found = key.answers(rand=value["rand"])
    under = {"rand": value["rand"], "sqn": value["sqn"], "amf": value["amf"]}
    return {
        "topc": derive_topc(k=value["k"], top=value["top"]).hex(),
        "f1": key.network_mac(**under).hex(),
        "f1star": key.resynchronisation_mac(**under).hex(),
        "f2": found.res.hex(),
        "f3": found.ck.hex(),
        "f4": found.ik.hex(),
        "f5": found.ak.hex(),
        "f5star": found.ak_resync.hex(),
    }


@pytest.mark.requirement("R85")
def test_every_set_of_one_pass_in_every_function() -> None:
    of_one_pass = [each for each in _sets() if each["keccak_iterations"] == 1]
    assert len(of_one_pass) == SETS - 1
    for each in of_one_pass:
        made = _made(each)
        assert made == {name: each[name] for name in made}, each["name"]


@pytest.mark.negative
def test_the_set_of_two_passes_is_another_algorithm() -> None:
    [other] = [each for each in _sets() if each["keccak_iterations"] != 1]
    assert other["name"].endswith("Test Set 6")
    made = _made(other)
    assert not {name for name in made if made[name] == other[name]}
