"""Keys of EAP-AKA' on the four cases of RFC 9048, appendix D."""

import json
from typing import Any

import pytest

from standards.aka.eap_aka_prime import derive_bound_keys, derive_eap_keys
from tests.tools import shared_vectors

CASES = 4


def _cases() -> list[dict[str, Any]]:
    text = (shared_vectors() / "eap_aka_prime_rfc9048.json").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(text)["cases"]
    assert len(found) == CASES
    return found


@pytest.mark.requirement("R14", "R15")
def test_every_case_in_every_key() -> None:
    for each in _cases():
        bound = derive_bound_keys(
            ck=bytes.fromhex(each["CK"]),
            ik=bytes.fromhex(each["IK"]),
            autn=bytes.fromhex(each["AUTN"]),
            network_name=each["network_name"],
        )
        keys = derive_eap_keys(bound, identity=each["identity"])
        made = {
            "CK_prime": bound.ck,
            "IK_prime": bound.ik,
            "K_encr": keys.k_encr,
            "K_aut": keys.k_aut,
            "K_re": keys.k_re,
            "MSK": keys.msk,
            "EMSK": keys.emsk,
        }
        assert {name: value.hex() for name, value in made.items()} == {name: each[name] for name in made}, (
            each["case"]
        )
