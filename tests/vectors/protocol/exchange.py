"""The messages of the worked example: an enrolment and an attestation of one device."""

import hashlib
import json
from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from edge.ledger_leaf import Leaf, make_leaf
from messages.binding import PVA_EVIDENCE, PVA_KEY, extra_data
from messages.challenge import CHALLENGE_TYPE, Challenge
from messages.enrollment import (
    ActivationRequest,
    CertifiedStatement,
    EnrollmentChallenge,
    EnrollmentRequest,
    EnrollmentResult,
)
from messages.evidence import CertifiedStructure, EvidenceMessage, encode_evidence
from standards.boot_log.algorithms import SHA256
from standards.boot_log.encode import encode_event_log
from standards.pki.fingerprints import certificate_sha256
from standards.rats.ar4si import Tier
from standards.rats.ear import (
    RESULT_TYPE,
    AttestationResult,
    CredentialReference,
    InclusionPromise,
    ManifestReference,
    Submodule,
)
from standards.rats.fields import encode_base64url
from standards.rats.promise import promised_digest
from standards.tpm2.credential import make_credential
from standards.tpm2.structures import Attest, QuoteInfo
from tests.vectors.protocol import device
from tests.vectors.protocol import hierarchy as pki


def fixed(name: str, size: int = 32) -> bytes:
    """Bytes that would be random."""
    return hashlib.sha256(f"openpva example: {name}".encode()).digest()[:size]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentExample:
    """The four messages of an enrolment, and the qualifying data of both certifications."""

    request: EnrollmentRequest
    challenge: EnrollmentChallenge
    qualifying: bytes
    activation: ActivationRequest
    result: EnrollmentResult


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationExample:
    """A challenge, its evidence, its result, and the qualifying data of quote and certifications."""

    challenge: Challenge
    challenge_token: str
    quote_qualifying: bytes
    key_qualifying: bytes
    evidence: EvidenceMessage
    record: bytes
    result: AttestationResult
    result_token: str
    leaf: Leaf


def enroll() -> EnrollmentExample:
    """Make the enrolment."""
    request = EnrollmentRequest(
        ek_chain=(pki.EK.der,),
        ek_public=device.EK_PUBLIC.encode(),
        ak_public=device.AK_PUBLIC.encode(),
        storage_public=device.STORAGE_PUBLIC.encode(),
        counter_public=device.COUNTER_PUBLIC.encode(),
    )
    credential = make_credential(
        device.EK_PUBLIC,
        object_name=device.AK_PUBLIC.name,
        secret=fixed("activation secret"),
        seed=b"",
        ephemeral=pki.private_key("ephemeral key of the credential", ec.SECP384R1()),
    )
    challenge = EnrollmentChallenge(
        session_id=fixed("enrolment session", 16),
        id_object=credential.id_object,
        encrypted_secret=credential.encrypted_secret,
        nonce=fixed("enrolment nonce"),
    )
    qualifying = extra_data(PVA_KEY, nonce=challenge.nonce, body=request.key_body())
    activation = ActivationRequest(
        session_id=challenge.session_id,
        secret=fixed("activation secret"),
        storage_key=device.certify_storage_key(qualifying),
        generation_counter=device.certify_counter(qualifying),
    )
    return EnrollmentExample(
        request=request,
        challenge=challenge,
        qualifying=qualifying,
        activation=activation,
        result=EnrollmentResult(pfc_chain=(pki.PFC.der, pki.ISSUING_CA.der)),
    )


def attest() -> AttestationExample:
    """Make the attestation."""
    challenge = _challenge()
    token = _token(challenge.claims(), signer=pki.CHALLENGER, typ=CHALLENGE_TYPE)
    body = challenge.context()
    quote_qualifying = extra_data(PVA_EVIDENCE, nonce=challenge.nonce, body=body)
    key_qualifying = extra_data(PVA_KEY, nonce=challenge.nonce, body=body)
    quote = device.quote(quote_qualifying)
    evidence = EvidenceMessage(
        challenge_token=token,
        body=body,
        attest=quote.attest,
        signature=quote.signature,
        pfc_chain=(pki.PFC.der, pki.ISSUING_CA.der),
        pcr_values={SHA256: device.pcr_values()},
        boot_log=encode_event_log(device.boot_log()),
        ima=None,
        storage_key=_certified(device.STORAGE_PUBLIC.encode(), device.certify_storage_key(key_qualifying)),
        generation_counter=_certified(device.COUNTER_PUBLIC.encode(), device.certify_counter(key_qualifying)),
        ak_public=device.AK_PUBLIC.encode(),
    )
    record = encode_evidence(evidence)
    unpromised = _result(challenge, evidence, record)
    leaf = _leaf(unpromised)
    promise = InclusionPromise(log="pva.example/log", leaf_hash=leaf.leaf_hash, merge_delay_s=60)
    result = replace(unpromised, promise=promise)
    return AttestationExample(
        challenge=challenge,
        challenge_token=token,
        quote_qualifying=quote_qualifying,
        key_qualifying=key_qualifying,
        evidence=evidence,
        record=record,
        result=result,
        result_token=_token(result.claims(), signer=pki.RESULT_SIGNER, typ=RESULT_TYPE),
        leaf=leaf,
    )


