"""A verdict is computed again from its bundle alone; whatever part was changed is named."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.ledger_leaf import leaf_hash
from messages.evidence import encode_evidence
from pva.policies.desk import Owner
from pva.recheck import recheck as module
from pva.recheck.bundles import (
    AUDIT_LEAF,
    AUDIT_RECORD,
    AUDIT_SALT,
    EVIDENCE,
    LOG_CHECKPOINT,
    LOG_PROOF,
    POLICY_TEXTS,
    RESULT,
    RUNTIME_POLICY,
    WHOLE,
    Inclusion,
    RecheckError,
    decode_bundle,
    encode_bundle,
    manifest_part,
)
from pva.recheck.recheck import Rechecked, recheck
from pva.results.explanation import Reader
from pva.results.grounds import PARTS
from pva.results.result import PromiseTerms, SignedResult
from standards.rats.ear import InclusionPromise
from standards.rats.manifest import Predecessor
from tests.fakes.attesting_device import measurements
from tests.fakes.credentials import MODEL
from tests.fakes.pki import NOW, Authority
from tests.fakes.pva_log import NAME, MemoryLog
from tests.fakes.pva_world import POLICY, TENANT, World, reference_manifest
from tests.fakes.real_status import signed_status
from tests.unit.pva.appraisal.test_runtime_policies import DEVICE, FIRST, RUNTIME, SUPPLIER, in_force
from tests.unit.pva.appraisal.test_runtime_policies import signed as signed_runtime

SHO = Reader(role="sho", tenant=TENANT)
DENIES = '@id("rule")\n@reason("not here")\nforbid (principal, action, resource) when { resource.svn < 9 };'
AUDIT = (AUDIT_LEAF, AUDIT_RECORD, AUDIT_SALT)
M1, M2, M3 = "release-1", "release-2", "release-3"
HOUR = timedelta(hours=1)
LINKS = tuple(manifest_part(place) for place in range(3))
EVERY = (
    *PARTS,
    RESULT,
    EVIDENCE,
    *LINKS,
    RUNTIME_POLICY,
    POLICY_TEXTS,
    *AUDIT,
    LOG_PROOF,
    LOG_CHECKPOINT,
)


def with_a_line(world: World) -> None:
    """M1 is named by credentials, M2 follows it and describes the device, M3 waits for the second administrator."""
    world.state = world.publish(
        world.sign(
            reference_manifest(replace(world.device, boot=tuple(measurements(kernel=b"old"))), line_name=M1)
        )
    )
    before = Predecessor(id=M1, digest=world.state.manifest_digest, until=NOW + HOUR)
    second = world.sign(
        reference_manifest(world.device, id=M2, svn=4, version="1.1.0", line_name=M1, predecessor=before)
    )
    after = Predecessor(id=M2, digest=world.publish(second).manifest_digest, until=NOW + timedelta(minutes=1))
    third = world.sign(
        reference_manifest(world.device, id=M3, svn=5, version="1.2.0", line_name=M1, predecessor=after)
    )
    world.recognition.import_manifest(third, only_of=None, by="supplier", at=NOW)


@pytest.fixture(scope="module")
def world() -> World:
    made = World(
        supplier=SUPPLIER,
        device=replace(DEVICE, ima=(FIRST,)),
        policy=replace(POLICY, ima=True),
        log=MemoryLog(),
    )
    made.responder = signed_status(SUPPLIER)
    made.references.by_digest.clear()
    with_a_line(made)
    return made


def export(world: World, signed: SignedResult) -> bytes:
    """The bundle of a result whose leaf is in the log."""
    leaf = decode_bundle(world.export_desk.bundle(signed.id, reader=SHO, at=NOW))[AUDIT_LEAF]
    if world.log is not None:
        world.log.place(leaf)
    return world.export_desk.bundle(signed.id, reader=SHO, at=NOW)


@pytest.fixture(scope="module")
def judged(world: World) -> tuple[SignedResult, bytes]:
    """A second validation of a device, with every part that there is, under a policy that denies; and its bundle."""
    world.validate(world.answer())
    owner = Owner(role="sho", tenant=TENANT)
    digest = world.policy_desk.add(DENIES, owner=owner, by="me", at=NOW).digest
    world.policy_desk.activate(digest, owner=owner, by="me", at=NOW)
    world.device = world.device.later()
    policies = in_force(signed_runtime(RUNTIME))
    verifier = replace(world.verifier, runtime_policies=lambda: policies)
    signed = verifier.validate_platform(encode_evidence(world.answer()), at=NOW)
    world.policy_desk.retire(digest, owner=owner, by="me", at=NOW)
    return signed, export(world, signed)


def again(world: World, bundle: bytes) -> Rechecked:
    key = None if world.log is None else world.log.verifier
    return recheck(bundle, anchors=[world.operators.certificate], log_key=key)


def fault(world: World, bundle: bytes) -> RecheckError:
    with pytest.raises(RecheckError) as caught:
        again(world, bundle)
    assert caught.value.reason
    assert caught.value.remedy
    return caught.value


@pytest.mark.requirement("R95")
def test_the_same_verdict_comes_out_and_its_leaf_is_in_the_log(
    world: World, judged: tuple[SignedResult, bytes]
) -> None:
    signed, bundle = judged
    assert set(decode_bundle(bundle)) == set(EVERY)
    assert signed.status == "warning"
    assert signed.result.manifest is not None
    assert signed.result.manifest.id == M2
    found = again(world, bundle)
    assert found.result == signed.result
    assert found.log is not None
    assert found.log.size == len(world.log.leaves)
    unchecked = recheck(bundle, anchors=[world.operators.certificate])
    assert (unchecked.result, unchecked.log) == (signed.result, None)


def test_what_was_decided_since_does_not_count(world: World, judged: tuple[SignedResult, bytes]) -> None:
    """The chain is the one of then: neither what was retired since nor what was approved since is in it."""
    signed, bundle = judged
    records = {each.id: each for each in world.references.manifests()}
    world.manifest_desk.retire(records[M2].digest, reason="a fault", by="admin", at=NOW)
    try:
        assert world.export_desk.bundle(signed.id, reader=SHO, at=NOW) == bundle
    finally:
        world.references.by_digest[records[M2].digest] = records[M2]


def test_a_bad_state_comes_out_as_bad(world: World, judged: tuple[SignedResult, bytes]) -> None:
    del judged
    device = replace(world.device.later(), boot=tuple(measurements(kernel=b"another")))
    later = NOW + timedelta(seconds=1, microseconds=5)
    signed = world.validate(world.answer(device, at=later), at=later)
    assert signed.status == "contraindicated"
    assert again(world, export(world, signed)).result == signed.result
    world.device = device


@pytest.mark.negative
@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("name", EVERY)
def test_a_changed_byte_in_any_part_is_named(
    world: World, judged: tuple[SignedResult, bytes], name: str, place: float
) -> None:
    parts = decode_bundle(judged[1])
    changed = bytearray(parts[name])
    changed[int(place * len(changed))] ^= 1
    found = fault(world, encode_bundle({**parts, name: bytes(changed)}))
    assert found.part == (AUDIT_LEAF if name in AUDIT else name)


@pytest.mark.negative
@pytest.mark.parametrize("name", EVERY)
def test_a_missing_part_is_named(world: World, judged: tuple[SignedResult, bytes], name: str) -> None:
    parts = decode_bundle(judged[1])
    found = fault(world, encode_bundle({each: part for each, part in parts.items() if each != name}))
    assert found.part == name


def forged(parts: dict[str, bytes], **changes: Callable[[bytes], bytes]) -> bytes:
    """A bundle whose parts were changed together with record and leaf, as whoever has it can."""
    made = {**parts, **{name: change(parts[name]) for name, change in changes.items()}}
    record = json.loads(made[AUDIT_RECORD])
    record["record"]["parts"] = {name: hashlib.sha256(made[name]).hexdigest() for name in PARTS}
    made[AUDIT_RECORD] = json.dumps(record).encode()
    made[AUDIT_LEAF] = leaf_hash(salt=made[AUDIT_SALT], record=made[AUDIT_RECORD])
    return encode_bundle(made)


def without_log(world: World, bundle: bytes) -> Rechecked:
    return recheck(bundle, anchors=[world.operators.certificate])


@pytest.mark.negative
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("history", b'"clock":50000', b'"clock":99999'),
        ("history", b'"svn_highest":4', b'"svn_highest":5'),
        ("policy", b'"result_life_s":300', b'"result_life_s":200'),
        ("policy", b'"clock_grace_s":7200', b'"clock_grace_s":7201'),
        ("recognition", json.dumps(MODEL).encode(), b'"no such model"'),
        ("chain", json.dumps(MODEL).encode(), b'"no such model"'),
        ("chain", b'"approved_at":{', b'"approved_at":null,"was":{'),
        ("request", b'"tenant":"sho-1"', b'"tenant":7'),
    ],
)
def test_a_bundle_that_agrees_with_itself_must_lead_to_the_signed_result(
    world: World, judged: tuple[SignedResult, bytes], name: str, old: bytes, new: bytes
) -> None:
    parts = decode_bundle(judged[1])
    assert without_log(world, forged(parts)).result == judged[0].result
    assert old in parts[name]
    with pytest.raises(RecheckError):
        without_log(world, forged(parts, **{name: lambda part: part.replace(old, new)}))


def chain_without(part: bytes, place: int) -> bytes:
    value = json.loads(part)
    del value["links"][place]
    return json.dumps(value).encode()


@pytest.mark.negative
@pytest.mark.parametrize(("dropped", "named"), [(0, "chain"), (1, "manifest-1")])
def test_a_link_that_is_dropped_is_named_even_where_the_bundle_agrees_with_itself(
    world: World, judged: tuple[SignedResult, bytes], dropped: int, named: str
) -> None:
    parts = decode_bundle(judged[1])
    left = [parts[name] for place, name in enumerate(LINKS) if place != dropped]
    moved = {name: part for name, part in parts.items() if name not in LINKS}
    moved |= {manifest_part(place): part for place, part in enumerate(left)}
    with pytest.raises(RecheckError) as caught:
        without_log(world, forged(moved, chain=lambda part: chain_without(part, dropped)))
    assert caught.value.part == named


@pytest.mark.negative
def test_a_link_that_is_added_is_named(world: World, judged: tuple[SignedResult, bytes]) -> None:
    parts = decode_bundle(judged[1])
    assert fault(world, encode_bundle({**parts, "manifest-3": parts[LINKS[2]]})).part == "manifest-3"


@pytest.mark.negative
@pytest.mark.parametrize(("place", "until"), [(1, "approved_at"), (1, "retirement")])
def test_what_administrators_decided_leads_to_another_verdict(
    world: World, judged: tuple[SignedResult, bytes], place: int, until: str
) -> None:
    """Without its approval M2 has no say, and retired it affirms nobody: M2's verdict does not come out."""
    moment = {"time": NOW.isoformat()}
    other = {"approved_at": None, "retirement": {"by": "admin", "at": moment, "reason": "a fault"}}

    def decided(part: bytes) -> bytes:
        value = json.loads(part)
        value["links"][place][until] = other[until]
        return json.dumps(value).encode()

    with pytest.raises(RecheckError) as caught:
        without_log(world, forged(decode_bundle(judged[1]), chain=decided))
    assert caught.value.part == RESULT


