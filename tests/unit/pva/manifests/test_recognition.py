"""Recognition of suppliers, and manifests that are refused by name and change nothing."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pva.manifests.recognition import RecognitionWish
from pva.refusals import RefusalCode, RefusalError
from standards.pki import oids
from standards.rats.corim import Manifest, PlatformReference, ReferenceEvent, encode_manifest
from standards.rats.manifest import Predecessor
from tests.fakes.attesting_device import SHA256
from tests.fakes.credentials import FakeSupplier
from tests.fakes.pki import EXPIRED, LEAF_USAGE, NOW, Authority, issuer_extensions
from tests.fakes.pva_world import ADMINISTRATORS, World, reference_manifest
from tests.vectors.slow_keys import private_rsa_key

NEXT = {"id": "release-2", "svn": 4}


@pytest.fixture
def world() -> World:
    return World()


def refused(world: World, signed: bytes, *, only_of: str | None = None) -> RefusalError:
    before = tuple(world.references.manifests())
    with pytest.raises(RefusalError) as caught:
        world.recognition.import_manifest(signed, only_of=only_of, by="supplier", at=NOW)
    assert tuple(world.references.manifests()) == before
    assert caught.value.remedy
    return caught.value


def changed(world: World, **parts: Any) -> Manifest:
    return reference_manifest(world.device, **{**NEXT, **parts})


def with_registers(manifest: Manifest, values: dict[int, bytes], *, bank: int = SHA256) -> Manifest:
    registers = {each: dict(of_bank) for each, of_bank in manifest.platform.registers.items()}
    registers.setdefault(bank, {}).update(values)
    return replace(manifest, platform=PlatformReference(registers=registers))


def test_a_manifest_under_the_suppliers_root_is_imported(world: World) -> None:
    signed = world.sign(changed(world))
    imported = world.recognition.import_manifest(signed, only_of="Acme", by="supplier", at=NOW)
    assert (imported.supplier, imported.id, imported.svn) == ("Acme", "release-2", 4)
    assert {each.id for each in world.recognition.manifests(only_of=None)} == {"release-1", "release-2"}
    assert world.recognition.manifests(only_of="Other") == []


@pytest.mark.negative
@pytest.mark.requirement("R79")
def test_an_unsigned_manifest(world: World) -> None:
    assert refused(world, encode_manifest(changed(world))).code is RefusalCode.MANIFEST_UNSIGNED


@pytest.mark.negative
def test_bytes_that_are_no_manifest(world: World) -> None:
    assert refused(world, b"\x00\x01").code is RefusalCode.MANIFEST_MALFORMED


@pytest.mark.negative
@pytest.mark.requirement("R20")
def test_a_manifest_under_a_root_that_nobody_recognised(world: World) -> None:
    foreign = world.sign(changed(world), by=FakeSupplier.make("Unknown"))
    assert refused(world, foreign).code is RefusalCode.MANIFEST_UNTRUSTED


@pytest.mark.negative
def test_a_manifest_whose_content_was_changed_after_signing(world: World) -> None:
    signed = cbor2.loads(world.sign(changed(world)))
    payload = signed.value[2].replace(b"1.0.0", b"1.0.9")
    assert payload != signed.value[2]
    forged = cbor2.dumps(cbor2.CBORTag(18, [*signed.value[:2], payload, signed.value[3]]))
    assert refused(world, forged).code is RefusalCode.MANIFEST_UNTRUSTED


@pytest.mark.negative
@pytest.mark.parametrize("eku", [oids.EKU_BATCH_SIGNING, oids.EKU_PLATFORM_CREDENTIAL, oids.EKU_ANY])
def test_a_signer_made_for_another_purpose(world: World, eku: x509.ObjectIdentifier) -> None:
    signed = world.sign(changed(world), eku=eku)
    assert refused(world, signed).code is RefusalCode.MANIFEST_WRONG_PURPOSE


@pytest.mark.negative
@pytest.mark.requirement("R28")
def test_a_model_that_the_supplier_may_not_certify(world: World) -> None:
    refusal = refused(world, world.sign(changed(world, models=("gateway-1", "gateway-9"))))
    assert refusal.code is RefusalCode.MANIFEST_WRONG_MODEL
    assert "gateway-9" in refusal.reason


@pytest.mark.negative
def test_one_supplier_cannot_speak_for_another(world: World) -> None:
    other = FakeSupplier.make("Other")
    world.recognise(other)
    as_acme = world.sign(changed(world), by=other)
    assert refused(world, as_acme).code is RefusalCode.MANIFEST_WRONG_VENDOR


@pytest.mark.negative
def test_a_supplier_may_not_send_the_manifest_of_another(world: World) -> None:
    signed = world.sign(changed(world))
    assert refused(world, signed, only_of="Other").code is RefusalCode.MANIFEST_WRONG_VENDOR


@pytest.mark.negative
@pytest.mark.check("A16")
@pytest.mark.parametrize("pcr", [10, 16, 17, 18, 19, 20, 21, 22, 23])
def test_a_manifest_that_leans_on_a_pcr_that_proves_nothing(world: World, pcr: int) -> None:
    leaning = with_registers(changed(world), {pcr: bytes(32)})
    refusal = refused(world, world.sign(leaning))
    assert refusal.code is RefusalCode.MANIFEST_FORBIDDEN_PCR
    assert str(pcr) in refusal.reason


@pytest.mark.negative
@pytest.mark.check("A16")
def test_an_event_in_such_a_pcr_is_refused_too(world: World) -> None:
    manifest = changed(world)
    event = ReferenceEvent(pcr=16, position=0, digest={SHA256: bytes(32)}, name="debug", scope="tre")
    leaning = replace(manifest, events=(*manifest.events, event))
    assert refused(world, world.sign(leaning)).code is RefusalCode.MANIFEST_FORBIDDEN_PCR


@pytest.mark.negative
def test_a_register_that_no_device_is_asked_to_quote(world: World) -> None:
    unquoted = with_registers(changed(world), {11: bytes(32)})
    assert refused(world, world.sign(unquoted)).code is RefusalCode.MANIFEST_UNQUOTED_PCR


def test_registers_of_a_bank_that_is_not_asked_for_do_no_harm(world: World) -> None:
    more = with_registers(changed(world), {11: bytes(48)}, bank=0x000C)
    events = ()
    signed = world.sign(replace(more, events=events))
    assert world.recognition.import_manifest(signed, only_of=None, by="x", at=NOW).svn == 4


@pytest.mark.negative
def test_events_that_do_not_lead_to_their_register(world: World) -> None:
    manifest = changed(world)
    gap = tuple(each for each in manifest.events if (each.pcr, each.position) != (8, 0))
    other = with_registers(manifest, {9: b"\x05" * 32})
    for inconsistent in (replace(manifest, events=gap), other):
        refusal = refused(world, world.sign(inconsistent))
        assert refusal.code is RefusalCode.MANIFEST_INCONSISTENT


@pytest.mark.negative
def test_a_signer_whose_certificate_is_over(world: World) -> None:
    signed = world.sign(changed(world))
    late = NOW + timedelta(days=60)
    with pytest.raises(RefusalError) as caught:
        world.recognition.import_manifest(signed, only_of=None, by="x", at=late)
    assert caught.value.code is RefusalCode.MANIFEST_UNTRUSTED


def following(world: World, **parts: Any) -> Manifest:
    """A manifest that follows the one of the world."""
    until = NOW + timedelta(days=2)
    before = Predecessor(id="release-1", digest=world.state.manifest_digest, until=until)
    return changed(world, **{"predecessor": before, "line_name": "release-1", "valid_from": NOW, **parts})


@pytest.mark.requirement("R82")
def test_a_successor_is_imported_and_a_dry_run_of_it_keeps_nothing(world: World) -> None:
    signed = world.sign(following(world))
    checked = world.recognition.check_import(signed, only_of="Acme", by="supplier", at=NOW)
    assert len(world.references.manifests()) == 1
    imported = world.recognition.import_manifest(signed, only_of="Acme", by="supplier", at=NOW)
    assert imported == checked
    assert (imported.line, imported.predecessor_digest) == ("release-1", world.state.manifest_digest)


@pytest.mark.negative
@pytest.mark.requirement("R82")
@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"svn": 2}, RefusalCode.MANIFEST_SVN_FALLS),
        ({"line_name": "another"}, RefusalCode.MANIFEST_OTHER_LINE),
        (
            {"predecessor": Predecessor(id="release-0", digest=bytes(32), until=NOW)},
            RefusalCode.MANIFEST_PREDECESSOR_UNKNOWN,
        ),
    ],
)
def test_a_successor_that_breaks_the_rule_of_its_line(
    world: World, parts: dict[str, Any], code: RefusalCode
) -> None:
    signed = world.sign(following(world, **parts))
    assert refused(world, signed).code is code
    with pytest.raises(RefusalError) as caught:
        world.recognition.check_import(signed, only_of=None, by="supplier", at=NOW)
    assert caught.value.code is code


@pytest.mark.negative
@pytest.mark.requirement("R82")
def test_two_successors_of_one_manifest(world: World) -> None:
    world.recognition.import_manifest(world.sign(following(world)), only_of=None, by="s", at=NOW)
    assert refused(world, world.sign(following(world, id="rival"))).code is RefusalCode.MANIFEST_FORK


@pytest.mark.negative
@pytest.mark.requirement("R82")
def test_a_supplier_cannot_take_over_the_line_of_another(world: World) -> None:
    other = FakeSupplier.make("Other")
    world.recognise(other)
    signed = world.sign(following(world, supplier="Other"), by=other)
    assert refused(world, signed).code is RefusalCode.MANIFEST_WRONG_VENDOR


def recognise(world: World, pem: bytes, *, name: str = "New") -> Any:
    wish = RecognitionWish(name=name, root_pem=pem, models={"m": "1.2.3"}, ocsp_url="http://127.0.0.1/")
    for administrator in ADMINISTRATORS:
        made = world.recognition.recognise(wish, by=administrator, at=NOW)
    return made


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def test_a_root_is_recognised(world: World) -> None:
    recognise(world, pem(Authority.root("new root").certificate))
    assert [each.name for each in world.recognition.suppliers()] == ["Acme", "New"]


def self_signed(key: mldsa.MLDSA65PrivateKey | mldsa.MLDSA44PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ML-DSA root")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .serial_number(5)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=30))
        .public_key(key.public_key())
    )
    for value, critical in issuer_extensions():
        builder = builder.add_extension(value, critical=critical)
    return pem(builder.sign(key, None))


def test_a_root_of_ml_dsa_65_is_recognised(world: World) -> None:
    recognise(world, self_signed(mldsa.MLDSA65PrivateKey.generate()))
    assert [each.name for each in world.recognition.suppliers()] == ["Acme", "New"]


@cache
def unacceptable_roots() -> dict[str, bytes]:
    root = Authority.root("new root")
    weak = private_rsa_key().public_key()
    return {
        "no PEM": b"-----BEGIN NOTHING-----",
        "two certificates": pem(root.certificate) * 2,
        "no CA": pem(root.issue("leaf", key=root.key.public_key(), extensions=[(LEAF_USAGE, True)])),
        "ML-DSA-44": self_signed(mldsa.MLDSA44PrivateKey.generate()),
        "an intermediate": pem(root.subordinate("intermediate").certificate),
        "expired": pem(Authority.root("old root", validity=EXPIRED).certificate),
        "another's signature": pem(root.issue("new root", key=weak, extensions=())),
    }


@pytest.mark.negative
@pytest.mark.parametrize("fault", list(unacceptable_roots()))
def test_what_is_no_root(world: World, fault: str) -> None:
    with pytest.raises(RefusalError) as caught:
        recognise(world, unacceptable_roots()[fault])
    assert caught.value.code is RefusalCode.ROOT_UNACCEPTABLE
    assert len(world.recognition.suppliers()) == 1
