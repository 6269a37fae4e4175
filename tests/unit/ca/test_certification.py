"""Certificates for keys of others: the profile decides, the CSR proves possession."""

from base64 import b64encode
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from ca.errors import InvalidInputError, NotFoundError, NotPermittedError
from ca.profiles import Kind
from ca.records import Issued
from standards.pki import oids
from standards.pki.extensions import (
    AT_A_CEREMONY,
    REQUESTERS_MAX,
    OperatorRole,
    Requester,
    Requesters,
)
from standards.pki.fingerprints import spki_sha256
from tests.fakes.ca import ADMIN, CaHouse, csr_for, supplier
from tests.vectors.slow_keys import private_dsa_key, private_rsa_key

RESPONDER = supplier("ocsp-1")


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


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


def purposes(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


@pytest.mark.negative
def test_extensions_of_a_csr_are_not_copied(house: CaHouse) -> None:
    greedy = csr_for(
        p256(),
        common_name="root of everything",
        extensions=(
            x509.BasicConstraints(ca=True, path_length=None),
            x509.ExtendedKeyUsage([oids.EKU_PLATFORM_CREDENTIAL, ExtendedKeyUsageOID.OCSP_SIGNING]),
            x509.SubjectAlternativeName([x509.DNSName("bank.example.net")]),
            x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.net")], excluded_subtrees=None),
        ),
    )
    made = house.certification.certify_supplier(
        "acme", purpose="batch-signing", csr=greedy, caller=supplier("acme")
    )
    assert purposes(made) == [oids.EKU_BATCH_SIGNING]
    names = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [each.value for each in names] == ["acme batch-signing"]
    for absent in (
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
    ):
        with pytest.raises(x509.ExtensionNotFound):
            made.extensions.get_extension_for_oid(absent)


def test_an_operator_certificate_names_its_role(house: CaHouse) -> None:
    made = house.certify_operator("attestation-result", csr=csr_for(p256()))
    assert OperatorRole.of(made) == OperatorRole(role="pva", id="pva-1")
    assert purposes(made) == [oids.EKU_ATTESTATION_RESULT]


@pytest.mark.negative
@pytest.mark.parametrize(
    ("role", "purpose"),
    [("sho", "challenge"), ("dpf", "subscription"), ("", "challenge"), ("pva", "server"), ("pva", "")],
)
def test_a_role_gets_its_own_purposes_only(house: CaHouse, role: str, purpose: str) -> None:
    with pytest.raises(InvalidInputError):
        house.certification.certify_operator(role, service="x", purpose=purpose, csr=csr_for(p256()))


@pytest.mark.negative
def test_a_supplier_speaks_for_himself_only(house: CaHouse) -> None:
    with pytest.raises(NotPermittedError):
        house.certification.certify_supplier(
            "acme", purpose="batch-signing", csr=csr_for(p256()), caller=supplier("other")
        )


def test_tls_certificates_have_the_names_that_were_asked_for(house: CaHouse) -> None:
    server = house.certification.certify_tls(
        "server",
        caller=ADMIN,
        holder="ca",
        csr=csr_for(p256()),
        dns=["ca.example.net"],
        addresses=["127.0.0.1", "::1"],
    )
    named = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert named.get_values_for_type(x509.DNSName) == ["ca.example.net"]
    assert [str(each) for each in named.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    client = house.certification.certify_tls("client", caller=ADMIN, holder="sho-1", csr=csr_for(p256()))
    assert purposes(client) == [ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.negative
@pytest.mark.parametrize(
    ("kind", "dns", "addresses"),
    [
        ("server", [], []),
        ("server", ["localhost"], []),
        ("server", ["UPPER.example.net"], []),
        ("server", ["a..example.net"], []),
        ("server", ["-a.example.net"], []),
        ("server", ["*.example.net"], []),
        ("server", ["10.0.0.1"], []),
        ("server", ["x" * 64 + ".example.net"], []),
        ("server", ["a.example.net", "a.example.net"], []),
        ("server", [], ["300.1.1.1"]),
        ("server", [], ["127.0.0.1/8"]),
        ("client", ["a.example.net"], []),
        ("peer", ["a.example.net"], []),
    ],
)
def test_wrong_network_names_are_refused(
    house: CaHouse, kind: str, dns: list[str], addresses: list[str]
) -> None:
    with pytest.raises(InvalidInputError):
        house.certification.certify_tls(
            kind, caller=ADMIN, holder="x", csr=csr_for(p256()), dns=dns, addresses=addresses
        )


@pytest.mark.check("O2")
@pytest.mark.check("O13")
def test_a_registered_responder_key_gets_a_delegate_certificate(house: CaHouse) -> None:
    key = p256()
    house.responder_keys = frozenset({spki_sha256(key.public_key())})
    issuing = issuing_ca(house)
    made = house.certification.certify_responder(issuing, csr=csr_for(key), caller=RESPONDER)
    assert purposes(made) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    assert made.extensions.get_extension_for_class(x509.OCSPNoCheck).critical is False
    assert (made.not_valid_after_utc - house.clock()).days == 14
    assert recorded(house, issuing, made).kind is Kind.OCSP_DELEGATE


@pytest.mark.negative
def test_any_other_responder_key_is_refused(house: CaHouse) -> None:
    house.responder_keys = frozenset({spki_sha256(p256().public_key())})
    with pytest.raises(NotPermittedError) as caught:
        house.certification.certify_responder(issuing_ca(house), csr=csr_for(p256()), caller=RESPONDER)
    assert caught.value.reason == "responder-key-not-registered"


@pytest.mark.negative
def test_a_delegate_is_for_issuing_cas_only(house: CaHouse) -> None:
    key = p256()
    house.responder_keys = frozenset({spki_sha256(key.public_key())})
    for ca_id in (house.es_root().ca_id, "0" * 32):
        with pytest.raises(NotFoundError):
            house.certification.certify_responder(ca_id, csr=csr_for(key), caller=RESPONDER)


@pytest.mark.negative
def test_a_delegate_is_short_lived_and_never_revoked(house: CaHouse) -> None:
    key = p256()
    house.responder_keys = frozenset({spki_sha256(key.public_key())})
    issuing = issuing_ca(house)
    made = house.certification.certify_responder(issuing, csr=csr_for(key), caller=RESPONDER)
    with pytest.raises(InvalidInputError) as caught:
        house.revocation.revoke(issuing, made.serial_number, reason="superseded", caller=ADMIN)
    assert "short-lived" in caught.value.remedy


@pytest.mark.negative
def test_a_csr_without_possession_is_refused(house: CaHouse) -> None:
    honest = x509.load_pem_x509_csr(csr_for(p256()).encode())
    der = bytearray(honest.public_bytes(Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM).decode()
    assert csr_refusal(house, forged) == "csr-signature"


@pytest.mark.negative
def test_weak_and_strange_keys_are_refused(house: CaHouse) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    requests = [
        builder.sign(private_rsa_key(bits=1024), hashes.SHA256()),
        builder.sign(private_rsa_key(exponent=3), hashes.SHA256()),
        builder.sign(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256()),
        builder.sign(ed25519.Ed25519PrivateKey.generate(), None),
        builder.sign(private_dsa_key(), hashes.SHA256()),
    ]
    for request in requests:
        assert csr_refusal(house, request.public_bytes(Encoding.PEM).decode()) == "csr-key"


@pytest.mark.negative
@pytest.mark.parametrize(
    "text", ["", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----"]
)
def test_what_is_no_csr_is_refused(house: CaHouse, text: str) -> None:
    assert csr_refusal(house, text) == "csr-malformed"
    assert csr_refusal(house, "x" * 20_000) == "too-long"
    assert csr_refusal(house, csr_for(p256()) + csr_for(p256())) == "csr-malformed"


@pytest.mark.negative
def test_a_csr_of_another_version_is_refused(house: CaHouse) -> None:
    der = x509.load_pem_x509_csr(csr_for(p256()).encode()).public_bytes(Encoding.DER)
    other = der.replace(b"\x02\x01\x00", b"\x02\x01\x10", 1)
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{b64encode(other).decode()}\n-----END CERTIFICATE REQUEST-----\n"
    assert other != der
    assert csr_refusal(house, pem) == "csr-malformed"


def csr_refusal(house: CaHouse, csr: str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        house.certification.certify_supplier("acme", purpose="batch-signing", csr=csr, caller=ADMIN)
    return caught.value.reason


def issuing_ca(house: CaHouse) -> str:
    with house.store.reading() as records:
        return records.authorities(Kind.ISSUING_CA)[0].ca_id


def recorded(house: CaHouse, ca_id: str, certificate: x509.Certificate) -> Issued:
    with house.store.reading() as records:
        found = records.certificate(ca_id, certificate.serial_number)
    assert found is not None
    return found


@pytest.mark.requirement("R29")
def test_a_clients_certificate_says_who_had_it_issued(house: CaHouse) -> None:
    csr = csr_for(p256())
    himself = Requester(name=ADMIN.name, key_sha256=ADMIN.key_sha256)
    made = house.certification.certify_tls("client", holder="admin-3", csr=csr, caller=ADMIN)
    assert Requesters.of(made) == Requesters(line=(himself,))
    found = made.extensions.get_extension_for_oid(oids.EXT_REQUESTERS)
    assert not found.critical
    key = p256().public_key()
    assert (
        Requesters.of(house.certification.certify_tls_key(Kind.TLS_CLIENT, holder="x", key=key))
        == AT_A_CEREMONY
    )


@pytest.mark.negative
def test_too_many_behind_a_requester_are_refused(house: CaHouse) -> None:
    far = replace(
        ADMIN, issued_at_request_of=(Requester(name="staff", key_sha256="3" * 64),) * REQUESTERS_MAX
    )
    with pytest.raises(NotPermittedError) as caught:
        house.certification.certify_tls("client", holder="x", csr=csr_for(p256()), caller=far)
    assert caught.value.reason == "requesters-too-many"
