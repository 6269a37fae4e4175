"""What was built is read back and compared with what was proven: one value at a time is wrong."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.errors import ProfileError
from ca.issuance import issue, name
from ca.key_algorithms import KeyAlgorithm, generate_key
from ca.lint_content import lint_content
from ca.profiles import PROFILES, Kind
from ca.template import Issuer, Places, Template
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName, OperatorRole
from tests.fakes.ca import NOW

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(2))
PLACES = Places(
    crl_url="http://ca.example.net/crl/x.crl",
    certificate_url="http://ca.example.net/ca/x.cer",
    ocsp_url="http://ocsp.example.net/",
)
PFC = Template(
    kind=Kind.PLATFORM_CREDENTIAL,
    public_key=KEY,
    tre_level=2,
    hardware_module=HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=bytes(32)),
    expected_state=ExpectedSystemState(manifest_id="gw/1", manifest_digest=bytes(32), svn=1),
)
SERVER = Template(
    kind=Kind.TLS_SERVER,
    public_key=KEY,
    subject=name(common_name="ca"),
    network_names=(x509.DNSName("ca.example.net"),),
)
CHALLENGE = Template(
    kind=Kind.CHALLENGE,
    public_key=KEY,
    subject=name(common_name="pva-1"),
    operator_role=OperatorRole(role="pva", id="pva-1"),
)
ISSUERS = {
    Kind.PLATFORM_CREDENTIAL: Kind.ISSUING_CA,
    Kind.TLS_SERVER: Kind.TLS_ROOT,
    Kind.CHALLENGE: Kind.OPERATORS_ROOT,
}


def issuer_of(kind: Kind) -> Issuer:
    """A CA of the kind that issues it; for an issuing CA, below a root of its own."""
    wanted = ISSUERS[kind]
    top = Kind.ES_ROOT if wanted is Kind.ISSUING_CA else wanted
    key = generate_key(KeyAlgorithm.P256)
    bare = Issuer(kind=top, certificate=None, key=key, places=PLACES)
    template = Template(kind=top, public_key=key.public_key(), subject=name(common_name="root"))
    root = replace(bare, certificate=issue(template, issuer=bare, serial=1, at=NOW))
    if wanted is not Kind.ISSUING_CA:
        return root
    below = generate_key(KeyAlgorithm.P256)
    line = Template(kind=wanted, public_key=below.public_key(), subject=name(common_name="line"), tre_level=2)
    return Issuer(
        kind=wanted, certificate=issue(line, issuer=root, serial=2, at=NOW), key=below, places=PLACES
    )


def built(template: Template) -> x509.Certificate:
    return issue(template, issuer=issuer_of(template.kind), serial=3, at=NOW)


@pytest.fixture(scope="module")
def certificates() -> dict[Kind, x509.Certificate]:
    return {each.kind: built(each) for each in (PFC, SERVER, CHALLENGE)}


WRONG: list[tuple[Template, dict[str, Any], str]] = [
    (PFC, {"public_key": OTHER}, "key"),
    (PFC, {"tre_level": 3}, "security level"),
    (
        PFC,
        {"hardware_module": HardwareModuleName(hw_type=oids.hw_type_of_model(2), serial=bytes(32))},
        "hardware",
    ),
    (
        PFC,
        {"expected_state": ExpectedSystemState(manifest_id="gw/1", manifest_digest=bytes(32), svn=2)},
        "state",
    ),
    (PFC, {"subject": name(common_name="x")}, "subject"),
    (SERVER, {"network_names": (x509.DNSName("other.example.net"),)}, "network names"),
    (SERVER, {"network_names": None}, "network names"),
    (SERVER, {"subject": name(common_name="cb")}, "subject"),
    (CHALLENGE, {"operator_role": OperatorRole(role="pva", id="pva-2")}, "role"),
    (CHALLENGE, {"operator_role": None}, "role"),
]


@pytest.mark.negative
@pytest.mark.check("P2")
@pytest.mark.parametrize(("template", "change", "fault"), WRONG, ids=lambda value: str(value)[:24])
def test_one_wrong_value_stops_the_signature(
    certificates: dict[Kind, x509.Certificate], template: Template, change: dict[str, Any], fault: str
) -> None:
    profile, certificate = PROFILES[template.kind], certificates[template.kind]
    lint_content(certificate, template=template, profile=profile, places=PLACES)
    with pytest.raises(ProfileError, match=fault):
        lint_content(certificate, template=replace(template, **change), profile=profile, places=PLACES)


@pytest.mark.negative
@pytest.mark.check("P12")
@pytest.mark.check("O20")
@pytest.mark.parametrize("place", ["crl_url", "certificate_url", "ocsp_url"])
def test_another_place_stops_the_signature(certificates: dict[Kind, x509.Certificate], place: str) -> None:
    elsewhere = replace(PLACES, **{place: "http://elsewhere.example.net/x"})
    with pytest.raises(ProfileError, match="issuer's"):
        lint_content(certificates[PFC.kind], template=PFC, profile=PROFILES[PFC.kind], places=elsewhere)
