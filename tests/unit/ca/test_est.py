"""EST: which key gets which certificate, over every label, and what no label gives (E1-E7)."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ca.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from ca.est import EST_KINDS, PENDING_MAX
from ca.key_algorithms import KeyAlgorithm
from ca.profiles import OPERATOR_ROLES, PROFILES, Kind
from ca.records import EstEnrollment, EstState
from ca.web.est import PATH, PKCS10, attributes_of, est_app
from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import routes_of
from standards.pki import oids
from standards.pki.extensions import OperatorRole, Requester, Requesters
from standards.pki.fingerprints import spki_sha256
from tests.fakes.ca import ADMIN, CaHouse

Key = ec.EllipticCurvePrivateKey
OPERATIONS = ("simpleenroll", "simplereenroll")


def p256() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def request(
    key: Key, *, like: x509.Certificate | None = None, extensions: tuple[x509.ExtensionType, ...] = ()
) -> bytes:
    """DER PKCS#10; with the names of a certificate, as a renewal has them."""
    subject = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anybody")]) if like is None else like.subject
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if like is not None:
        for each in like.extensions:
            if isinstance(each.value, x509.SubjectAlternativeName):
                extensions = (*extensions, each.value)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.hierarchy.make_root(Kind.OPERATORS_ROOT)
    made.hierarchy.make_root(Kind.TLS_ROOT)
    made.product_line()
    return made


@pytest.fixture
def house(founded: CaHouse) -> CaHouse:
    return founded.copy()


@pytest.fixture
def client(house: CaHouse) -> FlaskClient:
    return est_app(house.est).test_client()


def registration(label: str, key: Key, *, name: str = "one") -> EstEnrollment:
    kind = EST_KINDS[label]
    return EstEnrollment(
        kind=kind,
        spki_sha256=spki_sha256(key.public_key()),
        state=EstState.REGISTERED,
        since=CaHouse().clock(),
        name=name,
        role=min(OPERATOR_ROLES[kind]) if kind in OPERATOR_ROLES else "",
        dns=("one.example.net",) if kind is Kind.TLS_SERVER else (),
    )


def enrolled(house: CaHouse, label: str, key: Key) -> x509.Certificate:
    house.register(registration(label, key))
    made = house.est.enroll(label, request(key))
    assert made is not None
    return made


def post(
    client: FlaskClient, path: str, der: bytes, *, shown: x509.Certificate | None = None
) -> TestResponse:
    environ = {} if shown is None else {PEER_CERTIFICATE: shown.public_bytes(Encoding.DER)}
    return client.post(f"{PATH}/{path}", data=b64encode(der), content_type=PKCS10, environ_overrides=environ)


def certificates(answer: TestResponse) -> list[x509.Certificate]:
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/pkcs7-mime; smime-type=certs-only"
    return pkcs7.load_der_pkcs7_certificates(b64decode(answer.data))


