"""Items of HTTP, of the high-volume profile (RFC 9919), of nonces (RFC 9654), and of bounds: O19, L1 to L10, N1 to N5, B1."""

from datetime import timedelta
from email.utils import parsedate_to_datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPResponseStatus

from lab.conformance.ocsp_answers import successful
from lab.conformance.subject import RESPONSE_TYPE, SHA1, SHA256, HttpAnswer, Subject
from lab.conformance.verdicts import Item, NotApplicableError, demand

_SPELLINGS = 24
_CERT_IDS = 64


def _o19(subject: Subject) -> str:
    """Serial numbers until base64 holds `+` and `/`, each in both spellings."""
    seen = set[str]()
    for number in range(1, _SPELLINGS):
        request = subject.request_for([int.from_bytes(bytes([0x3F, 0xBF, 0xFE, number]) * 4, "big")])
        for got in (subject.get(request), subject.get(request, escape=str), subject.post(request)):
            demand(got.status == 200, f"HTTP {got.status} for an OCSP answer")  # noqa: PLR2004  # OK
            demand(got.headers.get("content-type") == RESPONSE_TYPE, "another media type")
            demand(got.headers.get("content-length") == str(len(got.body)), "no Content-Length")
            seen.add(ocsp.load_der_ocsp_response(got.body).response_status.name.lower())
    demand(seen == {"successful"}, f"not every spelling is understood: {', '.join(sorted(seen))}")
    return "GET escaped and bare, POST: 200, media type, Content-Length"


def _l1(subject: Subject) -> str:
    for algorithm in (SHA1, SHA256):
        told = successful(subject, subject.request(algorithm=algorithm))
        demand(told.hash_algorithm.name == algorithm.name, f"{algorithm.name} is not answered in kind")
        demand(told.certificate_status is ocsp.OCSPCertStatus.GOOD, f"{algorithm.name}: not good")
    return "SHA-1 and SHA-256 answered in kind"


def _l3(subject: Subject) -> str:
    end = subject.told.next_update_utc
    demand(end is not None, "no nextUpdate")
    return "present"


def _l4(subject: Subject) -> str:
    demand(len(subject.told.extensions) == 0, "response extensions in a cacheable answer")
    return "none"


def _l5(subject: Subject) -> str:
    if subject.signer == subject.issuer:
        return "the CA signs itself"
    demand(len(subject.told.certificates) == 1, f"{len(subject.told.certificates)} certificates")
    return "the delegate's certificate and no other"


def _l6(subject: Subject) -> str:
    other = x509.CertificateBuilder(
        issuer_name=x509.Name([]),
        subject_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody's")]),
        public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
        serial_number=1,
        not_valid_before=subject.clock(),
        not_valid_after=subject.clock() + timedelta(days=1),
    ).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    builder = ocsp.OCSPRequestBuilder().add_certificate(other, other, SHA256)
    from_other = subject.answer(_der(builder))
    demand(
        from_other.response_status is OCSPResponseStatus.UNAUTHORIZED,
        f"about a foreign CA: {from_other.response_status.name.lower()}",
    )
    return "unauthorized about a foreign CA"


def _l8(subject: Subject) -> str:
    got = _fetched(subject)
    told = ocsp.load_der_ocsp_response(got.body)
    for name in ("last-modified", "expires", "etag", "cache-control"):
        demand(name in got.headers, f"no {name}")
    demand(not got.headers["etag"].startswith("W/"), "a weak ETag")
    demand(
        parsedate_to_datetime(got.headers["last-modified"]) == told.this_update_utc,
        "Last-Modified is not thisUpdate",
    )
    demand(parsedate_to_datetime(got.headers["expires"]) == told.next_update_utc, "Expires is not nextUpdate")
    words = {each.strip() for each in got.headers["cache-control"].split(",")}
    demand(
        {"public", "no-transform", "must-revalidate"} <= words,
        f"Cache-Control {got.headers['cache-control']}",
    )
    ages = [int(each.partition("=")[2]) for each in words if each.startswith("max-age=")]
    end = told.next_update_utc
    demand(len(ages) == 1 and end is not None, "no max-age")
    demand(
        end is None or subject.clock() + timedelta(seconds=ages[0] - 2) <= end, "a cache may keep it too long"
    )
    return "all there, and max-age within nextUpdate"


