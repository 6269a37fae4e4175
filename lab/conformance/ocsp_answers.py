"""Items of RFC 6960 that are judged by what an answer says: O1 to O21."""

from datetime import datetime
from typing import Any

from asn1crypto import core
from asn1crypto import ocsp as lax
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID

from lab.conformance.subject import SHA1, SHA256, Subject
from lab.conformance.verdicts import Item, NotApplicableError, demand

MALFORMED = b"\x30\x03\x0a\x01\x01"
UNKNOWN_OID, BASIC_OID = "1.3.6.1.4.1.32473.1", "1.3.6.1.5.5.7.48.1.1"
ACCEPTABLE, PREFERRED, LOCATOR = ("1.3.6.1.5.5.7.48.1." + end for end in ("4", "8", "7"))
SHA1_ECDSA, SHA1_RSA = "1.2.840.10045.4.1", "1.2.840.113549.1.1.5"
SHA512_ECDSA, SHA512_RSA = "1.2.840.10045.4.3.4", "1.2.840.113549.1.1.13"
_FROM_OUTSIDE = "cannot be seen from outside"


def successful(subject: Subject, request: lax.OCSPRequest | bytes) -> ocsp.OCSPResponse:
    """A successful answer, or NotMetError."""
    data = request if isinstance(request, bytes) else request.dump(force=True)
    answer = subject.answer(data)
    demand(
        answer.response_status is OCSPResponseStatus.SUCCESSFUL,
        f"no status, but {answer.response_status.name.lower()}",
    )
    return answer


def _o1(subject: Subject) -> str:
    request = subject.request().dump()
    for what, data in (("octets of no sense", b"rubbish"), ("a cut request", request[:-1])):
        got = subject.post(data)
        demand(
            got.body == MALFORMED,
            f"{what}: HTTP {got.status} with {len(got.body)} octets, not malformedRequest",
        )
    return "malformedRequest without responseBytes"


def _o2(subject: Subject) -> str:
    signer, told = subject.signer, subject.told
    try:
        _verify(told, signer)
        if signer == subject.issuer:
            return "signed by the CA itself"
        signer.verify_directly_issued_by(subject.issuer)
    except (InvalidSignature, ValueError, TypeError) as error:
        demand(False, f"signature or delegation does not verify: {type(error).__name__}")  # noqa: FBT003
    purposes = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    demand(ExtendedKeyUsageOID.OCSP_SIGNING in purposes, "the delegate lacks the purpose OCSPSigning")
    return "signed by a delegate that the CA issued for OCSPSigning"


def _o3(subject: Subject) -> str:
    del subject
    raise NotApplicableError(f"whether other CAs have other delegates {_FROM_OUTSIDE}")


def _o4(subject: Subject) -> str:
    _verify(subject.told, subject.signer)
    demand(subject.told_lax["version"].native == "v1", "the version is not v1")
    return "basic response, v1, signature over its ResponseData"


def _o5(subject: Subject) -> str:
    serials = [subject.good.serial_number, subject.good.serial_number + 1]
    answered = [each.serial_number for each in successful(subject, subject.request_for(serials)).responses]
    demand(answered == serials, f"asked for 2 certificates, answered {len(answered)}")
    return "one SingleResponse for each of two"


def _o6(subject: Subject) -> str:
    for algorithm in (SHA1, SHA256):
        request = subject.request(algorithm=algorithm)
        asked = request["tbs_request"]["request_list"][0]["req_cert"].dump()
        told = lax.ResponseData.load(successful(subject, request).tbs_response_bytes)
        demand(
            told["responses"][0]["cert_id"].dump() == asked, f"{algorithm.name}: another CertID comes back"
        )
    wrong = subject.request().copy()
    wrong["tbs_request"]["request_list"][0]["req_cert"]["issuer_key_hash"] = bytes(32)
    answer = subject.answer(wrong.dump(force=True))
    if answer.response_status is OCSPResponseStatus.SUCCESSFUL:
        demand(answer.certificate_status is OCSPCertStatus.UNKNOWN, "a wrong key hash is not noticed")
    return "CertIDs come back alike, and both hashes are checked"


