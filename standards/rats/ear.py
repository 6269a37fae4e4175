"""EAT Attestation Result: the claims of the PVA's verdict (draft-ietf-rats-ear, draft-ietf-rats-ar4si).

Rule: a result says what it was computed from (evidence, policy, Platform Credential, manifest), for whom and on
whose nonce; its status is never better than its worst submodule, and a submodule's never better than its vector.
The claims are carried as a JWT; signing, verifying and judging times and audience are not done here. As the draft
asks, claims that are not known are ignored when a result is read; those known must be right.
Claims of this project's own begin with "pva_"; digests and Names in them are lower-case hexadecimal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from standards.boot_log.algorithms import BANKS, BANKS_BY_NAME
from standards.boot_log.events import PCR_INDEX_MAX
from standards.rats.ar4si import Tier, worst
from standards.rats.errors import RatsError, refusal
from standards.rats.fields import Fields, encode_base64url, numeric_date
from standards.rats.promise import InclusionPromise
from standards.rats.submodules import (
    DEPLOYED_NAMES,
    DRAFT_NAMES,
    Cause,
    ClaimNames,
    Finding,
    Submodule,
    read_submodules,
    read_tier,
    submodule_claims,
)

__all__ = [
    "AttestationResult",
    "Cause",
    "CredentialReference",
    "Finding",
    "InclusionPromise",
    "ManifestReference",
    "Submodule",
    "read_claims",
]

PROFILE: Final = "tag:ietf.org,2026:rats/ear#03"
DEPLOYED_PROFILE: Final = "tag:github.com,2023:veraison/ear"
"""What verifiers in the field write: the claims of the draft's first versions, with dotted names."""
PROFILES: Final = (PROFILE, DEPLOYED_PROFILE)
_NAMES: Final[Mapping[str, ClaimNames]] = {PROFILE: DRAFT_NAMES, DEPLOYED_PROFILE: DEPLOYED_NAMES}
_VERIFIER: Final[Mapping[str, str]] = {PROFILE: "ear_verifier_id", DEPLOYED_PROFILE: "ear.verifier-id"}
RESULT_TYPE: Final = "ear+jwt"
NONCE_SIZE_MIN: Final = 8
NONCE_SIZE_MAX: Final = 64
_SHA256_SIZE: Final = 32
_NAME_SIZE_MIN: Final = 34  # nameAlg and a SHA-256 digest
_NAME_SIZE_MAX: Final = 66
_DIGEST_SIZE_MAX: Final = 64
_AUDIENCE_MAX: Final = 8
_RELEASE_MAX: Final = 520


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialReference:
    """The Platform Credential that was judged: SHA-256 of its issuer's certificate and of itself, its serial."""

    issuer_sha256: bytes
    serial: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestReference:
    """The reference manifest that was used; `digest` is the SHA-256 of its signed form, `release` is for people."""

    id: str
    digest: bytes
    svn: int
    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationResult:
    """A verdict. `nonce` is the relying party's own; `device_id` 64 hexadecimal digits; Names are TPM2B contents.

    `pcr_selections` is {TPM_ALG_ID: (index, ...)} and `pcr_digest` the digest of those PCRs, both as quoted.
    `manifest` is None where the verifier holds none for this credential, `promise` where it keeps no log.
    """

    result_id: str
    issuer: str
    audience: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    developer: str
    build: str
    nonce: bytes
    submodules: Mapping[str, Submodule]
    purpose: str
    device_id: str
    ak_name: bytes
    storage_key_name: bytes
    order_digest: bytes | None
    pcr_selections: Mapping[int, tuple[int, ...]]
    pcr_digest: bytes
    evidence_digest: bytes
    policy_digest: bytes
    pfc: CredentialReference
    manifest: ManifestReference | None
    generation_counter: int
    promise: InclusionPromise | None = None

    @property
    def status(self) -> Tier:
        """The overall status: the worst of all submodules."""
        return worst(submodule.status for submodule in self.submodules.values())

    def claims(self, *, profile: str = PROFILE) -> dict[str, Any]:
        """JWT claims in one of `PROFILES`; `read_claims` takes them back.

        Raises:
            RatsError: the result contradicts itself, or says something that the formats have no words for.
        """
        claims = {**self._standard_claims(profile), **self._own_claims()}
        read_claims(claims)
        return claims

    def _standard_claims(self, profile: str) -> dict[str, Any]:
        names = _names_of(profile)
        overall = {} if names.whole else {names.status: self.status.value}
        return {
            "eat_profile": profile,
            "iss": self.issuer,
            "aud": list(self.audience),
            "jti": self.result_id,
            "iat": numeric_date(self.issued_at),
            "exp": numeric_date(self.expires_at),
            "eat_nonce": encode_base64url(self.nonce),
            _VERIFIER[profile]: {"developer": self.developer, "build": self.build},
            **overall,
            "submods": {
                name: submodule_claims(submodule, name=name, names=names)
                for name, submodule in self.submodules.items()
            },
        }

    def _own_claims(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "pva_purpose": self.purpose,
            "pva_device_id": self.device_id,
            "pva_ak_name": self.ak_name.hex(),
            "pva_storage_key_name": self.storage_key_name.hex(),
            "pva_pcr_select": {BANKS[bank].name: list(pcrs) for bank, pcrs in self.pcr_selections.items()},
            "pva_pcr_digest": self.pcr_digest.hex(),
            "pva_evidence_digest": self.evidence_digest.hex(),
            "pva_policy_digest": self.policy_digest.hex(),
            "pva_pfc": {
                "issuer_sha256": self.pfc.issuer_sha256.hex(),
                "serial": f"{self.pfc.serial:040x}",
                "sha256": self.pfc.sha256.hex(),
            },
            "pva_generation_counter": self.generation_counter,
        }
        if self.order_digest is not None:
            own["pva_order_digest"] = self.order_digest.hex()
        if self.manifest is not None:
            digest = self.manifest.digest.hex()
            own["pva_manifest"] = {
                "id": self.manifest.id,
                "digest": digest,
                "svn": self.manifest.svn,
                "release": self.manifest.release,
            }
        return own if self.promise is None else own | self.promise.claim()


