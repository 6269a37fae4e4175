"""MILENAGE on the test sets of TS 35.208: every function of every set."""

import json
from typing import Any

import pytest

from standards.aka.milenage import MilenageKey, derive_opc
from standards.aka.vectors import make_vector
from tests.tools import shared_vectors

SETS = 20


def _sets() -> list[dict[str, Any]]:
    text = (shared_vectors() / "milenage_ts35208.json").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(text)["sets"]
    return found


@pytest.mark.requirement("R85")
def test_every_set_of_ts_35_208() -> None:
    sets = _sets()
    assert len(sets) == SETS
    for each in sets:
        value = {
            name: bytes.fromhex(text)
            for name, text in each.items()
            if isinstance(text, str) and name.isupper()
        }
        assert derive_opc(k=value["K"], op=value["OP"]).hex() == each["OPc"], each["clause"]
        key = MilenageKey(k=value["K"], opc=bytes.fromhex(each["OPc"]))
        found = key.answers(rand=value["RAND"])
        assert {
            "f1": key.network_mac(rand=value["RAND"], sqn=value["SQN"], amf=value["AMF"]).hex(),
            "f1*": key.resynchronisation_mac(rand=value["RAND"], sqn=value["SQN"], amf=value["AMF"]).hex(),
            "f2": found.res.hex(),
            "f3": found.ck.hex(),
            "f4": found.ik.hex(),
            "f5": found.ak.hex(),
            "f5*": found.ak_resync.hex(),
        } == {name: each[name] for name in ("f1", "f1*", "f2", "f3", "f4", "f5", "f5*")}, each["clause"]
        vector = make_vector(key, rand=value["RAND"], sqn=int.from_bytes(value["SQN"]), amf=value["AMF"])
        assert vector.autn.hex() == each["AUTN"], each["clause"]
