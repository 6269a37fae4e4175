"""The SHO's client asks as the routes expect it, and decodes an answer whole or refuses it whole."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from clients.sho import (
    AskedRelease,
    MidLife,
    MidStep,
    Release,
    ShoAnswerError,
    ShoOperatorClient,
    ShoPublicClient,
)
from edge.http_client import HttpClient, HttpResponse
from messages.encoding import decode_deterministic
from standards.rats.fields import encode_base64url

PLACED = {"order_id": "o1", "order_code": "12345678", "state": "ordered", "secret": "s3cret"}
VECTOR = {"rand": "00" * 16, "autn": "01" * 16, "xres": "02" * 8, "ck": "03" * 16, "ik": "04" * 16}
BEARER = {"apn": "internet", "destinations": ["10.0.0.1:443"], "quota_bytes": 5, "life_s": 6}


class Answering:
    """What the client uses of an HttpClient: answers everything alike and keeps what was asked."""

    def __init__(self, value: Any) -> None:
        self._body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.asked: list[tuple[str, bytes, Mapping[str, str] | None]] = []

    def get(self, path: str, **options: Any) -> HttpResponse:
        """The prepared answer."""
        return self._answer(path, b"", options.get("headers"))

    def post(self, path: str, body: bytes, **options: Any) -> HttpResponse:
        """The prepared answer."""
        return self._answer(path, body, options.get("headers"))

    def post_json(self, path: str, value: object) -> Any:
        """The prepared answer, decoded."""
        body = self._answer(path, json.dumps(value).encode(), None).body
        return json.loads(body) if body else None

    def _answer(self, path: str, body: bytes, headers: Mapping[str, str] | None) -> HttpResponse:
        self.asked.append((path, body, headers))
        return HttpResponse(status=200, content_type="application/json", body=self._body, headers={})


def public(value: Any) -> tuple[ShoPublicClient, Answering]:
    http = Answering(value)
    return ShoPublicClient(cast("HttpClient", http)), http


def operator(value: Any) -> tuple[ShoOperatorClient, Answering]:
    http = Answering(value)
    return ShoOperatorClient(cast("HttpClient", http)), http


def test_an_order_is_placed_under_the_user_s_key_and_its_secret_is_in_no_repr() -> None:
    client, http = public(PLACED)
    placed = client.order(subscriber="Ada", device_code="AB", product="M2M", idempotency_key="k")
    ((path, body, headers),) = http.asked
    assert (path, headers) == ("/v1/orders", {"Idempotency-Key": "k"})
    assert json.loads(body) == {"subscriber": "Ada", "device_code": "AB", "product": "M2M"}
    assert (placed.order_id, placed.order_code, placed.state) == ("o1", "12345678", "ordered")
    assert "s3cret" not in repr(placed)


def test_the_state_of_an_order_is_asked_with_its_secret() -> None:
    client, http = public({"order_id": "o/1", "state": "active", "informed": ["done"]})
    shown = client.order_state("o/1", secret="s3cret")  # noqa: S106 - of a test
    assert http.asked == [("/v1/orders/o%2F1", b"", {"Authorization": "Bearer s3cret"})]
    assert (shown.state, shown.informed) == ("active", ("done",))


def test_a_device_is_registered_and_a_result_pushed() -> None:
    client, http = operator({"order": "jws"})
    assert client.register(device_id="d1", pfc_chain=[b"\x30"], ak_public=b"\x00") == "jws"
    path, body, _ = http.asked[0]
    assert path == "/v1/registrations"
    assert json.loads(body) == {"device_id": "d1", "pfc_chain": ["MA"], "ak_public": "AA"}
    client, http = operator(b"")
    client.push_result("ear")
    assert http.asked == [("/v1/results", b'{"result": "ear"}', None)]


def test_a_receipt_travels_as_it_is() -> None:
    client, http = operator({"state": "active", "instruction": "jws"})
    answer = client.receipt(order_digest=b"\x01" * 32, statement=b"signed", result="ear")
    assert (answer.state, answer.instruction) == ("active", "jws")
    path, body, _ = http.asked[0]
    assert path == "/v1/receipts"
    assert decode_deterministic(body, bytes_max=200) == {1: b"\x01" * 32, 2: b"signed", 3: "ear"}
    client, _ = operator({"state": "failed"})
    assert client.receipt(order_digest=b"", statement=b"", result="").instruction is None


def test_approvals_for_an_update_are_asked_for_with_the_nonce_of_the_tre() -> None:
    client, http = operator({"approvals": "jws"})
    asked = {"order_digest": b"\x01" * 32, "manifest_digest": b"\x02" * 32, "tre_nonce": b"\x03" * 32}
    assert client.update_approvals(**asked) == "jws"
    path, body, _ = http.asked[0]
    assert path == "/v1/update-approvals"
    assert json.loads(body) == {name: value.hex() for name, value in asked.items()}


@pytest.mark.parametrize("statement", [None, b"said"])
def test_a_step_is_asked_for_with_what_the_tre_said(statement: bytes | None) -> None:
    client, http = operator({"step": "report", "token": "a.b.c"})
    assert client.mid_step(b"\x0d" * 32, statement) == MidStep(step="report", token="a.b.c")  # noqa: S106 - no password
    path, body, _ = http.asked[0]
    assert path == "/v1/mid-steps"
    said = {} if statement is None else {"statement": encode_base64url(statement)}
    assert json.loads(body) == {"order_digest": "0d" * 32, **said}


def test_a_wish_is_told_and_shown() -> None:
    client, http = operator({"wish": "block", "sequence": 3})
    assert client.want("o/1", "block", reason="stolen") == MidLife(
        wish="block", state=None, reason=None, sequence=3
    )
    path, body, _ = http.asked[0]
    assert (path, json.loads(body)) == ("/v1/orders/o%2F1/mid", {"action": "block", "reason": "stolen"})


def test_vectors_are_asked_with_and_without_resynchronisation() -> None:
    client, http = operator({"vectors": [VECTOR], "bearer": BEARER})
    batch = client.authentication_vectors("26207", serving_network="vno")
    client.authentication_vectors("26207", serving_network="vno", resynchronisation=(b"\x0a", b"\x0b"))
    assert [json.loads(body) for _, body, _ in http.asked] == [
        {"pcid": "26207", "serving_network": "vno"},
        {
            "pcid": "26207",
            "serving_network": "vno",
            "resynchronisation": {"rand": "0a", "auts": "0b"},
        },
    ]
    (vector,) = batch.vectors
    assert (vector.rand, vector.xres) == (bytes(16), b"\x02" * 8)
    assert vector.ck.hex() not in repr(vector)
    assert (batch.bearer.apn, batch.bearer.quota_bytes, batch.bearer.life_s) == ("internet", 5, 6)


@pytest.mark.negative
@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"no JSON", {}, {"state": 1}, {"state": ""}, {"state": "active", "instruction": 1}]
)
def test_an_answer_of_another_shape_is_refused_whole(answer: Any) -> None:
    client, _ = operator(answer)
    with pytest.raises(ShoAnswerError, match="answer of the SHO"):
        client.receipt(order_digest=b"", statement=b"", result="")


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"vectors": []},
        {"vectors": [{**VECTOR, "rand": "00" * 15}]},
        {"vectors": [{**VECTOR, "ck": "ZZ"}]},
        {"bearer": {**BEARER, "quota_bytes": -1}},
        {"bearer": None},
    ],
)
def test_vectors_of_another_shape_are_refused_whole(changed: dict[str, Any]) -> None:
    client, _ = operator({"vectors": [VECTOR], "bearer": BEARER, **changed})
    with pytest.raises(ShoAnswerError):
        client.authentication_vectors("26207", serving_network="vno")


def test_an_order_may_name_what_it_takes_over() -> None:
    client, http = public(PLACED)
    client.order(
        subscriber="Ada", device_code="AB", product="M2M", idempotency_key="k", prior=("sho-0", "mid-1")
    )
    assert json.loads(http.asked[0][1])["prior"] == {"operator": "sho-0", "mid_id": "mid-1"}


def test_a_release_is_asked_for_and_read() -> None:
    client, http = operator({"state": "waiting"})
    assert client.release(device_id="d", mid_id="m") == Release(
        state="waiting", release=None, instruction=None, proof=None
    )
    assert http.asked[0][:2] == ("/v1/releases", b'{"device_id": "d", "mid_id": "m"}')
    told = {"state": "erased", "release": "r", "instruction": "i", "proof": encode_base64url(b"p")}
    client, _ = operator(told)
    assert client.release(device_id="d", mid_id="m") == Release(
        state="erased", release="r", instruction="i", proof=b"p"
    )


def test_the_decision_about_a_release_is_sent_by_either_listener() -> None:
    told = {"releases": [{"successor": "sho-2", "state": "denied", "decided_by": "subscriber"}]}
    kept = (AskedRelease(successor="sho-2", state="denied", decided_by="subscriber"),)
    staff, http = operator(told)
    assert staff.releases("o/1") == kept
    assert staff.decide_release("o/1", "sho-2", approves=True) == kept
    assert [each[0] for each in http.asked] == ["/v1/orders/o%2F1/releases"] * 2
    assert json.loads(http.asked[1][1]) == {"successor": "sho-2", "decision": "approve"}
    user, http = public(told)
    assert user.decide_release("o/1", secret="s", successor="sho-2", approves=False) == kept  # noqa: S106 - of a test
    ((path, body, headers),) = http.asked
    assert (path, headers) == ("/v1/orders/o%2F1/release-decisions", {"Authorization": "Bearer s"})
    assert json.loads(body)["decision"] == "deny"


@pytest.mark.negative
@pytest.mark.parametrize("told", [{}, {"state": 1}, {"state": "erased", "proof": "*"}])
def test_another_answer_about_a_release_is_refused_whole(told: dict[str, Any]) -> None:
    client, _ = operator(told)
    with pytest.raises(ShoAnswerError):
        client.release(device_id="d", mid_id="m")
