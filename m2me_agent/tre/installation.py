"""Installation of a MID: ten steps, from a package that the agent brought to a receipt (R51-R55, R63, R98; step 13).

The rule: everything before step 8 leaves no trace but an audit line, and ends in a signed receipt. Step 8 is one
durable file and one count; whatever interrupts the steps after it is made up for by the next start, or by the same
package once more. A package whose sender is not proven gets a refusal and no signature.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.approvals import permit_at, read_permits, read_policy_key
from m2me_agent.tre.enrollment import identity, pinned_access
from m2me_agent.tre.errors import (
    AnchorError,
    ApprovalError,
    MalformedError,
    MidError,
    PackageError,
    PolicyError,
    SealedObjectError,
    StateError,
    StateRefusedError,
    TpmDeviceError,
    TreError,
    VaultError,
)
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.installation_outcomes import (
    CONTENT_REFUSED,
    ORDER_REFUSED,
    PACKAGE_REFUSED,
    POLICY_REFUSED,
    REPLAYED,
    STATE_REFUSED,
    STORAGE,
    UPDATE_REFUSED,
    InstallationError,
)
from m2me_agent.tre.lifecycle import MidEvent, MidState, after
from m2me_agent.tre.mid_content import known_content
from m2me_agent.tre.mid_rules import Rules, check_operators
from m2me_agent.tre.mid_versions import check_version, with_content
from m2me_agent.tre.operator_change import OperatorChanges
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.orders import Consent, OrderBook
from m2me_agent.tre.receipts import not_validated, shown, sign_receipt
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tombstones import Graves, Tombstone
from m2me_agent.tre.tpm_device import KeyAccess, Permit, TpmDevice, UnlockedKeys
from m2me_agent.tre.vault import Vault, vault_use
from m2me_agent.tre.vault_record import Compartment, Installed, OpenCompartment
from messages.approval import USE_PACKAGE, Use
from messages.errors import MessageError
from messages.instruction import TRE_NONCE_SIZE
from messages.mid_content import MidContent
from messages.mid_package import (
    ApprovedUse,
    PackageHeader,
    decrypt_content,
    package_digest,
)
from messages.statement import INSTALLED, Receipt
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.import_blob import ImportBlob, check_import_public
from standards.tpm2.structures import ClockInfo, Public


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What the agent brought; only `header` is proven: it is an SHO's."""

    header: PackageHeader
    digest: bytes
    unverified_delivery: str
    unverified_content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSeal:
    """A sealed key that opens as its policy says and in no other way, and the permits that came with it."""

    blob: ImportBlob
    use: Use
    vault: Use
    permits: tuple[Permit, ...]
    lasting: tuple[ApprovedUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The use case with everything that it needs."""

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    orders: OrderBook
    vault: Vault
    rules: Rules
    graves: Graves
    changes: OperatorChanges
    random_bytes: Callable[[int], bytes]

    def install(self, *, package: str, delivery: str, content: bytes) -> bytes:
        """An encoded SignedStatement: the receipt of this package, good or bad.

        Raises:
            PackageError: nobody is known to have sent it. NotEnrolledError, RateLimitError, TpmDeviceError,
            StateError: no receipt can be signed; the same package may be brought again.
        """
        # Before a step is taken: who sent it, and that its receipt can be signed and is paid for.
        clock = self.device.read_clock()
        tokens = OperatorTokens(anchors=self.anchors, known_time=self.guard.known_time(clock=clock))
        delivered = Delivered(
            header=_proven(tokens, package),
            digest=package_digest(package),
            unverified_delivery=delivery,
            unverified_content=content,
        )
        access = pinned_access(self.state)
        selections = self.state.exchanges().pcr_selections
        if selections is None:
            raise not_validated()
        self.guard.spend(clock=clock)
        with self.device.unlock(access) as keys:
            try:
                row = self._take_steps(delivered, tokens, keys, access=access, clock=clock)
                outcome, detail, nonce = INSTALLED, "", row.tre_nonce
            except InstallationError as error:
                outcome, detail, nonce = error.code, error.detail, self.random_bytes(TRE_NONCE_SIZE)
            # 10 the receipt: a quote over the outcome
            receipt = Receipt(
                device_id=identity(access.keys.ek).hex(),
                order_digest=delivered.header.order_digest,
                package_digest=delivered.digest,
                mid_id=delivered.header.mid_id,
                outcome=outcome,
                detail=shown(detail),
                tre_nonce=nonce,
                version=delivered.header.version,
            )
            return sign_receipt(receipt, keys, header=delivered.header, access=access, selections=selections)

    def _take_steps(  # what was brought, who vouches, and the device as it is
        self,
        delivered: Delivered,
        tokens: OperatorTokens,
        keys: UnlockedKeys,
        *,
        access: KeyAccess,
        clock: ClockInfo,
    ) -> Installed:
        """Steps 1 to 9: the journal's row of this package."""
        header = delivered.header
        with _failing(STORAGE, StateError):
            stored = tuple(each.unverified for each in self.vault.compartments(access))
        installed = _row_of(delivered, stored)
        # 1 for this device, AK and storage key; of an accepted, consented order of that SHO
        dpf = self._check_addressed(header, access, is_repeated=installed is not None)
        # 2 delivered by the DPF that the order names, for this package and order
        _check_delivery(tokens, delivered, dpf=dpf)
        # 3 the content, as signed
        _check_content(delivered)
        # 4 a new MID, or the next version of one; the same package once more changes nothing, but ends what a crash left open
        if installed is not None:
            with _failing(STORAGE, StateError, TpmDeviceError):
                self.vault.open_all(keys, access=access, device_id=header.device_id)
            return installed
        self._check_is_new(header, stored)
        # 5 A31: the blob opens under the policy that this TRE computes, and in no other way
        seal = _checked_seal(header, stored, access=access)
        # 6 import, and open it in the approved state
        generation, content_key = self._open_seal(seal, keys)
        # 7 decrypt and decode
        content = _decrypted(delivered, content_key, rules=self.rules)
        # 8 the compartment: vault key, file, counter
        row = self._new_row(delivered, generation=generation)
        before = self._compartment(seal, keys, generation=generation, access=access)
        with _failing(STORAGE, StateError, VaultError, TpmDeviceError), _failing(UPDATE_REFUSED, MidError):
            renewed = replace(before, visible=replace(before.visible, approvals=seal.lasting))
            self.vault.replace(with_content(renewed, row, content.encode(), clock=clock), keys)
        # 9 from now on the package's approval opens nothing
        with _failing(STORAGE, TpmDeviceError):
            self.vault.finish_generation(keys, generation=generation)
        return row

    def _check_addressed(self, header: PackageHeader, access: KeyAccess, *, is_repeated: bool) -> str:
        """The DPF that may deliver it."""
        keys = access.keys
        if header.device_id != identity(keys.ek).hex() or header.ak_name != keys.ak.name:
            raise InstallationError(PACKAGE_REFUSED, "is for another device or AK")
        if header.storage_key_name != keys.storage.name:
            raise InstallationError(PACKAGE_REFUSED, "is for another storage key")
        if is_repeated:
            return header.dpf
        with _failing(STORAGE, StateError):
            order = self.orders.find(header.order_digest)
        if order is None or order.sho != header.sho:
            raise InstallationError(ORDER_REFUSED, "no such order of this operator was accepted")
        if order.consent != Consent.GIVEN:
            raise InstallationError(ORDER_REFUSED, "nobody at the device has agreed to this order")
        if order.dpf != header.dpf:
            raise InstallationError(PACKAGE_REFUSED, f"the order names the DPF {order.dpf}")
        return order.dpf

    def _check_is_new(self, header: PackageHeader, stored: Sequence[Compartment]) -> None:
        with _failing(STORAGE, StateError):
            order = self.orders.find(header.order_digest)
        updates = None if order is None else order.updates
        rows = tuple((each.sho, row) for each in stored for row in each.journal)
        check_version(header, updates=updates, rows=rows, tombstones=self._tombstones(stored))
        if updates is not None:
            with _failing(UPDATE_REFUSED, MidError), _failing(STORAGE, StateError, TpmDeviceError):
                self.changes.check_free(updates)
        with _failing(POLICY_REFUSED, PolicyError):
            check_operators(frozenset(each.sho for each in stored) | {header.sho}, self.rules)

    def _tombstones(self, stored: Sequence[Compartment]) -> Iterator[Tombstone]:
        for each in stored:
            yield from each.tombstones
        with _failing(STORAGE, StateError):
            yield from (grave.tombstone for grave in self.graves.all())

    def _open_seal(self, seal: CheckedSeal, keys: UnlockedKeys) -> tuple[int, bytes]:
        """Value of the generation counter, and the content key.

        A package that is approved at one value needs no look at the counter: the TPM opens it at that value alone. Why it does not
        is found out afterwards.
        """
        permits = [permit for permit in seal.permits if permit.approval.use == seal.use]
        if len(permits) != 1:
            permits = [_permit_of_now(permits, seal, generation=_generation(keys))]
        permit = permits[0]
        with _failing(STORAGE, TpmDeviceError), _failing(PACKAGE_REFUSED, SealedObjectError):
            private = keys.import_sealed(seal.blob)
            keys.verify_permits([permit, *self._vault_permits(seal, permit)])
            try:
                key = keys.unseal_package(seal.blob.public, private, permit=permit)
            except StateRefusedError as refused:
                _permit_of_now(permits, seal, generation=keys.read_generation_counter())
                with _failing(STATE_REFUSED, StateRefusedError):
                    raise refused from None
        return permit.approval.state.counter, key

    def _vault_permits(self, seal: CheckedSeal, permit: Permit) -> list[Permit]:
        """Those that open the vault now, where it is closed, and at the next start: the TPM verifies them while it has the keys."""
        generation = permit.approval.state.counter
        values = (
            (generation, generation + 1) if self.vault.opened(seal.vault.sho) is None else (generation + 1,)
        )
        found = (permit_at(seal.permits, seal.vault, counter=value) for value in values)
        return [each for each in found if each is not None]

    def _compartment(
        self, seal: CheckedSeal, keys: UnlockedKeys, *, generation: int, access: KeyAccess
    ) -> OpenCompartment:
        now = permit_at(seal.permits, seal.vault, counter=generation)
        if now is None or permit_at(seal.permits, seal.vault, counter=generation + 1) is None:
            raise InstallationError(PACKAGE_REFUSED, "brings no approval for the vault, now and afterwards")
        with (
            _failing(STORAGE, StateError, VaultError, TpmDeviceError),
            _failing(PACKAGE_REFUSED, SealedObjectError),
            _failing(STATE_REFUSED, StateRefusedError),
        ):
            return self.vault.compartment_for(seal.vault.sho, keys, permit=now, access=access)

    def _new_row(self, delivered: Delivered, *, generation: int) -> Installed:
        return Installed(
            package_id=delivered.header.package_id,
            package_digest=delivered.digest,
            order_digest=delivered.header.order_digest,
            mid_id=delivered.header.mid_id,
            state=after(MidState.RECEIVED, MidEvent.SEALED),
            generation=generation,
            tre_nonce=self.random_bytes(TRE_NONCE_SIZE),
            version=delivered.header.version,
        )


@contextmanager
def _failing(code: str, *errors: type[Exception]) -> Iterator[None]:
    """What goes wrong inside, as an outcome with this code."""
    try:
        yield
    except errors as error:
        reason = error.reason if isinstance(error, TreError) else str(error)
        subject = f"{error.subject}: " if isinstance(error, TreError) else ""
        raise InstallationError(code, subject + reason) from error


def _proven(tokens: OperatorTokens, package: str) -> PackageHeader:
    try:
        return tokens.package(package)
    except (AnchorError, MalformedError) as error:
        raise PackageError(subject="package", reason=error.reason, remedy=error.remedy) from error


def _check_delivery(tokens: OperatorTokens, delivered: Delivered, *, dpf: str) -> None:
    with _failing(PACKAGE_REFUSED, AnchorError, MalformedError):
        delivery = tokens.delivery(delivered.unverified_delivery)
    if delivery.dpf != dpf:
        raise InstallationError(PACKAGE_REFUSED, f"was delivered by {delivery.dpf}, the order names {dpf}")
    expected = (delivered.header.device_id, delivered.header.order_digest, delivered.digest)
    if (delivery.device_id, delivery.order_digest, delivery.package_digest) != expected:
        raise InstallationError(PACKAGE_REFUSED, "the delivery is for another device, order or package")


def _row_of(delivered: Delivered, stored: Sequence[Compartment]) -> Installed | None:
    header = delivered.header
    for row in (row for each in stored if each.sho == header.sho for row in each.journal):
        if hmac.compare_digest(row.package_digest, delivered.digest):
            return row
    return None


def _checked_seal(header: PackageHeader, stored: Sequence[Compartment], *, access: KeyAccess) -> CheckedSeal:
    use = Use(
        use=USE_PACKAGE,
        device_id=header.device_id,
        sho=header.sho,
        order_digest=header.order_digest,
    )
    vault = vault_use(header.device_id, header.sho)
    with _failing(PACKAGE_REFUSED, ApprovalError, Tpm2Error):
        policy_root = read_policy_key(header.policy_root, what="policy root")
        public = Public.decode(header.sealed_key.public)
        check_import_public(public, auth_policy=use.sealed_policy(policy_root))
        permits = read_permits(
            header.approvals,
            policy_root=policy_root,
            uses=(use, vault),
            counter_name=access.keys.counter.name,
        )
    for pinned in stored:
        if pinned.sho == header.sho and pinned.policy_root != header.policy_root:
            raise InstallationError(PACKAGE_REFUSED, "the operator's policy root is not the pinned one")
    blob = ImportBlob(
        public=public,
        duplicate=header.sealed_key.duplicate,
        encrypted_seed=header.sealed_key.encrypted_seed,
    )
    lasting = tuple(
        each for each, permit in zip(header.approvals, permits, strict=True) if permit.approval.use == vault
    )
    return CheckedSeal(blob=blob, use=use, vault=vault, permits=permits, lasting=lasting)


def _check_content(delivered: Delivered) -> None:
    header, content = delivered.header, delivered.unverified_content
    if len(content) != header.content_size:
        expected = f"expected {header.content_size} bytes, got {len(content)}"
        raise InstallationError(CONTENT_REFUSED, expected)
    if not hmac.compare_digest(hashlib.sha256(content).digest(), header.content_sha256):
        raise InstallationError(CONTENT_REFUSED, "is not the content that the package names")


def _generation(keys: UnlockedKeys) -> int:
    with _failing(STORAGE, TpmDeviceError):
        return keys.read_generation_counter()


def _permit_of_now(permits: Sequence[Permit], seal: CheckedSeal, *, generation: int) -> Permit:
    """The package's, at the generation of now. Raises InstallationError: there is none, and why."""
    permit = permit_at(permits, seal.use, counter=generation)
    if permit is not None:
        return permit
    if permits and max(each.approval.state.counter for each in permits) < generation:
        raise InstallationError(REPLAYED, "its approvals are for generations of this device that are over")
    raise InstallationError(STATE_REFUSED, "no approval is for the present generation of this device")


def _decrypted(delivered: Delivered, key: bytes, *, rules: Rules) -> MidContent:
    header = delivered.header
    with _failing(CONTENT_REFUSED, MessageError), _failing(POLICY_REFUSED, PolicyError):
        clear = decrypt_content(delivered.unverified_content, key=key, header=header)
        return known_content(clear, mid_id=header.mid_id, rules=rules)
