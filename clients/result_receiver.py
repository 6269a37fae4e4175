"""Typed client of whoever takes pushed results: an SHO or a DPF, which serve the same route for it.

Rule: the receiver believes a result for its signature; that it was delivered says nothing. Refusals come as
`edge.http_client.HttpError`.
"""

from edge.http_client import HttpClient


class ResultReceiverClient:
    """The operator listener of a relying party, with the PVA's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def push_result(self, token: str) -> None:
        """Deliver a signed result (pva); any answer below 400 is a receipt."""
        self._http.post_json("/v1/results", {"result": token})
