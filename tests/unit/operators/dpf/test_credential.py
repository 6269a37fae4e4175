"""Point 6 of the gate: which certificate, under which root, of which level; its status is in `test_release`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from operators.dpf.credential import Supplier, check_credential
from operators.dpf.refusals import RefusalCode, RefusalError
from standards.pki import oids
from standards.pki.extensions import HardwareModuleName
from standards.pki.fingerprints import certificate_der, certificate_sha256
from standards.rats.ear import CredentialReference
from tests.fakes.credentials import CredentialPlan, FakeSupplier, hw_type
from tests.fakes.dpf_world import DpfWorld
from tests.fakes.pki import EXPIRED, LEAF_USAGE, NOW

WORLD = DpfWorld()
DEVICE, KEY = WORLD.device.device_id, WORLD.device.ak_key.public_key()


def reference(certificate: x509.Certificate) -> CredentialReference:
    return CredentialReference(
        issuer_sha256=bytes.fromhex(certificate_sha256(WORLD.supplier.issuing.certificate)),
        serial=certificate.serial_number,
        sha256=bytes.fromhex(certificate_sha256(certificate)),
    )


def check(
    *,
    chain: Sequence[bytes] = WORLD.chain,
    judged: CredentialReference | None = None,
    device_id: str = DEVICE,
    suppliers: Sequence[Supplier] | None = None,
) -> str:
    """The code of the refusal, or that it passes."""
    known = [WORLD.recognised()] if suppliers is None else suppliers
    try:
        proven = check_credential(
            chain,
            judged=judged or reference(WORLD.credential),
            device_id=device_id,
            suppliers=known,
            at=NOW,
        )
    except RefusalError as refusal:
        return refusal.code
    assert proven.issuer == WORLD.supplier.issuing.certificate
    return "passes"


def with_level(level: int) -> x509.Certificate:
    """A PfC whose policies assert a TRE level."""
    policy = x509.PolicyInformation(oids.POLICY_TRE_LEVELS[level], None)
    name = HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=bytes.fromhex(DEVICE))
    return WORLD.supplier.issuing.issue(
        "",
        key=KEY,
        extensions=[
            (LEAF_USAGE, True),
            (x509.ExtendedKeyUsage([oids.EKU_PLATFORM_CREDENTIAL, oids.EKU_TPM_AIK]), False),
            (x509.SubjectAlternativeName([name.to_general_name()]), True),
            (x509.CertificatePolicies([policy]), False),
        ],
    )


def test_the_judged_certificate_of_a_recognised_supplier_passes() -> None:
    assert check() == "passes"
    assert check(suppliers=[WORLD.recognised(models={hw_type(): 0})]) == "passes"


@pytest.mark.negative
@pytest.mark.requirement("R27")
@pytest.mark.parametrize(
    "changed", [{"sha256": bytes(32)}, {"issuer_sha256": bytes(32)}, {"serial": 1}], ids=str
)
def test_another_certificate_than_was_judged_is_refused(changed: dict[str, Any]) -> None:
    assert check(judged=replace(reference(WORLD.credential), **changed)) == RefusalCode.PFC_MISMATCH


@pytest.mark.negative
@pytest.mark.requirement("R60")
def test_the_certificate_of_a_twin_is_refused() -> None:
    twin = WORLD.supplier.credential("ab" * 32, KEY)
    chain = WORLD.supplier.chain(twin)
    assert check(chain=chain, judged=reference(twin)) == RefusalCode.PFC_MISMATCH


@pytest.mark.negative
@pytest.mark.requirement("R27")
@pytest.mark.parametrize(
    "plan",
    [
        CredentialPlan(purposes=(oids.EKU_TPM_AIK,)),
        CredentialPlan(purposes=()),
        CredentialPlan(validity=EXPIRED),
    ],
)
def test_what_is_no_platform_credential_now_is_refused(plan: CredentialPlan) -> None:
    other = WORLD.supplier.credential(DEVICE, KEY, plan=plan)
    chain = WORLD.supplier.chain(other)
    assert check(chain=chain, judged=reference(other)) == RefusalCode.PFC_INVALID


@pytest.mark.negative
def test_a_chain_that_leads_nowhere_is_refused() -> None:
    assert check(chain=WORLD.chain[:1]) == RefusalCode.SUPPLIER_NOT_RECOGNISED
    impostor = FakeSupplier.make()  # of the same name
    assert check(suppliers=[replace(WORLD.recognised(), root=impostor.root.certificate)]) == (
        RefusalCode.PFC_INVALID
    )
    assert check(chain=(b"\x30\x00", certificate_der(WORLD.supplier.issuing.certificate))) == (
        RefusalCode.PFC_INVALID
    )


@pytest.mark.negative
@pytest.mark.requirement("R19")
def test_a_supplier_that_is_recognised_no_more_gets_nothing() -> None:
    assert check(suppliers=[]) == RefusalCode.SUPPLIER_NOT_RECOGNISED


@pytest.mark.negative
@pytest.mark.requirement("R49")
@pytest.mark.parametrize(
    ("level", "needed", "outcome"),
    [(1, 1, "passes"), (3, 2, "passes"), (1, 2, "tre-level-too-low"), (None, 1, "tre-level-too-low")],
)
def test_a_product_needs_its_tre_level(level: int | None, needed: int, outcome: str) -> None:
    other = WORLD.credential if level is None else with_level(level)
    chain = WORLD.supplier.chain(other)
    for known in (WORLD.recognised(tre_level_min=needed), WORLD.recognised(models={hw_type(): needed})):
        assert check(chain=chain, judged=reference(other), suppliers=[known]) == outcome