@pytest.mark.negative
def test_a_forged_bundle_is_not_in_the_log(world: World, judged: tuple[SignedResult, bytes]) -> None:
    """Who of the operator asked is no claim of the result: that nobody changed it is for the log to show."""
    parts = decode_bundle(judged[1])
    renamed = parts["request"].replace(b'"name":"sho"', b'"name":"xyz"')
    assert renamed != parts["request"]
    bundle = forged(parts, request=lambda _: renamed)
    assert without_log(world, bundle).result == judged[0].result
    assert fault(world, bundle).part == LOG_PROOF
    assert fault(world, encode_bundle({**parts, "request": renamed})).part == "request"


def promised(world: World) -> SignedResult:
    """A result that promises its leaf."""
    world.device = world.device.later()
    terms = PromiseTerms(log=NAME, merge_delay_s=60)
    verifier = replace(world.verifier, signer=replace(world.verifier.signer, promises=terms))
    return verifier.validate_platform(encode_evidence(world.answer()), at=NOW)


def test_the_leaf_on_record_is_the_one_that_the_result_promises(world: World) -> None:
    signed = promised(world)
    bundle = export(world, signed)
    found = again(world, bundle)
    assert found.result.promise == InclusionPromise(log=NAME, leaf_hash=found.leaf, merge_delay_s=60)
    assert found.result == signed.result


