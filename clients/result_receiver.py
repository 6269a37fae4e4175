"""Typed client of whoever takes pushed results and events: an SHO or a DPF, which serve the same routes for them.

Rule: the receiver believes a token for its signature; that it was delivered says nothing. Refusals come as
`edge.http_client.HttpError`, and so does every answer that is no receipt.
"""

import json
from http import HTTPStatus

from edge.http_client import HttpClient, HttpError


class ResultReceiverClient:
    """The operator listener of a relying party, with the PVA's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def push_result(self, token: str) -> None:
        """Deliver a signed result (pva). Raises HttpError for an answer other than 2xx, UnreachableError for none."""
        self._push("/v1/results", {"result": token})

    def push_event(self, token: str) -> None:
        """Deliver a signed state event (pva). Errors as with `push_result`."""
        self._push("/v1/state-events", {"event": token})

    def _push(self, route: str, members: dict[str, str]) -> None:
        answer = self._http.post(route, json.dumps(members).encode(), content_type="application/json")
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise HttpError(f"{self._http.base_url}{route}", status=answer.status, problem=None)
