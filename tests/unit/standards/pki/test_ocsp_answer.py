"""OCSP answers as a relying party takes them: each check refuses an answer right in every other respect."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ocsp.delegates import Delegate, DelegateDirectory
from ocsp.responder import respond
from ocsp.responses import SingleResponse, Told, basic_response, error_response
from standards.pki import oids
from standards.pki.crl import RevocationReason
from standards.pki.errors import DecodeError, PkiError, RevocationError
from standards.pki.fingerprints import ca_id
from standards.pki.ocsp import ResponseStatus, build_request, decode_request
from standards.pki.ocsp_answer import CertStatus, OcspRefusalError, StatusKind, verify_response
from tests.fakes.ocsp import (
    DELEGATE_EXTENSIONS,
    FOREIGN,
    GOOD,
    HELD,
    REVOKED,
    REVOKED_AT,
    issuer_with_delegate,
    store_for,
)
from tests.fakes.pki import EXPIRED, LEAF_USAGE, NOW, Authority, Extensions, Validity, key_usage, p256

ROOT = Authority.root()
LINE = ROOT.subordinate("product line")
OTHER = ROOT.subordinate("other line")
ISSUER = issuer_with_delegate(LINE)
NONCE = bytes(range(32))
KEY = p256()


def request_for(serial: int = GOOD, *, issuer: Authority = LINE, nonce: bytes = NONCE) -> Any:
    certificate = issuer.issue("leaf", key=KEY.public_key(), serial=serial)
    return build_request(certificate, issuer.certificate, nonce=nonce)


REQUEST = request_for()


def verify(data: bytes, **changed: Any) -> CertStatus:
    named: dict[str, Any] = {"request": REQUEST, "issuer": LINE.certificate, "at": NOW, **changed}
    return verify_response(data, **named)


def delegate(issuer: Authority = LINE, **changed: Any) -> Delegate:
    named: dict[str, Any] = {"eku": oids.EKU_OCSP_SIGNING, "extensions": DELEGATE_EXTENSIONS, **changed}
    return Delegate(certificate=issuer.issue("delegate", key=KEY.public_key(), **named), key=KEY)


def forged(signer: Delegate | None = None, **changed: Any) -> bytes:
    """An answer of a signer's choosing."""
    single: dict[str, Any] = {"cert_id": REQUEST.cert_ids[0], "extensions": b""}
    told: dict[str, Any] = {
        "known": True,
        "revocation": None,
        "this_update": NOW,
        "next_update": NOW + timedelta(minutes=5),
    }
    whole: dict[str, Any] = {"delegate": signer or delegate(), "produced_at": NOW, "nonce": NONCE}
    for name, value in changed.items():
        (told if name in told else single if name in single else whole)[name] = value
    return basic_response([SingleResponse(told=Told(**told), **single)], **whole)


@pytest.mark.check("N4")
@pytest.mark.parametrize(
    ("serial", "kind", "reason"),
    [
        (GOOD, StatusKind.GOOD, None),
        (REVOKED, StatusKind.REVOKED, RevocationReason.KEY_COMPROMISE),
        (HELD, StatusKind.REVOKED, RevocationReason.CERTIFICATE_HOLD),
        (FOREIGN, StatusKind.UNKNOWN, None),
    ],
)
def test_statuses(serial: int, kind: StatusKind, reason: RevocationReason | None) -> None:
    request = request_for(serial)
    assert request.nonce == NONCE
    data = respond(request.der, now=NOW, status_store=store_for(LINE), delegates=DelegateDirectory([ISSUER]))
    status = verify(data, request=request)
    assert (status.kind, status.this_update, status.raw) == (kind, NOW, data)
    assert (status.revocation.reason if status.revocation else None) == reason
    assert (status.revocation.at if status.revocation else None) == (REVOKED_AT if reason else None)


def test_an_answer_signed_by_the_issuer_itself() -> None:
    own = Delegate(certificate=LINE.certificate, key=LINE.key)
    assert verify(forged(own)).kind is StatusKind.GOOD


def test_an_answer_of_foreign_make_by_name() -> None:
    certificate = LINE.issue("leaf", key=KEY.public_key(), serial=GOOD)
    years = timedelta(days=3650)
    signer = delegate(validity=Validity(before=years, after=years))
    good = ocsp.OCSPCertStatus.GOOD
    builder = ocsp.OCSPResponseBuilder().add_response(
        certificate, LINE.certificate, hashes.SHA256(), good, NOW - years, NOW + years, None, None
    )
    built = (
        builder.responder_id(ocsp.OCSPResponderEncoding.NAME, signer.certificate)
        .certificates([signer.certificate])
        .add_extension(x509.OCSPNonce(NONCE), critical=False)
        .sign(KEY, hashes.SHA256())
    )
    # The library dates producedAt with the machine's clock.
    assert verify(built.public_bytes(Encoding.DER), at=built.produced_at_utc).kind is StatusKind.GOOD


