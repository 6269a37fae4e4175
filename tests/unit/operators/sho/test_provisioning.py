"""Provisioning: what the policy root delegates to, what is packed, and what goes to the DPF."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from messages import authorization, mid_package
from messages.approval import USE_PACKAGE, USE_VAULT, VAULT_REACH, StateApproval, decode_approval
from messages.mid_content import decode_content
from messages.operator_token import verify_operator_token
from operators.sho.approvals import OfferedApprovals, VerifiedApprovals, is_token_key, verify_approvals
from operators.sho.bundles import Bundle, OpenedSubscription
from operators.sho.order_states import BoundOrder, OrderRecord, OrderState, bound
from operators.sho.packages import Recipe, make_package
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.subscriber_keys import SubscriberKey
from standards.pki import oids
from standards.pki.fingerprints import certificate_der
from standards.rats.ear import AttestationResult
from standards.tpm2.constants import Algorithm
from standards.tpm2.import_blob import check_import_public
from standards.tpm2.policy import policy_key_public
from standards.tpm2.structures import Public, Signature
from standards.tpm2.templates import STORAGE_RSA_2048
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.pki import p256
from tests.fakes.sho_peers import COUNTER, DPF, OTHER_PVA, PVA, SHO, Keys
from tests.fakes.sho_world import World


def verified(world: World, result: AttestationResult, order: BoundOrder, **changed: Any) -> VerifiedApprovals:
    """The PVA's approvals as this operator judges them."""
    offered = world.pva.approvals(PVA, result_id=result.result_id, order_digest=order.digest)
    return verify_approvals(
        replace(offered, **changed),
        result=result,
        order=order,
        sho=SHO,
        anchors=world.anchors,
        at=world.at,
    )


@pytest.fixture(scope="module")
def answered(delivered: tuple[World, OrderRecord]) -> tuple[World, AttestationResult, BoundOrder]:
    """What approvals are judged by."""
    world, order = delivered
    (request,) = world.pva.requests.values()
    return world, world.pva.result(request), bound(order)


Answered = tuple[World, AttestationResult, BoundOrder]


# --- approvals -------------------------------------------------------------------------------------------


def test_approvals_that_follow_from_the_result_are_taken(answered: Answered) -> None:
    world, result, order = answered
    uses = [(each.use.use, each.state.counter) for each in verified(world, result, order).approvals]
    reach = range(COUNTER, COUNTER + VAULT_REACH + 1)
    assert uses == [(USE_PACKAGE, COUNTER), *((USE_VAULT, value) for value in reach)]


Change = Callable[[World, StateApproval], StateApproval]


def _resigned(world: World, approval: StateApproval, **changed: Any) -> StateApproval:
    """The approval with another state, signed again by the day key: right in all respects but one."""
    return world.pva.approval(approval.use, changed.pop("counter", approval.state.counter), **changed)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda world, each: _resigned(world, each, pcr_digest=bytes(32)), "PCR digest"),
        (lambda world, each: _resigned(world, each, pcr_selections={0x000B: (0, 4, 7)}), "selection"),
        (lambda world, each: _resigned(world, each, pcr_selections={0x000B: (0,)}), "other boot code"),
        (lambda world, each: _resigned(world, each, counter_name=b"\x00\x0b" + bytes(32)), "another index"),
        (lambda world, each: _resigned(world, each, counter=each.state.counter + 1), "uses"),
        (
            lambda world, each: world.pva.approval(
                replace(each.use, device_id="d1" * 32), each.state.counter
            ),
            "uses",
        ),
        (lambda world, each: world.pva.approval(replace(each.use, sho="sho-2"), each.state.counter), "uses"),
        (
            lambda world, each: (
                world.pva.approval(
                    replace(each.use, order_digest=each.use.order_digest and b"\x01" * 32), each.state.counter
                )
                if each.use.use == USE_PACKAGE
                else each
            ),
            "uses",
        ),
        (lambda world, each: world.pva.approval(each.use, each.state.counter, key=p256()), "not signed"),
        (
            lambda _, each: replace(each, day_key=policy_key_public(p256().public_key()).encode()),
            "another key",
        ),
    ],
    ids=[
        "another state",
        "other registers",
        "too few registers",
        "another counter",
        "another count",
        "another device",
        "another operator",
        "another order",
        "another signer",
        "another day key",
    ],
)
def test_an_approval_that_is_wrong_in_one_respect_is_refused(
    answered: Answered, change: Change, named: str
) -> None:
    world, result, order = answered
    offered = world.pva.approvals(PVA, result_id=result.result_id, order_digest=order.digest)
    altered = tuple(change(world, decode_approval(each)).encode() for each in offered.approvals)
    with pytest.raises(RefusalError, match=named) as caught:
        verified(world, result, order, approvals=altered)
    assert caught.value.code == RefusalCode.APPROVAL_UNACCEPTABLE.value


