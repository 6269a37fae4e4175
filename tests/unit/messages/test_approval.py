"""Approvals: one use, one device, one operator, one order, one state."""

from dataclasses import replace
from typing import Any

import pytest

from messages.approval import (
    FORBIDDEN_PCRS,
    USE_VAULT,
    StateApproval,
    Use,
    decode_approval,
    signed_digest,
)
from messages.encoding import decode_deterministic, encode_deterministic
from messages.errors import MessageError
from standards.tpm2.constants import Comparison
from standards.tpm2.policy import EMPTY_POLICY, approval_digest, policy_authorize, policy_nv, policy_pcr
from tests.unit.messages.operator_samples import (
    APPROVAL,
    DAY_KEY,
    DEVICE_ID,
    FOR_PACKAGE,
    FOR_VAULT,
    SHO,
    STATE,
)
from tests.unit.messages.samples import SHA256_BANK
from tests.unit.standards.tpm2.attester import ecc_key

ROOT = ecc_key(scalar=0xB0).public
OTHER_USES = [
    FOR_VAULT,
    replace(FOR_PACKAGE, device_id="d2" * 32),
    replace(FOR_PACKAGE, sho="sho2.example"),
    replace(FOR_PACKAGE, order_digest=b"\x0e" * 32),
]


def fields(approval: StateApproval = APPROVAL) -> dict[int, Any]:
    value = decode_deterministic(approval.encode(), bytes_max=4_096)
    assert isinstance(value, dict)
    return value


def test_what_was_encoded_is_decoded() -> None:
    for approval in (APPROVAL, replace(APPROVAL, use=FOR_VAULT)):
        assert decode_approval(approval.encode()) == approval


def test_the_policies_are_those_of_the_norm() -> None:
    """TPM 2.0 Part 3: PolicyPCR, PolicyNV and PolicyAuthorize, put together by hand."""
    shown = policy_pcr(EMPTY_POLICY, selection=STATE.selection, pcr_digest=STATE.pcr_digest)
    operand = (3).to_bytes(8, "big")
    state = policy_nv(shown, index_name=STATE.counter_name, operand=operand, comparison=Comparison.EQ)
    assert state == STATE.policy
    assert APPROVAL.digest == approval_digest(state, policy_ref=FOR_PACKAGE.ref)
    delegated = policy_authorize(key_name=DAY_KEY.public.name, policy_ref=FOR_PACKAGE.ref)
    assert FOR_PACKAGE.delegation_digest(DAY_KEY.public) == approval_digest(
        delegated, policy_ref=FOR_PACKAGE.ref
    )
    assert FOR_PACKAGE.sealed_policy(ROOT) == policy_authorize(key_name=ROOT.name, policy_ref=FOR_PACKAGE.ref)


@pytest.mark.requirement("R53", "R64")
@pytest.mark.negative
@pytest.mark.parametrize("other", OTHER_USES, ids=["use", "device", "operator", "order"])
def test_an_approval_for_another_use_is_another_approval(other: Use) -> None:
    assert other.ref != FOR_PACKAGE.ref
    assert signed_digest(other, STATE) != signed_digest(FOR_PACKAGE, STATE)
    assert other.sealed_policy(ROOT) != FOR_PACKAGE.sealed_policy(ROOT)
    assert other.delegation_digest(DAY_KEY.public) != FOR_PACKAGE.delegation_digest(DAY_KEY.public)


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"counter": 4},
        {"counter_name": b"\x00\x0b" + b"\xde" * 32},
        {"pcr_digest": b"\xcd" * 32},
        {"pcr_selections": {SHA256_BANK: (0, 4, 7)}},
        {"pcr_selections": {0x000C: (0, 4, 7, 14)}},
    ],
    ids=["counter", "index", "digest", "selection", "bank"],
)
def test_an_approval_of_another_state_is_another_approval(changed: dict[str, Any]) -> None:
    assert signed_digest(FOR_PACKAGE, replace(STATE, **changed)) != APPROVAL.digest


@pytest.mark.negative
@pytest.mark.parametrize("index", sorted(FORBIDDEN_PCRS))
def test_registers_that_stand_for_no_boot_code_are_refused(index: int) -> None:
    selections = {SHA256_BANK: tuple(sorted({0, index}))}
    approval = replace(APPROVAL, state=replace(STATE, pcr_selections=selections))
    with pytest.raises(MessageError, match="stands for no boot code"):
        decode_approval(approval.encode())


@pytest.mark.negative
@pytest.mark.parametrize(
    "selections",
    [{SHA256_BANK: (14,)}, {SHA256_BANK: (0, 7)}, {SHA256_BANK: (0,), 0x000C: (4, 7)}, {0x0004: (0, 4, 7)}],
    ids=["none of them", "no boot loader", "split over banks", "SHA-1"],
)
def test_registers_that_leave_boot_code_out_are_refused(selections: dict[int, tuple[int, ...]]) -> None:
    approval = replace(APPROVAL, state=replace(STATE, pcr_selections=selections))
    with pytest.raises(MessageError, match="other boot code"):
        decode_approval(approval.encode())


@pytest.mark.negative
@pytest.mark.parametrize(
    "use",
    [
        Use(use="recovery", device_id=DEVICE_ID, sho=SHO, order_digest=None),
        replace(FOR_PACKAGE, order_digest=None),
        replace(FOR_VAULT, order_digest=b"\x0d" * 32),
        replace(FOR_PACKAGE, use=USE_VAULT),
    ],
)
def test_only_a_package_has_an_order(use: Use) -> None:
    with pytest.raises(MessageError):
        decode_approval(replace(APPROVAL, use=use).encode())


@pytest.mark.negative
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, b"package"),
        (2, b"\xd1" * 31),
        (3, ""),
        (3, "s" * 65),
        (4, b"\x0d" * 31),
        (4, b"\x0d" * 33),
        (5, {}),
        (5, {SHA256_BANK: []}),
        (6, b"\xcc" * 31),
        (7, b"\x00\x0b" + b"\xdd" * 31),
        (7, b"\x00\x0b" + b"\xdd" * 65),
        (8, -1),
        (8, 1 << 63),
        (8, True),
        (9, b""),
        (9, b"no key"),
        pytest.param(9, DAY_KEY.public.encode() + b"\x00", id="9-a key and one byte"),
        (10, b""),
        (10, b"no signature"),
        pytest.param(10, APPROVAL.signature[:-1], id="10-a signature that ends early"),
        (11, b"surplus"),
    ],
)
def test_a_field_that_is_wrong_in_one_respect_is_refused(key: int, value: Any) -> None:
    with pytest.raises(MessageError):
        decode_approval(encode_deterministic({**fields(), key: value}))


@pytest.mark.negative
@pytest.mark.parametrize("key", range(1, 11))
def test_every_field_is_required(key: int) -> None:
    with pytest.raises(MessageError, match=str(key)):
        decode_approval(
            encode_deterministic({name: value for name, value in fields().items() if name != key})
        )
