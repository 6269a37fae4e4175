"""The responder under test: where it is, what may be asked about, and how it is asked.

The one rule: nothing is repaired here. What came back is kept as it came, for the items to judge.
"""

import http.client
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote, urlsplit

from asn1crypto import core
from asn1crypto import ocsp as lax
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from edge.process import Clock, RandomBytes

REQUEST_TYPE = "application/ocsp-request"
RESPONSE_TYPE = "application/ocsp-response"
TIMEOUT_S = 10
ANSWER_BYTES_MAX = 1 << 20
SHA1, SHA256 = hashes.SHA1(), hashes.SHA256()  # noqa: S303  # names, not protection


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What came back; field names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A responder, its issuer, and certificates of that issuer: one good, and where there are any, others.

    `unknown` was never issued, as far as the responder knows. Raises OSError or http.client.HTTPException where
    nobody answers.
    """

    name: str
    url: str
    issuer: x509.Certificate
    good: x509.Certificate
    revoked: x509.Certificate | None = None
    unknown: x509.Certificate | None = None
    clock: Clock = field(repr=False)
    random_bytes: RandomBytes = field(repr=False)

    def request(
        self,
        certificate: x509.Certificate | None = None,
        *,
        algorithm: hashes.HashAlgorithm = SHA256,
        extensions: tuple[tuple[str, bool, bytes], ...] = (),
    ) -> lax.OCSPRequest:
        """A request about one certificate (the good one), with extensions as (OID, critical, value)."""
        builder = ocsp.OCSPRequestBuilder().add_certificate(certificate or self.good, self.issuer, algorithm)
        for oid, critical, value in extensions:
            unread = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
            builder = builder.add_extension(unread, critical=critical)
        return lax.OCSPRequest.load(builder.build().public_bytes(Encoding.DER))

    def request_for(self, serials: list[int]) -> bytes:
        """One request about several serial numbers of the issuer."""
        merged = self.request().copy()
        (first,) = merged["tbs_request"]["request_list"]
        listed = []
        for serial in serials:
            each = first.copy()
            each["req_cert"]["serial_number"] = serial
            listed.append(each)
        merged["tbs_request"]["request_list"] = listed
        return bytes(merged.dump(force=True))

    def nonce_request(self, octets: bytes, *, critical: bool = False) -> bytes:
        """A request about the good certificate with a nonce."""
        value = core.OctetString(octets).dump()
        return bytes(self.request(extensions=(("1.3.6.1.5.5.7.48.1.2", critical, value),)).dump())

    def post(self, body: bytes) -> HttpAnswer:
        """POST to the responder's URL."""
        path = urlsplit(self.url).path or "/"
        return self._ask("POST", path, body=body, headers={"Content-Type": REQUEST_TYPE})

    def get(
        self,
        body: bytes,
        *,
        escape: Callable[[str], str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """GET of the request in base64, URL-encoded unless `escape` does otherwise."""
        encoded = b64encode(body).decode("ascii")
        path = urlsplit(self.url).path.rstrip("/") + "/" + (escape or _all)(encoded)
        return self._ask("GET", path, headers=headers or {})

    def answer(self, body: bytes) -> ocsp.OCSPResponse:
        """The decoded answer to a POST; ValueError where it is no OCSPResponse."""
        return ocsp.load_der_ocsp_response(self.post(body).body)

    @cached_property
    def told(self) -> ocsp.OCSPResponse:
        """The answer to the plainest request, about the good certificate, without a nonce."""
        return self.answer(self.request().dump())

    @cached_property
    def told_lax(self) -> lax.ResponseData:
        """The same as another decoder reads it."""
        return lax.ResponseData.load(self.told.tbs_response_bytes, strict=True)

    @cached_property
    def signer(self) -> x509.Certificate:
        """The certificate that answers verify under: the issuer's own or a delegate's in the answer."""
        for each in (self.issuer, *self.told.certificates):
            key = x509.SubjectKeyIdentifier.from_public_key(each.public_key()).digest
            if self.told.responder_key_hash == key or self.told.responder_name == each.subject:
                return each
        raise ValueError("no certificate in the answer belongs to its responderID")

    def _ask(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> HttpAnswer:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            got = connection.getresponse()
            named = {name.lower(): value for name, value in got.getheaders()}
            return HttpAnswer(status=got.status, headers=named, body=got.read(ANSWER_BYTES_MAX))
        finally:
            connection.close()


def _all(encoded: str) -> str:
    return quote(encoded, safe="")
