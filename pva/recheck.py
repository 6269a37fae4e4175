"""A past verdict, computed again from an exported bundle: no database, no network, no key of the PVA. Pure.

Rule: the validation runs as it ran, over the same bytes and at the same time, from ports that are filled from the bundle
alone; what comes out must be the signed result, claim by claim. Every part is compared with its digest first: one that was
changed is named, and nothing is computed from it.

    1 the audit record against its leaf
    2 each part against its digest in the audit record, the result itself among them
    3 the result, under the operators' root that the reader has from elsewhere
    4 evidence and manifest against the digests in the result
    5 the validation again
    6 what came out against what was signed

NOT checked here: that the leaf is in the PVA's log; there are no signed checkpoints yet.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from edge.ledger import LedgerError, leaf_hash
from messages.errors import MessageError
from messages.evidence import decode_evidence
from messages.runtime_policy import verify_runtime_policy
from pva import grounds
from pva.appraisal import ReferenceManifest
from pva.continuity import DeviceHistory
from pva.credential import PlatformCredential, Supplier
from pva.grounds import Grounds
from pva.narrowing import PolicyInForce
from pva.refusals import RefusalError
from pva.requests import RelyingParty, ValidationRequest
from pva.result import ResultSigner, SignedResult
from pva.runtime_policies import RuntimePolicies
from pva.validation import Verifier
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.jws import verify_jws
from standards.pki.ocsp import build_request
from standards.pki.ocsp_answer import CertStatus, verify_response
from standards.rats.corim import verify_manifest
from standards.rats.ear import RESULT_TYPE, AttestationResult, read_claims
from standards.rats.errors import RatsError

FORMAT: Final = "pva/bundle/1"
BUNDLE_BYTES_MAX: Final = 32 << 20
RESULT, EVIDENCE, MANIFEST, RUNTIME_POLICY, POLICY_TEXTS = (
    "result",
    "evidence",
    "manifest",
    "runtime-policy",
    "policy-texts",
)
AUDIT_RECORD, AUDIT_SALT, AUDIT_LEAF = "audit-record", "audit-salt", "audit-leaf"
_LIFE = timedelta(days=3_650)
T = TypeVar("T")


class RecheckError(Exception):
    """A bundle does not show what its result says; `part` is the part at fault, `reason` why."""

    def __init__(self, part: str, reason: str) -> None:
        """Keep both."""
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason


def encode_bundle(parts: Mapping[str, bytes]) -> bytes:
    """A bundle as JSON: its format and its parts in base64."""
    members = {name: base64.b64encode(part).decode() for name, part in sorted(parts.items())}
    return json.dumps({"format": FORMAT, "parts": members}, indent=1).encode()


def decode_bundle(data: bytes) -> dict[str, bytes]:
    """The parts of a bundle. Raises RecheckError."""
    try:
        value = json.loads(data) if len(data) <= BUNDLE_BYTES_MAX else None
        if not isinstance(value, dict) or set(value) != {"format", "parts"} or value["format"] != FORMAT:
            raise RecheckError(
                "bundle", f"expected a bundle of format {FORMAT} of at most {BUNDLE_BYTES_MAX} bytes"
            )
        return {str(name): base64.b64decode(part, validate=True) for name, part in value["parts"].items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RecheckError("bundle", f"cannot be read: {error}") from None


def recheck(data: bytes, *, anchors: Sequence[x509.Certificate]) -> AttestationResult:
    """Compute the verdict of a bundle again; `anchors` is the operators' root. Raises RecheckError."""
    parts = decode_bundle(data)
    _refuse_missing(parts)
    at = _read("time", lambda: grounds.read_time(parts[grounds.TIME]))
    _check_leaf(parts)  # 1
    _check_recorded(parts)  # 2
    result, chain = _signed(parts, anchors=anchors, at=at)  # 3
    _check_named(parts, result=result)  # 4
    again = _validated(parts, result=result, chain=chain, anchors=anchors, at=at)  # 5
    _compare(again, result)  # 6
    return result


def _refuse_missing(parts: Mapping[str, bytes]) -> None:
    needed = {*grounds.PARTS, RESULT, EVIDENCE, POLICY_TEXTS, AUDIT_RECORD, AUDIT_SALT, AUDIT_LEAF}
    missing, surplus = sorted(needed - set(parts)), sorted(set(parts) - needed - {MANIFEST, RUNTIME_POLICY})
    if missing or surplus:
        name = (missing or surplus)[0]
        raise RecheckError(name, "the part is missing" if missing else "no such part is known")


