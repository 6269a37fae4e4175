"""Approvals: a secret opens only while registers and counter are those that a policy key signed for."""

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from standards.tpm2.commands.policies import Approval
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import (
    Algorithm,
    Comparison,
    Handle,
    NvAttributes,
    ObjectAttributes,
)
from standards.tpm2.policy import (
    EMPTY_POLICY,
    approval_digest,
    pcr_digest,
    policy_authorize,
    policy_nv,
    policy_pcr,
)
from standards.tpm2.sessions import EMPTY_PASSWORD, Session
from standards.tpm2.structures import (
    KeyedHashParameters,
    NvPublic,
    PcrSelection,
    Public,
    Scheme,
    Ticket,
)
from standards.tpm2.templates import (
    GENERATION_COUNTER,
)
from tests.contract.device_keys import counted
from tests.contract.sealing import (
    _A,
    AUTH_POLICY,
    BOOT,
    KEY,
    OTHER_KEY,
    POLICY_REF,
    SECRET,
    PolicyKey,
    approval_for,
    approved_state,
    blob_for,
    opened,
    policy_session,
    sealed_in,
    storage_of,
)
from tests.contract.tpm_devices import RunningTpm, refused

# --- the approval ----------------------------------------------------------------------------------------


@pytest.mark.negative
def test_an_old_approval_does_not_open_in_another_state(tpm: TpmConnection) -> None:
    sealed = sealed_in(tpm)
    approval = approval_for(tpm, approved_state(tpm))
    tpm.pcr_extend(4, digests={Algorithm.SHA256: b"\x01" * 32})
    with refused(0x1C4):
        opened(tpm, sealed, approval)


def test_a_second_approval_opens_the_same_blob_in_the_next_state(tpm: TpmConnection) -> None:
    sealed = sealed_in(tpm)
    assert opened(tpm, sealed, approval_for(tpm, approved_state(tpm))) == SECRET
    values = tpm.pcr_read_all(BOOT)[Algorithm.SHA256]
    digest = hashlib.sha256(b"next kernel").digest()
    predicted = {**values, 4: hashlib.sha256(values[4] + digest).digest()}
    approved = policy_pcr(
        EMPTY_POLICY,
        selection=BOOT,
        pcr_digest=pcr_digest(BOOT, {Algorithm.SHA256: predicted}),
    )
    approval = approval_for(tpm, approved)
    tpm.pcr_extend(4, digests={Algorithm.SHA256: digest})
    assert opened(tpm, sealed, approval) == SECRET


@pytest.mark.negative
@pytest.mark.parametrize("index", [4, 10, 12], ids=["selected", "IMA", "not selected"])
def test_a_register_that_moves_after_policy_pcr_spoils_the_session(tpm: TpmConnection, index: int) -> None:
    sealed = sealed_in(tpm)
    approval = approval_for(tpm, approved_state(tpm))
    session = policy_session(tpm)
    tpm.policy_pcr(session, selection=BOOT)
    tpm.policy_authorize(session, approval=approval)
    tpm.pcr_extend(index, digests={Algorithm.SHA256: b"\x01" * 32})
    with refused(0x128):
        tpm.unseal(sealed, auth=session.authorize())


@pytest.mark.parametrize("index", [16, 23])
def test_debug_and_application_registers_do_not_spoil_it(tpm: TpmConnection, index: int) -> None:
    sealed = sealed_in(tpm)
    approval = approval_for(tpm, approved_state(tpm))
    session = policy_session(tpm)
    tpm.policy_pcr(session, selection=BOOT)
    tpm.policy_authorize(session, approval=approval)
    tpm.pcr_extend(index, digests={Algorithm.SHA256: b"\x01" * 32})
    assert tpm.unseal(sealed, auth=session.authorize()) == SECRET


