"""The clients of DPF and DRF: what they send, and that an answer of another shape is refused whole."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from clients.dpf import DpfAnswerError, DpfDeviceClient, DpfOperatorClient
from clients.drf import DiscoveryQuestion, DrfAnswerError, DrfDeviceClient, DrfOperatorClient, Registration
from edge.http_client import HttpClient, HttpResponse
from messages.attachment import is_request_mac
from operators.dpf.authorizations import decode_parts

KEY, PCID = b"\x4b" * 32, "262019999000001"


@dataclass
class Sent:
    """One call."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


@dataclass
class FakeHttp(HttpClient):
    """Answers every call alike, and remembers it."""

    status: int = 200
    answer: bytes = b"{}"
    content_type: str = "application/json"
    sent: list[Sent] = field(default_factory=list)
    base_url: str = "https://test"

    def _request(
        self, method: str, path: str, *, body: bytes | None, headers: dict[str, str]
    ) -> HttpResponse:
        self.sent.append(Sent(method=method, path=path, body=body, headers=headers))
        return HttpResponse(status=self.status, content_type=self.content_type, body=self.answer, headers={})


def answering(members: object, *, status: int = 200) -> FakeHttp:
    return FakeHttp(status=status, answer=json.dumps(members).encode())


@pytest.mark.requirement("R90")
def test_a_device_proves_each_request_over_the_very_bytes_that_it_sends() -> None:
    http = answering({"discovery": "a.b.c", "order": "d.e.f"})
    client = DrfDeviceClient(http)
    question = DiscoveryQuestion(pcid=PCID, device_id="d1" * 32, nonce=bytes(32), choice="sho-1")
    assert client.discover(question, attachment_key=KEY) == "a.b.c"
    wish = Registration(pcid=PCID, device_id="d1" * 32, sho="sho-1", pfc_chain=(b"x",), ak_public=b"y")
    assert client.register(wish, attachment_key=KEY, idempotency_key="key-1") == "d.e.f"
    for sent in http.sent:
        scheme, _, proof = sent.headers["Authorization"].partition(" ")
        pcid, _, mac = proof.partition(":")
        assert (scheme, pcid) == ("Attachment", PCID)
        assert is_request_mac(mac, KEY, method=sent.method, path=sent.path, body=sent.body or b"")
    assert http.sent[1].headers["Idempotency-Key"] == "key-1"
    assert "supplier" not in json.loads(http.sent[0].body or b"")


def test_an_authorisation_is_sent_as_the_dpf_reads_it() -> None:
    http = answering({"authorization_id": "1", "state": "open"})
    made = DpfOperatorClient(http).authorize(
        authorization="a", order="b", result="c", package="d", content=b"e"
    )
    assert (made.authorization_id, made.state, made.refusals) == ("1", "open", ())
    parts = decode_parts(http.sent[0].body or b"")
    assert (parts.authorization, parts.order, parts.result, parts.package) == ("a", "b", "c", "d")
    assert parts.content == b"e"


def test_a_receipt_that_waits_for_its_operator_is_told_apart() -> None:
    taken = DpfDeviceClient(answering({"outcome": "installed", "instruction": "a.b.c"})).receipt("1", b"s")
    assert (taken.forwarded, taken.instruction) == (True, "a.b.c")
    waiting = DpfDeviceClient(answering({"outcome": "installed"}, status=202)).receipt("1", b"s")
    assert (waiting.forwarded, waiting.instruction) == (False, None)


Call = Callable[[FakeHttp], object]
CALLS: dict[str, tuple[type[Exception], Call]] = {
    "discover": (
        DrfAnswerError,
        lambda http: DrfDeviceClient(http).discover(
            DiscoveryQuestion(pcid=PCID, device_id="d1" * 32, nonce=bytes(32)), attachment_key=KEY
        ),
    ),
    "relay": (DrfAnswerError, lambda http: DrfOperatorClient(http).relay("a.b.c")),
    "relayed": (DrfAnswerError, lambda http: DrfOperatorClient(http).relayed("1")),
    "request": (
        DpfAnswerError,
        lambda http: DpfDeviceClient(http).request(
            device_id="d1" * 32, order_digest=bytes(32), pfc_chain=[b"x"]
        ),
    ),
    "delivery": (DpfAnswerError, lambda http: DpfDeviceClient(http).delivery("1")),
    "receipt": (DpfAnswerError, lambda http: DpfDeviceClient(http).receipt("1", b"s")),
    "authorization": (DpfAnswerError, lambda http: DpfOperatorClient(http).authorization("1")),
}
WRONG: tuple[Any, ...] = ([], {}, {"discovery": 1, "request_id": "", "delivery_id": None, "outcome": 7}, 5)


@pytest.mark.negative
@pytest.mark.parametrize("name", CALLS)
def test_an_answer_of_another_shape_is_refused_whole(name: str) -> None:
    error, call = CALLS[name]
    for members in WRONG:
        with pytest.raises(error):
            call(answering(members))


@pytest.mark.negative
def test_a_granted_delivery_without_its_parts_is_no_answer() -> None:
    whole = {
        "delivery_id": "1",
        "state": "granted",
        "package": "a.b.c",
        "delivery": "d.e.f",
        "content_size": 5,
        "chunk_bytes": 5,
    }
    assert DpfDeviceClient(answering(whole)).delivery("1").content_size == 5
    for missing in ("delivery", "content_size", "chunk_bytes"):
        with pytest.raises(DpfAnswerError):
            DpfDeviceClient(answering({k: v for k, v in whole.items() if k != missing})).delivery("1")


@pytest.mark.negative
def test_content_of_another_type_or_none_is_no_chunk() -> None:
    octets = FakeHttp(answer=b"chunk", content_type="application/octet-stream")
    assert DpfDeviceClient(octets).content("1", offset=7) == b"chunk"
    assert octets.sent[0].path == "/v1/deliveries/1/content?offset=7"
    for wrong in (
        FakeHttp(answer=b"chunk"),
        FakeHttp(answer=b"", content_type="application/octet-stream"),
    ):
        with pytest.raises(DpfAnswerError):
            DpfDeviceClient(wrong).content("1", offset=0)


def test_ids_are_quoted_in_paths() -> None:
    http = answering({"delivery_id": "1", "state": "validating"})
    DpfDeviceClient(http).delivery("../authorizations")
    assert http.sent[0].path == "/v1/deliveries/..%2Fauthorizations"
    DrfOperatorClient(http).announce_order("a/b", device_code="code", sho_name="Operator")
    assert (http.sent[1].method, http.sent[1].path) == ("PUT", "/v1/orders/a%2Fb")