@pytest.mark.check("E2")
@pytest.mark.check("E3")
@pytest.mark.parametrize("label", sorted(EST_KINDS))
def test_a_registered_key_gets_what_was_registered_and_nothing_that_it_asked_for(
    house: CaHouse, client: FlaskClient, label: str
) -> None:
    key, kind = p256(), EST_KINDS[label]
    house.register(registration(label, key))
    greedy = request(
        key,
        extensions=(
            x509.BasicConstraints(ca=True, path_length=None),
            x509.ExtendedKeyUsage([oids.EKU_PLATFORM_CREDENTIAL, oids.EKU_TPM_AIK]),
            x509.SubjectAlternativeName([x509.DNSName("bank.example.net")]),
        ),
    )
    [made] = certificates(post(client, f"{label}/simpleenroll", greedy))
    profile = PROFILES[kind]
    assert tuple(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == profile.purposes
    assert made.subject.rfc4514_string() == "CN=one"
    assert OperatorRole.of(made) == registered_role(kind)
    with pytest.raises(x509.ExtensionNotFound):
        made.extensions.get_extension_for_class(x509.BasicConstraints)
    names = [
        each.value.get_values_for_type(x509.DNSName)
        for each in made.extensions
        if isinstance(each.value, x509.SubjectAlternativeName)
    ]
    assert names == ([["one.example.net"]] if kind is Kind.TLS_SERVER else [])


def registered_role(kind: Kind) -> OperatorRole | None:
    return OperatorRole(role=min(OPERATOR_ROLES[kind]), id="one") if kind in OPERATOR_ROLES else None


@pytest.mark.requirement("R77")
@pytest.mark.negative
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", [each for each in Kind if str(each) not in EST_KINDS])
def test_no_label_leads_to_a_credential_a_ca_or_a_suppliers_certificate(
    house: CaHouse, client: FlaskClient, kind: Kind, operation: str
) -> None:
    assert post(client, f"{kind}/{operation}", request(p256())).status_code == 404
    assert Kind.PLATFORM_CREDENTIAL not in EST_KINDS.values()
    assert not any(PROFILES[each].is_ca for each in EST_KINDS.values())
    assert not any(oids.EKU_PLATFORM_CREDENTIAL in PROFILES[each].purposes for each in EST_KINDS.values())
    assert house.est.known() == []


@pytest.mark.check("E7")
@pytest.mark.parametrize("label", sorted(EST_KINDS))
def test_a_key_that_nobody_registered_waits_until_it_is_approved(
    house: CaHouse, client: FlaskClient, label: str
) -> None:
    key = p256()
    for _ in range(2):
        answer = post(client, f"{label}/simpleenroll", request(key))
        assert (answer.status_code, answer.headers["Retry-After"]) == (202, "300")
    [waiting] = house.est.known()
    assert (waiting.state, waiting.spki_sha256) == (EstState.PENDING, spki_sha256(key.public_key()))
    house.register(registration(label, key))
    [made] = certificates(post(client, f"{label}/simpleenroll", request(key)))
    assert made.public_key() == key.public_key()
    assert [each.state for each in house.est.known()] == [EstState.ISSUED]


def test_who_lost_the_answer_gets_the_same_certificate(house: CaHouse) -> None:
    key = p256()
    first = enrolled(house, "tls-client", key)
    assert house.est.enroll("tls-client", request(key)) == first


@pytest.mark.negative
def test_a_registration_is_for_one_label_and_one_key(house: CaHouse) -> None:
    key = p256()
    house.register(registration("tls-client", key))
    assert house.est.enroll("tls-client", request(p256())) is None
    assert house.est.enroll("challenge", request(key)) is None
    with pytest.raises(ConflictError):
        house.register(registration("tls-client", key, name="two"))


@pytest.mark.negative
def test_a_revoked_certificate_is_neither_given_again_nor_renewed(house: CaHouse) -> None:
    key = p256()
    made = enrolled(house, "tls-client", key)
    root = house.hierarchy.make_root(Kind.TLS_ROOT)
    house.revocation.revoke(root.ca_id, made.serial_number, reason="keyCompromise", caller=ADMIN)
    with pytest.raises(NotPermittedError):
        house.est.enroll("tls-client", request(key))
    with pytest.raises(NotPermittedError):
        house.est.renew("tls-client", request(key, like=made), shown=made)


@pytest.mark.check("E6")
def test_a_shown_client_certificate_is_renewed_for_another_key(house: CaHouse, client: FlaskClient) -> None:
    made = enrolled(house, "tls-client", p256())
    next_key = p256()
    [renewed] = certificates(post(client, "simplereenroll", request(next_key, like=made), shown=made))
    assert renewed.public_key() == next_key.public_key()
    assert renewed.subject == made.subject


@pytest.mark.check("E6")
@pytest.mark.parametrize("label", sorted(set(EST_KINDS) - {"tls-client"}))
def test_another_certificate_is_renewed_for_its_own_key_late_in_its_life(house: CaHouse, label: str) -> None:
    key = p256()
    made = enrolled(house, label, key)
    assert house.est.renew(label, request(key, like=made), shown=None) == made
    house.clock.advance(days=200)
    renewed = house.est.renew(label, request(key, like=made), shown=None)
    assert renewed.not_valid_after_utc > made.not_valid_after_utc
    assert (renewed.subject, OperatorRole.of(renewed)) == (made.subject, OperatorRole.of(made))
    assert purposes(renewed) == purposes(made)


def purposes(certificate: x509.Certificate) -> x509.ExtendedKeyUsage:
    return certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value


@pytest.mark.negative
@pytest.mark.check("E6")
def test_a_renewal_changes_no_name(house: CaHouse) -> None:
    key, server = p256(), p256()
    made = enrolled(house, "tls-client", key)
    with pytest.raises(InvalidInputError):
        house.est.renew("tls-client", request(key), shown=made)
    host = enrolled(house, "tls-server", server)
    house.clock.advance(days=200)
    other = x509.SubjectAlternativeName([x509.DNSName("two.example.net")])
    bare = x509.CertificateSigningRequestBuilder().subject_name(host.subject)
    for wrong in (bare, bare.add_extension(other, critical=False)):
        der = wrong.sign(server, hashes.SHA256()).public_bytes(Encoding.DER)
        with pytest.raises(InvalidInputError):
            house.est.renew("tls-server", der, shown=None)


@pytest.mark.negative
def test_a_renewal_needs_the_certificate_that_it_renews(house: CaHouse) -> None:
    key = p256()
    made = enrolled(house, "tls-client", key)
    other_kind = enrolled(house, "tls-server", p256())
    stranger = CaHouse()
    stranger.hierarchy.make_root(Kind.TLS_ROOT)
    foreign = enrolled(stranger, "tls-client", p256())
    for shown in (None, other_kind, foreign):
        with pytest.raises(NotPermittedError):
            house.est.renew("tls-client", request(key, like=made), shown=shown)
    for label in sorted(set(EST_KINDS) - {"tls-client"}):
        with pytest.raises(NotPermittedError):
            house.est.renew(label, request(p256()), shown=made)
    house.clock.advance(days=400)
    with pytest.raises(NotPermittedError):
        house.est.renew("tls-client", request(key, like=made), shown=made)


@pytest.mark.negative
def test_a_role_gets_its_own_purposes_only(house: CaHouse) -> None:
    wrong = registration("challenge", p256())
    with pytest.raises(InvalidInputError):
        house.key_registrations.register(
            EstEnrollment(
                kind=wrong.kind,
                spki_sha256=wrong.spki_sha256,
                state=wrong.state,
                since=wrong.since,
                name="one",
                role="sho",
            ),
            caller=ADMIN,
        )
    assert house.est.known() == []


@pytest.mark.negative
def test_those_who_wait_are_bounded_and_forgotten_and_stop_no_registered_key(house: CaHouse) -> None:
    with house.store.writing() as records:
        for number in range(PENDING_MAX):
            pending = EstEnrollment(
                kind=Kind.TLS_CLIENT,
                spki_sha256=f"{number:064x}",
                state=EstState.PENDING,
                since=house.clock(),
            )
            assert records.add_pending(pending, at_most=PENDING_MAX, kept_since=house.clock())
    with pytest.raises(ConflictError):
        house.est.enroll("tls-client", request(p256()))
    assert enrolled(house, "tls-client", p256()) is not None
    house.clock.advance(days=8)
    assert house.est.enroll("tls-client", request(p256())) is None
    assert [each.state for each in house.est.known()].count(EstState.PENDING) == 1


@pytest.mark.check("E4")
@pytest.mark.check("E5")
def test_white_space_in_the_request_is_tolerated(house: CaHouse, client: FlaskClient) -> None:
    key = p256()
    house.register(registration("tls-client", key))
    text = b64encode(request(key))
    spaced = b"\r\n ".join([b"\t", *(text[at : at + 17] for at in range(0, len(text), 17)), b"\n"])
    answer = client.post(f"{PATH}/simpleenroll", data=spaced, content_type=PKCS10)
    assert len(certificates(answer)) == 1


@pytest.mark.negative
@pytest.mark.check("E4")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"!!!", PKCS10, 400),
        (b"AAAA", PKCS10, 422),
        (b"", PKCS10, 400),
        (b"AAAA", "application/json", 415),
        (b"A" * 20_000, PKCS10, 413),
    ],
)
def test_other_bodies_are_refused(
    client: FlaskClient, operation: str, body: bytes, media_type: str, status: int
) -> None:
    answer = client.post(f"{PATH}/{operation}", data=body, content_type=media_type)
    assert answer.status_code == status, answer.text


