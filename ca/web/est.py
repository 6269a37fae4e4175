"""The EST listener (RFC 7030 as RFC 8951 and RFC 9908 have it): base64 in, base64 out, one label a kind of certificate.

The one rule: what a caller may have is decided in `ca.est`; here are forms only. White space in a body is tolerated (E5),
Content-Transfer-Encoding is neither read nor sent (RFC 8951). serverkeygen and fullcmc are not offered.
"""

from base64 import b64decode, encodebytes
from collections.abc import Sequence

from asn1crypto.core import ObjectIdentifier
from asn1crypto.parser import emit
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from flask import Flask, Response, request

from ca.errors import MalformedMessageError
from ca.est import DEFAULT_LABEL, EST_KINDS, RETRY_AFTER, Est
from ca.key_algorithms import KeyAlgorithm
from ca.profiles import PROFILES, Kind
from ca.web.problems import PROBLEMS
from edge.bodies import binary_body
from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import enforce_access, enrolling
from edge.problems import register_problems
from standards.pki.fingerprints import decode_certificate

PKCS10 = "application/pkcs10"
CERTIFICATES = "application/pkcs7-mime; smime-type=certs-only"
ATTRIBUTES = "application/csrattrs"
EST_BODY_BYTES_MAX = 16 * 1024
PATH = "/.well-known/est"
_EC_PUBLIC_KEY = "1.2.840.10045.2.1"
_CURVES = {KeyAlgorithm.P256: "1.2.840.10045.3.1.7", KeyAlgorithm.P384: "1.3.132.0.34"}
_WHOLE = {KeyAlgorithm.RSA: "1.2.840.113549.1.1.1", KeyAlgorithm.ED25519: "1.3.101.112"}
_SEQUENCE, _SET = 16, 17


def est_app(est: Est) -> Flask:
    """Application of the EST listener."""
    app = Flask("ca.est", static_folder=None)

    def ca_certificates(label: str) -> Response:
        return _certificates(est.ca_certificates(label))

    def enroll(label: str) -> Response:
        made = est.enroll(label, _request())
        if made is None:
            return _later()
        return _certificates([made])

    def renew(label: str) -> Response:
        return _certificates([est.renew(label, _request(), shown=_shown())])

    def csr_attributes(label: str) -> Response:
        est.ca_certificates(label)  # an unknown label is refused like everywhere
        return _base64(attributes_of(EST_KINDS[label]), ATTRIBUTES)

    for operation, method, view in (
        ("cacerts", "GET", ca_certificates),
        ("simpleenroll", "POST", enroll),
        ("simplereenroll", "POST", renew),
        ("csrattrs", "GET", csr_attributes),
    ):
        app.add_url_rule(f"{PATH}/<label>/{operation}", operation, enrolling(view), methods=[method])
        app.add_url_rule(
            f"{PATH}/{operation}", operation, defaults={"label": DEFAULT_LABEL}, methods=[method]
        )
    app.url_map.redirect_defaults = False
    register_problems(app, PROBLEMS)
    enforce_access(app)
    return app


def attributes_of(kind: Kind) -> bytes:
    """CsrAttrs in DER: the keys that this kind may have; nothing else of a request is looked at.

    CsrAttrs ::= SEQUENCE OF CHOICE { oid OBJECT IDENTIFIER, attribute SEQUENCE { type, values SET OF } }
    """
    keys = PROFILES[kind].keys
    curves = sorted(_oid(oid) for algorithm, oid in _CURVES.items() if algorithm in keys)
    parts = [_nested(_SEQUENCE, _oid(_EC_PUBLIC_KEY), _nested(_SET, *curves))]
    parts += [_oid(oid) for algorithm, oid in _WHOLE.items() if algorithm in keys]
    return _nested(_SEQUENCE, *parts)


def _oid(dotted: str) -> bytes:
    der: bytes = ObjectIdentifier(dotted).dump()
    return der


def _nested(tag: int, *parts: bytes) -> bytes:
    der: bytes = emit(0, 1, tag, b"".join(parts))  # universal, constructed
    return der


def _request() -> bytes:
    body = binary_body(PKCS10, bytes_max=EST_BODY_BYTES_MAX)
    try:
        return b64decode(b"".join(body.split()), validate=True)
    except ValueError as error:
        raise MalformedMessageError(
            "not-base64",
            subject="request",
            detail=f"expected a DER PKCS#10 request in base64: {error}",
            remedy="openssl req -outform DER | openssl base64",
        ) from error


def _shown() -> x509.Certificate | None:
    der = request.environ.get(PEER_CERTIFICATE)
    return decode_certificate(der) if isinstance(der, bytes) else None


def _certificates(found: Sequence[x509.Certificate]) -> Response:
    return _base64(pkcs7.serialize_certificates(list(found), Encoding.DER), CERTIFICATES)


def _base64(der: bytes, media_type: str) -> Response:
    answer = Response(encodebytes(der), status=200, content_type=media_type)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _later() -> Response:
    answer = Response(
        b"an administrator has not approved this key yet\n", status=202, content_type="text/plain"
    )
    answer.headers["Retry-After"] = str(int(RETRY_AFTER.total_seconds()))
    answer.headers["Cache-Control"] = "no-store"
    return answer
