"""Relying parties of a PVA of the tests: an SHO and a DPF that sign their questions for real."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from messages.operator_token import OperatorSigner
from messages.validation_request import VALIDATION_REQUEST_OF_SHO, SignedRequest
from pva.results.result import SignedResult
from pva.signed_requests import Caller
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.pki import NOW, p256
from tests.fakes.pva_world import ISSUER, World

ORDER = b"\x0d" * 32
SHO = Caller(role="sho", tenant="sho-1", name="SHO")
DPF = Caller(role="dpf", tenant="dpf-1", name="DPF")
RELAY = Caller(role="ro-relay", tenant="ro-1", name="RO")
AGREEMENT = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=True,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class Certified(Protocol):
    """Issues a certificate of a service under the operators' root."""

    def __call__(
        self,
        key: EllipticCurvePrivateKey,
        eku: x509.ObjectIdentifier,
        *,
        role: str,
        name: str,
        **options: Any,
    ) -> x509.Certificate:
        """The certificate of `key` for a purpose."""


@dataclass
class Askers:
    """An SHO and a DPF with their keys; `requests` counts, so that every question has a nonce and an id of its own."""

    certified: Certified
    device_id: str
    encryption_key: EllipticCurvePrivateKey = field(default_factory=p256)
    requests: int = 0

    def __post_init__(self) -> None:
        """Make and certify their keys."""
        self.signers = {
            "sho": self.signer("sho", "sho-1", oids.EKU_SUBSCRIPTION),
            "dpf": self.signer("dpf", "dpf-1", oids.EKU_DELIVERY),
        }

    def signer(self, role: str, name: str, eku: x509.ObjectIdentifier) -> OperatorSigner:
        """A key of a service, certified for a purpose."""
        key = p256()
        certificate = self.certified(key, eku, role=role, name=name)
        return OperatorSigner(key=key, chain=(certificate,), issuer=name)

    def encrypt_to(
        self,
        *,
        role: str = "sho",
        name: str = "sho-1",
        eku: x509.ObjectIdentifier = oids.EKU_RESULT_ENCRYPTION,
        usage: x509.KeyUsage = AGREEMENT,
    ) -> bytes:
        """A certificate to encrypt results to (DER)."""
        extensions = [(usage, True), (OperatorRole(role=role, id=name).to_extension(), False)]
        certificate = self.certified(self.encryption_key, eku, role=role, name=name, extensions=extensions)
        return certificate.public_bytes(Encoding.DER)

    def question(self, *, role: str = "sho", at: datetime = NOW, **changed: Any) -> SignedRequest:
        """A question that is right in every respect but in what is changed."""
        self.requests += 1
        fields: dict[str, Any] = {
            "requester": self.signers[role].issuer,
            "pva": ISSUER,
            "jti": f"request-{self.requests}",
            "device_id": self.device_id,
            "purpose": "validation",
            "rp_nonce": self.requests.to_bytes(32, "little"),
            "order_digest": ORDER,
            "audience": ("sho-1", "dpf-1"),
            "encrypt_to": None,
            "issued_at": at,
            "expires_at": at + timedelta(minutes=5),
        }
        return SignedRequest(**{**fields, **changed})

    def token(self, *, role: str = "sho", at: datetime = NOW, **changed: Any) -> str:
        """A signed question."""
        asked = self.question(role=role, at=at, **changed)
        return self.signers[role].sign(asked.claims(), typ=VALIDATION_REQUEST_OF_SHO.typ)


class RelyingParties(Askers):
    """SHO and DPF of one world, which hand in what they ask."""

    def __init__(self, *, world: World) -> None:
        """Have them certified by the world's operators' root."""
        self.world = world
        super().__init__(certified=world.certified, device_id=world.device.device_id)

    def ask(self, *, at: datetime = NOW, **changed: Any) -> str:
        """Hand in a question of the SHO; the request id."""
        request, _ = self.world.signed_desk.submit(self.token(at=at, **changed), caller=SHO, at=at)
        return request.id

    def validated(
        self, *, device: AttestingDevice | None = None, at: datetime = NOW, **changed: Any
    ) -> SignedResult:
        """A question of the SHO, answered by the device."""
        self.ask(at=at, **changed)
        return self.world.validate(self.world.answer(device, at=at), at=at)
