"""What the operator listener says of results on record: explained, in their forms, and as bundles."""

from dataclasses import replace

import pytest

from messages.evidence import encode_evidence
from pva.recheck.bundles import EVIDENCE, decode_bundle
from pva.refusals import RefusalCode
from tests.contract.test_pva_web import CBOR, Service, problem, service, wish
from tests.fakes.attesting_device import measurements
from tests.fakes.pki import NOW

__all__ = ["service"]


@pytest.mark.requirement("R69")
def test_a_result_is_explained_to_who_asked_and_to_the_auditor(service: Service) -> None:
    asked = service.call("sho", "POST", "/v1/validations", json=wish(service)).get_json()["request_id"]
    service.world.device = replace(service.world.device, boot=tuple(measurements(kernel=b"another kernel")))
    message = service.world.answer()
    service.from_device("/v1/evidence", data=encode_evidence(message), content_type=CBOR)
    result = service.world.store.results[asked]
    for name in ("sho", "watcher"):
        response = service.call(name, "GET", f"/v1/results/{result.id}/explanation")
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        told = response.get_json()
        assert (told["request_id"], told["status"]) == (asked, "contraindicated")
        assert told["nearest"]["sentence"].startswith("release 1.0.0 (svn 3) with kernel vmlinuz")
        kernel = next(each for each in told["findings"] if each["code"] == "kernel-mismatch")
        assert kernel["cause"]["register"] == 9
        assert (kernel["claim"], kernel["value"]) == ("executables", 96)
    members = {"scope", "code", "subject", "reason", "expected", "measured", "event", "cause", "remedy"}
    assert members < set(kernel)


@pytest.mark.parametrize("profile", ["", "?profile=ietf", "?profile=deployed"])
def test_a_result_is_fetched_in_its_profile_by_who_may_read_it(service: Service, profile: str) -> None:
    asked = service.call("sho", "POST", "/v1/validations", json=wish(service)).get_json()["request_id"]
    result = service.world.validate(service.world.answer())
    for name, some_id in (("sho", asked), ("watcher", result.id)):
        fetched = service.call(name, "GET", f"/v1/results/{some_id}{profile}")
        assert fetched.status_code == 200
        assert (fetched.get_json()["result"] == result.token) == (profile != "?profile=deployed")
    problem(service.call("sho", "GET", f"/v1/results/{asked}?profile=x"), RefusalCode.PROFILE_NOT_OFFERED)
    foreign = service.world.ask(at=NOW)
    problem(service.call("sho", "GET", f"/v1/results/{foreign}{profile}"), RefusalCode.NOT_FOUND)


@pytest.mark.negative
def test_a_result_of_another_tenant_is_not_explained(service: Service) -> None:
    foreign = service.world.validate(service.world.answer())
    refused = service.call("sho", "GET", f"/v1/results/{foreign.id}/explanation")
    problem(refused, RefusalCode.NOT_FOUND)


@pytest.mark.requirement("R95")
def test_a_bundle_goes_to_who_may_read_the_result_while_its_evidence_is_kept(service: Service) -> None:
    asked = service.call("sho", "POST", "/v1/validations", json=wish(service)).get_json()["request_id"]
    message = service.world.answer()
    result = service.world.validate(message)
    for name, some_id in (("sho", asked), ("watcher", result.id)):
        fetched = service.call(name, "GET", f"/v1/results/{some_id}/bundle")
        assert fetched.status_code == 200
        assert fetched.headers["Cache-Control"] == "no-store"
        assert decode_bundle(fetched.data)[EVIDENCE] == encode_evidence(message)
    foreign = service.world.ask(at=NOW)
    problem(service.call("sho", "GET", f"/v1/results/{foreign}/bundle"), RefusalCode.NOT_FOUND)
    service.world.store.evidence.clear()
    problem(service.call("sho", "GET", f"/v1/results/{asked}/bundle"), RefusalCode.NOT_EXPORTABLE)
