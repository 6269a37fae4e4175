"""A responder's process over real TLS: who learns the state of a platform, who brings it, and where it is never told."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from clients.ca_status import StatusChange
from clients.result_receiver import ResultReceiverClient
from edge.database import engine_for, migrate
from edge.http_client import HttpClient, HttpError, UnreachableError
from edge.keys import load_private_key
from edge.process import system_clock
from ocsp.bootstrap import initialise
from ocsp.store import MIGRATIONS, SqlStatusStore, StoredDelegate
from standards.pki import oids
from standards.pki.fingerprints import ca_id, spki_sha256
from standards.pki.platform_state import PlatformState
from standards.rats.ar4si import Tier
from tests.contract.certificates import Certificates
from tests.fakes.ocsp import DELEGATE_EXTENSIONS, GOOD
from tests.fakes.pki import NOW, Authority, Validity, p256
from tests.fakes.signed_results import ResultSigner
from tests.served import served

ROOT = Path(__file__).parents[2]
REQUEST_TYPE = "application/ocsp-request"
SETTINGS = """
profile = "lab"
database = "sqlite:///{folder}/ocsp.db"
[public]
host = "127.0.0.1"
port = 0
[operator]
certificate = "server.pem"
key = "keys/server.key"
passphrase_file = "{passphrase}"
client_anchors = "anchors.pem"
principals = "principals.json"
operators_root = "operators.pem"
[key]
key = "keys/ocsp.key"
passphrase_file = "{passphrase}"
[ca]
url = "https://127.0.0.1:1"
anchors = "anchors.pem"
certificate = "server.pem"
key = "keys/server.key"
passphrase_file = "{passphrase}"
"""
PEOPLE = {
    "sho": ("sho", "sho-1"),
    "other-sho": ("sho", "sho-2"),
    "dpf": ("dpf", "dpf-1"),
    "auditor": ("auditor", ""),
    "admin": ("admin", ""),
    "es": ("es", "acme"),
    "pva": ("pva", "pva-1"),
}


class Service:
    """The process; its store was level with a CA, which is away now."""

    def __init__(self, folder: Path) -> None:
        self.life = Validity(after=system_clock() - NOW + timedelta(days=30))
        self.line = Authority.root("ES").subordinate("line", validity=self.life)
        operators = Authority.root("operators", validity=self.life)
        self.pva = ResultSigner(operators, validity=self.life)
        self.forger = ResultSigner(Authority.root("operators", validity=self.life), validity=self.life)
        self.certificates = Certificates(folder)
        self.certificates.register(
            {name: (role, self.certificates.client(name)) for name, (role, _) in PEOPLE.items()},
            tenants={name: tenant for name, (_, tenant) in PEOPLE.items()},
        )
        self.certificates.client("nobody")
        (folder / "operators.pem").write_bytes(operators.certificate.public_bytes(Encoding.PEM))
        passphrase = self.certificates.passphrase
        (folder / "ocsp.toml").write_text(SETTINGS.format(folder=folder, passphrase=passphrase))
        self._fill(folder)
        command = [sys.executable, "-m", "ocsp.app", "--config", str(folder / "ocsp.toml")]
        self.served = served(command, log=folder / "log")
        self.store = engine_for(f"sqlite:///{folder / 'ocsp.db'}")

    def _fill(self, folder: Path) -> None:
        passphrase = self.certificates.passphrase
        digest = initialise(folder / "keys/ocsp.key", passphrase_file=passphrase)
        key = load_private_key(folder / "keys/ocsp.key", passphrase_file=passphrase)
        assert digest == spki_sha256(key.public_key())
        engine = engine_for(f"sqlite:///{folder / 'ocsp.db'}")
        migrate(engine, MIGRATIONS)
        store, issuer = SqlStatusStore(engine), ca_id(self.line.certificate)
        delegate = self.line.issue(
            "OCSP",
            key=key.public_key(),
            eku=oids.EKU_OCSP_SIGNING,
            extensions=DELEGATE_EXTENSIONS,
            validity=self.life,
        )
        store.save_delegate(
            StoredDelegate(
                issuer=issuer,
                issuer_certificate=self.line.certificate,
                key_sha256=digest,
                certificate=delegate,
            )
        )
        at = system_clock()
        changes = [
            StatusChange(seq=seq, issuer=issuer, serial=serial, revocation=None, not_after=at, version=1)
            for seq, serial in enumerate((GOOD, GOOD + 1), start=1)
        ]
        store.apply(changes, next_seq=2, as_of=at)
        engine.dispose()

    def http(self, listener: str, name: str | None = None) -> HttpClient:
        """Client of one listener, as principal `name`."""
        url = self.served.urls[listener]
        return HttpClient(url, tls=self.certificates.tls(name) if url.startswith("https") else None)

    def bring(self, token: str, *, name: str = "pva") -> None:
        """As the PVA's courier does it."""
        ResultReceiverClient(self.http("operator", name)).push_result(token)

    def request(self, *, serial: int = GOOD, nonce: bytes | None = b"\x17" * 32) -> bytes:
        """A request for a certificate of the line."""
        leaf = self.line.issue("leaf", key=p256().public_key(), serial=serial)
        builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, self.line.certificate, hashes.SHA256())
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.build().public_bytes(Encoding.DER)

    def ask(self, name: str, **asked: object) -> ocsp.OCSPResponse:
        """The answer on the operator listener."""
        request = self.request(**asked)  # type: ignore[arg-type]  # as `request` takes them
        answer = self.http("operator", name).post("/v1/ocsp", request, content_type=REQUEST_TYPE)
        return good(answer.body)

    def kept(self) -> int:
        """How many states lie in the store."""
        with self.store.connect() as connection:
            found = connection.exec_driver_sql("SELECT count(*) FROM platform_states").scalar_one()
        return int(found)

    def stop(self) -> None:
        """End the process."""
        assert self.served.stop() == 0
        self.store.dispose()