def read_claims(claims: object) -> AttestationResult:
    """Read the claims of a verified result in any of `PROFILES`; unknown claims are ignored, signature and times are NOT judged here.

    Raises:
        RatsError: another profile, a claim that is missing or of another type, or a status that is better than
            what it is made from.
    """
    fields = Fields(claims, what="attestation result", refusal=refusal)
    profile = fields.text("eat_profile")
    names = _names_of(profile)
    submodules = read_submodules(fields.raw("submods"), names=names)
    _check_overall(fields, submodules, claim=names.status)
    verifier = fields.nested(_VERIFIER[profile])
    return AttestationResult(
        result_id=fields.text("jti", size_max=64),
        issuer=fields.text("iss", size_max=255),
        audience=fields.texts("aud", size_min=1, size_max=_AUDIENCE_MAX),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
        developer=verifier.text("developer"),
        build=verifier.text("build"),
        nonce=fields.base64url("eat_nonce", size_min=NONCE_SIZE_MIN, size_max=NONCE_SIZE_MAX),
        submodules=submodules,
        purpose=fields.text("pva_purpose", size_max=32),
        device_id=_sha256(fields, "pva_device_id").hex(),
        ak_name=fields.hex("pva_ak_name", size_min=_NAME_SIZE_MIN, size_max=_NAME_SIZE_MAX),
        storage_key_name=fields.hex("pva_storage_key_name", size_min=_NAME_SIZE_MIN, size_max=_NAME_SIZE_MAX),
        order_digest=_sha256(fields, "pva_order_digest") if "pva_order_digest" in fields else None,
        pcr_selections=_read_selections(fields.nested("pva_pcr_select")),
        pcr_digest=fields.hex("pva_pcr_digest", size_min=_SHA256_SIZE, size_max=_DIGEST_SIZE_MAX),
        evidence_digest=_sha256(fields, "pva_evidence_digest"),
        policy_digest=_sha256(fields, "pva_policy_digest"),
        pfc=_read_credential(fields.nested("pva_pfc")),
        manifest=_read_manifest(fields.nested("pva_manifest")) if "pva_manifest" in fields else None,
        generation_counter=fields.integer("pva_generation_counter"),
        promise=InclusionPromise.read(fields),
    )


def _names_of(profile: str) -> ClaimNames:
    if profile not in _NAMES:
        raise RatsError(what="eat_profile", expected=" or ".join(PROFILES), got="another profile")
    return _NAMES[profile]


def _check_overall(fields: Fields, submodules: Mapping[str, Submodule], *, claim: str) -> None:
    if claim not in fields:
        return
    status, least = read_tier(fields, claim), worst(submodule.status for submodule in submodules.values())
    if status < least:
        raise RatsError(what=claim, expected=f"no better than {least.value}", got=status.value)


def _read_selections(fields: Fields) -> Mapping[int, tuple[int, ...]]:
    selections: dict[int, tuple[int, ...]] = {}
    for name in fields.present():
        bank = BANKS_BY_NAME.get(str(name))
        indices = fields.items(name, size_min=1, size_max=PCR_INDEX_MAX + 1)
        in_bounds = all(type(index) is int and 0 <= index <= PCR_INDEX_MAX for index in indices)
        if bank is None or not in_bounds or indices != sorted(set(indices)):
            raise RatsError(
                what="pva_pcr_select", expected="ascending PCR indices by name of a bank", got="others"
            )
        selections[bank.id] = tuple(indices)
    if not selections:
        raise RatsError(what="pva_pcr_select", expected="at least one bank", got="none")
    return selections


def _read_credential(fields: Fields) -> CredentialReference:
    serial = int.from_bytes(fields.hex("serial", size_min=20, size_max=20), "big")
    return CredentialReference(
        issuer_sha256=_sha256(fields, "issuer_sha256"), serial=serial, sha256=_sha256(fields, "sha256")
    )


def _read_manifest(fields: Fields) -> ManifestReference:
    return ManifestReference(
        id=fields.text("id", size_max=255),
        digest=_sha256(fields, "digest"),
        svn=fields.integer("svn"),
        release=fields.text("release", size_max=_RELEASE_MAX),
    )


def _sha256(fields: Fields, name: str) -> bytes:
    return fields.hex(name, size_min=_SHA256_SIZE, size_max=_SHA256_SIZE)
