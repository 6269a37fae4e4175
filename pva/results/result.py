"""Step 7 of a validation: the appraisal as a signed attestation result (EAR, D5).

Rule: a result says for whom it is, on whose nonce, and from what it was computed (evidence, policy, Platform
Credential, manifest); it lives no longer than the policy allows, than the credential's status is known to be good,
than the manifest describes an approved state, and than every certificate it stands on (A27, R81). Non-compliant platforms get a signed result too.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from edge.ledger_leaf import SALT_BYTES, Leaf, make_leaf
from edge.process import RandomBytes
from messages.challenge import Challenge
from messages.reliance import permits_release
from pva.appraisal.appraisal import Appraisal
from pva.appraisal.credential import PlatformCredential
from pva.appraisal.findings import Scope
from pva.appraisal.quote import PlatformQuote
from pva.refusals import RefusalCode, RefusalError
from pva.results.grounds import Grounds
from pva.watching.holding import shows_recovery, speaks_against
from standards.pki.jws import sign_jws
from standards.rats.ear import (
    RESULT_TYPE,
    AttestationResult,
    CredentialReference,
    InclusionPromise,
    ManifestReference,
    Submodule,
)
from standards.rats.promise import promised_digest

RESULT_ID_BYTES = 16
RECORD_KIND: Final = "validation-result"
"""Kind of the audit leaf of a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseTerms:
    """The log that a PVA keeps, and how many seconds after a result its leaf is under a checkpoint at the latest."""

    log: str
    merge_delay_s: int

    def promise(self, leaf: Leaf) -> InclusionPromise:
        """What is promised of a leaf."""
        return InclusionPromise(log=self.log, leaf_hash=leaf.leaf_hash, merge_delay_s=self.merge_delay_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSigner:
    """The key that signs results, its certificate path (leaf first, no root), and who the verifier is.

    Results promise their leaf by `promises`; without a log nothing is promised.
    """

    key: EllipticCurvePrivateKey
    chain: Sequence[x509.Certificate]
    issuer: str
    developer: str
    build: str
    random_bytes: RandomBytes
    promises: PromiseTerms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCredential:
    """The credential that was shown: whose supplier's, its CA as CAs name themselves, and the manifest that it names."""

    supplier: str
    issuer: str
    manifest_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedResult:
    """A result and its token (JWT), with the request that it answers and the quote that it was computed from.

    `leaf` is its audit leaf, to be stored with it: the token may promise it.
    `accepted` says that the state is one that its manifest describes and accepts now.
    """

    result: AttestationResult
    request_id: str
    token: str
    leaf: Leaf
    quote: PlatformQuote
    credential: NamedCredential
    accepted: bool

    @property
    def id(self) -> str:
        """Id of the result (`jti`)."""
        return self.result.result_id

    @property
    def status(self) -> str:
        """The overall tier by its name."""
        return self.result.status.value

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of all findings."""
        return _codes(self.result)

    @property
    def against(self) -> bool:
        """Whether it speaks against the state of the platform, as counts for a hold."""
        return speaks_against(self.codes)

    @property
    def recovered(self) -> bool:
        """Whether it shows that a platform whose credential is on hold has recovered."""
        return shows_recovery(self.codes, purpose=self.result.purpose)


def sign_result(
    appraisal: Appraisal,
    *,
    challenge: Challenge,
    credential: PlatformCredential,
    good_until: datetime,
    grounds: Grounds,
    signer: ResultSigner,
) -> SignedResult:
    """Sign the verdict for the relying parties that the request names, and make the audit leaf that it promises.

    `good_until` is when the credential's status was last known to be good. Raises RefusalError where nothing of
    the result's life would be left.
    """
    result = _unpromised(appraisal, challenge=challenge, credential=credential)(
        **_life(appraisal, credential=credential, good_until=good_until, signer=signer),
        result_id=signer.random_bytes(RESULT_ID_BYTES).hex(),
        issuer=signer.issuer,
        developer=signer.developer,
        build=signer.build,
        evidence_digest=hashlib.sha256(grounds.evidence).digest(),
    )
    claims = result.claims()
    record = _record(result, claims=claims, request_id=challenge.request_id, grounds=grounds)
    salt = signer.random_bytes(SALT_BYTES)
    leaf = make_leaf(kind=RECORD_KIND, subject=result.device_id, record=record, at=appraisal.at, salt=salt)
    if signer.promises is not None:
        promise = signer.promises.promise(leaf)
        result, claims = replace(result, promise=promise), claims | promise.claim()
    return SignedResult(
        result=result,
        request_id=challenge.request_id,
        token=sign_jws(claims, key=signer.key, chain=signer.chain, typ=RESULT_TYPE),
        leaf=leaf,
        quote=appraisal.quote,
        credential=NamedCredential(
            supplier=credential.supplier.name,
            issuer=credential.issuer_id,
            manifest_digest=credential.expected_state.manifest_digest,
        ),
        accepted=permits_release(result),
    )


def _life(
    appraisal: Appraisal, *, credential: PlatformCredential, good_until: datetime, signer: ResultSigner
) -> dict[str, datetime]:
    issued_at = appraisal.at.replace(microsecond=0)
    ends = [credential.valid_to, *(each.not_valid_after_utc for each in signer.chain)]
    if appraisal.window_ends_at is not None:
        ends.append(appraisal.window_ends_at)
    expires_at = min(appraisal.at + appraisal.policy.result_life, good_until, *ends).replace(microsecond=0)
    if expires_at <= issued_at:
        raise RefusalError(
            RefusalCode.STATUS_UNAVAILABLE,
            subject=credential.subject,
            reason=f"what the result would stand on ends at {expires_at:%Y-%m-%dT%H:%M:%SZ}",
            retry_after_s=1,
        )
    return {"issued_at": issued_at, "expires_at": expires_at}


def _record(
    result: AttestationResult, *, claims: Mapping[str, Any], request_id: str, grounds: Grounds
) -> dict[str, Any]:
    """What the audit leaf commits to: the verdict, and digests of what was signed and of all that it was computed from."""
    manifest = result.manifest
    return {
        "result_id": result.result_id,
        "request_id": request_id,
        "status": result.status.value,
        "scopes": {name: submodule.status.value for name, submodule in result.submodules.items()},
        "findings": list(_codes(result)),
        "evidence_digest": result.evidence_digest.hex(),
        "policy_digest": result.policy_digest.hex(),
        "pfc_sha256": result.pfc.sha256.hex(),
        "manifest_digest": None if manifest is None else manifest.digest.hex(),
        "claims_sha256": promised_digest(claims).hex(),
        "parts": grounds.digests(),
    }


def _codes(result: AttestationResult) -> tuple[str, ...]:
    return tuple(finding.code for submodule in result.submodules.values() for finding in submodule.findings)


def _unpromised(
    appraisal: Appraisal, *, challenge: Challenge, credential: PlatformCredential
) -> partial[AttestationResult]:
    """What the verdict says about the platform; the signer's own claims are still missing."""
    quote, reference = appraisal.quote, appraisal.reference
    return partial(
        AttestationResult,
        audience=challenge.audience,
        nonce=challenge.rp_nonce,
        submodules={scope.value: _submodule(appraisal, scope) for scope in Scope},
        purpose=challenge.purpose,
        device_id=quote.device_id,
        ak_name=quote.ak_name,
        storage_key_name=quote.storage_key_name,
        order_digest=challenge.order_digest,
        pcr_selections=challenge.pcr_selections,
        pcr_digest=quote.pcr_digest,
        policy_digest=appraisal.policy.digest,
        pfc=CredentialReference(
            issuer_sha256=credential.issuer_sha256,
            serial=credential.certificate.serial_number,
            sha256=credential.sha256,
        ),
        manifest=None
        if reference is None
        else ManifestReference(
            id=reference.manifest.id,
            digest=reference.digest,
            svn=reference.manifest.svn,
            release=reference.manifest.release,
        ),
        generation_counter=quote.generation_counter,
    )


def _submodule(appraisal: Appraisal, scope: Scope) -> Submodule:
    return Submodule(
        status=appraisal.tiers[scope],
        trustworthiness_vector=appraisal.vectors[scope],
        policy_ids=appraisal.policy.ids,
        findings=tuple(each for each in appraisal.findings if each.scope == scope.value),
    )
