"""What is on record of validations, on every store: who reads it, and when evidence goes."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from edge.audit_log import AuditLog, LogSigner
from messages.evidence import encode_evidence
from pva.recheck.bundles import AUDIT_LEAF, LOG_PROOF, RecheckError, decode_bundle
from pva.recheck.recheck import recheck
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RequestState
from pva.results.explanation import Reader
from pva.results.result import PromiseTerms
from pva.store import tables
from pva.store.results import delete_what_is_due
from pva.store.validations import EVIDENCE_LIFE
from standards.pki import oids
from standards.pki.jws import verify_jws
from standards.rats.ear import RESULT_TYPE, read_claims
from standards.rats.promise import promised_digest
from tests.contract.test_pva_store import AuditedStore, refusal, world
from tests.fakes.credentials import hw_type
from tests.fakes.pki import NOW
from tests.fakes.pva_log import NAME, MemoryLog
from tests.fakes.pva_memory import MemoryStore
from tests.fakes.pva_world import TENANT, World, reference_manifest
from tests.fakes.real_status import signed_status

__all__ = ["world"]
LOG = MemoryLog()


def records_of(world: World) -> Any:
    return world.records or world.store


def into_the_log(world: World, leaf: bytes) -> None:
    """Give every leaf of the store its place, and sign."""
    if isinstance(world.store, AuditedStore):
        signer = LogSigner(name=NAME, key=LOG.key)
        log = AuditLog(world.store.engine, tables.ledger, signer=signer, clock=lambda: NOW)
        assert log.prove(leaf) is None
        log.sequence_all()
        assert log.prove(bytes(32)) is None
        world.log = log
    else:
        world.log = MemoryLog()
        world.log.place(leaf)


@pytest.mark.requirement("R69")
def test_a_validation_is_on_record_by_both_ids_with_its_evidence(world: World) -> None:
    request_id = world.ask()
    message = world.answer()
    signed = world.validate(message)
    reader = Reader(role="sho", tenant=TENANT)
    for some_id in (request_id, signed.id):
        record = records_of(world).request_on_record(some_id, reader=reader, at=NOW)
        assert record is not None
        assert (record.request_id, record.state) == (request_id, RequestState.COMPLETED)
        assert record.result is not None
        assert (record.result.token, record.result.evidence) == (signed.token, encode_evidence(message))
        assert (record.supplier, record.hw_type) == ("Acme", hw_type())


@pytest.mark.requirement("R95")
@pytest.mark.negative
def test_no_other_tenant_and_no_other_role_reads_a_record(world: World) -> None:
    signed = world.validate(world.answer())
    others = [("sho", "sho-2"), ("dpf", TENANT), ("ro-relay", TENANT), ("es", "Acme")]
    for role, tenant in others:
        reader = Reader(role=role, tenant=tenant)
        assert records_of(world).request_on_record(signed.id, reader=reader, at=NOW) is None
    for role, tenant in (("sho", TENANT), ("auditor", "anybody")):
        reader = Reader(role=role, tenant=tenant)
        assert records_of(world).request_on_record(signed.id, reader=reader, at=NOW) is not None


def test_refused_tries_are_on_record_without_a_result(world: World) -> None:
    request_id = world.ask()
    world.store.record_refusal(request_id, refusal(), authenticated=True, at=NOW)
    record = records_of(world).request_on_record(request_id, reader=Reader(role="sho", tenant=TENANT), at=NOW)
    assert record is not None
    assert (record.state, record.result, record.supplier) == (RequestState.PENDING, None, None)
    assert [(each.code, each.authenticated) for each in record.refusals] == [("boot-log-mismatch", True)]


def test_evidence_is_deleted_when_its_time_is_over_and_the_result_stays(world: World) -> None:
    signed = world.validate(world.answer())
    reader = Reader(role="sho", tenant=TENANT)
    store = records_of(world)
    delete_what_is_due(store, at=NOW + EVIDENCE_LIFE - timedelta(seconds=1))
    kept = store.request_on_record(signed.id, reader=reader, at=NOW)
    assert kept is not None
    assert kept.result is not None
    assert kept.result.evidence is not None
    delete_what_is_due(store, at=NOW + EVIDENCE_LIFE)
    gone = store.request_on_record(signed.id, reader=reader, at=NOW)
    assert gone is not None
    assert gone.result is not None
    assert (gone.result.evidence, gone.result.token) == (None, signed.token)
    assert store.delete_evidence(at=NOW + EVIDENCE_LIFE) == 0
    kinds = world.store.audit if isinstance(world.store, MemoryStore) else world.store.audit_kinds()
    assert list(kinds).count("evidence-deleted") == 1


def test_known_manifests_are_those_of_the_model_the_named_one_first(world: World) -> None:
    for svn in (4, 5):
        manifest = reference_manifest(world.device, id=f"release-{svn}", svn=svn)
        world.recognition.import_manifest(world.sign(manifest), only_of=None, by="supplier", at=NOW)

    def known(hw: str, *, first: bytes | None = None, most: int = 9) -> list[str]:
        found = world.references.known_manifests(supplier="Acme", hw_type=hw, first=first, count_max=most)
        return [each.id for each in found]

    assert known(hw_type()) == ["release-5", "release-4", "release-1"]
    assert known(hw_type(), first=world.state.manifest_digest) == ["release-1", "release-5", "release-4"]
    assert known(hw_type(), most=1) == ["release-5"]
    assert known("1.2.3.4") == []


@pytest.mark.requirement("R95")
def test_the_leaf_that_is_stored_is_the_one_that_its_result_promised(world: World) -> None:
    world.promises = PromiseTerms(log=NAME, merge_delay_s=60)
    signed = world.validate(world.answer())
    promise = read_claims(verified_claims(world, signed.token)).promise
    assert promise is not None
    into_the_log(world, promise.leaf_hash)
    assert world.log is not None
    proof = world.log.prove(promise.leaf_hash)
    assert proof is not None
    assert proof.verify(promise.leaf_hash, LOG.verifier).origin == promise.log == NAME
    record = json.loads(signed.leaf.record)
    assert (record["kind"], record["subject"]) == ("validation-result", world.device.device_id)
    assert record["record"]["claims_sha256"] == promised_digest(verified_claims(world, signed.token)).hex()


def verified_claims(world: World, token: str) -> Mapping[str, Any]:
    """The claims of a result under the operators' root."""
    verified = verify_jws(
        token,
        anchors=[world.operators.certificate],
        eku=oids.EKU_ATTESTATION_RESULT,
        typ=RESULT_TYPE,
        at=NOW,
        bytes_max=1 << 18,
    )
    return verified.claims


