"""The way of a quote: from the bytes that a device sends to a signed attestation result, in eight steps.

Rule: one direction, and each step takes only what the step before proved. Malformed, forged, replayed or revoked
input raises `RefusalError`: nothing is signed and no state of the device changes. An authentic platform in a bad
state gets a signed result with findings. Any other exception is a refusal too (A24).

A challenge is redeemed before anything else is judged, by one INSERT of the digest of its nonce under a unique
key: one try a challenge, also after a restart. (Not of the token: an ECDSA signature can be rewritten by anybody.)

Who learns what: the device gets the tier and the id of its result; the operator that asked gets the result, and
every refused try with subject, reason and remedy. A try refused before its challenge proved genuine is nobody's:
the web layer counts it. A result that is on record is announced, for those who push it.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from edge.process import logger
from messages.challenge import CHALLENGE_BYTES_MAX, CHALLENGE_TYPE, RECOVERY, Challenge, read_claims
from messages.errors import MessageError
from messages.evidence import EvidenceMessage, decode_evidence
from messages.trust_list import TrustedSupplier
from pva.appraisal.appraisal import Appraisal, ReferenceManifest, appraise, for_recovery
from pva.appraisal.boot_events import BootEvents, replay_logs
from pva.appraisal.continuity import DeviceHistory, Sighting, advance, identity_conflict
from pva.appraisal.credential import PlatformCredential, Supplier, judge_status
from pva.appraisal.ima_findings import ima_progress
from pva.appraisal.known import Known
from pva.appraisal.manifest_chain import ManifestChain
from pva.appraisal.policy import AppraisalPolicy, PolicyVariants
from pva.appraisal.quote import PlatformQuote, verify_platform_quote
from pva.appraisal.reference_choice import check_named, choose_reference
from pva.appraisal.runtime_policies import RuntimePolicies, no_runtime_policies
from pva.appraisal.supplier_standing import judge_by_operator, judge_supplier
from pva.policies.facts import PolicyFacts, policy_facts
from pva.policies.narrowing import PolicyInForce, narrowed
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RelyingParty, ValidationRequest
from pva.results.grounds import Circumstances, Grounds
from pva.results.result import ResultSigner, SignedResult, sign_result
from standards.ima.replay import Replayed
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.fingerprints import spki_der
from standards.pki.jws import VerifiedJws, verify_jws, verify_jws_of
from standards.pki.ocsp_answer import CertStatus


class ReferencesNow(Protocol):
    """Whom this PVA recognises, the reference values that it holds, and the policies of operators and suppliers."""

    def suppliers(self) -> Sequence[Supplier]:
        """Every recognised supplier."""

    def manifest_chain(self, digest: bytes) -> ManifestChain | None:
        """An imported manifest by the digest of its signed form, and its successors, verified anew."""

    def operator_trust(
        self, party: RelyingParty, *, supplier: str, at: datetime
    ) -> tuple[bool, TrustedSupplier | None]:
        """Whether this operator has a trust list of its own, and what that says of a supplier."""

    def in_force(self, party: RelyingParty, *, supplier: str) -> Sequence[PolicyInForce]:
        """Policies of the operator that asks and of the device's supplier that are in force."""


class References(Protocol):
    """What administrators decide."""

    def current(self) -> ReferencesNow:
        """What counts from now on until somebody decides otherwise: for the next questions, and for no later ones."""


class ValidationStore(Protocol):
    """What a validation needs of a store; each call is one transaction."""

    def redeem(self, digest: bytes, *, expires_at: datetime, at: datetime) -> bool:
        """Insert the digest of a challenge's nonce; False when it is there already."""

    def open_request(
        self, request_id: str, *, device_id: str, at: datetime
    ) -> tuple[ValidationRequest, DeviceHistory | None] | None:
        """A request for a device that has neither a result nor expired, and what was seen of the device before."""

    def holder_of_ak(self, ak_name: bytes) -> str | None:
        """Device id under which an AK was seen before."""

    def record_result(
        self,
        result: SignedResult,
        *,
        grounds: Grounds,
        history: DeviceHistory,
        expected_revision: int | None,
        at: datetime,
    ) -> None:
        """Save result, the grounds that it stands on, device history and audit leaf.

        Raises RefusalError: the request got a result meanwhile, or the history is not at `expected_revision`
        (None: was empty) any more.
        """

    def record_refusal(
        self, request_id: str, refusal: RefusalError, *, authenticated: bool, at: datetime
    ) -> None:
        """Attach a refused try to a request, with an audit leaf; bounded for tries that are not authenticated."""


