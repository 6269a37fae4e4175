"""The TRE as a process over a real TPM: enrolled by a CA in this test, judged by the verifier's own code."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.tre_protocol import Operation
from messages.binding import PVA_EVIDENCE, PVA_KEY, extra_data
from messages.enrollment import EnrollmentRequest
from messages.evidence import EvidenceMessage
from standards.boot_log.decode import decode_event_log
from standards.boot_log.replay import replay
from standards.tpm2.attestation import (
    check_qualified_signer,
    verify_certified_key,
    verify_certified_nv,
    verify_quote,
)
from standards.tpm2.structures import NvPublic, PcrSelection, Public
from tests.contract.tpm_devices import KINDS, REPOSITORY, manufactured
from tests.end_to_end.tre_process import (
    AGENT_UID,
    BASELINE,
    ROOT,
    SHA256,
    STRICT,
    TRE_UID,
    TreProcess,
    made,
)
from tests.fakes.pki import Authority, p256
from tests.fakes.tre import NONCE, Signer, make_challenge, platform_credential


@pytest.fixture(scope="module", params=KINDS)
def factory_state(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    kind = str(request.param)
    return kind, manufactured(kind, tmp_path_factory)


@pytest.fixture(scope="module")
def software_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return manufactured("software", tmp_path_factory)


@pytest.fixture
def device(factory_state: tuple[str, Path], tmp_path: Path) -> Iterator[TreProcess]:
    with made(factory_state, tmp_path) as opened:
        opened.start()
        yield opened


def verify(
    device: TreProcess, evidence: EvidenceMessage, *, request: EnrollmentRequest
) -> Mapping[int, bytes]:
    """Everything that a PVA checks of the TPM's part; the quoted PCR values."""
    ak = Public.decode(request.ak_public)
    assert evidence.ak_public == request.ak_public
    assert evidence.storage_key.public == request.storage_public
    challenge = make_challenge(device.device_id.hex(), selections={SHA256: BASELINE})
    assert evidence.body == challenge.context()
    quote = verify_quote(
        evidence.attest,
        signature=evidence.signature,
        ak=ak,
        extra_data=extra_data(PVA_EVIDENCE, nonce=NONCE, body=evidence.body),
        selection=(PcrSelection(bank=SHA256, indices=BASELINE),),
        pcr_values=evidence.pcr_values,
    )
    check_qualified_signer(quote.attest, ak=ak)
    qualifying = extra_data(PVA_KEY, nonce=NONCE, body=evidence.body)
    verify_certified_key(
        evidence.storage_key.attest,
        signature=evidence.storage_key.signature,
        ak=ak,
        certified=Public.decode(evidence.storage_key.public),
        extra_data=qualifying,
    )
    verify_certified_nv(
        evidence.generation_counter.attest,
        signature=evidence.generation_counter.signature,
        ak=ak,
        index=NvPublic.decode(evidence.generation_counter.public),
        extra_data=qualifying,
    )
    return quote.pcr_values[SHA256]


@pytest.mark.requirement("R94")
@pytest.mark.requirement("R71")
def test_enrol_attest_and_everything_again_after_a_restart(device: TreProcess) -> None:
    request = device.enroll()
    values = verify(device, device.attest(device.token()), request=request)
    replayed = replay(decode_event_log(device.attest(device.token()).boot_log), bank=SHA256)
    assert {index: values[index] for index in replayed} == replayed
    status = device.client.ask(Operation.STATUS)["status"]
    assert status["device_id"] == device.device_id.hex()
    assert len(status["credential"]["serial"]) == 40

    assert device.stop() == 0
    device.start()
    verify(device, device.attest(device.token()), request=request)

    device.stop(signal.SIGKILL)
    device.start()
    with pytest.raises(RefusedError, match="backwards"):
        device.attest(device.token(seconds=-1))
    assert device.enroll() == request


@pytest.mark.requirement("R70")
@pytest.mark.negative
def test_what_a_hostile_agent_brings_is_refused_and_the_tre_goes_on(device: TreProcess) -> None:
    request = device.enroll()
    foreign = Signer.under(Authority.root("operators' root"))
    with pytest.raises(RefusedError) as refused:
        device.attest(device.token(signer=foreign))
    assert refused.value.refusal.code == "untrusted"
    with pytest.raises(RefusedError) as refused:
        other = platform_credential(device.issuing_ca, key=p256().public_key(), device_id=device.device_id)
        device.client.ask(Operation.INSTALL_CREDENTIAL, {"result": other})
    assert refused.value.refusal.code == "credential-refused"
    for garbage in (b"", b"\xff" * 50, device.pfc):
        with pytest.raises(RefusedError) as refused:
            device.client.ask(Operation.ACTIVATE, {"challenge": garbage})
        assert refused.value.refusal.code == "malformed"
    verify(device, device.attest(device.token()), request=request)


