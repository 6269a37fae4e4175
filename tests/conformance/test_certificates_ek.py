"""EK certificates made by somebody else: swtpm's own certification authority."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from edge.process import system_clock, system_random
from lab.software_tpm.manufacture import manufacture
from standards.pki.ek_certificate import validate_ek_certificate
from standards.pki.errors import PathError, PathFault
from standards.pki.fingerprints import certificate_der
from standards.pki.lenient_certificate import decode_lenient
from tests.tools import need

pytestmark = pytest.mark.check("A12")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which swtpm_setup has made a TPM with EK certificates and their issuers."""
    setup, localca = need("swtpm_setup"), need("swtpm_localca")
    folder = tmp_path_factory.mktemp("ek")
    for name in ("tpm", "ca"):
        (folder / name).mkdir()
    (folder / "options").write_text("--platform-manufacturer X\n--platform-version 1\n--platform-model Y\n")
    (folder / "localca.conf").write_text(
        f"statedir = {folder}/ca\nsigningkey = {folder}/ca/key.pem\n"
        f"issuercert = {folder}/ca/issuer.pem\ncertserial = {folder}/ca/serial\n"
    )
    (folder / "setup.conf").write_text(
        f"create_certs_tool = {localca}\ncreate_certs_tool_config = {folder}/localca.conf\n"
        f"create_certs_tool_options = {folder}/options\nactive_pcr_banks = sha256\n"
    )
    command = [setup, "--tpm2", "--tpmstate", str(folder / "tpm"), "--create-ek-cert", "--lock-nvram"]
    command += ["--write-ek-cert-files", str(folder / "tpm"), "--config", str(folder / "setup.conf")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder


def test_certificates_of_swtpm_pass_and_need_their_root(made: Path) -> None:
    issuer = certificate_der(x509.load_pem_x509_certificate((made / "ca/issuer.pem").read_bytes()))
    roots = list((made / "ca").glob("*rootca-cert.pem"))
    root = certificate_der(x509.load_pem_x509_certificate(roots[0].read_bytes()))
    certificates = sorted((made / "tpm").glob("ek-*"))
    assert [each.stem for each in certificates] == ["ek-rsa2048", "ek-secp384r1"]
    for path in certificates:
        leaf = decode_lenient(path.read_bytes())
        valid = validate_ek_certificate(
            [path.read_bytes(), issuer], roots=[root], at=leaf.not_before, ek_spki=leaf.spki
        )
        assert valid.make.model == "swtpm"
        assert valid.path == (leaf.der, issuer, root)
        with pytest.raises(PathError) as caught:
            validate_ek_certificate(
                [path.read_bytes(), issuer], roots=[issuer], at=leaf.not_before, ek_spki=leaf.spki
            )
        assert caught.value.fault is PathFault.UNTRUSTED


def test_certificates_of_the_software_tpm_pass(tmp_path: Path) -> None:
    (tmp_path / "tpm").mkdir(mode=0o700)
    made = manufacture(tmp_path / "tpm", tmp_path / "maker", random_bytes=system_random, clock=system_clock)
    root, intermediate = (
        certificate_der(x509.load_pem_x509_certificate(path.read_bytes()))
        for path in (made.root_certificate, made.intermediate_certificate)
    )
    assert len(made.ek_certificates) == 2
    for der in made.ek_certificates.values():
        spki = decode_lenient(der).spki
        valid = validate_ek_certificate([der], roots=[root, intermediate], at=system_clock(), ek_spki=spki)
        assert valid.path == (der, intermediate, root)
        with pytest.raises(PathError):
            validate_ek_certificate([der, intermediate], roots=[], at=system_clock(), ek_spki=spki)
