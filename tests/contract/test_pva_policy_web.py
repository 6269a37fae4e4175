"""The routes of policies: their owners, their bodies, their refusals."""

from typing import Any

import pytest

from pva.refusals import RefusalCode
from tests.contract.test_pva_web import Service, problem, service, wish

__all__ = ["service"]

TEXT = '@id("old")\n@reason("too old")\nforbid (principal, action, resource) when { resource.svn < 9 };'
SINCE = "2020-01-01T00:00:00Z"


def post(
    service: Service, name: str, path: str, body: dict[str, Any], *, status: int = 200
) -> dict[str, Any]:
    response = service.call(name, "POST", path, json=body)
    assert response.status_code == status, response.get_data(as_text=True)
    return dict(response.get_json())


@pytest.mark.parametrize("name", ["sho", "acme"])
def test_from_a_check_to_being_retired(service: Service, name: str) -> None:
    checked = post(service, name, "/v1/policies/check", {"text": TEXT})
    assert checked["faults"] == []
    assert checked["statements"] == [{"id": "old", "line": 1, "reason": "too old"}]
    assert service.call(name, "GET", "/v1/policies").get_json()["policies"] == []
    added = post(service, name, "/v1/policies", {"text": TEXT}, status=201)
    assert (added["state"], added["digest"]) == ("draft", checked["digest"])
    path = f"/v1/policies/{added['digest']}"
    assert post(service, name, f"{path}/activate", {})["state"] == "active"
    shown = service.call(name, "GET", path).get_json()
    assert (shown["text"], shown["state"]) == (TEXT, "active")
    assert post(service, name, f"{path}/retire", {})["state"] == "retired"
    for reader in (name, "watcher"):
        listed = service.call(reader, "GET", "/v1/policies").get_json()["policies"]
        assert [each["name"] for each in listed] == ["old"]


def test_a_dry_run_tells_an_operator_which_verdicts_and_nobody_else(service: Service) -> None:
    service.call("sho", "POST", "/v1/validations", json=wish(service))
    result = service.world.validate(service.world.answer())
    run = post(service, "sho", "/v1/policies/dry-run", {"text": TEXT, "since": SINCE})
    assert (run["judged"], run["denied"], run["changed"], run["by_statement"]) == (1, 1, 1, {"old": 1})
    assert [(each["result_id"], each["reasons"]) for each in run["changes"]] == [(result.id, ["too old"])]
    late = post(service, "sho", "/v1/policies/dry-run", {"text": TEXT, "since": "2099-01-01T00:00:00Z"})
    stranger = post(service, "acme", "/v1/policies/dry-run", {"text": TEXT, "since": SINCE})
    assert (late["judged"], stranger["judged"]) == (0, 0)


@pytest.mark.negative
def test_faults_are_listed_by_a_check_and_refused_by_an_addition(service: Service) -> None:
    faulty = TEXT.replace("resource.svn", "context.svm")
    (fault,) = post(service, "sho", "/v1/policies/check", {"text": faulty})["faults"]
    assert fault["line"] == 1
    assert "`svm` not found" in fault["message"]
    assert fault["remedy"]
    for path, body in (
        ("/v1/policies", {"text": faulty}),
        ("/v1/policies/dry-run", {"text": faulty, "since": SINCE}),
    ):
        problem(service.call("sho", "POST", path, json=body), RefusalCode.POLICY_FAULTY)
    assert service.call("sho", "GET", "/v1/policies").get_json()["policies"] == []


@pytest.mark.negative
@pytest.mark.parametrize("digest", ["00" * 32, "00", "zz" * 32])
def test_a_policy_that_is_not_there_or_another_owners(service: Service, digest: str) -> None:
    others = post(service, "acme", "/v1/policies", {"text": TEXT}, status=201)["digest"]
    for each in (digest, others):
        problem(service.call("sho", "GET", f"/v1/policies/{each}"), RefusalCode.NOT_FOUND)
        problem(service.call("sho", "POST", f"/v1/policies/{each}/activate"), RefusalCode.NOT_FOUND)
        problem(service.call("sho", "POST", f"/v1/policies/{each}/retire"), RefusalCode.NOT_FOUND)
    assert service.call("acme", "GET", f"/v1/policies/{others}").status_code == 200


@pytest.mark.negative
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/policies", {}),
        ("/v1/policies", {"text": ""}),
        ("/v1/policies", {"text": "x" * 16_385}),
        ("/v1/policies", {"text": TEXT, "state": "active"}),
        ("/v1/policies/check", {"text": 1}),
        ("/v1/policies/dry-run", {"text": TEXT}),
        ("/v1/policies/dry-run", {"text": TEXT, "since": "yesterday"}),
        ("/v1/policies/dry-run", {"text": TEXT, "since": "2020-13-01T00:00:00Z"}),
        ("/v1/policies/dry-run", {"text": TEXT, "since": "2020-01-01T00:00:00+02:00"}),
    ],
)
def test_malformed_bodies(service: Service, path: str, body: dict[str, Any]) -> None:
    assert service.call("sho", "POST", path, json=body).status_code == 422
