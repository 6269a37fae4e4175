"""Use case: which operator will take this device, and where its services are (steps 5 and 6; R91).

Rule: a registered order goes before the user's choice, and that before the supplier's default; orders of two
operators for one device are refused unless the user chose one of them. The answer is signed and bound to the nonce of
the device's question, so nobody on the way can send a device elsewhere.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from messages.device_code import device_code, read_device_code
from messages.discovery import DISCOVERY_KIND, Discovery
from messages.errors import MessageError
from messages.operator_token import OperatorSigner
from operators.drf.refusals import RefusalCode, RefusalError

REGISTERED_ORDER, USER_CHOICE, SUPPLIER_DEFAULT = "registered-order", "user-choice", "supplier-default"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeOperator:
    """An SHO that this DRF works with: its name for people, and the device listeners of its PVA and DPF."""

    id: str
    name: str
    pva_url: str
    dpf_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedOrder:
    """An order that waits for the device with this (canonical) code."""

    sho: str
    order_id: str
    device_code: str
    sho_name: str
    announced_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a device asks: `nonce` 32 bytes, `supplier` who made it, `choice` the SHO that its user chose."""

    device_id: str
    nonce: bytes
    supplier: str | None
    choice: str | None


class DiscoveryStore(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def announce(self, order: AnnouncedOrder) -> None:
        """Keep an order with its audit leaf; the same again changes nothing. Raises RefusalError (ORDER_CONFLICT)."""

    def operators_with_orders(self, code: str, *, since: datetime) -> frozenset[str]:
        """SHOs whose orders for this device code were announced after `since`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryDesk:
    """The use case and what it works with; `defaults` is supplier -> SHO."""

    store: DiscoveryStore
    operators: Mapping[str, HomeOperator]
    defaults: Mapping[str, str]
    signer: OperatorSigner
    order_life: timedelta
    answer_life: timedelta

    def announce(self, order_id: str, *, sho: str, code: str, sho_name: str, at: datetime) -> None:
        """Keep that an order of `sho` waits for the device with this code. Raises RefusalError."""
        if sho not in self.operators:
            raise RefusalError(
                RefusalCode.SHO_UNKNOWN, subject=f"operator {sho}", reason="this DRF does not work with it"
            )
        try:
            canonical = read_device_code(code)
        except MessageError as error:
            raise RefusalError(
                RefusalCode.DEVICE_CODE_INVALID, subject=f"order {order_id}", reason=str(error)
            ) from None
        self.store.announce(
            AnnouncedOrder(
                sho=sho, order_id=order_id, device_code=canonical, sho_name=sho_name, announced_at=at
            )
        )

    def discover(self, question: Question, *, at: datetime) -> str:
        """The signed answer to a device that has proven its attachment. Raises RefusalError."""
        # 1 orders that wait for this device
        ordered = self.store.operators_with_orders(
            device_code(question.device_id), since=at - self.order_life
        )
        # 2 one operator, by the order of precedence
        sho, source = choose(
            ordered & set(self.operators),
            choice=question.choice,
            default=None if question.supplier is None else self.defaults.get(question.supplier),
            known=self.operators,
        )
        # 3 the answer, signed, for this device and nonce
        operator, issued_at = self.operators[sho], at.replace(microsecond=0)
        answer = Discovery(
            drf=self.signer.issuer,
            device_id=question.device_id,
            nonce=question.nonce,
            sho=operator.id,
            sho_name=operator.name,
            source=source,
            pva_url=operator.pva_url,
            dpf_url=operator.dpf_url,
            issued_at=issued_at,
            expires_at=issued_at + self.answer_life,
        )
        return self.signer.sign(answer.claims(), typ=DISCOVERY_KIND.typ)


def choose(
    ordered: Collection[str], *, choice: str | None, default: str | None, known: Collection[str]
) -> tuple[str, str]:
    """The SHO and where it came from; pure. Raises RefusalError."""
    if len(ordered) == 1:
        (only,) = ordered
        return only, REGISTERED_ORDER
    if ordered and choice not in ordered:
        raise RefusalError(
            RefusalCode.CONFLICTING_ORDERS,
            subject="orders for this device",
            reason=f"{len(ordered)} operators have one: {', '.join(sorted(ordered))}",
        )
    if choice is not None:
        if choice not in known:
            raise RefusalError(
                RefusalCode.SHO_UNKNOWN, subject="choice", reason="this DRF does not work with that operator"
            )
        return choice, USER_CHOICE
    if default is None or default not in known:
        raise RefusalError(
            RefusalCode.NO_OPERATOR,
            subject="orders for this device",
            reason="none waits, nobody chose an operator, and its supplier has no default",
        )
    return default, SUPPLIER_DEFAULT
