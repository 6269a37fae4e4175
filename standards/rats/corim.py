"""Reference manifests as CoRIM (draft-ietf-rats-corim), unsigned and signed.

Rule: a manifest counts only when it is signed under an anchor that the caller chose, by a certificate made for
signing manifests; what the encoder signs, the strict decoder has accepted first.
Media types: `application/rim+cbor` unsigned, `application/rim+cose` signed.
corim-map {0 id, 1 [506(bytes of one CoMID)], 3 profile, 4 validity}; deterministic encoding throughout; the profile
of the CoMID is in `comid`. corim-meta (header 8) names the signer, who must be the vendor of the values.
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
from standards.rats.comid import ID_MAX, NAME_MAX, TAG_SVN, decode_comid, encode_comid
from standards.rats.errors import RatsError, refusal
from standards.rats.fields import Fields
from standards.rats.manifest import Manifest, PlatformReference, ReferenceEvent

__all__ = [
    "Manifest",
    "PlatformReference",
    "ReferenceEvent",
    "VerifiedManifest",
    "decode_manifest",
    "encode_manifest",
    "sign_manifest",
    "verify_manifest",
]

RIM_CBOR: Final = "application/rim+cbor"
RIM_COSE: Final = "application/rim+cose"
MANIFEST_BYTES_MAX: Final = 1 << 20
_TAG_UNSIGNED_CORIM, _TAG_COMID, _TAG_OID, _TAG_TIME = 501, 506, 111, 1
_ID, _TAGS, _PROFILE, _VALIDITY = 0, 1, 3, 4
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
    data = encode_deterministic(cbor2.CBORTag(_TAG_UNSIGNED_CORIM, corim))
    if not _same(decode_manifest(data), manifest):
        raise RatsError(what="manifest", expected="values that the format can carry exactly", got="others")
    return data


def decode_manifest(data: bytes) -> Manifest:
    """Decode an unsigned CoRIM of this project's profile.

    Raises:
        RatsError: for any other bytes.
    """
    tags = frozenset({_TAG_UNSIGNED_CORIM, _TAG_COMID, _TAG_OID, _TAG_TIME})
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
    fields.close()
    if (
        not isinstance(rows[0], cbor2.CBORTag)
        or rows[0].tag != _TAG_COMID
        or not isinstance(rows[0].value, bytes)
    ):
        raise RatsError(what="corim tags", expected=f"one CoMID (tag {_TAG_COMID})", got="another tag")
    comid = decode_deterministic(rows[0].value, bytes_max=MANIFEST_BYTES_MAX, tags=frozenset({TAG_SVN}))
    manifest = decode_comid(comid, manifest_id=identity)
    return replace(manifest, valid_from=valid_from, valid_to=valid_to)


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
