"""Typed client of the download and provisioning function: one method a route.

Rule: what comes is bounded and decoded here and proven elsewhere: the TRE checks package, delivery and content, the
SHO the receipt. Refusals come as `edge.http_client.HttpError`, whose problem carries the gate's stable code in `type`
and `reason`; an answer of another shape is a `DpfAnswerError`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from edge.http_client import HttpClient
from messages.encoding import encode_deterministic
from messages.mid_package import CONTENT_BYTES_MAX
from standards.rats.fields import Fields, encode_base64url

CBOR: Final = "application/cbor"
OCTETS: Final = "application/octet-stream"
_JSON: Final = "application/json"
_TOKEN_MAX: Final = 1 << 18
_LIST_MAX: Final = 1_000


class DpfAnswerError(Exception):
    """The DPF answered with something that is not what this route returns."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        """Keep what was wrong, what was expected and what came."""
        super().__init__(f"answer of the DPF, {what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryState:
    """A delivery: `state` validating or granted; the tokens and sizes (bytes) are there once it is granted."""

    delivery_id: str
    state: str
    package: str | None = None
    delivery: str | None = None
    content_size: int | None = None
    chunk_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptAnswer:
    """What came of a receipt: its outcome, and the SHO's signed instruction, if it gave one.

    `forwarded` is False while the SHO cannot be reached: the receipt is safe, ask again for the instruction.
    """

    outcome: str
    instruction: str | None
    forwarded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRefusal:
    """One refusal of the gate, as the SHO sees it."""

    at: str
    code: str
    subject: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationState:
    """An authorisation at the DPF: `state` open, granted, installed or closed."""

    authorization_id: str
    state: str
    refusals: tuple[GateRefusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MidStep:
    """What the TRE is to be asked next: `step` is "report", "instruct", "erase", "update" or "done"; the token for it."""

    step: str
    token: str | None


class DpfDeviceClient:
    """The device listener."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the device listener that `http` points at."""
        self._http = http

    def request(self, *, device_id: str, order_digest: bytes, pfc_chain: Sequence[bytes]) -> DeliveryState:
        """Ask for the delivery of an order; `pfc_chain` is DER, leaf first. The open delivery while there is one."""
        body = {
            "device_id": device_id,
            "order_digest": order_digest.hex(),
            "pfc_chain": [encode_base64url(each) for each in pfc_chain],
        }
        return _delivery(self._http.post_json("/v1/deliveries", body))

    def delivery(self, delivery_id: str) -> DeliveryState:
        """Where a delivery stands; the grant, once the fresh validation was good."""
        return _delivery(self._http.get_json(_path(delivery_id)))

    def content(self, delivery_id: str, *, offset: int) -> bytes:
        """A chunk of the encrypted content from `offset` on, at most `chunk_bytes` long."""
        response = self._http.get(f"{_path(delivery_id)}/content?offset={offset}", accept=OCTETS)
        if response.content_type != OCTETS or not 1 <= len(response.body) <= CONTENT_BYTES_MAX:
            raise DpfAnswerError("content", f"a chunk of {OCTETS}", response.content_type[:80] or "nothing")
        return response.body

    def receipt(self, delivery_id: str, statement: bytes) -> ReceiptAnswer:
        """Hand in the TRE's signed receipt (`messages.statement`); repeating it is harmless."""
        response = self._http.post(
            f"{_path(delivery_id)}/receipt", statement, content_type=CBOR, accept=_JSON
        )
        fields = _fields(_decoded(response.body), "receipt")
        return ReceiptAnswer(
            outcome=fields.text("outcome", size_max=64),
            instruction=fields.text("instruction", size_max=_TOKEN_MAX) if "instruction" in fields else None,
            forwarded=response.status != HTTPStatus.ACCEPTED,
        )

    def update_approvals(
        self, *, device_id: str, order_digest: bytes, manifest_digest: bytes, tre_nonce: bytes
    ) -> str:
        """The owner's signed approvals of the state after an update, for the TRE; may be repeated."""
        body = {
            "device_id": device_id,
            "order_digest": order_digest.hex(),
            "manifest_digest": manifest_digest.hex(),
            "tre_nonce": tre_nonce.hex(),
        }
        answer = _fields(self._http.post_json("/v1/update-approvals", body), "update approvals")
        return answer.text("approvals", size_max=_TOKEN_MAX)

    def mid_step(self, *, device_id: str, order_digest: bytes, statement: bytes | None) -> MidStep:
        """What the TRE is to be asked next for the owner of a MID, after what it has said, if anything."""
        body = {"device_id": device_id, "order_digest": order_digest.hex()}
        if statement is not None:
            body["statement"] = encode_base64url(statement)
        answer = _fields(self._http.post_json("/v1/mid-steps", body), "step")
        return MidStep(
            step=answer.text("step", size_max=16),
            token=answer.text("token", size_max=_TOKEN_MAX) if "token" in answer else None,
        )


class DpfOperatorClient:
    """The operator listener, with the caller's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def authorize(
        self, *, authorization: str, order: str, result: str, package: str, content: bytes
    ) -> AuthorizationState:
        """Authorise one delivery (sho): four tokens and the encrypted content; the same again changes nothing."""
        body = encode_deterministic({1: authorization, 2: order, 3: result, 4: package, 5: content})
        response = self._http.post("/v1/authorizations", body, content_type=CBOR, accept=_JSON)
        return _authorization(_decoded(response.body))

    def authorization(self, authorization_id: str) -> AuthorizationState:
        """Where an authorisation stands, with what the gate refused (sho, its own)."""
        path = f"/v1/authorizations/{quote(authorization_id, safe='')}"
        return _authorization(self._http.get_json(path))

    def push_result(self, token: str) -> None:
        """Bring a signed result of a validation that this DPF asked for (pva)."""
        self._http.post_json("/v1/results", {"result": token})


def _path(delivery_id: str) -> str:
    return f"/v1/deliveries/{quote(delivery_id, safe='')}"


def _delivery(value: object) -> DeliveryState:
    fields = _fields(value, "delivery")
    granted = "package" in fields
    return DeliveryState(
        delivery_id=fields.text("delivery_id", size_max=64),
        state=fields.text("state", size_max=32),
        package=fields.text("package", size_max=_TOKEN_MAX) if granted else None,
        delivery=fields.text("delivery", size_max=_TOKEN_MAX) if granted else None,
        content_size=fields.integer("content_size", low=1, high=CONTENT_BYTES_MAX) if granted else None,
        chunk_bytes=fields.integer("chunk_bytes", low=1, high=CONTENT_BYTES_MAX) if granted else None,
    )


def _authorization(value: object) -> AuthorizationState:
    fields = _fields(value, "authorisation")
    rows = fields.items("refusals", size_max=_LIST_MAX) if "refusals" in fields else []
    return AuthorizationState(
        authorization_id=fields.text("authorization_id", size_max=64),
        state=fields.text("state", size_max=32),
        refusals=tuple(_refusal(row) for row in rows),
    )


def _refusal(value: object) -> GateRefusal:
    fields = _fields(value, "refusal")
    return GateRefusal(
        at=fields.text("at"),
        code=fields.text("code"),
        subject=fields.text("subject"),
        reason=fields.text("reason", size_max=4096),
        remedy=fields.text("remedy", size_max=4096),
    )


def _fields(value: object, what: str) -> Fields:
    return Fields(value, what=what, refusal=DpfAnswerError)


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise DpfAnswerError("body", "JSON", f"{len(body)} other bytes") from None
