"""Typed client of whoever takes pushed results: an SHO or a DPF, which serve the same route for it.

Rule: the receiver believes a result for its signature; that it was delivered says nothing. Refusals come as
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
        body = json.dumps({"result": token}).encode()
        answer = self._http.post("/v1/results", body, content_type="application/json")
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise HttpError(f"{self._http.base_url}/v1/results", status=answer.status, problem=None)
