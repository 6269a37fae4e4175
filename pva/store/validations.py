"""The PVA's store on SQLAlchemy: satisfies the ports that the use cases declare.

Rule: one method, one transaction; what is decided on the content of the store is decided inside it, on unique
keys or under the writer's lock, and the audit leaf is written in the same transaction.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES, make_leaf
from edge.process import RandomBytes
from edge.serialization import repeated
from pva.appraisal.continuity import DeviceHistory
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RequestProgress, ValidationRequest
from pva.results.grounds import Grounds
from pva.results.result import SignedResult
from pva.store import tables
from pva.store.renewals import note_renewal
from pva.store.rows import (
    history_of,
    refusal_of,
    request_of,
    row_of_history,
    row_of_request,
    row_of_result,
    state_of_request,
)
from pva.store.status_asks import post_ask
from pva.store.validation_statements import KNOWN, validation_statements
from pva.watching.holding import HoldRule

UNAUTHENTICATED_REFUSALS_MAX = 16
AUTHENTICATED_REFUSALS_MAX = 64
"""Refused tries kept a request; more are only counted by the web layer, so that a flood costs no storage."""

EVIDENCE_LIFE = timedelta(days=30)
"""How long evidence is kept where no setting says otherwise."""

REDEEMED_KEPT = timedelta(hours=1)
"""How long a redeemed challenge outlives its expiry: past any plausible step of this machine's clock."""