@pytest.mark.negative
def test_another_leaf_than_the_promised_one_confirms_nothing(world: World) -> None:
    """Even where bundle, record and leaf agree: here the record was only written with other spaces."""
    parts = decode_bundle(export(world, promised(world)))
    with pytest.raises(RecheckError) as caught:
        without_log(world, forged(parts))
    assert caught.value.part == AUDIT_LEAF
    assert "signed proof" in caught.value.remedy


@pytest.mark.negative
def test_the_promised_leaf_is_in_the_promised_log(world: World) -> None:
    signed = promised(world)
    elsewhere = MemoryLog(name="other.example.net/log")
    bundle = decode_bundle(world.export_desk.bundle(signed.id, reader=SHO, at=NOW))
    elsewhere.place(bundle[AUDIT_LEAF])
    proven = elsewhere.prove(bundle[AUDIT_LEAF])
    assert proven is not None
    moved = Inclusion(index=proven.index, proof=proven.proof, note=proven.note.encode()).parts()
    with pytest.raises(RecheckError) as caught:
        recheck(
            encode_bundle({**bundle, **moved}),
            anchors=[world.operators.certificate],
            log_key=elsewhere.verifier,
        )
    assert (caught.value.part, NAME in caught.value.reason) == (LOG_CHECKPOINT, True)


