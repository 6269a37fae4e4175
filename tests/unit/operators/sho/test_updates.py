"""Approvals before an update: for this operator's own compartment, by the PVA of its order, in answer to one nonce."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from messages.approval import USE_VAULT, StateApproval, Use, decode_approval
from messages.mid_package import ApprovedUse
from messages.operator_token import verify_operator_token
from messages.update_approvals import GENERATIONS_MIN, UPDATE_APPROVALS_KIND, UpdateApprovals, read_claims
from operators.sho.order_states import OrderRecord
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.updates import UpdateQuestion
from standards.pki import oids
from standards.pki.fingerprints import certificate_der
from tests.fakes.pki import p256
from tests.fakes.sho_peers import OTHER_PVA, SHO
from tests.fakes.sho_world import World

NONCE, MANIFEST = b"\x5e" * 32, b"\x4d" * 32


def question(order: OrderRecord, **changed: Any) -> UpdateQuestion:
    assert order.digest is not None
    asked = UpdateQuestion(order_digest=order.digest, manifest_digest=MANIFEST, tre_nonce=NONCE)
    return replace(asked, **changed)


def refused(act: Callable[[], Any]) -> str:
    with pytest.raises(RefusalError) as caught:
        act()
    assert caught.value.remedy
    return caught.value.code


def answer(world: World, order: OrderRecord) -> UpdateApprovals:
    token = world.updates.approve(question(order), at=world.at)
    return read_claims(
        verify_operator_token(token, UPDATE_APPROVALS_KIND, anchors=world.anchors, at=world.at).claims
    )


@pytest.mark.requirement("R82")
def test_the_owner_answers_the_nonce_with_approvals_for_its_own_vault(world: World) -> None:
    order = world.active()
    given = answer(world, order)
    assert (given.sho, given.device_id) == (SHO, world.keys.device.device_id)
    assert (given.tre_nonce, given.manifest_digest) == (NONCE, MANIFEST)
    decoded = [decode_approval(each.approval) for each in given.approvals]
    assert {(each.use.use, each.use.sho) for each in decoded} == {(USE_VAULT, SHO)}
    first = decoded[0].state.counter
    assert [each.state.counter for each in decoded] == list(range(first, first + GENERATIONS_MIN))
    assert all(isinstance(each, ApprovedUse) and each.delegation for each in given.approvals)
    assert world.leaves(order.id)[-1] == "update-approved"


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_an_order_without_a_mid_in_the_device_gets_none(world: World) -> None:
    order = world.authorized()
    assert refused(lambda: answer(world, order)) == RefusalCode.ORDER_NOT_AUTHORIZED
    unknown = question(order, order_digest=b"\x0f" * 32)
    assert refused(lambda: world.updates.approve(unknown, at=world.at)) == RefusalCode.ORDER_UNKNOWN


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_what_the_pva_does_not_approve_is_not_signed(world: World) -> None:
    order = world.active()
    world.pva.reachable = False
    assert refused(lambda: answer(world, order)) == RefusalCode.UPDATE_NOT_APPROVED
    assert "update-approved" not in world.leaves(order.id)


def _package(approval: StateApproval) -> StateApproval:
    return replace(approval, use=replace(approval.use, use="package", order_digest=b"\x0d" * 32))


def _other_device(approval: StateApproval) -> StateApproval:
    return replace(approval, use=replace(approval.use, device_id="00" * 32))


def _other_operator(approval: StateApproval) -> StateApproval:
    use: Use = replace(approval.use, sho="sho-2")
    return replace(approval, use=use)


def _same_value(approval: StateApproval) -> StateApproval:
    return replace(approval, state=replace(approval.state, counter=9))


def _several_states(approval: StateApproval) -> StateApproval:
    digest = bytes([approval.state.counter]) * 32
    return replace(approval, state=replace(approval.state, pcr_digest=digest))


def _other_counter(approval: StateApproval) -> StateApproval:
    return replace(approval, state=replace(approval.state, counter_name=b"\x00\x0b" + bytes(32)))


def _unsigned(approval: StateApproval) -> StateApproval:
    return replace(approval, state=replace(approval.state, pcr_digest=bytes(32)))


@pytest.mark.requirement("R82")
@pytest.mark.negative
@pytest.mark.parametrize(
    "altered",
    [_package, _other_device, _other_operator, _same_value, _several_states, _other_counter, _unsigned],
)
def test_approvals_of_something_else_are_not_delegated(
    world: World, altered: Callable[[StateApproval], StateApproval]
) -> None:
    order = world.active()
    world.pva.alter_approval = altered
    assert refused(lambda: answer(world, order)) == RefusalCode.APPROVAL_UNACCEPTABLE
    assert "update-approved" not in world.leaves(order.id)


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_only_the_day_key_of_the_pva_that_validated_the_order_counts(world: World) -> None:
    order = world.active()
    stranger = world.keys.certificate(p256(), oids.EKU_STATE_APPROVAL, role="pva", name=OTHER_PVA)
    world.pva.approval_changes = {"day_key_chain": (certificate_der(stranger),)}
    assert refused(lambda: answer(world, order)) == RefusalCode.APPROVAL_UNACCEPTABLE