@pytest.mark.negative
def test_approvals_must_be_all_and_no_more(answered: Answered) -> None:
    world, result, order = answered
    offered = world.pva.approvals(PVA, result_id=result.result_id, order_digest=order.digest).approvals
    for altered in (offered[:2], (*offered, offered[0]), (b"\xa0",)):
        with pytest.raises(RefusalError):
            verified(world, result, order, approvals=altered)


@pytest.mark.negative
def test_a_day_key_is_believed_for_its_certificate_alone(answered: Answered) -> None:
    world, result, order = answered
    keys = world.keys
    wrong = {
        "another purpose": keys.certificate(keys.day_key, oids.EKU_ATTESTATION_RESULT, role="pva", name=PVA),
        "another role": keys.certificate(keys.day_key, oids.EKU_STATE_APPROVAL, role="dpf", name=PVA),
        "another PVA": keys.certificate(keys.day_key, oids.EKU_STATE_APPROVAL, role="pva", name=OTHER_PVA),
        "another root": Keys(supplier=keys.supplier, device=keys.device).certificate(
            keys.day_key, oids.EKU_STATE_APPROVAL, role="pva", name=PVA
        ),
    }
    for certificate in wrong.values():
        with pytest.raises(RefusalError, match="day key"):
            verified(world, result, order, day_key_chain=(certificate_der(certificate),))
    with pytest.raises(RefusalError, match="day key"):
        verified(world, result, order, day_key_chain=(b"\x30\x00",))


@pytest.mark.negative
def test_a_storage_key_that_is_not_the_one_of_the_result_is_refused(answered: Answered) -> None:
    world, result, order = answered
    for public in (AttestingDevice().storage.encode(), world.keys.device.ak.encode(), b"\x00"):
        with pytest.raises(RefusalError, match="storage key"):
            verified(world, result, order, storage_public=public)


@pytest.mark.negative
def test_bad_approvals_are_noted_and_nothing_is_packed(world: World) -> None:
    world.pva.approval_changes = {"storage_public": AttestingDevice().storage.encode()}
    order = world.authorized()
    assert order.state is OrderState.VALIDATING
    assert world.store.package(order.id) is None
    assert world.leaves(order.id)[-1] == "peer-refused"
    world.pva.approval_changes = {}
    world.later(seconds=2)
    world.advance()
    assert world.state(order.id) is OrderState.AUTHORIZED


# --- the package -----------------------------------------------------------------------------------------


@pytest.mark.requirement("R96")
def test_the_dpf_gets_an_authorisation_that_names_everything_it_rests_on(
    delivered: tuple[World, OrderRecord],
) -> None:
    world, order = delivered
    (parts,) = world.network.authorized
    signed = verify_operator_token(
        parts["authorization"], authorization.AUTHORIZATION_KIND, anchors=world.anchors, at=world.at
    )
    said = authorization.read_claims(signed.claims)
    (request,) = world.pva.requests.values()
    device = world.keys.device
    assert (said.sho, said.dpf, said.device_id) == (SHO, DPF, device.device_id)
    assert (said.order_digest, said.ak_name, said.storage_key_name) == (
        order.digest,
        device.ak.name,
        device.storage.name,
    )
    assert said.result_id == f"result-{request.jti}"
    assert said.package_digest == mid_package.package_digest(parts["package"])
    assert parts["order"] == order.token
    assert parts["result"] == world.pva.answers[request.jti]


