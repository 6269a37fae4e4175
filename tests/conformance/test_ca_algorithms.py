"""CA keys of every algorithm, and roots with two keys: openssl and pkilint judge what they sign.

OpenSSL knows ML-DSA from version 3.5 on: below that, pkilint alone judges it here, and `cryptography` verifies it.
"""

import re
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from ca.key_algorithms import CA_KEYS, KeyAlgorithm
from ca.profiles import Kind
from ca.records import Authority
from standards.pki import oids
from standards.pki.crl import verify_crl
from standards.pki.fingerprints import spki_sha256
from standards.pki.paths import validate_path
from tests.conformance.pkilint import lint
from tests.fakes.ca import ADMIN, NOW, CaHouse, csr_for, supplier
from tests.tools import need

ML_DSA_SINCE = (3, 5)


def openssl_knows(algorithm: KeyAlgorithm) -> bool:
    if algorithm is not KeyAlgorithm.ML_DSA_65:
        return True
    told = subprocess.run([need("openssl"), "version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"OpenSSL (\d+)\.(\d+)", told)
    return found is not None and (int(found[1]), int(found[2])) >= ML_DSA_SINCE


def accepted(tool: str, file: Path, *options: str) -> None:
    judged = lint(tool, file, *options)
    assert judged.returncode == 0, judged.stdout


def openssl_verifies(
    folder: Path, leaf: x509.Certificate, *, anchor: x509.Certificate, between: list[x509.Certificate]
) -> bool:
    for name, certificates in (("leaf", [leaf]), ("anchor", [anchor]), ("between", between)):
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
        (folder / f"{name}.pem").write_bytes(pem)
    command = [
        *(need("openssl"), "verify", "-x509_strict", "-CAfile", "anchor.pem"),
        *(("-untrusted", "between.pem") if between else ()),
        *("-attime", str(int(NOW.timestamp()) + 1), "leaf.pem"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("algorithm", sorted(CA_KEYS))
def test_a_hierarchy_of_each_algorithm(algorithm: KeyAlgorithm, tmp_path: Path) -> None:
    house = CaHouse()
    root = house.hierarchy.create_es_root("acme", caller=ADMIN, algorithm=algorithm)
    line = house.hierarchy.create_issuing_ca(
        "acme", title="gateways", models=("gw-1",), tre_level=2, caller=ADMIN, algorithm=algorithm
    )
    leaf = house.signer("manifest-signing").certificate
    for name, certificate in (("root", root.x509()), ("line", line.x509()), ("leaf", leaf)):
        file = tmp_path / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        accepted("lint_pkix_cert", file)
    crl = house.lists.published(line.ca_id).der
    (tmp_path / "line.crl").write_bytes(crl)
    accepted("lint_crl", tmp_path / "line.crl", "-t", "CRL", "-p", "PKIX")
    assert verify_crl(crl, issuer=line.x509(), at=NOW).revoked == {}
    anchors = [root.x509()]
    validate_path(leaf, intermediates=[], anchors=anchors, at=NOW, eku=oids.EKU_MANIFEST_SIGNING)
    line.x509().verify_directly_issued_by(root.x509())
    if openssl_knows(algorithm):
        assert openssl_verifies(tmp_path, line.x509(), anchor=root.x509(), between=[])


@pytest.mark.parametrize("kind", ["tls-client", "ocsp-delegate"])
def test_ed25519_where_the_standards_allow_it(kind: str, tmp_path: Path) -> None:
    house = CaHouse()
    key = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = builder.sign(key, None).public_bytes(Encoding.PEM).decode()
    if kind == "tls-client":
        issuer = house.hierarchy.make_root(Kind.TLS_ROOT).x509()
        made, between = house.certification.certify_tls("client", caller=ADMIN, holder="sho-1", csr=csr), []
        anchor = issuer
    else:
        house.responder_keys = frozenset({spki_sha256(key.public_key())})
        line = house.product_line()
        responder = supplier("ocsp-1")
        made = house.certification.certify_responder(line.ca_id, csr=csr, caller=responder)
        between, anchor = [line.x509()], house.es_root().x509()
    (tmp_path / "made.pem").write_bytes(made.public_bytes(Encoding.PEM))
    accepted("lint_pkix_cert", tmp_path / "made.pem")
    assert openssl_verifies(tmp_path, made, anchor=anchor, between=between)


def challenger(house: CaHouse) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    return house.certification.certify_operator("pva", service="pva-1", purpose="challenge", csr=csr_for(key))


@pytest.mark.requirement("R74")
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P384, KeyAlgorithm.RSA])
def test_openssl_follows_a_rollover_from_either_anchor(algorithm: KeyAlgorithm, tmp_path: Path) -> None:
    house = CaHouse()
    old = house.hierarchy.make_root(Kind.OPERATORS_ROOT)
    before = challenger(house)
    new = house.rollover.roll_root(old.ca_id, algorithm=algorithm, caller=ADMIN)
    after = challenger(house)
    new_with_old = x509.load_der_x509_certificate(recorded(house, new.ca_id).by_predecessor or b"")
    old_with_new = x509.load_der_x509_certificate(recorded(house, old.ca_id).by_successor or b"")
    for leaf, anchor, between, good in (
        (before, old, [], True),
        (after, new, [], True),
        (after, old, [new_with_old], True),
        (before, new, [old_with_new], True),
        (after, old, [], False),
        (before, new, [], False),
        (before, new, [new_with_old], False),
    ):
        assert openssl_verifies(tmp_path, leaf, anchor=anchor.x509(), between=between) is good


def recorded(house: CaHouse, ca_id: str) -> Authority:
    with house.store.reading() as records:
        found = records.authority(ca_id)
    assert found is not None
    return found
