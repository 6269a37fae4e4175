"""Runtime policies in a validation (A22): whose are in force, and what is found by them."""

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from messages.evidence import encode_evidence
from messages.runtime_policy import RuntimePolicy, sign_runtime_policy
from pva.appraisal.runtime_policies import RuntimePolicies, RuntimePolicyError, check_runtime_policies
from standards.pki import oids
from standards.pki.fingerprints import spki_der
from standards.rats.ar4si import Tier
from standards.rats.ear import Finding
from tests.fakes.attesting_device import AttestingDevice, p256
from tests.fakes.credentials import MODEL, FakeSupplier, hw_type
from tests.fakes.pki import LEAF_USAGE, NOW
from tests.fakes.pva_world import POLICY, World
from tests.unit.standards.ima.lists import Made, field, ng, sha1

DEVICE = AttestingDevice()
FIRST = DEVICE.boot_aggregate
CONTENT, OTHER = b"meter 1.0", b"meter 0.9"
DIGEST, OTHER_DIGEST = hashlib.sha256(CONTENT).digest(), hashlib.sha256(OTHER).digest()
SIGNER, STRANGER = p256(), p256()
RUNTIME = RuntimePolicy(
    supplier="Acme",
    id="runtime-1",
    models=(MODEL,),
    files={b"/usr/bin/meter": frozenset({DIGEST})},
    keys=(spki_der(SIGNER.public_key()),),
)
SUPPLIER = FakeSupplier.make()
OTHERS = FakeSupplier.make(name="Other")


def signed(policy: RuntimePolicy, *, by: FakeSupplier = SUPPLIER) -> bytes:
    key = p256()
    leaf = by.root.issue(
        "manifests",
        key=key.public_key(),
        eku=oids.EKU_MANIFEST_SIGNING,
        extensions=[(LEAF_USAGE, True)],
    )
    return sign_runtime_policy(policy, key=key, chain=[leaf])


def in_force(*policies: bytes) -> RuntimePolicies:
    suppliers = [SUPPLIER.recognised(models=(MODEL,)), OTHERS.recognised(models=(MODEL,))]
    return check_runtime_policies(
        {f"{number}.cose": each for number, each in enumerate(policies)}, suppliers=suppliers, at=NOW
    )


def file_signature(content: bytes, *, key: ec.EllipticCurvePrivateKey = SIGNER) -> bytes:
    """A signature of a file, as `security.ima` holds it, under the id of the supplier's key."""
    bits = RUNTIME.keyring.keys()
    made = key.sign(content, ec.ECDSA(hashes.SHA256()))
    return bytes([3, 2, 4]) + next(iter(bits)) + len(made).to_bytes(2, "big") + made


def found(*entries: Made, policy: RuntimePolicy = RUNTIME) -> tuple[Finding, ...]:
    """What is found about a device that ran this."""
    policies = in_force(signed(policy))
    world = World(
        supplier=SUPPLIER,
        device=replace(DEVICE, ima=(FIRST, *entries)),
        policy=replace(POLICY, ima=True),
    )
    message = world.answer()
    verifier = replace(world.verifier, runtime_policies=lambda: policies)
    result = verifier.validate_platform(encode_evidence(message), at=NOW).result.submodules["platform"]
    assert result.status is (Tier.WARNING if result.findings else Tier.AFFIRMING)
    claims = result.trustworthiness_vector
    ran_approved = (claims["executables"], claims.get("file-system")) == (2, 2)
    assert ran_approved == (not result.findings)
    return tuple(result.findings)


def ran(digest: bytes, *, path: bytes = b"/usr/bin/meter", signature: bytes | None = None) -> Made:
    if signature is None:
        return Made(data=ng(path, digest))
    return Made(data=ng(path, digest) + field(signature), template=b"ima-sig")


