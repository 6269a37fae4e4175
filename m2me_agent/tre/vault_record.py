"""The file of one compartment: what anybody with the TRE's uid may see, and what only the vault key opens.

The rule: one file is one state. Owner, journal, approvals and the sealed contents are replaced together, so a power
cut leaves all of the old or all of the new. The visible part is additional data of the encryption, and so is the
version: nothing in it can be changed, and no older content be put under a newer version.

Approvals are a bounded set: those of the state that the compartment was last opened or filled in, and those of one
announced next state. A file that was written before updates were known has no field for the latter, and none is added
until there is something in it.

The journal is readable while the vault is closed: it tells an installation that is repeated from a new one. It is
believed for that alone; that an old package opens nothing is the TPM's doing.

A key is changed in one file too: sealed under the next key, which stands beside it under the key before. Whichever of the
two the TPM has, the file opens; once the TPM has the next one, the one before is nowhere, and what lay under it neither.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from m2me_agent.tre.errors import StateError, VaultError
from m2me_agent.tre.lifecycle import MidState
from m2me_agent.tre.store import CONTENT_BYTES_MAX
from m2me_agent.tre.stored_rows import not_understood
from m2me_agent.tre.tickets import TICKET_BYTES_MAX, TICKETS_MAX
from m2me_agent.tre.tombstones import TOMBSTONES_MAX, Tombstone, read_tombstone
from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError, refusal
from messages.instruction import REASON_MAX, TRE_NONCE_SIZE
from messages.mid_package import CONTENT_BYTES_MAX as MID_BYTES_MAX
from messages.mid_package import ApprovedUse
from messages.order import DIGEST_SIZE, ID_MAX
from messages.registry import TRANSITIONS_MAX, Transition, encode_transition, read_transition
from standards.rats.fields import Fields
from standards.tpm2.structures import ClockInfo

NONCE_BYTES = 12
MIDS_MAX = 32
APPROVALS_MAX = 8
"""Approvals of each of the two kinds that a compartment keeps."""
_STORED_STATES = (MidState.INACTIVE, MidState.ACTIVE, MidState.BLOCKED, MidState.MIGRATING)
_LABEL = "pva/vault/1"
_NEXT_KEY_LABEL = "pva/vault-next-key/1"
_NEXT_KEY_BYTES = NONCE_BYTES + 32 + 16
_NEXT_STATE, _TRANSITIONS, _TOMBSTONES, _NEXT_KEY, _TICKETS = 10, 11, 12, 13, 14  # that older files lack
_VERSION, _ANSWERED, _REASON = 8, 9, 10  # and their rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One row of the journal: a package that was installed, and what became of its MID.

    `generation` is the counter's value at which it could be opened; `tre_nonce` what the owner's first instruction answers,
    `is_answered` once it has. `version` is the package's, 0 in rows that are older than the field. `reason` says why it is
    blocked.
    """

    package_id: str
    package_digest: bytes
    order_digest: bytes
    mid_id: str
    state: MidState
    generation: int
    tre_nonce: bytes
    version: int = 0
    is_answered: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextState:
    """Approvals of the state that one announced manifest describes, made for `generation` and the one after it."""

    manifest_digest: bytes
    generation: int
    approvals: tuple[ApprovedUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compartment:
    """What is visible of an operator's compartment; `storage_key_name` says under which storage key it was made.

    `transitions` are the newest changes of its MIDs, oldest first; each has the version that it made as its number.
    `tickets` are this TPM's for its approvals (`m2me_agent.tre.tickets`).
    """

    sho: str
    slot: int
    storage_key_name: bytes
    policy_root: bytes
    version: int
    journal: tuple[Installed, ...] = ()
    approvals: tuple[ApprovedUse, ...] = ()
    next_state: NextState | None = None
    transitions: tuple[Transition, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    tickets: tuple[bytes, ...] = ()

    @property
    def all_approvals(self) -> tuple[ApprovedUse, ...]:
        """Whatever may open this compartment, of the present state and of the next."""
        return self.approvals + (() if self.next_state is None else self.next_state.approvals)

    def visible(self) -> dict[int, Any]:
        """As it is written, and as the encryption is bound to it."""
        shown: dict[int, Any] = {
            1: self.sho,
            2: self.slot,
            3: self.storage_key_name,
            4: self.policy_root,
            5: self.version,
            6: [_row(each) for each in self.journal],
            7: _rows(self.approvals),
        }
        if self.next_state is not None:
            following = self.next_state
            shown[_NEXT_STATE] = [following.manifest_digest, following.generation, _rows(following.approvals)]
        if self.transitions:
            shown[_TRANSITIONS] = [encode_transition(each) for each in self.transitions]
        if self.tombstones:
            shown[_TOMBSTONES] = [each.row() for each in self.tombstones]
        if self.tickets:
            shown[_TICKETS] = list(self.tickets)
        return shown

    def with_row(self, changed: Installed) -> "Compartment":
        """With this row in place of the one of the same MID."""
        rows = tuple(changed if row.mid_id == changed.mid_id else row for row in self.journal)
        return replace(self, journal=rows)

    def buried(self, tombstone: Tombstone) -> "Compartment":
        """With this tombstone in place of the row of its MID."""
        rows = tuple(row for row in self.journal if row.mid_id != tombstone.mid_id)
        kept = (*self.tombstones, tombstone)[-TOMBSTONES_MAX:]
        return replace(self, journal=rows, tombstones=kept)

    def recorded(self, made: Transition) -> "Compartment":
        """With one more transition, numbered as the version that will hold it."""
        numbered = replace(made, number=self.version + 1)
        return replace(self, transitions=(*self.transitions, numbered)[-TRANSITIONS_MAX:])


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCompartment:
    """A compartment as it was read: its contents are encrypted, and nothing of it is authenticated yet.

    `next_key` is the key that it is sealed under, itself under the key before; empty where the key was not changed.
    """

    unverified: Compartment
    nonce: bytes
    sealed: bytes
    next_key: bytes = b""

    def encode(self) -> bytes:
        """Deterministic CBOR; `decode_compartment` takes it back."""
        fields = {**self.unverified.visible(), 8: self.nonce, 9: self.sealed}
        if self.next_key:
            fields[_NEXT_KEY] = self.next_key
        return encode_deterministic(fields)

    def open(self, key: bytes) -> "OpenCompartment":
        """The compartment with its contents, by its key or by the one before; `key` of what is given is its key.

        Raises:
            VaultError: another key, or a changed file.
        """
        if self.next_key:
            with suppress(InvalidTag):
                key = _opened_next_key(self.next_key, key=key, visible=self.unverified)
        return self._open(key)

    def _open(self, key: bytes) -> "OpenCompartment":
        visible = self.unverified
        try:
            content = AESGCM(key).decrypt(self.nonce, self.sealed, _additional_data(visible))
            fields = decode_fields(content, what="vault", bytes_max=CONTENT_BYTES_MAX)
            contents = {mid_id: _content(fields, mid_id) for mid_id in fields.present()}
        except (InvalidTag, MessageError):
            raise VaultError(
                subject=f"compartment of {visible.sho}",
                reason="is not what this TRE wrote",
                remedy="restore the newest file; else have the operator order the subscription anew",
            ) from None
        return OpenCompartment(visible=visible, key=key, contents=contents)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCompartment:
    """An authenticated compartment, its vault key, and by MID id the encoded contents; neither is ever shown."""

    visible: Compartment
    key: bytes = field(repr=False)
    contents: Mapping[str, bytes] = field(repr=False)

    def with_change(self, changed: Installed, *, event: str, clock: ClockInfo) -> "OpenCompartment":
        """With this row in place of the one of the same MID, and the transition that made it."""
        made = transition(changed.mid_id, event=event, state=changed.state, clock=clock)
        return replace(self, visible=self.visible.with_row(changed).recorded(made))

    def seal(self, nonce: bytes) -> SealedCompartment:
        """The file of this version. Raises StateError where it would be too large."""
        content = encode_deterministic(dict(self.contents))
        sealed = AESGCM(self.key).encrypt(nonce, content, _additional_data(self.visible))
        made = SealedCompartment(unverified=self.visible, nonce=nonce, sealed=sealed)
        if len(self.visible.journal) > MIDS_MAX or len(made.encode()) > CONTENT_BYTES_MAX:
            raise StateError(
                subject=f"compartment of {self.visible.sho}",
                reason=f"expected at most {MIDS_MAX} MIDs in {CONTENT_BYTES_MAX} bytes",
                remedy="nothing was changed; this device holds no more",
            )
        return made

    def seal_anew(self, key: bytes, *, nonce: bytes, key_nonce: bytes) -> SealedCompartment:
        """The file of this version under another key, which this one's key opens too. Raises StateError as `seal`."""
        made = replace(self, key=key).seal(nonce)
        wrapped = AESGCM(self.key).encrypt(key_nonce, key, _next_key_data(self.visible))
        return replace(made, next_key=key_nonce + wrapped)


def transition(mid_id: str, *, event: str, state: MidState, clock: ClockInfo) -> Transition:
    """One line of the journal of changes; the compartment gives it its number."""
    return Transition(
        number=0,
        mid_id=mid_id,
        event=event,
        state=state.value,
        clock_ms=clock.clock,
        reset_count=clock.reset_count,
    )


def decode_compartment(data: bytes, *, name: str) -> SealedCompartment:
    """Read a file. Raises StateError."""
    try:
        fields = decode_fields(data, what=name, bytes_max=CONTENT_BYTES_MAX)
        compartment = SealedCompartment(
            unverified=Compartment(
                sho=fields.text(1, size_max=ID_MAX),
                slot=fields.integer(2, high=255),
                storage_key_name=fields.octets(3, size_min=34, size_max=66),
                policy_root=fields.octets(4, size_min=1, size_max=256),
                version=fields.integer(5),
                journal=tuple(
                    _read_row(Fields(row, what=name, refusal=refusal))
                    for row in fields.items(6, size_max=MIDS_MAX)
                ),
                approvals=_read_approvals(fields.items(7, size_max=APPROVALS_MAX), name),
                next_state=_read_next_state(fields, name),
                transitions=tuple(
                    read_transition(row, what=name)
                    for row in _optional(fields, _TRANSITIONS, size_max=TRANSITIONS_MAX)
                ),
                tombstones=tuple(
                    read_tombstone(row, what=name)
                    for row in _optional(fields, _TOMBSTONES, size_max=TOMBSTONES_MAX)
                ),
                tickets=tuple(
                    _ticket(row, name) for row in _optional(fields, _TICKETS, size_max=TICKETS_MAX)
                ),
            ),
            nonce=fields.octets(8, size_min=NONCE_BYTES, size_max=NONCE_BYTES),
            sealed=fields.octets(9, size_min=16, size_max=CONTENT_BYTES_MAX),
            next_key=(
                fields.optional_octets(_NEXT_KEY, size_min=_NEXT_KEY_BYTES, size_max=_NEXT_KEY_BYTES) or b""
            ),
        )
        fields.close()
    except MessageError as error:
        raise not_understood(name, error) from error
    return compartment


def _optional(fields: Fields, key: int, *, size_max: int) -> list[Any]:
    return fields.items(key, size_min=1, size_max=size_max) if key in fields else []


def _row(row: Installed) -> dict[int, Any]:
    shown: dict[int, Any] = {
        1: row.package_id,
        2: row.package_digest,
        3: row.order_digest,
        4: row.mid_id,
        5: row.state.value,
        6: row.generation,
        7: row.tre_nonce,
    }
    if row.version:
        shown[_VERSION] = row.version
    if row.is_answered:
        shown[_ANSWERED] = 1
    if row.reason:
        shown[_REASON] = row.reason
    return shown


def _read_row(fields: Fields) -> Installed:
    state = fields.text(5, size_max=16)
    if state not in _STORED_STATES:
        raise refusal("state of a MID", " or ".join(_STORED_STATES), "another")
    row = Installed(
        package_id=fields.text(1, size_max=ID_MAX),
        package_digest=fields.octets(2, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        order_digest=fields.octets(3, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        mid_id=fields.text(4, size_max=ID_MAX),
        state=MidState(state),
        generation=fields.integer(6),
        tre_nonce=fields.octets(7, size_min=TRE_NONCE_SIZE, size_max=TRE_NONCE_SIZE),
        version=fields.integer(_VERSION, low=1) if _VERSION in fields else 0,
        is_answered=_ANSWERED in fields and bool(fields.integer(_ANSWERED, low=1, high=1)),
        reason=fields.text(_REASON, size_max=REASON_MAX) if _REASON in fields else "",
    )
    fields.close()
    return row


def _rows(approvals: Sequence[ApprovedUse]) -> list[list[bytes]]:
    return [[each.approval, each.delegation] for each in approvals]


def _read_next_state(fields: Fields, name: str) -> NextState | None:
    if _NEXT_STATE not in fields:
        return None
    row = Fields(dict(enumerate(fields.items(_NEXT_STATE, size_max=3))), what=name, refusal=refusal)
    following = NextState(
        manifest_digest=row.octets(0, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        generation=row.integer(1),
        approvals=_read_approvals(row.items(2, size_max=APPROVALS_MAX), name),
    )
    row.close()
    return following


def _read_approvals(rows: Sequence[object], name: str) -> tuple[ApprovedUse, ...]:
    return tuple(_read_approval(row, name) for row in rows)


def _read_approval(row: object, name: str) -> ApprovedUse:
    fields = Fields(dict(enumerate(row)) if isinstance(row, list) else row, what=name, refusal=refusal)
    used = ApprovedUse(
        approval=fields.octets(0, size_min=1, size_max=2_048),
        delegation=fields.octets(1, size_min=1, size_max=256),
    )
    fields.close()
    return used


def _ticket(row: object, name: str) -> bytes:
    return Fields({0: row}, what=name, refusal=refusal).octets(0, size_min=1, size_max=TICKET_BYTES_MAX)


def _content(fields: Fields, mid_id: object) -> bytes:
    if not isinstance(mid_id, str):
        raise refusal("vault", "MID ids", "another key")
    return fields.octets(mid_id, size_min=1, size_max=MID_BYTES_MAX)


def _additional_data(visible: Compartment) -> bytes:
    return encode_deterministic([_LABEL, visible.version, visible.visible()])


def _opened_next_key(wrapped: bytes, *, key: bytes, visible: Compartment) -> bytes:
    nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
    return AESGCM(key).decrypt(nonce, sealed, _next_key_data(visible))


def _next_key_data(visible: Compartment) -> bytes:
    return encode_deterministic([_NEXT_KEY_LABEL, visible.version, visible.sho, visible.slot])
