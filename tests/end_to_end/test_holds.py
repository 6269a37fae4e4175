"""The table of states (D6) over HTTP: a device, its TRE, PVA, CA and responder, with two caches before the responder."""

import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from clients.ca import CaOperatorClient, IssuedCredential
from clients.ocsp import OcspClient
from clients.pva import PvaOperatorClient
from edge.http_client import HttpClient, HttpError
from edge.process import system_clock, system_random
from lab.device import Answer
from lab.scene import Scene
from lab.story import attest, enroll
from messages.evidence import decode_evidence, encode_evidence
from standards.pki.crl import RevocationReason, verify_crl
from standards.pki.fingerprints import ca_id
from standards.pki.ocsp_answer import CertStatus, StatusKind
from tests.end_to_end.lab_services import add_devices
from tests.fakes.http_cache import HttpCache

CONTRAINDICATED = 3
"""How many results hold a credential, where the settings say nothing else."""
LIFETIME_S = 12
"""How long an answer to a question without a nonce lives here; in the field up to five minutes."""
HEARD_S = 1.0
WAIT_S = 30.0
DRAWS_MAX = 40
SUPPLIER = "supplier-1"
OTHER_KERNEL = "vmlinuz-6.1.0-of-someone-else"
NONCE_BYTES = 32

pytestmark = [pytest.mark.requirement("R24"), pytest.mark.requirement("R101"), pytest.mark.timeout(600)]


@dataclass(frozen=True, kw_only=True)
class InTheField:
    """A device in the field, and everybody who looks at its credential; two caches stand before the responder."""

    scene: Scene
    device: str
    leaf: x509.Certificate
    issuer: x509.Certificate
    cache_url: str

    @property
    def supplier(self) -> CaOperatorClient:
        """The CA as the device's supplier calls it."""
        services = self.scene.services
        return CaOperatorClient(services.http("ca", "operator", services.identity(SUPPLIER)))

    def credential(self) -> IssuedCredential:
        """The credential in the CA's books."""
        return self.supplier.platform_credential(ca_id(self.issuer), self.leaf.serial_number)

    def boot(self, *, kernel: str | None = None) -> None:
        """Boot the device with the approved release, or with another kernel."""
        release = self.scene.release()
        self.scene.power_on(
            self.device, release=release if kernel is None else replace(release, kernel=kernel)
        )

    def validated(self) -> str:
        """A look at the device by its operator; the tier, or how it was refused."""
        answer, result = attest(self.scene, self.device, step="v")
        return answer.outcome if result is None else result.status.name.lower()

    def attested(self, *, purpose: str) -> Answer:
        """What the device hears after a look for some purpose."""
        self.ask(purpose=purpose)
        return self.scene.devices[self.device].agent("attest")

    def ask(self, *, purpose: str = "validation") -> None:
        """Ask for a look at the device."""
        services = self.scene.services
        pva = PvaOperatorClient(services.http("pva", "operator", services.identity("sho-1")))
        pva.request_validation(
            device_id=self.scene.ids[self.device],
            nonce=system_random(NONCE_BYTES),
            audience=["sho-1"],
            purpose=purpose,
        )

    def asked_with_nonce(self) -> CertStatus:
        """What a client with a nonce hears, through both caches."""
        with closing(OcspClient(self.cache_url, random_bytes=system_random, clock=system_clock)) as client:
            return client.ask(self.leaf, issuer=self.issuer)

    def asked_without_nonce(self) -> ocsp.OCSPResponse:
        """What a caching client hears, through both caches; never out of its time."""
        request = ocsp.OCSPRequestBuilder().add_certificate(self.leaf, self.issuer, hashes.SHA256()).build()
        path = quote(b64encode(request.public_bytes(Encoding.DER)), safe="")
        with closing(HttpClient(self.cache_url)) as http:
            answer = ocsp.load_der_ocsp_response(http.get(f"/{path}").body)
        assert answer.next_update_utc is not None
        assert answer.this_update_utc <= system_clock() <= answer.next_update_utc + timedelta(seconds=1)
        return answer

    def listed(self) -> RevocationReason | None:
        """The device's credential in the CA's newest CRL."""
        crl = self.scene.services.http("ca", "public").get(f"/crl/{ca_id(self.issuer)}.crl").body
        revoked = verify_crl(crl, issuer=self.issuer, at=system_clock()).revoked
        found = revoked.get(self.leaf.serial_number)
        return None if found is None else found.reason


