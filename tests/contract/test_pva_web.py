"""The PVA's two applications: routes, roles, schemas and problem documents."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from werkzeug.test import TestResponse

from edge.administrator_store import SqlAdministrators
from edge.caller_refusals import recording
from edge.http_client import UnreachableError
from edge.http_protocol import PEER_CERTIFICATE
from edge.idempotency import SqlAnswers
from edge.principals import PrincipalTable, routes_of
from edge.refused import AnonymousRefusals
from messages.approval import VAULT_REACH
from messages.evidence import encode_evidence
from pva.manifests.proposals import ProposalDesk
from pva.manifests.supplier_crls import CrlBook
from pva.manifests.suspensions import SuspensionDesk
from pva.manifests.trust_lists import TrustListDesk
from pva.refusals import REFUSALS, RefusalCode, RefusalError
from pva.store.references import ReferenceStore
from pva.store.supplier_crls import CrlStore
from pva.store.tables import administrators, kept_answers, ledger
from pva.store.updates import UpdateStore
from pva.updates.next_states import NextStateDesk
from pva.updates.rollouts import RolloutDesk
from pva.updates.successors import ChainSuccessors
from pva.watching.watches import WatchDesk
from pva.web.device import device_app
from pva.web.operator import OperatorDesks, operator_app
from pva.web.suppliers import SupplierDesks
from standards.pki import oids
from standards.rats.fields import encode_base64url
from tests.applications import own_routes
from tests.contract.certificates import Certificates
from tests.contract.test_pva_store import sqlite_engine
from tests.fakes.pki import NOW
from tests.fakes.pva_watch_memory import MemoryWatches
from tests.fakes.pva_world import World
from tests.fakes.relying_parties import ORDER, Askers

CBOR = "application/cbor"
RIM = "application/rim+cose"
_DER = Encoding.DER


class Service:
    """Both applications over one world, as people with certificates see them."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        self.anonymous = AnonymousRefusals()
        certificates = Certificates(folder)
        roles = {
            "root": "admin",
            "second": "admin",
            "acme": "es",
            "sho": "sho",
            "watcher": "auditor",
            "other": "ocsp",
        }
        clients = {name: certificates.client(name) for name in roles}
        certificates.register({name: (role, clients[name]) for name, role in roles.items()})
        self.peers = {name: client.public_bytes(_DER) for name, client in clients.items()}
        self.peers["nobody"] = certificates.client("nobody").public_bytes(_DER)
        engine = sqlite_engine(folder)
        people = SqlAdministrators(engine, administrators, ledger, random_bytes=self.world.random_bytes)
        table = PrincipalTable.load(
            folder / "principals.json", anchors=folder / "anchors.pem", beside=people.beside
        )
        kept = ReferenceStore(engine, random_bytes=self.world.random_bytes)
        proposals = ProposalDesk(records=kept, needed=2)
        updates = UpdateStore(engine, random_bytes=self.world.random_bytes)
        self.operator: Flask = operator_app(
            desks=OperatorDesks(
                requests=self.world.desk,
                signed_requests=self.world.signed_desk,
                approvals=self.world.approval_desk,
                suppliers=SupplierDesks(
                    recognition=self.world.recognition,
                    suspensions=SuspensionDesk(records=kept, proposals=proposals),
                    trust_lists=TrustListDesk(records=kept, proposals=proposals, sources={}),
                    proposals=self.world.proposal_desk,
                    crls=CrlBook(
                        records=CrlStore(engine), suppliers=self.world.recognition.suppliers, fetch=_nowhere
                    ),
                ),
                explanations=self.world.explanation_desk,
                manifests=self.world.manifest_desk,
                policies=self.world.policy_desk,
                results=self.world.reissue_desk,
                exports=self.world.export_desk,
                watches=WatchDesk(
                    store=MemoryWatches(
                        store=self.world.store, callbacks=frozenset(), event_life=timedelta(days=1)
                    ),
                    requests=self.world.desk,
                    random_bytes=self.world.random_bytes,
                    watches_max=2,
                ),
                rollouts=RolloutDesk(records=updates),
                answers=SqlAnswers(engine, kept_answers),
                administrators=people,
                next_states=NextStateDesk(
                    records=updates,
                    successors=ChainSuccessors(chain_of=self.world.references.manifest_chain),
                    day_key=self.world.approval_desk.day_key,
                ),
            ),
            principals=table,
            clock=lambda: NOW,
            on_refusal=recording(self.world.store, anonymous=self.anonymous, clock=lambda: NOW),
        )
        self.device: Flask = device_app(
            desk=self.world.desk,
            verifier=self.world.verifier,
            clock=lambda: NOW,
            anonymous=self.anonymous,
        )

    def call(self, name: str | None, method: str, path: str, **options: Any) -> TestResponse:
        """A request to the operator listener as somebody, or without a certificate."""
        environ = {} if name is None else {PEER_CERTIFICATE: self.peers[name]}
        return self.operator.test_client().open(path, method=method, environ_overrides=environ, **options)

    def from_device(self, path: str, **options: Any) -> TestResponse:
        """A POST to the device listener."""
        return self.device.test_client().post(path, **options)


