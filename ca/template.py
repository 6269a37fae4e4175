"""What goes into a certificate, before it is one: the proven facts, the signer, and where things are published.

The one rule: nothing here decides; `profiles` says what a kind needs, `issuance` builds, `lint` judges.
"""

from dataclasses import dataclass

from cryptography import x509

from ca.key_algorithms import CaPrivateKey, SubjectKey
from ca.profiles import Kind
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName, OperatorRole, Requesters


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """URLs where what a CA publishes is found; they go into the certificates that it signs."""

    crl_url: str
    certificate_url: str
    ocsp_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A CA that can sign: its certificate (None while it signs itself), its key, its places."""

    kind: Kind
    certificate: x509.Certificate | None
    key: CaPrivateKey
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a use case proved and wants certified; the variables of its profile are set, and no others."""

    kind: Kind
    public_key: SubjectKey
    subject: x509.Name | None = None
    tre_level: int | None = None
    hardware_module: HardwareModuleName | None = None
    expected_state: ExpectedSystemState | None = None
    operator_role: OperatorRole | None = None
    network_names: tuple[x509.GeneralName, ...] | None = None
    requesters: Requesters | None = None