@pytest.mark.negative
def test_a_request_without_possession_is_refused(client: FlaskClient) -> None:
    der = bytearray(request(p256()))
    der[-1] ^= 1
    assert post(client, "simpleenroll", bytes(der)).status_code == 422


@pytest.mark.check("E2")
def test_ca_certificates_lead_from_each_generation_of_the_root(house: CaHouse, client: FlaskClient) -> None:
    old = house.hierarchy.make_root(Kind.OPERATORS_ROOT)
    new = house.rollover.roll_root(old.ca_id, algorithm=KeyAlgorithm.P384, caller=ADMIN)
    listed = certificates(client.get(f"{PATH}/challenge/cacerts"))
    assert {new.x509(), old.x509()} < set(listed)
    assert len(listed) == 4
    [tls] = certificates(client.get(f"{PATH}/cacerts"))
    assert tls == house.hierarchy.make_root(Kind.TLS_ROOT).x509()
    assert client.get(f"{PATH}/platform-credential/cacerts").status_code == 404


@pytest.mark.parametrize("label", sorted(EST_KINDS))
def test_attributes_name_the_keys_that_the_profile_allows(client: FlaskClient, label: str) -> None:
    answer = client.get(f"{PATH}/{label}/csrattrs")
    assert (answer.status_code, answer.content_type) == (200, "application/csrattrs")
    der = b64decode(answer.data)
    assert der == attributes_of(EST_KINDS[label])
    assert (bytes.fromhex("06032b6570") in der) == (label in {"tls-client", "tls-server"})  # Ed25519
    assert client.get(f"{PATH}/issuing-ca/csrattrs").status_code == 404