def _nowhere(url: str) -> bytes:
    raise UnreachableError(url, reason="nothing is fetched here")


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def wish(service: Service, **changed: Any) -> dict[str, Any]:
    return {
        "device_id": service.world.device.device_id,
        "purpose": "validation",
        "nonce": encode_base64url(b"\x11" * 32),
        "audience": ["t", "dpf-1"],
        **changed,
    }


def problem(response: TestResponse, code: RefusalCode) -> dict[str, Any]:
    assert response.content_type == "application/problem+json"
    members: dict[str, Any] = response.get_json()
    assert members["reason"] == code.value
    assert members["type"] == f"urn:pva:problem:{code.value}"
    assert response.status_code == REFUSALS[code].status
    assert members["subject"]
    assert members["remedy"] == REFUSALS[code].remedy
    return members


def test_routes_of_the_two_listeners_are_disjoint_and_declared(service: Service) -> None:
    device = routes_of(service.device)
    operator = own_routes(service.operator)
    assert device == [
        ("POST", "/v1/challenges", ("device",)),
        ("POST", "/v1/evidence", ("device",)),
    ]
    assert operator == [
        ("GET", "/v1/manifests", ("admin", "auditor", "es", "sho", "dpf")),
        ("GET", "/v1/manifests/<digest>", ("admin", "auditor", "es", "sho", "dpf")),
        ("GET", "/v1/policies", ("sho", "es", "auditor")),
        ("GET", "/v1/policies/<digest>", ("sho", "es", "auditor")),
        ("GET", "/v1/proposals", ("admin", "auditor")),
        ("GET", "/v1/results/<result_id>", ("sho", "dpf", "auditor")),
        ("GET", "/v1/results/<result_id>/bundle", ("sho", "dpf", "auditor")),
        ("GET", "/v1/results/<result_id>/explanation", ("sho", "dpf", "auditor")),
        ("GET", "/v1/suppliers", ("admin", "auditor", "es", "sho", "dpf")),
        ("GET", "/v1/suspensions", ("admin", "auditor", "es", "sho", "dpf")),
        ("GET", "/v1/trust-lists", ("admin", "auditor", "overseer", "es", "sho", "dpf")),
        ("GET", "/v1/trust-lists/<issuer>", ("admin", "auditor", "overseer", "es", "sho", "dpf")),
        ("GET", "/v1/updates", ("admin", "auditor", "es", "sho", "dpf")),
        ("GET", "/v1/validation-requests/<request_id>", ("sho", "dpf", "ro-relay")),
        ("GET", "/v1/validations/<request_id>", ("sho",)),
        ("GET", "/v1/watches", ("sho",)),
        ("POST", "/v1/approvals", ("sho",)),
        ("POST", "/v1/manifest-checks", ("es", "admin")),
        ("POST", "/v1/manifests", ("es", "admin")),
        ("POST", "/v1/manifests/<digest>/approvals", ("admin",)),
        ("POST", "/v1/manifests/<digest>/retirement", ("admin",)),
        ("POST", "/v1/policies", ("sho", "es")),
        ("POST", "/v1/policies/<digest>/activate", ("sho", "es")),
        ("POST", "/v1/policies/<digest>/retire", ("sho", "es")),
        ("POST", "/v1/policies/check", ("sho", "es")),
        ("POST", "/v1/policies/dry-run", ("sho", "es")),
        ("POST", "/v1/proposals/<digest>/approvals", ("admin",)),
        ("POST", "/v1/proposals/<digest>/withdrawal", ("admin",)),
        ("POST", "/v1/suppliers", ("admin",)),
        ("POST", "/v1/suspensions", ("admin",)),
        ("POST", "/v1/suspensions/<suspension_id>/lifting", ("admin",)),
        ("POST", "/v1/trust-list-checks", ("admin", "overseer", "sho", "dpf")),
        ("POST", "/v1/trust-lists", ("admin", "overseer", "sho", "dpf")),
        ("POST", "/v1/update-approvals", ("sho",)),
        ("POST", "/v1/updates", ("es", "admin")),
        ("POST", "/v1/updates/<digest>/pause", ("es", "admin")),
        ("POST", "/v1/updates/<digest>/resume", ("es", "admin")),
        ("POST", "/v1/updates/<digest>/share", ("es", "admin")),
        ("POST", "/v1/validation-requests", ("sho", "dpf", "ro-relay")),
        ("POST", "/v1/validations", ("sho",)),
        ("POST", "/v1/watches", ("sho",)),
        ("POST", "/v1/watches/<watch_id>/end", ("sho",)),
    ]
    assert not {rule for _, rule, _ in device} & {rule for _, rule, _ in operator}


