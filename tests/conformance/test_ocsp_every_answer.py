"""Every kind of answer that the responder can give, before a linter and a foreign decoder."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import ocsp as lax
from cryptography import x509
from cryptography.x509 import ocsp

from ocsp.delegates import DelegateDirectory
from ocsp.judgement import AnswerPolicy, NeverIssued
from ocsp.responder import respond
from ocsp.responses import error_response
from ocsp.single_extensions import SingleExtensions
from standards.pki.fingerprints import ca_id
from standards.pki.ocsp import ResponseStatus
from tests.conformance.pkilint import lint
from tests.fakes.ocsp import FOREIGN, GOOD, HELD, REVOKED
from tests.fakes.pki import NOW
from tests.tools import need
from tests.unit.ocsp.asking import ISSUER, LINE, OTHER_ISSUER, OTHER_LINE, SHA1, STORE, ask, ask_for_all

CA = ca_id(LINE.certificate)
NONCE = [(x509.OCSPNonce(b"n" * 32), False)]
MORE = SingleExtensions(
    kept_for=timedelta(days=365), crl_urls={CA: "http://ca.example.net/line.crl"}, crl_entries=True
)
DEFAULT = AnswerPolicy()
KINDS: dict[str, tuple[bytes, AnswerPolicy]] = {
    "good": (ask(GOOD), DEFAULT),
    "good by SHA-1": (ask(GOOD, algorithm=SHA1), DEFAULT),
    "good with nonce": (ask(GOOD, extensions=NONCE), DEFAULT),
    "revoked": (ask(REVOKED), DEFAULT),
    "on hold": (ask(HELD), DEFAULT),
    "unknown": (ask(FOREIGN), DEFAULT),
    "never issued, with nonce": (
        ask(FOREIGN, extensions=NONCE),
        AnswerPolicy(never_issued=NeverIssued.REVOKED),
    ),
    "of a compromised CA": (ask(GOOD), AnswerPolicy(compromised={CA: NOW - timedelta(hours=1)})),
    "several": (ask_for_all(ask(GOOD), ask(REVOKED), ask(HELD, issuer=OTHER_LINE)), DEFAULT),
    "more is said": (ask(REVOKED), AnswerPolicy(single_extensions=MORE)),
}


@pytest.fixture(params=KINDS)
def answered(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    asked, policy = KINDS[request.param]
    delegates = DelegateDirectory([ISSUER, OTHER_ISSUER])
    der = respond(asked, now=NOW, status_store=STORE, delegates=delegates, policy=policy)
    path = tmp_path / "answer.der"
    path.write_bytes(der)
    return path


@pytest.mark.requirement("R101")
@pytest.mark.check("O4")
def test_a_linter_finds_nothing(answered: Path) -> None:
    done = lint("lint_ocsp_response", answered, severity="NOTICE")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.check("O4")
def test_three_decoders_read_the_same(answered: Path) -> None:
    der = answered.read_bytes()
    lenient = lax.OCSPResponse.load(der, strict=True)
    assert lenient.dump(force=True) == der
    serials = [each.serial_number for each in ocsp.load_der_ocsp_response(der).responses]
    basic = lenient["response_bytes"]["response"].parsed["tbs_response_data"]["responses"]
    assert [each["cert_id"]["serial_number"].native for each in basic] == serials
    command = [need("openssl"), "ocsp", "-respin", str(answered), "-resp_text", "-noverify"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "OCSP Response Status: successful (0x0)" in done.stdout, done.stderr
    for serial in serials:
        assert f"Serial Number: {serial:X}" in done.stdout


@pytest.mark.check("O1")
@pytest.mark.parametrize("status", [each for each in ResponseStatus if each is not ResponseStatus.SUCCESSFUL])
def test_an_error_is_a_status_and_nothing_else(status: ResponseStatus, tmp_path: Path) -> None:
    path = tmp_path / "answer.der"
    path.write_bytes(error_response(status))
    assert lax.OCSPResponse.load(path.read_bytes(), strict=True)["response_bytes"].native is None
    assert ocsp.load_der_ocsp_response(path.read_bytes()).response_status.value == status.value
    done = subprocess.run(
        [need("openssl"), "ocsp", "-respin", str(path), "-noverify"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert f"({status.value})" in done.stdout + done.stderr
