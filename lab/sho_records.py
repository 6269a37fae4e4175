"""What the operator itself has on record about an order, read in its own house.

Rule: only the operator (or an insider of it) can see this; the stories play what such a person could send to others,
and the scan looks for what must be nowhere else.
"""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from edge.database import engine_for, transaction
from edge.keys import read_passphrase
from edge.process import system_random
from lab.identities import SHO
from lab.services import Services
from operators.sho import schema
from operators.sho.subscriber_secrets import SubscriberSecrets


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizedOrder:
    """The five parts that the SHO sent to the DPF."""

    authorization: str
    order: str
    result: str
    package: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberKey:
    """K and OPc of a subscription."""

    k: bytes = field(repr=False)
    opc: bytes = field(repr=False)


class ShoRecords:
    """Reads the SHO's store."""

    def __init__(self, services: Services) -> None:
        self._folder = services.site.role(SHO)
        self._engine = engine_for(f"sqlite:///{self._folder / f'{SHO}.sqlite'}")

    def authorized(self, order_id: str) -> AuthorizedOrder:
        """What was authorised for an order. Raises LookupError where nothing was yet."""
        orders, packages, requests = schema.orders, schema.packages, schema.validation_requests
        query = (
            sa.select(
                packages.c.authorization,
                orders.c.token.label("order"),
                requests.c.result,
                packages.c.token.label("package"),
                packages.c.content,
            )
            .join(orders, packages.c.order_id == orders.c.id)
            .join(requests, requests.c.result_id == packages.c.result_id)
            .where(orders.c.id == order_id)
            .order_by(packages.c.version.desc())
        )
        return AuthorizedOrder(**self._first(query, f"nothing is authorised for order {order_id}"))

    def subscriber_key(self, order_id: str) -> SubscriberKey:
        """K and OPc of an order's subscription, opened with the operator's own key. Raises LookupError."""
        table = schema.subscriptions
        query = sa.select(table.c.imsi, table.c.sealed).where(table.c.order_id == order_id)
        row = self._first(query, f"order {order_id} has no subscription")
        key = bytes.fromhex(read_passphrase(self._folder / "subscriber-key").decode())
        opened = SubscriberSecrets(key=key, random_bytes=system_random).open(
            row["sealed"], bound_to=row["imsi"]
        )
        half = len(opened) // 2
        return SubscriberKey(k=opened[:half], opc=opened[half:])

    def _first(self, query: "sa.Select[Any]", missing: str) -> dict[str, Any]:
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise LookupError(missing)
        return dict(row)
