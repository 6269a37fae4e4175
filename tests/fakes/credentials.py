"""Suppliers, Platform Credentials and the PVA's own certificates, made with the fake hierarchy."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pva.appraisal.credential import Supplier
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from standards.pki.fingerprints import certificate_der
from tests.fakes.pki import DEFAULT_VALIDITY, LEAF_USAGE, Authority, Validity

MODEL = "gateway-1"


def hw_type(number: int = 1) -> str:
    """The hwType of a model by its number, as recognitions name it; that of MODEL is 1."""
    return oids.hw_type_of_model(number).dotted_string


STATE = ExpectedSystemState(manifest_id="release-1", manifest_digest=bytes(32), svn=3)


@dataclass(frozen=True, kw_only=True)
class CredentialPlan:
    """What a Platform Credential says; a test changes one thing."""

    state: ExpectedSystemState | None = STATE
    purposes: Sequence[x509.ObjectIdentifier] = (oids.EKU_PLATFORM_CREDENTIAL, oids.EKU_TPM_AIK)
    validity: Validity = DEFAULT_VALIDITY
    named_device: bool = True
    model_number: int = 1


@dataclass(frozen=True, kw_only=True)
class FakeSupplier:
    """An equipment supplier: ES root and one issuing CA."""

    name: str
    root: Authority
    issuing: Authority

    @classmethod
    def make(cls, name: str = "Acme", *, validity: Validity = DEFAULT_VALIDITY) -> "FakeSupplier":
        """A new hierarchy of this name."""
        root = Authority.root(f"{name} ES root", validity=validity)
        issuing = root.subordinate(f"{name} gateways", validity=validity)
        return cls(name=name, root=root, issuing=issuing)

    def recognised(self, *, models: tuple[str, ...] = (MODEL,)) -> Supplier:
        """The supplier as a PVA knows it."""
        return Supplier(
            name=self.name,
            root=self.root.certificate,
            models={model: hw_type(number) for number, model in enumerate(models, start=1)},
            ocsp_url="http://127.0.0.1:1/",
        )

    def credential(
        self, device_id: str, key: ec.EllipticCurvePublicKey, *, plan: CredentialPlan | None = None
    ) -> x509.Certificate:
        """A Platform Credential for an AK."""
        wanted = plan or CredentialPlan()
        extensions: list[tuple[x509.ExtensionType, bool]] = [(LEAF_USAGE, True)]
        if wanted.purposes:
            extensions.append((x509.ExtendedKeyUsage(list(wanted.purposes)), False))
        if wanted.named_device:
            name = HardwareModuleName(
                hw_type=oids.hw_type_of_model(wanted.model_number), serial=bytes.fromhex(device_id)
            )
            extensions.append((x509.SubjectAlternativeName([name.to_general_name()]), True))
        if wanted.state is not None:
            extensions.append((wanted.state.to_extension(), False))
        subject = "" if wanted.named_device else "a device"
        return self.issuing.issue(subject, key=key, extensions=extensions, validity=wanted.validity)

    def chain(self, credential: x509.Certificate) -> tuple[bytes, ...]:
        """The credential with its issuing CA, as evidence carries it."""
        return certificate_der(credential), certificate_der(self.issuing.certificate)
