"""Claims of an attestation result."""

import copy
import dataclasses
import json
from typing import Any

import pytest

from standards.rats.ar4si import Tier
from standards.rats.ear import DEPLOYED_PROFILE, PROFILE, read_claims
from standards.rats.errors import RatsError
from standards.rats.submodules import read_submodules
from tests.unit.standards.rats.results import FINDING, RESULT

MEMBERS_REQUIRED = [
    name
    for name in RESULT.claims()
    if name not in {"ear_status", "pva_order_digest", "pva_manifest", "pva_inclusion_promise"}
]


@pytest.mark.requirement("R81")
def test_claims_are_read_back() -> None:
    assert read_claims(json.loads(json.dumps(RESULT.claims()))) == RESULT
    bare = dataclasses.replace(RESULT, order_digest=None, manifest=None, promise=None)
    assert read_claims(bare.claims()) == bare


@pytest.mark.requirement("R69")
def test_claims_are_those_of_the_draft() -> None:
    claims = RESULT.claims()
    assert claims["eat_profile"] == PROFILE == "tag:ietf.org,2026:rats/ear#03"
    assert claims["ear_verifier_id"] == {"developer": "Open PVA", "build": "0.1.0"}
    assert claims["ear_status"] == "contraindicated"
    assert claims["submods"]["tre"] == {
        "ear_status": "affirming",
        "ear_trustworthiness_vector": {"executables": 3, "storage-opaque": 2},
        "ear_appraisal_policy_ids": ["baseline"],
        "pva_findings": [],
    }
    assert claims["submods"]["platform"]["pva_findings"][0]["code"] == "pcr-mismatch"
    assert len(claims["eat_nonce"]) == 43


def test_a_result_of_another_verifier_is_read_as_far_as_the_draft_goes() -> None:
    submods = {
        "platform": {
            "ear_status": "warning",
            "ear_trustworthiness_vector": {"instance-identity": 2, "configuration": -40, "hardware": 2},
            "vendor_extension": {"any": "thing"},
        },
        "guest": {"ear_status": "none"},
    }
    read = read_submodules(submods)
    assert {name: submodule.status for name, submodule in read.items()} == {
        "platform": Tier.WARNING,
        "guest": Tier.NONE,
    }


def test_unknown_claims_are_ignored() -> None:
    assert read_claims({**RESULT.claims(), "another": "claim"}) == RESULT


@pytest.mark.negative
@pytest.mark.parametrize("member", MEMBERS_REQUIRED)
def test_a_missing_claim_is_refused(member: str) -> None:
    claims = RESULT.claims()
    del claims[member]
    with pytest.raises(RatsError, match=member):
        read_claims(claims)


def _changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    claims = copy.deepcopy(RESULT.claims())
    place = claims
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return claims


@pytest.mark.negative
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("eat_profile",), "tag:github.com,2023:veraison/ear"),
        (("iat",), 1.5),
        (("exp",), "tomorrow"),
        (("aud",), "sho.example"),
        (("aud",), []),
        (("eat_nonce",), "AAAA"),
        (("ear_status",), "affirming"),
        (("ear_status",), "warning"),
        (("ear_status",), "splendid"),
        (("submods",), {}),
        (("submods", "platform", "ear_status"), "affirming"),
        (("submods", "platform", "ear_trustworthiness_vector"), {"executables": 3.0}),
        (("submods", "platform", "ear_trustworthiness_vector"), {"charm": 2}),
        (("submods", "platform", "ear_appraisal_policy_ids"), []),
        (("submods", "platform", "pva_findings"), [{}]),
        (("submods", "platform", "pva_findings"), "none"),
        (("pva_device_id",), "D1" * 32),
        (("pva_ak_name",), "00"),
        (("pva_pcr_select",), {"md5": [0]}),
        (("pva_pcr_select",), {"sha256": [24]}),
        (("pva_pcr_select",), {"sha256": [1, 0]}),
        (("pva_pcr_select",), {}),
        (("pva_pfc", "serial"), "abc"),
        (("pva_manifest", "svn"), -1),
        (("pva_generation_counter",), True),
        (("pva_inclusion_promise",), None),
        (("pva_inclusion_promise", "log"), ""),
        (("pva_inclusion_promise", "leaf_hash"), "1f" * 31),
        (("pva_inclusion_promise", "merge_delay_s"), 0),
        (("pva_inclusion_promise", "merge_delay_s"), 86_401),
    ],
)
def test_a_claim_that_is_wrong_in_one_respect_is_refused(path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(RatsError):
        read_claims(_changed(path, value))


@pytest.mark.negative
def test_a_result_that_contradicts_itself_is_not_written() -> None:
    platform = RESULT.submodules["platform"]
    too_good = dataclasses.replace(platform, status=Tier.AFFIRMING)
    stray = dataclasses.replace(platform, findings=(dataclasses.replace(FINDING, scope="tre"),))
    meaningless = dataclasses.replace(platform, trustworthiness_vector={"executables": 100})
    for submodule in (too_good, stray, meaningless):
        with pytest.raises(RatsError):
            dataclasses.replace(RESULT, submodules={"platform": submodule}).claims()


def test_the_deployed_names_carry_the_same_result() -> None:
    claims = json.loads(json.dumps(RESULT.claims(profile=DEPLOYED_PROFILE)))
    assert read_claims(claims) == RESULT
    assert read_claims(RESULT.claims(profile=PROFILE)) == RESULT


def test_deployed_claims_are_those_that_software_in_the_field_reads() -> None:
    claims = RESULT.claims(profile=DEPLOYED_PROFILE)
    assert claims["eat_profile"] == "tag:github.com,2023:veraison/ear"
    assert set(claims["ear.verifier-id"]) == {"developer", "build"}
    assert isinstance(claims["eat_nonce"], str)
    assert isinstance(claims["iat"], int)
    part = claims["submods"]["tre"]
    assert (part["ear.status"], part["ear.appraisal-policy-id"]) == ("affirming", "baseline")
    assert part["ear.trustworthiness-vector"] == {
        "instance-identity": 0,
        "configuration": 0,
        "executables": 3,
        "file-system": 0,
        "hardware": 0,
        "runtime-opaque": 0,
        "storage-opaque": 2,
        "sourced-data": 0,
    }
    assert not any(name.startswith("ear_") for name in (*claims, *part))


@pytest.mark.negative
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ear.status", "affirmed"),
        ("ear.status", 2),
        ("ear.trustworthiness-vector", {"executables": 96}),
        ("ear.trustworthiness-vector", {"firmware": 2}),
        ("ear.appraisal-policy-id", ["baseline"]),
        ("ear.appraisal-policy-id", "another"),
        ("pva_policy_ids", "baseline"),
        ("pva_policy_ids", []),
    ],
)
def test_a_deployed_claim_that_is_wrong_is_refused(name: str, value: Any) -> None:
    claims = json.loads(json.dumps(RESULT.claims(profile=DEPLOYED_PROFILE)))
    claims["submods"]["tre"][name] = value
    with pytest.raises(RatsError):
        read_claims(claims)


@pytest.mark.negative
def test_names_of_the_other_profile_are_not_read() -> None:
    """Claims are read under the names of the profile that the result is signed in, and under no others."""
    for profile, other in ((PROFILE, DEPLOYED_PROFILE), (DEPLOYED_PROFILE, PROFILE)):
        with pytest.raises(RatsError):
            read_claims({**RESULT.claims(profile=profile), "eat_profile": other})
    with pytest.raises(RatsError):
        RESULT.claims(profile="tag:example.com,2026:another")
