"""The certification authority as administrators and suppliers call it to suspend a supplier, a model or a batch."""

import json

from clients.ca_answers import CaAnswerError
from clients.pages import every_page
from clients.suspensions import SuspensionEntry, read_suspension, read_suspensions
from edge.http_client import HttpClient
from standards.rats.fields import Fields

_ROUTE = "/v1/suspensions"
LISTED_MAX = 1_000


class CaSuspensionClient:
    """Client of the CA's operator listener; errors of `edge.http_client` pass through."""

    def __init__(self, http: HttpClient) -> None:
        """Use `http`, which holds the URL and the mutual TLS."""
        self._http = http

    def suspend(
        self, supplier: str, *, reason: str, model: str | None = None, batch: str | None = None
    ) -> SuspensionEntry:
        """Suspend (admin, es its own); the same scope again changes nothing."""
        body = {"supplier": supplier, "model": model, "batch": batch, "reason": reason}
        return read_suspension(self._http.post_json(_ROUTE, body), refusal=_malformed)

    def suspensions(self) -> tuple[SuspensionEntry, ...]:
        """All that the caller may see, oldest first."""
        return read_suspensions(every_page(self._http, _ROUTE, "suspensions"), refusal=_malformed)

    def import_trust_list(self, token: str) -> tuple[tuple[str, str], ...]:
        """Hand in an overseer's trust list (admin, overseer); (supplier, until when it is accredited) of those here."""
        route = "/v1/trust-lists"
        response = self._http.post(
            route, token.encode(), content_type="application/jose", accept="application/json"
        )
        answer = Fields(_decoded(response.body), what="trust list", refusal=_malformed)
        rows = [
            Fields(each, what="accreditation", refusal=_malformed)
            for each in answer.items("accreditations", size_max=LISTED_MAX)
        ]
        return tuple((each.text("supplier"), each.text("ends_at")) for each in rows)

    def lift(self, suspension_id: str) -> SuspensionEntry:
        """Approve the lifting of a suspension (admin); it counts after another administrator's approval."""
        return read_suspension(
            self._http.post_json(f"{_ROUTE}/{suspension_id}/lifting", {}), refusal=_malformed
        )


def _malformed(what: str, expected: str, got: str) -> CaAnswerError:
    return CaAnswerError(_ROUTE, f"{what}: expected {expected}, got {got}")


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _malformed("body", "JSON", f"{len(body)} other bytes") from None
