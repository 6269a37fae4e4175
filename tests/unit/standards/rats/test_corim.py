"""Reference manifests, unsigned and signed."""

import base64
import dataclasses
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key

from standards.pki.errors import PathError
from standards.pki.oids import EKU_BATCH_SIGNING, EKU_MANIFEST_SIGNING
from standards.rats.cbor import encode_deterministic
from standards.rats.corim import (
    Manifest,
    PlatformReference,
    ReferenceEvent,
    decode_manifest,
    encode_manifest,
    read_unverified,
    sign_manifest,
    verify_manifest,
)
from standards.rats.errors import RatsError
from tests.unit.standards.rats.manifests import (
    AT,
    MANIFEST,
    ROOT,
    ROOT_KEY,
    SIGNER,
    SIGNER_KEY,
    SUCCESSOR,
    certificate,
)

SIGNED = sign_manifest(MANIFEST, key=SIGNER_KEY, chain=[SIGNER])
MINIMAL = Manifest(
    id="m", supplier="s", models=("x",), svn=0, version="0", platform=PlatformReference(registers={})
)


def test_a_manifest_decodes_to_what_was_encoded() -> None:
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST
    assert decode_manifest(encode_manifest(MINIMAL)) == MINIMAL
    assert decode_manifest(encode_manifest(SUCCESSOR)) == SUCCESSOR
    assert (MANIFEST.line, SUCCESSOR.line, SUCCESSOR.release) == (MANIFEST.id, MANIFEST.id, "3.2.0 (autumn)")


@pytest.mark.requirement("R79")
def test_the_structure_is_that_of_the_draft() -> None:
    corim = cbor2.loads(encode_manifest(MANIFEST))
    assert corim.tag == 501
    assert corim.value[0] == MANIFEST.id
    assert corim.value[4] == {0: MANIFEST.valid_from, 1: MANIFEST.valid_to}
    (tag,) = corim.value[1]
    assert tag.tag == 506
    triples = cbor2.loads(tag.value)[4][0]
    assert [environment for environment, _ in triples] == [
        {0: {1: "Acme", 2: model, 3: layer}} for model in ("gw-1", "gw-2") for layer in (0, 1)
    ]
    platform, tre = triples[0][1], triples[1][1]
    assert platform[0] == {0: "release", 1: {0: {0: "3.1.4"}, 1: cbor2.CBORTag(552, 7)}}
    assert platform[1][1][14][0] == [[1, b"\x00" * 32], [7, b"\x10" * 48]]
    assert [element[0] for element in platform] == ["release", "pcrs", "event/4/0", "event/4/1"]
    assert tre[0] == {0: "tre-image", 1: {2: [[1, b"\x7e" * 32]]}}


@pytest.mark.requirement("R82")
def test_a_successor_uses_what_the_draft_has_and_private_keys_for_the_rest() -> None:
    corim = cbor2.loads(encode_manifest(SUCCESSOR)).value
    digest = b"\x26" * 32
    name = "ni:///sha-256;" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert corim[2] == [{0: cbor2.CBORTag(32, name), 1: [1, digest]}]
    assert corim[-1] == datetime(2026, 9, 1, tzinfo=UTC)
    assert corim[-2] == MANIFEST.id
    comid = cbor2.loads(corim[1][0].value)
    assert comid[3] == [{0: MANIFEST.id, 1: 1}]
    assert comid[4][0][0][1][0][1][11] == "autumn"


SUCCESSION_EDITS: dict[str, Callable[[dict[int, Any], dict[int, Any]], Any]] = {
    "no link to the tag": lambda _, comid: comid.pop(3),
    "no digest": lambda corim, _: corim.pop(2),
    "no end of the predecessor": lambda corim, _: corim.pop(-1),
    "a predecessor that ends before its successor counts": lambda corim, _: corim.update(
        {-1: datetime(2026, 7, 31, 23, 59, 59, tzinfo=UTC)}
    ),
    "no beginning": lambda corim, _: corim[4].pop(0),
    "no window": lambda corim, _: corim.pop(4),
    "an end in text": lambda corim, _: corim.update({-1: "2026-09-01"}),
    "two predecessors": lambda corim, _: corim.update({2: corim[2] * 2}),
    "two replaced tags": lambda _, comid: comid.update({3: comid[3] * 2}),
    "a supplement": lambda _, comid: comid[3][0].update({1: 0}),
    "itself": lambda corim, comid: comid[3][0].update({0: corim[0]}),
    "another name than the digest's": lambda corim, _: corim[2][0].update(
        {0: cbor2.CBORTag(32, "ni:///sha-256;AAAA")}
    ),
    "a web address": lambda corim, _: corim[2][0].update({0: cbor2.CBORTag(32, "https://example")}),
    "a name that is no URI": lambda corim, _: corim[2][0].update({0: corim[2][0][0].value}),
    "a SHA-384 thumbprint": lambda corim, _: corim[2][0].update({1: [7, b"\x26" * 48]}),
    "a short thumbprint": lambda corim, _: corim[2][0].update({1: [1, b"\x26" * 31]}),
    "a thumbprint of another algorithm": lambda corim, _: corim[2][0].update({1: [2, b"\x26" * 32]}),
    "a locator that says more": lambda corim, _: corim[2][0].update({2: 0}),
    "a line that is a number": lambda corim, _: corim.update({-2: 1}),
    "another private key": lambda corim, _: corim.update({-3: 1}),
    "a nameless release": lambda _, comid: _platform(comid)[0][1].update({11: ""}),
}


