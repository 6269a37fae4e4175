"""A device in the making: its TPM, its files, and the TRE process, with a CA and a PVA played by the test."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from lab.processes import RunningProcess, start_command
from m2me_agent.agent.tre_client import TreClient
from m2me_agent.tre_protocol import Operation
from messages.binding import PVA_KEY, extra_data
from messages.enrollment import ActivationRequest, EnrollmentChallenge, EnrollmentRequest
from messages.evidence import EvidenceMessage, decode_evidence
from standards.boot_log.encode import Measurement, build_event_log, encode_event_log
from standards.pki.fingerprints import device_id, spki_der
from standards.tpm2.attestation import verify_certified_key, verify_certified_nv
from standards.tpm2.credential import make_credential
from standards.tpm2.structures import NvPublic, Public
from tests.contract.tpm_devices import REPOSITORY, RunningTpm, running
from tests.fakes.pki import NOW, Authority
from tests.fakes.tre import NONCE, Signer, make_challenge, platform_credential
from tests.forked_python import start_module

SHA256 = 0x000B
BASELINE = (*range(10), 14)
ROOT = os.geteuid() == 0
TRE_UID = 60123 if ROOT else os.geteuid()
AGENT_UID = os.geteuid()
STRICT = """
import os, sys
STARTED_AS = os.geteuid()
def watch(event, arguments):
    if os.geteuid() == STARTED_AS:
        return
    late_path = event == "open" and str(arguments[0]).startswith("/")
    late_import = event == "import" and arguments[0] not in sys.builtin_module_names
    if late_import or late_path:
        os.write(2, f"late {{event}}: {{arguments[0]}}\\n".encode())
        os._exit(97)