StatusSource = Callable[[PlatformCredential, datetime], CertStatus]
"""Asks the supplier's responder for a credential's status, fresh. Raises RefusalError (STATUS_UNAVAILABLE)."""


RuntimePolicySource = Callable[[], RuntimePolicies]
"""What suppliers allow to run on their devices, as it is in force now. Raises RefusalError."""


def _unheard(_age: timedelta) -> None:
    """Nobody counts."""


@dataclass(slots=True)
class _Attempt:
    """One try; `authenticated` once the device's own AK has answered."""

    authenticated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """The use case and what it works with; `challenge_anchors` is the operators' root.

    `announce` hears of every result that is on record; it must neither wait nor fail. `known` spares work on bytes that came
    before, and decides nothing. `redeemed` hears how old each challenge was that came back.
    """

    store: ValidationStore
    references: References
    status_of: StatusSource
    policy: AppraisalPolicy
    challenge_certificate: x509.Certificate
    challenge_anchors: Sequence[x509.Certificate]
    issuer: str
    signer: ResultSigner
    announce: Callable[[SignedResult], None]
    runtime_policies: RuntimePolicySource = no_runtime_policies
    known: Known = field(default_factory=Known)
    redeemed: Callable[[timedelta], None] = _unheard
    judging: PolicyVariants = field(init=False)

    def __post_init__(self) -> None:
        """Judge by variants of the policy."""
        object.__setattr__(self, "judging", PolicyVariants(self.policy))

    def validate_platform(self, body: bytes, *, at: datetime) -> SignedResult:
        """Validate one platform at the time `at`, which judges everything in this try.

        `body` is a CMW record with evidence. Raises RefusalError.
        """
        message = self._decode(body)  # 1
        challenge = self._own_challenge(message.challenge_token, at=at)
        with self._refusals_recorded(challenge, at=at) as attempt:
            # history is read before the responder is asked: what is recorded meanwhile makes this try fail in step 8,
            # so that evidence which somebody held back never looks like a clock that went back
            request, history = self._redeem(challenge, at=at)  # 2
            credential = self._validate_credential(message, request=request, at=at)  # 3
            status = self.status_of(credential, at)
            self.known.credentials.note_status(message.pfc_chain, status)
            good_until = judge_status(status, credential=credential, purpose=challenge.purpose, at=at)
            quote = verify_platform_quote(  # 4
                message, challenge=challenge, credential=credential, keys=self.known.keys
            )
            attempt.authenticated = True
            runtime = self.runtime_policies()
            judged_by = self.judging.including(runtime_policies=runtime.digests).digest
            start = _ima_start(message, challenge=challenge, quote=quote, history=history, policy=judged_by)
            boot = replay_logs(message, quote=quote, known=self.known.logs, ima_start=start)  # 5
            seen = _sighting(quote, credential=credential, at=at)
            self._refuse_disputed(seen, history=history)
            references = self.references.current()  # as they are after the responder's answer
            chain = references.manifest_chain(credential.expected_state.manifest_digest)
            reference = _reference(
                quote, boot=boot, credential=credential, chain=chain, history=history, at=at
            )
            reference = _allowing(reference, runtime=runtime, credential=credential)
            _refuse_missing_log(boot, reference=reference)
            policies = references.in_force(request.party, supplier=credential.supplier.name)
            policy = self._policy(runtime, policies=policies)
            baseline = appraise(  # 6
                quote, boot=boot, reference=reference, history=history, seen=seen, policy=policy
            )
            facts = policy_facts(baseline, boot=boot, credential=credential, history=history, request=request)
            appraisal = _final(baseline, challenge=challenge, facts=facts, policies=policies)
            under = Circumstances(
                at=at,
                request=request,
                supplier=credential.supplier,
                chain=chain,
                status=status.raw,
                history=history,
                policy=self.policy,
                policies=policies,
                runtime=runtime,
                applied=None if reference is None else reference.runtime,
            )
            grounds = Grounds.of(under, evidence=body, facts=facts)
            result = sign_result(  # 7
                appraisal,
                challenge=challenge,
                credential=credential,
                good_until=good_until,
                grounds=grounds,
                signer=self.signer,
            )
            self.store.record_result(  # 8
                result,
                grounds=grounds,
                history=advance(
                    history,
                    seen,
                    accepted_svn=appraisal.accepted_svn,
                    ima=ima_progress(boot.ima, findings=appraisal.findings, quote=quote, policy=judged_by),
                ),
                expected_revision=None if history is None else history.revision,
                at=at,
            )
        self.announce(result)
        return result

    def _decode(self, body: bytes) -> EvidenceMessage:
        try:
            return decode_evidence(body, layouts=self.known.layouts)
        except MessageError as error:
            raise RefusalError(
                RefusalCode.EVIDENCE_MALFORMED, subject="evidence", reason=str(error)
            ) from None

    def _policy(self, runtime: RuntimePolicies, *, policies: Sequence[PolicyInForce]) -> AppraisalPolicy:
        """The baseline with all that judges beside it, by digest."""
        digests = tuple(sorted(each.digest for each in policies))
        return self.judging.including(runtime_policies=runtime.digests, policies=digests)

    def _own_challenge(self, token: str, *, at: datetime) -> Challenge:
        """The challenge, once proven to be one that this PVA signed; its time is not judged here."""
        issued = self.known.challenges.find(token, at=at)
        if issued is not None:
            return issued
        try:
            verified = self._signed_challenge(token, at=at)
            challenge = read_claims(verified.claims)
        except (PkiError, MessageError) as error:
            raise RefusalError(
                RefusalCode.CHALLENGE_INVALID, subject="challenge", reason=str(error)
            ) from None
        signer, own = verified.path[0], self.challenge_certificate
        own_key = signer == own or spki_der(signer) == spki_der(own)
        if not own_key or challenge.issuer != self.issuer:
            raise RefusalError(
                RefusalCode.CHALLENGE_INVALID,
                subject="challenge",
                reason=f"it was issued by {challenge.issuer!r}, expected {self.issuer!r} and this PVA's key",
            )
        self.known.challenges.note_path(token, verified.path)
        return challenge

    def _signed_challenge(self, token: str, *, at: datetime) -> VerifiedJws:
        """A token under its signer's path, which is proven once for all tokens with the same header."""
        path = self.known.challenges.path_of(token, at=at)
        if path is not None:
            return verify_jws_of(token, path=path, bytes_max=CHALLENGE_BYTES_MAX)
        return verify_jws(
            token,
            anchors=self.challenge_anchors,
            eku=oids.EKU_CHALLENGE,
            typ=CHALLENGE_TYPE,
            at=at,
            bytes_max=CHALLENGE_BYTES_MAX,
        )

    def _redeem(
        self, challenge: Challenge, *, at: datetime
    ) -> tuple[ValidationRequest, DeviceHistory | None]:
        """Spend the challenge, then see that its request still waits; with the history of its device."""
        digest = hashlib.sha256(challenge.nonce).digest()
        if at >= challenge.expires_at:
            raise RefusalError(
                RefusalCode.CHALLENGE_EXPIRED,
                subject=f"challenge for device {challenge.device_id}",
                reason=f"it was good until {challenge.expires_at.isoformat()}",
            )
        if not self.store.redeem(digest, expires_at=challenge.expires_at, at=at):
            raise RefusalError(
                RefusalCode.CHALLENGE_USED,
                subject=f"challenge for device {challenge.device_id}",
                reason="it was answered before",
            )
        self.redeemed(at - challenge.issued_at)
        found = self.store.open_request(challenge.request_id, device_id=challenge.device_id, at=at)
        if found is None:
            raise RefusalError(
                RefusalCode.REQUEST_CLOSED,
                subject=f"validation of device {challenge.device_id}",
                reason="its request has a result already, or has expired",
            )
        return found

    def _validate_credential(
        self, message: EvidenceMessage, *, request: ValidationRequest, at: datetime
    ) -> PlatformCredential:
        """The proven credential; refused where its supplier may not vouch for it now, at this PVA or for this operator."""
        references = self.references.current()
        credential = self.known.credentials.validate(
            message.pfc_chain, suppliers=references.suppliers(), device_id=request.device_id, at=at
        )
        judge_supplier(credential, at=at)
        party = request.party
        has_list, listed = references.operator_trust(party, supplier=credential.supplier.name, at=at)
        if has_list:
            judge_by_operator(credential, listed=listed, operator=party.tenant, at=at)
        return credential

    def _refuse_disputed(self, seen: Sighting, *, history: DeviceHistory | None) -> None:
        """Refuse where two identities claim one key, or two suppliers one device (A26)."""
        is_known = history is not None and history.last.ak_name == seen.ak_name
        # a key is one device's in the store: where this device's history has it, nobody else's can
        holder = seen.device_id if is_known else self.store.holder_of_ak(seen.ak_name)
        conflict = identity_conflict(history, holder, seen)
        if conflict is not None:
            logger("validation").error("identity-conflict", device_id=seen.device_id, reason=conflict)
            raise RefusalError(
                RefusalCode.IDENTITY_CONFLICT, subject=f"device {seen.device_id}", reason=conflict
            )

    @contextmanager
    def _refusals_recorded(self, challenge: Challenge, *, at: datetime) -> Iterator[_Attempt]:
        """Put whatever ends this try on the record of its request; any exception is a refusal (A24)."""
        attempt = _Attempt()
        try:
            yield attempt
        except RefusalError as refusal:
            self.store.record_refusal(
                challenge.request_id, refusal, authenticated=attempt.authenticated, at=at
            )
            raise
        except Exception:
            malfunction = RefusalError(
                RefusalCode.MALFUNCTION,
                subject=f"validation of device {challenge.device_id}",
                reason="the PVA failed while it judged the evidence; nothing was signed",
            )
            self.store.record_refusal(
                challenge.request_id, malfunction, authenticated=attempt.authenticated, at=at
            )
            raise


