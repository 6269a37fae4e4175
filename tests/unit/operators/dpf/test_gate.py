"""The gate of the DPF, point by point: everything right but one thing, each refused by its own name."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from messages.operator_token import OperatorSigner
from messages.release import RELEASE_KIND, Release
from operators.dpf.gate import (
    Authorized,
    AuthorizedParts,
    Trust,
    check_authorized,
    check_fresh_result,
    check_still_granted,
)
from operators.dpf.refusals import REFUSALS, RefusalCode, RefusalError
from standards.pki import oids
from standards.rats.ar4si import Tier
from tests.fakes.dpf_world import FRESH_NONCE, SHO, DpfWorld, affirming, signer_of
from tests.fakes.network import operator
from tests.fakes.pki import EXPIRED, NOW, Authority

WORLD = DpfWorld()
STRANGERS = Authority.root("another root")
OTHER_NAME = b"\x00\x0b" + b"\x99" * 32
PAST, SOON = NOW - timedelta(minutes=10), NOW + timedelta(minutes=1)
FOREIGN = {
    "another root": signer_of(STRANGERS, "sho", SHO, oids.EKU_SUBSCRIPTION),
    "another SHO": signer_of(WORLD.operators, "sho", "sho-2", oids.EKU_SUBSCRIPTION),
    "another role": signer_of(WORLD.operators, "ro-relay", SHO, oids.EKU_SUBSCRIPTION),
    "another purpose": signer_of(WORLD.operators, "sho", SHO, oids.EKU_DELIVERY),
    "an expired certificate": signer_of(WORLD.operators, "sho", SHO, oids.EKU_SUBSCRIPTION, validity=EXPIRED),
}


def judge(parts: AuthorizedParts, *, at: datetime = NOW, trust: Trust | None = None) -> Authorized:
    return check_authorized(parts, sho=SHO, trust=trust or WORLD.trust, accepted_at=NOW, at=at)


def changing(name: str, token: str) -> dict[str, Any]:
    return {name: token}


def refused(parts: AuthorizedParts, **how: Any) -> str:
    with pytest.raises(RefusalError) as caught:
        judge(parts, **how)
    assert caught.value.subject
    assert caught.value.reason
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.requirement("R96")
def test_what_is_right_in_all_respects_passes() -> None:
    parts = WORLD.parts()
    authorized = judge(parts)
    assert authorized.order == WORLD.order
    assert authorized.package == WORLD.package
    fresh = check_fresh_result(
        WORLD.signed_result(WORLD.fresh()),
        authorized=authorized,
        nonce=FRESH_NONCE,
        trust=WORLD.trust,
        at=NOW,
    )
    assert fresh.result_id == "fresh-1"


@pytest.mark.negative
@pytest.mark.requirement("R96")
@pytest.mark.parametrize("who", FOREIGN)
@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("authorization", RefusalCode.AUTHORIZATION_INVALID),
        ("order", RefusalCode.ORDER_INVALID),
        ("package", RefusalCode.PACKAGE_INVALID),
    ],
)
def test_what_another_signed_is_refused(part: str, code: RefusalCode, who: str) -> None:
    assert refused(WORLD.parts(signers={part: FOREIGN[who]})) == code


@pytest.mark.negative
@pytest.mark.requirement("R81")
def test_a_result_of_somebody_else_is_refused() -> None:
    code = RefusalCode.RESULT_INVALID
    strange = signer_of(STRANGERS, "pva", "pva-1", oids.EKU_ATTESTATION_RESULT)
    by_sho = signer_of(WORLD.operators, "sho", SHO, oids.EKU_ATTESTATION_RESULT)
    unknown = signer_of(WORLD.operators, "pva", "pva-2", oids.EKU_ATTESTATION_RESULT)
    for by in (strange, by_sho, unknown):
        assert refused(WORLD.parts(signers={"result": by})) == code


CHANGES: list[tuple[str, dict[str, Any], RefusalCode]] = [
    ("authorization", {"dpf": "dpf-2"}, RefusalCode.AUTHORIZATION_INVALID),
    ("authorization", {"issued_at": PAST, "expires_at": NOW}, RefusalCode.AUTHORIZATION_EXPIRED),
    ("authorization", {"issued_at": SOON}, RefusalCode.AUTHORIZATION_EXPIRED),
    ("authorization", {"order_digest": b"\x01" * 32}, RefusalCode.ORDER_MISMATCH),
    ("authorization", {"result_id": "result-2"}, RefusalCode.RESULT_MISMATCH),
    ("authorization", {"storage_key_name": OTHER_NAME}, RefusalCode.RESULT_MISMATCH),
    ("authorization", {"package_digest": b"\x02" * 32}, RefusalCode.PACKAGE_MISMATCH),
    ("order", {"audience": "dpf-2"}, RefusalCode.ORDER_MISMATCH),
    ("order", {"order_id": "order-2"}, RefusalCode.ORDER_MISMATCH),
    ("order", {"jti": "order-token-2"}, RefusalCode.ORDER_MISMATCH),
    ("order", {"device_id": "ab" * 32}, RefusalCode.ORDER_MISMATCH),
    ("order", {"ak_name": OTHER_NAME}, RefusalCode.ORDER_MISMATCH),
    ("order", {"issued_at": PAST, "expires_at": NOW}, RefusalCode.ORDER_INVALID),
    ("result", {"audience": ("sho-1",)}, RefusalCode.RESULT_MISMATCH),
    ("result", {"audience": ("dpf-1",)}, RefusalCode.RESULT_MISMATCH),
    ("result", {"order_digest": b"\x01" * 32}, RefusalCode.RESULT_MISMATCH),
    ("result", {"order_digest": None}, RefusalCode.RESULT_MISMATCH),
    ("result", {"device_id": "ab" * 32}, RefusalCode.RESULT_MISMATCH),
    ("result", {"ak_name": OTHER_NAME}, RefusalCode.RESULT_MISMATCH),
    ("result", {"storage_key_name": OTHER_NAME}, RefusalCode.RESULT_MISMATCH),
    ("result", {"issued_at": PAST, "expires_at": NOW}, RefusalCode.RESULT_INVALID),
    ("result", {"purpose": "recovery"}, RefusalCode.RESULT_NOT_AFFIRMING),
    ("result", {"submodules": affirming(tre=Tier.WARNING)}, RefusalCode.RESULT_NOT_AFFIRMING),
    ("result", {"submodules": affirming(platform=Tier.CONTRAINDICATED)}, RefusalCode.RESULT_NOT_AFFIRMING),
    ("package", {"dpf": "dpf-2"}, RefusalCode.PACKAGE_MISMATCH),
    ("package", {"device_id": "ab" * 32}, RefusalCode.PACKAGE_MISMATCH),
    ("package", {"ak_name": OTHER_NAME}, RefusalCode.PACKAGE_MISMATCH),
    ("package", {"storage_key_name": OTHER_NAME}, RefusalCode.PACKAGE_MISMATCH),
    ("package", {"order_digest": b"\x01" * 32}, RefusalCode.PACKAGE_MISMATCH),
    ("package", {"issued_at": PAST, "expires_at": NOW}, RefusalCode.PACKAGE_INVALID),
    ("package", {"content_size": 5}, RefusalCode.CONTENT_MISMATCH),
    ("package", {"content_sha256": bytes(32)}, RefusalCode.CONTENT_MISMATCH),
]


@pytest.mark.negative
@pytest.mark.requirement("R53")
@pytest.mark.requirement("R60")
@pytest.mark.requirement("R81")
@pytest.mark.requirement("R96")
@pytest.mark.parametrize(("part", "changed", "code"), CHANGES)
def test_everything_right_but_one(part: str, changed: Mapping[str, Any], code: RefusalCode) -> None:
    assert refused(WORLD.parts(changed={part: changed})) == code


@pytest.mark.requirement("R46")
@pytest.mark.negative
@pytest.mark.parametrize(("updates", "code"), [("mid-1", None), ("mid-2", RefusalCode.PACKAGE_MISMATCH)])
def test_the_package_of_an_update_brings_the_mid_that_its_order_names(
    updates: str, code: RefusalCode | None
) -> None:
    digest = replace(WORLD.order, updates=updates).digest
    bound = {"order_digest": digest}
    parts = WORLD.parts(
        changed={"order": {"updates": updates}, "authorization": bound, "result": bound, "package": bound}
    )
    if code is None:
        assert judge(parts).order.updates == updates
    else:
        assert refused(parts) == code


@pytest.mark.negative
def test_other_content_than_the_package_names_is_refused() -> None:
    flipped = bytes([WORLD.content[0] ^ 1]) + WORLD.content[1:]
    assert refused(WORLD.parts(content=flipped)) == RefusalCode.CONTENT_MISMATCH
    assert refused(WORLD.parts(content=WORLD.content[:-1])) == RefusalCode.CONTENT_MISMATCH


@pytest.mark.negative
@pytest.mark.parametrize("name", ["authorization", "order", "result", "package"])
def test_a_token_of_another_kind_or_a_flipped_bit_is_refused(name: str) -> None:
    parts = WORLD.parts()
    other = parts.order if name != "order" else parts.package
    assert refused(replace(parts, **changing(name, other))).endswith("-invalid")
    token: str = getattr(parts, name)
    flipped = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
    assert refused(replace(parts, **changing(name, flipped))).endswith("-invalid")


@pytest.mark.negative
def test_another_tenants_authorisation_is_not_the_callers() -> None:
    with pytest.raises(RefusalError) as caught:
        check_authorized(WORLD.parts(), sho="sho-2", trust=WORLD.trust, accepted_at=NOW, at=NOW)
    assert caught.value.code == RefusalCode.AUTHORIZATION_INVALID


def test_the_first_result_is_judged_when_it_came_and_everything_else_now() -> None:
    parts = WORLD.parts()
    later = NOW + timedelta(minutes=30)
    assert judge(parts, at=later).result.result_id == "result-1"
    assert refused(parts, at=NOW + timedelta(hours=1)) == RefusalCode.AUTHORIZATION_EXPIRED


AUTHORIZED = judge(WORLD.parts())
FRESH: list[tuple[dict[str, Any], RefusalCode]] = [
    ({"nonce": b"\x01" * 32}, RefusalCode.FRESH_RESULT_MISMATCH),
    ({"audience": ("sho-1",)}, RefusalCode.FRESH_RESULT_MISMATCH),
    ({"audience": ("dpf-1",)}, RefusalCode.FRESH_RESULT_MISMATCH),
    ({"device_id": "ab" * 32}, RefusalCode.FRESH_RESULT_MISMATCH),
    ({"order_digest": b"\x01" * 32}, RefusalCode.FRESH_RESULT_MISMATCH),
    ({"order_digest": None}, RefusalCode.FRESH_RESULT_MISMATCH),
    ({"issued_at": PAST, "expires_at": NOW}, RefusalCode.FRESH_RESULT_INVALID),
    ({"purpose": "recovery"}, RefusalCode.FRESH_RESULT_NOT_AFFIRMING),
    ({"submodules": affirming(tre=Tier.WARNING)}, RefusalCode.FRESH_RESULT_NOT_AFFIRMING),
    ({"submodules": affirming(platform=Tier.CONTRAINDICATED)}, RefusalCode.FRESH_RESULT_NOT_AFFIRMING),
    ({"ak_name": OTHER_NAME}, RefusalCode.STATE_CHANGED),
    ({"storage_key_name": OTHER_NAME}, RefusalCode.STATE_CHANGED),
    ({"pcr_digest": bytes(32)}, RefusalCode.STATE_CHANGED),
    ({"pcr_selections": {0x000B: (0, 4, 7)}}, RefusalCode.STATE_CHANGED),
    ({"pcr_selections": {0x000B: (0, 1)}}, RefusalCode.FRESH_RESULT_NOT_AFFIRMING),
    ({"generation_counter": 2}, RefusalCode.STATE_CHANGED),
]


@pytest.mark.negative
@pytest.mark.requirement("R61")
@pytest.mark.requirement("R68")
@pytest.mark.parametrize(("changed", "code"), FRESH)
def test_a_fresh_validation_that_is_right_in_all_but_one(
    changed: Mapping[str, Any], code: RefusalCode
) -> None:
    token = WORLD.signed_result(WORLD.fresh(**changed))
    with pytest.raises(RefusalError) as caught:
        check_fresh_result(token, authorized=AUTHORIZED, nonce=FRESH_NONCE, trust=WORLD.trust, at=NOW)
    assert caught.value.code == code


@pytest.mark.negative
@pytest.mark.requirement("R68")
def test_a_fresh_result_of_another_pva_than_was_asked_is_none() -> None:
    other = operator(WORLD.operators, "pva", oids.EKU_ATTESTATION_RESULT, issuer="pva-2")
    token = WORLD.signed_result(WORLD.fresh(issuer="pva-2"), by=other)
    both = replace(WORLD.trust, pvas=frozenset({"pva-1", "pva-2"}))
    with pytest.raises(RefusalError, match="another PVA than was asked") as caught:
        check_fresh_result(token, authorized=AUTHORIZED, nonce=FRESH_NONCE, trust=both, at=NOW)
    assert caught.value.code == RefusalCode.FRESH_RESULT_MISMATCH


@pytest.mark.negative
@pytest.mark.requirement("R68")
def test_the_result_of_the_operator_is_no_fresh_one() -> None:
    parts = WORLD.parts()
    with pytest.raises(RefusalError) as caught:
        check_fresh_result(
            parts.result, authorized=judge(parts), nonce=FRESH_NONCE, trust=WORLD.trust, at=NOW
        )
    assert caught.value.code == RefusalCode.FRESH_RESULT_MISMATCH


@pytest.mark.negative
def test_what_ends_during_a_transfer_ends_the_transfer() -> None:
    parts, fresh = WORLD.parts(), WORLD.signed_result(WORLD.fresh())
    far = NOW + timedelta(days=1)

    def code_at(at: datetime, *, grant_ends_at: datetime = far, trust: Trust = WORLD.trust) -> str | None:
        try:
            check_still_granted(
                parts, fresh_token=fresh, grant_ends_at=grant_ends_at, sho=SHO, trust=trust, at=at
            )
        except RefusalError as refusal:
            return refusal.code
        return None

    assert code_at(NOW) is None
    assert code_at(NOW, grant_ends_at=NOW) == RefusalCode.GRANT_EXPIRED
    assert code_at(NOW + timedelta(hours=1)) == RefusalCode.AUTHORIZATION_EXPIRED
    assert code_at(NOW + timedelta(minutes=5)) == RefusalCode.FRESH_RESULT_INVALID
    dropped = replace(WORLD.trust, pvas=frozenset({"pva-2"}))
    assert code_at(NOW, trust=dropped) == RefusalCode.FRESH_RESULT_INVALID


def test_every_code_has_a_status_of_refusal_and_a_remedy() -> None:
    assert set(REFUSALS) == set(RefusalCode)
    assert all(int(rule.status) >= 400 and rule.remedy for rule in REFUSALS.values())


OSHO = "osho-1"
PRIOR = signer_of(WORLD.operators, "sho", OSHO, oids.EKU_SUBSCRIPTION)


def taking_over(signer: OperatorSigner = PRIOR, *, named: str = OSHO, **changed: Any) -> AuthorizedParts:
    """An authorisation that names the prior owner, with its release, each part of which may be another."""
    release = Release(osho=OSHO, device_id=WORLD.order.device_id, mid_id="mid-1", successor=SHO)
    token = signer.sign(replace(release, **changed).claims(), typ=RELEASE_KIND.typ)
    return WORLD.parts(changed={"authorization": {"prior_owner": named, "release": token}})


@pytest.mark.requirement("R96", "R120")
def test_a_change_of_operator_comes_with_the_prior_owners_release() -> None:
    assert judge(taking_over()).authorization.prior_owner == OSHO


@pytest.mark.requirement("R96", "R120")
@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"named": "osho-2"},
        {"device_id": "00" * 32},
        {"successor": "sho-9"},
        {"signer": WORLD.sho},
        {"signer": signer_of(STRANGERS, "sho", OSHO, oids.EKU_SUBSCRIPTION)},
        {"signer": signer_of(WORLD.operators, "ro-relay", OSHO, oids.EKU_SUBSCRIPTION)},
    ],
    ids=["prior owner", "device", "successor", "signed by the successor", "another root", "another role"],
)
def test_a_release_of_something_else_authorises_nothing(changed: dict[str, Any]) -> None:
    assert refused(taking_over(**changed)) == RefusalCode.RELEASE_INVALID
