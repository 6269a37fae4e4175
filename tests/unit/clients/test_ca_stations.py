"""The CA's answers to a page of a station: one for each message, or none is taken."""

from base64 import b64encode
from typing import Any

import pytest

from clients.ca_answers import CaAnswerError
from clients.ca_stations import CaStationClient
from edge.http_client import HttpClient
from messages.enrollment import EnrollmentChallenge, EnrollmentResult
from messages.station import Part, StationMessage, StationRefusal
from tests.unit.cli.person import Asked, TableHttp

FIRST, SECOND = "d1" * 32, "d2" * 32
CHALLENGE = EnrollmentChallenge(
    session_id=b"s" * 16, id_object=b"id", encrypted_secret=b"secret", nonce=b"n" * 32
).encode()
RESULT = EnrollmentResult(pfc_chain=(b"pfc", b"issuer")).encode()
REFUSAL = {"code": "ek-not-listed", "subject": FIRST, "reason": "not listed", "remedy": "import it"}
PAGE = [
    StationMessage(device_id=FIRST, part=Part.REQUEST, data=b"request"),
    StationMessage(device_id=SECOND, part=Part.ACTIVATION, data=b"activation"),
]


def client(*answers: dict[str, Any], asked: list[Asked] | None = None) -> CaStationClient:
    given = {("POST", "/v1/station-exchanges"): {"answers": list(answers)}}
    http: HttpClient = TableHttp("https://ca.example.net", given, [] if asked is None else asked)
    return CaStationClient(http)


def text(data: bytes) -> str:
    return b64encode(data).decode()


def test_each_message_has_its_answer() -> None:
    asked: list[Asked] = []
    answers = client(
        {"device_id": FIRST, "challenge": text(CHALLENGE), "result": None, "refused": None},
        {"device_id": SECOND, "challenge": None, "result": text(RESULT), "refused": None},
        asked=asked,
    ).exchange(PAGE)
    assert [(each.device_id, each.part, each.data) for each in answers] == [
        (FIRST, Part.CHALLENGE, CHALLENGE),
        (SECOND, Part.RESULT, RESULT),
    ]
    assert b'"request": "cmVxdWVzdA=="' in asked[0].body
    assert b'"activation": "YWN0aXZhdGlvbg=="' in asked[0].body


def test_a_refusal_is_an_answer() -> None:
    [answer] = client({"device_id": FIRST, "refused": REFUSAL}).exchange(PAGE[:1])
    assert answer.part is Part.REFUSED
    assert StationRefusal.decode(answer.data) == StationRefusal(**REFUSAL)


@pytest.mark.negative
@pytest.mark.parametrize(
    "answers",
    [
        [],
        [{"device_id": SECOND, "challenge": text(CHALLENGE)}],
        [{"device_id": FIRST, "challenge": text(CHALLENGE)}] * 2,
        [{"device_id": FIRST, "result": text(RESULT)}],
        [{"device_id": FIRST, "challenge": text(RESULT)}],
        [{"device_id": FIRST, "challenge": "*"}],
        [{"device_id": FIRST, "challenge": text(CHALLENGE)[:-4]}],
        [{"device_id": FIRST}],
        [{"device_id": FIRST, "refused": {"code": "c"}}],
    ],
)
def test_what_does_not_answer_the_page_is_not_taken(answers: list[dict[str, Any]]) -> None:
    with pytest.raises(CaAnswerError):
        client(*answers).exchange(PAGE[:1])
