"""A result is delivered when its receiver says so with 2xx, and not by a redirect."""

import json
from typing import cast

import pytest

from clients.result_receiver import ResultReceiverClient
from edge.http_client import HttpClient, HttpError, HttpResponse


class Answering:
    """What the client uses of an HttpClient: one status, and what came."""

    base_url = "https://sho.example"

    def __init__(self, status: int) -> None:
        self._status = status
        self.came: list[tuple[str, bytes, str]] = []

    def post(self, path: str, body: bytes, *, content_type: str) -> HttpResponse:
        """The prepared status."""
        self.came.append((path, body, content_type))
        return HttpResponse(status=self._status, content_type="", body=b"", headers={})


@pytest.mark.requirement("R95")
@pytest.mark.parametrize("status", [200, 204])
def test_a_receipt_is_2xx(status: int) -> None:
    http = Answering(status)
    ResultReceiverClient(cast("HttpClient", http)).push_result("e.a.r")
    ((path, body, content_type),) = http.came
    assert (path, content_type) == ("/v1/results", "application/json")
    assert json.loads(body) == {"result": "e.a.r"}
    ResultReceiverClient(cast("HttpClient", http)).push_event("s.e.t")
    path, body, content_type = http.came[-1]
    assert (path, content_type) == ("/v1/state-events", "application/json")
    assert json.loads(body) == {"event": "s.e.t"}


@pytest.mark.negative
def test_a_redirect_is_none() -> None:
    with pytest.raises(HttpError) as caught:
        ResultReceiverClient(cast("HttpClient", Answering(302))).push_result("e.a.r")
    assert caught.value.status == 302
