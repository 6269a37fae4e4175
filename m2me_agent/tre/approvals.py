"""From an approval that came with a package or before an update to a permit that the TPM can be shown.

The rule: an approval is taken for its meaning. It must be for exactly the use that this TRE has in mind (package
or vault, this device, this operator, this order) and name this TPM's generation counter; both signatures are
verified here, over digests computed here, so that a bad approval is found before anything is changed. The TPM
verifies them again when the secret is opened, and it alone judges the state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from m2me_agent.tre.errors import ApprovalError
from m2me_agent.tre.tpm_device import Permit
from messages.approval import Use, decode_approval
from messages.errors import MessageError
from messages.mid_package import ApprovedUse
from standards.tpm2.constants import Algorithm
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.policy import policy_key_public
from standards.tpm2.structures import Public, Signature


def read_policy_key(encoded: bytes, *, what: str) -> Public:
    """A policy key: a P-256 key with exactly the frozen public area. Raises ApprovalError."""
    try:
        public = Public.decode(encoded)
        key = public.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey) and policy_key_public(key) == public:
            return public
    except Tpm2Error as error:
        raise _refused(what, str(error)) from error
    raise _refused(what, "is not the public area of a policy key")


def read_permits(
    approvals: Sequence[ApprovedUse], *, policy_root: Public, uses: Sequence[Use], counter_name: bytes
) -> tuple[Permit, ...]:
    """The permits in a package, each for one of `uses` and for this TPM's counter.

    Raises:
        ApprovalError: one of them is for something else, or a signature is not that of its key.
    """
    permits = []
    checked = _Checked()
    for each in approvals:
        permit = _read(each, policy_root, checked)
        if permit.approval.use not in uses:
            raise _refused("approval", "is for another use, device, operator or order")
        if permit.approval.state.counter_name != counter_name:
            raise _refused("approval", "names another counter than this TPM's")
        permits.append(permit)
    return tuple(permits)


def permits_at(permits: Sequence[Permit], use: Use, *, counter: int) -> tuple[Permit, ...]:
    """All permits for a use while the generation counter has this value, each for another state of the registers."""
    return tuple(
        permit
        for permit in permits
        if permit.approval.use == use and permit.approval.state.counter == counter
    )


def is_same_boot(one: Permit, other: Permit) -> bool:
    """Whether two permits are for the same registers with the same values, whatever the counter says."""
    mine, theirs = one.approval.state, other.approval.state
    return (dict(mine.pcr_selections), mine.pcr_digest) == (dict(theirs.pcr_selections), theirs.pcr_digest)


def permit_at(permits: Sequence[Permit], use: Use, *, counter: int) -> Permit | None:
    """The permit for a use while the generation counter has this value; None where there is none."""
    return next(iter(permits_at(permits, use, counter=counter)), None)


@dataclass(slots=True)
class _Checked:
    """What was found good in one reading: approvals of one day key come with the same key and the same delegation."""

    day_keys: dict[bytes, Public] = field(default_factory=dict)
    delegations: set[tuple[bytes, bytes]] = field(default_factory=set)


def _read(used: ApprovedUse, policy_root: Public, checked: _Checked) -> Permit:
    try:
        approval = decode_approval(used.approval)
        delegation = Signature.decode(used.delegation)
        signature = Signature.decode(approval.signature)
    except (MessageError, Tpm2Error) as error:
        raise _refused("approval", str(error)) from error
    day_key = checked.day_keys.get(approval.day_key)
    if day_key is None:
        day_key = checked.day_keys[approval.day_key] = read_policy_key(approval.day_key, what="day key")
    _verify("approval", day_key, signature, digest=approval.digest)
    delegated = approval.use.delegation_digest(day_key)
    if (delegated, used.delegation) not in checked.delegations:
        _verify("delegation", policy_root, delegation, digest=delegated)
        checked.delegations.add((delegated, used.delegation))
    return Permit(
        approval=approval,
        day_key=day_key,
        signature=signature,
        policy_root=policy_root,
        delegation=delegation,
    )


def _verify(what: str, key: Public, signature: Signature, *, digest: bytes) -> None:
    public = key.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise _refused(what, "is by a key of another kind")
    if (signature.algorithm, signature.hash_algorithm) != (Algorithm.ECDSA, Algorithm.SHA256):
        raise _refused(what, "is not signed with ECDSA and SHA-256")
    der = encode_dss_signature(int.from_bytes(signature.r, "big"), int.from_bytes(signature.s, "big"))
    try:
        public.verify(der, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        raise _refused(what, "is not signed by its key") from None


def _refused(what: str, reason: str) -> ApprovalError:
    return ApprovalError(
        subject=what, reason=reason, remedy="have the operator ask the PVA for approvals of this order"
    )
