"""The DRF as a process over real TLS: SHO and PVA are counterparts on sockets of their own."""

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clients.drf import DiscoveryQuestion, DrfDeviceClient, DrfOperatorClient, Registration
from edge.database import engine_for, schema_differences
from edge.http_client import HttpError
from edge.process import system_clock
from edge.settings import load_settings
from messages import discovery as discoveries
from messages.attachment import request_mac
from messages.device_code import device_code
from messages.discovery import DISCOVERY_KIND
from messages.operator_token import verify_operator_token
from operators.drf.app import build
from operators.drf.schema import metadata
from operators.drf.settings import DrfSettings
from standards.pki import oids
from tests.applications import own_routes
from tests.end_to_end.role_process import RoleProcess, upstream
from tests.fakes.dpf_world import LIFE, signer_of
from tests.fakes.pki import Authority
from tests.fakes.tls_counterpart import TlsCounterpart

PCID, KEY, DEVICE, NONCE = "262019999000001", b"\x4b" * 32, "d1" * 32, b"\x01" * 32
QUESTION = DiscoveryQuestion(pcid=PCID, device_id=DEVICE, nonce=NONCE)
REGISTRATION = Registration(
    pcid=PCID, device_id=DEVICE, sho="sho-1", pfc_chain=(b"pfc", b"issuing ca"), ak_public=b"ak"
)
CONFIG = """
profile = "lab"
id = "drf-1"
database = "sqlite:///{folder}/drf.db"
operators_root = "operators-root.pem"

[discovery_key]
key = "keys/signing.key"
passphrase_file = "keys/passphrase"
certificate = "signing.pem"

[shos.sho-1]
name = "Home Operator"
pva_url = "https://pva.example:1"
dpf_url = "https://dpf.example:2"
pva = "pva-1"

[shos.sho-1.upstream]
{sho}
[shos.sho-2]
name = "Other Operator"
pva_url = "https://pva.example:3"
dpf_url = "https://dpf.example:4"

[shos.sho-2.upstream]
{nobody}
[pvas.pva-1]
{pva}
[supplier_defaults]
Acme = "sho-2"
"""