@pytest.mark.requirement("R93")
@pytest.mark.requirement("R95")
def test_an_operator_asks_a_device_answers_and_the_operator_reads(service: Service) -> None:
    asked = service.call("sho", "POST", "/v1/validations", json=wish(service))
    assert asked.status_code == 201
    request_id = asked.get_json()["request_id"]
    body = {"device_id": service.world.device.device_id}
    challenged = service.from_device("/v1/challenges", json=body)
    assert challenged.status_code == 200
    assert challenged.headers["Cache-Control"] == "no-store"
    evidence = encode_evidence(service.world.answer())
    answered = service.from_device("/v1/evidence", data=evidence, content_type=CBOR)
    assert answered.status_code == 200
    assert answered.get_json() == {
        "result_id": service.world.store.results[request_id].id,
        "status": "affirming",
    }
    shown = service.call("sho", "GET", f"/v1/validations/{request_id}").get_json()
    assert shown["state"] == "completed"
    assert shown["result"] == service.world.store.results[request_id].token
    assert shown["refusals"] == []


@pytest.mark.negative
def test_a_refused_device_learns_why_and_so_does_its_operator(service: Service) -> None:
    request_id = service.call("sho", "POST", "/v1/validations", json=wish(service)).get_json()["request_id"]
    evidence = encode_evidence(service.world.answer())
    service.world.recognise(service.world.supplier)
    service.world.references.by_name.clear()
    refused = service.from_device("/v1/evidence", data=evidence, content_type=CBOR)
    problem(refused, RefusalCode.SUPPLIER_NOT_RECOGNISED)
    again = service.from_device("/v1/evidence", data=evidence, content_type=CBOR)
    problem(again, RefusalCode.CHALLENGE_USED)
    shown = service.call("sho", "GET", f"/v1/validations/{request_id}").get_json()
    assert shown["state"] == "pending"
    assert "result" not in shown
    assert [each["code"] for each in shown["refusals"]] == ["supplier-not-recognised", "challenge-used"]
    assert all(each["subject"] and each["reason"] and each["remedy"] for each in shown["refusals"])


@pytest.mark.negative
def test_a_refusal_that_waiting_cures_says_how_long(service: Service) -> None:
    service.world.status = RefusalError(
        RefusalCode.STATUS_UNAVAILABLE, subject="PfC", reason="silence", retry_after_s=7
    )
    service.call("sho", "POST", "/v1/validations", json=wish(service))
    evidence = encode_evidence(service.world.answer())
    refused = service.from_device("/v1/evidence", data=evidence, content_type=CBOR)
    problem(refused, RefusalCode.STATUS_UNAVAILABLE)
    assert refused.headers["Retry-After"] == "7"


@pytest.mark.negative
def test_without_a_request_there_is_no_challenge(service: Service) -> None:
    for device_id in (service.world.device.device_id, "00" * 32):
        refused = service.from_device("/v1/challenges", json={"device_id": device_id})
        problem(refused, RefusalCode.NO_VALIDATION_PENDING)
    assert service.anonymous.totals() == {"no-validation-pending": 2}


