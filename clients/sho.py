"""Typed client of the selected home operator: one method a route.

Rule: refusals come as `edge.http_client.HttpError`, whose problem carries the SHO's stable code in `type` and
`reason`; an answer of another shape is a `ShoAnswerError`. What an answer *says* is not verified here: a TRE checks
order and instruction by their signatures.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from edge.http_client import HttpClient
from edge.repeating import named
from messages.encoding import encode_deterministic
from messages.registry import REPORT_STATEMENT_BYTES_MAX
from standards.rats.fields import Fields, encode_base64url

CBOR: Final = "application/cbor"
_JSON: Final = "application/json"
_TOKEN_MAX: Final = 1 << 16
_LIST_MAX: Final = 100
_KEY_SIZE: Final = 16


class ShoAnswerError(Exception):
    """The SHO answered with something that is not what this route returns."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        """Keep what was wrong, what was expected and what came."""
        super().__init__(f"answer of the SHO, {what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """An order that was taken: `order_code` is what the device will show, `secret` reads the order's state."""

    order_id: str
    order_code: str
    state: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """Where an order stands; `informed` is what its user has been told."""

    order_id: str
    state: str
    informed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptAnswer:
    """What the SHO makes of a receipt: the order's state, and its signed instruction if it gives one."""

    state: str
    instruction: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MidStep:
    """What the TRE is to be asked next: `step` is "report", "instruct", "erase", "update" or "done"; the token for it."""

    step: str
    token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MidLife:
    """What the operator has on record about a MID: what it wants, and what the TRE has said last."""

    wish: str | None
    state: str | None
    reason: str | None
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MidUpdate:
    """An update of a MID as it stands, an order of its own; `reason` where it was refused, failed or lapsed."""

    order_id: str
    product: str
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A migration of a MID: the order for the other device, and whether the AuC has switched.

    `order_code` is what a person compares there; `migration` is "open", "committed" or "aborted"; `secret` comes with the order
    alone, and reads the state of the order for the other device.
    """

    order_id: str
    order_code: str
    state: str
    migration: str
    reason: str | None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What became of a question for a release: `state` is "waiting", "released" or "erased".

    `release` is the signed token; `instruction` and `proof` come once the MID is erased: the owner's word to its TRE, and
    what the TRE signed.
    """

    state: str
    release: str | None
    instruction: str | None
    proof: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRelease:
    """A successor's question as the owner shows it to its own people."""

    successor: str
    state: str
    decided_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One authentication vector; only RAND and AUTN may be shown."""

    rand: bytes
    autn: bytes
    xres: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerTerms:
    """What the subscriber's bearer may do: destinations as host:port, bytes and seconds at most."""

    apn: str
    destinations: tuple[str, ...]
    quota_bytes: int
    life_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorBatch:
    """Vectors in the order of their use, and the terms of the bearer."""

    vectors: tuple[Vector, ...]
    bearer: BearerTerms


class ShoPublicClient:
    """The public listener: orders of users."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the public listener that `http` points at."""
        self._http = http

    def order(
        self,
        *,
        subscriber: str,
        device_code: str,
        product: str,
        idempotency_key: str,
        prior: tuple[str, str] | None = None,
    ) -> PlacedOrder:
        """Order a product for the device with this code; the same key and order again give the same answer.

        `prior` is (operator, MID): what the order takes over.
        """
        body: dict[str, Any] = {"subscriber": subscriber, "device_code": device_code, "product": product}
        if prior is not None:
            body["prior"] = dict(zip(("operator", "mid_id"), prior, strict=True))
        response = self._http.post(
            "/v1/orders",
            json.dumps(body, ensure_ascii=False).encode(),
            content_type=_JSON,
            accept=_JSON,
            headers=named(idempotency_key),
        )
        fields = _fields(_decoded(response.body), "order")
        return PlacedOrder(
            order_id=fields.text("order_id", size_max=64),
            order_code=fields.text("order_code", size_max=16),
            state=fields.text("state", size_max=32),
            secret=fields.text("secret", size_max=128),
        )

    def order_state(self, order_id: str, *, secret: str) -> OrderState:
        """Where an order stands, for whoever has its secret."""
        response = self._http.get(
            f"/v1/orders/{quote(order_id, safe='')}",
            accept=_JSON,
            headers={"Authorization": f"Bearer {secret}"},
        )
        fields = _fields(_decoded(response.body), "order")
        return OrderState(
            order_id=fields.text("order_id", size_max=64),
            state=fields.text("state", size_max=32),
            informed=fields.texts("informed", size_max=_LIST_MAX),
        )

    def decide_release(
        self, order_id: str, *, secret: str, successor: str, approves: bool
    ) -> tuple[AskedRelease, ...]:
        """Approve or deny, as the subscriber, that a successor takes the subscription over."""
        response = self._http.post(
            f"/v1/orders/{quote(order_id, safe='')}/release-decisions",
            json.dumps(_decision(successor, approves=approves)).encode(),
            content_type=_JSON,
            accept=_JSON,
            headers={"Authorization": f"Bearer {secret}"},
        )
        return _asked_releases(_decoded(response.body))