def test_the_package_is_for_this_tpm_state_and_order(delivered: tuple[World, OrderRecord]) -> None:
    world, order = delivered
    header = _header(world)
    assert (header.device_id, header.order_digest) == (world.keys.device.device_id, order.digest)
    assert header.storage_key_name == world.keys.device.storage.name
    package, *vaults = (decode_approval(each.approval) for each in header.approvals)
    root = Public.decode(header.policy_root)
    sealed = Public.decode(header.sealed_key.public)
    check_import_public(sealed, auth_policy=package.use.sealed_policy(root))
    for approval, used in zip((package, *vaults), header.approvals, strict=True):
        digest = approval.use.delegation_digest(Public.decode(approval.day_key))
        signature = Signature.decode(used.delegation)
        public = root.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        assert signature.hash_algorithm == Algorithm.SHA256
        public.verify(signature.der(), digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def _header(world: World) -> mid_package.PackageHeader:
    token = world.network.authorized[0]["package"]
    signed = verify_operator_token(token, mid_package.PACKAGE_KIND, anchors=world.anchors, at=world.at)
    return mid_package.read_claims(signed.claims)


def test_the_content_is_the_subscription_and_only_the_content_key_opens_it(
    delivered: tuple[World, OrderRecord],
) -> None:
    world, order = delivered
    binding = bound(order)
    drawn: list[bytes] = []

    def random_bytes(count: int) -> bytes:
        drawn.append(world.random_bytes(count))
        return drawn[-1]

    imsi, key = "262070000000001", SubscriberKey(algorithm="milenage", k=b"K" * 16, opc=b"C" * 16)
    bundle = Bundle(ims_domain="ims.mnc007.mcc262.3gppnetwork.org")
    recipe = Recipe(
        order=binding,
        applications=bundle.applications([OpenedSubscription(imsi=imsi, access="cellular", key=key)]),
        policy=bundle.policy,
        storage=world.keys.device.storage,
        sealed_policy=bytes(32),
        policy_root=world.policy_root.public.encode(),
        approvals=_header(world).approvals,
        result_id="result-1",
        dpf=DPF,
        version=1,
        issued_at=world.at,
        expires_at=order.expires_at,
    )
    package = make_package(recipe, signer=world.signer, random_bytes=random_bytes)
    assert b"K" * 16 not in package.content
    assert "KKKK" not in repr(recipe)
    signed = verify_operator_token(
        package.token, mid_package.PACKAGE_KIND, anchors=world.anchors, at=world.at
    )
    header = mid_package.read_claims(signed.claims)
    content = decode_content(mid_package.decrypt_content(package.content, key=drawn[2], header=header))
    usim, isim = content.applications
    assert (content.mid_id, content.policy.algorithms) == (package.mid_id, ("milenage",))
    assert (usim.kind, usim.identity, usim.k, usim.opc) == ("usim", imsi, b"K" * 16, b"C" * 16)
    assert (isim.kind, isim.identity) == ("isim", f"{imsi}@{bundle.ims_domain}")
    on_rsa = replace(recipe, storage=replace(STORAGE_RSA_2048, unique=_modulus()))
    assert make_package(on_rsa, signer=world.signer, random_bytes=random_bytes).content


def _modulus() -> bytes:
    return bytes.fromhex("c1") + b"\x5d" * 254 + b"\x01"


# --- what may happen on the way --------------------------------------------------------------------------


@pytest.mark.negative
@pytest.mark.requirement("R19")
def test_a_supplier_that_was_given_up_meanwhile_gets_nothing(world: World) -> None:
    order = world.validating()
    world.suppliers.clear()
    world.validation.take(world.pva.answer_all(), at=world.at)
    world.advance()
    assert world.state(order.id) is OrderState.REFUSED
    assert "supplier-not-recognised" in (world.order(order.id).reason or "")
    assert world.network.authorized == []


@pytest.mark.negative
def test_a_result_that_lapsed_before_it_was_used_is_asked_for_anew(world: World) -> None:
    order = world.validating()
    world.validation.take(world.pva.answer_all(), at=world.at)
    world.later(minutes=6)
    world.advance()
    assert world.state(order.id) is OrderState.VALIDATING
    assert world.store.accepted_request(order.id) is None
    assert len(world.pva.requests) == 2
    assert world.network.authorized == []


def test_while_the_dpf_is_down_the_same_package_waits(world: World) -> None:
    world.network.dpf_reachable = False
    order = world.authorized()
    assert order.state is OrderState.PACKAGED
    package = world.package(order.id)
    world.network.dpf_reachable = True
    world.later(seconds=2)
    world.advance()
    assert world.state(order.id) is OrderState.AUTHORIZED
    assert world.network.authorized[0]["package"] == package.token


def test_a_package_whose_result_lapsed_at_the_dpf_s_door_is_made_anew(world: World) -> None:
    world.network.dpf_reachable = False
    order = world.authorized()
    world.network.dpf_reachable, world.network.dpf_takes_new = True, False
    world.later(minutes=6)
    world.advance()
    assert world.state(order.id) is OrderState.VALIDATING
    world.validation.take(world.pva.answer_all(), at=world.at)
    world.advance()
    assert world.package(order.id).version == 2


def killed_at_the_dpfs_door(world: World, monkeypatch: pytest.MonkeyPatch) -> OrderRecord:
    """The DPF has the authorisation, and this operator was killed before it could note that."""
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "authorized", lambda *_, **__: None)
        order = world.authorized()
    assert (order.state, len(world.network.authorized) > 0) == (OrderState.PACKAGED, True)
    return order


