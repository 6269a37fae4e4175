"""Opening what is sealed to this TPM: under a policy session, each secret encrypted on the bus.

The rule: the policy is run from meaning (state, counter, use) and the TPM judges it; nothing here compares
registers itself. Signatures are verified first, then PolicyPCR to the use of the secret follow one another
closely: any extend in between spoils the session (0x128), and the policy is run again, a few times (D8).
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from m2me_agent.tre.errors import SealedObjectError, StateRefusedError
from m2me_agent.tre.tpm_device import KeyAccess, Permit
from m2me_agent.tre.tpm_failures import flushed, occupied, reported
from standards.tpm2 import templates
from standards.tpm2.commands.objects import StoredObject, TpmObject
from standards.tpm2.commands.policies import Approval
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import CommandCode, Comparison, Handle, NvAttributes, SessionType
from standards.tpm2.errors import ResponseError
from standards.tpm2.import_blob import ImportBlob
from standards.tpm2.policy import approval_digest
from standards.tpm2.return_codes import FORMAT_ONE, ReturnCode, base
from standards.tpm2.sessions import Session, SessionUse
from standards.tpm2.structures import NvPublic, Public, Signature

POLICY_TRIES = 5
"""Runs of a policy while somebody (IMA) extends registers."""

_STATE_SAYS_NO = (ReturnCode.VALUE, ReturnCode.POLICY, ReturnCode.POLICY_FAIL)
"""PolicyPCR and PolicyAuthorize; PolicyNV; the use of the secret."""

Opened = TypeVar("Opened")


class SealedSecrets:
    """The part of UnlockedKeys that is about secrets and counters; see the Protocol."""

    def __init__(
        self, tpm: TpmConnection, *, access: KeyAccess, storage: TpmObject, session: Session
    ) -> None:
        self._tpm = tpm
        self._access = access
        self._storage = storage
        self._first = session

    def read_generation_counter(self) -> int:
        """TPM2_NV_Read under the salted session."""
        with reported("generation counter"):
            return self._tpm.nv_read_counter(self._access.keys.counter, auth=self._counter_use())

    def raise_generation_counter(self) -> None:
        """TPM2_NV_Increment."""
        with reported("generation counter"):
            self._tpm.nv_increment(self._access.keys.counter, auth=self._counter_use())

    def import_sealed(self, blob: ImportBlob) -> bytes:
        """TPM2_Import; the blob's own wrap keeps the secret from the bus."""
        with reported("sealed key"):
            try:
                return self._tpm.import_object(self._storage, blob=blob, auth=self._storage_use()).private
            except ResponseError as error:
                raise _not_for_us("sealed key", error) from error

    def unseal_connectivity(self, public: Public, private: bytes) -> bytes:
        """PolicyCommandCode(Unseal), TPM2_Unseal."""
        with (
            reported("connectivity"),
            self._loaded(public, private) as sealed,
            self._policy_session() as policy,
        ):
            self._tpm.policy_command_code(policy, code=CommandCode.UNSEAL)
            return self._tpm.unseal(sealed, auth=policy.authorize(), protect=self._first)

    def unseal_package(self, public: Public, private: bytes, *, permit: Permit) -> bytes:
        """The policy of the permit, TPM2_Unseal."""
        with reported("package"), self._loaded(public, private) as sealed:
            return self._permitted(
                permit, lambda use: self._tpm.unseal(sealed, auth=use, protect=self._first)
            )

    def open_vault_key(self, slot: int, *, permit: Permit, fresh: bytes | None = None) -> bytes | None:
        """The index, defined and written on first use; TPM2_NV_Read under the policy of the permit."""
        policy = permit.approval.use.sealed_policy(permit.policy_root)
        index = templates.vault_key(slot, auth_policy=policy)
        with reported("vault key"):
            standing = self._standing(index)
            if standing is None or not standing.attributes & NvAttributes.WRITTEN:
                if fresh is None:
                    return None
                self._make_vault_key(index, fresh, permit=permit, is_defined=standing is not None)
                return fresh
            size = index.data_size
            return self._permitted(
                permit,
                lambda use: self._tpm.nv_read(index.written(), size=size, auth=use, protect=self._first),
            )

    def change_vault_key(self, slot: int, *, permit: Permit, fresh: bytes) -> None:
        """TPM2_NV_Write under the policy of the permit, the data encrypted on the bus."""
        policy = permit.approval.use.sealed_policy(permit.policy_root)
        index = templates.vault_key(slot, auth_policy=policy)
        with reported("vault key"):
            standing = self._standing(index)
            if standing is None or not standing.attributes & NvAttributes.WRITTEN:
                raise SealedObjectError(
                    subject="vault key",
                    reason="there is none to write over",
                    remedy="have the operator order the subscription anew",
                )
            written = index.written()
            self._permitted(
                permit, lambda use: self._tpm.nv_write(written, data=fresh, auth=use, protect=self._first)
            )

    def forget_vault_key(self, slot: int, *, auth_policy: bytes) -> None:
        """TPM2_NV_UndefineSpace."""
        index = templates.vault_key(slot, auth_policy=auth_policy)
        with reported("vault key"):
            standing = self._standing(index)
            if standing is not None:
                self._tpm.nv_undefine_space(Handle.OWNER, index=standing)

    def read_vault_counter(self, slot: int) -> int:
        """TPM2_NV_Read under the salted session; the index is defined on first use."""
        index, auth_value = templates.vault_counter(slot), self._vault_counter_auth(slot)
        with reported("vault counter"):
            standing = self._standing(index)
            if standing is None:
                self._tpm.nv_define_space(
                    Handle.OWNER, public=index, auth_value=auth_value, protect=self._first
                )
                standing = index
            if not standing.attributes & NvAttributes.WRITTEN:
                self._tpm.nv_increment(index, auth=self._first.authorize(auth_value))
            return self._tpm.nv_read_counter(index.written(), auth=self._first.authorize(auth_value))

    def raise_vault_counter(self, slot: int) -> None:
        """TPM2_NV_Increment."""
        index = templates.vault_counter(slot).written()
        with reported("vault counter"):
            self._tpm.nv_increment(index, auth=self._first.authorize(self._vault_counter_auth(slot)))

    def _make_vault_key(self, index: NvPublic, key: bytes, *, permit: Permit, is_defined: bool) -> None:
        """Define and write; what cannot be written is taken away again, or it would keep the place from others."""
        if not is_defined:
            self._tpm.nv_define_space(Handle.OWNER, public=index, protect=self._first)
        try:
            self._permitted(
                permit, lambda use: self._tpm.nv_write(index, data=key, auth=use, protect=self._first)
            )
        except StateRefusedError:
            self._tpm.nv_undefine_space(Handle.OWNER, index=index)
            raise

    def _permitted(self, permit: Permit, use: Callable[[SessionUse], Opened]) -> Opened:
        """What `use` gives under a policy session in which the permit's state was shown."""
        approvals = self._approvals(permit)
        for _ in range(POLICY_TRIES):
            try:
                with self._policy_session() as policy:
                    self._show(policy, permit, approvals)
                    return use(policy.authorize())
            except ResponseError as error:
                if base(error.rc) in _STATE_SAYS_NO:
                    raise _not_this_state(str(error)) from error
                if base(error.rc) != ReturnCode.PCR_CHANGED:
                    raise
        raise _not_this_state(f"registers changed while they were shown, {POLICY_TRIES} times in a row")

    def _approvals(self, permit: Permit) -> tuple[Approval, Approval]:
        """Day key for the state, policy root for the day key: tickets that the TPM gives for both signatures."""
        use, state = permit.approval.use, permit.approval.state
        by_day_key = self._ticket(permit.day_key, permit.signature, policy=state.policy, ref=use.ref)
        delegated = use.delegated_policy(permit.day_key)
        by_root = self._ticket(permit.policy_root, permit.delegation, policy=delegated, ref=use.ref)
        return by_day_key, by_root

    def _ticket(self, key: Public, signature: Signature, *, policy: bytes, ref: bytes) -> Approval:
        try:
            loaded = self._tpm.load_external(key)
            with flushed(self._tpm, loaded.handle):
                ticket = self._tpm.verify_signature(
                    loaded, digest=approval_digest(policy, policy_ref=ref), signature=signature
                )
        except ResponseError as error:
            raise _not_for_us("approval", error) from error
        return Approval(approved_policy=policy, policy_ref=ref, key_name=key.name, ticket=ticket)

    def _show(self, policy: Session, permit: Permit, approvals: tuple[Approval, Approval]) -> None:
        state = permit.approval.state
        self._tpm.policy_pcr(policy, selection=state.selection, pcr_digest=state.pcr_digest)
        self._tpm.policy_nv(
            policy,
            index=self._access.keys.counter,
            operand=state.counter.to_bytes(8, "big"),
            comparison=Comparison.EQ,
            auth=self._counter_use(),
        )
        for approval in approvals:
            self._tpm.policy_authorize(policy, approval=approval)

    @contextmanager
    def _policy_session(self) -> Iterator[Session]:
        session = self._tpm.start_auth_session(SessionType.POLICY)
        with flushed(self._tpm, session.handle):
            yield session

    @contextmanager
    def _loaded(self, public: Public, private: bytes) -> Iterator[TpmObject]:
        stored = StoredObject(public=public, private=private)
        try:
            sealed = self._tpm.load(self._storage, stored=stored, auth=self._storage_use())
        except ResponseError as error:
            raise _not_for_us("sealed key", error) from error
        with flushed(self._tpm, sealed.handle):
            yield sealed

    def _standing(self, index: NvPublic) -> NvPublic | None:
        """What stands at the index's place; refused where it is not made as ours is."""
        try:
            standing = self._tpm.nv_read_public(index.index)
        except ResponseError as error:
            if base(error.rc) == ReturnCode.HANDLE:
                return None
            raise
        if standing.written() != index.written():
            raise occupied("index of the vault", index.index)
        return standing

    def _counter_use(self) -> SessionUse:
        return self._first.authorize(self._access.authorization.counter)

    def _storage_use(self) -> SessionUse:
        return self._first.authorize(self._access.authorization.storage)

    def _vault_counter_auth(self, slot: int) -> bytes:
        """AuthValue of a vault counter: derived, so that nothing more has to be kept."""
        label = b"pva/vault-counter/1" + bytes([slot])
        return hmac.digest(self._access.authorization.counter, label, hashlib.sha256)


def _not_this_state(reason: str) -> StateRefusedError:
    return StateRefusedError(
        subject="state of this device",
        reason=f"is not the approved one: {reason}",
        remedy="bring the device into an approved state and have it validated again",
    )


def _not_for_us(subject: str, error: ResponseError) -> Exception:
    """The error again, unless it is a judgement of what was presented (format one, and not about our authValue)."""
    if not error.rc & FORMAT_ONE or base(error.rc) in (ReturnCode.AUTH_FAIL, ReturnCode.BAD_AUTH):
        return error
    return SealedObjectError(
        subject=subject,
        reason=f"the TPM does not take it: {error}",
        remedy="have the operator make a package for this device's storage key",
    )