@pytest.mark.negative
def test_an_approval_for_another_order_does_not_open(tpm: TpmConnection) -> None:
    sealed = sealed_in(tpm)
    other = approval_for(tpm, approved_state(tpm), policy_ref=hashlib.sha256(b"other").digest())
    with refused(0x99D):
        opened(tpm, sealed, other)
    with refused(0x99D):
        opened(tpm, sealed, approval_for(tpm, approved_state(tpm), key=OTHER_KEY))


@pytest.mark.negative
def test_a_signature_of_another_key_or_over_another_reference_gives_no_ticket(
    tpm: TpmConnection,
) -> None:
    approved = approved_state(tpm)
    loaded = tpm.load_external(KEY.public)
    digest = approval_digest(approved, policy_ref=POLICY_REF)
    with refused(0x2DB):
        tpm.verify_signature(loaded, digest=digest, signature=OTHER_KEY.sign(digest))
    other = approval_digest(approved, policy_ref=b"other")
    with refused(0x2DB):
        tpm.verify_signature(loaded, digest=digest, signature=KEY.sign(other))


@pytest.mark.negative
def test_a_ticket_of_hierarchy_null_opens_nothing(tpm: TpmConnection) -> None:
    sealed = sealed_in(tpm)
    with refused(0x4C4):
        opened(tpm, sealed, approval_for(tpm, approved_state(tpm), hierarchy=Handle.NULL))


@pytest.mark.negative
def test_a_password_does_not_replace_the_policy(tpm: TpmConnection) -> None:
    sealed = sealed_in(tpm)
    with refused(0x12F):
        tpm.unseal(sealed, auth=EMPTY_PASSWORD)


@pytest.mark.negative
def test_a_policy_is_spent_by_its_use_and_the_session_stays(tpm: TpmConnection) -> None:
    sealed = sealed_in(tpm)
    approval = approval_for(tpm, approved_state(tpm))
    session = policy_session(tpm)
    for _ in range(2):
        tpm.policy_pcr(session, selection=BOOT)
        tpm.policy_authorize(session, approval=approval)
        assert tpm.unseal(sealed, auth=session.authorize()) == SECRET
    with refused(0x99D):
        tpm.unseal(sealed, auth=session.authorize())


def test_a_cached_ticket_opens_after_a_reset(device: RunningTpm) -> None:
    tpm = device.start()
    storage = storage_of(tpm)
    stored = tpm.import_object(storage, blob=blob_for(storage))
    approval = approval_for(tpm, approved_state(tpm))
    kept = approval.ticket.encode()
    tpm = device.restart()
    sealed = tpm.load(storage, stored=stored)
    assert opened(tpm, sealed, replace(approval, ticket=Ticket.decode(kept))) == SECRET


def test_a_root_delegates_to_day_keys(tpm: TpmConnection) -> None:
    delegation = b"delegation"
    sealed = sealed_in(tpm, policy_authorize(key_name=KEY.public.name, policy_ref=delegation))
    for day_key in (OTHER_KEY, PolicyKey(private=ec.derive_private_key(0xDA7, ec.SECP256R1()))):
        delegated = policy_authorize(key_name=day_key.public.name, policy_ref=POLICY_REF)
        day = approval_for(tpm, approved_state(tpm), key=day_key)
        root = approval_for(tpm, delegated, policy_ref=delegation)
        session = policy_session(tpm)
        tpm.policy_pcr(session, selection=BOOT)
        tpm.policy_authorize(session, approval=day)
        tpm.policy_authorize(session, approval=root)
        assert tpm.unseal(sealed, auth=session.authorize()) == SECRET
        tpm.flush_context(session.handle)


@pytest.mark.negative
def test_a_capped_register_closes_the_vault_for_this_boot(device: RunningTpm) -> None:
    vault = (PcrSelection(bank=Algorithm.SHA256, indices=(0, 7, 11)),)
    tpm = device.start()
    digest = pcr_digest(vault, tpm.pcr_read_all(vault))
    storage = storage_of(tpm)
    auth_policy = policy_pcr(EMPTY_POLICY, selection=vault, pcr_digest=digest)
    stored = tpm.import_object(storage, blob=blob_for(storage, auth_policy))

    def unsealed(tpm: TpmConnection) -> bytes:
        session = policy_session(tpm)
        tpm.policy_pcr(session, selection=vault)
        return tpm.unseal(tpm.load(storage, stored=stored), auth=session.authorize())

    assert unsealed(tpm) == SECRET
    tpm.pcr_extend(11, digests={Algorithm.SHA256: b"\x01" * 32})
    with refused(0x99D):
        unsealed(tpm)
    assert unsealed(device.restart()) == SECRET