@pytest.mark.negative
def test_a_result_whose_claims_are_not_those_on_record_confirms_nothing(
    world: World, judged: tuple[SignedResult, bytes]
) -> None:
    other = promised(world)
    with pytest.raises(RecheckError) as caught:
        without_log(world, encode_bundle({**decode_bundle(judged[1]), RESULT: other.token.encode()}))
    assert caught.value.part == RESULT


@pytest.mark.negative
def test_a_record_of_another_version_accuses_nobody(world: World, judged: tuple[SignedResult, bytes]) -> None:
    def earlier(part: bytes) -> bytes:
        record = json.loads(part)
        del record["record"]["claims_sha256"]
        return json.dumps(record).encode()

    with pytest.raises(RecheckError, match="another version") as caught:
        without_log(world, forged(decode_bundle(judged[1]), **{AUDIT_RECORD: earlier}))
    assert "version" in caught.value.remedy


@pytest.mark.negative
def test_another_logs_key_confirms_nothing(world: World, judged: tuple[SignedResult, bytes]) -> None:
    other = MemoryLog(key=Ed25519PrivateKey.generate())
    with pytest.raises(RecheckError) as caught:
        recheck(judged[1], anchors=[world.operators.certificate], log_key=other.verifier)
    assert caught.value.part == LOG_CHECKPOINT


@pytest.mark.negative
def test_another_operators_root_confirms_nothing(judged: tuple[SignedResult, bytes]) -> None:
    with pytest.raises(RecheckError) as caught:
        recheck(judged[1], anchors=[Authority.root("operators' root").certificate])
    assert caught.value.part == RESULT


@pytest.mark.negative
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"format": "pva/bundle/1", "parts": []}',
        b'{"format": "x", "parts": {}}',
        b'{"format": "pva/bundle/1", "parts": {}, "parts": {}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_bundle_is_refused(world: World, data: bytes) -> None:
    assert fault(world, data).part == WHOLE


@pytest.mark.negative
def test_a_part_in_another_spelling_or_of_another_name_is_refused(
    world: World, judged: tuple[SignedResult, bytes]
) -> None:
    value = json.loads(judged[1])
    value["parts"]["extra"] = base64.b64encode(b"x").decode()
    assert fault(world, json.dumps(value).encode()).part == "extra"
    value["parts"]["extra"] = "eB=="
    assert fault(world, json.dumps(value).encode()).part == "extra"


@pytest.mark.negative
def test_whatever_goes_wrong_is_a_failed_recheck(
    world: World, judged: tuple[SignedResult, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(module, "_compare", broken)
    found = fault(world, judged[1])
    assert found.part == WHOLE
    assert "ZeroDivisionError" in found.reason