@pytest.mark.requirement("R70")
@pytest.mark.negative
def test_a_flood_is_bounded_across_a_restart(factory_state: tuple[str, Path], tmp_path: Path) -> None:
    with made(factory_state, tmp_path) as device:
        device.settings |= {"rate.burst": 4, "rate.interval_ms": 3_600_000}
        device.start()
        device.enroll()  # the activation takes one
        for _ in range(3):
            device.attest(device.token())
        with pytest.raises(RefusedError) as refused:
            device.attest(device.token())
        assert refused.value.refusal.code == "rate-limited"
        device.stop(signal.SIGKILL)
        device.start()
        with pytest.raises(RefusedError, match="exchanges"):
            device.attest(device.token())


@pytest.mark.requirement("R21")
@pytest.mark.requirement("R41")
@pytest.mark.skipif(not ROOT, reason="only root can give a TRE a uid of its own")
def test_the_tre_runs_as_its_own_uid_and_its_files_are_its_own(device: TreProcess) -> None:
    device.enroll()
    device.attest(device.token())
    assert device.process is not None
    status = Path(f"/proc/{device.process.pid}/status").read_text()
    ids = {line.split(":")[0]: line.split()[1:] for line in status.splitlines() if line[:3] in {"Uid", "Gid"}}
    assert ids == {"Uid": [str(TRE_UID)] * 4, "Gid": [str(TRE_UID)] * 4}
    files = {path.name: path.stat() for path in device.state.iterdir()}
    assert set(files) == {"authorization", "keys", "credential", "exchanges"}
    assert {(each.st_mode & 0o7777, each.st_uid) for each in files.values()} == {(0o600, TRE_UID)}


@pytest.mark.requirement("R41")
@pytest.mark.negative
def test_an_agent_of_another_uid_is_told_nothing(factory_state: tuple[str, Path], tmp_path: Path) -> None:
    with made(factory_state, tmp_path) as device:
        device.settings["agent_uid"] = AGENT_UID + 1
        device.start()
        with pytest.raises(NotReachedError):
            device.client.ask(Operation.STATUS)
        assert "refused" in (tmp_path / "tre.err").read_text()


@pytest.mark.negative
def test_state_that_a_crash_or_a_hand_tore_is_told_by_name(device: TreProcess) -> None:
    device.enroll()
    torn = device.state / "keys"
    torn.write_bytes(torn.read_bytes()[:-1])
    with pytest.raises(RefusedError) as refused:
        device.attest(device.token())
    assert (refused.value.refusal.code, refused.value.refusal.subject) == ("state", "keys")


@pytest.mark.negative
def test_no_secret_is_in_the_log(device: TreProcess) -> None:
    device.enroll()
    device.attest(device.token())
    secrets = (device.state / "authorization").read_bytes()[-110:]
    log = (device.folder / "tre.err").read_bytes()
    assert b'"operation": "attest"' in log
    for start in range(len(secrets) - 16):
        assert secrets[start : start + 16].hex().encode() not in log


@pytest.mark.negative
@pytest.mark.parametrize(
    ("break_it", "named"),
    [
        (lambda device: device.settings.update(quotes=1), "quotes"),
        (lambda device: device.settings.update(tpm="absent"), "absent"),
        (lambda device: (device.folder / "es.pem").unlink(), "es.pem"),
        (lambda device: (device.folder / "operators.pem").write_text("no PEM"), "operators' root"),
        (lambda device: device.state.chmod(0o755), "0755"),
        (lambda device: shutil.rmtree(device.state), "state"),
        (lambda device: device.settings.update(socket="x" * 200), "socket"),
    ],
    ids=["unknown key", "no TPM", "no anchor", "broken anchor", "open state", "no state", "long socket"],
)
def test_a_start_that_cannot_be_is_refused_with_what_was_wrong(
    software_state: Path, tmp_path: Path, break_it: Callable[[TreProcess], object], named: str
) -> None:
    with made(("software", software_state), tmp_path) as device:
        break_it(device)
        done = subprocess.run(
            device.command(),
            cwd=device.run,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == 1
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.requirement("R41")
@pytest.mark.skipif(not ROOT, reason="only root has rights to give up")
def test_after_giving_up_its_rights_a_tre_loads_nothing_and_opens_no_path(
    factory_state: tuple[str, Path], tmp_path: Path
) -> None:
    # Every refusal and every answer, with an audit hook that ends the process at the first late import or
    # at the first absolute path: interpreter and checkout may be unreachable for the TRE's own uid.
    with made(factory_state, tmp_path) as device:
        device.program = ["-c", STRICT.format(module="m2me_agent.tre.app")]
        device.start()
        request = device.enroll()
        verify(device, device.attest(device.token()), request=request)
        foreign = Signer.under(Authority.root("operators' root"))
        for token in (device.token(signer=foreign), device.token(seconds=-1), "no token"):
            with pytest.raises(RefusedError):
                device.attest(token)
        with pytest.raises(RefusedError):
            device.client.ask(Operation.INSTALL_CREDENTIAL, {"result": b"x"})
        (device.state / "exchanges").write_bytes(b"torn")
        with pytest.raises(RefusedError):
            device.attest(device.token())
        assert device.stop() == 0
        assert "late" not in (tmp_path / "tre.err").read_text()