def _reference(
    quote: PlatformQuote,
    *,
    boot: BootEvents,
    credential: PlatformCredential,
    chain: ManifestChain | None,
    history: DeviceHistory | None,
    at: datetime,
) -> ReferenceManifest | None:
    """The manifest to judge by: the one that the credential names or a successor, never a rolled back one (A29)."""
    svn_highest = None if history is None else history.svn_highest
    named = check_named(credential, chain=chain, svn_highest=svn_highest)
    return choose_reference(quote, boot=boot, chain=named, svn_highest=svn_highest, at=at)


def _allowing(
    reference: ReferenceManifest | None, *, runtime: RuntimePolicies, credential: PlatformCredential
) -> ReferenceManifest | None:
    """The same, with the policy of what may run on the model of the device."""
    allowed = runtime.of(supplier=credential.supplier.name, hw_type=credential.hw_type)
    return None if reference is None else replace(reference, runtime=allowed)


def _final(
    baseline: Appraisal, *, challenge: Challenge, facts: PolicyFacts, policies: Sequence[PolicyInForce]
) -> Appraisal:
    """The verdict after the policies; what a hold stands on is the baseline's, and so is what ends it (D6)."""
    if challenge.purpose == RECOVERY:
        return for_recovery(baseline)
    return narrowed(baseline, facts=facts, policies=policies)


