"""The CA's settings: what it cannot do is refused, and not ignored."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ca.enrollment import SESSIONS_KEPT
from ca.settings import CaSettings

TLS = {"certificate": "server.pem", "key": "server.key"}
OPERATOR = {**TLS, "client_anchors": "anchors.pem", "principals": "principals.json"}
SETTINGS: dict[str, Any] = {
    "database": "sqlite:///ca.db",
    "keys": "keys",
    "passphrase_file": "passphrase",
    "public_url": "http://ca.example",
    "ocsp_url": "http://ocsp.example",
    "tpm_maker_roots": "makers",
    "device": TLS,
    "operator": OPERATOR,
}


@pytest.mark.negative
@pytest.mark.requirement("R102")
def test_a_list_that_the_ca_would_not_follow_is_refused() -> None:
    context = {"folder": Path("/etc/ca")}
    assert CaSettings.model_validate(SETTINGS, context=context).operator.client_crl == ()
    listed = {**OPERATOR, "client_crl": ["http://ca.example/crl/root.crl"]}
    with pytest.raises(ValidationError, match="its own books"):
        CaSettings.model_validate({**SETTINGS, "operator": listed}, context=context)


@pytest.mark.negative
def test_a_stations_session_ends_before_it_is_forgotten() -> None:
    context = {"folder": Path("/etc/ca")}
    settings = CaSettings.model_validate(SETTINGS, context=context)
    assert settings.station_session_life == timedelta(hours=48)
    with pytest.raises(ValidationError, match="less than or equal to 345600"):
        CaSettings.model_validate({**SETTINGS, "station_session_life_s": 345_601}, context=context)
    assert timedelta(seconds=345_600) < SESSIONS_KEPT