def routes() -> Iterator[str]:
    for operation in ("cacerts", "csrattrs", *OPERATIONS):
        yield f"{PATH}/{operation}"
        yield f"{PATH}/<label>/{operation}"


def test_the_listener_has_the_routes_of_est_and_no_others(house: CaHouse) -> None:
    table = routes_of(est_app(house.est))
    assert {rule for _, rule, _ in table} == set(routes())
    assert {access for _, _, access in table} == {("enrolling",)}


@pytest.mark.negative
def test_unknown_labels_are_refused_by_name(house: CaHouse) -> None:
    for label in ("", "platform-credential", "x" * 100):
        with pytest.raises(NotFoundError):
            house.est.enroll(label, request(p256()))


@pytest.mark.requirement("R29")
def test_a_clients_certificate_says_who_registered_its_key_and_a_renewal_says_the_same(
    house: CaHouse,
) -> None:
    behind = Requester(name="staff", key_sha256="3" * 64)
    registrar, key = replace(ADMIN, issued_at_request_of=(behind,)), p256()
    house.register(registration("tls-client", key), caller=registrar)
    first = house.est.enroll("tls-client", request(key))
    assert first is not None
    himself = Requester(name=registrar.name, key_sha256=registrar.key_sha256)
    assert Requesters.of(first) == Requesters(line=(himself, behind))
    next_one = house.est.renew("tls-client", request(p256(), like=first), shown=first)
    assert Requesters.of(next_one) == Requesters.of(first)
    assert Requesters.of(enrolled(house, "tls-server", p256())) is None


@pytest.mark.negative
def test_what_a_registrar_of_unknown_origin_has_issued_is_of_unknown_origin(house: CaHouse) -> None:
    key = p256()
    house.register(registration("tls-client", key), caller=replace(ADMIN, issued_at_request_of=None))
    made = house.est.enroll("tls-client", request(key))
    assert made is not None
    assert Requesters.of(made) is None
    assert Requesters.of(house.est.renew("tls-client", request(p256(), like=made), shown=made)) is None
