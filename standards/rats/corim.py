"""Reference manifests as CoRIM (draft-ietf-rats-corim), unsigned and signed.

Rule: a manifest counts only when it is signed under an anchor that the caller chose, by a certificate made for
signing manifests; what the encoder signs, the strict decoder has accepted first.
Media types: `application/rim+cbor` unsigned, `application/rim+cose` signed.
corim-map {0 id, 1 [506(bytes of one CoMID)], 2? [locator of the predecessor], 3 profile, 4? validity,
-1? when the predecessor ends (time), -2? name of the line}; negative keys are the draft's for private use. Deterministic
encoding throughout; the profile of the CoMID is in `comid`. corim-meta (header 8) names the signer, who must be the vendor of the values.
NOT checked here: revocation, and whether the window of the manifest is open: that is for the appraisal.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import cbor2
from asn1crypto.core import ObjectIdentifier
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from standards.pki import oids
from standards.rats import cose
from standards.rats.cbor import decode_deterministic, encode_deterministic
from standards.rats.comid import ID_MAX, NAME_MAX, TAG_SVN, decode_comid, encode_comid, replaced_id
from standards.rats.errors import RatsError, refusal
from standards.rats.fields import Fields, encode_base64url
from standards.rats.manifest import Manifest, PlatformReference, Predecessor, ReferenceEvent

__all__ = [
    "Manifest",
    "PlatformReference",
    "Predecessor",
    "ReferenceEvent",
    "VerifiedManifest",
    "decode_manifest",
    "encode_manifest",
    "read_unverified",
    "sign_manifest",
    "verify_manifest",
]

RIM_CBOR: Final = "application/rim+cbor"
RIM_COSE: Final = "application/rim+cose"
MANIFEST_BYTES_MAX: Final = 1 << 20
_TAG_UNSIGNED_CORIM, _TAG_COMID, _TAG_OID, _TAG_TIME, _TAG_URI = 501, 506, 111, 1, 32
_ID, _TAGS, _DEPENDENT_RIMS, _PROFILE, _VALIDITY = 0, 1, 2, 3, 4
_PREDECESSOR_UNTIL, _LINE = -1, -2
_HREF, _THUMBPRINT = 0, 1
_NAMED_SHA256: Final = 1
_SHA256_SIZE: Final = 32
_CORIM_META: Final = 8
_SIGNED: Final = cose.Profile(
    content_type=RIM_CBOR,
    headers=frozenset({_CORIM_META}),
    bytes_max=MANIFEST_BYTES_MAX,
    eku=oids.EKU_MANIFEST_SIGNING,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedManifest:
    """A manifest whose signer is proven; `digest` is the SHA-256 of the signed bytes, `path` leaf first."""

    manifest: Manifest
    digest: bytes
    path: tuple[x509.Certificate, ...]


def encode_manifest(manifest: Manifest) -> bytes:
    """The unsigned CoRIM of a manifest (tag 501).

    Raises:
        RatsError: the strict decoder would not take it back as it is.
    """
    corim: dict[int, Any] = {
        _ID: manifest.id,
        _TAGS: [cbor2.CBORTag(_TAG_COMID, encode_deterministic(encode_comid(manifest)))],
        _PROFILE: _profile(),
    }
    validity = {key: at for key, at in enumerate((manifest.valid_from, manifest.valid_to)) if at is not None}
    if validity:
        corim[_VALIDITY] = validity
    if manifest.predecessor is not None:
        corim[_DEPENDENT_RIMS] = [_locator(manifest.predecessor.digest)]
        corim[_PREDECESSOR_UNTIL] = manifest.predecessor.until
    if manifest.line_name is not None:
        corim[_LINE] = manifest.line_name
    data = encode_deterministic(cbor2.CBORTag(_TAG_UNSIGNED_CORIM, corim))
    if not _same(decode_manifest(data), manifest):
        raise RatsError(what="manifest", expected="values that the format can carry exactly", got="others")
    return data


def decode_manifest(data: bytes) -> Manifest:
    """Decode an unsigned CoRIM of this project's profile.

    Raises:
        RatsError: for any other bytes.
    """
    tags = frozenset({_TAG_UNSIGNED_CORIM, _TAG_COMID, _TAG_OID, _TAG_TIME, _TAG_URI})
    tagged = decode_deterministic(data, bytes_max=MANIFEST_BYTES_MAX, tags=tags)
    if not isinstance(tagged, cbor2.CBORTag) or tagged.tag != _TAG_UNSIGNED_CORIM:
        raise RatsError(what="CoRIM", expected=f"tag {_TAG_UNSIGNED_CORIM}", got="another object")
    fields = Fields(tagged.value, what="corim", refusal=refusal)
    identity = fields.text(_ID, size_max=ID_MAX)
    if fields.raw(_PROFILE) != _profile():
        raise RatsError(
            what="corim profile", expected=oids.CORIM_PROFILE.dotted_string, got="another profile"
        )
    rows = fields.items(_TAGS, size_min=1, size_max=1)
    valid_from, valid_to = _read_validity(fields.nested(_VALIDITY)) if _VALIDITY in fields else (None, None)
    digest = _read_locator(fields) if _DEPENDENT_RIMS in fields else None
    until = _read_time(fields.raw(_PREDECESSOR_UNTIL)) if _PREDECESSOR_UNTIL in fields else None
    line_name = fields.text(_LINE, size_max=ID_MAX) if _LINE in fields else None
    fields.close()
    if (
        not isinstance(rows[0], cbor2.CBORTag)
        or rows[0].tag != _TAG_COMID
        or not isinstance(rows[0].value, bytes)
    ):
        raise RatsError(what="corim tags", expected=f"one CoMID (tag {_TAG_COMID})", got="another tag")
    comid = decode_deterministic(rows[0].value, bytes_max=MANIFEST_BYTES_MAX, tags=frozenset({TAG_SVN}))
    manifest = replace(
        decode_comid(comid, manifest_id=identity),
        valid_from=valid_from,
        valid_to=valid_to,
        predecessor=_predecessor(replaced_id(comid), digest, until),
        line_name=line_name,
    )
    _check_succession(manifest)
    return manifest


def sign_manifest(
    manifest: Manifest, *, key: EllipticCurvePrivateKey, chain: Sequence[x509.Certificate]
) -> bytes:
    """Sign a manifest as COSE_Sign1 (tag 18, ES256); `chain` is leaf first, without the root.

    Raises:
        RatsError: the manifest cannot be encoded, or the key is not that of the first certificate.
    """
    return cose.sign(
        encode_manifest(manifest),
        profile=_SIGNED,
        headers={_CORIM_META: encode_deterministic({0: {0: manifest.supplier}})},
        key=key,
        chain=chain,
    )


def verify_manifest(
    data: bytes,
    *,
    anchors: Sequence[x509.Certificate],
    at: datetime,
    permitted_models: Collection[str] | None = None,
) -> VerifiedManifest:
    """Verify a signed manifest: signer's path to `anchors` with the purpose manifest-signing, then its content.

    `permitted_models`: those that the signer may speak for, or None to leave that to the caller.

    Raises:
        RatsError: unsigned, malformed, wrongly signed, another signer named, or a model that is not permitted.
        PathError: the signer's certificate is not valid for this purpose under these anchors.
    """
    signed = cose.verify(data, profile=_SIGNED, anchors=anchors, at=at)
    manifest = decode_manifest(signed.payload)
    if _read_signer(signed.headers[_CORIM_META]) != manifest.supplier:
        raise RatsError(what="corim-meta signer", expected="the vendor of the manifest", got="another name")
    if permitted_models is not None and not set(manifest.models) <= set(permitted_models):
        permitted = ", ".join(sorted(permitted_models)) or "none"
        got = ", ".join(sorted(set(manifest.models) - set(permitted_models)))
        raise RatsError(what="models", expected=f"models out of {permitted}", got=got)
    return VerifiedManifest(manifest=manifest, digest=hashlib.sha256(data).digest(), path=signed.path)


def read_unverified(data: bytes) -> Manifest:
    """What a signed manifest says, whoever signed it: to be shown, never to be judged by.

    Raises:
        RatsError: not a signed CoRIM of this project's profile.
    """
    return decode_manifest(cose.unverified_payload(data, bytes_max=_SIGNED.bytes_max))


def _profile() -> cbor2.CBORTag:
    """The profile identifier: an OID as tag 111 (RFC 9090)."""
    return cbor2.CBORTag(_TAG_OID, ObjectIdentifier(oids.CORIM_PROFILE.dotted_string).contents)


def _read_validity(fields: Fields) -> tuple[datetime | None, datetime]:
    """validity-map: the end is required, the beginning is not."""
    start = _read_time(fields.raw(0)) if 0 in fields else None
    end = _read_time(fields.raw(1))
    fields.close()
    if start is not None and end <= start:
        raise RatsError(what="rim-validity", expected="an end after the beginning", got="another order")
    return start, end


def _locator(digest: bytes) -> dict[int, Any]:
    """corim-locator-map of a signed manifest: its name is its digest (RFC 6920), so it locates nothing else."""
    name = f"ni:///sha-256;{encode_base64url(digest)}"
    return {_HREF: cbor2.CBORTag(_TAG_URI, name), _THUMBPRINT: [_NAMED_SHA256, digest]}


def _read_locator(fields: Fields) -> bytes:
    """SHA-256 of the one manifest that dependent-rims names."""
    (row,) = fields.items(_DEPENDENT_RIMS, size_min=1, size_max=1)
    locator = Fields(row, what="dependent-rims", refusal=refusal)
    thumbprint = locator.items(_THUMBPRINT, size_min=2, size_max=2)
    digest = Fields({0: thumbprint[1]}, what="thumbprint", refusal=refusal).octets(
        0, size_min=_SHA256_SIZE, size_max=_SHA256_SIZE
    )
    if locator.raw(_HREF) != _locator(digest)[_HREF] or thumbprint[0] != _NAMED_SHA256:
        raise RatsError(
            what="dependent-rims", expected="a SHA-256 thumbprint and its ni: URI", got="another locator"
        )
    locator.close()
    return digest


def _predecessor(replaced: str | None, digest: bytes | None, until: datetime | None) -> Predecessor | None:
    """The predecessor, named in the three places together or in none."""
    if replaced is not None and digest is not None and until is not None:
        return Predecessor(id=replaced, digest=digest, until=until)
    if (replaced, digest, until) != (None, None, None):
        raise RatsError(
            what="predecessor",
            expected="linked-tags (replaces), dependent-rims and the end of its state together",
            got="some of them",
        )
    return None


def _check_succession(manifest: Manifest) -> None:
    """A successor says from when it counts, no later than its predecessor ends: else nothing would be accepted."""
    before, start = manifest.predecessor, manifest.valid_from
    if before is None:
        return
    if before.id == manifest.id:
        raise RatsError(what="predecessor", expected="another manifest", got="the manifest's own id")
    if start is None or before.until < start:
        raise RatsError(
            what="predecessor",
            expected="a state that is accepted until its successor counts (rim-validity), or longer",
            got="an earlier end, or no beginning of the successor",
        )


def _read_time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise RatsError(what="rim-validity", expected=f"an epoch time (tag {_TAG_TIME})", got="another type")
    return value


def _read_signer(value: object) -> str:
    """Name in corim-meta {0: {0: name}}."""
    if not isinstance(value, bytes):
        raise RatsError(what="corim-meta", expected="a byte string", got="another type")
    meta = Fields(decode_deterministic(value, bytes_max=NAME_MAX * 8), what="corim-meta", refusal=refusal)
    signer = meta.nested(0)
    name = signer.text(0, size_max=NAME_MAX)
    signer.close()
    meta.close()
    return name


def _same(decoded: Manifest, manifest: Manifest) -> bool:
    """Whether two manifests say the same; events stand grouped by scope in the encoding."""

    def in_order(events: tuple[ReferenceEvent, ...]) -> list[ReferenceEvent]:
        return sorted(events, key=lambda event: (event.scope, event.pcr, event.position))

    return replace(decoded, events=()) == replace(manifest, events=()) and in_order(
        decoded.events
    ) == in_order(manifest.events)
