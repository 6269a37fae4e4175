"""Approvals: built from what the TPM signed, for one order at one value of the counter, checked as a TPM would."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding

from messages.approval import (
    FORBIDDEN_PCRS,
    USE_PACKAGE,
    USE_VAULT,
    VAULT_REACH,
    StateApproval,
    decode_approval,
)
from pva.refusals import RefusalCode, RefusalError
from pva.updates.approvals import COUNTER_MAX, ApprovalFacts, Approved, ProvenState, approved_state
from standards.tpm2.constants import Comparison
from standards.tpm2.policy import EMPTY_POLICY, pcr_digest, policy_nv, policy_pcr
from standards.tpm2.structures import PcrSelection, Public, Signature
from tests.fakes.attesting_device import SHA256, AttestingDevice, measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_memory import MemoryStore
from tests.fakes.pva_world import SELECTION, World
from tests.fakes.relying_parties import DPF, ORDER, RelyingParties

OTHER_ORDER = b"\x0e" * 32


@pytest.fixture(scope="module")
def made() -> RelyingParties:
    return RelyingParties(world=World())


@pytest.fixture
def parties(made: RelyingParties) -> RelyingParties:
    """The same keys with an empty store."""
    made.world.store = MemoryStore()
    return made


def approve(parties: RelyingParties, result_id: str, *, order: bytes = ORDER, sho: str = "sho-1") -> Approved:
    return parties.world.approval_desk.approve(result_id, order_digest=order, sho=sho, at=NOW)


def refused(
    parties: RelyingParties, result_id: str, *, order: bytes = ORDER, sho: str = "sho-1"
) -> RefusalCode:
    given = dict(parties.world.store.given)
    with pytest.raises(RefusalError) as caught:
        approve(parties, result_id, order=order, sho=sho)
    assert parties.world.store.given == given
    return caught.value.code


def decoded(approved: Approved) -> tuple[StateApproval, ...]:
    return tuple(decode_approval(each) for each in approved.given.approvals)


def later(parties: RelyingParties, counter: int = 1) -> AttestingDevice:
    """The device after some time, its counter at a value."""
    history = parties.world.store.histories[parties.world.device.device_id]
    clock = history.last.clock_info.clock + 1000
    device = parties.world.device
    return replace(device, clock_info=replace(device.clock_info, clock=clock), counter_value=counter)


@pytest.mark.requirement("R76")
def test_package_at_c_and_vault_from_c_as_far_as_it_reaches(parties: RelyingParties) -> None:
    result = parties.validated()
    approved = approve(parties, result.id)
    device = parties.world.device
    uses = [
        (each.use.use, each.use.order_digest, each.use.device_id, each.use.sho, each.state.counter)
        for each in decoded(approved)
    ]
    of = (device.device_id, "sho-1")
    assert uses == [
        (USE_PACKAGE, ORDER, *of, 1),
        *((USE_VAULT, None, *of, 1 + later) for later in range(VAULT_REACH + 1)),
    ]
    assert Public.decode(approved.storage_public).name == result.result.storage_key_name
    assert approved.given.day_key_chain == (parties.world.approval_certificate.public_bytes(Encoding.DER),)
    assert "state-approved" in parties.world.store.audit_kinds()


@pytest.mark.check("A16")
def test_an_approval_is_what_a_tpm_in_that_state_comes_to(parties: RelyingParties) -> None:
    approved = decoded(approve(parties, parties.validated().id))
    device = parties.world.device
    selection = (PcrSelection(bank=SHA256, indices=SELECTION[SHA256]),)
    shown = policy_pcr(
        EMPTY_POLICY, selection=selection, pcr_digest=pcr_digest(selection, device.pcr_values(SELECTION))
    )
    for each, counter in zip(approved, (1, *range(1, VAULT_REACH + 2)), strict=True):
        reached = policy_nv(
            shown,
            index_name=device.counter.name,
            operand=counter.to_bytes(8, "big"),
            comparison=Comparison.EQ,
        )
        assert each.state.policy == reached
        if each.use.use == USE_VAULT:  # PolicyAuthValue: TPM_CC 0x0000016b (Part 3, 23.17)
            reached = hashlib.sha256(reached + bytes.fromhex("0000016b")).digest()
        signed = hashlib.sha256(reached + each.use.ref).digest()
        day_key = Public.decode(each.day_key).public_key()
        assert isinstance(day_key, ec.EllipticCurvePublicKey)
        assert day_key == parties.world.approval_key.public_key()
        day_key.verify(Signature.decode(each.signature).der(), signed, ec.ECDSA(Prehashed(hashes.SHA256())))
    assert len({each.use.ref for each in approved}) == 2


@pytest.mark.check("A16")
def test_registers_that_say_nothing_about_boot_code_are_never_approved() -> None:
    values = {SHA256: {index: bytes([index]) * 32 for index in range(24)}, 0x000C: {23: bytes(48)}}
    state = approved_state(
        ProvenState(pcr_values=values, storage_public=b"", counter_name=bytes(34), counter=1), counter=1
    )
    assert state.pcr_selections == {SHA256: (*range(10), *range(11, 16))}
    assert not FORBIDDEN_PCRS & set(state.pcr_selections[SHA256])
    covered = b"".join(values[SHA256][index] for index in state.pcr_selections[SHA256])
    assert state.pcr_digest == hashlib.sha256(covered).digest()


def test_the_same_result_again_gives_the_same_approvals(parties: RelyingParties) -> None:
    result = parties.validated()
    assert approve(parties, result.id) == approve(parties, result.id)
    assert parties.world.store.audit_kinds().count("state-approved") == 1


def test_a_later_result_is_approved_while_the_counter_stands(parties: RelyingParties) -> None:
    first = approve(parties, parties.validated().id)
    again = approve(parties, parties.validated(device=later(parties)).id)
    states = [decoded(each)[0].state for each in (first, again)]
    assert states[0] == states[1]
    assert first.given != again.given, "signed anew"


@pytest.mark.negative
def test_an_order_is_closed_once_the_counter_has_gone_up(parties: RelyingParties) -> None:
    first = parties.validated()
    approve(parties, first.id)
    raised = parties.validated(device=later(parties, counter=2))
    assert refused(parties, raised.id) is RefusalCode.ORDER_CLOSED
    assert refused(parties, first.id) is RefusalCode.ORDER_CLOSED
    other = parties.validated(device=later(parties, counter=2), order_digest=OTHER_ORDER)
    assert decoded(approve(parties, other.id, order=OTHER_ORDER))[0].state.counter == 2


@pytest.mark.negative
def test_a_result_that_the_counter_has_left_is_not_approved(parties: RelyingParties) -> None:
    first = parties.validated()
    parties.validated(device=later(parties, counter=2), order_digest=OTHER_ORDER)
    assert refused(parties, first.id) is RefusalCode.RESULT_SUPERSEDED


@pytest.mark.negative
def test_an_order_is_approved_on_one_device(parties: RelyingParties) -> None:
    approve(parties, parties.validated().id)
    other = AttestingDevice(ek_seed=b"another device")
    second = parties.validated(device=other, device_id=other.device_id)
    assert refused(parties, second.id) is RefusalCode.ORDER_CLOSED


@pytest.mark.negative
@pytest.mark.requirement("R40")
def test_nobody_else_has_a_result_approved(parties: RelyingParties) -> None:
    result = parties.validated()
    assert refused(parties, result.id, sho="sho-2") is RefusalCode.NOT_FOUND
    assert refused(parties, result.id, sho="dpf-1") is RefusalCode.NOT_FOUND
    assert refused(parties, "00") is RefusalCode.NOT_FOUND
    token = parties.token(role="dpf")
    parties.world.signed_desk.submit(token, caller=DPF, at=NOW)
    of_the_dpf = parties.world.validate(parties.world.answer(later(parties)))
    assert refused(parties, of_the_dpf.id) is RefusalCode.NOT_FOUND


@pytest.mark.negative
def test_another_order_and_no_order_are_not_approved(parties: RelyingParties) -> None:
    result = parties.validated()
    assert refused(parties, result.id, order=OTHER_ORDER) is RefusalCode.ORDER_MISMATCH
    look = parties.validated(device=later(parties), order_digest=None)
    assert refused(parties, look.id) is RefusalCode.ORDER_MISMATCH
    parties.world.ask()
    direct = parties.world.validate(parties.world.answer(later(parties)))
    assert refused(parties, direct.id) is RefusalCode.ORDER_MISMATCH


@pytest.mark.negative
@pytest.mark.check("A27")
def test_a_result_out_of_its_life_is_not_approved(parties: RelyingParties) -> None:
    result = parties.validated()
    with pytest.raises(RefusalError) as caught:
        parties.world.approval_desk.approve(
            result.id, order_digest=ORDER, sho="sho-1", at=result.result.expires_at
        )
    assert caught.value.code is RefusalCode.RESULT_EXPIRED


@pytest.mark.negative
def test_no_state_of_a_changed_platform_is_approved(parties: RelyingParties) -> None:
    changed = replace(parties.world.device, boot=tuple(measurements(kernel=b"another kernel")))
    assert refused(parties, parties.validated(device=changed).id) is RefusalCode.RESULT_NOT_AFFIRMING


@pytest.mark.negative
def test_a_newer_result_that_is_not_affirming_ends_an_older_ones_approval(parties: RelyingParties) -> None:
    good = parties.validated()
    changed = replace(later(parties), boot=tuple(measurements(kernel=b"another kernel")))
    parties.validated(device=changed, order_digest=OTHER_ORDER)
    assert refused(parties, good.id) is RefusalCode.RESULT_SUPERSEDED
    again = parties.validated(device=later(parties))
    assert decoded(approve(parties, again.id))[0].state.counter == 1


@pytest.mark.negative
def test_a_result_that_somebody_changed_in_the_store_is_not_approved(parties: RelyingParties) -> None:
    result = parties.validated()
    head, body, signature = result.token.split(".")
    forged = replace(result, token=f"{head}.{body}.{signature[::-1]}")
    parties.world.store.results[result.request_id] = forged
    assert refused(parties, result.id) is RefusalCode.RESULT_NOT_AFFIRMING


@pytest.mark.negative
@pytest.mark.parametrize("counter", [COUNTER_MAX + 1, (1 << 64) - 1])
def test_a_counter_at_its_end_is_not_approved(parties: RelyingParties, counter: int) -> None:
    result = parties.validated()
    quote = replace(result.quote, generation_counter=counter)
    parties.world.store.results[result.request_id] = replace(result, quote=quote)
    assert refused(parties, result.id) is RefusalCode.RESULT_SUPERSEDED


@pytest.mark.negative
def test_what_changes_between_looking_and_recording_is_seen(parties: RelyingParties) -> None:
    result = parties.validated()
    store = parties.world.store

    class Racing(MemoryStore):
        """Another validation raises the counter while approvals are being signed."""

        def approval_facts(self, result_id: str, *, sho: str) -> ApprovalFacts | None:
            """As it was before."""
            facts = super().approval_facts(result_id, sho=sho)
            history = self.histories[parties.world.device.device_id]
            raised = replace(history, last=replace(history.last, generation_counter=2))
            self.histories[parties.world.device.device_id] = raised
            return facts

    parties.world.store = Racing(
        requests=store.requests, results=store.results, revisions=store.revisions, histories=store.histories
    )
    assert refused(parties, result.id) is RefusalCode.CONCURRENT_CHANGE
    assert not parties.world.store.orders


def test_a_result_lives_long_enough_to_be_approved(parties: RelyingParties) -> None:
    result = parties.validated()
    last = result.result.expires_at - timedelta(seconds=1)
    approved = parties.world.approval_desk.approve(result.id, order_digest=ORDER, sho="sho-1", at=last)
    assert len(approved.given.approvals) == VAULT_REACH + 2
