"""The project's certificate extensions."""

import pytest
from cryptography import x509

from standards.pki import oids
from standards.pki.errors import DecodeError
from standards.pki.extensions import (
    AT_A_CEREMONY,
    REQUESTERS_MAX,
    ExpectedSystemState,
    HardwareModuleName,
    OperatorRole,
    Requester,
    Requesters,
    tre_level,
)
from standards.pki.fingerprints import ca_id, device_id, spki_der, spki_sha256
from tests.fakes.pki import Authority, p256

STATE = ExpectedSystemState(manifest_id="supplier.invalid/m/3", manifest_digest=bytes(32), svn=3)
ROLE = OperatorRole(role="pva", id="pva-1")
MODULE = HardwareModuleName(hw_type=oids.hw_type_of_model(7), serial=b"\x01" * 16)
ONE = Requester(name="admin", key_sha256="1" * 64)
BEHIND = Requesters(line=(ONE, Requester(name="staff", key_sha256="2" * 64)))
ROOT = Authority.root()


def test_extensions_round_trip_through_a_certificate() -> None:
    san = x509.SubjectAlternativeName([MODULE.to_general_name()])
    policies = x509.CertificatePolicies([x509.PolicyInformation(oids.POLICY_TRE_LEVELS[2], None)])
    leaf = ROOT.issue(
        "",
        key=p256().public_key(),
        extensions=[
            (STATE.to_extension(), False),
            (ROLE.to_extension(), False),
            (BEHIND.to_extension(), False),
            (san, True),
            (policies, False),
        ],
    )
    assert ExpectedSystemState.of(leaf) == STATE
    assert OperatorRole.of(leaf) == ROLE
    assert Requesters.of(leaf) == BEHIND
    assert HardwareModuleName.of(leaf) == MODULE
    assert tre_level(leaf) == 2


def test_a_certificate_without_them() -> None:
    leaf = ROOT.issue("leaf", key=p256().public_key())
    assert ExpectedSystemState.of(leaf) is None
    assert OperatorRole.of(leaf) is None
    assert Requesters.of(leaf) is None
    assert HardwareModuleName.of(leaf) is None
    assert tre_level(leaf) is None


@pytest.mark.negative
@pytest.mark.parametrize(
    "value", [STATE, ROLE, MODULE, BEHIND, AT_A_CEREMONY], ids=lambda value: type(value).__name__
)
def test_every_prefix_and_suffix_is_refused(
    value: ExpectedSystemState | OperatorRole | HardwareModuleName | Requesters,
) -> None:
    der = value.encode()
    assert type(value).decode(der) == value
    for end in range(len(der)):
        with pytest.raises(DecodeError):
            type(value).decode(der[:end])
    with pytest.raises(DecodeError):
        type(value).decode(der + b"\x00")


@pytest.mark.negative
def test_bounds() -> None:
    with pytest.raises(DecodeError, match="digest"):
        ExpectedSystemState(manifest_id="m", manifest_digest=bytes(20), svn=0)
    with pytest.raises(DecodeError, match="version"):
        ExpectedSystemState(manifest_id="m", manifest_digest=bytes(32), svn=-1)
    with pytest.raises(DecodeError, match="version"):
        ExpectedSystemState(manifest_id="m", manifest_digest=bytes(32), svn=1 << 63)
    with pytest.raises(DecodeError, match="id"):
        ExpectedSystemState(manifest_id="", manifest_digest=bytes(32), svn=1)
    with pytest.raises(DecodeError, match="role"):
        OperatorRole(role="", id="x")
    for name, key in (("", "1" * 64), ("x" * 201, "1" * 64), ("x", "1" * 63), ("x", "A" * 64)):
        with pytest.raises(DecodeError):
            Requester(name=name, key_sha256=key)
    with pytest.raises(DecodeError):
        Requesters(line=(ONE,) * (REQUESTERS_MAX + 1))
    with pytest.raises(DecodeError, match="serial"):
        HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=b"")
    with pytest.raises(ValueError, match="model number"):
        oids.hw_type_of_model(0)


@pytest.mark.negative
def test_ambiguous_names_and_levels_are_refused() -> None:
    san = x509.SubjectAlternativeName([MODULE.to_general_name(), MODULE.to_general_name()])
    policies = x509.CertificatePolicies(
        [x509.PolicyInformation(oids.POLICY_TRE_LEVELS[level], None) for level in (1, 3)]
    )
    leaf = ROOT.issue("leaf", key=p256().public_key(), extensions=[(san, False), (policies, False)])
    with pytest.raises(DecodeError, match="one a certificate"):
        HardwareModuleName.of(leaf)
    with pytest.raises(DecodeError, match="one policy"):
        tre_level(leaf)


def test_names_by_digest_agree() -> None:
    certificate = ROOT.certificate
    assert spki_sha256(certificate) == spki_sha256(ROOT.key.public_key())
    assert device_id(spki_der(certificate)).hex() == spki_sha256(certificate)
    assert spki_sha256(certificate).startswith(ca_id(certificate))
    assert len(ca_id(certificate)) == 32