# --- the generation counter ------------------------------------------------------------------------------


@pytest.mark.negative
def test_raising_the_counter_kills_older_approvals(tpm: TpmConnection) -> None:
    index, value = counted(tpm)
    sealed = sealed_in(tpm)

    def approve(value: bytes) -> Approval:
        approved = policy_nv(
            approved_state(tpm), index_name=index.name, operand=value, comparison=Comparison.EQ
        )
        return approval_for(tpm, approved)

    def opened_at(value: bytes, approval: Approval) -> bytes:
        session = policy_session(tpm)
        try:
            tpm.policy_pcr(session, selection=BOOT)
            tpm.policy_nv(session, index=index, operand=value, comparison=Comparison.EQ)
            tpm.policy_authorize(session, approval=approval)
            return tpm.unseal(sealed, auth=session.authorize())
        finally:
            tpm.flush_context(session.handle)

    raised = (int.from_bytes(value, "big") + 1).to_bytes(8, "big")
    old, new = approve(value), approve(raised)
    assert opened_at(value, old) == SECRET
    with refused(0x126):
        opened_at(raised, new)
    tpm.nv_increment(index)
    with refused(0x126):
        opened_at(value, old)
    assert opened_at(raised, new) == SECRET


@pytest.mark.negative
def test_an_unwritten_counter_cannot_be_compared(tpm: TpmConnection) -> None:
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    session = policy_session(tpm)
    with refused(0x14A):
        tpm.policy_nv(session, index=GENERATION_COUNTER, operand=bytes(8), comparison=Comparison.EQ)


def test_a_vault_key_sealed_in_the_tpm_opens_under_its_policy(tpm: TpmConnection) -> None:
    storage = storage_of(tpm)
    template = Public(
        type=Algorithm.KEYEDHASH,
        name_algorithm=Algorithm.SHA256,
        attributes=ObjectAttributes(0x480) | _A.FIXED_TPM | _A.FIXED_PARENT,
        auth_policy=AUTH_POLICY,
        parameters=KeyedHashParameters(scheme=Scheme()),
        unique=b"",
    )
    stored = tpm.create(storage, template=template, sealed=SECRET)
    sealed = tpm.load(storage, stored=stored)
    assert opened(tpm, sealed, approval_for(tpm, approved_state(tpm))) == SECRET


@pytest.mark.requirement("R98")
def test_a_vault_key_in_nv_is_replaced_on_erase(tpm: TpmConnection) -> None:
    index = NvPublic(
        index=0x01800070,
        name_algorithm=Algorithm.SHA256,
        attributes=NvAttributes.POLICYREAD | NvAttributes.POLICYWRITE | NvAttributes.NO_DA,
        auth_policy=AUTH_POLICY,
        data_size=32,
    )
    tpm.nv_define_space(Handle.OWNER, public=index)

    def policy() -> Session:
        session = policy_session(tpm)
        tpm.policy_pcr(session, selection=BOOT)
        tpm.policy_authorize(session, approval=approval_for(tpm, approved_state(tpm)))
        return session

    for key in (b"\x01" * 32, b"\x02" * 32):
        write = policy()
        tpm.nv_write(index, data=key, auth=write.authorize())
        tpm.flush_context(write.handle)
        read = policy()
        assert tpm.nv_read(index.written(), size=32, auth=read.authorize()) == key
        tpm.flush_context(read.handle)
    with refused(0x12F):
        tpm.nv_read(index.written(), size=32)
