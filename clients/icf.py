"""Typed client of the initial connectivity function: one method a route.

Rule: refusals come as `edge.http_client.HttpError`; an answer of another shape is an `IcfAnswerError`. Vectors are
secrets of subscriber and network: none is ever shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from edge.http_client import HttpClient
from standards.aka.functions import RAND_SIZE
from standards.aka.milenage import KEY_SIZE, RES_SIZE, MilenageKey
from standards.aka.vectors import AUTN_SIZE, AuthenticationVector
from standards.rats.fields import Fields

VECTORS_ROUTE: Final = "/v1/authentication-vectors"
ATTACHMENTS_ROUTE: Final = "/v1/attachments"
VECTORS_MAX: Final = 8
DESTINATIONS_MAX: Final = 64
_DESTINATION_MAX: Final = 300


class IcfAnswerError(Exception):
    """The ICF answered with something that is not what this route returns."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        """Keep what was wrong, what was expected and what came."""
        super().__init__(f"answer of the ICF, {what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class Resynchronisation:
    """What a USIM answered to a RAND that it refused: `rand` 16, `auts` 14 bytes."""

    rand: bytes
    auts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerTerms:
    """What a PCID may reach, for how long: `destinations` are host:port, `quota_bytes` both directions together."""

    apn: str
    destinations: tuple[str, ...]
    quota_bytes: int
    life_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorBatch:
    """Vectors, to be used in this order, and the terms of the bearer that they open."""

    vectors: tuple[AuthenticationVector, ...]
    bearer: BearerTerms


class IcfClient:
    """The operator listener, with the caller's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def authentication_vectors(
        self, pcid: str, *, serving_network: str, resynchronisation: Resynchronisation | None = None
    ) -> VectorBatch:
        """Fresh vectors of a PCID, for the caller's own network (vno)."""
        body: dict[str, Any] = {"pcid": pcid, "serving_network": serving_network}
        if resynchronisation is not None:
            body["resynchronisation"] = {
                "rand": resynchronisation.rand.hex(),
                "auts": resynchronisation.auts.hex(),
            }
        return read_batch(self._http.post_json(VECTORS_ROUTE, body))

    def attached(self, pcid: str, *, serving_network: str, rand: bytes, expires_at: datetime) -> None:
        """Say that a PCID is attached until `expires_at`, by the vector with this RAND (vno)."""
        body = {
            "pcid": pcid,
            "serving_network": serving_network,
            "rand": rand.hex(),
            "expires_at": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}",
        }
        self._http.post_json(ATTACHMENTS_ROUTE, body)

    def put_subscriber(self, pcid: str, *, key: MilenageKey, amf: bytes, bearer: BearerTerms) -> bool:
        """Hand over the subscriber of a PCID (ccif); True when it is new. The same again changes nothing."""
        body = {
            "k": key.k.hex(),
            "opc": key.opc.hex(),
            "amf": amf.hex(),
            "apn": bearer.apn,
            "destinations": list(bearer.destinations),
            "quota_bytes": bearer.quota_bytes,
            "life_s": bearer.life_s,
        }
        created = 201
        return self._http.put_json(f"/v1/subscribers/{quote(pcid, safe='')}", body).status == created


def read_batch(answer: object) -> VectorBatch:
    """Vectors and terms of an answer. Raises IcfAnswerError; a bearer without an APN is none (R89)."""
    fields = Fields(answer, what="vectors", refusal=IcfAnswerError)
    terms = fields.nested("bearer")
    rows: Sequence[object] = fields.items("vectors", size_min=1, size_max=VECTORS_MAX)
    batch = VectorBatch(
        vectors=tuple(_vector(row, number) for number, row in enumerate(rows)),
        bearer=BearerTerms(
            apn=terms.text("apn", size_max=100),
            destinations=_destinations(terms),
            quota_bytes=terms.integer("quota_bytes", low=1),
            life_s=terms.integer("life_s", low=1),
        ),
    )
    terms.close()
    fields.close()
    return batch


def _destinations(terms: Fields) -> tuple[str, ...]:
    texts = terms.texts("destinations", size_min=1, size_max=DESTINATIONS_MAX)
    if any(len(text) > _DESTINATION_MAX for text in texts):
        raise IcfAnswerError("bearer.destinations", "host:port", "a longer text")
    return texts


def _vector(row: object, number: int) -> AuthenticationVector:
    fields = Fields(row, what=f"vectors.{number}", refusal=IcfAnswerError)
    vector = AuthenticationVector(
        rand=fields.hex("rand", size_min=RAND_SIZE, size_max=RAND_SIZE),
        autn=fields.hex("autn", size_min=AUTN_SIZE, size_max=AUTN_SIZE),
        xres=fields.hex("xres", size_min=RES_SIZE, size_max=RES_SIZE),
        ck=fields.hex("ck", size_min=KEY_SIZE, size_max=KEY_SIZE),
        ik=fields.hex("ik", size_min=KEY_SIZE, size_max=KEY_SIZE),
    )
    fields.close()
    return vector