@pytest.mark.negative
@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/v1/challenges", {"json": {"device_id": "AA" * 32}}, 422),
        ("/v1/challenges", {"json": {"device_id": "aa" * 32, "more": 1}}, 422),
        ("/v1/challenges", {"data": b"{", "content_type": "application/json"}, 400),
        ("/v1/challenges", {"data": b"x" * 2000, "content_type": "application/json"}, 413),
        ("/v1/challenges", {"data": b"{}", "content_type": "text/plain"}, 415),
        ("/v1/evidence", {"data": b"", "content_type": CBOR}, 400),
        ("/v1/evidence", {"data": b"\x00", "content_type": CBOR}, 400),
        ("/v1/evidence", {"data": b"\x00", "content_type": "application/json"}, 415),
    ],
)
def test_malformed_requests_of_devices(
    service: Service, path: str, options: dict[str, Any], status: int
) -> None:
    response = service.from_device(path, **options)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert service.world.store.audit_kinds() == ()


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"device_id": "zz" * 32},
        {"device_id": "aa" * 31},
        {"nonce": "AAAA"},
        {"nonce": "+" * 43},
        {"nonce": "A" * 42 + "B"},
        {"audience": []},
        {"audience": "sho-1"},
        {"audience": ["a"] * 9},
        {"order_digest": "00"},
        {"purpose": ""},
        {"unknown": 1},
    ],
)
def test_malformed_requests_of_operators(service: Service, changed: dict[str, Any]) -> None:
    response = service.call("sho", "POST", "/v1/validations", json=wish(service, **changed))
    assert response.status_code == 422
    assert not service.world.store.requests
    assert service.world.store.audit_kinds() == ("request-refused",)


@pytest.mark.negative
def test_an_order_is_validated_only_for_a_signature(service: Service) -> None:
    asked = service.call("sho", "POST", "/v1/validations", json=wish(service, order_digest="0d" * 32))
    problem(asked, RefusalCode.ORDER_NEEDS_SIGNATURE)
    assert not service.world.store.requests


@pytest.mark.negative
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/validation-requests", {}),
        ("/v1/validation-requests", {"request": ""}),
        ("/v1/validation-requests", {"request": 1}),
        ("/v1/validation-requests", {"request": "a" * 32_769}),
        ("/v1/validation-requests", {"request": "a.b.c", "more": 1}),
        ("/v1/approvals", {"result_id": "00"}),
        ("/v1/update-approvals", {"result_id": "00", "order_digest": "0d" * 32}),
        (
            "/v1/update-approvals",
            {"result_id": "00", "order_digest": "0d" * 32, "manifest_digest": "0d" * 32, "counter": 1},
        ),
        ("/v1/approvals", {"result_id": "../1", "order_digest": "0d" * 32}),
        ("/v1/approvals", {"result_id": "00", "order_digest": "0d" * 31}),
        ("/v1/approvals", {"result_id": "00", "order_digest": "0d" * 32, "digest": "00" * 32}),
    ],
)
def test_malformed_requests_of_relying_parties(service: Service, path: str, body: dict[str, Any]) -> None:
    assert service.call("sho", "POST", path, json=body).status_code == 422
    assert service.world.store.audit_kinds() == ("request-refused",)