def _o7(subject: Subject) -> str:
    signer = subject.signer
    kind = "name" if subject.told.responder_name is not None else "key"
    return f"by {kind}: {'the CA' if signer == subject.issuer else 'its delegate'}"


def _o8(subject: Subject) -> str:
    told, now = subject.told, subject.clock()
    end = told.next_update_utc
    demand(told.this_update_utc <= told.produced_at_utc, "thisUpdate lies after producedAt")
    demand((told.produced_at_utc - now).total_seconds() < 60, "producedAt lies in the future")  # noqa: PLR2004  # clocks differ
    demand(end is None or now < end, "nextUpdate has passed")
    single = subject.told_lax["responses"][0]
    for each in (subject.told_lax["produced_at"], single["this_update"]):
        demand(len(each.contents) == len("20260601120000Z"), "a time has a fraction or no Z")
    return "thisUpdate <= producedAt <= now < nextUpdate, GeneralizedTime with Z"


def _o9(subject: Subject) -> str:
    if subject.unknown is None:
        raise NotApplicableError("no certificate that was never issued is at hand (--unknown)")
    told = successful(subject, subject.request(subject.unknown))
    demand(told.certificate_status is not OCSPCertStatus.GOOD, "good for what was never issued")
    return f"never issued: {told.certificate_status.name.lower()}"


def _o10(subject: Subject) -> str:
    value = core.Null().dump()
    successful(subject, subject.request(extensions=((UNKNOWN_OID, False, value),)))
    critical = subject.answer(subject.request(extensions=((UNKNOWN_OID, True, value),)).dump())
    demand(
        critical.response_status is not OCSPResponseStatus.SUCCESSFUL,
        "an unknown critical extension is ignored",
    )
    return f"unknown critical: {critical.response_status.name.lower()}; unknown other: ignored"


def _o11(subject: Subject) -> str:
    request = subject.request().copy()
    request["tbs_request"]["requestor_name"] = {"directory_name": lax.Name.build({"common_name": "somebody"})}
    signature = core.OctetBitString(subject.random_bytes(64))
    request["optional_signature"] = {
        "signature_algorithm": {"algorithm": "sha256_ecdsa"},
        "signature": signature,
    }
    answer = subject.answer(request.dump(force=True))
    allowed = (
        OCSPResponseStatus.SUCCESSFUL,
        OCSPResponseStatus.SIG_REQUIRED,
        OCSPResponseStatus.UNAUTHORIZED,
    )
    demand(answer.response_status in allowed, f"a signed request: {answer.response_status.name.lower()}")
    return f"a signed request: {answer.response_status.name.lower()}"


def _o12(subject: Subject) -> str:
    both = lax.AcceptableResponses([UNKNOWN_OID, BASIC_OID]).dump()
    successful(subject, subject.request(extensions=((ACCEPTABLE, False, both),)))
    other = lax.AcceptableResponses([UNKNOWN_OID]).dump()
    answer = subject.answer(subject.request(extensions=((ACCEPTABLE, False, other),)).dump())
    demand(
        answer.response_status is not OCSPResponseStatus.SUCCESSFUL,
        "a basic response to a client that takes another type only",
    )
    return "a type that the client does not take is not sent"


def _o13(subject: Subject) -> str:
    if subject.signer == subject.issuer:
        raise NotApplicableError("the CA signs itself")
    found = [each for each in subject.signer.extensions if each.oid == ExtensionOID.OCSP_NO_CHECK]
    demand(bool(found), "the delegate's certificate has no nocheck")
    return "NULL"


def _o14(subject: Subject) -> str:
    cutoff = _single_extension(subject, "archive_cutoff")
    demand(isinstance(cutoff, datetime), "it is no GeneralizedTime")
    return "a GeneralizedTime"


def _o15(subject: Subject) -> str:
    return f"names {', '.join(name for name, value in _single_extension(subject, 'crl').items() if value)}"


def _o16(subject: Subject) -> str:
    if subject.revoked is None:
        raise NotApplicableError("no revoked certificate is at hand (--revoked)")
    told = successful(subject, subject.request(subject.revoked))
    entries = lax.ResponseData.load(told.tbs_response_bytes)["responses"][0]["single_extensions"].native or []
    found = [each for each in entries if each["extn_id"] == "crl_reason"]
    if not found:
        raise NotApplicableError("not said (it is optional)")
    return "reasonCode as in the CRL"


