"""Typed client of the connectivity credentials' issuer: one method, for the factory.

Rule: refusals come as `edge.http_client.HttpError`; an answer of another shape is a `CcifAnswerError`. The token is not
verified here: the TRE does that, against its own anchors.
"""

from dataclasses import dataclass
from typing import Final

from edge.http_client import HttpClient
from standards.rats.fields import Fields, encode_base64url

CONNECTIVITY_ROUTE: Final = "/v1/connectivity"
_TOKEN_MAX: Final = 1 << 15


class CcifAnswerError(Exception):
    """The CCIF answered with something that is not what this route returns."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        """Keep what was wrong, what was expected and what came."""
        super().__init__(f"answer of the CCIF, {what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedConnectivity:
    """The signed token with the sealed key, to be handed to the TRE, and the PCID in it."""

    token: str
    pcid: str


class CcifClient:
    """The operator listener, with the caller's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def connectivity(self, *, device_id: str, storage_public: bytes) -> IssuedConnectivity:
        """PCID and sealed key for a device's storage key (TPMT_PUBLIC); the same again for the same one (es)."""
        body = {"device_id": device_id, "storage_public": encode_base64url(storage_public)}
        fields = Fields(
            self._http.post_json(CONNECTIVITY_ROUTE, body), what="connectivity", refusal=CcifAnswerError
        )
        issued = IssuedConnectivity(
            token=fields.text("connectivity", size_max=_TOKEN_MAX), pcid=fields.text("pcid", size_max=15)
        )
        fields.close()
        return issued
