"""Outside judges on every kind of certificate and CRL that the CA signs: pkilint, openssl, GnuTLS."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ca.key_algorithms import KeyAlgorithm
from ca.lifecycle import Reason, Status
from ca.profiles import CROSS_KINDS, OPERATOR_ROLES, PROFILES, Kind
from ca.signing import Holder
from ca.template import Template
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from standards.pki.fingerprints import ca_id, spki_sha256
from tests.conformance.pkilint import lint
from tests.fakes.ca import ADMIN, NOW, CaHouse, csr_for
from tests.tools import need

pytestmark = [pytest.mark.check("P2"), pytest.mark.check("P3"), pytest.mark.check("P6")]


@pytest.fixture(scope="module")
def house() -> CaHouse:
    made = CaHouse()
    operators = made.hierarchy.make_root(Kind.OPERATORS_ROOT)
    made.hierarchy.make_root(Kind.TLS_ROOT)
    made.product_line()
    for root in (operators, made.es_root()):
        made.rollover.roll_root(root.ca_id, algorithm=KeyAlgorithm.P384, caller=ADMIN)
    with made.store.reading() as records:
        [line] = records.authorities(Kind.ISSUING_CA)
    made.rollover.roll_issuing_ca(line.ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN)
    return made


@pytest.fixture(scope="module")
def certificates(house: CaHouse) -> Mapping[Kind, x509.Certificate]:
    """One certificate of every kind, by the use cases that issue them."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = csr_for(key)
    with house.store.reading() as records:
        found = records.authorities(*Kind)
        made = {each.kind: each.x509() for each in found if each.successor is None}
        for each in found:
            if each.by_predecessor is not None:
                made[CROSS_KINDS[each.kind]] = x509.load_der_x509_certificate(each.by_predecessor)
        issuing = next(each for each in found if each.x509() == made[Kind.ISSUING_CA])
    certify = house.certification
    made[Kind.MANIFEST_SIGNING] = certify.certify_supplier(
        "acme", purpose="manifest-signing", csr=csr, caller=ADMIN
    )
    made[Kind.BATCH_SIGNING] = certify.certify_supplier(
        "acme", purpose="batch-signing", csr=csr, caller=ADMIN
    )
    for kind in OPERATOR_ROLES:
        made[kind] = house.certify_operator(str(kind), csr=csr)
    made[Kind.TLS_CLIENT] = certify.certify_tls("client", caller=ADMIN, holder="sho-1", csr=csr)
    made[Kind.TLS_SERVER] = certify.certify_tls(
        "server", caller=ADMIN, holder="ca", csr=csr, dns=("ca.example.net",), addresses=("127.0.0.1", "::1")
    )
    subject_key = key.public_key()
    with house.store.writing() as records:
        made[Kind.PLATFORM_CREDENTIAL] = house.signing.certify(
            records,
            Template(
                kind=Kind.PLATFORM_CREDENTIAL,
                public_key=subject_key,
                tre_level=2,
                hardware_module=HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=bytes(range(32))),
                expected_state=ExpectedSystemState(manifest_id="gw/7", manifest_digest=bytes(32), svn=7),
            ),
            by=issuing,
            holder=Holder(subject="device"),
            at=house.clock(),
        )
    responder = ec.generate_private_key(ec.SECP256R1())
    house.responder_keys = frozenset({spki_sha256(responder.public_key())})
    made[Kind.OCSP_DELEGATE] = house.certification.certify_responder(
        issuing.ca_id, csr=csr_for(responder), caller=ADMIN
    )
    return made


@pytest.mark.parametrize("kind", list(Kind))
def test_pkilint_finds_nothing_in_a_certificate(
    kind: Kind,
    certificates: Mapping[Kind, x509.Certificate],
    tmp_path: Path,
) -> None:
    file = tmp_path / f"{kind}.pem"
    file.write_bytes(certificates[kind].public_bytes(Encoding.PEM))
    judged = lint("lint_pkix_cert", file)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize("kind", list(Kind))
def test_gnutls_can_read_a_certificate(
    kind: Kind, certificates: Mapping[Kind, x509.Certificate], tmp_path: Path
) -> None:
    file = tmp_path / f"{kind}.pem"
    file.write_bytes(certificates[kind].public_bytes(Encoding.PEM))
    printed = subprocess.run(
        [need("certtool"), "--certificate-info", "--infile", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed.returncode == 0, printed.stderr
    assert "error" not in printed.stderr


@pytest.mark.check("P4")
def test_openssl_verifies_a_platform_credential_up_to_the_es_root(
    certificates: Mapping[Kind, x509.Certificate], tmp_path: Path
) -> None:
    files = {kind: tmp_path / f"{kind}.pem" for kind in certificates}
    for kind, file in files.items():
        file.write_bytes(certificates[kind].public_bytes(Encoding.PEM))
    policy = oids.POLICY_TRE_LEVELS[2].dotted_string
    verified = subprocess.run(
        [
            *(need("openssl"), "verify", "-x509_strict", "-CAfile", files[Kind.ES_ROOT]),
            *("-untrusted", files[Kind.ISSUING_CA], "-policy", policy, "-explicit_policy"),
            *("-attime", str(int(NOW.timestamp())), files[Kind.PLATFORM_CREDENTIAL]),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr


@pytest.mark.check("P9")
@pytest.mark.check("P14")
@pytest.mark.parametrize("revoked", [False, True], ids=["empty", "with an entry"])
def test_pkilint_and_openssl_accept_every_crl(
    revoked: bool,  # noqa: FBT001, a parametrised test
    house: CaHouse,
    certificates: Mapping[Kind, x509.Certificate],
    tmp_path: Path,
) -> None:
    if revoked:
        for kind in (Kind.PLATFORM_CREDENTIAL, Kind.MANIFEST_SIGNING, Kind.CHALLENGE, Kind.TLS_CLIENT):
            _revoke(house, certificates[kind])
    for kind in (Kind.ES_ROOT, Kind.ISSUING_CA, Kind.OPERATORS_ROOT, Kind.TLS_ROOT):
        made = house.lists.publish(ca_id(certificates[kind]))
        assert (len(x509.load_der_x509_crl(made.der)) > 0) is revoked
        file, issuer = tmp_path / f"{kind}.crl", tmp_path / f"{kind}.pem"
        file.write_bytes(made.der)
        issuer.write_bytes(certificates[kind].public_bytes(Encoding.PEM))
        judged = lint("lint_crl", file, "-t", "CRL", "-p", "PKIX")
        assert judged.returncode == 0, judged.stdout + judged.stderr
        checked = subprocess.run(
            [need("openssl"), "crl", "-inform", "DER", "-in", file, "-CAfile", issuer, "-noout"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "verify OK" in checked.stderr


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return named.key_identifier == own.digest


def _revoke(house: CaHouse, certificate: x509.Certificate) -> None:
    with house.store.writing() as records:
        issuer = next(
            each
            for each in records.authorities(*Kind)
            if each.certificate is not None and _issued(each.x509(), certificate)
        )
        issued = records.certificate(issuer.ca_id, certificate.serial_number)
        assert issued is not None
        records.change_status(issued, status=Status.REVOKED, reason=Reason.SUPERSEDED, at=house.clock())


def test_every_profile_has_been_judged(certificates: Mapping[Kind, x509.Certificate]) -> None:
    assert set(certificates) == set(PROFILES)