sys.addaudithook(watch)
from {module} import main
main()
"""
"""Runs a program under an audit hook that ends it when it imports or opens a path after changing its uid."""
MEASURED = (
    Measurement(pcr=0, type=0x80000008, data=b"firmware blob"),
    Measurement(pcr=4, type=0x80000003, data=b"boot loader", measured=b"what the loader is"),
    Measurement(pcr=8, type=0x0000000D, data=b"kernel_cmdline: quiet", measured=b"quiet"),
)


@dataclass(kw_only=True)
class TreProcess:
    """A device: its TPM, its files, and the TRE process while it runs."""

    tpm: RunningTpm
    folder: Path
    settings: dict[str, object] = field(default_factory=dict)
    program: list[str] = field(default_factory=lambda: ["-m", "m2me_agent.tre.app"])
    start_module: Callable[..., RunningProcess] = start_module
    process: RunningProcess | None = None
    listeners: dict[str, str] = field(default_factory=lambda: {"socket": "tre.sock"})

    def __post_init__(self) -> None:
        self.es_root = Authority.root("ES root")
        self.issuing_ca = self.es_root.subordinate("issuing CA", path_length=0)
        self.operators_root = Authority.root("operators' root")
        self.pva = Signer.under(self.operators_root)
        self.state = self.folder / "state"
        self.state.mkdir(mode=0o700)
        self.run = self.tpm.run_folder / "run"
        self.run.mkdir(mode=0o711)
        for path in (self.state, self.run):
            os.chown(path, TRE_UID, -1)
        for name, root in (("es", self.es_root), ("operators", self.operators_root)):
            (self.folder / f"{name}.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
        self.boot()

    def boot(self) -> None:
        """Measure a boot into the TPM and leave its log."""
        connection = self.tpm.start()
        log = build_event_log(MEASURED, algorithms=(SHA256,))
        for event in log.events:
            connection.pcr_extend(event.pcr, digests={SHA256: event.digests[SHA256]})
        (self.folder / "boot.log").write_bytes(encode_event_log(log))
        assert self.tpm.transport is not None
        self.tpm.transport.close()

    def command(self) -> list[str]:
        values = {
            "tpm": str(self.tpm.run_folder / "tpm"),
            "socket": "tre.sock",
            "agent_uid": AGENT_UID,
            "state_dir": "state",
            "boot_log": "boot.log",
            **self.settings,
        }
        anchors = '[anchors]\nes_root = "es.pem"\noperators_root = "operators.pem"\n'
        config = self.folder / "tre.toml"
        config.write_text(
            "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()) + anchors
        )
        user = ["--user", f"{TRE_UID}:{TRE_UID}"] if ROOT else []
        return [sys.executable, *self.program, "--config", str(config), *user]

    def start(self) -> None:
        with (self.folder / "tre.err").open("ab") as log:
            start = self.start_module if self.program[0] == "-m" else start_command
            environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PVA_TPM": "ignored"}
            self.process = start(self.command(), cwd=self.run, env=environment, stderr=log)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "tre.err").read_text()
        ready = json.loads(line)
        assert (ready["event"], ready["role"]) == ("ready", "tre")
        assert ready["listeners"] == self.listeners

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout=60)
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    @property
    def client(self) -> TreClient:
        return TreClient(self.run / "tre.sock", timeout_s=60)

    def enroll(self) -> EnrollmentRequest:
        """Enrol at the CA of this test, without an agent."""
        request = self.client.ask(Operation.BEGIN_ENROLLMENT)["request"]
        challenge = self.ca_begins(request)
        activation = self.client.ask(Operation.ACTIVATE, {"challenge": challenge})["activation"]
        self.client.ask(Operation.INSTALL_CREDENTIAL, {"result": self.ca_issues(activation)})
        return self.enrolled

    def ca_begins(self, message: bytes) -> bytes:
        """What a CA does first: wrap a secret for exactly this EK and AK."""
        self.enrolled = EnrollmentRequest.decode(message)
        ek, ak = Public.decode(self.enrolled.ek_public), Public.decode(self.enrolled.ak_public)
        self.device_id = device_id(spki_der(ek.public_key()))
        self.secret = os.urandom(32)
        credential = make_credential(
            ek, object_name=ak.name, secret=self.secret, seed=os.urandom(32), ephemeral=_ephemeral(ek)
        )
        return EnrollmentChallenge(
            session_id=bytes(16),
            id_object=credential.id_object,
            encrypted_secret=credential.encrypted_secret,
            nonce=NONCE,
        ).encode()

    def ca_issues(self, message: bytes) -> bytes:
        """What a CA does then: compare the secret, check both certifications, issue the PfC."""
        activation = ActivationRequest.decode(message)
        assert activation.secret == self.secret
        ak = Public.decode(self.enrolled.ak_public)
        qualifying = extra_data(PVA_KEY, nonce=NONCE, body=self.enrolled.key_body())
        verify_certified_key(
            activation.storage_key.attest,
            signature=activation.storage_key.signature,
            ak=ak,
            certified=Public.decode(self.enrolled.storage_public),
            extra_data=qualifying,
        )
        verify_certified_nv(
            activation.generation_counter.attest,
            signature=activation.generation_counter.signature,
            ak=ak,
            index=NvPublic.decode(self.enrolled.counter_public),
            extra_data=qualifying,
        )
        key = ak.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.pfc = platform_credential(self.issuing_ca, key=key, device_id=self.device_id)
        return self.pfc

    def attest(self, token: str) -> EvidenceMessage:
        return decode_evidence(self.client.ask(Operation.ATTEST, {"challenge_token": token})["evidence"])

    def token(self, *, signer: Signer | None = None, seconds: int = 0) -> str:
        challenge = make_challenge(
            self.device_id.hex(), issued_at=NOW + timedelta(seconds=seconds), selections={SHA256: BASELINE}
        )
        return (signer or self.pva).sign(challenge)


def _ephemeral(ek: Public) -> ec.EllipticCurvePrivateKey | None:
    key = ek.public_key()
    return ec.generate_private_key(key.curve) if isinstance(key, ec.EllipticCurvePublicKey) else None


@contextmanager
def made(factory_state: tuple[str, Path], folder: Path) -> Iterator[TreProcess]:
    kind, state = factory_state
    with running(kind, state) as tpm:
        opened = TreProcess(tpm=tpm, folder=folder)
        try:
            yield opened
        finally:
            if opened.process:
                opened.stop(signal.SIGKILL)
