"""The CA's settings: what it cannot do is refused, and not ignored."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

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