@pytest.mark.check("A25")
@pytest.mark.negative
@pytest.mark.parametrize("name", SUCCESSION_EDITS)
def test_a_succession_that_is_wrong_in_one_respect_is_refused(name: str) -> None:
    encoded = _edited(SUCCESSION_EDITS[name], SUCCESSOR)
    assert encoded != encode_manifest(SUCCESSOR)
    with pytest.raises(RatsError):
        decode_manifest(encoded)


def test_what_a_signed_manifest_says_can_be_read_without_believing_it() -> None:
    forged = SIGNED[:-1] + bytes([SIGNED[-1] ^ 1])
    assert read_unverified(forged) == MANIFEST
    with pytest.raises(RatsError):
        read_unverified(encode_manifest(MANIFEST))


def _edited(edit: Callable[[dict[int, Any], dict[int, Any]], None], manifest: Manifest = MANIFEST) -> bytes:
    """The encoded manifest after an edit of its corim-map and CoMID, encoded as strictly as before."""
    corim = cbor2.loads(encode_manifest(manifest)).value
    comid = cbor2.loads(corim[1][0].value)
    edit(corim, comid)
    if corim.get(1):
        corim[1][0] = cbor2.CBORTag(corim[1][0].tag, encode_deterministic(comid))
    return encode_deterministic(cbor2.CBORTag(501, corim))


def _platform(comid: dict[int, Any]) -> list[Any]:
    """Measurements of the platform of both models, which are kept the same."""
    triples = comid[4][0]
    triples[2][1] = triples[0][1]
    measurements = triples[0][1]
    assert isinstance(measurements, list)
    return measurements


EDITS: dict[str, Callable[[dict[int, Any], dict[int, Any]], Any]] = {
    "another profile": lambda corim, _: corim.update({3: cbor2.CBORTag(111, b"\x2a")}),
    "no profile": lambda corim, _: corim.pop(3),
    "dependent manifests": lambda corim, _: corim.update({2: [{0: "https://example"}]}),
    "an unknown key": lambda corim, _: corim.update({99: 1}),
    "no tags": lambda corim, _: corim.update({1: []}),
    "an id that is a number": lambda corim, _: corim.update({0: 1}),
    "a window that ends before it begins": lambda corim, _: corim.update(
        {4: {0: AT, 1: AT - timedelta(seconds=1)}}
    ),
    "a window without an end": lambda corim, _: corim.update({4: {0: AT}}),
    "a window in text": lambda corim, _: corim.update({4: {1: "2027"}}),
    "another tag id": lambda _, comid: comid.update({1: {0: "other"}}),
    "a language": lambda _, comid: comid.update({0: "en"}),
    "endorsed values": lambda _, comid: comid[4].update({1: []}),
    "no triples": lambda _, comid: comid[4].update({0: []}),
    "values that differ between models": lambda _, comid: comid[4][0].pop(),
    "two vendors": lambda _, comid: comid[4][0][2][0][0].update({1: "Other"}),
    "a third layer": lambda _, comid: comid[4][0][0][0][0].update({3: 2}),
    "an instance": lambda _, comid: comid[4][0][0][0].update({1: b"x"}),
    "one layer twice": lambda _, comid: comid[4][0].append(comid[4][0][0]),
    "an authority": lambda _, comid: _platform(comid)[0].update({2: []}),
    "an unknown element": lambda _, comid: _platform(comid)[0].update({0: "surprise"}),
    "an element twice": lambda _, comid: _platform(comid).append(_platform(comid)[1]),
    "the TRE image among the platform": lambda _, comid: _platform(comid)[1].update({0: "tre-image"}),
    "no release": lambda _, comid: _platform(comid).pop(0),
    "an svn without its tag": lambda _, comid: _platform(comid)[0][1].update({1: 7}),
    "a negative svn": lambda _, comid: _platform(comid)[0][1].update({1: cbor2.CBORTag(552, -1)}),
    "a flag": lambda _, comid: _platform(comid)[0][1].update({3: {0: True}}),
    "register 24": lambda _, comid: _platform(comid)[1][1][14].update({24: [[1, b"\x00" * 32]]}),
    "no register": lambda _, comid: _platform(comid)[1][1].update({14: {}}),
    "two digests of one algorithm": lambda _, comid: _platform(comid)[1][1][14].update(
        {0: [[1, b"\x00" * 32], [1, b"\x01" * 32]]}
    ),
    "a truncated digest": lambda _, comid: _platform(comid)[1][1][14].update({0: [[2, b"\x00" * 16]]}),
    "a digest that is too short": lambda _, comid: _platform(comid)[1][1][14].update(
        {0: [[1, b"\x00" * 31]]}
    ),
    "no digest": lambda _, comid: _platform(comid)[1][1][14].update({0: []}),
    "an event without a name": lambda _, comid: _platform(comid)[2][1].pop(11),
    "an event of PCR 24": lambda _, comid: _platform(comid)[2].update({0: "event/24/0"}),
    "an event with a leading zero": lambda _, comid: _platform(comid)[2].update({0: "event/04/0"}),
}


