"""A verdict is computed again from its bundle alone; whatever part was changed is named."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from edge.ledger import leaf_hash
from messages.evidence import encode_evidence
from pva.explanation import Reader
from pva.grounds import PARTS
from pva.policy_desk import Owner
from pva.recheck import (
    AUDIT_LEAF,
    AUDIT_RECORD,
    AUDIT_SALT,
    EVIDENCE,
    MANIFEST,
    POLICY_TEXTS,
    RESULT,
    RUNTIME_POLICY,
    RecheckError,
    decode_bundle,
    encode_bundle,
    recheck,
)
from pva.result import SignedResult
from tests.fakes.attesting_device import measurements
from tests.fakes.credentials import MODEL
from tests.fakes.pki import NOW, Authority
from tests.fakes.pva_world import POLICY, TENANT, World
from tests.fakes.real_status import signed_status
from tests.unit.pva.test_runtime_policies import DEVICE, FIRST, RUNTIME, SUPPLIER, in_force
from tests.unit.pva.test_runtime_policies import signed as signed_runtime

SHO = Reader(role="sho", tenant=TENANT)
DENIES = '@id("rule")\n@reason("not here")\nforbid (principal, action, resource) when { resource.svn < 9 };'
AUDIT = (AUDIT_LEAF, AUDIT_RECORD, AUDIT_SALT)


@pytest.fixture(scope="module")
def world() -> World:
    made = World()
    made.responder = signed_status(made.supplier)
    return made


@pytest.fixture(scope="module")
def judged(world: World) -> tuple[SignedResult, bytes]:
    """A second validation of a device, under a policy that denies, and its bundle."""
    world.validate(world.answer())
    owner = Owner(role="sho", tenant=TENANT)
    digest = world.policy_desk.add(DENIES, owner=owner, by="me", at=NOW).digest
    world.policy_desk.activate(digest, owner=owner, by="me", at=NOW)
    world.device = world.device.later()
    signed = world.validate(world.answer())
    world.policy_desk.retire(digest, owner=owner, by="me", at=NOW)
    return signed, world.export_desk.bundle(signed.id, reader=SHO, at=NOW)


def again(world: World, bundle: bytes) -> Any:
    return recheck(bundle, anchors=[world.operators.certificate])


@pytest.mark.requirement("R95")
def test_the_same_verdict_comes_out(world: World, judged: tuple[SignedResult, bytes]) -> None:
    signed, bundle = judged
    assert signed.status == "warning"
    assert again(world, bundle) == signed.result


def test_a_bad_state_comes_out_as_bad(world: World) -> None:
    world.device = replace(world.device.later(), boot=tuple(measurements(kernel=b"another")))
    later = NOW + timedelta(seconds=1, microseconds=5)
    signed = world.validate(world.answer(at=later), at=later)
    assert signed.status == "contraindicated"
    assert again(world, world.export_desk.bundle(signed.id, reader=SHO, at=NOW)) == signed.result


@pytest.mark.negative
@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("name", [*PARTS, RESULT, EVIDENCE, MANIFEST, POLICY_TEXTS, *AUDIT])
def test_a_changed_byte_in_any_part_is_named(
    world: World, judged: tuple[SignedResult, bytes], name: str, place: float
) -> None:
    parts = decode_bundle(judged[1])
    changed = bytearray(parts[name])
    changed[int(place * len(changed))] ^= 1
    with pytest.raises(RecheckError) as caught:
        again(world, encode_bundle({**parts, name: bytes(changed)}))
    assert caught.value.part == (AUDIT_LEAF if name in AUDIT else name)


@pytest.mark.negative
@pytest.mark.parametrize("name", [*PARTS, RESULT, EVIDENCE, MANIFEST, POLICY_TEXTS, *AUDIT])
def test_a_missing_part_is_named(world: World, judged: tuple[SignedResult, bytes], name: str) -> None:
    parts = decode_bundle(judged[1])
    with pytest.raises(RecheckError) as caught:
        again(world, encode_bundle({each: part for each, part in parts.items() if each != name}))
    assert caught.value.part == name


def forged(parts: dict[str, bytes], **changes: Callable[[bytes], bytes]) -> bytes:
    """A bundle whose parts were changed together with record and leaf, as whoever has it can."""
    made = {**parts, **{name: change(parts[name]) for name, change in changes.items()}}
    record = json.loads(made[AUDIT_RECORD])
    record["record"]["parts"] = {name: hashlib.sha256(made[name]).hexdigest() for name in PARTS}
    made[AUDIT_RECORD] = json.dumps(record).encode()
    made[AUDIT_LEAF] = leaf_hash(salt=made[AUDIT_SALT], record=made[AUDIT_RECORD])
    return encode_bundle(made)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("history", b'"clock":50000', b'"clock":99999'),
        ("policy", b'"result_life_s":300', b'"result_life_s":200'),
        ("policy", b'"clock_grace_s":7200', b'"clock_grace_s":7201'),
        ("recognition", json.dumps(MODEL).encode(), b'"no such model"'),
        ("request", b'"tenant":"sho-1"', b'"tenant":7'),
    ],
)
def test_a_bundle_that_agrees_with_itself_must_lead_to_the_signed_result(
    world: World, judged: tuple[SignedResult, bytes], name: str, old: bytes, new: bytes
) -> None:
    parts = decode_bundle(judged[1])
    assert again(world, forged(parts)) == judged[0].result
    assert old in parts[name]
    with pytest.raises(RecheckError):
        again(world, forged(parts, **{name: lambda part: part.replace(old, new)}))


def test_what_the_result_does_not_speak_of_is_bound_by_the_leaf_alone(
    world: World, judged: tuple[SignedResult, bytes]
) -> None:
    """Who of the operator asked is no claim; that the leaf is in the log is for inclusion proofs to show."""
    parts = decode_bundle(judged[1])
    renamed = parts["request"].replace(b'"name":"sho"', b'"name":"xyz"')
    assert renamed != parts["request"]
    assert again(world, forged(parts, request=lambda _: renamed)) == judged[0].result
    with pytest.raises(RecheckError) as caught:
        again(world, encode_bundle({**parts, "request": renamed}))
    assert caught.value.part == "request"


def test_a_runtime_policy_travels_with_the_verdict_that_it_made() -> None:
    world = World(supplier=SUPPLIER, device=replace(DEVICE, ima=(FIRST,)), policy=replace(POLICY, ima=True))
    world.responder = signed_status(SUPPLIER)
    policies = in_force(signed_runtime(RUNTIME))
    verifier = replace(world.verifier, runtime_policies=lambda: policies)
    result = verifier.validate_platform(encode_evidence(world.answer()), at=NOW)
    bundle = world.export_desk.bundle(result.id, reader=SHO, at=NOW)
    assert again(world, bundle) == result.result
    parts = decode_bundle(bundle)
    changed = bytearray(parts[RUNTIME_POLICY])
    changed[len(changed) // 2] ^= 1
    for other in ({RUNTIME_POLICY: bytes(changed)}, {RUNTIME_POLICY: b""}):
        with pytest.raises(RecheckError) as caught:
            again(world, encode_bundle({**parts, **other}))
        assert caught.value.part == RUNTIME_POLICY


@pytest.mark.negative
def test_another_operators_root_confirms_nothing(judged: tuple[SignedResult, bytes]) -> None:
    with pytest.raises(RecheckError) as caught:
        recheck(judged[1], anchors=[Authority.root("operators' root").certificate])
    assert caught.value.part == RESULT


@pytest.mark.negative
@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b'{"format": "pva/bundle/1", "parts": []}', b'{"format": "x", "parts": {}}'],
)
def test_what_is_no_bundle_is_refused(world: World, data: bytes) -> None:
    with pytest.raises(RecheckError) as caught:
        again(world, data)
    assert caught.value.part == "bundle"


def test_a_part_in_other_base64_or_of_another_name_is_refused(
    world: World, judged: tuple[SignedResult, bytes]
) -> None:
    value = json.loads(judged[1])
    value["parts"]["extra"] = base64.b64encode(b"x").decode()
    with pytest.raises(RecheckError) as caught:
        again(world, json.dumps(value).encode())
    assert caught.value.part == "extra"