def _signed(
    parts: Mapping[str, bytes], *, anchors: Sequence[x509.Certificate], at: datetime
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
    return result, verified.path


def _check_recorded(parts: Mapping[str, bytes]) -> None:
    record = _read(AUDIT_RECORD, lambda: json.loads(parts[AUDIT_RECORD])["record"])
    recorded = _read(AUDIT_RECORD, lambda: dict(record["parts"]))
    if set(recorded) != set(grounds.PARTS):
        raise RecheckError(AUDIT_RECORD, "it does not name every part")
    for name, digest in recorded.items():
        if hashlib.sha256(parts[name]).hexdigest() != digest:
            raise RecheckError(name, "it is not the part whose digest was recorded with the verdict")
    if str(record.get("token")).encode() != parts[RESULT]:
        raise RecheckError(RESULT, "it is not the result that was recorded")


def _check_named(parts: Mapping[str, bytes], *, result: AttestationResult) -> None:
    named = {EVIDENCE: result.evidence_digest}
    if result.manifest is not None:
        named[MANIFEST] = result.manifest.digest
    for name, digest in named.items():
        if hashlib.sha256(parts.get(name, b"")).digest() != digest:
            raise RecheckError(name, "it is not the one whose digest the result names")


def _check_leaf(parts: Mapping[str, bytes]) -> None:
    try:
        found = leaf_hash(salt=parts[AUDIT_SALT], record=parts[AUDIT_RECORD])
    except LedgerError as error:
        raise RecheckError(AUDIT_SALT, str(error)) from None
    if found != parts[AUDIT_LEAF]:
        raise RecheckError(AUDIT_LEAF, "record and salt do not make this leaf: one of the three was changed")


def _validated(
    parts: Mapping[str, bytes],
    *,
    result: AttestationResult,
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: datetime,
) -> AttestationResult:
    """Run the validation of the bundle."""
    replayed = _Replayed.of(parts, at=at)
    policy, runtime_digests, applied = _read("policy", lambda: grounds.read_policy(parts[grounds.POLICY]))
    verifier = Verifier(
        store=replayed,
        references=replayed,
        status_of=replayed.status_of,
        policy=policy,
        challenge_certificate=_challenge_certificate(parts[EVIDENCE]),
        challenge_anchors=anchors,
        issuer=result.issuer,
        signer=_stand_in(result, chain=chain),
        announce=lambda _: None,
        policies=replayed,
        runtime_policies=lambda: replayed.runtime(runtime_digests, applied=applied),
    )
    try:
        return verifier.validate_platform(parts[EVIDENCE], at=at).result
    except RefusalError as refusal:
        raise RecheckError(EVIDENCE, f"refused: {refusal}") from None


@dataclass(slots=True, kw_only=True)
class _Replayed:
    """The ports of a validation, filled from a bundle."""

    at: datetime
    parts: Mapping[str, bytes]
    request: ValidationRequest
    supplier: Supplier
    imported_at: datetime | None
    history: DeviceHistory | None
    redeemed: set[bytes] = field(default_factory=set)

    @classmethod
    def of(cls, parts: Mapping[str, bytes], *, at: datetime) -> "_Replayed":
        supplier, imported_at = _read(
            "recognition", lambda: grounds.read_recognition(parts[grounds.RECOGNITION])
        )
        return cls(
            at=at,
            parts=parts,
            request=_read("request", lambda: grounds.read_request(parts[grounds.REQUEST])),
            supplier=supplier,
            imported_at=imported_at,
            history=_read("history", lambda: grounds.read_history(parts[grounds.HISTORY])),
        )

    def suppliers(self) -> Sequence[Supplier]:
        return (self.supplier,)

    def reference_manifest(self, digest: bytes) -> ReferenceManifest | None:
        if MANIFEST not in self.parts:
            return None
        try:
            when = self.imported_at or self.at
            verified = verify_manifest(self.parts[MANIFEST], anchors=[self.supplier.root], at=when)
        except (PkiError, RatsError) as error:
            raise RecheckError(MANIFEST, str(error)) from None
        return ReferenceManifest(
            manifest=verified.manifest, digest=digest, permitted_models=self.supplier.models, imported_at=when
        )

    def redeem(self, digest: bytes, *, expires_at: datetime, at: datetime) -> bool:
        del expires_at, at
        first = digest not in self.redeemed
        self.redeemed.add(digest)
        return first

    def open_request(self, request_id: str, *, at: datetime) -> ValidationRequest | None:
        del at
        return self.request if request_id == self.request.id else None

    def device_history(self, device_id: str) -> DeviceHistory | None:
        del device_id
        return self.history

    def holder_of_ak(self, ak_name: bytes) -> str | None:
        return self.history.last.device_id if self.history and self.history.last.ak_name == ak_name else None

    def record_result(
        self,
        result: SignedResult,
        *,
        grounds: Grounds,
        history: DeviceHistory,
        expected_revision: int | None,
        at: datetime,
    ) -> None:
        """Nothing is kept."""

    def record_refusal(
        self, request_id: str, refusal: RefusalError, *, authenticated: bool, at: datetime
    ) -> None:
        """Nothing is kept."""

    def in_force(self, party: RelyingParty, *, supplier: str) -> Sequence[PolicyInForce]:
        del party, supplier
        texts = _read(POLICY_TEXTS, lambda: json.loads(self.parts[POLICY_TEXTS]))
        by_digest = {hashlib.sha256(str(each).encode()).digest(): str(each) for each in texts}
        owned = _read("policies", lambda: grounds.read_policies(self.parts[grounds.POLICIES]))
        if {digest for _, _, digest in owned} != set(by_digest):
            raise RecheckError(POLICY_TEXTS, "they are not the policies that judged")
        return [
            PolicyInForce(role=role, owner=owner, digest=digest, text=by_digest[digest])
            for role, owner, digest in owned
        ]

    def runtime(self, digests: Sequence[bytes], *, applied: bytes | None) -> RuntimePolicies:
        if applied is None:
            return RuntimePolicies(by_model={}, others=tuple(digests))
        try:
            verified = verify_runtime_policy(
                self.parts.get(RUNTIME_POLICY, b""), anchors=[self.supplier.root], at=self.at
            )
        except (MessageError, PkiError) as error:
            raise RecheckError(RUNTIME_POLICY, str(error)) from None
        if verified.digest != applied:
            raise RecheckError(RUNTIME_POLICY, "it is not the policy that judged")
        models = [self.supplier.models.get(model, "") for model in verified.policy.models]
        places = {(self.supplier.name, hw_type): verified for hw_type in models}
        return RuntimePolicies(by_model=places, others=tuple(digests))

    def status_of(self, credential: PlatformCredential, at: datetime) -> CertStatus:
        """The answer as it came, to a question with the nonce that it repeats."""
        try:
            response = ocsp.load_der_ocsp_response(self.parts[grounds.STATUS])
            nonce = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
            asked = build_request(credential.certificate, credential.issuer, nonce=nonce)
            return verify_response(self.parts[grounds.STATUS], request=asked, issuer=credential.issuer, at=at)
        except (PkiError, ValueError, x509.ExtensionNotFound) as error:
            raise RecheckError(grounds.STATUS, str(error)) from None


def _challenge_certificate(
    evidence: bytes,
) -> x509.Certificate:
    """The certificate of the challenge that the evidence answers; its path and purpose are validated with the challenge."""
    try:
        token = decode_evidence(evidence).challenge_token
        header = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
        return x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    except (MessageError, ValueError, KeyError, IndexError, TypeError) as error:
        raise RecheckError(EVIDENCE, f"its challenge cannot be read: {error}") from None


def _stand_in(result: AttestationResult, *, chain: Sequence[x509.Certificate]) -> ResultSigner:
    """A signer for what is thrown away: its certificate ends when the path of the real one did."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "re-check")])
    ends = min(each.not_valid_after_utc for each in chain[:-1])
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
    """The verdict that was computed must be the one that was signed, but for its id."""
    same = replace(again, result_id=result.result_id)
    if same != result:
        names = [name for name in AttestationResult.__slots__ if getattr(same, name) != getattr(result, name)]
        raise RecheckError(RESULT, f"another verdict is computed; what differs: {', '.join(names)}")


def _read(part: str, read: Callable[[], T]) -> T:
    """What a part says; one that cannot be read is named."""
    try:
        return read()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecheckError(part, f"cannot be read: {error}") from None
