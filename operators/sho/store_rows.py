"""Rows of the SHO's tables as values, and back."""

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from operators.sho.order_states import OrderRecord, OrderState
from operators.sho.packages import Package
from operators.sho.receipts import TakenReceipt
from operators.sho.registration import NewOrder
from operators.sho.subscriptions import StoredSubscription
from operators.sho.validation import ValidationRequest
from standards.aka.sequence import HomeSequence


def order_of(row: sa.RowMapping) -> OrderRecord:
    """An order."""
    values = {each.name: row[each.name] for each in fields(OrderRecord)}
    return OrderRecord(**{**values, "state": OrderState(row["state"])})


def row_of_order(order: NewOrder) -> dict[str, Any]:
    """A new order."""
    return {
        **asdict(order.record),
        "state": order.record.state.value,
        "idempotency_key": order.idempotency_key,
        "request_digest": order.request_digest,
        "sealed_subscriber": order.sealed_subscriber,
    }


def row_of_change(order: NewOrder) -> dict[str, Any]:
    """The change that a new order makes; `prior` must be there."""
    if order.prior is None:
        raise ValueError("an order that takes nothing over makes no change")
    return {
        "order_id": order.record.id,
        "prior_operator": order.prior.operator,
        "prior_mid_id": order.prior.mid_id,
        "switches": 0,
        "attached": False,
    }


def request_of(row: sa.RowMapping) -> ValidationRequest:
    """A validation request."""
    return ValidationRequest(**{each.name: row[each.name] for each in fields(ValidationRequest)})


def row_of_request(request: ValidationRequest) -> dict[str, Any]:
    """A new validation request: no result is accepted yet."""
    return {**asdict(request), "accepted": False}


def package_of(row: sa.RowMapping) -> Package:
    """A package."""
    return Package(**{each.name: row[each.name] for each in fields(Package)})


def subscription_of(row: sa.RowMapping) -> StoredSubscription:
    """A subscription."""
    return StoredSubscription(
        imsi=row["imsi"],
        order_id=row["order_id"],
        access=row["access"],
        active=row["active"],
        suspended=bool(row["suspended"]),
        sequence=HomeSequence(seq=row["seq"], ind=row["ind"]),
        sealed=row["sealed"],
    )


def row_of_receipt(taken: TakenReceipt, *, at: datetime) -> dict[str, Any]:
    """A verified receipt with the answer that it got."""
    return {
        "digest": taken.digest,
        "order_id": taken.order_id,
        "outcome": taken.receipt.outcome,
        "state": taken.answer.state.value,
        "instruction": taken.answer.instruction,
        "at": at,
    }
