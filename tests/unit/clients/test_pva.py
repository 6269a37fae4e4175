"""The PVA's client asks as the routes expect it, and decodes an answer whole or refuses it whole."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from clients.pva import PvaAnswerError, PvaOperatorClient, SubmittedRequest
from edge.http_client import HttpClient
from standards.rats.fields import encode_base64url

REFUSAL = {
    "at": "2026-03-01T12:00:00Z",
    "code": "pfc-revoked",
    "subject": "PfC",
    "reason": "revoked",
    "remedy": "ask its supplier",
    "authenticated": True,
}


class Answering:
    """What the client uses of an HttpClient: answers everything alike and keeps what was asked."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self.asked: list[tuple[str, object]] = []
        self.keys: list[str | None] = []

    def get_json(self, path: str) -> Any:
        """The prepared value."""
        self.asked.append((path, None))
        return self._value

    def post_json(self, path: str, value: object, *, headers: Mapping[str, str] | None = None) -> Any:
        """The prepared value."""
        self.asked.append((path, value))
        self.keys.append((headers or {}).get("Idempotency-Key"))
        return self._value


def client(value: Any) -> tuple[PvaOperatorClient, Answering]:
    http = Answering(value)
    return PvaOperatorClient(cast("HttpClient", http)), http


def test_a_signed_request_is_handed_in() -> None:
    pva, http = client({"request_id": "r1", "expires_at": "2026-03-01T12:15:00Z"})
    ends = datetime(2026, 3, 1, 12, 15, tzinfo=UTC)
    assert pva.submit_request("token") == SubmittedRequest(request_id="r1", expires_at=ends)
    assert http.asked == [("/v1/validation-requests", {"request": "token"})]


def test_its_signer_gets_the_result_and_the_refusals() -> None:
    answer = {"request_id": "r1", "state": "completed", "result": "jwt", "refusals": [REFUSAL]}
    pva, http = client(answer)
    progress = pva.request_progress("r/1")
    assert http.asked == [("/v1/validation-requests/r%2F1", None)]
    assert (progress.state, progress.result, progress.outcome) == ("completed", "jwt", None)
    assert [(each.code, each.authenticated) for each in progress.refusals] == [("pfc-revoked", True)]


def test_a_relay_gets_pass_or_fail_and_a_closed_envelope() -> None:
    pva, _ = client({"request_id": "r1", "state": "completed", "outcome": "pass", "sealed": "jwe"})
    progress = pva.request_progress("r1")
    assert (progress.outcome, progress.sealed) == ("pass", "jwe")
    assert (progress.result, progress.refusals) == (None, ())


def test_approvals_come_as_bytes() -> None:
    answer = {
        "approvals": [encode_base64url(each) for each in (b"package", b"vault", b"next vault")],
        "day_key_chain": [encode_base64url(b"leaf")],
        "storage_public": encode_base64url(b"public"),
    }
    pva, http = client(answer)
    given = pva.approvals(result_id="result", order_digest=b"\x0d" * 32)
    assert http.asked == [("/v1/approvals", {"result_id": "result", "order_digest": "0d" * 32})]
    assert given.approvals == (b"package", b"vault", b"next vault")
    assert (given.day_key_chain, given.storage_public) == ((b"leaf",), b"public")


@pytest.mark.negative
@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"request_id": "r1"},
        {"request_id": "r1", "expires_at": "soon"},
        {"request_id": "r1", "expires_at": "2026-03-01T12:15:00"},
        {"request_id": 1, "expires_at": "2026-03-01T12:15:00Z"},
    ],
)
def test_another_answer_to_a_request_is_refused(answer: Any) -> None:
    with pytest.raises(PvaAnswerError):
        client(answer)[0].submit_request("token")


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"approvals": []},
        {"approvals": ["+"]},
        {"approvals": [encode_base64url(b"x")] * 17},
        {"day_key_chain": [1]},
        {"storage_public": ""},
    ],
)
def test_other_approvals_are_refused(changed: dict[str, Any]) -> None:
    answer = {
        "approvals": [encode_base64url(b"x")],
        "day_key_chain": [encode_base64url(b"leaf")],
        "storage_public": encode_base64url(b"public"),
        **changed,
    }
    with pytest.raises(PvaAnswerError):
        client(answer)[0].approvals(result_id="result", order_digest=bytes(32))


UPDATE = {
    "manifest_digest": "4d" * 32,
    "supplier": "Acme",
    "share_percent": 5,
    "state": "running",
    "announced_by": "supplier",
    "announced_at": "2026-03-01T12:00:00Z",
}


def test_an_update_is_announced_shown_and_changed() -> None:
    digest, path = b"\x4d" * 32, f"/v1/updates/{'4d' * 32}"
    pva, http = client(UPDATE)
    assert pva.announce_update(digest, share_percent=5).share_percent == 5
    assert pva.announce_update(digest, share_percent=5, key="k" * 16).share_percent == 5
    assert http.keys == [None, "k" * 16]
    del http.asked[1:]
    assert pva.widen_update(digest, share_percent=50).manifest_digest == "4d" * 32
    assert {pva.pause_update(digest).state, pva.resume_update(digest).state} == {"running"}
    assert http.asked == [
        ("/v1/updates", {"manifest_digest": "4d" * 32, "share_percent": 5}),
        (f"{path}/share", {"share_percent": 50}),
        (f"{path}/pause", {}),
        (f"{path}/resume", {}),
    ]
    listing, _ = client({"updates": [UPDATE]})
    assert [each.supplier for each in listing.updates()] == ["Acme"]


def test_approvals_for_an_update_are_asked_for_by_result_order_and_manifest() -> None:
    answer = {
        "approvals": [encode_base64url(b"next vault")],
        "day_key_chain": [encode_base64url(b"leaf")],
        "storage_public": encode_base64url(b"public"),
    }
    pva, http = client(answer)
    given = pva.update_approvals(result_id="result", order_digest=b"\x0d" * 32, manifest_digest=b"\x4d" * 32)
    assert given.approvals == (b"next vault",)
    asked = {"result_id": "result", "order_digest": "0d" * 32, "manifest_digest": "4d" * 32}
    assert http.asked == [("/v1/update-approvals", asked)]


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed", [{"share_percent": 101}, {"manifest_digest": "4d"}, {"announced_at": "then"}, {"state": 1}]
)
def test_an_answer_about_an_update_of_another_shape_is_refused(changed: dict[str, Any]) -> None:
    pva, _ = client({**UPDATE, **changed})
    with pytest.raises(PvaAnswerError):
        pva.pause_update(b"\x4d" * 32)