@pytest.mark.check("A24")
@pytest.mark.negative
@pytest.mark.parametrize("name", EDITS)
def test_a_manifest_that_is_wrong_in_one_respect_is_refused(name: str) -> None:
    encoded = _edited(EDITS[name])
    assert encoded != encode_manifest(MANIFEST)
    with pytest.raises(RatsError):
        decode_manifest(encoded)


@pytest.mark.negative
def test_an_encoding_that_is_not_deterministic_is_refused() -> None:
    encoded = encode_manifest(MINIMAL)
    assert encoded[3] == 0xA3
    with pytest.raises(RatsError):
        decode_manifest(encoded[:3] + b"\xb8\x03" + encoded[4:])
    with pytest.raises(RatsError):
        decode_manifest(encoded + b"\x00")


@pytest.mark.negative
@pytest.mark.parametrize(
    "change",
    [
        {"models": ()},
        {"models": ("gw-1", "gw-1")},
        {"models": ("",)},
        {"svn": -1},
        {"svn": 1 << 32},
        {"version": "line\nfeed"},
        {"id": "i" * 129},
        {"platform": PlatformReference(registers={0x0004: {0: b"\x00" * 20}})},
        {"platform": PlatformReference(registers={0x000B: {0: b"\x00" * 20}})},
        {"tre_image_digest": b"\x00" * 20},
        {"valid_to": None},
        {"valid_to": datetime(2027, 1, 1, 0, 0, 0, 1, tzinfo=UTC)},
        {"events": (ReferenceEvent(pcr=4, position=0, digest={}, name="n", scope="platform"),)},
        {"events": (ReferenceEvent(pcr=4, position=0, digest={11: b"\x00" * 32}, name="n", scope="else"),)},
        {"events": (MANIFEST.events[0], MANIFEST.events[0])},
    ],
)
def test_what_the_format_cannot_carry_is_not_encoded(change: dict[str, Any]) -> None:
    with pytest.raises(RatsError):
        encode_manifest(dataclasses.replace(MANIFEST, **change))


@pytest.mark.requirement("R78")
def test_a_signed_manifest_verifies_under_its_root() -> None:
    verified = verify_manifest(SIGNED, anchors=[ROOT], at=AT, permitted_models=("gw-2", "gw-1", "gw-0"))
    assert verified.manifest == MANIFEST
    assert verified.digest == hashlib.sha256(SIGNED).digest()
    assert verified.path == (SIGNER, ROOT)


def _resigned(change: Callable[[dict[int, Any]], Any], *, unprotected: dict[int, Any] | None = None) -> bytes:
    """The signed manifest with other protected headers, signed again by its own signer."""
    from cwt import COSE, COSEKey  # noqa: PLC0415 - a forger's tools, used here only

    parts = cbor2.loads(SIGNED).value
    headers = cbor2.loads(parts[0])
    change(headers)
    numbers = SIGNER_KEY.private_numbers()
    x, y = (n.to_bytes(32, "big") for n in (numbers.public_numbers.x, numbers.public_numbers.y))
    key = COSEKey.new({1: 2, 3: -7, -1: 1, -2: x, -3: y, -4: numbers.private_value.to_bytes(32, "big")})
    signed = COSE.new(deterministic_header=True).encode_and_sign(
        parts[2], key=key, protected=headers, unprotected=unprotected
    )
    assert isinstance(signed, bytes)
    return signed


def test_resigning_without_a_change_verifies() -> None:
    assert verify_manifest(_resigned(lambda _: None), anchors=[ROOT], at=AT).manifest == MANIFEST


