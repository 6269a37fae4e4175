"""Typed client of the discovery and registration function: one method a route.

Rule: a device proves with each request that it is the one that attached: the MAC covers method, path and the very
bytes of the body (R90). What an answer *says* is not verified here: the TRE checks discovery and order by their
signatures. Refusals come as `edge.http_client.HttpError`; an answer of another shape is a `DrfAnswerError`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from edge.http_client import HttpClient
from edge.repeating import named
from messages.attachment import request_mac
from standards.rats.fields import Fields, encode_base64url

DISCOVERY_ROUTE: Final = "/v1/discovery"
REGISTRATION_ROUTE: Final = "/v1/registrations"
RELAY_ROUTE: Final = "/v1/validation-relay"
_JSON: Final = "application/json"
_TOKEN_MAX: Final = 1 << 18


class DrfAnswerError(Exception):
    """The DRF answered with something that is not what this route returns."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        """Keep what was wrong, what was expected and what came."""
        super().__init__(f"answer of the DRF, {what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryQuestion:
    """What a device asks: `nonce` 32 bytes of its TRE; `supplier` who made it, `choice` the id of the user's SHO."""

    pcid: str
    device_id: str
    nonce: bytes
    supplier: str | None = None
    choice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a device registers with at `sho`: its PfC chain (DER, leaf first) and TPMT_PUBLIC of its AK."""

    pcid: str
    device_id: str
    sho: str
    pfc_chain: tuple[bytes, ...]
    ak_public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedRequest:
    """A validation request that the RO carries: `outcome` pass or fail, `sealed` the result as JWE for its signer."""

    request_id: str
    state: str
    outcome: str | None = None
    sealed: str | None = None


class DrfDeviceClient:
    """The device listener; `attachment_key` (32 bytes) is what the TRE got from its attachment."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the device listener that `http` points at."""
        self._http = http

    def discover(self, question: DiscoveryQuestion, *, attachment_key: bytes) -> str:
        """The signed discovery answer (a JWS, to be handed to the TRE)."""
        body: dict[str, Any] = {
            "pcid": question.pcid,
            "device_id": question.device_id,
            "nonce": encode_base64url(question.nonce),
        }
        optional = {"supplier": question.supplier, "choice": question.choice}
        body |= {name: value for name, value in optional.items() if value is not None}
        answer = self._post(DISCOVERY_ROUTE, body, pcid=question.pcid, key=attachment_key, headers={})
        return answer.text("discovery", size_max=_TOKEN_MAX)

    def register(self, registration: Registration, *, attachment_key: bytes, idempotency_key: str) -> str:
        """The order token; the same registration again gives the same one."""
        body = {
            "pcid": registration.pcid,
            "device_id": registration.device_id,
            "sho": registration.sho,
            "pfc_chain": [encode_base64url(each) for each in registration.pfc_chain],
            "ak_public": encode_base64url(registration.ak_public),
        }
        headers = named(idempotency_key)
        answer = self._post(
            REGISTRATION_ROUTE, body, pcid=registration.pcid, key=attachment_key, headers=headers
        )
        return answer.text("order", size_max=_TOKEN_MAX)

    def _post(
        self, route: str, value: Mapping[str, Any], *, pcid: str, key: bytes, headers: Mapping[str, str]
    ) -> Fields:
        body = json.dumps(value, ensure_ascii=False).encode()
        mac = request_mac(key, method="POST", path=route, body=body)
        sent = {"Authorization": f"Attachment {pcid}:{mac}", **headers}
        response = self._http.post(route, body, content_type=_JSON, accept=_JSON, headers=sent)
        return _fields(_decoded(response.body), route)


class DrfOperatorClient:
    """The operator listener, with the caller's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def announce_order(self, order_id: str, *, device_code: str, sho_name: str) -> None:
        """Say that an order waits for the device with this code (sho)."""
        path = f"/v1/orders/{quote(order_id, safe='')}"
        self._http.put_json(path, {"device_code": device_code, "sho_name": sho_name})

    def attached(self, pcid: str, *, serving_network: str, key: bytes, expires_at: datetime) -> None:
        """Say that a PCID is attached now, and the attachment key that its device shares (icf)."""
        body = {
            "pcid": pcid,
            "serving_network": serving_network,
            "key": key.hex(),
            "expires_at": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}",
        }
        self._http.post_json("/v1/attachments", body)

    def relay(self, token: str) -> RelayedRequest:
        """Have a signed validation request carried to the PVA (sho)."""
        fields = _fields(self._http.post_json(RELAY_ROUTE, {"request": token}), "relay")
        return RelayedRequest(request_id=fields.text("request_id"), state="pending")

    def relayed(self, request_id: str) -> RelayedRequest:
        """What came of a request that the caller had relayed (sho)."""
        path = f"{RELAY_ROUTE}/{quote(request_id, safe='')}"
        fields = _fields(self._http.get_json(path), "relay")
        return RelayedRequest(
            request_id=fields.text("request_id"),
            state=fields.text("state", size_max=32),
            outcome=fields.text("outcome", size_max=32) if "outcome" in fields else None,
            sealed=fields.text("sealed", size_max=_TOKEN_MAX) if "sealed" in fields else None,
        )


def _fields(value: object, what: str) -> Fields:
    return Fields(value, what=what, refusal=DrfAnswerError)


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise DrfAnswerError("body", "JSON", f"{len(body)} other bytes") from None