class ShoOperatorClient:
    """The operator listener, with the caller's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def register(self, *, device_id: str, pfc_chain: Sequence[bytes], ak_public: bytes) -> str:
        """Register a device with the order that waits for it, and get the order token (drf).

        `pfc_chain` is DER, PfC first, without the root; `ak_public` a TPMT_PUBLIC. Repeats give the same token.
        """
        body = {
            "device_id": device_id,
            "pfc_chain": [encode_base64url(each) for each in pfc_chain],
            "ak_public": encode_base64url(ak_public),
        }
        answer = _fields(self._http.post_json("/v1/registrations", body), "registration")
        return answer.text("order", size_max=_TOKEN_MAX)

    def push_result(self, token: str) -> None:
        """Bring a signed result to the operator that asked for it (pva)."""
        self._http.post_json("/v1/results", {"result": token})

    def receipt(self, *, order_digest: bytes, statement: bytes, result: str) -> ReceiptAnswer:
        """Bring a TRE's receipt, unmodified, with the fresh result that it is to be compared with (dpf)."""
        body = encode_deterministic({1: order_digest, 2: statement, 3: result})
        response = self._http.post("/v1/receipts", body, content_type=CBOR, accept=_JSON)
        fields = _fields(_decoded(response.body), "receipt")
        return ReceiptAnswer(
            state=fields.text("state", size_max=32),
            instruction=fields.text("instruction", size_max=_TOKEN_MAX) if "instruction" in fields else None,
        )

    def update_approvals(self, *, order_digest: bytes, manifest_digest: bytes, tre_nonce: bytes) -> str:
        """The owner's signed approvals of the state after an update, for a TRE's nonce (dpf)."""
        body = {
            "order_digest": order_digest.hex(),
            "manifest_digest": manifest_digest.hex(),
            "tre_nonce": tre_nonce.hex(),
        }
        answer = _fields(self._http.post_json("/v1/update-approvals", body), "update approvals")
        return answer.text("approvals", size_max=_TOKEN_MAX)

    def mid_step(self, order_digest: bytes, statement: bytes | None) -> MidStep:
        """What the device of an order is to do next, after what its TRE has said, if anything (dpf)."""
        body = {"order_digest": order_digest.hex()}
        if statement is not None:
            body["statement"] = encode_base64url(statement)
        fields = _fields(self._http.post_json("/v1/mid-steps", body), "step")
        return MidStep(
            step=fields.text("step", size_max=16),
            token=fields.text("token", size_max=_TOKEN_MAX) if "token" in fields else None,
        )

    def want(self, order_id: str, action: str, *, reason: str | None = None) -> MidLife:
        """Want something of the MID of an order: its device hears of it when it asks next (admin)."""
        body = {"action": action} | ({} if reason is None else {"reason": reason})
        return _life(self._http.post_json(f"/v1/orders/{quote(order_id, safe='')}/mid", body))

    def mid(self, order_id: str) -> MidLife:
        """What is on record about the MID of an order (admin)."""
        response = self._http.get(f"/v1/orders/{quote(order_id, safe='')}/mid", accept=_JSON)
        return _life(_decoded(response.body))

    def update_mid(
        self,
        order_id: str,
        *,
        idempotency_key: str,
        product: str | None = None,
        fresh_keys: bool = False,
    ) -> MidUpdate:
        """Order the next version of the MID of an order: its device hears of it when it asks next (admin)."""
        body: dict[str, Any] = {"fresh_keys": fresh_keys}
        if product is not None:
            body["product"] = product
        route = f"/v1/orders/{quote(order_id, safe='')}/updates"
        return _mid_update(
            _fields(self._http.post_json(route, body, headers=named(idempotency_key)), "update")
        )

    def mid_updates(self, order_id: str) -> tuple[MidUpdate, ...]:
        """Every update of the MID of an order, oldest first (admin)."""
        answer = self._http.get_json(f"/v1/orders/{quote(order_id, safe='')}/updates")
        rows = _fields(answer, "updates").items("updates", size_max=_LIST_MAX)
        return tuple(_mid_update(_fields(each, "update")) for each in rows)

    def migrate_mid(self, order_id: str, *, device_code: str, idempotency_key: str) -> Migration:
        """Order the migration of the MID of an order to the device with this code (admin)."""
        route, body = f"/v1/orders/{quote(order_id, safe='')}/migrations", {"device_code": device_code}
        return _migration(
            _fields(self._http.post_json(route, body, headers=named(idempotency_key)), "migration")
        )

    def migrations(self, order_id: str) -> tuple[Migration, ...]:
        """Every migration of the MID of an order, oldest first (admin)."""
        answer = self._http.get_json(f"/v1/orders/{quote(order_id, safe='')}/migrations")
        rows = _fields(answer, "migrations").items("migrations", size_max=_LIST_MAX)
        return tuple(_migration(_fields(each, "migration")) for each in rows)

    def abort_migration(self, migration_id: str) -> None:
        """Give a migration up, by the id of the order for the other device (admin)."""
        self._http.post_json(f"/v1/migrations/{quote(migration_id, safe='')}/abort", {})

    def release(self, *, device_id: str, mid_id: str) -> Release:
        """Ask for the release of a MID to the caller, or what became of the question (sho)."""
        answer = self._http.post_json("/v1/releases", {"device_id": device_id, "mid_id": mid_id})
        fields = _fields(answer, "release")
        return Release(
            state=fields.text("state", size_max=16),
            release=fields.text("release", size_max=_TOKEN_MAX) if "release" in fields else None,
            instruction=fields.text("instruction", size_max=_TOKEN_MAX) if "instruction" in fields else None,
            proof=(
                fields.base64url("proof", size_min=1, size_max=REPORT_STATEMENT_BYTES_MAX)
                if "proof" in fields
                else None
            ),
        )

    def releases(self, order_id: str) -> tuple[AskedRelease, ...]:
        """Which successors asked for the MID of an order (admin)."""
        response = self._http.get(f"/v1/orders/{quote(order_id, safe='')}/releases", accept=_JSON)
        return _asked_releases(_decoded(response.body))

    def decide_release(self, order_id: str, successor: str, *, approves: bool) -> tuple[AskedRelease, ...]:
        """Approve or deny the release of the MID of an order to a successor (admin)."""
        body = _decision(successor, approves=approves)
        return _asked_releases(self._http.post_json(f"/v1/orders/{quote(order_id, safe='')}/releases", body))

    def authentication_vectors(
        self, imsi: str, *, serving_network: str, resynchronisation: tuple[bytes, bytes] | None = None
    ) -> VectorBatch:
        """Vectors of a subscriber (vno); `resynchronisation` is (RAND, AUTS). Refused before the order is active.

        The IMSI stands where the ICF's route has a PCID: a VNO asks both in the same words.
        """
        body: dict[str, Any] = {"pcid": imsi, "serving_network": serving_network}
        if resynchronisation is not None:
            rand, auts = resynchronisation
            body["resynchronisation"] = {"rand": rand.hex(), "auts": auts.hex()}
        return _batch(self._http.post_json("/v1/authentication-vectors", body))


