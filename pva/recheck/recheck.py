"""A past verdict, computed again from an exported bundle: no database, no network, no key of the PVA. Pure.

Rule: the validation runs as it ran, over the same bytes and at the same time, from ports that are filled from the bundle
alone; what comes out must be the signed result, claim by claim. Every part is compared with its digest first: one that was
changed is named, and nothing is computed from it. Whatever goes wrong is a bundle that shows nothing.

    1 the audit record against its leaf, and the leaf against the signed log where the reader has the log's key
    2 each part against its digest in the audit record
    3 the result, under the operators' root that the reader has from elsewhere; its claims against their digest in the audit record,
      and the leaf that it promises against this one
    4 evidence and policies against what names them, every manifest of the chain against its digest
    5 the validation again, with nothing known from before
    6 what came out against what was signed
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from messages.errors import MessageError
from messages.evidence import decode_evidence
from pva.appraisal.known import Known
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
    RecheckError,
    decode_bundle,
    manifest_part,
)
from pva.recheck.leaf import check_leaf, check_log, check_promise
from pva.recheck.replayed import Replayed, read
from pva.refusals import RefusalError
from pva.results import grounds
from pva.results.result import RECORD_KIND, ResultSigner
from pva.validation import Verifier
from standards.merkle.checkpoint import Checkpoint, VerifierKey
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.jws import verify_jws
from standards.rats.ear import RESULT_TYPE, AttestationResult, read_claims
from standards.rats.errors import RatsError
from standards.rats.promise import promised_digest

_LIFE = timedelta(days=3_650)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rechecked:
    """A verdict that was computed again.

    `leaf` is the hash of its audit leaf; `log` the checkpoint that the leaf is under, None where the log was not checked;
    `ima_before` how many entries of the IMA list an earlier result judged: they are not in this bundle.
    """

    result: AttestationResult
    leaf: bytes
    log: Checkpoint | None
    ima_before: int


def recheck(
    data: bytes, *, anchors: Sequence[x509.Certificate], log_key: VerifierKey | None = None
) -> Rechecked:
    """Compute the verdict of a bundle again; `anchors` is the operators' root, `log_key` the key of the PVA's log.

    Raises RecheckError, and nothing else.
    """
    try:
        return _recheck(data, anchors=anchors, log_key=log_key)
    except RecheckError:
        raise
    except Exception as error:  # whatever cannot be computed is not confirmed
        raise RecheckError(
            WHOLE,
            f"the re-check failed: {type(error).__name__}: {error}",
            remedy="re-check with the version of PVA that judged; if that fails, do not rely on the result",
        ) from error


def _recheck(data: bytes, *, anchors: Sequence[x509.Certificate], log_key: VerifierKey | None) -> Rechecked:
    parts = decode_bundle(data)
    _refuse_missing(parts)
    at = read(grounds.TIME, lambda: grounds.read_time(parts[grounds.TIME]))
    check_leaf(parts)  # 1
    log = None if log_key is None else check_log(parts, key=log_key)
    record = _check_recorded(parts)  # 2
    result, path = _signed(parts, record=record, anchors=anchors, at=at)  # 3
    check_promise(result, leaf=parts[AUDIT_LEAF], key=log_key)
    _check_named(parts, result=result)  # 4
    replayed = Replayed.of(parts, at=at)
    again = _validated(replayed, result=result, path=path, anchors=anchors)  # 5
    _compare(again, result)  # 6
    return Rechecked(result=result, leaf=parts[AUDIT_LEAF], log=log, ima_before=_ima_before(parts))


def _refuse_missing(parts: Mapping[str, bytes]) -> None:
    """Every part that must be there, and no other; how many manifests there must be is said by the chain."""
    needed = {*grounds.PARTS, RESULT, EVIDENCE, POLICY_TEXTS, AUDIT_RECORD, AUDIT_SALT, AUDIT_LEAF}
    allowed = {RUNTIME_POLICY, LOG_PROOF, LOG_CHECKPOINT}
    if grounds.CHAIN in parts:
        chain = read(grounds.CHAIN, lambda: grounds.read_chain(parts[grounds.CHAIN]))
        needed |= {manifest_part(place) for place in range(len(chain.links))}
    missing, surplus = sorted(needed - set(parts)), sorted(set(parts) - needed - allowed)
    if missing or surplus:
        name = (missing or surplus)[0]
        raise RecheckError(name, "the part is missing" if missing else "it is no part of this verdict")


def _check_recorded(parts: Mapping[str, bytes]) -> Mapping[str, Any]:
    """The audit record, whose digests are those of the parts."""
    whole = read(AUDIT_RECORD, lambda: json.loads(parts[AUDIT_RECORD]))
    record = read(AUDIT_RECORD, lambda: dict(whole["record"]))
    recorded = read(AUDIT_RECORD, lambda: dict(record["parts"]))
    if whole.get("kind") != RECORD_KIND or set(recorded) != set(grounds.PARTS):
        raise RecheckError(AUDIT_RECORD, "it is not of a result, or does not name every part")
    if "claims_sha256" not in record:
        raise RecheckError(
            AUDIT_RECORD,
            "it names no digest of the result's claims: a PVA of another version recorded it",
            remedy="re-check with the version of PVA that judged",
        )
    for name, digest in recorded.items():
        if hashlib.sha256(parts[name]).hexdigest() != digest:
            raise RecheckError(name, "it is not the part whose digest was recorded with the verdict")
    return record


def _signed(
    parts: Mapping[str, bytes],
    *,
    record: Mapping[str, Any],
    anchors: Sequence[x509.Certificate],
    at: datetime,
) -> tuple[AttestationResult, tuple[x509.Certificate, ...]]:
    try:
        verified = verify_jws(
            parts[RESULT].decode("ascii"),
            anchors=anchors,
            eku=oids.EKU_ATTESTATION_RESULT,
            typ=RESULT_TYPE,
            at=at,
            bytes_max=1 << 18,
        )
        result = read_claims(verified.claims)
    except (PkiError, RatsError, UnicodeDecodeError) as error:
        raise RecheckError(RESULT, str(error)) from None
    if promised_digest(verified.claims).hex() != record.get("claims_sha256"):
        raise RecheckError(RESULT, "it is not the result that was recorded")
    return result, verified.path


def _check_named(parts: Mapping[str, bytes], *, result: AttestationResult) -> None:
    if hashlib.sha256(parts[EVIDENCE]).digest() != result.evidence_digest:
        raise RecheckError(EVIDENCE, "it is not the one whose digest the result names")
    chain = read(grounds.CHAIN, lambda: grounds.read_chain(parts[grounds.CHAIN]))
    for place, link in enumerate(chain.links):
        if hashlib.sha256(parts[manifest_part(place)]).digest() != link.digest:
            raise RecheckError(
                manifest_part(place), f"it is not link {place} of the chain, {link.digest.hex()}"
            )
    _, _, applied = read(grounds.POLICY, lambda: grounds.read_policy(parts[grounds.POLICY]))
    if applied is None and RUNTIME_POLICY in parts:
        raise RecheckError(RUNTIME_POLICY, "no runtime policy judged")


def _validated(
    replayed: Replayed,
    *,
    result: AttestationResult,
    path: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> AttestationResult:
    """Run the validation of the bundle."""
    parts = replayed.parts
    policy, runtime_digests, applied = read(
        grounds.POLICY, lambda: grounds.read_policy(parts[grounds.POLICY])
    )
    verifier = Verifier(
        store=replayed,
        references=replayed,
        status_of=replayed.status_of,
        policy=policy,
        challenge_certificate=_challenge_certificate(parts[EVIDENCE]),
        challenge_anchors=anchors,
        issuer=result.issuer,
        signer=_stand_in(result, path=path),
        announce=lambda _: None,
        runtime_policies=lambda: replayed.runtime(runtime_digests, applied=applied),
        known=Known(),
    )
    try:
        return verifier.validate_platform(parts[EVIDENCE], at=replayed.at).result
    except RefusalError as refusal:
        raise RecheckError(RESULT, f"no verdict is computed, the validation is refused: {refusal}") from None


def _challenge_certificate(evidence: bytes) -> x509.Certificate:
    """The certificate of the challenge that the evidence answers; its path and purpose are validated with the challenge."""
    try:
        token = decode_evidence(evidence).challenge_token
        header = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
        return x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    except (MessageError, ValueError, KeyError, IndexError, TypeError) as error:
        raise RecheckError(EVIDENCE, f"its challenge cannot be read: {error}") from None


def _stand_in(result: AttestationResult, *, path: Sequence[x509.Certificate]) -> ResultSigner:
    """A signer for what is thrown away: its certificate ends when the path of the real one did."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "re-check")])
    ends = min(each.not_valid_after_utc for each in path[:-1])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - _LIFE)
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    return ResultSigner(
        key=key,
        chain=[certificate],
        issuer=result.issuer,
        developer=result.developer,
        build=result.build,
        random_bytes=bytes,
    )


def _compare(again: AttestationResult, result: AttestationResult) -> None:
    """The verdict that was computed must be the one that was signed, but for its id and what is promised of its leaf."""
    same = replace(again, result_id=result.result_id, promise=result.promise)
    if same != result:
        names = [name for name in AttestationResult.__slots__ if getattr(same, name) != getattr(result, name)]
        raise RecheckError(RESULT, f"another verdict is computed; what differs: {', '.join(names)}")


def _ima_before(parts: Mapping[str, bytes]) -> int:
    """How many entries of the IMA list came before those in the evidence."""
    ima = decode_evidence(parts[EVIDENCE]).ima
    return 0 if ima is None else ima.first