def _refuse_missing_log(boot: BootEvents, *, reference: ReferenceManifest | None) -> None:
    """Only a signed manifest for devices without a log lets a device do without one (A18)."""
    if boot.logged or (reference is not None and reference.manifest.pcr_values_only):
        return
    raise RefusalError(
        RefusalCode.BOOT_LOG_MISSING,
        subject="boot log",
        reason="none came, and no manifest of this device says that it has none",
    )


def _sighting(quote: PlatformQuote, *, credential: PlatformCredential, at: datetime) -> Sighting:
    return Sighting(
        device_id=quote.device_id,
        supplier=credential.supplier.name,
        hw_type=credential.hw_type,
        ak_name=quote.ak_name,
        qualified_signer=quote.qualified_signer,
        storage_key_name=quote.storage_key_name,
        generation_counter_name=quote.generation_counter_name,
        generation_counter=quote.generation_counter,
        clock_info=quote.clock_info,
        firmware_version=quote.firmware_version,
        credential_sha256=credential.sha256,
        credential_not_before=credential.certificate.not_valid_before_utc,
        at=at,
    )


def _ima_start(
    message: EvidenceMessage,
    *,
    challenge: Challenge,
    quote: PlatformQuote,
    history: DeviceHistory | None,
    policy: bytes,
) -> Replayed | None:
    """Where the IMA list of this exchange goes on; None where it begins with its first entry (A14, A22)."""
    first = 0 if message.ima is None else message.ima.first
    if first == 0:
        return None
    after, known = challenge.ima_after, None if history is None else history.ima
    boot = quote.clock_info.reset_count, quote.clock_info.restart_count
    if after is None or first != after.count:
        fault = f"it begins with entry {first}, which is not where the challenge said that this PVA's knowledge ends"
    elif boot != (after.reset_count, after.restart_count):
        fault = "the machine booted since: what was known of its list is of another boot"
    elif known is None or (known.count, *known.boot) != (after.count, *boot):
        fault = "what this PVA knew when it asked was judged again meanwhile"
    elif known.policy != policy:
        fault = "what this PVA knew was judged by another policy"
    else:
        return Replayed(count=known.count, value=known.value)
    raise RefusalError(RefusalCode.IMA_OFFSET_WRONG, subject="IMA list", reason=fault)
