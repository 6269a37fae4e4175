"""Policy digests in software against the TPM, and the policies beside the approval."""

import pytest

from standards.tpm2.commands.policies import SignedGrant
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import (
    CommandCode,
    Comparison,
    Handle,
    SessionType,
)
from standards.tpm2.policy import (
    EMPTY_POLICY,
    grant_digest,
    pcr_digest,
    policy_auth_value,
    policy_command_code,
    policy_counter_timer,
    policy_nv,
    policy_or,
    policy_pcr,
    policy_secret,
    policy_signed,
)
from tests.contract.device_keys import counted
from tests.contract.sealing import BOOT, KEY, SECRET, blob_for, policy_session, sealed_in, storage_of
from tests.contract.tpm_devices import RunningTpm, refused

# --- digests: the TPM is the judge of the software -------------------------------------------------------


def test_every_policy_digest_in_software_is_that_of_the_tpm(tpm: TpmConnection) -> None:
    index, value = counted(tpm)
    session = tpm.start_auth_session(SessionType.TRIAL)
    digest = EMPTY_POLICY
    values = tpm.pcr_read_all(BOOT)
    tpm.policy_pcr(session, selection=BOOT, pcr_digest=pcr_digest(BOOT, values))
    digest = policy_pcr(digest, selection=BOOT, pcr_digest=pcr_digest(BOOT, values))
    assert tpm.policy_get_digest(session) == digest
    tpm.policy_nv(session, index=index, operand=value[4:], comparison=Comparison.UNSIGNED_LE, offset=4)
    digest = policy_nv(
        digest,
        index_name=index.name,
        operand=value[4:],
        comparison=Comparison.UNSIGNED_LE,
        offset=4,
    )
    assert tpm.policy_get_digest(session) == digest
    tpm.policy_counter_timer(session, operand=bytes(4), offset=16, comparison=Comparison.EQ)
    digest = policy_counter_timer(digest, operand=bytes(4), offset=16, comparison=Comparison.EQ)
    tpm.policy_command_code(session, code=CommandCode.UNSEAL)
    digest = policy_command_code(digest, code=CommandCode.UNSEAL)
    tpm.policy_auth_value(session)
    digest = policy_auth_value(digest)
    assert tpm.policy_get_digest(session) == digest
    tpm.policy_secret(session, subject=Handle.ENDORSEMENT, policy_ref=b"ref")
    digest = policy_secret(digest, subject_name=Handle.ENDORSEMENT.to_bytes(4, "big"), policy_ref=b"ref")
    assert tpm.policy_get_digest(session) == digest
    tpm.policy_or(session, digests=[digest, bytes(32)])
    assert tpm.policy_get_digest(session) == policy_or([digest, bytes(32)])
    tpm.policy_restart(session)
    assert tpm.policy_get_digest(session) == EMPTY_POLICY


@pytest.mark.negative
def test_a_signed_grant_holds_for_its_session_only(tpm: TpmConnection) -> None:
    sealed = sealed_in(tpm, policy_signed(EMPTY_POLICY, key_name=KEY.public.name, policy_ref=b"order"))
    key = tpm.load_external(KEY.public)
    session, other = policy_session(tpm), policy_session(tpm)
    grant = SignedGrant(
        signature=KEY.sign(grant_digest(nonce_tpm=session.nonce_tpm, expiration_s=120, policy_ref=b"order")),
        expiration_s=120,
        policy_ref=b"order",
    )
    with refused(0x5DB):
        tpm.policy_signed(other, key=key, grant=grant)
    tpm.policy_signed(session, key=key, grant=grant)
    assert tpm.unseal(sealed, auth=session.authorize()) == SECRET
    with refused(0x99D):
        tpm.unseal(sealed, auth=session.authorize())


def test_a_lease_holds_for_this_boot_only(device: RunningTpm) -> None:
    tpm = device.start()
    reset_count = tpm.read_clock().clock_info.reset_count.to_bytes(4, "big")
    auth_policy = policy_counter_timer(EMPTY_POLICY, operand=reset_count, offset=16, comparison=Comparison.EQ)
    storage = storage_of(tpm)
    stored = tpm.import_object(storage, blob=blob_for(storage, auth_policy))
    session = policy_session(tpm)
    tpm.policy_counter_timer(session, operand=reset_count, offset=16, comparison=Comparison.EQ)
    assert tpm.unseal(tpm.load(storage, stored=stored), auth=session.authorize()) == SECRET
    tpm = device.restart()
    with refused(0x126):
        tpm.policy_counter_timer(
            policy_session(tpm), operand=reset_count, offset=16, comparison=Comparison.EQ
        )
