"""Requests as foreign clients build them, and the responder's answers as a foreign decoder reads them."""

from collections.abc import Sequence
from typing import Any

from asn1crypto import ocsp as lax
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPResponseStatus

from ocsp.delegates import DelegateDirectory, Issuer
from ocsp.responder import respond
from tests.fakes.ocsp import (
    GOOD,
    issuer_with_delegate,
    store_for,
)
from tests.fakes.pki import NOW, Authority, p256

ROOT = Authority.root()
LINE = ROOT.subordinate("product line A")
OTHER_LINE = ROOT.subordinate("product line B")
ISSUER = issuer_with_delegate(LINE)
OTHER_ISSUER = issuer_with_delegate(OTHER_LINE)
STORE = store_for(LINE, OTHER_LINE)
BASIC = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.1")
PREFERRED = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.8")
SHA1, SHA256 = hashes.SHA1(), hashes.SHA256()  # noqa: S303  # names, not protection


def ask(
    serial: int = GOOD,
    *,
    issuer: Authority = LINE,
    algorithm: hashes.HashAlgorithm = SHA256,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    certificate = issuer.issue("leaf", key=p256().public_key(), serial=serial)
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer.certificate, algorithm)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.build().public_bytes(Encoding.DER)


def ask_for_all(*single: bytes) -> bytes:
    """One request for the certificates of several."""
    merged = lax.OCSPRequest.load(single[0]).copy()
    for each in single[1:]:
        merged["tbs_request"]["request_list"].append(
            lax.OCSPRequest.load(each)["tbs_request"]["request_list"][0]
        )
    return bytes(merged.dump(force=True))


def responded(request: bytes, **changed: Any) -> ocsp.OCSPResponse:
    named: dict[str, Any] = {
        "now": NOW,
        "status_store": STORE,
        "delegates": DelegateDirectory([ISSUER, OTHER_ISSUER]),
        **changed,
    }
    der = respond(request, **named)
    lax.OCSPResponse.load(der, strict=True)
    return ocsp.load_der_ocsp_response(der)


def verified(response: ocsp.OCSPResponse, issuer: Issuer = ISSUER) -> ocsp.OCSPResponse:
    assert response.response_status is OCSPResponseStatus.SUCCESSFUL
    assert issuer.delegate is not None
    issuer.delegate.key.public_key().verify(response.signature, response.tbs_response_bytes, ec.ECDSA(SHA256))
    return response


def malformed(request: bytes) -> None:
    response = responded(request)
    assert response.response_status is OCSPResponseStatus.MALFORMED_REQUEST