def _challenge() -> Challenge:
    return Challenge(
        nonce=fixed("challenge nonce"),
        device_id=pki.DEVICE_ID.hex(),
        purpose="validation",
        request_id=fixed("validation request", 16).hex(),
        pcr_selections={SHA256: device.PCRS},
        rp_nonce=fixed("relying party's nonce"),
        order_digest=hashlib.sha256(b"order 4711").digest(),
        audience=("sho.example", "dpf.example"),
        issuer="pva.example",
        issued_at=pki.NOW,
        expires_at=pki.NOW + timedelta(seconds=60),
    )


def _certified(public: bytes, statement: CertifiedStatement) -> CertifiedStructure:
    return CertifiedStructure(public=public, attest=statement.attest, signature=statement.signature)


def _result(challenge: Challenge, evidence: EvidenceMessage, record: bytes) -> AttestationResult:
    quoted = Attest.decode(evidence.attest).attested
    if not isinstance(quoted, QuoteInfo):
        raise TypeError("the evidence holds a quote")
    return AttestationResult(
        result_id=fixed("result", 16).hex(),
        issuer=challenge.issuer,
        audience=challenge.audience,
        issued_at=pki.NOW + timedelta(seconds=1),
        expires_at=pki.NOW + timedelta(seconds=301),
        developer="Open PVA",
        build="example",
        nonce=challenge.rp_nonce,
        submodules={
            "tre": _affirming({"instance-identity": 2, "hardware": 2, "storage-opaque": 2, "executables": 3}),
            "platform": _affirming({"instance-identity": 2, "configuration": 2, "executables": 3}),
        },
        purpose=challenge.purpose,
        device_id=challenge.device_id,
        ak_name=device.AK_PUBLIC.name,
        storage_key_name=device.STORAGE_PUBLIC.name,
        order_digest=challenge.order_digest,
        pcr_selections=challenge.pcr_selections,
        pcr_digest=quoted.pcr_digest,
        evidence_digest=hashlib.sha256(record).digest(),
        policy_digest=hashlib.sha256(b"policy").digest(),
        pfc=CredentialReference(
            issuer_sha256=bytes.fromhex(certificate_sha256(pki.ISSUING_CA.certificate)),
            serial=pki.PFC.certificate.serial_number,
            sha256=bytes.fromhex(certificate_sha256(pki.PFC.certificate)),
        ),
        manifest=ManifestReference(
            id=pki.STATE.manifest_id, digest=pki.STATE.manifest_digest, svn=pki.STATE.svn, release="1.0"
        ),
        generation_counter=device.COUNTER_VALUE,
    )


def _leaf(result: AttestationResult) -> Leaf:
    """The audit leaf that the result promises; a PVA's record names more."""
    return make_leaf(
        kind="validation-result",
        subject=result.device_id,
        record={"result_id": result.result_id, "claims_sha256": promised_digest(result.claims()).hex()},
        at=result.issued_at,
        salt=fixed("salt of the leaf"),
    )


def _affirming(vector: dict[str, int]) -> Submodule:
    return Submodule(
        status=Tier.AFFIRMING, trustworthiness_vector=vector, policy_ids=("baseline",), findings=()
    )


def _token(claims: dict[str, Any], *, signer: pki.Holder, typ: str) -> str:
    """A compact JWS (ES256) as any JOSE library makes it, but with a deterministic signature."""
    header = {"alg": "ES256", "typ": typ, "x5c": [b64encode(signer.der).decode()]}
    parts = [encode_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)]
    signed = ".".join(parts)
    return f"{signed}.{encode_base64url(device.sign_ecdsa(signer.key, signed.encode()))}"