def until(condition: Callable[[], bool], *, within_s: float = WAIT_S) -> float:
    """Wait for something; when it was seen."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return time.monotonic()


@pytest.fixture(scope="module")
def field(network: Scene) -> Iterator[InTheField]:
    with in_the_field(network, "held") as field:
        yield field


@contextmanager
def in_the_field(scene: Scene, device: str) -> Iterator[InTheField]:
    """A device of its own batch, enrolled, where answers of the responder live as long as a test can wait."""
    settings = scene.site.role("ocsp") / "ocsp.toml"
    before = settings.read_text()
    settings.write_text(f"answer_lifetime_s = {LIFETIME_S}\n{before}")
    scene.services.restart("ocsp")
    add_devices(scene, (device,), batch=f"batch-of-{device}")
    answer = enroll(scene, device)
    assert answer.status == 0, answer
    leaf, issuer = scene.suppliers[SUPPLIER].credential(int(answer.said["serial"], 16))
    with HttpCache(scene.services.ocsp_url) as near, HttpCache(near.url) as far:
        yield InTheField(scene=scene, device=device, leaf=leaf, issuer=issuer, cache_url=far.url)
    settings.write_text(before)
    scene.services.restart("ocsp")


def test_one_device_from_good_to_hold_to_good(field: InTheField) -> None:
    _affirming_stays_good(field)
    _what_is_no_result_changes_nothing(field)
    _contraindicated_results_hold(field)
    _held_is_recovered_and_nothing_else(field)
    _recovery_alone_lifts_nothing(field)
    _recovered_and_released_is_good_again(field)


def _affirming_stays_good(field: InTheField) -> None:
    assert field.validated() == "affirming"
    assert field.asked_with_nonce().kind is StatusKind.GOOD
    assert field.credential().version == 1


def _what_is_no_result_changes_nothing(field: InTheField) -> None:
    """Bad signatures, a responder that is silent, a device that is: as often as would hold a credential."""
    field.boot(kernel=OTHER_KERNEL)
    for _ in range(CONTRAINDICATED - 1):
        field.ask()
        evidence = field.scene.devices[field.device].evidence_for(field.scene.challenge(field.device))
        assert isinstance(evidence, bytes)
        message = decode_evidence(evidence)
        forged = replace(message, signature=message.signature[:-1] + bytes([message.signature[-1] ^ 1]))
        refusal = field.scene.submit(encode_evidence(forged))
        assert not isinstance(refusal, str)
        assert refusal.code == "quote-signature-invalid"
    field.ask()
    field.scene.processes.stop("ocsp")
    refused = field.scene.devices[field.device].agent("attest").refusal
    assert refused is not None
    assert refused.code == "status-unavailable"
    field.scene.services.start("ocsp", "ocsp.app")
    assert field.credential().version == 1


def _contraindicated_results_hold(field: InTheField) -> None:
    """Fewer than the rule says change nothing; the last one holds, heard at once with a nonce, in time without."""
    answers = [field.scene.devices[field.device].agent("attest").outcome for _ in range(CONTRAINDICATED - 1)]
    assert answers == ["contraindicated"] * (CONTRAINDICATED - 1)
    assert field.credential().version == 1
    before = field.asked_without_nonce()
    assert before.certificate_status is ocsp.OCSPCertStatus.GOOD
    answer = field.scene.devices[field.device].agent("attest")
    assert answer.outcome == "contraindicated"
    committed = until(lambda: field.credential().status == "revoked")
    heard = until(lambda: field.asked_with_nonce().kind is StatusKind.REVOKED)
    assert heard - committed < HEARD_S
    said = field.asked_with_nonce().revocation
    assert said is not None
    assert said.reason is RevocationReason.CERTIFICATE_HOLD
    assert field.listed() is RevocationReason.CERTIFICATE_HOLD
    held = field.credential()
    assert (held.reason, held.version) == ("certificateHold", 2)
    assert held.hold is not None
    assert len(held.hold.results) == CONTRAINDICATED
    assert before.next_update_utc is not None
    left_s = (before.next_update_utc - system_clock()).total_seconds()
    until(
        lambda: field.asked_without_nonce().certificate_status is ocsp.OCSPCertStatus.REVOKED,
        within_s=left_s + 1,
    )


def _held_is_recovered_and_nothing_else(field: InTheField) -> None:
    refused = field.attested(purpose="validation").refusal
    assert refused is not None
    assert refused.code == "pfc-on-hold"


def _recovery_alone_lifts_nothing(field: InTheField) -> None:
    """In the bad state there is no recovery; without one, and without its supplier, nothing is lifted."""
    with pytest.raises(HttpError) as caught:
        field.supplier.release_platform_credential(ca_id(field.issuer), field.leaf.serial_number)
    assert caught.value.problem is not None
    assert caught.value.problem.reason == "not-recovered"
    assert field.credential().version == 2


def _recovered_and_released_is_good_again(field: InTheField) -> None:
    field.boot()
    field.ask(purpose="recovery")
    # the validation that was refused still waits, and is drawn by lot as often as the recovery
    outcomes = (field.scene.devices[field.device].agent("attest").outcome for _ in range(DRAWS_MAX))
    assert next(each for each in outcomes if each != "refused: pfc-on-hold") == "warning"
    until(lambda: (hold := field.credential().hold) is not None and hold.recovery is not None)
    assert field.asked_with_nonce().kind is StatusKind.REVOKED
    released = field.supplier.release_platform_credential(ca_id(field.issuer), field.leaf.serial_number)
    assert (released.status, released.version) == ("good", 3)
    until(lambda: field.asked_with_nonce().kind is StatusKind.GOOD, within_s=HEARD_S * 5)
    assert field.listed() is None
    assert field.validated() == "affirming"
    assert field.credential().version == 3
