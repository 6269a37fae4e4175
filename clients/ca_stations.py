"""The certification authority as a supplier's shell calls it for a station: pages of enrolment messages.

The one rule: a page that got no answer may be sent again. An answer is taken whole: one for each message, in their order,
each what such a message is answered with, and decoded.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Sequence
from typing import Final

from clients.ca_answers import Body, CaAnswerError, read
from edge.http_client import HttpClient
from messages.enrollment import EnrollmentChallenge, EnrollmentResult
from messages.errors import MessageError
from messages.station import ANSWERS, Part, StationMessage, StationRefusal

_ROUTE: Final = "/v1/station-exchanges"


class _Refusal(Body):
    code: str
    subject: str
    reason: str
    remedy: str


class _Carried(Body):
    device_id: str
    challenge: str | None = None
    result: str | None = None
    refused: _Refusal | None = None


class _Page(Body):
    answers: list[_Carried]


class CaStationClient:
    """Client of the CA's operator listener in the role `es`; errors of `edge.http_client` pass through."""

    def __init__(self, http: HttpClient) -> None:
        """Use `http`, which holds the URL and the mutual TLS."""
        self._http = http

    def exchange(self, page: Sequence[StationMessage]) -> tuple[StationMessage, ...]:
        """The answer to each message of a page: challenge, result, or refusal. Raises CaAnswerError."""
        body = {
            "messages": [
                {"device_id": each.device_id, str(each.part): b64encode(each.data).decode("ascii")}
                for each in page
            ]
        }
        answered = read(_Page, self._http.post_json(_ROUTE, body), _ROUTE).answers
        if [each.device_id for each in answered] != [each.device_id for each in page]:
            raise CaAnswerError(_ROUTE, "it is not one answer for each message, in their order")
        return tuple(_answers(page, answered))


def _answers(page: Sequence[StationMessage], answered: Sequence[_Carried]) -> Iterator[StationMessage]:
    for message, answer in zip(page, answered, strict=True):
        if answer.refused is not None:
            refusal = StationRefusal(**answer.refused.model_dump())
            yield StationMessage(device_id=message.device_id, part=Part.REFUSED, data=refusal.encode())
            continue
        part = ANSWERS[message.part]
        text = answer.challenge if part is Part.CHALLENGE else answer.result
        try:
            data = b64decode(text or "", validate=True)
            _decode(part, data)
        except (Base64Error, ValueError, MessageError) as error:
            raise CaAnswerError(_ROUTE, f"{part} of {message.device_id}: {error}") from error
        yield StationMessage(device_id=message.device_id, part=part, data=data)


def _decode(part: Part, data: bytes) -> None:
    if part is Part.CHALLENGE:
        EnrollmentChallenge.decode(data)
    else:
        EnrollmentResult.decode(data)
