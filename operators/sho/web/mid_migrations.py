"""Routes of the migrations of MIDs on the operator listener: an operator's staff orders one, sees how far it is, or gives it up.

Rule: staff says what is wanted and nothing more; which MID is usable the TREs' statements and the AuC say.
"""

from http import HTTPStatus

from flask import Flask

from edge.operations import Told, answers, answers_nothing, takes, takes_header
from edge.principals import require
from edge.process import Clock
from edge.repeating import IDEMPOTENCY_KEY
from operators.sho.mid_migrations import MigrationDesk, MigrationWish
from operators.sho.order_states import MigrationState, OrderRecord
from operators.sho.web.answers import MigrationsAnswer, OrderedMigrationAnswer
from operators.sho.web.bodies import MigrationBody
from operators.sho.web.order_keys import KEY_DESCRIPTION, KEY_PATTERN, checked_key, shown_key


def add_mid_migrations(app: Flask, desk: MigrationDesk, clock: Clock) -> None:
    """Add the routes."""

    @app.post("/v1/orders/<order_id>/migrations")
    @require("admin")
    @takes(MigrationBody, bytes_max=1024)
    @takes_header(IDEMPOTENCY_KEY, description=KEY_DESCRIPTION, pattern=KEY_PATTERN)
    @answers(OrderedMigrationAnswer, HTTPStatus.CREATED)
    def order_migration(body: MigrationBody, order_id: str) -> Told:
        """Order the migration of the MID of an order to another device."""
        wish = MigrationWish(device_code=body.device_code, idempotency_key=checked_key(shown_key()))
        order = desk.place(order_id, wish, at=clock())
        migration = desk.store.migration_of(order.id)
        shown = _shown(order, MigrationState.OPEN if migration is None else migration.state)
        return {**shown, "secret": desk.registrar.secrets.order_secret(order.id)}

    @app.get("/v1/orders/<order_id>/migrations")
    @require("admin")
    @answers(MigrationsAnswer)
    def show_migrations(order_id: str) -> Told:
        """Show every migration of the MID of an order, oldest first."""
        return {"migrations": [_shown(order, each.state) for each, order in desk.about(order_id)]}

    @app.post("/v1/migrations/<migration_id>/abort")
    @require("admin")
    @answers_nothing
    def abort_migration(migration_id: str) -> None:
        """Give a migration up, while the subscription does not serve in the other device."""
        desk.abort(migration_id, at=clock())


def _shown(order: OrderRecord, state: MigrationState) -> dict[str, str]:
    shown = {
        "order_id": order.id,
        "order_code": order.order_code,
        "state": order.state.value,
        "migration": state.value,
    }
    return shown if order.reason is None else {**shown, "reason": order.reason}
