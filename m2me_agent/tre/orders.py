"""Orders: which operator may install a subscription here, and who agreed to it (R13, R63-R65; steps 6-7).

The rule: an order counts when its operator signed it for this device and AK, the DRF named the same operator, by the
same name for people, in its answer to this device's own question, and a person agreed at the MMI or the supplier's ownership record says so. The
agent can ask for an order to be shown, never agree to it.

An order that updates a MID asks nobody anew: the MID is here, in the compartment of who signed, and the order brings nothing
else. What its owner makes of a MID that somebody agreed to is the owner's.

An order stays after its package was installed: the same registration once more finds the consent that was given. An
order that was refused is remembered too, so that the agent cannot have it shown again and again.

Few orders wait at a time: where there are too many, the oldest that nobody agreed to goes. One order of an operator
is agreed to at a time; agreeing to another takes its place. Of the updates of a MID the newest stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from edge.process import logger
from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.enrollment import identity, key_access
from m2me_agent.tre.errors import OrderError, TreError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.state import Storage, TreState
from m2me_agent.tre.stored_rows import read_rows
from m2me_agent.tre.tpm_device import TpmDevice
from m2me_agent.tre.vault import Vault
from messages.discovery import Discovery
from messages.encoding import encode_deterministic
from messages.errors import refusal
from messages.order import DIGEST_SIZE, ID_MAX, Order
from standards.rats.fields import Fields

ORDERS_MAX = 8
_RECORD = "orders"
_RECORD_BYTES_MAX = 1 << 14
_UPDATES = 7


class Consent(StrEnum):
    """Whether somebody agreed."""

    GIVEN = "given"
    AWAITED = "awaited"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedOrder:
    """What is remembered of an order; `dpf` is who delivers, `order_code` what the person compares, `updates` the MID that it updates."""

    digest: bytes
    sho: str
    sho_name: str
    order_code: str
    dpf: str
    consent: Consent
    updates: str | None = None


class OrderBook:
    """The accepted orders, oldest first. Every method raises StateError."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def all(self) -> tuple[AcceptedOrder, ...]:
        """Every order."""
        return read_rows(self._storage, _RECORD, bytes_max=_RECORD_BYTES_MAX, rows_max=ORDERS_MAX, read=_read)

    def find(self, digest: bytes) -> AcceptedOrder | None:
        """The order with this digest."""
        return next((each for each in self.all() if each.digest == digest), None)

    def keep(self, orders: Sequence[AcceptedOrder]) -> None:
        """Replace them all."""
        self._storage.write(_RECORD, encode_deterministic({1: [_row(each) for each in orders]}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The use cases with everything that they need; `ownership` is the supplier's record (token), if there is one."""

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    book: OrderBook
    vault: Vault
    ownership: str | None = None

    def accept(self, *, order: str, discovery: str, nonce: bytes) -> AcceptedOrder:
        """Remember an order, if it is one for this device; the same order again gives the same answer.

        Raises:
            AnchorError, MalformedError: a token is not what it should be. OrderError: it is for another device, or
            the answer of the DRF is another's; it was refused; or too many that were agreed to wait. Nothing was changed.
        """
        # 1 signers under the anchors
        clock = self.device.read_clock()
        tokens = OperatorTokens(anchors=self.anchors, known_time=self.guard.known_time(clock=clock))
        ordered, found = tokens.order(order), tokens.discovery(discovery)
        if ordered.updates is not None:
            raise _refused("order", "updates a MID, and is accepted without a registration")
        # 2 for this device and its AK
        access = key_access(self.state, self.device)
        own = identity(access.keys.ek).hex()
        if (ordered.device_id, ordered.ak_name) != (own, access.keys.ak.name):
            raise _refused("order", "is for another device or AK")
        # 3 the DRF's answer is to this question, and names this operator
        _check_discovery(found, device_id=own, nonce=nonce, ordered=ordered)
        # 4 once
        known = self.book.find(ordered.digest)
        if known is not None and known.consent == Consent.REFUSED:
            raise _refused("order", "was refused by a person at this device")
        if known is not None:
            return known
        # 5 who agreed
        agreed = self._owner_agreed(tokens, device_id=own, sho=ordered.sho)
        accepted = _accepted(ordered, Consent.GIVEN if agreed else Consent.AWAITED)
        self.book.keep(_with(self.book.all(), accepted))
        return accepted

    def accept_update(self, token: str) -> AcceptedOrder:
        """Remember an order that updates a MID of its signer's; the same order again gives the same answer.

        Raises:
            AnchorError, MalformedError: it is no SHO's. OrderError: for another device, or it updates no MID that this
            operator has here. StateError. Nothing was changed.
        """
        # 1 signer under the anchors
        clock = self.device.read_clock()
        tokens = OperatorTokens(anchors=self.anchors, known_time=self.guard.known_time(clock=clock))
        ordered = tokens.order(token)
        # 2 for this device and its AK
        access = key_access(self.state, self.device)
        if (ordered.device_id, ordered.ak_name) != (identity(access.keys.ek).hex(), access.keys.ak.name):
            raise _refused("order", "is for another device or AK")
        # 3 of a MID that is here, by its owner; who agreed to it has agreed
        own = [row.mid_id for sho, row in self.vault.journal(access) if sho == ordered.sho]
        if ordered.updates is None or ordered.updates not in own:
            raise _refused("order", "updates no MID of its operator that is here")
        # 4 once
        known = self.book.find(ordered.digest)
        if known is not None:
            return known
        accepted = _accepted(ordered, Consent.GIVEN)
        self.book.keep(_with(self.book.all(), accepted))
        return accepted

    def pending(self) -> tuple[AcceptedOrder, ...]:
        """What the MMI shows. Raises StateError."""
        return tuple(each for each in self.book.all() if each.consent != Consent.REFUSED)

    def consent(self, digest: bytes) -> None:
        """A person agreed at the MMI. Raises OrderError for an order that does not wait, StateError."""
        self._decide(digest, Consent.GIVEN)

    def refuse(self, digest: bytes) -> None:
        """A person said no. Raises OrderError for an order that does not wait, StateError."""
        self._decide(digest, Consent.REFUSED)

    def _decide(self, digest: bytes, consent: Consent) -> None:
        known = next((each for each in self.pending() if each.digest == digest), None)
        if known is None:
            raise _refused("order", "is not among those that wait")
        others = [each for each in self.book.all() if each.digest != digest]
        self.book.keep(_with(others, replace(known, consent=consent)))

    def _owner_agreed(self, tokens: OperatorTokens, *, device_id: str, sho: str) -> bool:
        if self.ownership is None:
            return False
        try:
            record = tokens.ownership(self.ownership)
        except TreError as error:
            logger("tre").warning("ownership record not used", refused=error.code, reason=error.reason)
            return False
        return record.device_id == device_id and sho in record.operators


def _check_discovery(found: Discovery, *, device_id: str, nonce: bytes, ordered: Order) -> None:
    if found.device_id != device_id:
        raise _refused("discovery", "is for another device")
    if found.nonce != nonce:
        raise _refused("discovery", "answers another question")
    if found.sho != ordered.sho:
        raise _refused("discovery", f"names the operator {found.sho}, the order is of {ordered.sho}")
    # What a person compares is not the operator's word about itself alone: it could bear another's name.
    if found.sho_name != ordered.sho_name:
        raise _refused(
            "discovery", f"knows the operator as {found.sho_name!r}, the order says {ordered.sho_name!r}"
        )


def _accepted(order: Order, consent: Consent) -> AcceptedOrder:
    return AcceptedOrder(
        digest=order.digest,
        sho=order.sho,
        sho_name=order.sho_name,
        order_code=order.order_code,
        dpf=order.audience,
        consent=consent,
        updates=order.updates,
    )


def _with(orders: Sequence[AcceptedOrder], newest: AcceptedOrder) -> list[AcceptedOrder]:
    """The orders and the newest one, within the bounds."""
    kept = [each for each in orders if not _takes_the_place(newest, each)]
    while len(kept) >= ORDERS_MAX:
        # what nobody agreed to, and then what asks nobody: an update is accepted again whenever it comes
        waiting = (each for each in kept if each.consent != Consent.GIVEN)
        oldest = next(waiting, next((each for each in kept if each.updates is not None), None))
        if oldest is None:
            raise _refused("order", f"{ORDERS_MAX} orders that were agreed to wait already")
        kept.remove(oldest)
    return [*kept, newest]


def _takes_the_place(newest: AcceptedOrder, other: AcceptedOrder) -> bool:
    """Whether an order is over since another one is agreed to: of one operator, and of one kind (of one MID, for updates)."""
    same_kind = (newest.sho, newest.updates) == (other.sho, other.updates)
    return same_kind and newest.consent == other.consent == Consent.GIVEN


def _row(order: AcceptedOrder) -> dict[int, object]:
    row: dict[int, object] = {
        1: order.digest,
        2: order.sho,
        3: order.sho_name,
        4: order.order_code,
        5: order.dpf,
        6: order.consent.value,
    }
    return row if order.updates is None else {**row, _UPDATES: order.updates}


def _read(row: object) -> AcceptedOrder:
    fields = Fields(row, what=_RECORD, refusal=refusal)
    consent = fields.text(6, size_max=16)
    if consent not in set(Consent):
        raise refusal(_RECORD, " or ".join(Consent), "another word")
    order = AcceptedOrder(
        digest=fields.octets(1, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        sho=fields.text(2, size_max=ID_MAX),
        sho_name=fields.text(3, size_max=64),
        order_code=fields.text(4, size_max=16),
        dpf=fields.text(5, size_max=ID_MAX),
        consent=Consent(consent),
        updates=fields.text(_UPDATES, size_max=ID_MAX) if _UPDATES in fields else None,
    )
    fields.close()
    return order


def _refused(subject: str, reason: str) -> OrderError:
    return OrderError(
        subject=subject,
        reason=reason,
        remedy="order the subscription for this device's code, register again, and agree at the device",
    )
