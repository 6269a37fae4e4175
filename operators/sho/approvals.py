"""Approvals of a PVA, judged before this operator's policy root delegates anything to the key that made them (D8).

Rule: an approval is compared field by field with the verified result that it must follow from, and its digest is
computed here. What fits in all respects but one is worth nothing: the policy root's signature would open the
subscription for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from messages.approval import USE_PACKAGE, USE_VAULT, VAULT_REACH, StateApproval, Use, decode_approval
from messages.errors import MessageError
from messages.mid_package import ApprovedUse
from messages.update_approvals import GENERATIONS_MIN
from operators.sho.order_states import BoundOrder
from operators.sho.refusals import RefusalCode, RefusalError
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.extensions import OperatorRole
from standards.pki.fingerprints import decode_certificate, spki_der
from standards.pki.paths import validate_path
from standards.rats.ear import AttestationResult
from standards.tpm2.constants import Algorithm
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.key_checks import check_storage_key
from standards.tpm2.policy import policy_key_public
from standards.tpm2.structures import Public, Signature
from standards.tpm2.templates import GENERATION_COUNTER

_COORDINATE_BYTES = 32
_PVA_ROLE = "pva"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedApprovals:
    """What a PVA answered; nothing in it is proven."""

    approvals: tuple[bytes, ...]
    day_key_chain: tuple[bytes, ...]
    storage_public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedApprovals:
    """Approvals of one day key for one device, order and state; `storage` is the storage key of the result."""

    approvals: tuple[StateApproval, ...]
    encoded: tuple[bytes, ...]
    day_key: Public
    storage: Public


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRoot:
    """This operator's policy root: a key of its own, in every package, which delegates to day keys of PVAs."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def public(self) -> Public:
        """The public area whose Name is in the policy of everything sealed."""
        return policy_key_public(self.key.public_key())

    def delegate(self, use: Use, *, day_key: Public) -> bytes:
        """TPMT_SIGNATURE over the delegation of one use to one day key."""
        der = self.key.sign(use.delegation_digest(day_key), ec.ECDSA(Prehashed(hashes.SHA256())))
        signature = Signature.from_der(
            der, hash_algorithm=Algorithm.SHA256, coordinate_bytes=_COORDINATE_BYTES
        )
        return signature.encode()


def verify_approvals(
    offered: OfferedApprovals,
    *,
    result: AttestationResult,
    order: BoundOrder,
    sho: str,
    anchors: Sequence[x509.Certificate],
    at: datetime,
) -> VerifiedApprovals:
    """The approvals that belong to a verified result about an order. Raises RefusalError.

    1. the storage key that came is the one in the result
    2. the day key is that of the PVA that signed the result, certified under the operators' root to approve states
    3. they are exactly: the package at the certified counter c, the vault from c to c + VAULT_REACH, for this
       device, operator and order
    4. each is for the counter of the published template, and for the registers of the result
    5. each is signed by the day key over the digest that is computed here
    """
    storage = _storage_key(offered.storage_public, result=result)  # 1
    day_key = _day_key(offered.day_key_chain, pva=result.issuer, anchors=anchors, at=at)  # 2
    day_public = policy_key_public(day_key)
    try:
        approvals = [decode_approval(each) for each in offered.approvals]
    except MessageError as error:
        raise _unacceptable(str(error)) from None
    _check_uses(approvals, result=result, order=order, sho=sho)  # 3
    for approval in approvals:
        _check_state(approval, result=result, ak_public=order.ak_public)  # 4
        _check_signature(approval, day_key=day_key, day_public=day_public)  # 5
    return VerifiedApprovals(
        approvals=tuple(approvals), encoded=offered.approvals, day_key=day_public, storage=storage
    )


def verify_next_approvals(
    offered: OfferedApprovals,
    *,
    order: BoundOrder,
    sho: str,
    pva: str,
    anchors: Sequence[x509.Certificate],
    at: datetime,
) -> VerifiedApprovals:
    """Approvals of the vault in the state after an update, by the PVA that validated this order. Raises RefusalError.

    What the registers will be, the PVA says; there is no result of that state to compare them with. They are for the vault
    of this device and operator alone, for the counter of the published template, for one state, at values without a gap.
    """
    day_key = _day_key(offered.day_key_chain, pva=pva, anchors=anchors, at=at)
    day_public = policy_key_public(day_key)
    try:
        storage = Public.decode(offered.storage_public)
        check_storage_key(storage)
        approvals = [decode_approval(each) for each in offered.approvals]
    except (MessageError, Tpm2Error) as error:
        raise _unacceptable(str(error)) from None
    vault = Use(use=USE_VAULT, device_id=order.device_id, sho=sho, order_digest=None)
    counters = [each.state.counter for each in approvals]
    in_sequence = list(range(counters[0], counters[0] + max(len(counters), GENERATIONS_MIN)))
    if counters != in_sequence or any(each.use != vault for each in approvals):
        raise _unacceptable(
            "uses: expected the vault of this device and operator, at values of the counter that follow one another"
        )
    first = approvals[0].state
    for approval in approvals:
        state = approval.state
        if state.counter_name != GENERATION_COUNTER.written().name:
            raise _unacceptable("counter: expected the generation counter of the template, got another index")
        if (dict(state.pcr_selections), state.pcr_digest) != (dict(first.pcr_selections), first.pcr_digest):
            raise _unacceptable("registers: expected one state, got several")
        _check_signature(approval, day_key=day_key, day_public=day_public)
    return VerifiedApprovals(
        approvals=tuple(approvals), encoded=offered.approvals, day_key=day_public, storage=storage
    )


