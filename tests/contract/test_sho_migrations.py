"""What an SHO has stored survives its migrations: a subscriber of before is for cellular access, and is served on."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from edge.database import engine_for, migrate, transaction
from edge.process import system_random
from operators.sho import schema
from operators.sho.app import MIGRATIONS
from operators.sho.store import Store

AT = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = {
    "id": "o-1",
    "idempotency_key": "k" * 16,
    "request_digest": bytes(32),
    "sealed_subscriber": b"sealed",
    "subscriber": "s",
    "device_code": "CODE",
    "product": "p",
    "order_code": "12345678",
    "state": "active",
    "created_at": AT,
    "expires_at": AT,
    "announced": True,
    "tries": 0,
}
SUBSCRIBER = (
    "INSERT INTO subscriptions (imsi, order_id, sealed, active, seq, ind) VALUES (:i, 'o-1', :s, :a, 7, 3)"
)


@pytest.mark.requirement("R17")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_subscriber_of_before_several_usims_is_kept(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'sho.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    engine = engine_for(url)
    with transaction(engine) as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
        connection.execute(sa.insert(schema.orders).values(**ORDER))
        connection.execute(sa.text(SUBSCRIBER), {"i": "262070000000001", "s": b"sealed", "a": True})
    migrate(engine, MIGRATIONS)
    store = Store(engine, random_bytes=system_random)
    (kept,) = store.subscriptions_of("o-1")
    assert (kept.imsi, kept.access, kept.active, kept.sealed) == (
        "262070000000001",
        "cellular",
        True,
        b"sealed",
    )
    assert (kept.sequence.seq, kept.sequence.ind) == (7, 3)
    table = schema.subscriptions
    further = {"order_id": "o-1", "sealed": b"x", "active": True, "seq": 0, "ind": 0}
    with transaction(engine) as connection:
        connection.execute(sa.insert(table).values(imsi="262070000000002", access="wlan", **further))
    assert [each.access for each in store.subscriptions_of("o-1")] == ["cellular", "wlan"]
    with pytest.raises(sa.exc.IntegrityError), transaction(engine) as connection:
        connection.execute(sa.insert(table).values(imsi="262070000000003", access="wlan", **further))
    engine.dispose()
