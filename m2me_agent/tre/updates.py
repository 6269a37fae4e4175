"""Updates: approvals of the next state are taken while the old one runs; the old one is retired afterwards (D8, R82).

The rule: the owner of a compartment says what may open it, in answer to one nonce of this TRE; the TPM says whether it
does. The agent carries both and decides nothing. Nothing is opened here that was closed, but by approvals of its owner.

    old state    begin: a nonce          take: approvals at counter c to c+4 for the next registers, in the file
    reboot       the vault opens by (next registers, c), with the network down as well
    new PfC      retire: counter c -> c+4; (next registers, c+4) opens, the old registers' are dead in the TPM

Of the old registers (old, c) is in use, and those up to (old, c+3) came with every package that was approved at c
(VAULT_REACH); so the counter goes four up, at least. How far, the approvals of the next state say.

The new Platform Credential is the sign for the last step: an issuing CA gives it out for a device that a PVA has
accepted under the new manifest, and the agent cannot make one. Until then a device may fall back to the old state and
has its MIDs there. A cut between any two steps leaves one of the three lines above; the last is made up for at the
next start.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge.process import logger
from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.approvals import is_same_boot, permits_at
from m2me_agent.tre.enrollment import identity, key_access, pinned_access
from m2me_agent.tre.errors import MidError, NotEnrolledError, StateError, TreError, UpdateError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tpm_device import KeyAccess, Permit, TpmDevice, UnlockedKeys
from m2me_agent.tre.vault import Vault, vault_use
from m2me_agent.tre.vault_record import APPROVALS_MAX, NextState, OpenCompartment, SealedCompartment
from messages.approval import Use
from messages.instruction import TRE_NONCE_SIZE
from messages.mid_package import ApprovedUse
from messages.update_approvals import GENERATIONS_MIN, UpdateApprovals
from standards.pki.errors import PkiError
from standards.pki.extensions import ExpectedSystemState
from standards.pki.fingerprints import decode_certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunUpdate:
    """What the agent takes to the owner: a nonce to answer, and the order by which the owner knows this device."""

    nonce: bytes
    order_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenApprovals:
    """What is durable now: approvals for a manifest, made at a value of the generation counter."""

    manifest_digest: bytes
    generation: int


@dataclass(kw_only=True)
class Updates:
    """The use cases with everything that they need; open nonces do not outlive the process."""

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    vault: Vault
    random_bytes: Callable[[int], bytes]
    _nonces: dict[str, bytes] = field(default_factory=dict, repr=False)

    def begin(self, sho: str) -> BegunUpdate:
        """A nonce for the owner of a compartment; it takes the place of one that was not answered.

        Raises:
            MidError: no MID of this operator is here. NotEnrolledError, TpmDeviceError, StateError.
        """
        found = self._compartment(sho, key_access(self.state, self.device))
        if not found.unverified.journal:
            raise _no_compartment(sho)
        nonce = self._nonces[sho] = self.random_bytes(TRE_NONCE_SIZE)
        return BegunUpdate(nonce=nonce, order_digest=found.unverified.journal[-1].order_digest)

    def take(self, token: str) -> TakenApprovals:
        """Keep the owner's approvals of the next state with the compartment.

        Raises:
            AnchorError, MalformedError: they are no SHO's. UpdateError: for another device, or they answer no open
            nonce, or are not for one state at the present generation and those that follow. ApprovalError: for another use,
            operator or counter, or not signed. MidError: no such compartment. StateRefusedError: it is closed, and
            these do not open it. StateError, TpmDeviceError: nothing has changed, or the next start finishes it.
        """
        # 1 an SHO under the anchors
        clock = self.device.read_clock()
        tokens = OperatorTokens(anchors=self.anchors, known_time=self.guard.known_time(clock=clock))
        approvals = tokens.update_approvals(token)
        # 2 for this device
        access = key_access(self.state, self.device)
        device_id = identity(access.keys.ek).hex()
        if approvals.device_id != device_id:
            raise _refused("are for another device")
        # 3 in answer to the nonce that was given out for this owner, which is spent whatever comes of it
        nonce = self._nonces.pop(approvals.sho, None)
        if nonce is None or not hmac.compare_digest(nonce, approvals.tre_nonce):
            raise _refused("answer no open nonce of this TRE")
        # 4 for the vault of that owner, under the policy root that was pinned at the first installation
        found = self._compartment(approvals.sho, access)
        use = vault_use(device_id, approvals.sho)
        permits = self.vault.permits(found.unverified, approvals.approvals, access=access, use=use)
        with self.device.unlock(access) as keys:
            # 5 one state, at the generation of now and those that follow
            generation = keys.read_generation_counter()
            _check_one_state(permits, generation=generation)
            # 6 into the compartment, which these may open where nothing else does
            opened = self.vault.opened(approvals.sho) or self.vault.open_with(
                found, keys, permits=permits_at(permits, use, counter=generation)
            )
            # 7 durable before the answer
            kept = self._kept(opened, access, use=use, generation=generation)
            self.vault.replace(_with_next(opened, kept, approvals, generation=generation), keys)
        self.retire()
        return TakenApprovals(manifest_digest=approvals.manifest_digest, generation=generation)

    def retire(self) -> bool:
        """End the approvals of the old state, if the update is done; True where that happened.

        Safe to ask at any time. What keeps it back is logged, never raised: the next start tries again.
        """
        try:
            accepted = self._accepted_manifest()
            if accepted is None:
                return False
            access = pinned_access(self.state)
            with self.device.unlock(access) as keys:
                retired = self._retire(keys, access, accepted=accepted)
        except NotEnrolledError:
            return False
        except TreError as error:
            logger("tre").warning(
                "old state not retired", refused=error.code, subject=error.subject, reason=error.reason
            )
            return False
        return retired

    def _retire(self, keys: UnlockedKeys, access: KeyAccess, *, accepted: bytes) -> bool:
        retired = self.vault.retire_old_state(
            keys, access=access, device_id=identity(access.keys.ek).hex(), accepted_manifest=accepted
        )
        if retired:
            logger("tre").info("old state retired", manifest=accepted.hex())
        return retired

    def _accepted_manifest(self) -> bytes | None:
        """The digest in the installed PfC, which was verified when it was installed."""
        chain = self.state.credential()
        if chain is None:
            return None
        try:
            expected = ExpectedSystemState.of(decode_certificate(chain[0]))
        except PkiError as error:
            raise StateError(
                subject="platform credential",
                reason=f"cannot be read: {error}",
                remedy="enrol the device again",
            ) from error
        return None if expected is None else expected.manifest_digest

    def _compartment(self, sho: str, access: KeyAccess) -> SealedCompartment:
        for found in self.vault.readable_compartments(access):
            if found.unverified.sho == sho:
                return found
        for unread in self.vault.unreadable.values():
            raise unread  # it may be in there
        raise _no_compartment(sho)

    def _kept(
        self, opened: OpenCompartment, access: KeyAccess, *, use: Use, generation: int
    ) -> tuple[ApprovedUse, ...]:
        """The approvals that stay: of the present state, and not yet over; of another next state none."""
        visible, by = opened.visible, self.vault.opened_by(opened.visible.sho)
        permits = self.vault.permits(visible, visible.all_approvals, access=access, use=use)
        kept = [
            each
            for each, permit in zip(visible.all_approvals, permits, strict=True)
            if permit.approval.state.counter >= generation and by is not None and is_same_boot(by, permit)
        ]
        return tuple(dict.fromkeys(kept))[-APPROVALS_MAX:]


def _with_next(
    opened: OpenCompartment, kept: tuple[ApprovedUse, ...], taken: UpdateApprovals, *, generation: int
) -> OpenCompartment:
    following = NextState(
        manifest_digest=taken.manifest_digest, generation=generation, approvals=taken.approvals
    )
    return replace(opened, visible=replace(opened.visible, approvals=kept, next_state=following))


def _check_one_state(permits: tuple[Permit, ...], *, generation: int) -> None:
    """Every value of the counter from now on, past the next one: those that packages of now are approved for."""
    first, *others = permits
    counters = sorted(permit.approval.state.counter for permit in permits)
    is_one_state = all(is_same_boot(first, each) for each in others)
    without_gap = list(range(generation, generation + max(len(permits), GENERATIONS_MIN)))
    if counters != without_gap or not is_one_state:
        raise _refused(
            f"expected one state at the generations {without_gap[0]} to {without_gap[-1]}, got "
            + ("" if is_one_state else "several states at ")
            + ", ".join(map(str, counters))
        )


def _refused(reason: str) -> UpdateError:
    return UpdateError(
        subject="approvals for an update",
        reason=reason,
        remedy="ask the owner of the MID for new ones: m2me prepare-update",
    )


def _no_compartment(sho: str) -> MidError:
    return MidError(
        subject=f"compartment of {sho[:64]}",
        reason="no MID of this operator is in this TRE",
        remedy="name an operator whose MID is installed",
    )