def _decision(successor: str, *, approves: bool) -> dict[str, str]:
    return {"successor": successor, "decision": "approve" if approves else "deny"}


def _asked_releases(value: object) -> tuple[AskedRelease, ...]:
    rows = _fields(value, "releases").items("releases", size_max=_LIST_MAX)
    return tuple(_asked_release(_fields(each, "release")) for each in rows)


def _asked_release(fields: Fields) -> AskedRelease:
    return AskedRelease(
        successor=fields.text("successor", size_max=64),
        state=fields.text("state", size_max=16),
        decided_by=fields.text("decided_by", size_max=32) if "decided_by" in fields else None,
    )


def _mid_update(fields: Fields) -> MidUpdate:
    return MidUpdate(
        order_id=fields.text("order_id", size_max=64),
        product=fields.text("product", size_max=64),
        state=fields.text("state", size_max=32),
        reason=fields.text("reason", size_max=1_000) if "reason" in fields else None,
    )


def _migration(fields: Fields) -> Migration:
    return Migration(
        order_id=fields.text("order_id", size_max=64),
        order_code=fields.text("order_code", size_max=16),
        state=fields.text("state", size_max=32),
        migration=fields.text("migration", size_max=16),
        secret=fields.text("secret", size_max=128) if "secret" in fields else None,
        reason=fields.text("reason", size_max=1_000) if "reason" in fields else None,
    )


def _life(value: object) -> MidLife:
    fields = _fields(value, "MID")
    told = {
        name: fields.text(name, size_max=64) if name in fields else None
        for name in ("wish", "state", "reason")
    }
    return MidLife(**told, sequence=fields.integer("sequence"))


def _batch(value: object) -> VectorBatch:
    fields = _fields(value, "vectors")
    bearer = fields.nested("bearer")
    return VectorBatch(
        vectors=tuple(_vector(each) for each in fields.items("vectors", size_min=1, size_max=_LIST_MAX)),
        bearer=BearerTerms(
            apn=bearer.text("apn", size_max=100),
            destinations=bearer.texts("destinations", size_max=_LIST_MAX),
            quota_bytes=bearer.integer("quota_bytes"),
            life_s=bearer.integer("life_s"),
        ),
    )


def _vector(value: object) -> Vector:
    fields = _fields(value, "vector")
    return Vector(
        rand=fields.hex("rand", size_min=_KEY_SIZE, size_max=_KEY_SIZE),
        autn=fields.hex("autn", size_min=_KEY_SIZE, size_max=_KEY_SIZE),
        xres=fields.hex("xres", size_min=4, size_max=_KEY_SIZE),
        ck=fields.hex("ck", size_min=_KEY_SIZE, size_max=_KEY_SIZE),
        ik=fields.hex("ik", size_min=_KEY_SIZE, size_max=_KEY_SIZE),
    )


def _fields(value: object, what: str) -> Fields:
    return Fields(value, what=what, refusal=ShoAnswerError)


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ShoAnswerError("body", "JSON", f"{len(body)} other bytes") from None
    if not isinstance(value, dict):
        raise ShoAnswerError("body", "a JSON object", type(value).__name__)
    return value
