"""Connectivity credentials: sealed so that the TRE can unseal them, and nobody can carry them on."""

import hashlib

import pytest

from messages.connectivity import SECRET_SIZE, sealed_policy
from tests.unit.messages.operator_samples import CONNECTIVITY

POLICY_COMMAND_CODE = 0x0000016C
UNSEAL = 0x0000015E


@pytest.mark.requirement("R84")
def test_the_blob_may_be_unsealed_and_nothing_else() -> None:
    """TPM 2.0 Part 3, 23.11: H(zeros || TPM_CC_PolicyCommandCode || TPM_CC_Unseal)."""
    codes = POLICY_COMMAND_CODE.to_bytes(4, "big") + UNSEAL.to_bytes(4, "big")
    assert sealed_policy() == hashlib.sha256(bytes(32) + codes).digest()
    assert SECRET_SIZE == 32


def test_a_token_names_no_operator_of_the_subscription() -> None:
    assert not {"pva_sho", "pva_subscriber"} & set(CONNECTIVITY.claims())
