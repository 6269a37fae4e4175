"""Keys that sign results, approvals of states and trust lists: two administrators register one, and nothing goes round that."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ca.callers import Caller
from ca.errors import ConflictError, InvalidInputError, NotFoundError
from ca.key_registrations import KeyProposal
from ca.profiles import BY_TWO, OPERATOR_ROLES, Kind
from ca.records import EstEnrollment, EstState
from edge.dual_control import APPROVAL_LIFE
from standards.pki.extensions import OperatorRole, Requester
from standards.pki.fingerprints import spki_sha256
from tests.fakes.ca import ADMIN, SECOND, CaHouse, csr_for
from tests.fakes.pki import p256

RESULT = Kind.ATTESTATION_RESULT
DEPENDENT = replace(SECOND, issued_at_request_of=(Requester(name=ADMIN.name, key_sha256=ADMIN.key_sha256),))

pytestmark = [pytest.mark.requirement("R75")]


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.hierarchy.make_root(Kind.OPERATORS_ROOT)
    return made


@pytest.fixture
def house(founded: CaHouse) -> CaHouse:
    return founded.copy()


def wanted(key: ec.EllipticCurvePrivateKey, *, kind: Kind = RESULT, name: str = "pva-1") -> EstEnrollment:
    return EstEnrollment(
        kind=kind,
        spki_sha256=spki_sha256(key.public_key()),
        state=EstState.REGISTERED,
        since=CaHouse().clock(),
        name=name,
        role=min(OPERATOR_ROLES[kind]),
    )


def enroll(house: CaHouse, key: ec.EllipticCurvePrivateKey, kind: Kind = RESULT) -> x509.Certificate | None:
    request = x509.load_pem_x509_csr(csr_for(key).encode()).public_bytes(Encoding.DER)
    return house.est.enroll(str(kind), request)


def certify(
    house: CaHouse, key: ec.EllipticCurvePrivateKey, caller: Caller, *, name: str = "pva-1", role: str = "pva"
) -> x509.Certificate | KeyProposal:
    return house.key_registrations.certify(RESULT, role=role, service=name, csr=csr_for(key), caller=caller)


def reason_of(act: Callable[[], object]) -> str:
    with pytest.raises(ConflictError) as caught:
        act()
    return caught.value.reason


def trail(house: CaHouse, kind: str) -> list[dict[str, object]]:
    return [record for each, _, record in house.audit_trail() if each == kind]


@pytest.mark.parametrize("kind", sorted(BY_TWO))
def test_two_register_it_and_it_is_certified_once(house: CaHouse, kind: Kind) -> None:
    key, keys = p256(), house.key_registrations
    assert enroll(house, key, kind) is None
    waiting = keys.register(wanted(key, kind=kind), caller=ADMIN)
    assert not waiting.is_registered
    assert enroll(house, key, kind) is None
    assert [each.digest for each in keys.waiting()] == [waiting.digest]
    done = keys.approve(waiting.digest, caller=SECOND)
    assert done.is_registered
    assert keys.waiting() == []
    made = enroll(house, key, kind)
    assert made is not None
    assert OperatorRole.of(made) == OperatorRole(role=min(OPERATOR_ROLES[kind]), id="pva-1")
    assert enroll(house, key, kind) == made
    # used up: neither the words nor the digest register it again
    assert reason_of(lambda: keys.register(wanted(key, kind=kind), caller=ADMIN)) == "key-registered-already"
    with pytest.raises(NotFoundError):
        keys.approve(waiting.digest, caller=ADMIN)
    assert [(each["by"], each["registered"]) for each in trail(house, "est-key-approved")] == [
        ("admin", False),
        ("admin-2", True),
    ]
    assert [each["by"] for each in trail(house, "est-key-registered")] == ["admin, admin-2"]


def test_either_of_two_gets_the_certificate_for_the_request(house: CaHouse) -> None:
    key = p256()
    waiting = certify(house, key, ADMIN)
    assert isinstance(waiting, KeyProposal)
    made = certify(house, key, SECOND)
    assert isinstance(made, x509.Certificate)
    assert made.public_key() == key.public_key()
    # who was first gets the same one, and so does who asks again
    assert certify(house, key, ADMIN) == made
    other = p256()
    first = certify(house, other, ADMIN)
    assert isinstance(first, KeyProposal)
    house.key_registrations.approve(first.digest, caller=SECOND)
    assert isinstance(certify(house, other, ADMIN), x509.Certificate)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (ADMIN, "approver-not-another"),
        (replace(SECOND, key_sha256=ADMIN.key_sha256), "approver-not-another"),
        (DEPENDENT, "approver-not-independent"),
        (replace(SECOND, issued_at_request_of=None), "approver-origin-unknown"),
    ],
    ids=["the same", "the same key", "whom the first had certified", "nobody knows"],
)
def test_one_administrator_registers_none(house: CaHouse, second: Caller, reason: str) -> None:
    key, keys = p256(), house.key_registrations
    waiting = keys.register(wanted(key), caller=ADMIN)
    assert reason_of(lambda: keys.register(wanted(key), caller=second)) == reason
    assert reason_of(lambda: keys.approve(waiting.digest, caller=second)) == reason
    assert reason_of(lambda: certify(house, key, second)) == reason
    assert enroll(house, key) is None
    assert trail(house, "est-key-registered") == []


@pytest.mark.negative
@pytest.mark.parametrize("kind", sorted(BY_TWO))
def test_no_request_of_one_goes_round_it(house: CaHouse, kind: Kind) -> None:
    role = min(OPERATOR_ROLES[kind])
    for name in ("pva-1", "pva-2"):
        with pytest.raises(ConflictError) as caught:
            house.certification.certify_operator(role, service=name, purpose=str(kind), csr=csr_for(p256()))
        assert (caught.value.reason, "pva est approve" in caught.value.remedy) == (
            "two-administrators-needed",
            True,
        )


@pytest.mark.negative
def test_what_differs_is_another_proposal(house: CaHouse) -> None:
    key, keys = p256(), house.key_registrations
    certify(house, key, ADMIN)
    assert not keys.register(wanted(key, name="pva-2"), caller=SECOND).is_registered
    assert not keys.register(wanted(key, kind=Kind.STATE_APPROVAL), caller=SECOND).is_registered
    assert not keys.register(wanted(p256()), caller=SECOND).is_registered
    assert enroll(house, key) is None
    assert len(keys.waiting()) == 4
    # what both said is registered; the request then gets that, and nothing else
    assert isinstance(certify(house, key, SECOND), x509.Certificate)
    assert reason_of(lambda: certify(house, key, SECOND, name="pva-2")) == "key-registered-already"


@pytest.mark.negative
def test_an_approval_waits_a_day_and_can_be_taken_back(house: CaHouse) -> None:
    key, keys = p256(), house.key_registrations
    waiting = keys.register(wanted(key), caller=ADMIN)
    house.clock.advance(seconds=APPROVAL_LIFE / timedelta(seconds=1) + 1)
    assert keys.waiting() == []
    assert not keys.approve(waiting.digest, caller=SECOND).is_registered
    keys.withdraw(waiting.digest, caller=ADMIN)
    with pytest.raises(NotFoundError):
        keys.withdraw(waiting.digest, caller=ADMIN)
    with pytest.raises(NotFoundError):
        keys.approve(waiting.digest, caller=ADMIN)
    assert not keys.register(wanted(key), caller=ADMIN).is_registered
    assert [each["by"] for each in trail(house, "est-key-withdrawn")] == ["admin"]


@pytest.mark.negative
def test_a_role_gets_its_own_purposes_only(house: CaHouse) -> None:
    with pytest.raises(InvalidInputError):
        certify(house, p256(), ADMIN, role="dpf")
    with pytest.raises(InvalidInputError):
        house.key_registrations.register(replace(wanted(p256()), role="sho"), caller=ADMIN)
    assert house.key_registrations.waiting() == []


@pytest.mark.negative
def test_a_request_without_its_key_is_refused(house: CaHouse) -> None:
    key = p256()
    house.register(wanted(key))
    forged = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    broken = bytearray(forged.public_bytes(Encoding.DER))
    broken[-1] ^= 1
    request = x509.load_der_x509_csr(bytes(broken)).public_bytes(Encoding.PEM).decode()
    with pytest.raises(InvalidInputError):
        house.key_registrations.certify(RESULT, role="pva", service="pva-1", csr=request, caller=ADMIN)
