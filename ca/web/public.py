"""Public plain HTTP: CRLs and CA certificates (RFC 5280, 4.2.1.13 and 4.2.2.1); nothing depends on who asks."""

from collections.abc import Callable
from hashlib import sha256

from flask import Flask, request
from werkzeug.wrappers import Response

from ca.errors import NotFoundError
from ca.records import RevocationList
from ca.web.problems import PROBLEMS
from edge.principals import enforce_access, public
from edge.problems import register_problems
from edge.process import Clock

PKIX_CRL = "application/pkix-crl"
PKIX_CERT = "application/pkix-cert"
CERTIFICATE_AGE_S = 3600
LIST_AGE_S = 60


def public_app(
    *,
    newest_list: Callable[[str], RevocationList],
    certificate_of: Callable[[str], bytes | None],
    clock: Clock,
) -> Flask:
    """Application of the public listener.

    `newest_list` raises NotFoundError for a CA without CRL; `certificate_of` gives DER, or None.
    """
    app = Flask("ca.public", static_folder=None)

    @app.get("/crl/<ca_id>.crl")
    @public
    def revocation_list(ca_id: str) -> Response:
        found = newest_list(ca_id)
        left_s = max(0, int((found.next_update - clock()).total_seconds()))
        # a new list may appear at any moment: caches ask again soon, and get 304 most of the time
        answer = _answer(found.der, PKIX_CRL, age_s=min(left_s, LIST_AGE_S))
        answer.last_modified = found.this_update
        return _conditional(answer)

    @app.get("/ca/<ca_id>.cer")
    @public
    def certificate(ca_id: str) -> Response:
        der = certificate_of(ca_id)
        if der is None:
            raise NotFoundError(
                "no-such-ca",
                subject=ca_id[:64],
                detail="there is no CA with this id here, or it has no certificate yet",
                remedy="use the caIssuers URL of the certificate",
            )
        return _conditional(_answer(der, PKIX_CERT, age_s=CERTIFICATE_AGE_S))

    register_problems(app, PROBLEMS)
    enforce_access(app)
    return app


def _answer(der: bytes, media_type: str, *, age_s: int) -> Response:
    answer = Response(der, content_type=media_type)
    answer.set_etag(sha256(der).hexdigest())
    answer.headers["Cache-Control"] = f"max-age={age_s}, public, no-transform, must-revalidate"
    return answer


def _conditional(answer: Response) -> Response:
    """304 where the caller has it already; the server below writes the Date itself."""
    answer.make_conditional(request)
    del answer.headers["Date"]
    return answer
