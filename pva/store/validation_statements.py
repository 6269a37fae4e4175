"""The statements of a validation's way through the store, each compiled once.

Rule: they are what `Store` asks and writes, and decide nothing that it does not say.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from edge.direct_statements import DirectStatement, TogetherStatement, parameter, setting
from pva.store import tables

KNOWN = "known_"
_AT: sa.BindParameter[datetime] = sa.bindparam("at")


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationStatements:
    """By what they are for; the names of their parameters are those of the columns, or stand beside them below."""

    may_be_asked: DirectStatement
    add_request: TogetherStatement
    waiting: DirectStatement
    open_request: DirectStatement
    redeem: DirectStatement
    history: DirectStatement
    holder: DirectStatement
    add_first_result: TogetherStatement
    add_result: TogetherStatement


def validation_statements(engine: sa.Engine) -> ValidationStatements:
    """Compile all of them for the store of `engine`."""
    requests, devices = tables.validation_requests, tables.devices
    redeemed = tables.redeemed_challenges
    return ValidationStatements(
        may_be_asked=DirectStatement(engine, _may_be_asked()),
        add_request=TogetherStatement(
            engine, {"request": _inserting("request", requests), "leaf": tables.ledger.appending("leaf")}
        ),
        waiting=DirectStatement(
            engine,
            _open_requests()
            .where(requests.c.device_id == sa.bindparam("device_id"))
            .order_by(requests.c.created_at, requests.c.id),
        ),
        open_request=DirectStatement(engine, _open_request()),
        redeem=DirectStatement(engine, sa.insert(redeemed), sets=tuple(redeemed.c.keys())),
        history=DirectStatement(
            engine, sa.select(devices).where(devices.c.device_id == sa.bindparam("device"))
        ),
        holder=DirectStatement(
            engine, sa.select(devices.c.device_id).where(devices.c.ak_name == sa.bindparam("ak"))
        ),
        add_first_result=TogetherStatement(
            engine, {"history": _inserting("history", devices), **_beside_history()}
        ),
        add_result=TogetherStatement(engine, {"history": _history_change(), **_beside_history()}),
    )


def _inserting(part: str, table: sa.Table) -> sa.Insert:
    return sa.insert(table).values(setting(part, table))


def _history_change() -> sa.Update:
    """What was seen of a device, where nothing was seen of it meanwhile."""
    devices = tables.devices
    expected = sa.bindparam(parameter("history", "expected_revision"), type_=sa.BigInteger)
    return (
        sa.update(devices)
        .where(
            devices.c.device_id == sa.bindparam(parameter("history", "device_id")),
            devices.c.revision == expected,
        )
        .values(setting("history", devices))
    )


def _beside_history() -> dict[str, sa.Insert | sa.Update]:
    """A result with its leaf, what it stands on, and that its watch is to be looked at; a row before those that name it."""
    watches = tables.watches
    return {
        "result": _inserting("result", tables.results),
        "leaf": tables.ledger.appending("leaf"),
        "evidence": _inserting("evidence", tables.evidence),
        "facts": _inserting("facts", tables.result_facts),
        "grounds": _inserting("grounds", tables.result_grounds),
        "watch": sa.update(watches)
        .where(watches.c.request_id == sa.bindparam(parameter("watch", "request_id")))
        .values(look_at=sa.bindparam(parameter("watch", "look_at"), type_=watches.c.look_at.type)),
    }


def _open_requests() -> sa.Select[tuple[object, ...]]:
    """Requests that have neither a result nor expired `at` a time."""
    requests = tables.validation_requests
    has_result = sa.exists().where(tables.results.c.request_id == requests.c.id)
    return sa.select(requests).where(requests.c.expires_at > _AT, ~has_result)


def _open_request() -> sa.Select[tuple[object, ...]]:
    """One open request for a device, and what was seen of the device before, under `KNOWN` and the columns' names."""
    requests, devices = tables.validation_requests, tables.devices
    return (
        _open_requests()
        .add_columns(*(each.label(KNOWN + each.name) for each in devices.c))
        .outerjoin(devices, devices.c.device_id == requests.c.device_id)
        .where(requests.c.id == sa.bindparam("request_id"), requests.c.device_id == sa.bindparam("of_device"))
    )


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