def by_ed25519(*, changed: bool = False) -> tuple[bytes, datetime]:
    """An answer of an Ed25519 delegate, and when the library says that it was made."""
    key = ed25519.Ed25519PrivateKey.generate()
    years = timedelta(days=3650)
    signer = LINE.issue(
        "delegate",
        key=key.public_key(),  # type: ignore[arg-type]  # the fake's own CAs have EC keys
        eku=oids.EKU_OCSP_SIGNING,
        extensions=DELEGATE_EXTENSIONS,
        validity=Validity(before=years, after=years),
    )
    leaf = LINE.issue("leaf", key=KEY.public_key(), serial=GOOD)
    good = ocsp.OCSPCertStatus.GOOD
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf, LINE.certificate, hashes.SHA256(), good, NOW - years, NOW + years, None, None
    )
    built = (
        builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
        .certificates([signer])
        .add_extension(x509.OCSPNonce(NONCE), critical=False)
        .sign(key, None)
    )
    der = built.public_bytes(Encoding.DER)
    if changed:
        altered = bytes([built.signature[0] ^ 1]) + built.signature[1:]
        der = der.replace(built.signature, altered)
    return der, built.produced_at_utc


def test_an_answer_of_an_ed25519_delegate() -> None:
    der, made_at = by_ed25519()
    assert verify(der, at=made_at).kind is StatusKind.GOOD
    altered, made_at = by_ed25519(changed=True)
    with pytest.raises(RevocationError, match="not that of its responder"):
        verify(altered, at=made_at)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: forged(nonce=None), "nonce"),
        (lambda: forged(nonce=bytes(32)), "nonce"),
        (
            lambda: forged(this_update=NOW + timedelta(minutes=2), produced_at=NOW + timedelta(minutes=2)),
            "current",
        ),
        (lambda: forged(this_update=NOW - timedelta(hours=1), next_update=NOW), "current"),
        (lambda: forged(produced_at=NOW - timedelta(seconds=1)), "current"),
        (lambda: forged(cert_id=request_for(REVOKED).cert_ids[0]), "another certificate"),
        (lambda: forged(cert_id=request_for(issuer=OTHER).cert_ids[0]), "another certificate"),
        (lambda: forged(delegate(OTHER)), "not delegated"),
        (lambda: forged(delegate(Authority.root("product line"))), "not delegated"),
        (lambda: forged(delegate(eku=oids.EKU_SERVER_AUTH)), "OCSPSigning"),
        (lambda: forged(delegate(eku=oids.EKU_ANY)), "OCSPSigning"),
        (lambda: forged(delegate(extensions=[(LEAF_USAGE, True)])), "nocheck"),
        (lambda: forged(delegate(validity=EXPIRED)), "not in time"),
        (lambda: forged(replace(delegate(), key=p256())), "not in the answer"),
    ],
)
def test_answers_that_say_nothing(make: Callable[[], bytes], words: str) -> None:
    with pytest.raises(RevocationError, match=words):
        verify(make())


@pytest.mark.negative
def test_a_delegate_whose_key_is_not_for_signing() -> None:
    usage = key_usage("content_commitment")
    extensions: Extensions = [(usage, True), (x509.OCSPNoCheck(), False)]
    with pytest.raises(RevocationError, match="digitalSignature"):
        verify(forged(delegate(extensions=extensions)))


@pytest.mark.negative
def test_a_delegate_that_was_proven_before_ends_with_its_time() -> None:
    signer = delegate(validity=Validity(before=timedelta(hours=1), after=timedelta(hours=1)))
    assert verify(forged(signer)).kind is StatusKind.GOOD
    late = NOW + timedelta(hours=2)
    answer = forged(signer, this_update=late, produced_at=late, next_update=late + timedelta(minutes=5))
    with pytest.raises(RevocationError, match="not in time"):
        verify(answer, at=late)


@pytest.mark.negative
def test_the_request_has_to_be_about_this_issuer_and_carry_a_nonce() -> None:
    with pytest.raises(RevocationError, match="not about a certificate of this issuer"):
        verify(forged(delegate(OTHER)), issuer=OTHER.certificate)
    with pytest.raises(DecodeError, match="nonce"):
        verify(forged(), request=replace(REQUEST, nonce=None))
    with pytest.raises(DecodeError, match="nonce"):
        request_for(nonce=b"short")


@pytest.mark.negative
@pytest.mark.check("O1")
@pytest.mark.parametrize("status", [each for each in ResponseStatus if each is not ResponseStatus.SUCCESSFUL])
def test_error_statuses_are_refusals(status: ResponseStatus) -> None:
    with pytest.raises(OcspRefusalError) as caught:
        verify(error_response(status))
    assert caught.value.status is status


@pytest.mark.negative
def test_every_prefix_suffix_and_changed_byte() -> None:
    data = forged()
    assert verify(data).kind is StatusKind.GOOD
    for end in range(len(data)):
        with pytest.raises(PkiError):
            verify(data[:end])
    with pytest.raises(PkiError):
        verify(data + b"\x00")
    with pytest.raises(DecodeError):
        verify(bytes(70000))
    accepted = []
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        try:
            accepted.append((at, verify(bytes(changed)).kind))
        except PkiError:
            continue
    # Unsigned octets may vary (the certificate beside the answer is checked as a certificate, by its own signature),
    # but nothing that was said: whatever is still accepted says what was signed.
    assert {kind for _, kind in accepted} <= {StatusKind.GOOD}
    assert len(accepted) <= 2


def test_issuers_have_one_name_in_requests_and_in_the_store() -> None:
    assert decode_request(REQUEST.der).cert_ids == REQUEST.cert_ids
    assert ISSUER.ca_id == ca_id(LINE.certificate)
