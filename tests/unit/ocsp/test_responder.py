"""The responder from bytes to bytes, its answers read back by two foreign decoders."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import core
from asn1crypto import ocsp as lax
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus as Status
from cryptography.x509.ocsp import OCSPResponseStatus

from edge.database_faults import DatabaseUnavailableError
from ocsp.delegates import DelegateDirectory
from ocsp.judgement import AnswerPolicy, NeverIssued
from ocsp.responder import answer, respond
from standards.pki.fingerprints import ca_id
from tests.fakes.ocsp import (
    FOREIGN,
    GOOD,
    HELD,
    REVOKED,
    REVOKED_AT,
    MemoryStatusStore,
    issuer_with_delegate,
)
from tests.fakes.pki import EXPIRED, NOW, Authority, Validity
from tests.unit.ocsp.asking import (
    BASIC,
    ISSUER,
    LINE,
    OTHER_ISSUER,
    OTHER_LINE,
    ROOT,
    SHA1,
    SHA256,
    STORE,
    ask,
    ask_for_all,
    malformed,
    responded,
    verified,
)


@pytest.mark.check("O4")
@pytest.mark.check("O5")
@pytest.mark.check("O9")
@pytest.mark.check("L1")
@pytest.mark.requirement("R101")
@pytest.mark.parametrize(
    "algorithm", [SHA1, SHA256, hashes.SHA384(), hashes.SHA512()], ids=lambda each: each.name
)
@pytest.mark.parametrize(
    ("serial", "status", "reason"),
    [
        (GOOD, Status.GOOD, None),
        (REVOKED, Status.REVOKED, x509.ReasonFlags.key_compromise),
        (HELD, Status.REVOKED, x509.ReasonFlags.certificate_hold),
        (FOREIGN, Status.UNKNOWN, None),
    ],
)
def test_status_of_a_certificate(
    algorithm: hashes.HashAlgorithm, serial: int, status: Status, reason: x509.ReasonFlags | None
) -> None:
    request = ask(serial, algorithm=algorithm)
    response = verified(responded(request))
    (single,) = list(response.responses)
    assert single.certificate_status is status
    assert single.revocation_reason == reason
    assert single.revocation_time_utc == (REVOKED_AT if reason else None)
    asked = ocsp.load_der_ocsp_request(request)
    assert single.serial_number == serial
    assert (single.issuer_name_hash, single.issuer_key_hash) == (
        asked.issuer_name_hash,
        asked.issuer_key_hash,
    )
    assert single.hash_algorithm.name == algorithm.name


@pytest.mark.check("O7")
@pytest.mark.check("L4")
@pytest.mark.check("L5")
def test_the_delegate_stands_beside_its_answer() -> None:
    response = verified(responded(ask()))
    assert ISSUER.delegate is not None
    assert response.certificates == [ISSUER.delegate.certificate]
    expected = x509.SubjectKeyIdentifier.from_public_key(ISSUER.delegate.key.public_key()).digest
    assert response.responder_key_hash == expected
    assert len(response.extensions) == 0


@pytest.mark.check("O3")
def test_every_ca_key_has_its_own_delegate() -> None:
    verified(responded(ask(issuer=OTHER_LINE)), OTHER_ISSUER)


@pytest.mark.check("O8")
@pytest.mark.check("L3")
def test_times_are_whole_seconds_in_order() -> None:
    now = NOW + timedelta(seconds=20, microseconds=999_999)
    response = responded(ask(), now=now)
    assert response.this_update_utc == NOW
    assert response.produced_at_utc == NOW + timedelta(seconds=20)
    assert response.next_update_utc == NOW + timedelta(minutes=5)
    data = lax.OCSPResponse.load(
        respond(ask(), now=now, status_store=STORE, delegates=DelegateDirectory([ISSUER]))
    )
    produced = data["response_bytes"]["response"].parsed["tbs_response_data"]["produced_at"]
    assert produced.contents == b"20260601120020Z"


@pytest.mark.check("N5")
@pytest.mark.check("N1")
@pytest.mark.parametrize("nonce", [b"\x00", b"n" * 32, b"m" * 128])
def test_a_nonce_is_echoed_exactly(nonce: bytes) -> None:
    response = verified(responded(ask(extensions=[(x509.OCSPNonce(nonce), False)])))
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce


@pytest.mark.negative
@pytest.mark.check("N2")
def test_a_nonce_of_no_or_too_many_octets_or_bare_is_malformed() -> None:
    oid = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.2")
    for value in (b"\x04\x00", b"\x04\x81\x81" + b"x" * 129, b"bare", b"\x04\x01x\x00", b""):
        malformed(ask(extensions=[(x509.UnrecognizedExtension(oid, value), False)]))


@pytest.mark.check("O5")
def test_several_certificates_of_one_issuer() -> None:
    request = ask_for_all(ask(GOOD), ask(REVOKED, algorithm=SHA1), ask(FOREIGN), ask(GOOD))
    response = lax.OCSPResponse.load(
        respond(request, now=NOW, status_store=STORE, delegates=DelegateDirectory([ISSUER]))
    )
    singles = response["response_bytes"]["response"].parsed["tbs_response_data"]["responses"]
    told = [(each["cert_id"]["serial_number"].native, each["cert_status"].name) for each in singles]
    assert told == [(GOOD, "good"), (REVOKED, "revoked"), (FOREIGN, "unknown")]
    asked = [each["req_cert"].dump() for each in lax.OCSPRequest.load(request)["tbs_request"]["request_list"]]
    assert [each["cert_id"].dump() for each in singles] == asked[:3]


def test_certificates_of_several_issuers() -> None:
    stranger = Authority.root("stranger")
    request = ask_for_all(ask(GOOD, issuer=stranger), ask(REVOKED), ask(GOOD, issuer=OTHER_LINE))
    response = verified(responded(request))
    told = [each.certificate_status for each in response.responses]
    assert told == [Status.UNKNOWN, Status.REVOKED, Status.GOOD]


@pytest.mark.check("O6")
@pytest.mark.check("L6")
def test_an_issuer_that_is_not_served_is_unauthorized() -> None:
    namesake = ROOT.subordinate("product line A")  # the name matches, the key does not
    for stranger in (namesake, Authority.root("stranger")):
        assert responded(ask(issuer=stranger)).response_status is OCSPResponseStatus.UNAUTHORIZED
    assert responded(ask(), delegates=DelegateDirectory()).response_status is OCSPResponseStatus.UNAUTHORIZED


def test_an_unknown_digest_in_the_cert_id_is_unauthorized() -> None:
    sha256, sha3 = bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040208")
    assert responded(ask().replace(sha256, sha3)).response_status is OCSPResponseStatus.UNAUTHORIZED


@pytest.mark.check("O9")
def test_never_issued_may_be_answered_revoked() -> None:
    policy = AnswerPolicy(never_issued=NeverIssued.REVOKED)
    response = verified(responded(ask(FOREIGN), policy=policy))
    assert response.certificate_status is Status.REVOKED
    assert response.revocation_reason is x509.ReasonFlags.certificate_hold
    assert response.revocation_time_utc == datetime(1970, 1, 1, tzinfo=UTC)
    extension = response.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.9")).value
    assert isinstance(extension, x509.UnrecognizedExtension)
    assert extension.value == b"\x05\x00"
    assert len(verified(responded(ask(GOOD), policy=policy)).extensions) == 0
    stranger = Authority.root("stranger")
    mixed = verified(responded(ask_for_all(ask(GOOD), ask(FOREIGN, issuer=stranger)), policy=policy))
    assert [each.certificate_status for each in mixed.responses] == [Status.GOOD, Status.UNKNOWN]


@pytest.mark.check("O10")
def test_critical_extensions() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    malformed(ask(extensions=[(unknown, True)]))
    verified(responded(ask(extensions=[(unknown, False)])))


@pytest.mark.check("O12")
def test_a_client_that_takes_the_basic_response_gets_it() -> None:
    for types in ([BASIC], [x509.ObjectIdentifier("1.2.3"), BASIC]):
        acceptable = x509.OCSPAcceptableResponses(types)
        verified(responded(ask(extensions=[(acceptable, True), (x509.OCSPNonce(b"n" * 32), True)])))


@pytest.mark.negative
@pytest.mark.check("O12")
def test_a_client_that_does_not_take_the_basic_response_is_told() -> None:
    malformed(ask(extensions=[(x509.OCSPAcceptableResponses([x509.ObjectIdentifier("1.2.3")]), False)]))
    oid = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.1.4")
    for value in (b"", b"\x30\x00", b"\x05\x00", b"\x30\x03\x02\x01\x01", b"\x30\x80\x00\x00"):
        malformed(ask(extensions=[(x509.UnrecognizedExtension(oid, value), False)]))


@pytest.mark.check("O11")
@pytest.mark.check("O18")
def test_signed_requests_and_service_locators_are_tolerated() -> None:
    request = lax.OCSPRequest.load(ask()).copy()
    tbs = request["tbs_request"]
    tbs["requestor_name"] = {"directory_name": lax.Name.build({"common_name": "somebody"})}
    bare = core.ParsableOctetString(b"\x30\x00")
    locator = lax.RequestExtension({"extn_id": "1.3.6.1.5.5.7.48.1.99", "critical": True, "extn_value": bare})
    tbs["request_list"][0]["single_request_extensions"] = [locator]
    request["optional_signature"] = {
        "signature_algorithm": {"algorithm": "sha256_ecdsa"},
        "signature": core.OctetBitString(b"anything"),
    }
    data = bytes(request.dump(force=True))
    named = data.replace(bytes.fromhex("2b0601050507300163"), bytes.fromhex("2b0601050507300107"))
    assert named != data
    malformed(data)
    verified(responded(named))


@pytest.mark.negative
@pytest.mark.check("O1")
def test_malformed_requests() -> None:
    good = ask()
    for end in range(len(good)):
        malformed(good[:end])
    malformed(good + b"\x00")
    malformed(b"\x30\x80" + good[2:] + b"\x00\x00")
    malformed(b"\x30" * 8192)
    malformed(bytes(8193))
    version = lax.OCSPRequest.load(good).copy()
    version["tbs_request"]["version"] = 1
    malformed(bytes(version.dump(force=True)).replace(b"\x02\x01\x01", b"\x02\x01\x02", 1))
    empty = lax.OCSPRequest.load(good).copy()
    empty["tbs_request"]["request_list"] = []
    malformed(bytes(empty.dump(force=True)))


@pytest.mark.negative
def test_the_number_of_certificates_is_capped() -> None:
    singles = [ask(0x2000 + number) for number in range(65)]
    verified(responded(ask_for_all(*singles[:64])))
    malformed(ask_for_all(*singles))


@pytest.mark.negative
def test_odd_serials_are_unknown() -> None:
    request = lax.OCSPRequest.load(ask()).copy()
    for serial in (0, -1, 1 << 159, 1 << 2000):
        request["tbs_request"]["request_list"][0]["req_cert"]["serial_number"] = serial
        data = lax.OCSPResponse.load(
            respond(
                bytes(request.dump(force=True)),
                now=NOW,
                status_store=STORE,
                delegates=DelegateDirectory([ISSUER]),
            )
        )
        (single,) = data["response_bytes"]["response"].parsed["tbs_response_data"]["responses"]
        assert single["cert_status"].name == "unknown"


@pytest.mark.negative
@pytest.mark.check("O2")
def test_without_a_usable_delegate_later() -> None:
    dying = issuer_with_delegate(LINE, validity=Validity(after=timedelta(seconds=10)))
    for issuer in (replace(ISSUER, delegate=None), issuer_with_delegate(LINE, validity=EXPIRED), dying):
        response = responded(ask(), delegates=DelegateDirectory([issuer]))
        assert response.response_status is OCSPResponseStatus.TRY_LATER


def test_an_answer_does_not_outlive_its_delegate() -> None:
    short = issuer_with_delegate(LINE, validity=Validity(after=timedelta(seconds=90)))
    response = responded(ask(), delegates=DelegateDirectory([short]))
    assert response.next_update_utc == NOW + timedelta(seconds=90)


@pytest.mark.negative
def test_an_old_store_stops_saying_good() -> None:
    policy = AnswerPolicy(feed_age_max=timedelta(minutes=15))
    for age, this_update in [
        (timedelta(0), NOW),
        (timedelta(seconds=150), NOW - timedelta(seconds=150)),
        (timedelta(minutes=14), NOW),
    ]:
        store = replace(STORE, level_at=NOW - age)
        response = verified(responded(ask(), status_store=store, policy=policy))
        assert response.this_update_utc == this_update
        assert response.this_update_utc <= response.produced_at_utc
        assert response.next_update_utc == this_update + timedelta(minutes=5)
    for level in (NOW - timedelta(minutes=15, seconds=1), None):
        store = replace(STORE, level_at=level)
        for serial in (GOOD, HELD, FOREIGN):
            response = responded(ask(serial), status_store=store, policy=policy)
            assert response.response_status is OCSPResponseStatus.TRY_LATER
        final = verified(responded(ask(REVOKED), status_store=store, policy=policy))
        assert final.certificate_status is Status.REVOKED
        together = responded(ask_for_all(ask(REVOKED), ask(GOOD)), status_store=store, policy=policy)
        assert together.response_status is OCSPResponseStatus.TRY_LATER


def test_unknown_lives_shorter_than_good() -> None:
    assert responded(ask(FOREIGN)).next_update_utc == NOW + timedelta(seconds=30)


@pytest.mark.negative
def test_a_broken_store_is_an_internal_error() -> None:
    class Broken(MemoryStatusStore):
        def as_of(self) -> datetime | None:
            raise OSError("disk")

    told = answer(ask(), now=NOW, status_store=Broken(), delegates=DelegateDirectory([ISSUER]))
    assert ocsp.load_der_ocsp_response(told.der).response_status is OCSPResponseStatus.INTERNAL_ERROR
    assert isinstance(told.error, OSError)


@pytest.mark.negative
def test_a_store_that_is_away_for_a_moment_is_asked_again_later() -> None:
    class Away(MemoryStatusStore):
        def as_of(self) -> datetime | None:
            raise DatabaseUnavailableError

    told = answer(ask(), now=NOW, status_store=Away(), delegates=DelegateDirectory([ISSUER]))
    assert ocsp.load_der_ocsp_response(told.der).response_status is OCSPResponseStatus.TRY_LATER


@pytest.mark.negative
def test_lifetimes_beyond_five_minutes_are_refused() -> None:
    with pytest.raises(ValueError, match="lifetime"):
        AnswerPolicy(lifetime=timedelta(minutes=5, seconds=1))
    with pytest.raises(ValueError, match="lifetime"):
        AnswerPolicy(unknown_lifetime=timedelta(seconds=1))


def test_issuers_are_known_by_the_digest_of_their_key() -> None:
    assert ISSUER.ca_id == ca_id(LINE.certificate)


@pytest.mark.negative
@pytest.mark.check("O21")
def test_every_certificate_of_a_compromised_ca_is_revoked() -> None:
    policy = AnswerPolicy(compromised={ca_id(LINE.certificate): NOW - timedelta(hours=3)})
    for store in (STORE, replace(STORE, level_at=None)):
        for serial in (GOOD, HELD, FOREIGN):
            response = verified(responded(ask(serial), policy=policy, status_store=store))
            assert response.certificate_status is Status.REVOKED
            assert response.revocation_reason is x509.ReasonFlags.ca_compromise
            assert response.revocation_time_utc == NOW - timedelta(hours=3)
            assert len(response.extensions) == 0
    other = verified(responded(ask(issuer=OTHER_LINE), policy=policy), OTHER_ISSUER)
    assert other.certificate_status is Status.GOOD
    before = verified(responded(ask(REVOKED), policy=policy))
    assert before.revocation_reason is x509.ReasonFlags.key_compromise
