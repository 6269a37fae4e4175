"""IMA over real processes: a PVA that judges by a supplier's runtime policy, and a TRE that reads the kernel's list."""

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from messages.binding import PVA_IMA, extra_data
from messages.evidence import encode_evidence
from messages.runtime_policy import RuntimePolicy, sign_runtime_policy
from standards.ima.decode import decode_binary_list
from standards.ima.replay import replayed_prefix
from standards.pki import oids
from standards.rats.ear import RESULT_TYPE, read_claims
from standards.tpm2.attestation import verify_quote
from standards.tpm2.connection import TpmConnection
from standards.tpm2.structures import PcrSelection, Public
from tests.contract.tpm_devices import SocketTransport, manufactured
from tests.end_to_end.pva_service import LIFE, ROOT
from tests.end_to_end.test_pva_process import Site
from tests.end_to_end.tre_process import BASELINE, SHA256, TreProcess, made
from tests.fakes.credentials import MODEL
from tests.fakes.pki import LEAF_USAGE, p256
from tests.fakes.tre import NONCE, make_challenge
from tests.forked_python import run_module
from tests.unit.standards.ima.lists import BOOT_AGGREGATE, Made, encoded, ng

ALLOWED, OTHER = hashlib.sha256(b"meter 1.0").digest(), hashlib.sha256(b"meter 0.9").digest()


def runtime_policy(site: Site, *, supplier: str = "t") -> bytes:
    """A policy for the site's devices, signed under its supplier's root."""
    key = p256()
    leaf = site.pva.supplier.root.issue(
        "manifests",
        key=key.public_key(),
        eku=oids.EKU_MANIFEST_SIGNING,
        extensions=[(LEAF_USAGE, True)],
        validity=LIFE,
    )
    policy = RuntimePolicy(
        supplier=supplier,
        id="runtime-1",
        models=(MODEL,),
        files={b"/usr/bin/meter": frozenset({ALLOWED})},
    )
    return sign_runtime_policy(policy, key=key, chain=[leaf])


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Site]:
    """A PVA that has recognised its supplier, stopped for new settings."""
    site = Site(tmp_path)
    assert site.pva.stop() == 0
    settings = site.pva.folder / "pva.toml"
    settings.write_text('ima = true\nruntime_policies = ["runtime.cose"]\n' + settings.read_text())
    yield site
    site.pva.close()


def findings(site: Site, *entries: Made) -> list[str]:
    """Validate the device after it ran this; codes of what is found about its platform."""
    request_id = site.ask()
    site.device = replace(site.device, ima=(site.device.boot_aggregate, *entries))
    site.pva.device.submit_evidence(encode_evidence(site.evidence()))
    shown = site.pva.operator("sho").validation(request_id)
    assert shown.result is not None
    claims = site.pva.verified(shown.result, eku=oids.EKU_ATTESTATION_RESULT, typ=RESULT_TYPE)
    return [each.code for each in read_claims(claims).submodules["platform"].findings]


@pytest.mark.check("A22")
def test_what_ran_is_judged_by_the_suppliers_policy(stopped: Site) -> None:
    (stopped.pva.folder / "runtime.cose").write_bytes(runtime_policy(stopped))
    stopped.pva.start()
    good, bad = Made(data=ng(b"/usr/bin/meter", ALLOWED)), Made(data=ng(b"/usr/bin/meter", OTHER))
    assert findings(stopped, good) == []
    assert findings(stopped, good, bad) == ["ima-file-not-allowed"]
    assert stopped.pva.stop() == 0


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_pva_does_not_start_with_a_policy_that_its_supplier_did_not_sign(stopped: Site) -> None:
    (stopped.pva.folder / "runtime.cose").write_bytes(runtime_policy(stopped, supplier="another"))
    command = [sys.executable, "-m", "pva.app", "--config", str(stopped.pva.folder / "pva.toml")]
    outcome = run_module(command, cwd=ROOT)
    assert outcome.returncode == 2
    assert "runtime.cose" in outcome.stderr
    assert "who signed it" in outcome.stderr


@pytest.fixture
def device(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TreProcess]:
    """A device whose kernel has measured two files; only root may read its list."""
    entries = (BOOT_AGGREGATE, Made(data=ng(b"/usr/bin/meter")))
    with made(("software", manufactured("software", tmp_path_factory)), tmp_path) as opened:
        transport = SocketTransport(opened.tpm.run_folder / "tpm")
        for each in entries:
            TpmConnection(transport, os.urandom).pcr_extend(10, digests={SHA256: each.extended("sha256")})
        transport.close()
        listed = tmp_path / "ima.list"
        listed.write_bytes(encoded((*entries, Made(data=ng(b"/usr/bin/later")))))
        listed.chmod(0o400)
        opened.settings["ima_log"] = "ima.list"
        opened.start()
        yield opened


@pytest.mark.check("A22")
def test_a_tre_sends_the_list_with_a_quote_that_it_reaches(device: TreProcess) -> None:
    request = device.enroll()
    challenge = replace(make_challenge(device.device_id.hex(), selections={SHA256: BASELINE}), ima=True)
    evidence = device.attest(device.pva.sign(challenge))
    assert evidence.ima is not None
    verify_quote(
        evidence.ima.attest,
        signature=evidence.ima.signature,
        ak=Public.decode(request.ak_public),
        extra_data=extra_data(PVA_IMA, nonce=NONCE, body=challenge.context()),
        selection=(PcrSelection(bank=SHA256, indices=(10,)),),
        pcr_values={SHA256: {10: evidence.ima.pcr_value}},
    )
    entries = decode_binary_list(evidence.ima.log)
    reached = replayed_prefix(entries, evidence.ima.pcr_value, bank="sha256")
    assert reached is not None
    assert (reached.count, len(entries)) == (2, 3)
