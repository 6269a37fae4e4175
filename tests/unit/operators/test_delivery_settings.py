"""Settings of DPF and DRF: what is unknown or points to nothing is an error that names it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from operators.dpf.settings import DpfSettings
from operators.drf.settings import DrfSettings

TLS = {"certificate": "server.pem", "key": "server.key", "passphrase_file": "passphrase"}
KEY = {"key": "signing.key", "passphrase_file": "passphrase", "certificate": "signing.pem"}
UPSTREAM = {**TLS, "url": "https://127.0.0.1:1", "anchors": "anchors.pem"}
BOTH: dict[str, Any] = {
    "database": "sqlite://",
    "operators_root": "root.pem",
    "device": TLS,
    "operator": {**TLS, "client_anchors": "anchors.pem", "principals": "principals.json"},
    "pvas": {"pva-1": UPSTREAM},
}
DPF: dict[str, Any] = {
    **BOTH,
    "id": "dpf-1",
    "delivery_key": KEY,
    "shos": {"sho-1": UPSTREAM},
    "suppliers": [{"name": "Acme", "root": "acme.pem", "ocsp_url": "http://127.0.0.1:1/"}],
}
SHO = {"name": "Operator", "upstream": UPSTREAM, "pva_url": "https://a:1", "dpf_url": "https://b:1"}
DRF: dict[str, Any] = {
    **BOTH,
    "id": "drf-1",
    "discovery_key": KEY,
    "shos": {"sho-1": {**SHO, "pva": "pva-1"}},
    "supplier_defaults": {"Acme": "sho-1"},
}


def test_what_is_needed_is_enough() -> None:
    dpf = DpfSettings.model_validate(DPF)
    assert (dpf.chunk_bytes, dpf.grant_life_s, dpf.suppliers[0].root) == (4096, 300, Path("acme.pem"))
    drf = DrfSettings.model_validate(DRF)
    assert drf.operators()["sho-1"].name == "Operator"


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"suppliers": []},
        {"pvas": {}},
        {"shos": {}},
        {"skip_ocsp": True},
        {"gate": "off"},
        {"chunk_bytes": 0},
        {"grant_life_s": 100_000},
        {"suppliers": [{"name": "Acme", "root": "a", "ocsp_url": "https://a/"}]},
        {"suppliers": [{"name": "Acme", "root": "a", "ocsp_url": "http://a/", "tre_level_min": 4}]},
    ],
    ids=str,
)
@pytest.mark.requirement("R27")
def test_no_setting_leaves_a_point_of_the_gate_out(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DpfSettings.model_validate({**DPF, **changed})


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"shos": {}},
        {"shos": {"sho-1": {**SHO, "pva": "pva-2"}}},
        {"shos": {"sho-1": {**SHO, "pva_url": "http://a:1"}}},
        {"supplier_defaults": {"Acme": "sho-2"}},
        {"more": 1},
    ],
    ids=str,
)
def test_a_name_that_no_table_describes_is_an_error(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DrfSettings.model_validate({**DRF, **changed})