def test_a_package_that_the_dpf_has_already_is_not_made_anew_however_late(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = killed_at_the_dpfs_door(world, monkeypatch)
    world.network.dpf_takes_new = False
    world.later(minutes=6)
    world.advance()
    assert world.state(order.id) is OrderState.AUTHORIZED
    assert world.package(order.id).version == 1


@pytest.mark.requirement("R99")
def test_a_receipt_finds_the_order_of_an_operator_that_was_killed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = killed_at_the_dpfs_door(world, monkeypatch)
    assert world.receipts.take(world.message(order.id), at=world.at).state is OrderState.ACTIVE
    assert world.state(order.id) is OrderState.ACTIVE


def test_a_device_that_comes_back_after_its_authorisation_lapsed_is_validated_anew(world: World) -> None:
    order = world.authorized()
    world.register()
    assert world.state(order.id) is OrderState.AUTHORIZED
    world.later(minutes=16)
    world.register()
    assert world.state(order.id) is OrderState.REGISTERED


def test_a_killed_process_goes_on_with_what_is_stored(world: World) -> None:
    order = world.validating()
    world.validation.take(world.pva.answer_all(), at=world.at)
    accepted = world.store.accepted_request(order.id)
    assert accepted is not None
    assert world.provisioning.pack(world.order(order.id), request=accepted, at=world.at)
    stored = world.package(order.id)
    again = World(world.keys, store=world.store)
    again.pva = world.pva
    again.advance()
    assert again.state(order.id) is OrderState.AUTHORIZED
    assert again.network.authorized[0]["package"] == stored.token


def test_the_policy_root_is_another_key_than_that_of_tokens(world: World) -> None:
    assert not is_token_key(world.policy_root, world.keys.token_key)
    assert is_token_key(world.policy_root, world.keys.policy_root)


def test_offered_approvals_are_a_value() -> None:
    offered = OfferedApprovals(approvals=(b"a",), day_key_chain=(b"b",), storage_public=b"c")
    assert replace(offered, storage_public=b"d") != offered