def good(der: bytes) -> ocsp.OCSPResponse:
    response = ocsp.load_der_ocsp_response(der)
    assert response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
    return response


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("responder"))
    yield running
    running.stop()


@pytest.mark.negative
def test_what_is_forged_is_refused_and_nothing_is_kept(service: Service) -> None:
    before, at = service.kept(), system_clock().replace(microsecond=0)
    token = service.pva.token(service.line.certificate, GOOD, at=at)
    for forged in (
        service.forger.token(service.line.certificate, GOOD, at=at),
        token[:-8] + "AAAAAAAA",
        service.pva.token(service.line.certificate, GOOD, at=at - timedelta(hours=1)),
    ):
        with pytest.raises(HttpError) as caught:
            service.bring(forged)
        assert caught.value.status == 422
        assert caught.value.problem is not None
        assert caught.value.problem.reason == "result-invalid"
        assert caught.value.problem.remedy
    assert service.kept() == before


@pytest.mark.requirement("R101")
def test_operators_with_a_nonce_learn_the_state_and_the_public_never(service: Service) -> None:
    at = system_clock().replace(microsecond=0)
    token = service.pva.token(service.line.certificate, GOOD, at=at, tier=Tier.WARNING)
    service.bring(token)
    kept = service.kept()
    service.bring(token)
    assert service.kept() == kept == 2
    state = PlatformState(state_digest=b"\xcc" * 32, tier="warning", result_time=at)
    for name in ("sho", "dpf", "auditor"):
        answer = service.ask(name)
        assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"\x17" * 32
        assert PlatformState.of(answer.single_extensions) == state
        assert PlatformState.of(service.ask(name, nonce=None).single_extensions) is None
        assert PlatformState.of(service.ask(name, serial=GOOD + 1).single_extensions) is None
    assert PlatformState.of(service.ask("other-sho").single_extensions) is None
    for nonce in (b"\x17" * 32, None):
        said = service.http("public").post("/", service.request(nonce=nonce), content_type=REQUEST_TYPE)
        assert len(good(said.body).single_extensions) == 0


@pytest.mark.requirement("R102")
@pytest.mark.negative
def test_each_route_serves_its_roles_alone(service: Service) -> None:
    kept, at = service.kept(), system_clock().replace(microsecond=0)
    later = service.pva.token(service.line.certificate, GOOD + 1, at=at)
    for name in ("sho", "dpf", "auditor", "admin", "es", "nobody"):
        with pytest.raises(HttpError, match="403"):
            service.bring(later, name=name)
    for name in ("pva", "admin", "es", "nobody"):
        with pytest.raises(HttpError, match="403"):
            service.ask(name)
    with pytest.raises(UnreachableError):
        HttpClient(service.served.urls["operator"], tls=service.certificates.tls()).get("/openapi.json")
    with pytest.raises(HttpError, match="404"):
        service.http("public").post("/v1/results", b"{}", content_type=REQUEST_TYPE)
    assert service.kept() == kept


@pytest.mark.negative
def test_nonsense_is_answered_in_the_words_of_ocsp(service: Service) -> None:
    answer = service.http("operator", "sho").post("/v1/ocsp", b"nonsense", content_type=REQUEST_TYPE)
    status = ocsp.load_der_ocsp_response(answer.body).response_status
    assert status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST
    with pytest.raises(HttpError, match="415"):
        service.http("operator", "sho").post("/v1/ocsp", b"x", content_type="text/plain")
