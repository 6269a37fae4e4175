"""The vault: one compartment an operator, each under a key of its own in the TPM (D8, R51).

The rule: file n+1 is durable before the counter goes to n+1. At start, n and n+1 are whole states (n+1 has the
increment made up for), anything older is a rollback and stays closed. A compartment opens with an approval that
holds now, or not at all; once open, it stays open in this process, since a raised generation counter kills the
approvals of the others but not what they keep.

After an update the approvals of the old state are ended by the same counter: `retire_old_state` raises it past whatever
was approved of the old state, once every compartment of this device can be opened in the present state there.

Erasing writes another key over the one before (`change_key`): file n+1 is sealed under the next key, which only the key of
now opens, then the counter, then the key in the TPM. A cut in between leaves a file that opens with whichever key the TPM
has, and the next opening finishes it. A compartment without a MID gives its place back (`give_back`).

    key      NV index, policy = whatever the operator's policy root approves for the vault of this device
    file     AES-256-GCM, version in the additional data
    counter  NV index, one a compartment
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from edge.process import logger
from m2me_agent.tre.approvals import is_same_boot, permits_at, read_permits, read_policy_key
from m2me_agent.tre.errors import (
    KeyGoneError,
    PlaceTakenError,
    RollbackError,
    StateError,
    StateRefusedError,
    TreError,
    VaultError,
)
from m2me_agent.tre.state import Storage
from m2me_agent.tre.tpm_device import KeyAccess, Permit, UnlockedKeys
from m2me_agent.tre.vault_failures import altered, older, without_approval
from m2me_agent.tre.vault_record import (
    NONCE_BYTES,
    Compartment,
    Installed,
    OpenCompartment,
    SealedCompartment,
    decode_compartment,
)
from messages.approval import USE_VAULT, Use
from messages.mid_package import ApprovedUse
from standards.tpm2.templates import VAULT_KEY_BYTES, VAULT_SLOTS


def vault_use(device_id: str, sho: str) -> Use:
    """What a compartment's key is for."""
    return Use(use=USE_VAULT, device_id=device_id, sho=sho, order_digest=None)


