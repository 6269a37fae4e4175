"""What a relying party checks of a result before it acts on it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from messages.errors import MessageError
from messages.operator_token import OperatorSigner
from messages.reliance import Expected, check_answers, permits_release, verify_result
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from standards.rats.ar4si import Tier
from standards.rats.ear import RESULT_TYPE, AttestationResult, Submodule
from tests.fakes.pki import LEAF_USAGE, NOW, Authority, p256
from tests.unit.standards.rats.results import RESULT as EVERY_CLAIM

ROOT = Authority.root("operators")
KEY = p256()
AFFIRMING = Submodule(
    status=Tier.AFFIRMING, trustworthiness_vector={"executables": 3}, policy_ids=("baseline",), findings=()
)
RESULT = replace(
    EVERY_CLAIM,
    submodules={"tre": AFFIRMING, "platform": AFFIRMING},
    issued_at=NOW,
    expires_at=NOW + timedelta(minutes=5),
    pcr_selections={0x000B: (0, 1, 4, 7, 14)},
)
EXPECTED = Expected(
    audience="dpf.example",
    device_id=RESULT.device_id,
    nonce=RESULT.nonce,
    order_digest=RESULT.order_digest,
    ak_name=RESULT.ak_name,
    storage_key_name=RESULT.storage_key_name,
)


def signed(
    result: AttestationResult = RESULT,
    *,
    role: str = "pva",
    eku: x509.ObjectIdentifier = oids.EKU_ATTESTATION_RESULT,
    typ: str = RESULT_TYPE,
    **claims: Any,
) -> str:
    named = OperatorRole(role=role, id="pva.example").to_extension()
    leaf = ROOT.issue("PVA", key=KEY.public_key(), eku=eku, extensions=[(LEAF_USAGE, True), (named, False)])
    signer = OperatorSigner(key=KEY, chain=(leaf,), issuer="pva.example")
    return signer.sign({**result.claims(), **claims}, typ=typ)


TOKEN = signed()


@pytest.mark.requirement("R81")
def test_a_result_of_the_pva_is_taken() -> None:
    result = verify_result(TOKEN, anchors=[ROOT.certificate], at=NOW)
    assert result == RESULT
    check_answers(result, EXPECTED)
    check_answers(result, Expected(audience="sho.example", device_id=RESULT.device_id))
    assert permits_release(result)


@pytest.mark.check("A27")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("token", "after_s"),
    [
        (signed(role="sho"), 0),
        (signed(eku=oids.EKU_CHALLENGE), 0),
        (signed(typ="pva-challenge+jwt"), 0),
        (signed(eat_profile="tag:example,2026:another"), 0),
        (signed(replace(RESULT, issuer="pva2.example"), submods={}), 0),
        (TOKEN, 300),
        (TOKEN, -6),
        ("a.b.c", 0),
    ],
    ids=["role", "purpose", "type", "profile", "no scopes", "expired", "not yet", "no token"],
)
def test_a_result_that_is_wrong_in_one_respect_is_refused(token: str, after_s: int) -> None:
    with pytest.raises(MessageError):
        verify_result(token, anchors=[ROOT.certificate], at=NOW + timedelta(seconds=after_s))


@pytest.mark.check("A27")
@pytest.mark.negative
def test_a_result_under_another_root_is_refused() -> None:
    with pytest.raises(MessageError, match="operators' root"):
        verify_result(TOKEN, anchors=[Authority.root("operators").certificate], at=NOW)


@pytest.mark.check("A27")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"audience": "sho2.example"}, "audience"),
        ({"device_id": "d2" * 32}, "device"),
        ({"nonce": b"\x78" * 32}, "nonce"),
        ({"order_digest": b"\x0e" * 32}, "order"),
        ({"ak_name": b"\x00\x0b" + b"\xab" * 32}, "AK"),
        ({"storage_key_name": b"\x00\x0b" + b"\xbc" * 32}, "storage key"),
    ],
)
def test_the_answer_to_another_question_is_refused(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(MessageError, match=f"another {named}"):
        check_answers(RESULT, replace(EXPECTED, **changed))


@pytest.mark.check("A27")
@pytest.mark.negative
def test_a_result_without_an_order_answers_no_question_about_one() -> None:
    with pytest.raises(MessageError, match="another order"):
        check_answers(replace(RESULT, order_digest=None), EXPECTED)


@pytest.mark.requirement("R81")
@pytest.mark.negative
@pytest.mark.parametrize("tier", [tier for tier in Tier if tier is not Tier.AFFIRMING])
@pytest.mark.parametrize("scope", ["tre", "platform", "application"])
def test_any_scope_that_is_not_affirming_stops_a_release(tier: Tier, scope: str) -> None:
    judged = replace(AFFIRMING, status=tier)
    assert not permits_release(replace(RESULT, submodules={**RESULT.submodules, scope: judged}))


@pytest.mark.requirement("R81")
@pytest.mark.negative
@pytest.mark.parametrize("scope", ["tre", "platform"])
def test_a_missing_scope_stops_a_release(scope: str) -> None:
    left = {name: judged for name, judged in RESULT.submodules.items() if name != scope}
    assert not permits_release(replace(RESULT, submodules=left))
    assert not permits_release(replace(RESULT, submodules={}))


@pytest.mark.requirement("R81")
@pytest.mark.negative
@pytest.mark.parametrize("purpose", ["remediation", "recovery", "Validation", ""])
def test_a_result_for_another_purpose_stops_a_release(purpose: str) -> None:
    assert not permits_release(replace(RESULT, purpose=purpose))


@pytest.mark.requirement("R81")
@pytest.mark.negative
@pytest.mark.parametrize("selections", [{0x000B: (0, 1, 14)}, {0x0004: (0, 4, 7)}, {}])
def test_a_verdict_over_too_few_registers_stops_a_release(selections: dict[int, tuple[int, ...]]) -> None:
    assert not permits_release(replace(RESULT, pcr_selections=selections))
