"""The statements of a validation's way through the store, each compiled once.

Rule: they are what `Store` asks and writes, and decide nothing that it does not say.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from edge.direct_statements import DirectStatement
from pva.store import tables

_AT: sa.BindParameter[datetime] = sa.bindparam("at")


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationStatements:
    """By what they are for; the names of their parameters are those of the columns, or stand beside them below."""

    may_be_asked: DirectStatement
    add_request: DirectStatement
    waiting: DirectStatement
    open_request: DirectStatement
    redeem: DirectStatement
    history: DirectStatement
    holder: DirectStatement
    add_history: DirectStatement
    change_history: DirectStatement
    add_result: DirectStatement
    add_evidence: DirectStatement
    add_facts: DirectStatement
    add_grounds: DirectStatement
    look_at_watch: DirectStatement


def validation_statements(engine: sa.Engine) -> ValidationStatements:
    """Compile all of them for the store of `engine`."""
    requests, devices, watches = tables.validation_requests, tables.devices, tables.watches

    def inserting(table: sa.Table) -> DirectStatement:
        return DirectStatement(engine, sa.insert(table), sets=tuple(table.c.keys()))

    return ValidationStatements(
        may_be_asked=DirectStatement(engine, _may_be_asked()),
        add_request=inserting(requests),
        waiting=DirectStatement(
            engine,
            _open_requests()
            .where(requests.c.device_id == sa.bindparam("device_id"))
            .order_by(requests.c.created_at, requests.c.id),
        ),
        open_request=DirectStatement(
            engine, _open_requests().where(requests.c.id == sa.bindparam("request_id"))
        ),
        redeem=inserting(tables.redeemed_challenges),
        history=DirectStatement(
            engine, sa.select(devices).where(devices.c.device_id == sa.bindparam("device"))
        ),
        holder=DirectStatement(
            engine, sa.select(devices.c.device_id).where(devices.c.ak_name == sa.bindparam("ak"))
        ),
        add_history=inserting(devices),
        change_history=DirectStatement(
            engine,
            sa.update(devices).where(
                devices.c.device_id == sa.bindparam("of_device"),
                devices.c.revision == sa.bindparam("of_revision"),
            ),
            sets=tuple(devices.c.keys()),
        ),
        add_result=inserting(tables.results),
        add_evidence=inserting(tables.evidence),
        add_facts=inserting(tables.result_facts),
        add_grounds=inserting(tables.result_grounds),
        look_at_watch=DirectStatement(
            engine,
            sa.update(watches).where(watches.c.request_id == sa.bindparam("of_request")),
            sets=("look_at",),
        ),
    )


def _open_requests() -> sa.Select[tuple[object, ...]]:
    """Requests that have neither a result nor expired `at` a time."""
    requests = tables.validation_requests
    has_result = sa.exists().where(tables.results.c.request_id == requests.c.id)
    return sa.select(requests).where(requests.c.expires_at > _AT, ~has_result)


def _may_be_asked() -> sa.Select[tuple[bool, int]]:
    """Whether a party used a nonce before, and how many of its requests for a device are open."""
    requests = tables.validation_requests
    used = sa.exists().where(
        requests.c.tenant == sa.bindparam("tenant"), requests.c.rp_nonce == sa.bindparam("rp_nonce")
    )
    pending = (
        _open_requests()
        .where(
            requests.c.device_id == sa.bindparam("device_id"),
            requests.c.role == sa.bindparam("role"),
            requests.c.tenant == sa.bindparam("tenant"),
        )
        .subquery()
    )
    count = sa.select(sa.func.count()).select_from(pending).scalar_subquery()
    return sa.select(used.label("used"), count.label("pending"))