@dataclass(kw_only=True)
class Vault:
    """All compartments; `closed` says by operator why one does not open, `unreadable` by slot why a file cannot be read."""

    storage: Storage
    random_bytes: Callable[[int], bytes]
    _open: dict[str, OpenCompartment] = field(default_factory=dict, repr=False)
    _opened_by: dict[str, Permit] = field(default_factory=dict, repr=False)
    closed: dict[str, TreError] = field(default_factory=dict)
    unreadable: dict[int, StateError] = field(default_factory=dict)

    def compartments(self, access: KeyAccess) -> Iterator[SealedCompartment]:
        """What is stored under this storage key; what was made under another one went with TPM2_Clear.

        Raises StateError for a file that cannot be read: whoever adds something must know what is there.
        """
        for slot in range(VAULT_SLOTS):
            found = self._stored(slot, access)
            if found is not None:
                yield found

    def readable_compartments(self, access: KeyAccess) -> Iterator[SealedCompartment]:
        """As `compartments`, past the files that cannot be read: one that is torn is no other operator's harm."""
        for slot in range(VAULT_SLOTS):
            try:
                found = self._stored(slot, access)
            except StateError as error:
                self.unreadable[slot] = error
                continue
            self.unreadable.pop(slot, None)
            if found is not None:
                yield found

    def _stored(self, slot: int, access: KeyAccess) -> SealedCompartment | None:
        content = self.storage.read(_name(slot))
        if content is None:
            return None
        found = decode_compartment(content, name=_name(slot))
        is_ours = found.unverified.storage_key_name == access.keys.storage.name
        return found if is_ours and found.unverified.slot == slot else None

    def journal(self, access: KeyAccess) -> Iterator[tuple[str, Installed]]:
        """Owner and row of every installed package, whether its compartment opens or not. Raises StateError."""
        return _rows(self.compartments(access))

    def readable_journal(self, access: KeyAccess) -> Iterator[tuple[str, Installed]]:
        """As `journal`, past the files that cannot be read."""
        return _rows(self.readable_compartments(access))

    def by_slot(self, access: KeyAccess) -> Iterator[tuple[OpenCompartment | None, Compartment]]:
        """Every compartment in its place: what is held of an open one, what can be read of another."""
        held = {each.visible.slot: each for each in self.open_compartments(access)}
        stored = {each.unverified.slot: each.unverified for each in self.readable_compartments(access)}
        for slot in sorted(held.keys() | stored.keys()):
            yield held.get(slot), held[slot].visible if slot in held else stored[slot]

    def open_compartments(self, access: KeyAccess) -> tuple[OpenCompartment, ...]:
        """What is open under this storage key, by slots; no file is read."""
        name = access.keys.storage.name
        held = (each for each in self._open.values() if each.visible.storage_key_name == name)
        return tuple(sorted(held, key=lambda each: each.visible.slot))

    def opened(self, sho: str) -> OpenCompartment | None:
        """An operator's compartment, if it is open."""
        return self._open.get(sho)

    def open_all(self, keys: UnlockedKeys, *, access: KeyAccess, device_id: str) -> None:
        """Open every compartment that opens in this state, and finish what a crash interrupted.

        A compartment that stays closed is reported, with its reason in `closed` or `unreadable`; TpmDeviceError and
        StateError of the device as a whole are raised.
        """
        stored = tuple(self.readable_compartments(access))
        rows = (row.generation for each in stored for row in each.unverified.journal)
        generation, expected = None, 1 + max(rows, default=-1)
        for found in stored:
            visible = found.unverified
            if visible.sho in self._open:
                continue
            try:
                use = vault_use(device_id, visible.sho)
                permits = self.permits(visible, visible.all_approvals, access=access, use=use)
                generation = expected = self._open_at(found, keys, permits=permits, expected=expected)
            except TreError as error:
                self.closed[visible.sho] = error
                logger("tre").warning(
                    "compartment closed", refused=error.code, subject=visible.sho, reason=error.reason
                )
        for unread in self.unreadable.values():
            logger("tre").warning("compartment closed", refused=unread.code, subject=unread.subject)
        self.finish_generation(keys, generation=generation)

    def _open_at(
        self, found: SealedCompartment, keys: UnlockedKeys, *, permits: Sequence[Permit], expected: int
    ) -> int:
        """Open one compartment with the permits of this generation, or of the one of now; which it was, the TPM has judged.

        The newest installation has left the counter one higher, so that it need not be read. Raises as `open_with`.
        """
        try:
            self.open_with(found, keys, permits=_at(permits, expected))
        except StateRefusedError:
            generation = keys.read_generation_counter()
            if generation == expected:
                raise
            self.open_with(found, keys, permits=_at(permits, generation))
            return generation
        return expected

    def permits(
        self, visible: Compartment, approvals: Sequence[ApprovedUse], *, access: KeyAccess, use: Use
    ) -> tuple[Permit, ...]:
        """Approvals for a compartment, under its pinned policy root. Raises ApprovalError."""
        return read_permits(
            approvals,
            policy_root=read_policy_key(visible.policy_root, what="policy root"),
            uses=(use,),
            counter_name=access.keys.counter.name,
        )

    def open_with(
        self, found: SealedCompartment, keys: UnlockedKeys, *, permits: Sequence[Permit]
    ) -> OpenCompartment:
        """Open one compartment with the first permit that the TPM takes: it alone knows the present state.

        Raises as `open`; of several refusals the last one, and StateRefusedError where there is no permit.
        """
        refusal = without_approval(found.unverified.sho)
        for permit in permits:
            try:
                return self.open(found, keys, permit=permit)
            except StateRefusedError as refused:
                refusal = refused
        raise refusal

    def open(self, found: SealedCompartment, keys: UnlockedKeys, *, permit: Permit) -> OpenCompartment:
        """Open one compartment with a permit.

        Raises:
            StateRefusedError: the TPM says no.
            RollbackError: the file is older than its counter says. VaultError: it is not what was written.
        """
        visible = found.unverified
        keys.recall_tickets(permit.approval.use, visible.tickets)
        key = keys.open_vault_key(visible.slot, permit=permit)
        if key is None:
            raise KeyGoneError(
                subject=f"compartment of {visible.sho}",
                reason="its key is no longer in the TPM",
                remedy="have the operator order the subscription anew",
            )
        opened = self._take(found, keys, key=key, permit=permit)
        self._opened_by[visible.sho] = permit
        return opened

    def opened_by(self, sho: str) -> Permit | None:
        """The permit that an operator's compartment was opened or made with, in this process."""
        return self._opened_by.get(sho)

    def retire_old_state(
        self, keys: UnlockedKeys, *, access: KeyAccess, device_id: str, accepted_manifest: bytes
    ) -> bool:
        """Raise the generation counter, if the update to this manifest is done; what was approved before is dead then.

        True where the counter went up. Raises TpmDeviceError, ApprovalError: the next start goes on with it.
        """
        nexts = (found.unverified.next_state for found in self.compartments(access))
        if all(each is None or each.manifest_digest != accepted_manifest for each in nexts):
            return False
        generation = keys.read_generation_counter()
        target = self._end_of_old_state(
            generation, access=access, device_id=device_id, accepted_manifest=accepted_manifest
        )
        for _ in range(generation, target):
            keys.raise_generation_counter()
        return target > generation

    def _end_of_old_state(
        self, generation: int, *, access: KeyAccess, device_id: str, accepted_manifest: bytes
    ) -> int:
        """The value to which the counter goes; `generation`, its value of now, while the update is not done.

        It is done when a compartment has come up by approvals for this manifest, no package was installed since they
        were made, and every compartment is open and may be opened in the present registers at each value on the way:
        a cut may come between any two.
        """
        target, reaches = generation, []
        visibles = [found.unverified for found in self.compartments(access)]
        installed_at = max((row.generation for each in visibles for row in each.journal), default=-1)
        for sho in (each.sho for each in visibles):
            opened, permit = self._open.get(sho), self._opened_by.get(sho)
            if opened is None or permit is None:
                return generation
            use, visible = vault_use(device_id, sho), opened.visible
            permits = self.permits(visible, visible.all_approvals, access=access, use=use)
            reaches.append(_counters(permits, like=permit))
            following = visible.next_state
            if (
                following is not None
                and following.manifest_digest == accepted_manifest
                and installed_at < following.generation <= generation
            ):
                those = self.permits(visible, following.approvals, access=access, use=use)
                target = max(target, *_counters(those, like=permit), generation)
        on_the_way = set(range(generation + 1, target + 1))
        return target if all(on_the_way <= reach for reach in reaches) else generation

    def permit_of_now(self, opened: OpenCompartment, keys: UnlockedKeys, *, access: KeyAccess) -> Permit:
        """A permit for the key of an open compartment, at the generation of now, in the state that opened it.

        Raises StateRefusedError: its approvals are over. TpmDeviceError, ApprovalError.
        """
        visible, by = opened.visible, self._opened_by[opened.visible.sho]
        use = by.approval.use
        permits = self.permits(visible, visible.all_approvals, access=access, use=use)
        for permit in permits_at(permits, use, counter=keys.read_generation_counter()):
            if is_same_boot(by, permit):
                return permit
        raise without_approval(visible.sho)

    def look_again(self, sho: str, keys: UnlockedKeys, *, access: KeyAccess) -> OpenCompartment:
        """Read an open compartment anew: its key from the TPM, its file from the disk, its version from the counter.

        Raises StateRefusedError, VaultError, StateError: it is not what it was; it stays closed then.
        """
        opened = self._open.get(sho)
        if opened is None:
            raise self.closed.get(sho, without_approval(sho))
        permit = self.permit_of_now(opened, keys, access=access)
        del self._open[sho]
        try:
            for found in self.compartments(access):
                if found.unverified.sho == sho:
                    return self.open(found, keys, permit=permit)
            raise VaultError(
                subject=f"compartment of {sho}",
                reason="its file is gone",
                remedy="restore the newest file; else have the operator order the subscription anew",
            )
        except TreError as error:
            self.closed[sho] = error
            raise

    def change_key(self, changed: OpenCompartment, keys: UnlockedKeys, *, access: KeyAccess) -> None:
        """Make this the newest version, under another key; what was written before opens nowhere afterwards.

        Raises:
            StateError, StateRefusedError: the old version stands. TpmDeviceError: the next opening finishes it.
        """
        permit = self.permit_of_now(changed, keys, access=access)
        newest = self._next_version(changed, keys)
        sho, slot = newest.visible.sho, newest.visible.slot
        fresh = self.random_bytes(VAULT_KEY_BYTES)
        sealed = newest.seal_anew(
            fresh, nonce=self.random_bytes(NONCE_BYTES), key_nonce=self.random_bytes(NONCE_BYTES)
        )
        self._open.pop(sho, None)
        try:
            self.storage.write(_name(slot), sealed.encode())
            keys.raise_vault_counter(slot)
            keys.change_vault_key(slot, permit=permit, fresh=fresh)
        except TreError:
            with suppress(TreError):  # the first refusal is the one to tell
                self._read_again(slot, keys, key=changed.key, permit=permit)
            raise
        self._open[sho] = replace(newest, key=fresh)

    def give_back(self, found: Compartment, keys: UnlockedKeys, *, device_id: str) -> None:
        """End a compartment that no MID is in: its key first, then its file. Its counter stays, and goes on counting.

        Raises TpmDeviceError, StateError: the next start finishes it.
        """
        use = vault_use(device_id, found.sho)
        root = read_policy_key(found.policy_root, what="policy root")
        self._open.pop(found.sho, None)
        keys.forget_vault_key(found.slot, auth_policy=use.sealed_policy(root))
        self.storage.remove(_name(found.slot))
        self._opened_by.pop(found.sho, None)
        self.closed.pop(found.sho, None)

    def finish_generation(self, keys: UnlockedKeys, *, generation: int | None = None) -> None:
        """Raise the generation counter if an installed package could still be opened: a crash came in between.

        `generation` is its value, where that is known.
        """
        rows = [row for opened in self._open.values() for row in opened.visible.journal]
        if not rows:
            return
        if generation is None:
            generation = keys.read_generation_counter()
        if any(row.generation == generation for row in rows):
            keys.raise_generation_counter()

    def compartment_for(
        self, sho: str, keys: UnlockedKeys, *, permit: Permit, access: KeyAccess
    ) -> OpenCompartment:
        """The operator's compartment: open already, opened now, or a new one that nothing is in.

        Raises:
            StateRefusedError, VaultError, TpmDeviceError, StateError: it cannot be had.
        """
        opened = self._open.get(sho)
        if opened is not None:
            return opened
        taken = set()
        for found in self.compartments(access):
            if found.unverified.sho == sho:
                return self.open(found, keys, permit=permit)
            taken.add(found.unverified.slot)
        return self._new_compartment(sho, keys, permit=permit, access=access, taken=taken)

    def _new_compartment(
        self, sho: str, keys: UnlockedKeys, *, permit: Permit, access: KeyAccess, taken: Collection[int]
    ) -> OpenCompartment:
        """In the first free slot.

        A place in the TPM that is not ours, or in which another operator's installation was cut off, is passed over:
        it does not keep this operator from the next one.
        """
        for slot in sorted(set(range(VAULT_SLOTS)) - set(taken)):
            try:
                key = keys.open_vault_key(slot, permit=permit, fresh=self.random_bytes(VAULT_KEY_BYTES))
            except PlaceTakenError as error:
                logger("tre").warning("slot not used", subject=error.subject, reason=error.reason)
                continue
            if key is None:
                raise VaultError(
                    subject=f"compartment of {sho}", reason="no key was made", remedy="report this"
                )
            visible = Compartment(
                sho=sho,
                slot=slot,
                storage_key_name=access.keys.storage.name,
                policy_root=permit.policy_root.encode(),
                version=keys.read_vault_counter(slot, is_new=True),
            )
            self._opened_by[sho] = permit
            return OpenCompartment(visible=visible, key=key, contents={})
        raise VaultError(
            subject=f"compartment of {sho}",
            reason=f"all {VAULT_SLOTS} compartments are taken",
            remedy="this device holds no more operators",
        )

    def replace(self, changed: OpenCompartment, keys: UnlockedKeys) -> None:
        """Make this the newest version: file first, then the counter.

        Raises:
            StateError: the old version stands. TpmDeviceError: the next opening of the compartment finishes it.
        """
        newest = self._next_version(changed, keys)
        sho, slot = newest.visible.sho, newest.visible.slot
        sealed = newest.seal(self.random_bytes(NONCE_BYTES))
        # Until both are done, what this process holds is not known to be what is stored.
        self._open.pop(sho, None)
        try:
            self.storage.write(_name(slot), sealed.encode())
            keys.raise_vault_counter(slot)
        except TreError:
            with suppress(TreError):  # the first refusal is the one to tell
                self._read_again(slot, keys, key=changed.key)
            raise
        self._open[sho] = newest

    def _next_version(self, changed: OpenCompartment, keys: UnlockedKeys) -> OpenCompartment:
        """With what the TPM has verified meanwhile for this vault."""
        visible, by = changed.visible, self._opened_by.get(changed.visible.sho)
        tickets = visible.tickets if by is None else keys.tickets(by.approval.use)
        return replace(changed, visible=replace(visible, version=visible.version + 1, tickets=tickets))

    def check(self, sho: str, keys: UnlockedKeys) -> None:
        """See that an open compartment is stored as it is held here, and that nothing older was put in its place (R33).

        Raises VaultError, RollbackError, StateError: what is held here stays open and is the newest, unless the counter
        says otherwise; then the compartment is closed. TpmDeviceError: nothing is known.
        """
        opened = self._open[sho]
        visible, counter = opened.visible, keys.read_vault_counter(opened.visible.slot)
        if visible.version != counter:
            self.closed[sho] = error = older(visible, counter=counter)
            del self._open[sho]
            raise error
        content = self.storage.read(_name(visible.slot))
        if content is None:
            raise altered(sho, "its file is gone")
        found = decode_compartment(content, name=_name(visible.slot))
        if found.unverified.version != counter:
            raise older(found.unverified, counter=counter)
        if found.open(opened.key) != opened:
            raise altered(sho, "its file is not the one that is open")

    def _read_again(self, slot: int, keys: UnlockedKeys, *, key: bytes, permit: Permit | None = None) -> None:
        content = self.storage.read(_name(slot))
        if content is not None:
            self._take(decode_compartment(content, name=_name(slot)), keys, key=key, permit=permit)

    def _take(
        self, found: SealedCompartment, keys: UnlockedKeys, *, key: bytes, permit: Permit | None
    ) -> OpenCompartment:
        """The compartment, if it is the newest; an increment and a change of key that a cut left out are made up for."""
        visible = found.unverified
        counter = keys.read_vault_counter(visible.slot)
        if visible.version not in (counter, counter + 1):
            raise RollbackError(
                subject=f"compartment of {visible.sho}",
                reason=f"expected version {counter} or {counter + 1}, got {visible.version}",
                remedy="restore the newest file; an older one is never taken",
            )
        opened = found.open(key)
        if visible.version == counter + 1:
            keys.raise_vault_counter(visible.slot)
        if opened.key != key:
            if permit is None:
                raise without_approval(visible.sho)
            keys.change_vault_key(visible.slot, permit=permit, fresh=opened.key)
        self._open[visible.sho] = opened
        self.closed.pop(visible.sho, None)
        return opened


def _rows(compartments: Iterator[SealedCompartment]) -> Iterator[tuple[str, Installed]]:
    return ((found.unverified.sho, row) for found in compartments for row in found.unverified.journal)


def _name(slot: int) -> str:
    return f"vault-{slot}"


def _at(permits: Sequence[Permit], generation: int) -> tuple[Permit, ...]:
    return tuple(each for each in permits if each.approval.state.counter == generation)


def _counters(permits: Sequence[Permit], *, like: Permit) -> set[int]:
    """At which values of the counter there are permits for the registers of one."""
    return {each.approval.state.counter for each in permits if is_same_boot(like, each)}
