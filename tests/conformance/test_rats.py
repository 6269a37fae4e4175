"""Signed manifests and results, read by others: cbor2 and openssl, with nothing of this project's readers."""

import subprocess
from pathlib import Path

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from standards.rats.corim import sign_manifest
from tests.tools import need
from tests.unit.standards.rats.manifests import MANIFEST, ROOT, SIGNER, SIGNER_KEY


@pytest.mark.requirement("R79")
def test_openssl_verifies_the_signature_of_a_manifest(tmp_path: Path) -> None:
    """COSE_Sign1 by hand (RFC 9052 section 4.4): openssl checks the signature over the Sig_structure."""
    openssl = need("openssl")
    signed = cbor2.loads(sign_manifest(MANIFEST, key=SIGNER_KEY, chain=[SIGNER]))
    assert signed.tag == 18
    protected, unprotected, payload, signature = signed.value
    headers = cbor2.loads(protected)
    assert unprotected == {}
    assert (headers[1], headers[3]) == (-7, "application/rim+cbor")
    signer = x509.load_der_x509_certificate(headers[33])
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    files = {
        "signed": cbor2.dumps(["Signature1", protected, b"", payload]),
        "signature": encode_dss_signature(r, s),
        "key.pem": signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "signer.pem": signer.public_bytes(Encoding.PEM),
        "root.pem": ROOT.public_bytes(Encoding.PEM),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [openssl, "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "signed"]
    judged = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=30)
    assert judged.stdout == b"Verified OK\n"
    at = str(int(SIGNER.not_valid_before_utc.timestamp()) + 86400)
    command = [openssl, "verify", "-attime", at, "-CAfile", "root.pem", "signer.pem"]
    judged = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=30)
    assert judged.stdout == b"signer.pem: OK\n", judged.stderr