class Site:
    """A running DRF with its counterparts."""

    def __init__(self, folder: Path) -> None:
        """Start everything."""
        self.root = Authority.root("operators' root", validity=LIFE)
        self.drf = RoleProcess(folder, "drf")
        self.drf.register(
            {
                "sho": ("sho", "sho-1"),
                "other": ("sho", "sho-2"),
                "icf": ("icf", "icf-1"),
                "drf": ("drf", "drf-1"),
                "relay": ("ro-relay", "ro-1"),
            }
        )
        self.registered: list[dict[str, Any]] = []
        self.handed_in: list[str] = []
        self.refusing = False
        self.sho = TlsCounterpart(folder, self._answer_as_sho)
        self.pva = TlsCounterpart(folder, self._answer_as_pva)
        self.drf.write(
            CONFIG.format(
                folder=folder,
                sho=upstream(self.sho.url, "drf"),
                nobody=upstream("https://127.0.0.1:1", "drf"),
                pva=upstream(self.pva.url, "relay"),
            ),
            signer=signer_of(self.root, "drf", "drf-1", oids.EKU_DISCOVERY),
            root=self.root.certificate,
        )
        self.drf.start()

    def close(self) -> None:
        """Stop everything."""
        assert self.drf.stop() == 0
        self.sho.close()
        self.pva.close()

    @property
    def device(self) -> DrfDeviceClient:
        """The device listener."""
        return DrfDeviceClient(self.drf.device_http())

    def operator(self, name: str) -> DrfOperatorClient:
        """The operator listener as somebody."""
        return DrfOperatorClient(self.drf.operator_http(name))

    def attach(self, *, until: datetime | None = None) -> None:
        """Say as the ICF that the PCID is attached."""
        end = until or system_clock() + timedelta(hours=1)
        self.operator("icf").attached(PCID, serving_network="26201", key=KEY, expires_at=end)

    def _answer_as_sho(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        assert (method, path) == ("POST", "/v1/registrations")
        if self.refusing:
            return 409, {}
        self.registered.append(json.loads(body))
        return 200, {"order": "an.order.token"}

    def _answer_as_pva(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            self.handed_in.append(json.loads(body)["request"])
            until = (system_clock() + timedelta(minutes=5)).isoformat()
            return 201, {"request_id": "request-1", "expires_at": until}
        assert path == "/v1/validation-requests/request-1"
        return 200, {"request_id": "request-1", "state": "completed", "outcome": "pass", "sealed": "a.JWE"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path)
    yield running
    running.close()


def refused(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        call()
    assert caught.value.problem is not None
    assert caught.value.problem.remedy
    return caught.value.status, caught.value.problem.type


@pytest.mark.requirement("R91")
@pytest.mark.requirement("R92")
def test_from_attachment_to_order_token_with_a_power_cut_between(site: Site) -> None:
    site.attach()
    for _ in range(2):
        site.operator("sho").announce_order(
            "order-1", device_code=device_code(DEVICE), sho_name="Home Operator"
        )
    site.drf.kill()
    site.drf.start()
    token = site.device.discover(QUESTION, attachment_key=KEY)
    signed = verify_operator_token(token, DISCOVERY_KIND, anchors=[site.root.certificate], at=system_clock())
    found = discoveries.read_claims(signed.claims)
    assert (found.sho, found.source, found.nonce) == ("sho-1", "registered-order", NONCE)
    assert (found.pva_url, found.dpf_url) == ("https://pva.example:1", "https://dpf.example:2")

    def register() -> str:  # a DRF that was started again has another port
        return site.device.register(REGISTRATION, attachment_key=KEY, idempotency_key="k")

    assert register() == "an.order.token"
    site.drf.kill()
    site.drf.start()
    assert register() == "an.order.token"
    (brought,) = site.registered
    assert brought["device_id"] == DEVICE
    assert set(brought) == {"device_id", "pfc_chain", "ak_public"}


@pytest.mark.negative
@pytest.mark.requirement("R90")
def test_only_the_device_behind_a_pcid_that_is_attached_now_is_served(site: Site) -> None:
    def discover(key: bytes = KEY) -> str:
        return site.device.discover(QUESTION, attachment_key=key)

    assert refused(discover) == (401, "not-attached")
    past = lambda: site.attach(until=system_clock() - timedelta(seconds=1))  # noqa: E731
    assert refused(past) == (422, "attachment-not-now")
    assert refused(
        lambda: site.operator("sho").attached(  # an SHO is no ICF
            PCID, serving_network="26201", key=KEY, expires_at=system_clock() + timedelta(hours=1)
        )
    ) == (403, "role-not-permitted")
    assert refused(discover) == (401, "not-attached")
    site.attach()
    assert refused(lambda: discover(b"\x01" * 32)) == (401, "not-attached")
    assert refused(discover) == (404, "no-operator")
    http = site.drf.device_http()
    assert refused(lambda: http.post_json("/v1/discovery", {})) == (401, "not-attached")
    body = json.dumps({"pcid": "262019999000002", "device_id": DEVICE, "nonce": "A" * 43}).encode()
    mac = request_mac(KEY, method="POST", path="/v1/discovery", body=body)
    other = lambda: http.post(  # noqa: E731
        "/v1/discovery",
        body,
        content_type="application/json",
        headers={"Authorization": f"Attachment {PCID}:{mac}"},
    )
    assert refused(other) == (403, "pcid-mismatch")


@pytest.mark.negative
@pytest.mark.requirement("R92")
def test_what_the_operator_says_of_a_registration_reaches_the_device(site: Site) -> None:
    site.attach()

    def register(sho: str) -> str:
        wish = replace(REGISTRATION, sho=sho)
        return site.device.register(wish, attachment_key=KEY, idempotency_key="k")

    site.refusing = True
    assert refused(lambda: register("sho-1")) == (403, "registration-refused")
    assert refused(lambda: register("sho-2")) == (503, "sho-unavailable")
    assert refused(lambda: register("sho-3")) == (404, "sho-unknown")
    site.refusing = False
    assert register("sho-1") == "an.order.token"


@pytest.mark.requirement("R93")
def test_a_relayed_request_reaches_the_pva_unchanged_and_its_answer_the_operator(site: Site) -> None:
    relayed = site.operator("sho").relay("a.signed.request")
    assert site.handed_in == ["a.signed.request"]
    told = site.operator("sho").relayed(relayed.request_id)
    assert (told.state, told.outcome, told.sealed) == ("completed", "pass", "a.JWE")
    assert refused(lambda: site.operator("other").relayed(relayed.request_id)) == (404, "not-found")
    assert refused(lambda: site.operator("other").relay("a.signed.request")) == (404, "sho-unknown")
    huge = lambda: site.operator("sho").relay("x" * 40_000)  # noqa: E731
    assert refused(huge)[0] in {413, 422}
    assert site.handed_in == ["a.signed.request"]


@pytest.mark.requirement("R01")
def test_there_is_no_route_for_vectors_and_no_route_on_both_listeners(site: Site) -> None:
    settings = load_settings(DrfSettings, path=site.drf.folder / "settings.toml", environ={})
    tables = {each.name: own_routes(each.app) for each in build(settings)[0]}
    assert tables == {
        "device": [
            ("POST", "/v1/discovery", ("device",)),
            ("POST", "/v1/registrations", ("device",)),
        ],
        "operator": [
            ("GET", "/v1/validation-relay/<request_id>", ("sho",)),
            ("POST", "/v1/attachments", ("icf",)),
            ("POST", "/v1/validation-relay", ("sho",)),
            ("PUT", "/v1/orders/<order_id>", ("sho",)),
        ],
    }
    for http in (site.drf.device_http(), site.drf.operator_http("icf")):
        asked = functools.partial(http.post_json, "/v1/authentication-vectors", {"pcid": PCID})
        assert refused(asked)[0] == 404
    engine = engine_for(f"sqlite:///{site.drf.folder}/drf.db")
    assert schema_differences(engine, metadata) == []
    engine.dispose()