@pytest.mark.requirement("R93")
@pytest.mark.requirement("R76")
def test_a_signed_request_its_result_and_its_approvals(service: Service) -> None:
    askers = Askers(certified=service.world.certified, device_id=service.world.device.device_id)
    askers.signers["sho"] = askers.signer("sho", "t", oids.EKU_SUBSCRIPTION)
    token = askers.token(audience=("t", "dpf-1"))
    first, again = (
        service.call("sho", "POST", "/v1/validation-requests", json={"request": token}) for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.get_json() == again.get_json()
    assert first.get_json()["expires_at"] == "2026-06-01T12:05:00Z"
    path = f"/v1/validation-requests/{first.get_json()['request_id']}"
    assert service.call("sho", "GET", path).get_json()["state"] == "pending"
    result = service.world.validate(service.world.answer())
    shown = service.call("sho", "GET", path)
    assert shown.headers["Cache-Control"] == "no-store"
    assert shown.get_json() == {
        "request_id": first.get_json()["request_id"],
        "state": "completed",
        "result": result.token,
        "refusals": [],
    }
    body = {"result_id": result.id, "order_digest": ORDER.hex()}
    approved = service.call("sho", "POST", "/v1/approvals", json=body)
    assert approved.status_code == 200
    assert approved.headers["Cache-Control"] == "no-store"
    members = approved.get_json()
    assert set(members) == {"approvals", "day_key_chain", "storage_public"}
    assert (len(members["approvals"]), len(members["day_key_chain"])) == (VAULT_REACH + 2, 1)
    assert members["storage_public"] == encode_base64url(service.world.device.storage.encode())


@pytest.mark.negative
def test_refusals_of_relying_parties_are_on_record(service: Service) -> None:
    token = service.call("sho", "POST", "/v1/validation-requests", json={"request": "a.b.c"})
    problem(token, RefusalCode.REQUEST_UNTRUSTED)
    problem(service.call("sho", "GET", "/v1/validation-requests/00"), RefusalCode.NOT_FOUND)
    body = {"result_id": "00", "order_digest": "0d" * 32}
    problem(service.call("sho", "POST", "/v1/approvals", json=body), RefusalCode.NOT_FOUND)
    assert service.world.store.audit_kinds() == ("request-refused",) * 3


@pytest.mark.requirement("R24")
def test_a_watch_is_added_seen_and_ended_by_its_operator(service: Service) -> None:
    body = {
        "device_id": service.world.device.device_id,
        "interval_s": 3600,
        "grace_s": 300,
        "audience": ["t"],
    }
    problem(service.call("sho", "POST", "/v1/watches", json=body), RefusalCode.WATCH_WITHOUT_RESULT)
    service.call("sho", "POST", "/v1/validations", json={**wish(service), "audience": ["t"]})
    assert service.world.validate(service.world.answer()).status == "affirming"
    made = service.call("sho", "POST", "/v1/watches", json=body)
    assert (made.status_code, made.get_json()["state"]) == (201, None)
    shown = service.call("sho", "GET", "/v1/watches").get_json()["watches"]
    assert shown == [made.get_json()]
    wrong: list[dict[str, Any]] = [
        {"interval_s": 0},
        {"interval_s": "60"},
        {"grace_s": None},
        {"audience": []},
        {"more": 1},
    ]
    for changed in wrong:
        assert service.call("sho", "POST", "/v1/watches", json={**body, **changed}).status_code == 422
    path = f"/v1/watches/{shown[0]['watch_id']}/end"
    assert service.call("sho", "POST", path, json={}).status_code == 204
    problem(service.call("sho", "POST", path, json={}), RefusalCode.NOT_FOUND)


@pytest.mark.negative
def test_purposes_that_are_not_offered(service: Service) -> None:
    for purpose in ("recoveries", "release"):
        response = service.call("sho", "POST", "/v1/validations", json=wish(service, purpose=purpose))
        problem(response, RefusalCode.PURPOSE_NOT_OFFERED)
    response = service.call("sho", "POST", "/v1/validations", json=wish(service, purpose="recovery"))
    assert response.status_code == 201


@pytest.mark.negative
def test_each_operator_sees_only_its_own(service: Service) -> None:
    foreign = service.world.ask()
    assert service.world.store.requests[foreign].tenant == "sho-1"
    problem(service.call("sho", "GET", f"/v1/validations/{foreign}"), RefusalCode.NOT_FOUND)


@pytest.mark.negative
@pytest.mark.parametrize("name", [None, "nobody", "root", "acme", "sho", "watcher", "other"])
def test_every_route_serves_its_roles_and_nobody_else(service: Service, name: str | None) -> None:
    role = {
        "root": "admin",
        "second": "admin",
        "acme": "es",
        "sho": "sho",
        "watcher": "auditor",
        "other": "ocsp",
    }.get(name or "")
    for method, rule, roles in routes_of(service.operator):
        response = service.call(name, method, rule.replace("<request_id>", "00"))
        if role in roles:
            assert response.status_code not in {401, 403}, (method, rule)
        else:
            assert response.status_code == (401 if name is None else 403), (method, rule)