class Store:
    """Requests, challenges, results, refusals and device histories."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        random_bytes: RandomBytes,
        callbacks: frozenset[str] = frozenset(),
        status_responders: frozenset[str] = frozenset(),
        evidence_life: timedelta = EVIDENCE_LIFE,
        hold_rule: HoldRule | None = None,
    ) -> None:
        """Work on an engine whose schema is migrated.

        `random_bytes` salts audit leaves; results are to be pushed to the audience members in `callbacks`, and all of them to `status_responders`; evidence
        may be deleted after `evidence_life`; by `hold_rule` the CA is asked to hold credentials (None: there is no CA
        to ask).
        """
        self._engine = engine
        self._statements = validation_statements(engine)
        self._evidence_life = evidence_life
        self._random_bytes = random_bytes
        self._callbacks = callbacks
        self._status_responders = status_responders
        self._hold_rule = hold_rule

    # requests

    def add_request(
        self, request: ValidationRequest, *, pending_max: int, relay: str | None = None
    ) -> ValidationRequest:
        """See `pva.requests.RequestStore`."""
        try:
            return self._add_request(request, pending_max=pending_max, relay=relay)
        except IntegrityError:  # the same one came twice at once: now it is on record
            return self._add_request(request, pending_max=pending_max, relay=relay)

    @repeated
    def _add_request(
        self, request: ValidationRequest, *, pending_max: int, relay: str | None
    ) -> ValidationRequest:
        with transaction(self._engine) as connection:
            known = self._same_request(connection, request)
            if known is None:
                self._insert_request(connection, request, pending_max=pending_max, relay=relay)
            if relay is not None:
                self._note_relay(connection, (known or request).id, relay)
        return known or request

    def oldest_of_each(self, device_id: str, *, at: datetime) -> Sequence[ValidationRequest]:
        """See `pva.requests.RequestStore`."""
        found = self._statements.waiting.rows_alone({"device_id": device_id, "at": at})
        waiting = [request_of(row) for row in found]
        oldest: dict[tuple[str, str, str], ValidationRequest] = {}
        for each in waiting:
            oldest.setdefault((each.party.role, each.party.tenant, each.purpose), each)
        return tuple(oldest.values())

    def open_request(
        self, request_id: str, *, device_id: str, at: datetime
    ) -> tuple[ValidationRequest, DeviceHistory | None] | None:
        """See `pva.validation.ValidationStore`."""
        asked = {"request_id": request_id, "of_device": device_id, "at": at}
        found = self._statements.open_request.rows_alone(asked)
        if not found:
            return None
        known = {
            name.removeprefix(KNOWN): value for name, value in found[0].items() if name.startswith(KNOWN)
        }
        return request_of(found[0]), None if known["device_id"] is None else history_of(known)

    def progress(self, request_id: str, *, role: str, tenant: str, at: datetime) -> RequestProgress | None:
        """See `pva.requests.RequestStore`."""
        table = tables.validation_requests
        own = sa.select(table).where(table.c.id == request_id, table.c.role == role, table.c.tenant == tenant)
        return self._progress(own, at=at)

    def relayed_progress(self, request_id: str, *, relay: str, at: datetime) -> RequestProgress | None:
        """See `pva.requests.RequestStore`."""
        table, relays = tables.validation_requests, tables.request_relays
        handed_in = sa.exists().where(relays.c.request_id == table.c.id, relays.c.relay == relay)
        return self._progress(sa.select(table).where(table.c.id == request_id, handed_in), at=at)

    def _progress(self, query: sa.Select[Any], *, at: datetime) -> RequestProgress | None:
        results, refusals = tables.results, tables.refusals
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            answer = connection.execute(
                sa.select(results.c.token, results.c.passes).where(results.c.request_id == row["id"])
            ).first()
            refused = connection.execute(
                sa.select(refusals).where(refusals.c.request_id == row["id"]).order_by(refusals.c.number)
            ).mappings()
            return RequestProgress(
                request=request_of(row),
                state=state_of_request(row["expires_at"], answered=answer is not None, at=at),
                result=None if answer is None else answer.token,
                passes=None if answer is None else bool(answer.passes),
                refusals=tuple(refusal_of(each) for each in refused),
            )

    # validations

    @repeated
    def redeem(self, digest: bytes, *, expires_at: datetime, at: datetime) -> bool:
        """See `pva.validation.ValidationStore`."""
        row = {"digest": digest, "redeemed_at": at, "expires_at": expires_at}
        try:
            self._statements.redeem.alone(row)
        except IntegrityError:
            return False
        return True

    @repeated
    def forget_challenges(self, *, at: datetime) -> None:
        """Delete what is kept of challenges that expired long ago: those are refused for their time."""
        table = tables.redeemed_challenges
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(table).where(table.c.expires_at < at - REDEEMED_KEPT))

    def device_history(self, device_id: str) -> DeviceHistory | None:
        """See `pva.requests.RequestStore`."""
        found = self._statements.history.rows_alone({"device": device_id})
        return history_of(found[0]) if found else None

    def holder_of_ak(self, ak_name: bytes) -> str | None:
        """See `pva.validation.ValidationStore`."""
        found = self._statements.holder.rows_alone({"ak": ak_name})
        return found[0]["device_id"] if found else None

    @repeated
    def record_result(
        self,
        result: SignedResult,
        *,
        grounds: Grounds,
        history: DeviceHistory,
        expected_revision: int | None,
        at: datetime,
    ) -> None:
        """See `pva.validation.ValidationStore`."""
        rows = {
            "history": row_of_history(history),
            "result": row_of_result(result, revision=history.revision),
            "leaf": result.leaf.row(),
            **self._rows_of_grounds(result, grounds=grounds, at=at),
            "watch": {"request_id": result.request_id, "look_at": at},
        }
        try:
            with transaction(self._engine) as connection:
                if grounds.runtime_policy is not None:
                    self._keep_runtime_policy(connection, *grounds.runtime_policy)
                self._add_result(connection, rows, expected_revision=expected_revision)
                note_renewal(connection, result, at=at)
                self._post(connection, result, at=at)
                self._ask_ca(connection, result, at=at)
        except IntegrityError:
            raise RefusalError(
                RefusalCode.CONCURRENT_VALIDATION,
                subject=f"device {result.result.device_id}",
                reason="another validation recorded a result or this AK at the same moment",
                retry_after_s=1,
            ) from None

    @repeated
    def record_refusal(
        self, request_id: str, refusal: RefusalError, *, authenticated: bool, at: datetime
    ) -> None:
        """See `pva.validation.ValidationStore`."""
        table = tables.refusals
        with transaction(self._engine) as connection:
            count = connection.scalar(
                sa.select(sa.func.count())
                .select_from(table)
                .where(table.c.request_id == request_id, table.c.authenticated == authenticated)
            )
            device_id = connection.scalar(
                sa.select(tables.validation_requests.c.device_id).where(
                    tables.validation_requests.c.id == request_id
                )
            )
            if device_id is None or (count or 0) >= _refusals_max(authenticated=authenticated):
                return
            told = {
                "code": refusal.code.value,
                "subject": refusal.subject[:500],
                "reason": refusal.reason[:2000],
                "remedy": refusal.remedy,
            }
            connection.execute(
                sa.insert(table).values(request_id=request_id, at=at, authenticated=authenticated, **told)
            )
            self._audit(
                connection,
                kind="validation-refused",
                subject=device_id,
                record={"request_id": request_id, "authenticated": int(authenticated), **told},
                at=at,
            )

    def _same_request(
        self, connection: sa.Connection, request: ValidationRequest
    ) -> ValidationRequest | None:
        """The request on record with the same `jti` of the same party; another content of it is refused."""
        if request.origin is None:
            return None
        table = tables.validation_requests
        row = (
            connection.execute(
                sa.select(table).where(
                    table.c.role == request.party.role,
                    table.c.tenant == request.party.tenant,
                    table.c.jti == request.origin.jti,
                )
            )
            .mappings()
            .first()
        )
        if row is None:
            return None
        if row["content"] != request.origin.content:
            raise RefusalError(
                RefusalCode.REQUEST_CONFLICT,
                subject=f"validation request {request.origin.jti!r}",
                reason="its signer used this id for another request before",
            )
        return request_of(row)

    def _insert_request(
        self, connection: sa.Connection, request: ValidationRequest, *, pending_max: int, relay: str | None
    ) -> None:
        (known,) = self._statements.may_be_asked.rows(
            connection,
            {
                "tenant": request.party.tenant,
                "rp_nonce": request.rp_nonce,
                "device_id": request.device_id,
                "role": request.party.role,
                "at": request.created_at,
            },
        )
        if known["used"]:
            raise RefusalError(
                RefusalCode.NONCE_REUSED,
                subject="nonce of the validation request",
                reason="the caller used this nonce in an earlier request",
            )
        if known["pending"] >= pending_max:
            raise RefusalError(
                RefusalCode.TOO_MANY_REQUESTS,
                subject=f"device {request.device_id}",
                reason=f"{pending_max} validations of this device are pending already",
            )
        leaf = self._leaf(
            kind="validation-requested",
            subject=request.device_id,
            record={
                "request_id": request.id,
                "role": request.party.role,
                "tenant": request.party.tenant,
                "requester": request.party.name,
                "relay": relay,
                "purpose": request.purpose,
                "audience": list(request.audience),
                "order_digest": None if request.order_digest is None else request.order_digest.hex(),
                "token": None if request.origin is None else request.origin.token,
            },
            at=request.created_at,
        )
        self._statements.add_request.within(connection, {"request": row_of_request(request), "leaf": leaf})

    def _note_relay(self, connection: sa.Connection, request_id: str, relay: str) -> None:
        table = tables.request_relays
        noted = connection.scalar(
            sa.select(table.c.relay).where(table.c.request_id == request_id, table.c.relay == relay)
        )
        if noted is None:
            connection.execute(sa.insert(table).values(request_id=request_id, relay=relay))

    def _rows_of_grounds(
        self, result: SignedResult, *, grounds: Grounds, at: datetime
    ) -> dict[str, dict[str, Any]]:
        """What the result stands on: evidence for its time, the rest as long as the result."""
        facts, runtime = grounds.facts.to_json(), grounds.runtime_policy
        return {
            "evidence": {
                "result_id": result.id,
                "body": grounds.evidence,
                "kept_until": at + self._evidence_life,
            },
            "facts": {
                "result_id": result.id,
                "supplier": facts["device"].get("supplier", ""),
                "facts": facts,
            },
            "grounds": {
                "result_id": result.id,
                "parts": {name: base64.b64encode(part).decode() for name, part in grounds.parts.items()},
                "runtime_policy": None if runtime is None else runtime[0],
                "leaf_hash": result.leaf.leaf_hash,
            },
        }

    def _keep_runtime_policy(self, connection: sa.Connection, digest: bytes, signed: bytes) -> None:
        """Once for all results that it judged."""
        table = tables.runtime_policies
        if connection.scalar(sa.select(table.c.digest).where(table.c.digest == digest)) is None:
            connection.execute(sa.insert(table).values(digest=digest, signed=signed))

    def _post(self, connection: sa.Connection, result: SignedResult, *, at: datetime) -> None:
        """Put a result into the outbox of every member of its audience that has a callback (R81, R95), and of responders."""
        for audience in sorted(self._callbacks & set(result.result.audience) | self._status_responders):
            connection.execute(
                sa.insert(tables.result_deliveries).values(
                    result_id=result.id, audience=audience, next_at=at, tries=0
                )
            )

    def _ask_ca(self, connection: sa.Connection, result: SignedResult, *, at: datetime) -> None:
        """Post what this result makes the PVA ask of the CA, with an audit leaf."""
        if self._hold_rule is None:
            return
        ask = post_ask(connection, result, rule=self._hold_rule, at=at)
        if ask is not None:
            self._audit(
                connection,
                kind=f"{ask.act.value}-asked",
                subject=result.result.device_id,
                record={
                    "issuer": result.credential.issuer,
                    "serial": f"{result.result.pfc.serial:x}",
                    "results": list(ask.results),
                },
                at=at,
            )

    def _add_result(
        self,
        connection: sa.Connection,
        rows: Mapping[str, dict[str, Any]],
        *,
        expected_revision: int | None,
    ) -> None:
        history = rows["history"]
        if expected_revision is None:
            self._statements.add_first_result.within(connection, rows)
            return
        changed = {**rows, "history": {**history, "expected_revision": expected_revision}}
        if self._statements.add_result.within(connection, changed) != 1:
            raise RefusalError(
                RefusalCode.CONCURRENT_VALIDATION,
                subject=f"device {history['device_id']}",
                reason="another validation of this device was recorded meanwhile",
                retry_after_s=1,
            )

    def _leaf(self, *, kind: str, subject: str, record: Mapping[str, Any], at: datetime) -> dict[str, Any]:
        salt = self._random_bytes(SALT_BYTES)
        return make_leaf(kind=kind, subject=subject, record=record, at=at, salt=salt).row()

    def _audit(
        self, connection: sa.Connection, *, kind: str, subject: str, record: Mapping[str, Any], at: datetime
    ) -> bytes:
        return tables.ledger.append(
            connection,
            kind=kind,
            subject=subject,
            record=record,
            at=at,
            salt=self._random_bytes(SALT_BYTES),
        )


def _refusals_max(*, authenticated: bool) -> int:
    return AUTHENTICATED_REFUSALS_MAX if authenticated else UNAUTHENTICATED_REFUSALS_MAX
