"""The certification authority as its administrators call it about keys that two of them register."""

from typing import Any

from clients.ca_answers import read
from clients.ca_bodies import EstEnrollmentBody, KeyProposalsBody
from clients.pages import every_page
from edge.http_client import HttpClient

_ROUTE = "/v1/key-proposals"


class CaKeyClient:
    """Client of the CA's operator listener; errors of `edge.http_client` pass through."""

    def __init__(self, http: HttpClient) -> None:
        """Use `http`, which holds the URL and the mutual TLS."""
        self._http = http

    def waiting(self) -> list[dict[str, Any]]:
        """Keys whose registration waits for another administrator (admin, auditor)."""
        listed = read(KeyProposalsBody, every_page(self._http, _ROUTE, "key_proposals"), _ROUTE)
        return [each.model_dump() for each in listed.key_proposals]

    def approve(self, digest: str) -> dict[str, Any]:
        """Approve the registration of a key (admin); the state is registered with the second approval."""
        route = f"{_ROUTE}/{digest}/approvals"
        return read(EstEnrollmentBody, self._http.post_json(route, {}), route).model_dump()

    def withdraw(self, digest: str) -> None:
        """Take back a registration that waits (admin)."""
        self._http.post_json(f"{_ROUTE}/{digest}/withdrawal", {})
