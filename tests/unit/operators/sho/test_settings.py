"""Settings of the SHO: what is refused before a key is opened."""

from typing import Any

import pytest
from pydantic import ValidationError

from operators.sho.releases import ReleasePolicy
from operators.sho.settings import ShoSettings

KEY = {"key": "keys/a.key", "passphrase_file": "keys/passphrase"}
CERTIFIED = {**KEY, "certificate": "a.pem"}
UPSTREAM = {"url": "https://127.0.0.1:1", "anchors": "anchors.pem", **CERTIFIED}
SETTINGS: dict[str, Any] = {
    "id": "sho-1",
    "name": "Example Mobile",
    "dpf_id": "dpf-1",
    "products": ["M2M 10"],
    "database": "sqlite://",
    "public": CERTIFIED,
    "operator": {**CERTIFIED, "client_anchors": "anchors.pem", "principals": "principals.json"},
    "operators_root": "root.pem",
    "subscription_key": CERTIFIED,
    "policy_root": KEY,
    "result_key": CERTIFIED,
    "subscribers": {
        "mcc": "262",
        "mnc": "07",
        "key_file": "keys/subscribers",
        "destinations": ["10.0.0.1:443"],
    },
    "suppliers": [{"name": "Acme", "root": "es.pem", "models": ["1.2.3"]}],
    "pvas": [{"id": "pva-1", "route": "relay", "operator": UPSTREAM}],
    "drf": UPSTREAM,
    "dpf": UPSTREAM,
}

PRIOR = {"id": "sho-0", "operator": UPSTREAM}


@pytest.mark.requirement("R22")
def test_nothing_is_released_or_taken_over_unless_it_is_named() -> None:
    settings = ShoSettings.model_validate(SETTINGS)
    assert (settings.successors, settings.priors) == ({}, ())
    named = {"successors": {"sho-2": "consent"}, "priors": [PRIOR]}
    settings = ShoSettings.model_validate({**SETTINGS, **named})
    assert settings.successors == {"sho-2": ReleasePolicy.CONSENT}
    assert [each.id for each in settings.priors] == ["sho-0"]


def test_settings_that_name_everything_are_taken() -> None:
    settings = ShoSettings.model_validate(SETTINGS)
    assert settings.pvas[0].route == "relay"
    assert settings.suppliers[0].models == ("1.2.3",)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"pvas": []}, "pvas"),
        ({"pvas": SETTINGS["pvas"] * 2}, "each PVA once"),
        ({"result_key": None}, "needs result_key"),
        ({"products": []}, "products"),
        ({"subscribers": {**SETTINGS["subscribers"], "mcc": "26"}}, "mcc"),
        ({"subscribers": {**SETTINGS["subscribers"], "amf": "8000 "}}, "amf"),
        ({"subscribers": {**SETTINGS["subscribers"], "destinations": ["everywhere"]}}, "destinations"),
        ({"subscribers": {**SETTINGS["subscribers"], "destinations": []}}, "destinations"),
        ({"suppliers": [{**SETTINGS["suppliers"][0], "models": ["gateway"]}]}, "models"),
        ({"policy_root": CERTIFIED}, "policy_root"),
        ({"successors": {"sho-2": "always"}}, "successors"),
        ({"successors": {"sho-1": "none"}}, "other operators"),
        ({"priors": [PRIOR, PRIOR]}, "each operator once"),
        ({"priors": [{**PRIOR, "id": "sho-1"}]}, "other operators"),
        ({"switch_window_s": 3_601}, "switch_window_s"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_settings_that_are_wrong_in_one_respect_are_refused(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        ShoSettings.model_validate({**SETTINGS, **changed})
