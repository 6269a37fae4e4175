"""Every kind of validation is computed again: lists that go on, boots without a log, recoveries, manifests that are not held."""

from dataclasses import replace
from datetime import timedelta

import pytest

from messages.evidence import encode_evidence
from messages.trust_list import ListedCrl
from pva.appraisal.known import Known
from pva.recheck.bundles import EVIDENCE, RESULT, RecheckError, decode_bundle, encode_bundle
from pva.recheck.recheck import Rechecked, recheck
from pva.results.explanation import Reader
from pva.results.result import SignedResult
from standards.pki.crl import Revocation, RevocationReason
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import MODEL
from tests.fakes.pki import NOW
from tests.fakes.pva_world import TENANT, World, good, reference_manifest
from tests.fakes.real_status import signed_status
from tests.fakes.supplier_crls import HOUR, crl_of
from tests.fakes.trust_lists import AUDIT
from tests.unit.pva.appraisal.test_ima_incremental import DEVICE, LATER, later, made_world
from tests.unit.pva.recheck.test_recheck import forged

SHO = Reader(role="sho", tenant=TENANT)
HELD = Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=NOW - timedelta(hours=1))


def bundle_of(world: World, signed: SignedResult) -> bytes:
    return world.export_desk.bundle(signed.id, reader=SHO, at=NOW)


def again(world: World, bundle: bytes) -> Rechecked:
    return recheck(bundle, anchors=[world.operators.certificate])


def fault(world: World, bundle: bytes) -> str:
    with pytest.raises(RecheckError) as caught:
        again(world, bundle)
    return caught.value.part


@pytest.mark.check("A22")
def test_a_list_that_goes_on_is_replayed_from_what_was_known() -> None:
    world = made_world()
    world.responder = signed_status(world.supplier)
    first = world.validate(world.answer())
    assert again(world, bundle_of(world, first)).ima_before == 0
    world.device = later(DEVICE, LATER)
    second = world.validate(world.answer())
    bundle = bundle_of(world, second)
    found = again(world, bundle)
    assert (found.result, found.ima_before) == (second.result, 2)


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"count":2', b'"count":1'), (b'"ima":{', b'"ima":null,"was":{'), (b'"policy"', b'"polity"')],
)
def test_from_another_knowledge_no_verdict_comes(old: bytes, new: bytes) -> None:
    world = made_world()
    world.responder = signed_status(world.supplier)
    world.validate(world.answer())
    world.device = later(DEVICE, LATER)
    parts = decode_bundle(bundle_of(world, world.validate(world.answer())))
    assert again(world, forged(parts)).ima_before == 2
    assert old in parts["history"]
    assert fault(world, forged(parts, history=lambda part: part.replace(old, new))) in {RESULT, "history"}


def test_a_boot_without_a_log() -> None:
    world = World(device=AttestingDevice(logged=False))
    world.responder = signed_status(world.supplier)
    unlogged = reference_manifest(world.device, id="u-boot", events=(), pcr_values_only=True)
    world.state = world.publish(world.sign(unlogged))
    signed = world.validate(world.answer())
    assert signed.status == "affirming"
    assert again(world, bundle_of(world, signed)).result == signed.result


@pytest.mark.requirement("R24")
def test_a_recovery_of_a_credential_on_hold() -> None:
    world = World()
    world.responder = signed_status(world.supplier, revocation=HELD)
    world.ask(purpose="recovery")
    signed = world.validate(world.answer())
    assert set(signed.codes) == {"credential-on-hold"}
    bundle = bundle_of(world, signed)
    assert again(world, bundle).result == signed.result
    world.responder = signed_status(world.supplier)
    good = decode_bundle(  # of another credential of the device
        bundle_of(world, world.validate(world.answer(world.device.later())))
    )["status"]
    assert fault(world, forged(decode_bundle(bundle), status=lambda _: good)) == "status"


def test_a_manifest_that_was_not_held_is_not_held_again() -> None:
    world = World()
    world.responder = signed_status(world.supplier)
    world.references.by_digest.clear()
    signed = world.validate(world.answer())
    assert "no-reference-manifest" in signed.codes
    bundle = bundle_of(world, signed)
    assert again(world, bundle).result == signed.result
    surplus = {**decode_bundle(bundle), "manifest-0": world.signed_manifest}
    assert fault(world, encode_bundle(surplus)) == "manifest-0"


def test_what_a_verifier_knew_is_no_part_of_a_bundle() -> None:
    """The same verdict under warm caches and under none, from the same bytes; what is computed again knows nothing."""
    world = World()
    world.responder = signed_status(world.supplier)
    warm = replace(world.verifier, known=Known())
    warm.validate_platform(encode_evidence(world.answer()), at=NOW)
    world.device = world.device.later()
    signed = warm.validate_platform(encode_evidence(world.answer()), at=NOW)
    assert len(warm.known.logs) == 1
    bundle = bundle_of(world, signed)
    parts = decode_bundle(bundle)
    assert again(world, bundle).result == signed.result
    changed = parts[EVIDENCE][:-1] + bytes([parts[EVIDENCE][-1] ^ 1])
    assert fault(world, encode_bundle({**parts, EVIDENCE: changed})) == EVIDENCE


def test_what_an_administrator_changed_is_in_the_next_bundle() -> None:
    """What is encoded once for many validations is encoded again when it is another."""
    world = World()
    world.responder = signed_status(world.supplier)
    before = decode_bundle(bundle_of(world, world.validate(world.answer())))
    world.recognise(world.supplier, models=(MODEL, "hex"))
    world.device = world.device.later()
    signed = world.validate(world.answer())
    after = bundle_of(world, signed)
    assert b"hex" in decode_bundle(after)["chain"]
    assert before["recognition"] != decode_bundle(after)["recognition"]
    assert again(world, after).result == signed.result


@pytest.mark.requirement("R20")
def test_the_audit_of_a_supplier_is_judged_again_at_the_time_of_the_verdict() -> None:
    world = World()
    world.responder = signed_status(world.supplier)
    held = world.references.by_name["Acme"]
    world.references.by_name["Acme"] = replace(
        held, accreditation=AUDIT, listed_until=NOW + timedelta(days=1)
    )
    signed = world.validate(world.answer())
    bundle = bundle_of(world, signed)
    assert again(world, bundle).result == signed.result
    parts = decode_bundle(bundle)
    recorded = f'"listed_until":{int((NOW + timedelta(days=1)).timestamp())}'.encode()
    earlier = f'"listed_until":{int(NOW.timestamp())}'.encode()
    assert recorded in parts["recognition"]
    over = {**parts, "recognition": parts["recognition"].replace(recorded, earlier)}
    assert fault(world, encode_bundle(over))


@pytest.mark.requirement("R75")
def test_a_status_out_of_a_crl_is_read_again() -> None:
    world = World()
    listed = ListedCrl(issuer=world.supplier.issuing.certificate, url="http://crl.example.net/1.crl")
    world.references.by_name["Acme"] = replace(world.references.by_name["Acme"], ocsp_url="", crls=(listed,))
    crl = crl_of(world.supplier.issuing, at=NOW)
    world.status = replace(good(NOW), next_update=NOW + HOUR, raw=crl)
    signed = world.validate(world.answer())
    bundle = bundle_of(world, signed)
    assert again(world, bundle).result == signed.result
    other = crl_of(world.supplier.root.subordinate("another"), at=NOW)
    assert fault(world, encode_bundle({**decode_bundle(bundle), "status": other}))
