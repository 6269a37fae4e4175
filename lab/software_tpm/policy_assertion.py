"""What all policy assertions share: extending policyDigest, trial sessions, cpHash (Part 1, 19.7; Part 3, 23.2)."""

from dataclasses import replace

from lab.software_tpm.call import EMPTY, Reply
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from lab.software_tpm.volatile import Policy, Session
from standards.tpm2.constants import CommandCode, SessionType
from standards.tpm2.hashing import digest, digest_size
from standards.tpm2.return_codes import ReturnCode, parameter


def assert_policy(
    machine: Machine,
    session: Session,
    policy: Policy,
    code: CommandCode,
    about: bytes,
    *,
    policy_ref: bytes | None = None,
) -> Reply:
    """PolicyDigest := H(policyDigest || CC || about), and H(that || policyRef) for assertions that have one."""
    extended = digest(session.hash_algorithm, policy.digest + code.to_bytes(4, "big") + about)
    if policy_ref is not None:
        extended = digest(session.hash_algorithm, extended + policy_ref)
    machine.put_policy(session.handle, replace(policy, digest=extended))
    return EMPTY


def is_trial(session: Session) -> bool:
    """Whether the session takes every assertion at its word, since it authorises nothing."""
    return session.kind == SessionType.TRIAL


def with_cp_hash(session: Session, cp_hash: bytes, *, number: int) -> Policy:
    """The policy pinned to one command with its parameters; `number` is that of the parameter cpHashA."""
    policy = session.policy
    if not cp_hash:
        return policy
    if len(cp_hash) != digest_size(session.hash_algorithm):
        raise CommandError(parameter(ReturnCode.SIZE, number))
    if policy.cp_hash not in (b"", cp_hash):
        raise CommandError(ReturnCode.CPHASH)
    return replace(policy, cp_hash=cp_hash)
