"""Routes of the updates of MIDs on the operator listener: an operator's staff orders one, and sees what became of each.

Rule: staff says what is wanted and nothing more; that it happened is the TRE's to say.
"""

from http import HTTPStatus

from flask import Flask

from edge.operations import Told, answers, takes, takes_header
from edge.principals import require
from edge.process import Clock
from edge.repeating import IDEMPOTENCY_KEY
from operators.sho.mid_updates import MidUpdateDesk, UpdateWish
from operators.sho.order_states import OrderRecord
from operators.sho.web.answers import MidUpdateAnswer, MidUpdatesAnswer
from operators.sho.web.bodies import MidUpdateBody
from operators.sho.web.order_keys import KEY_DESCRIPTION, KEY_PATTERN, checked_key, shown_key


def add_mid_updates(app: Flask, desk: MidUpdateDesk, clock: Clock) -> None:
    """Add the routes."""

    @app.post("/v1/orders/<order_id>/updates")
    @require("admin")
    @takes(MidUpdateBody, bytes_max=1024)
    @takes_header(IDEMPOTENCY_KEY, description=KEY_DESCRIPTION, pattern=KEY_PATTERN)
    @answers(MidUpdateAnswer, HTTPStatus.CREATED)
    def order_update(body: MidUpdateBody, order_id: str) -> Told:
        """Order the next version of the MID of an order."""
        wish = UpdateWish(
            product=body.product,
            has_fresh_keys=body.fresh_keys,
            idempotency_key=checked_key(shown_key()),
        )
        return _shown(desk.place(order_id, wish, at=clock()))

    @app.get("/v1/orders/<order_id>/updates")
    @require("admin")
    @answers(MidUpdatesAnswer)
    def show_updates(order_id: str) -> Told:
        """Show every update of the MID of an order, oldest first."""
        return {"updates": [_shown(each) for each in desk.about(order_id)]}


def _shown(order: OrderRecord) -> Told:
    shown = {"order_id": order.id, "product": order.product, "state": order.state.value}
    return shown if order.reason is None else {**shown, "reason": order.reason}
