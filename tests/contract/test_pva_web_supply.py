"""What suppliers and administrators do over the PVA's operator listener: recognition, manifests, updates."""

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pva.refusals import REFUSALS, RefusalCode
from tests.contract.test_pva_web import Service, problem, service
from tests.fakes.pki import Authority
from tests.fakes.pva_world import reference_manifest
from tests.unit.pva.manifests.test_recognition import pem

RIM = "application/rim+cose"
_DER = Encoding.DER

__all__ = ["service"]


def test_an_admin_recognises_and_a_supplier_sends_its_manifest(service: Service) -> None:
    root = Authority.root("new root").certificate
    body = {
        "supplier": "New",
        "root": pem(root).decode(),
        "models": {"m": "1.2.3"},
        "ocsp_url": "http://127.0.0.1:8102/",
    }
    proposed = service.call("root", "POST", "/v1/suppliers", json=body)
    assert proposed.status_code == 202
    assert len(service.call("watcher", "GET", "/v1/suppliers").get_json()["suppliers"]) == 1
    problem(service.call("root", "POST", "/v1/suppliers", json=body), RefusalCode.APPROVER_NOT_ANOTHER)
    recognised = service.call("second", "POST", "/v1/suppliers", json=body)
    assert recognised.status_code == 201
    listed = service.call("watcher", "GET", "/v1/suppliers").get_json()["suppliers"]
    assert [each["supplier"] for each in listed] == ["Acme", "New"]
    next_release = reference_manifest(service.world.device, id="release-2", svn=4)
    signed = service.world.sign(next_release)
    imported = service.call("root", "POST", "/v1/manifests", data=signed, content_type=RIM)
    assert imported.status_code == 201
    assert imported.get_json()["id"] == "release-2"
    everything = service.call("sho", "GET", "/v1/manifests").get_json()["manifests"]
    assert {each["id"] for each in everything} == {"release-1", "release-2"}


@pytest.mark.requirement("R102")
def test_lists_are_read_page_by_page_while_they_grow(service: Service) -> None:
    def propose(number: int) -> None:
        body = {
            "supplier": f"New {number}",
            "root": pem(Authority.root(f"root {number}").certificate).decode(),
            "models": {"m": f"1.2.{number}"},
            "ocsp_url": "http://127.0.0.1:8102/",
        }
        assert service.call("root", "POST", "/v1/suppliers", json=body).status_code == 202

    def page(path: str, **query: str) -> Any:
        return service.call("watcher", "GET", path, query_string=query).get_json()

    for number in range(3):
        propose(number)
    whole = page("/v1/proposals")
    assert "next" not in whole
    first = page("/v1/proposals", limit="2")
    assert len(first["proposals"]) == 2
    rest = page("/v1/proposals", limit="2", after=first["next"])
    assert first["proposals"] + rest["proposals"] == whole["proposals"]
    assert "next" not in rest
    refused = service.call("watcher", "GET", "/v1/suppliers", query_string={"after": first["next"]})
    assert (refused.status_code, refused.get_json()["reason"]) == (400, "cursor")


def test_a_manifest_is_checked_imported_approved_twice_read_and_retired(service: Service) -> None:
    signed = service.world.sign(reference_manifest(service.world.device, id="release-2", svn=4))
    checked = service.call("root", "POST", "/v1/manifest-checks", data=signed, content_type=RIM)
    assert (checked.status_code, checked.get_json()["standing"]) == (200, "waiting")
    assert len(service.call("root", "GET", "/v1/manifests").get_json()["manifests"]) == 1
    digest = hashlib.sha256(signed).hexdigest()
    service.call("root", "POST", "/v1/manifests", data=signed, content_type=RIM)
    path = f"/v1/manifests/{digest}"
    assert service.call("sho", "GET", path).data == signed
    first = service.call("root", "POST", f"{path}/approvals", json={})
    assert (first.get_json()["standing"], first.get_json()["approvals"][0]["by"]) == ("waiting", "root")
    problem(service.call("root", "POST", f"{path}/approvals", json={}), RefusalCode.APPROVER_NOT_ANOTHER)
    second = service.call("second", "POST", f"{path}/approvals", json={})
    assert (second.status_code, second.get_json()["standing"]) == (200, "approved")
    retired = service.call("second", "POST", f"{path}/retirement", json={"reason": "a flaw"})
    assert retired.get_json()["standing"] == "retired"
    assert retired.get_json()["retired"]["reason"] == "a flaw"


@pytest.mark.negative
def test_a_digest_that_is_none_is_not_found(service: Service) -> None:
    for digest in ("x", "00", "00" * 32):
        problem(service.call("root", "GET", f"/v1/manifests/{digest}"), RefusalCode.NOT_FOUND)
    others = service.world.state.manifest_digest.hex()
    problem(service.call("acme", "GET", f"/v1/manifests/{others}"), RefusalCode.NOT_FOUND)


@pytest.mark.negative
def test_a_supplier_speaks_only_for_itself(service: Service) -> None:
    signed = service.world.sign(reference_manifest(service.world.device, id="release-2", svn=4))
    refused = service.call("acme", "POST", "/v1/manifests", data=signed, content_type=RIM)
    problem(refused, RefusalCode.MANIFEST_WRONG_VENDOR)
    assert service.call("acme", "GET", "/v1/manifests").get_json() == {"manifests": []}
    assert service.world.store.audit_kinds() == ("request-refused",)


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"ocsp_url": "https://127.0.0.1/"},
        {"ocsp_url": "ldap://x"},
        {"ocsp_url": ""},
        {"models": "m"},
        {"models": ["m"]},
        {"models": {"m": "not an OID"}},
        {"models": {"m": "1.2.3", "n": "1.2.3"}},
        {"root": ""},
    ],
)
def test_malformed_recognitions(service: Service, changed: dict[str, Any]) -> None:
    body = {
        "supplier": "New",
        "root": "-----",
        "models": {"m": "1.2.3"},
        "ocsp_url": "http://127.0.0.1/",
        **changed,
    }
    assert service.call("root", "POST", "/v1/suppliers", json=body).status_code == 422


def test_every_refusal_has_its_rule() -> None:
    assert set(REFUSALS) == set(RefusalCode)
    assert all(rule.remedy and rule.status >= 400 for rule in REFUSALS.values())


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_an_update_is_announced_by_its_supplier_and_approved_for_its_sho(service: Service) -> None:
    digest = "0d" * 32
    body = {"manifest_digest": digest, "share_percent": 10}
    for name in ("acme", "root"):
        problem(service.call(name, "POST", "/v1/updates", json=body), RefusalCode.NOT_FOUND)
        for path, sent in (
            (f"{digest}/pause", {}),
            (f"{digest}/resume", {}),
            (f"{digest}/share", {"share_percent": 1}),
        ):
            problem(service.call(name, "POST", f"/v1/updates/{path}", json=sent), RefusalCode.NOT_FOUND)
    problem(service.call("acme", "POST", "/v1/updates/0d/pause", json={}), RefusalCode.NOT_FOUND)
    assert service.call("acme", "POST", "/v1/updates", json={**body, "share_percent": 101}).status_code == 422
    assert service.call("sho", "POST", "/v1/updates", json=body).status_code == 403
    assert service.call("sho", "GET", "/v1/updates").get_json() == {"updates": []}
    asked = {"result_id": "00", "order_digest": digest, "manifest_digest": digest}
    problem(service.call("sho", "POST", "/v1/update-approvals", json=asked), RefusalCode.NOT_FOUND)
    assert service.call("acme", "POST", "/v1/update-approvals", json=asked).status_code == 403
