"""Typed client of a visited network: attach with a provisional identity, answer its challenge, get a bearer.

Rule: refusals come as `edge.http_client.HttpError`; an answer of another shape is a `VnoAnswerError`. The network is
trusted with nothing but forwarding: whether it is one that the home network knows, the USIM finds out from AUTN.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from edge.http_client import HttpClient
from messages.bearer import Bearer, read_bearer
from standards.aka.functions import RAND_SIZE
from standards.aka.vectors import AUTN_SIZE
from standards.rats.fields import Fields

ATTACH_ROUTE: Final = "/v1/attach"


class VnoAnswerError(Exception):
    """The VNO answered with something that is not what this route returns."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        """Keep what was wrong, what was expected and what came."""
        super().__init__(f"answer of the VNO, {what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class AkaChallenge:
    """What the USIM is to answer: `rand`, `autn` 16 bytes each."""

    session: str
    rand: bytes
    autn: bytes


class VnoClient:
    """The radio side."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the attach listener that `http` points at."""
        self._http = http

    def attach(self, identity: str) -> AkaChallenge:
        """Claim an identity (NAI with the PCID)."""
        return _challenge(self._http.post_json(ATTACH_ROUTE, {"identity": identity}))

    def respond(self, session: str, *, res: bytes) -> Bearer:
        """Answer the challenge of a session, which ends with this, and get the bearer."""
        answer = self._http.post_json(_path(session), {"res": res.hex()})
        fields = Fields(answer, what="attachment", refusal=VnoAnswerError)
        bearer = read_bearer(fields.nested("bearer"), refusal=VnoAnswerError)
        fields.close()
        return bearer

    def resynchronise(self, session: str, *, auts: bytes) -> AkaChallenge:
        """Hand over a USIM's AUTS and get a new challenge; once an attachment."""
        return _challenge(self._http.post_json(_path(session), {"auts": auts.hex()}))


def _path(session: str) -> str:
    return f"{ATTACH_ROUTE}/{quote(session, safe='')}"


def _challenge(answer: object) -> AkaChallenge:
    fields = Fields(answer, what="challenge", refusal=VnoAnswerError)
    challenge = AkaChallenge(
        session=fields.text("session", size_max=64),
        rand=fields.hex("rand", size_min=RAND_SIZE, size_max=RAND_SIZE),
        autn=fields.hex("autn", size_min=AUTN_SIZE, size_max=AUTN_SIZE),
    )
    fields.close()
    return challenge