def _o17(subject: Subject) -> str:
    rsa_key = isinstance(subject.signer.public_key(), rsa.RSAPublicKey)
    weak, strong = (SHA1_RSA, SHA512_RSA) if rsa_key else (SHA1_ECDSA, SHA512_ECDSA)
    told = successful(subject, _preferring(subject, weak))
    demand(told.signature_algorithm_oid.dotted_string != weak, "SHA-1 where the client prefers it")
    told = successful(subject, _preferring(subject, strong))
    demand(
        told.signature_algorithm_oid.dotted_string == strong,
        "a stronger hash is not used where it is preferred",
    )
    return "SHA-512 where preferred, never SHA-1"


def _o18(subject: Subject) -> str:
    request = subject.request().copy()
    name = core.Any.load(subject.issuer.subject.public_bytes())
    # under another number first: the library knows no ServiceLocator without a location
    bare = core.ParsableOctetString(core.SequenceOf([name], spec=core.Any).dump())
    extension = {"extn_id": LOCATOR + "9", "critical": False, "extn_value": bare}
    request["tbs_request"]["request_list"][0]["single_request_extensions"] = [extension]
    old, new = (core.ObjectIdentifier(each).dump() for each in (LOCATOR + "9", LOCATOR))
    successful(subject, bytes(request.dump(force=True)).replace(old, new))
    return "tolerated"


def _o20(subject: Subject) -> str:
    try:
        access = subject.good.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        raise NotApplicableError("the certificate at hand names no responder") from None
    named = [each for each in access if each.access_method == AuthorityInformationAccessOID.OCSP]
    demand(bool(named), "the certificate's access information names no OCSP")
    return "the certificate names its responder"


def _o21(subject: Subject) -> str:
    del subject
    raise NotApplicableError(f"the answers of a compromised CA {_FROM_OUTSIDE}")


def _preferring(subject: Subject, oid: str) -> lax.OCSPRequest:
    wish = lax.PreferredSignatureAlgorithms([{"sig_identifier": {"algorithm": oid}}])
    return subject.request(extensions=((PREFERRED, False, wish.dump()),))


def _single_extension(subject: Subject, name: str) -> Any:
    entries = subject.told_lax["responses"][0]["single_extensions"].native or []
    for each in entries:
        if each["extn_id"] == name:
            return each["extn_value"]
    raise NotApplicableError("not said (it is optional)")


def _verify(told: ocsp.OCSPResponse, signer: x509.Certificate) -> None:
    key, digest = signer.public_key(), told.signature_hash_algorithm
    if isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
        key.verify(told.signature, told.tbs_response_bytes, ec.ECDSA(digest))
    elif isinstance(key, rsa.RSAPublicKey) and digest is not None:
        key.verify(told.signature, told.tbs_response_bytes, padding.PKCS1v15(), digest)
    else:
        raise NotApplicableError("neither RSA nor ECDSA")


RFC6960 = tuple(
    Item(name=name, norm="RFC 6960", says=says, judge=judge)
    for name, says, judge in (
        ("O1", "malformed requests get that status and nothing else", _o1),
        ("O2", "signed by the CA or its delegate", _o2),
        ("O3", "one delegate for each CA key", _o3),
        ("O4", "basic response, v1, signature over the ResponseData", _o4),
        ("O5", "one answer for each certificate asked for", _o5),
        ("O6", "CertIDs come back alike, both hashes checked", _o6),
        ("O7", "responderID by key or name", _o7),
        ("O8", "times in order and form", _o8),
        ("O9", "never good for what was never issued", _o9),
        ("O10", "unknown critical extensions refused, others ignored", _o10),
        ("O11", "signed requests accepted", _o11),
        ("O12", "acceptable response types", _o12),
        ("O13", "nocheck in the delegate's certificate", _o13),
        ("O14", "archive cutoff", _o14),
        ("O15", "CRL reference", _o15),
        ("O16", "CRL entry extensions", _o16),
        ("O17", "preferred signature algorithms, above a minimum", _o17),
        ("O18", "service locator tolerated", _o18),
        ("O20", "certificates name their responder", _o20),
        ("O21", "a compromised CA's certificates answered revoked", _o21),
    )
)