def delegate_all(verified: VerifiedApprovals, *, root: PolicyRoot) -> tuple[ApprovedUse, ...]:
    """Each approval with the policy root's delegation to the key that made it."""
    return tuple(
        ApprovedUse(approval=encoded, delegation=root.delegate(approval.use, day_key=verified.day_key))
        for approval, encoded in zip(verified.approvals, verified.encoded, strict=True)
    )


def package_use(order: BoundOrder, *, sho: str) -> Use:
    """The use that the content key of this order's package is sealed for."""
    return Use(use=USE_PACKAGE, device_id=order.device_id, sho=sho, order_digest=order.digest)


def _storage_key(public: bytes, *, result: AttestationResult) -> Public:
    try:
        storage = Public.decode(public)
        name = check_storage_key(storage)
    except Tpm2Error as error:
        raise _unacceptable(f"storage key: {error}") from None
    if name != result.storage_key_name:
        raise _unacceptable(f"storage key: expected Name {result.storage_key_name.hex()}, got {name.hex()}")
    return storage


def _day_key(
    chain: Sequence[bytes], *, pva: str, anchors: Sequence[x509.Certificate], at: datetime
) -> ec.EllipticCurvePublicKey:
    try:
        leaf, *others = [decode_certificate(der) for der in chain]
        validate_path(leaf, intermediates=others, anchors=anchors, at=at, eku=oids.EKU_STATE_APPROVAL)
        signer = OperatorRole.of(leaf)
    except PkiError as error:
        raise _unacceptable(f"day key: {error}") from None
    if signer is None or signer.role != _PVA_ROLE or signer.id != pva:
        raise _unacceptable(f"day key: expected that of the PVA {pva!r}, got another service's")
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise _unacceptable("day key: expected a key on P-256, got another")
    return key


def _check_uses(
    approvals: Sequence[StateApproval], *, result: AttestationResult, order: BoundOrder, sho: str
) -> None:
    package = package_use(order, sho=sho)
    vault = Use(use=USE_VAULT, device_id=order.device_id, sho=sho, order_digest=None)
    now = result.generation_counter
    expected = {(package, now), *((vault, now + later) for later in range(VAULT_REACH + 1))}
    offered = [(each.use, each.state.counter) for each in approvals]
    if set(offered) != expected or len(offered) != len(expected):
        raise _unacceptable(
            "uses: expected the package at the certified counter and the vault from there to "
            f"{VAULT_REACH} later, for this device, operator and order"
        )


def _check_state(approval: StateApproval, *, result: AttestationResult, ak_public: bytes) -> None:
    state = approval.state
    if state.counter_name != GENERATION_COUNTER.written().name:
        raise _unacceptable("counter: expected the generation counter of the template, got another index")
    if dict(state.pcr_selections) != dict(result.pcr_selections):
        raise _unacceptable("registers: expected those of the result, got a different selection")
    # a policy compares SHA-256 digests; a quote has the digest of its AK's scheme, so only those are comparable
    if Public.decode(ak_public).scheme.hash_algorithm == Algorithm.SHA256:
        same = state.pcr_digest == result.pcr_digest
        if not same:
            raise _unacceptable("registers: expected the PCR digest of the result, got another state")


def _check_signature(
    approval: StateApproval, *, day_key: ec.EllipticCurvePublicKey, day_public: Public
) -> None:
    if approval.day_key != day_public.encode():
        raise _unacceptable("approval: expected the certified day key, got another key")
    try:
        signature = Signature.decode(approval.signature)
        if signature.algorithm != Algorithm.ECDSA or signature.hash_algorithm != Algorithm.SHA256:
            raise _unacceptable("approval: expected ECDSA with SHA-256, got another scheme")
        day_key.verify(signature.der(), approval.digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    except (InvalidSignature, Tpm2Error, ValueError):
        raise _unacceptable("approval: the day key has not signed it") from None


def _unacceptable(reason: str) -> RefusalError:
    return RefusalError(RefusalCode.APPROVAL_UNACCEPTABLE, subject="approvals of the PVA", reason=reason)


def is_token_key(root: PolicyRoot, key: ec.EllipticCurvePrivateKey) -> bool:
    """Whether the policy root is the key that signs tokens, which it must not be (D14)."""
    return spki_der(root.key.public_key()) == spki_der(key.public_key())