def _l9(subject: Subject) -> str:
    words = _fetched(subject).headers.get("cache-control", "")
    demand("no-cache" not in words and "no-store" not in words, f"Cache-Control {words}")
    return "caches may keep it"


def _l10(subject: Subject) -> str:
    tag = _fetched(subject).headers.get("etag")
    demand(tag is not None, "no ETag to ask with")
    again = subject.get(subject.request().dump(), headers={"If-None-Match": tag or ""})
    demand(again.status == 304 and not again.body, f"HTTP {again.status} to If-None-Match")  # noqa: PLR2004  # Not Modified
    return "304 to If-None-Match"


def _n1(subject: Subject) -> str:
    for size in (1, 32, 128):
        told = successful(subject, subject.nonce_request(subject.random_bytes(size)))
        demand(len(_nonce(told) or b"") == size, f"a nonce of {size} octets does not come back")
    return "1, 32 and 128 octets"


def _n2(subject: Subject) -> str:
    for size in (0, 129):
        answer = subject.answer(subject.nonce_request(bytes(size)))
        demand(
            answer.response_status is OCSPResponseStatus.MALFORMED_REQUEST,
            f"a nonce of {size} octets: {answer.response_status.name.lower()}",
        )
    return "0 and 129 octets are malformed"


def _n4(subject: Subject) -> str:
    del subject
    raise NotApplicableError("it is about clients")


def _n5(subject: Subject) -> str:
    nonce = subject.random_bytes(32)
    got = subject.get(subject.nonce_request(nonce))
    demand(_nonce(ocsp.load_der_ocsp_response(got.body)) == nonce, "it does not come back as it was")
    words = got.headers.get("cache-control", "")
    demand("max-age" not in words or "no-store" in words, f"caches may keep it: {words}")
    demand("etag" not in got.headers, "an ETag on what is for one client")
    return "comes back exactly, in an answer that no cache keeps"


def _b1(subject: Subject) -> str:
    first = 1 << 80
    many = successful(subject, subject.request_for([first + each for each in range(_CERT_IDS)]))
    demand(len(list(many.responses)) == _CERT_IDS, f"{_CERT_IDS} CertIDs are not all answered")
    more = subject.answer(subject.request_for([first + each for each in range(_CERT_IDS + 1)]))
    demand(
        more.response_status is not OCSPResponseStatus.SUCCESSFUL, f"{_CERT_IDS + 1} CertIDs get a signature"
    )
    return f"{_CERT_IDS} CertIDs answered, more refused"


def _fetched(subject: Subject) -> HttpAnswer:
    return subject.get(subject.request().dump())


def _nonce(told: ocsp.OCSPResponse) -> bytes | None:
    for each in told.extensions:
        if isinstance(each.value, x509.OCSPNonce):
            return each.value.nonce
    return None


def _der(builder: ocsp.OCSPRequestBuilder) -> bytes:
    return builder.build().public_bytes(Encoding.DER)


HTTP = (
    Item(name="O19", norm="RFC 6960 app. A", says="GET and POST forms, media types, HTTP 200", judge=_o19),
    *(
        Item(name=name, norm="RFC 9919", says=says, judge=judge)
        for name, says, judge in (
            ("L1", "SHA-1 and SHA-256 CertIDs answered in kind", _l1),
            ("L3", "nextUpdate", _l3),
            ("L4", "no response extensions in cacheable answers", _l4),
            ("L5", "the delegate's certificate in the answer", _l5),
            ("L6", "unauthorized where no authoritative answer is possible", _l6),
            ("L8", "cache header fields agree with the answer", _l8),
            ("L9", "authoritative answers may be cached", _l9),
            ("L10", "conditional GET", _l10),
        )
    ),
    *(
        Item(name=name, norm="RFC 9654", says=says, judge=judge)
        for name, says, judge in (
            ("N1", "nonces of 1 to 128 octets", _n1),
            ("N2", "other lengths are malformed requests", _n2),
            ("N4", "clients send 32 octets", _n4),
            ("N5", "a nonce comes back exactly and is not cached", _n5),
        )
    ),
    Item(name="B1", norm="this project", says="64 CertIDs in a request, no more", judge=_b1),
)