@pytest.mark.check("A22")
def test_a_listed_file_and_a_signed_file_are_allowed() -> None:
    by_key = ran(OTHER_DIGEST, path=b"/anywhere", signature=file_signature(OTHER))
    assert found(ran(DIGEST), ran(DIGEST, signature=b""), by_key) == ()


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    "entry",
    [
        ran(OTHER_DIGEST),
        ran(DIGEST, path=b"/tmp/meter"),
        ran(DIGEST, path=b"/usr/bin/meter\n"),
        Made(data=ng(b"/usr/bin/meter", sha1(CONTENT), algorithm=b"sha1")),
        Made(data=ng(b"/usr/bin/meter", DIGEST, algorithm=b"verity:sha256"), template=b"ima-ngv2"),
        ran(OTHER_DIGEST, signature=b""),
        FIRST,
    ],
    ids=["digest", "path", "line feed", "SHA-1", "fs-verity", "without a signature", "second boot_aggregate"],
)
def test_a_file_that_is_not_allowed_is_found(entry: Made) -> None:
    assert [each.code for each in found(ran(DIGEST), entry)] == ["ima-file-not-allowed"]


@pytest.mark.check("A22")
@pytest.mark.negative
def test_the_finding_says_what_where_and_what_was_expected() -> None:
    (known,) = found(ran(OTHER_DIGEST))
    assert known.subject == "file /usr/bin/meter"
    assert (known.expected, known.measured) == (DIGEST.hex(), f"sha256 {OTHER_DIGEST.hex()}")
    assert known.event == "entry 1 of the IMA list"
    (unknown,) = found(ran(DIGEST, path=b"/tmp/a\nb\xff"))
    assert (unknown.subject, unknown.expected) == (r"file /tmp/a\nb\xff", "no file at this path")


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    "signature",
    [file_signature(CONTENT), file_signature(OTHER, key=STRANGER), b"\x03\x02", b"\x05" + bytes(20)],
    ids=["of another file", "by another key", "cut", "of another kind"],
)
def test_a_signature_that_is_not_the_suppliers_is_found(signature: bytes) -> None:
    assert [each.code for each in found(ran(OTHER_DIGEST, signature=signature))] == ["ima-signature-invalid"]


@pytest.mark.check("A22")
@pytest.mark.negative
def test_many_files_make_few_findings() -> None:
    many = [ran(DIGEST, path=b"/tmp/%d" % number) for number in range(1_000)]
    findings = found(*many)
    assert len(findings) == 9
    assert findings[-1].subject == "entry 9 of the IMA list; what follows it is not judged any more"


@pytest.mark.check("A22")
def test_policies_are_held_once_and_named_in_the_policy_digest() -> None:
    other = replace(RUNTIME, supplier="Other", id="theirs")
    policies = in_force(signed(RUNTIME), signed(other, by=OTHERS))
    assert policies.digests == tuple(sorted({RUNTIME.digest, other.digest}))
    mine = policies.of(supplier="Acme", hw_type=hw_type())
    assert mine is not None
    assert mine.digest == RUNTIME.digest
    assert policies.of(supplier="Nobody", hw_type=hw_type()) is None
    assert replace(POLICY, runtime_policies=policies.digests).digest != POLICY.digest


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("policies", "sentence"),
    [
        ((RUNTIME.encode(),), "0.cose"),
        ((signed(RUNTIME, by=FakeSupplier.make()),), "0.cose"),
        ((signed(RUNTIME, by=OTHERS),), "signed it"),
        ((signed(replace(RUNTIME, models=("unknown",))),), "recognised for"),
        ((signed(RUNTIME), signed(replace(RUNTIME, id="runtime-2"))), "one policy for each model"),
    ],
    ids=["unsigned", "not recognised", "of another supplier", "model", "twice"],
)
def test_a_policy_that_cannot_be_in_force_stops_the_start(policies: tuple[bytes, ...], sentence: str) -> None:
    with pytest.raises(RuntimePolicyError, match=sentence):
        in_force(*policies)