@pytest.mark.negative
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda headers: headers.update({3: "application/rim+cose"}), "content type"),
        (lambda headers: headers.pop(3), "header"),
        (lambda headers: headers.update({2: [99], 99: 1}), "header"),
        (lambda headers: headers.update({99: 1}), "header"),
        (lambda headers: headers.update({4: b"kid"}), "header"),
        (lambda headers: headers.pop(8), "header"),
        (lambda headers: headers.update({8: encode_deterministic({0: {0: "Other"}})}), "corim-meta signer"),
        (lambda headers: headers.update({8: b"\x00"}), "corim-meta"),
        (lambda headers: headers.update({8: 1}), "corim-meta"),
        (lambda headers: headers.pop(33), "header"),
        (lambda headers: headers.update({33: b"certificate"}), "x5chain"),
        (lambda headers: headers.update({33: []}), "header"),
    ],
)
def test_headers_that_are_wrong_in_one_respect_are_refused(
    change: Callable[[dict[int, Any]], Any], what: str
) -> None:
    with pytest.raises(RatsError, match=what):
        verify_manifest(_resigned(change), anchors=[ROOT], at=AT)


@pytest.mark.negative
def test_unsigned_and_altered_manifests_are_refused() -> None:
    with pytest.raises(RatsError, match="unsigned or another object"):
        verify_manifest(cbor2.dumps([1]), anchors=[ROOT], at=AT)
    with pytest.raises(RatsError, match="a known tag"):
        verify_manifest(encode_manifest(MANIFEST), anchors=[ROOT], at=AT)
    with pytest.raises(RatsError, match="unprotected"):
        verify_manifest(_resigned(lambda _: None, unprotected={99: 1}), anchors=[ROOT], at=AT)
    altered = SIGNED.replace(b"gw-1", b"gw-9")
    with pytest.raises(RatsError, match="COSE signature"):
        verify_manifest(altered, anchors=[ROOT], at=AT)
    with pytest.raises(RatsError, match="COSE signature"):
        verify_manifest(SIGNED[:-1] + bytes([SIGNED[-1] ^ 1]), anchors=[ROOT], at=AT)


@pytest.mark.negative
def test_a_payload_beside_the_signature_is_refused() -> None:
    parts = cbor2.loads(SIGNED).value
    for wrong in (
        [parts[0], {}, None, parts[3]],
        [*parts, b""],
        [parts[0], {}, parts[2], parts[3] + b"\x00"],
    ):
        with pytest.raises(RatsError):
            verify_manifest(cbor2.dumps(cbor2.CBORTag(18, wrong)), anchors=[ROOT], at=AT)


@pytest.mark.check("A25")
@pytest.mark.negative
def test_a_model_that_is_not_permitted_is_refused() -> None:
    with pytest.raises(RatsError, match="expected models out of gw-1, got gw-2"):
        verify_manifest(SIGNED, anchors=[ROOT], at=AT, permitted_models=("gw-1",))


@pytest.mark.requirement("R19")
@pytest.mark.negative
def test_a_signer_without_purpose_under_another_root_or_expired_is_refused() -> None:
    foreign_root = certificate("Acme ES root", SIGNER_KEY)
    for_batches = certificate(
        "Acme batches", SIGNER_KEY, issuer=("Acme ES root", ROOT_KEY), eku=EKU_BATCH_SIGNING
    )
    by_batch_key = sign_manifest(MANIFEST, key=SIGNER_KEY, chain=[for_batches])
    with pytest.raises(PathError):
        verify_manifest(SIGNED, anchors=[foreign_root], at=AT)
    with pytest.raises(PathError):
        verify_manifest(SIGNED, anchors=[], at=AT)
    with pytest.raises(PathError):
        verify_manifest(by_batch_key, anchors=[ROOT], at=AT)
    with pytest.raises(PathError):
        verify_manifest(SIGNED, anchors=[ROOT], at=AT + timedelta(days=40))


@pytest.mark.negative
def test_only_the_key_of_the_first_certificate_signs() -> None:
    other = generate_private_key(SECP256R1())
    with pytest.raises(RatsError, match="signer"):
        sign_manifest(MANIFEST, key=other, chain=[SIGNER])
    with pytest.raises(RatsError, match="signer"):
        sign_manifest(MANIFEST, key=other, chain=[])
    big = generate_private_key(SECP384R1())
    of_big = certificate("Big", big, issuer=("Acme ES root", ROOT_KEY), eku=EKU_MANIFEST_SIGNING)
    with pytest.raises(RatsError, match="P-256"):
        sign_manifest(MANIFEST, key=big, chain=[of_big])
