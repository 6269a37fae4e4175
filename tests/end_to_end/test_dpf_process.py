"""The DPF as a process over real TLS: PVA, SHO and responder are counterparts on sockets of their own."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.dpf import DeliveryState, DpfDeviceClient, DpfOperatorClient
from edge.database import engine_for, schema_differences
from edge.http_client import HttpError
from edge.process import system_clock
from edge.settings import load_settings
from messages.encoding import decode_fields
from operators.dpf.app import build
from operators.dpf.schema import metadata
from operators.dpf.settings import DpfSettings
from tests.applications import own_routes
from tests.end_to_end.role_process import ROOT, RoleProcess, upstream
from tests.fakes.dpf_world import CONTENT, DpfWorld
from tests.fakes.ocsp_responder import FakeResponder
from tests.fakes.tls_counterpart import TlsCounterpart
from tests.forked_python import run_module

CONFIG = """
profile = "lab"
id = "dpf-1"
database = "sqlite:///{folder}/dpf.db"
operators_root = "operators-root.pem"
chunk_bytes = 1000
delivery_pause_s = 0
forward_interval_s = 0.2

[delivery_key]
key = "keys/signing.key"
passphrase_file = "keys/passphrase"
certificate = "signing.pem"

[pvas.pva-1]
{pva}
[shos.sho-1]
{sho}
[[suppliers]]
name = "Acme"
root = "acme.pem"
ocsp_url = "{ocsp}"
"""


class Site:
    """A running DPF with its counterparts; the platform answers as the test says."""

    def __init__(self, folder: Path) -> None:
        """Start everything."""
        self.world = DpfWorld(at=system_clock().replace(microsecond=0))
        self.dpf = RoleProcess(folder, "dpf")
        self.dpf.register(
            {"sho": ("sho", "sho-1"), "other": ("sho", "sho-2"), "pva": ("pva", "pva-1"), "dpf": ("dpf", "d")}
        )
        self.nonces: dict[str, bytes] = {}
        self.results: dict[str, str] = {}
        self.receipts: list[tuple[bytes, bytes, str]] = []
        self.sho_away = False
        self.pva = TlsCounterpart(folder, self._answer_as_pva)
        self.sho = TlsCounterpart(folder, self._answer_as_sho)
        self.responder = FakeResponder(
            self.world.supplier.issuing, issued={self.world.credential.serial_number: self.world.credential}
        )
        root = self.world.supplier.root.certificate.public_bytes(Encoding.PEM)
        (folder / "acme.pem").write_bytes(root)
        self.dpf.write(
            CONFIG.format(
                folder=folder,
                pva=upstream(self.pva.url, "dpf"),
                sho=upstream(self.sho.url, "dpf"),
                ocsp=self.responder.url,
            ),
            signer=self.world.dpf,
            root=self.world.operators.certificate,
        )
        self.dpf.start()
        self.parts = self.world.parts()

    def close(self) -> None:
        """Stop everything."""
        assert self.dpf.stop() == 0
        for each in (self.pva, self.sho, self.responder):
            each.close()

    @property
    def device(self) -> DpfDeviceClient:
        """The device listener."""
        return DpfDeviceClient(self.dpf.device_http())

    def operator(self, name: str) -> DpfOperatorClient:
        """The operator listener as somebody."""
        return DpfOperatorClient(self.dpf.operator_http(name))

    def authorize(self, name: str = "sho") -> str:
        """Bring the authorisation; its id."""
        parts = self.parts
        return (
            self.operator(name)
            .authorize(
                authorization=parts.authorization,
                order=parts.order,
                result=parts.result,
                package=parts.package,
                content=parts.content,
            )
            .authorization_id
        )

    def come(self) -> DeliveryState:
        """Ask for the delivery."""
        return self.device.request(
            device_id=self.world.device.device_id,
            order_digest=self.world.order.digest,
            pfc_chain=self.world.chain,
        )

    def fresh(self, **changed: Any) -> str:
        """The platform's answer to the newest question of the DPF, signed by the PVA."""
        request_id, nonce = list(self.nonces.items())[-1]
        issued_at = self.now()
        verdict = self.world.fresh(
            **{
                "nonce": nonce,
                "result_id": f"fresh-{request_id}",
                "issued_at": issued_at,
                "expires_at": issued_at + timedelta(minutes=5),
                **changed,
            }
        )
        return self.world.signed_result(verdict)

    def validated(self, **changed: Any) -> None:
        """Let the PVA have the platform's answer."""
        self.results[list(self.nonces)[-1]] = self.fresh(**changed)

    def now(self) -> datetime:
        """The present second."""
        return system_clock().replace(microsecond=0)

    def _answer_as_pva(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            question = self.world.asked(json.loads(body)["request"], at=system_clock())
            self.nonces[question.jti] = question.rp_nonce
            until = question.expires_at.isoformat()
            return 201, {"request_id": question.jti, "expires_at": until}
        request_id = path.rpartition("/")[2]
        shown = {"request_id": request_id, "state": "pending", "refusals": []}
        if request_id in self.results:
            shown |= {"state": "completed", "result": self.results[request_id]}
        return 200, shown

    def _answer_as_sho(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        assert (method, path) == ("POST", "/v1/receipts")
        if self.sho_away:
            return 503, {}
        fields = decode_fields(body, what="receipt", bytes_max=1 << 20)
        self.receipts.append(
            (
                fields.octets(1, size_max=32),
                fields.octets(2, size_max=1 << 14),
                fields.text(3, size_max=1 << 18),
            )
        )
        return 200, {"state": "active", "instruction": "a.signed.instruction"}


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


@pytest.mark.requirement("R68")
@pytest.mark.requirement("R97")
@pytest.mark.requirement("R98")
@pytest.mark.requirement("R99")
def test_from_authorisation_to_instruction_with_a_power_cut_at_every_step(site: Site) -> None:
    authorization_id = site.authorize()
    site.dpf.kill()
    site.dpf.start()
    assert site.authorize() == authorization_id
    delivery = site.come()
    assert delivery.state == "validating"
    assert site.device.delivery(delivery.delivery_id).state == "validating"
    site.dpf.kill()
    site.dpf.start()
    assert site.come().delivery_id == delivery.delivery_id
    assert len(site.nonces) == 1
    site.validated()
    granted = site.device.delivery(delivery.delivery_id)
    assert (granted.state, granted.package, granted.content_size) == (
        "granted",
        site.parts.package,
        len(CONTENT),
    )
    content = b""
    while len(content) < len(CONTENT):
        content += site.device.content(delivery.delivery_id, offset=len(content))
        if len(content) in {1000, 5000}:
            site.dpf.kill()
            site.dpf.start()
            assert site.device.delivery(delivery.delivery_id) == granted
    assert content == CONTENT
    statement = site.world.statement(site.world.receipt(site.parts.package))
    site.sho_away = True
    answer = site.device.receipt(delivery.delivery_id, statement)
    assert (answer.outcome, answer.instruction, answer.forwarded) == ("installed", None, False)
    site.dpf.kill()
    site.sho_away = False
    site.dpf.start()
    answer = site.device.receipt(delivery.delivery_id, statement)
    assert (answer.outcome, answer.instruction, answer.forwarded) == (
        "installed",
        "a.signed.instruction",
        True,
    )
    digests, statements, results = zip(*site.receipts, strict=True)
    assert set(digests) == {site.world.order.digest}
    assert set(statements) == {statement}
    assert set(results) == set(site.results.values())
    shown = site.operator("sho").authorization(authorization_id)
    assert shown.state == "installed"
    assert refused(site.come) == (409, "order-installed")


@pytest.mark.negative
@pytest.mark.requirement("R68")
def test_a_platform_that_was_tampered_with_after_its_first_validation_gets_no_byte(site: Site) -> None:
    authorization_id = site.authorize()
    delivery = site.come()
    content = lambda: site.device.content(delivery.delivery_id, offset=0)  # noqa: E731
    assert refused(content) == (409, "not-granted")
    site.operator("pva").push_result(site.fresh(pcr_digest=bytes(32)))
    assert refused(lambda: site.device.delivery(delivery.delivery_id)) == (403, "state-changed")
    assert refused(content) == (410, "delivery-closed")
    shown = site.operator("sho").authorization(authorization_id)
    assert [each.code for each in shown.refusals] == ["state-changed"]
    assert shown.refusals[0].remedy


@pytest.mark.negative
@pytest.mark.requirement("R27")
def test_ocsp_vetoes_and_its_silence_delays(site: Site) -> None:
    site.authorize()
    delivery = site.come()
    site.operator("pva").push_result(site.fresh())
    site.responder.silent = True
    progress = lambda: site.device.delivery(delivery.delivery_id)  # noqa: E731
    assert refused(progress) == (503, "ocsp-unavailable")
    site.responder.silent = False
    serial = site.world.credential.serial_number
    site.responder.revoked[serial] = x509.ReasonFlags.key_compromise
    assert refused(progress) == (403, "pfc-revoked")
    site.responder.revoked.clear()
    delivery = site.come()
    site.operator("pva").push_result(site.fresh())
    assert site.device.delivery(delivery.delivery_id).state == "granted"


@pytest.mark.negative
@pytest.mark.requirement("R96")
def test_an_authorisation_needs_its_own_operators_certificate(site: Site) -> None:
    assert refused(lambda: site.authorize("other")) == (403, "authorization-invalid")
    assert refused(lambda: site.authorize("pva")) == (403, "role-not-permitted")
    authorization_id = site.authorize()
    for unknown in (authorization_id, "0" * len(authorization_id)):
        assert refused(lambda: site.operator("other").authorization(unknown)) == (404, "not-found")  # noqa: B023  # called at once
    assert refused(lambda: site.operator("sho").push_result("no.such.token"))[0] == 403


@pytest.mark.negative
def test_malformed_requests_are_refused_by_name(site: Site) -> None:
    site.authorize()
    http = site.dpf.device_http()
    good = {
        "device_id": site.world.device.device_id,
        "order_digest": site.world.order.digest.hex(),
        "pfc_chain": ["AAAA"],
    }
    changes: tuple[dict[str, Any], ...] = (
        {"device_id": "ab"},
        {"order_digest": "AB" * 32},
        {"pfc_chain": []},
        {"pfc_chain": ["A"]},
        {"pfc_chain": ["AAAA"] * 7},
        {"more": 1},
    )
    for changed in changes:
        assert refused(lambda: http.post_json("/v1/deliveries", {**good, **changed}))[0] == 422  # noqa: B023
    delivery = site.come()
    for query in ("", "?offset=-1", "?offset=01", "?offset=0&offset=1", "?offset=0&more=1"):
        path = f"/v1/deliveries/{delivery.delivery_id}/content{query}"
        assert refused(lambda: http.get(path)) == (400, "invalid-query")  # noqa: B023
    receipt = lambda: site.device.receipt(delivery.delivery_id, b"x" * 9_000)  # noqa: E731
    assert refused(receipt) == (413, "body-too-large")
    huge = lambda: site.dpf.operator_http("sho").post(  # noqa: E731
        "/v1/authorizations", b"x" * (1 << 20), content_type="application/cbor"
    )
    assert refused(huge) == (413, "body-too-large")


@pytest.mark.requirement("R01")
def test_the_listeners_share_no_route(site: Site) -> None:
    settings = load_settings(DpfSettings, path=site.dpf.folder / "settings.toml", environ={})
    listeners, _ = build(settings)
    tables = {each.name: own_routes(each.app) for each in listeners}
    assert tables["device"] == [
        ("GET", "/v1/deliveries/<delivery_id>", ("device",)),
        ("GET", "/v1/deliveries/<delivery_id>/content", ("device",)),
        ("POST", "/v1/deliveries", ("device",)),
        ("POST", "/v1/deliveries/<delivery_id>/receipt", ("device",)),
        ("POST", "/v1/mid-steps", ("device",)),
        ("POST", "/v1/update-approvals", ("device",)),
    ]
    assert tables["operator"] == [
        ("GET", "/v1/authorizations/<authorization_id>", ("sho",)),
        ("POST", "/v1/authorizations", ("sho",)),
        ("POST", "/v1/results", ("pva",)),
        ("POST", "/v1/state-events", ("pva",)),
    ]


def test_the_migrations_make_the_schema(site: Site) -> None:

    engine = engine_for(f"sqlite:///{site.dpf.folder}/dpf.db")
    assert schema_differences(engine, metadata) == []
    engine.dispose()


@pytest.mark.negative
@pytest.mark.requirement("R75")
def test_a_dpf_does_not_start_with_another_ones_key(site: Site) -> None:
    settings = site.dpf.folder / "settings.toml"
    settings.write_text(settings.read_text().replace('id = "dpf-1"', 'id = "dpf-2"', 1))
    command = [sys.executable, "-m", "operators.dpf.app", "--config", str(settings)]
    ended = run_module(command, cwd=ROOT)
    assert ended.returncode == 2
    assert "delivery_key" in ended.stderr
