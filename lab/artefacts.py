"""What a run leaves for strangers: files that other people's tools can check, and the commands to do so.

Rule: nothing of this project is needed to check them. The commands are run by the lab itself where the tools are
there, and printed in any case.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.tpm_pcr_file import pcr_file
from messages.evidence import EvidenceMessage
from standards.tpm2.structures import Attest, Public, QuoteInfo

CHECK_TIMEOUT_S = 30
RESULT_CHECK = """\
import base64, json; from cryptography import x509; from cryptography.hazmat.primitives import hashes; from cryptography.hazmat.primitives.asymmetric import ec, utils
h, p, s = open("result.jwt").read().split("."); b = lambda t: base64.urlsafe_b64decode(t + "=" * (-len(t) % 4))
leaf = x509.load_der_x509_certificate(base64.b64decode(json.loads(b(h))["x5c"][0])); leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(open("operators-root.pem", "rb").read()))
leaf.public_key().verify(utils.encode_dss_signature(int.from_bytes(b(s)[:32], "big"), int.from_bytes(b(s)[32:], "big")), f"{h}.{p}".encode(), ec.ECDSA(hashes.SHA256()))
print("signature OK:", {scope: part["ear_status"] for scope, part in json.loads(b(p))["submods"].items()})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One re-check with a foreign tool, to be run in the folder of artefacts."""

    command: tuple[str, ...]
    says: str

    def line(self) -> str:
        """The command as a person would paste it."""
        return " ".join(self.command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one good validation left."""

    evidence: EvidenceMessage
    result: str
    ocsp_response: bytes
    es_root: x509.Certificate
    operators_root: x509.Certificate


def write_artefacts(folder: Path, run: Run) -> tuple[Check, ...]:
    """Write the files and return the commands that check them."""
    attest, quoted = _quote(run.evidence.attest)
    leaf, *issuers = (x509.load_der_x509_certificate(each) for each in run.evidence.pfc_chain)
    _pem(folder / "pfc.pem", [leaf])
    _pem(folder / "issuing-ca.pem", issuers)
    _pem(folder / "es-root.pem", [run.es_root])
    _pem(folder / "operators-root.pem", [run.operators_root])
    key = Public.decode(run.evidence.ak_public).public_key()
    (folder / "ak.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "quote.attest").write_bytes(run.evidence.attest)
    (folder / "quote.sig").write_bytes(run.evidence.signature)
    (folder / "quote.pcrs").write_bytes(pcr_file(quoted.pcr_selections, run.evidence.pcr_values))
    (folder / "boot_log").write_bytes(run.evidence.boot_log)
    (folder / "result.jwt").write_text(run.result)
    (folder / "ocsp.der").write_bytes(run.ocsp_response)
    (folder / "check_result.py").write_text(RESULT_CHECK)
    return _checks(attest.extra_data)


def _quote(data: bytes) -> tuple[Attest, QuoteInfo]:
    attest = Attest.decode(data)
    if not isinstance(attest.attested, QuoteInfo):
        raise TypeError("the evidence of a good run holds no quote")
    return attest, attest.attested


def _checks(extra_data: bytes) -> tuple[Check, ...]:
    certificate = ("openssl", "verify", "-purpose", "any", "-CAfile", "es-root.pem")
    status = (
        "openssl",
        "ocsp",
        "-respin",
        "ocsp.der",
        "-issuer",
        "issuing-ca.pem",
        "-sha256",
        "-cert",
        "pfc.pem",
    )
    quote = ("tpm2_checkquote", "-u", "ak.pem", "-m", "quote.attest", "-s", "quote.sig", "-f", "quote.pcrs")
    return (
        Check(command=(*certificate, "-untrusted", "issuing-ca.pem", "pfc.pem"), says="pfc.pem: OK"),
        # the answer lives five minutes; the long period lets it be checked tomorrow, too
        Check(
            command=(*status, "-CAfile", "es-root.pem", "-no_nonce", "-validity_period", "999999999"),
            says="pfc.pem: good",
        ),
        Check(command=(*quote, "-g", "sha256", "-q", extra_data.hex()), says=""),
        Check(command=(sys.executable, "check_result.py"), says="signature OK"),
    )


def recheck(folder: Path, check: Check) -> str:
    """Run one check in the folder: "ok", "FAILED ..." or "not run: ... is not installed"."""
    tool = shutil.which(check.command[0])
    if tool is None:
        return f"not run: {check.command[0]} is not installed"
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [tool, *check.command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=CHECK_TIMEOUT_S,
        check=False,
    )
    said = done.stdout + done.stderr
    if done.returncode == 0 and check.says in said:
        return "ok"
    return f"FAILED ({done.returncode}): {said.strip()}"


def _pem(path: Path, certificates: Sequence[x509.Certificate]) -> None:
    path.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in certificates))