@pytest.mark.requirement("R95")
def test_a_bundle_out_of_the_store_shows_what_its_result_says(world: World) -> None:
    world.responder = signed_status(world.supplier)
    world.validate(world.answer())
    world.device = world.device.later()
    signed = world.validate(world.answer())
    reader = Reader(role="sho", tenant=TENANT)
    waiting = world.export_desk.bundle(signed.id, reader=reader, at=NOW)
    assert recheck(waiting, anchors=[world.operators.certificate]).result == signed.result
    with pytest.raises(RecheckError) as unproven:
        recheck(waiting, anchors=[world.operators.certificate], log_key=LOG.verifier)
    assert unproven.value.part == LOG_PROOF
    into_the_log(world, decode_bundle(waiting)[AUDIT_LEAF])
    bundle = world.export_desk.bundle(signed.id, reader=reader, at=NOW)
    proven = recheck(bundle, anchors=[world.operators.certificate], log_key=LOG.verifier)
    assert proven.result == signed.result
    assert proven.log is not None
    assert proven.log.origin == NAME
    for stranger in (Reader(role="sho", tenant="sho-2"), Reader(role="es", tenant="Acme")):
        with pytest.raises(RefusalError) as caught:
            world.export_desk.bundle(signed.id, reader=stranger, at=NOW)
        assert caught.value.code is RefusalCode.NOT_FOUND
    delete_what_is_due(records_of(world), at=NOW + EVIDENCE_LIFE)
    with pytest.raises(RefusalError) as caught:
        world.export_desk.bundle(signed.id, reader=reader, at=NOW)
    assert caught.value.code is RefusalCode.NOT_EXPORTABLE


def test_an_open_request_comes_with_what_was_seen_of_its_device(world: World) -> None:
    device_id, other = world.device.device_id, "ff" * 32
    first = world.ask()
    found = world.store.open_request(first, device_id=device_id, at=NOW)
    assert found is not None
    assert (found[0].id, found[0].device_id, found[1]) == (first, device_id, None)
    assert world.store.open_request(first, device_id=other, at=NOW) is None
    world.validate(world.answer())
    assert world.store.open_request(first, device_id=device_id, at=NOW) is None
    found = world.store.open_request(world.ask(), device_id=device_id, at=NOW)
    assert found is not None
    assert found[1] is not None
    assert found[1] == world.store.device_history(device_id)
