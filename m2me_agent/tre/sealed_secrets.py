"""Opening what is sealed to this TPM: under a policy session, each secret encrypted on the bus.

The rule: the policy is run from meaning (state, counter, use) and the TPM judges it; nothing here compares
registers itself. Signatures are verified first, then PolicyPCR to the use of the secret follow one another
closely: any extend in between spoils the session (0x128), and the policy is run again, a few times (D8).

No public area is read back while all goes well: Names are computed, and a session's HMAC covers them, so that the TPM refuses
what is not ours. What stands at a place is looked at when the TPM has refused, to say why (docs/adr/0058-tpm-commands.md).
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from m2me_agent.tre.errors import PlaceTakenError, SealedObjectError, StateRefusedError, TpmDeviceError
from m2me_agent.tre.tickets import Claim, Tickets
from m2me_agent.tre.tpm_device import KeyAccess, Permit
from m2me_agent.tre.tpm_failures import flushed, occupied, reported
from m2me_agent.tre.tpm_sessions import KeptSessions
from messages.approval import USE_VAULT, Use, approved_policy
from standards.tpm2 import templates
from standards.tpm2.commands.objects import StoredObject, TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import CommandCode, Comparison, Handle, NvAttributes
from standards.tpm2.errors import ResponseError
from standards.tpm2.import_blob import ImportBlob
from standards.tpm2.return_codes import FORMAT_ONE, ReturnCode, base, parameter
from standards.tpm2.sessions import Session, SessionUse
from standards.tpm2.structures import NvPublic, Public

POLICY_TRIES = 5
"""Runs of a policy while somebody (IMA) extends registers."""

_STATE_SAYS_NO = (ReturnCode.VALUE, ReturnCode.POLICY, ReturnCode.POLICY_FAIL)
"""PolicyPCR and PolicyAuthorize; PolicyNV; the use of the secret."""

_COUNTER_LABEL, _KEY_LABEL = b"pva/vault-counter/1", b"pva/vault-key/1"

_NO_TICKET = parameter(ReturnCode.VALUE, 4)
"""PolicyAuthorize about its checkTicket."""

Opened = TypeVar("Opened")


class SealedSecrets:
    """The part of UnlockedKeys that is about secrets and counters; see the Protocol."""

    def __init__(
        self,
        tpm: TpmConnection,
        *,
        access: KeyAccess,
        storage: TpmObject,
        sessions: KeptSessions,
        tickets: Tickets,
    ) -> None:
        self._tpm = tpm
        self._access = access
        self._storage = storage
        self._sessions = sessions
        self._tickets = tickets

    @property
    def _first(self) -> Session:
        """The session that authorises and encrypts."""
        return self._sessions.salted(self._storage)

    @contextmanager
    def _told(self, subject: str) -> Iterator[None]:
        """Report what goes wrong; where it was no judgement by the TPM, nothing is known of the sessions any more."""
        try:
            with reported(subject):
                yield
        except (StateRefusedError, SealedObjectError, PlaceTakenError):
            raise
        except TpmDeviceError:
            self._sessions.drop()
            raise

    def read_generation_counter(self) -> int:
        """TPM2_NV_Read under the salted session."""
        with self._told("generation counter"):
            return self._tpm.nv_read_counter(self._access.keys.counter, auth=self._counter_use())

    def raise_generation_counter(self) -> None:
        """TPM2_NV_Increment."""
        with self._told("generation counter"):
            self._tpm.nv_increment(self._access.keys.counter, auth=self._counter_use())

    def recall_tickets(self, use: Use, rows: Sequence[bytes]) -> None:
        """No command: the TPM judges them when they are shown."""
        self._tickets.recall(use.ref, rows)

    def tickets(self, use: Use) -> tuple[bytes, ...]:
        """No command."""
        return self._tickets.told(use.ref)

    def verify_permits(self, permits: Sequence[Permit]) -> None:
        """TPM2_LoadExternal for each key that has signed, and TPM2_VerifySignature for each of its signatures."""
        claims = [claim for permit in permits for claim in _claims(permit)]
        missing = {claim.id: claim for claim in claims if self._tickets.find(claim) is None}
        with self._told("approval"):
            for key in {claim.key.name: claim.key for claim in missing.values()}.values():
                self._verify(key, [claim for claim in missing.values() if claim.key == key])

    def import_sealed(self, blob: ImportBlob) -> bytes:
        """TPM2_Import; the blob's own wrap keeps the secret from the bus."""
        with self._told("sealed key"):
            try:
                return self._tpm.import_object(self._storage, blob=blob, auth=self._storage_use()).private
            except ResponseError as error:
                raise _not_for_us("sealed key", error) from error

    def unseal_connectivity(self, public: Public, private: bytes) -> bytes:
        """PolicyCommandCode(Unseal), TPM2_Unseal."""
        with (
            self._told("connectivity"),
            self._loaded(public, private) as sealed,
            self._sessions.policy() as policy,
        ):
            self._tpm.policy_command_code(policy, code=CommandCode.UNSEAL)
            return self._tpm.unseal(sealed, auth=policy.authorize(), protect=self._first)

    def unseal_package(self, public: Public, private: bytes, *, permit: Permit) -> bytes:
        """The policy of the permit, TPM2_Unseal; a package is opened once, and its tickets are of no use any more."""
        with self._told("package"), self._loaded(public, private) as sealed:
            secret = self._permitted(
                permit, lambda use: self._tpm.unseal(sealed, auth=use, protect=self._first)
            )
        self._tickets.forget(permit.approval.use.ref)
        return secret

    def open_vault_key(self, slot: int, *, permit: Permit, fresh: bytes | None = None) -> bytes | None:
        """TPM2_NV_Read under the policy of the permit; where there may be none yet, the index is defined and written."""
        policy = permit.approval.use.sealed_policy(permit.policy_root)
        index = templates.vault_key(slot, auth_policy=policy)
        with self._told("vault key"):
            if fresh is not None and self._make_vault_key(slot, index, fresh, permit=permit):
                return fresh
            try:
                return self._permitted(
                    permit,
                    lambda use: self._tpm.nv_read(
                        index.written(), size=index.data_size, auth=use, protect=self._first
                    ),
                    auth_value=self._auth_value(_KEY_LABEL, slot),
                )
            except (ResponseError, StateRefusedError):
                standing = self._standing(index)
                if standing is None or not standing.attributes & NvAttributes.WRITTEN:
                    return None
                raise

    def change_vault_key(self, slot: int, *, permit: Permit, fresh: bytes) -> None:
        """TPM2_NV_Write under the policy of the permit, the data encrypted on the bus."""
        policy = permit.approval.use.sealed_policy(permit.policy_root)
        index = templates.vault_key(slot, auth_policy=policy)
        with self._told("vault key"):
            try:
                self._permitted(
                    permit,
                    lambda use: self._tpm.nv_write(
                        index.written(), data=fresh, auth=use, protect=self._first
                    ),
                    auth_value=self._auth_value(_KEY_LABEL, slot),
                )
            except (ResponseError, StateRefusedError) as error:
                standing = self._standing(index)
                if standing is None or not standing.attributes & NvAttributes.WRITTEN:
                    raise SealedObjectError(
                        subject="vault key",
                        reason="there is none to write over",
                        remedy="have the operator order the subscription anew",
                    ) from error
                raise

    def forget_vault_key(self, slot: int, *, auth_policy: bytes) -> None:
        """TPM2_NV_UndefineSpace."""
        index = templates.vault_key(slot, auth_policy=auth_policy)
        with self._told("vault key"):
            standing = self._standing(index)
            if standing is not None:
                self._tpm.nv_undefine_space(Handle.OWNER, index=standing)

    def read_vault_counter(self, slot: int, *, is_new: bool = False) -> int:
        """TPM2_NV_Read under the salted session; the index is defined on first use, which `is_new` expects."""
        index, auth_value = templates.vault_counter(slot), self._auth_value(_COUNTER_LABEL, slot)
        with self._told("vault counter"):
            try:
                if is_new:
                    self._make_vault_counter(index, auth_value)
                return self._tpm.nv_read_counter(index.written(), auth=self._first.authorize(auth_value))
            except ResponseError:
                standing = self._standing(index)
                if standing is not None and standing.attributes & NvAttributes.WRITTEN:
                    raise
                if standing is None:
                    self._make_vault_counter(index, auth_value)
                else:
                    self._tpm.nv_increment(index, auth=self._first.authorize(auth_value))
                return self._tpm.nv_read_counter(index.written(), auth=self._first.authorize(auth_value))

    def raise_vault_counter(self, slot: int) -> None:
        """TPM2_NV_Increment."""
        index = templates.vault_counter(slot).written()
        with self._told("vault counter"):
            self._tpm.nv_increment(index, auth=self._first.authorize(self._auth_value(_COUNTER_LABEL, slot)))

    def _make_vault_counter(self, index: NvPublic, auth_value: bytes) -> None:
        """Define, and count once; one that stands there already is left as it is."""
        try:
            self._tpm.nv_define_space(Handle.OWNER, public=index, auth_value=auth_value, protect=self._first)
        except ResponseError as error:
            if base(error.rc) != ReturnCode.NV_DEFINED:
                raise
            return
        self._tpm.nv_increment(index, auth=self._first.authorize(auth_value))

    def _make_vault_key(self, slot: int, index: NvPublic, key: bytes, *, permit: Permit) -> bool:
        """Define and write, or False where a written one stands.

        What cannot be written is taken away again, or it would keep the place from others.
        """
        auth_value = self._auth_value(_KEY_LABEL, slot)
        try:
            self._tpm.nv_define_space(Handle.OWNER, public=index, auth_value=auth_value, protect=self._first)
        except ResponseError as error:
            if base(error.rc) != ReturnCode.NV_DEFINED:
                raise
            standing = self._standing(index)
            if standing is not None and standing.attributes & NvAttributes.WRITTEN:
                return False
        try:
            self._permitted(
                permit,
                lambda use: self._tpm.nv_write(index, data=key, auth=use, protect=self._first),
                auth_value=auth_value,
            )
        except StateRefusedError:
            self._tpm.nv_undefine_space(Handle.OWNER, index=index)
            raise
        return True

    def _permitted(
        self, permit: Permit, use: Callable[[SessionUse], Opened], *, auth_value: bytes = b""
    ) -> Opened:
        """What `use` gives under a policy session in which the permit's state was shown; `auth_value` is the secret's."""
        self.verify_permits([permit])
        self._sessions.salted(self._storage)  # started before PolicyPCR, if it is not yet
        for _ in range(POLICY_TRIES):
            try:
                with self._sessions.policy() as policy:
                    self._show(policy, permit)
                    return use(policy.authorize(auth_value))
            except ResponseError as error:
                if error.rc == _NO_TICKET:  # one that was stored: of before TPM2_Clear, or not what it was
                    self._tickets.forget(permit.approval.use.ref)
                    self.verify_permits([permit])
                    continue
                if base(error.rc) in _STATE_SAYS_NO:
                    raise _not_this_state(str(error)) from error
                if base(error.rc) != ReturnCode.PCR_CHANGED:
                    raise
        raise _not_this_state(f"registers changed while they were shown, {POLICY_TRIES} times in a row")

    def _verify(self, key: Public, claims: Sequence[Claim]) -> None:
        try:
            loaded = self._tpm.load_external(key)
            with flushed(self._tpm, loaded.handle):
                for claim in claims:
                    ticket = self._tpm.verify_signature(
                        loaded, digest=claim.digest, signature=claim.signature
                    )
                    self._tickets.add(claim, ticket)
        except ResponseError as error:
            raise _not_for_us("approval", error) from error

    def _show(self, policy: Session, permit: Permit) -> None:
        state = permit.approval.state
        self._tpm.policy_pcr(policy, selection=state.selection, pcr_digest=state.pcr_digest)
        self._tpm.policy_nv(
            policy,
            index=self._access.keys.counter,
            operand=state.counter.to_bytes(8, "big"),
            comparison=Comparison.EQ,
            auth=self._counter_use(),
        )
        if permit.approval.use.use == USE_VAULT:
            self._tpm.policy_auth_value(policy)
        for claim in _claims(permit):
            ticket = self._tickets.find(claim)
            if ticket is None:
                raise _not_this_state("an approval was verified, and forgotten before it was shown")
            self._tpm.policy_authorize(policy, approval=claim.shown(ticket))

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

    def _auth_value(self, label: bytes, slot: int) -> bytes:
        """AuthValue of a vault's counter or key: derived, so that nothing more has to be kept."""
        return hmac.digest(self._access.authorization.counter, label + bytes([slot]), hashlib.sha256)


def _claims(permit: Permit) -> tuple[Claim, Claim]:
    """Day key for the state, policy root for the day key."""
    use, state = permit.approval.use, permit.approval.state
    return (
        Claim(
            key=permit.day_key,
            policy=approved_policy(use, state),
            ref=use.ref,
            signature=permit.signature,
        ),
        Claim(
            key=permit.policy_root,
            policy=use.delegated_policy(permit.day_key),
            ref=use.ref,
            signature=permit.delegation,
        ),
    )


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
