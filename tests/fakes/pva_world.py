"""A PVA with everything around it, signing for real, at a fixed time: operators' root, a supplier, a device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from messages.challenge import CHALLENGE_TYPE, Challenge, read_claims
from messages.evidence import EvidenceMessage, encode_evidence
from pva.appraisal.credential import PlatformCredential
from pva.appraisal.policy import AppraisalPolicy
from pva.manifests.approvals import Administrator, ManifestApprovalDesk
from pva.manifests.proposals import ProposalDesk
from pva.manifests.recognition import RecognitionDesk, RecognitionWish
from pva.policies.desk import PolicyDesk
from pva.recheck.exporting import ExportDesk
from pva.refusals import RefusalError
from pva.requests import ChallengeSigner, RequestDesk, ValidationWish
from pva.results.explanation import ExplanationDesk
from pva.results.reissue import ReissueDesk
from pva.results.result import PromiseTerms, ResultSigner, SignedResult
from pva.signed_requests import SignedRequestDesk
from pva.updates.approvals import ApprovalDesk, DayKey
from pva.validation import StatusSource, Verifier
from standards.boot_log.replay import replay
from standards.pki import oids
from standards.pki.crl import Revocation
from standards.pki.extensions import ExpectedSystemState, OperatorRole
from standards.pki.jws import verify_jws
from standards.pki.ocsp_answer import CertStatus, StatusKind
from standards.rats.corim import Manifest, PlatformReference, ReferenceEvent, sign_manifest
from tests.fakes.attesting_device import SHA256, TRE_IMAGE, AttestingDevice, decoded
from tests.fakes.credentials import MODEL, CredentialPlan, FakeSupplier
from tests.fakes.pki import LEAF_USAGE, NOW, Authority, p256
from tests.fakes.pva_memory import MemoryStore
from tests.fakes.pva_references import AsTheyAre, MemoryReferences

SELECTION = {SHA256: (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14)}
POLICY = AppraisalPolicy(
    pcr_selections=SELECTION, clock_grace=timedelta(hours=2), result_life=timedelta(minutes=5)
)
TENANT = "sho-1"
ISSUER = "pva-1"
AUDIENCE = ("sho-1", "dpf-1")
ADMINISTRATORS = tuple(
    Administrator(name=f"admin-{digit}", key_sha256=digit * 64, issued_at_request_of=()) for digit in "12"
)


class CountingBytes:
    """Random bytes that are different every time and the same in every run."""

    def __init__(self) -> None:
        """Start with zero."""
        self._count = 0

    def __call__(self, count: int) -> bytes:
        """The next `count` bytes."""
        self._count += 1
        return self._count.to_bytes(count, "big")


def reference_manifest(device: AttestingDevice, **changed: Any) -> Manifest:
    """The manifest that describes exactly the boot of a device; its command line is the TRE's."""
    log = decoded(device.boot)
    registers = {**dict.fromkeys(SELECTION[SHA256], bytes(32)), **replay(log, bank=SHA256)}
    events = tuple(
        ReferenceEvent(
            pcr=pcr,
            position=position,
            digest={SHA256: event.digests[SHA256]},
            name=f"event {position} of PCR {pcr}",
            scope="tre" if (pcr, position) == (8, 1) else "platform",
        )
        for pcr in registers
        for position, event in enumerate(log.extended_into(pcr))
    )
    manifest = Manifest(
        id="release-1",
        supplier="Acme",
        models=(MODEL,),
        svn=3,
        version="1.0.0",
        platform=PlatformReference(registers={SHA256: registers}),
        events=events,
        tre_image_digest=TRE_IMAGE,
        valid_from=NOW - timedelta(days=1),
        valid_to=NOW + timedelta(days=90),
    )
    return replace(manifest, **changed)


@dataclass
class World:
    """One PVA, one supplier, one device; tests change parts and look at what the PVA does."""

    operators: Authority = field(default_factory=lambda: Authority.root("operators' root"))
    supplier: FakeSupplier = field(default_factory=FakeSupplier.make)
    device: AttestingDevice = field(default_factory=AttestingDevice)
    store: Any = field(default_factory=MemoryStore)
    references: Any = field(default_factory=MemoryReferences)
    random_bytes: Callable[[int], bytes] = field(default_factory=CountingBytes)
    approvals: Any = None
    outbox: Any = None
    records: Any = None
    asks: Any = None
    policies: Any = None
    looked_up: Any = None
    """What validations look up in place of `references` and `policies`."""
    log: Any = None
    promises: PromiseTerms | None = None
    responder: StatusSource | None = None
    announced: list[SignedResult] = field(default_factory=list)
    status: CertStatus | RefusalError | None = None
    policy: AppraisalPolicy = POLICY
    ima_incremental: bool = False

    def __post_init__(self) -> None:
        """Make the PVA's three keys and the supplier's manifest, and recognise the supplier."""
        self.challenge_key, self.result_key, self.approval_key = p256(), p256(), p256()
        self.challenge_certificate = self.certified(self.challenge_key, oids.EKU_CHALLENGE)
        self.result_certificate = self.certified(self.result_key, oids.EKU_ATTESTATION_RESULT)
        self.approval_certificate = self.certified(self.approval_key, oids.EKU_STATE_APPROVAL)
        if isinstance(self.store, MemoryStore) and isinstance(self.references, MemoryReferences):
            self.store.manifests = self.references.signed_manifest
        self.recognition = RecognitionDesk(
            store=self.references, policy=self.policy, proposals=self.proposal_desk
        )
        self.recognise(self.supplier)
        self.signed_manifest = self.sign(reference_manifest(self.device))
        self.state = self.publish(self.signed_manifest)

    def publish(self, signed: bytes, *, at: datetime = NOW) -> ExpectedSystemState:
        """Import a manifest and have both administrators approve it; what a credential says that names it."""
        imported = self.recognition.import_manifest(signed, only_of=None, by="supplier", at=at)
        for administrator in ADMINISTRATORS:
            self.manifest_desk.approve(imported.digest, by=administrator, at=at)
        return ExpectedSystemState(manifest_id=imported.id, manifest_digest=imported.digest, svn=imported.svn)

    @property
    def proposal_desk(self) -> ProposalDesk:
        """The use case of what administrators propose to each other."""
        return ProposalDesk(records=self.references, needed=2)

    @property
    def manifest_desk(self) -> ManifestApprovalDesk:
        """The use case of manifests under dual control."""
        return ManifestApprovalDesk(records=self.references, needed=2)

    def certified(
        self,
        key: EllipticCurvePrivateKey,
        eku: x509.ObjectIdentifier,
        *,
        role: str = "pva",
        name: str = ISSUER,
        **options: Any,
    ) -> x509.Certificate:
        """A certificate of an operator's service under the operators' root."""
        extensions = [(LEAF_USAGE, True), (OperatorRole(role=role, id=name).to_extension(), False)]
        return self.operators.issue(
            f"{role} {name}", key=key.public_key(), eku=eku, **{"extensions": extensions, **options}
        )

    @property
    def signed_desk(self) -> SignedRequestDesk:
        """The use case of signed requests."""
        return SignedRequestDesk(requests=self.desk, anchors=[self.operators.certificate], issuer=ISSUER)

    @property
    def approval_desk(self) -> ApprovalDesk:
        """The use case of approvals."""
        return ApprovalDesk(
            records=self.approvals or self.store,
            day_key=DayKey(key=self.approval_key, chain=[self.approval_certificate]),
            anchors=[self.operators.certificate],
        )

    @property
    def explanation_desk(self) -> ExplanationDesk:
        """The use case of explanations."""
        return ExplanationDesk(
            records=self.records or self.store,
            references=self.references,
            anchors=[self.operators.certificate],
        )

    @property
    def reissue_desk(self) -> ReissueDesk:
        """The use case of results in another profile."""
        return ReissueDesk(
            records=self.records or self.store,
            anchors=[self.operators.certificate],
            key=self.result_key,
            chain=[self.result_certificate],
        )

    @property
    def export_desk(self) -> ExportDesk:
        """The use case of exports."""
        return ExportDesk(records=self.records or self.store, log=self.log)

    @property
    def policy_desk(self) -> PolicyDesk:
        """The use case of policies."""
        return PolicyDesk(records=self.policies or self.store)

    @property
    def desk(self) -> RequestDesk:
        """The use case of requests and challenges."""
        return RequestDesk(
            store=self.store,
            signer=ChallengeSigner(key=self.challenge_key, chain=[self.challenge_certificate], issuer=ISSUER),
            random_bytes=self.random_bytes,
            pcr_selections=self.policy.pcr_selections,
            request_life=timedelta(minutes=15),
            challenge_life=timedelta(minutes=1),
            ima=self.policy.ima,
            ima_policy=(lambda: self.policy.digest) if self.ima_incremental else None,
        )

    @property
    def verifier(self) -> Verifier:
        """The use case of validations; a new one every time, as after a restart."""
        return Verifier(
            store=self.store,
            references=self.looked_up
            or AsTheyAre(references=self.references, policies=self.policies or self.store),
            status_of=self.status_of,
            policy=self.policy,
            challenge_certificate=self.challenge_certificate,
            challenge_anchors=[self.operators.certificate],
            issuer=ISSUER,
            signer=ResultSigner(
                key=self.result_key,
                chain=[self.result_certificate],
                issuer=ISSUER,
                developer="open-pva",
                build="test",
                random_bytes=self.random_bytes,
                promises=self.promises,
            ),
            announce=self.announced.append,
        )

    def recognise(self, supplier: FakeSupplier, *, models: tuple[str, ...] = (MODEL,)) -> None:
        """Let the PVA recognise a supplier."""
        known = supplier.recognised(models=models)
        wish = RecognitionWish(
            name=known.name,
            root_pem=known.root.public_bytes(Encoding.PEM),
            models=known.models,
            ocsp_url=known.ocsp_url,
        )
        for administrator in ADMINISTRATORS:
            self.recognition.recognise(wish, by=administrator, at=NOW)

    def sign(
        self,
        manifest: Manifest,
        *,
        by: FakeSupplier | None = None,
        eku: x509.ObjectIdentifier = oids.EKU_MANIFEST_SIGNING,
    ) -> bytes:
        """Sign a manifest with a fresh certificate under a supplier's root."""
        key = p256()
        certificate = (by or self.supplier).root.issue(
            "manifests", key=key.public_key(), eku=eku, extensions=[(LEAF_USAGE, True)]
        )
        return sign_manifest(manifest, key=key, chain=[certificate])

    def status_of(self, credential: PlatformCredential, at: datetime) -> CertStatus:
        """What the supplier's responder says; good unless a test has set `status`."""
        if self.responder is not None:
            return self.responder(credential, at)
        if isinstance(self.status, RefusalError):
            raise self.status
        return self.status or good(at)

    def ask(
        self, *, device: AttestingDevice | None = None, at: datetime = NOW, purpose: str = "validation"
    ) -> str:
        """Request a validation; the request id."""
        wish = ValidationWish(
            device_id=(device or self.device).device_id,
            purpose=purpose,
            rp_nonce=self.random_bytes(32),
            order_digest=None,
            audience=AUDIENCE,
        )
        return self.desk.ask(wish, tenant=TENANT, requester="sho", at=at).id

    def challenge(
        self, *, device: AttestingDevice | None = None, at: datetime = NOW
    ) -> tuple[str, Challenge]:
        """A challenge as token and value; asks for a validation where none is pending."""
        asked = device or self.device
        if not self.store.oldest_of_each(asked.device_id, at=at):
            self.ask(device=asked, at=at)
        return self.challenge_of(self.desk.challenge(asked.device_id, at=at), at=at)

    def challenge_of(self, token: str, *, at: datetime = NOW) -> tuple[str, Challenge]:
        """A token that this PVA signed, and its content."""
        verified = verify_jws(
            token,
            anchors=[self.operators.certificate],
            eku=oids.EKU_CHALLENGE,
            typ=CHALLENGE_TYPE,
            at=at,
        )
        return token, read_claims(verified.claims)

    def chain(
        self,
        *,
        device: AttestingDevice | None = None,
        plan: CredentialPlan | None = None,
        supplier: FakeSupplier | None = None,
    ) -> Sequence[bytes]:
        """A Platform Credential of a device, with its issuing CA."""
        whose, maker = device or self.device, supplier or self.supplier
        wanted = plan or CredentialPlan(state=self.state)
        return maker.chain(maker.credential(whose.device_id, whose.ak_key.public_key(), plan=wanted))

    def answer(self, device: AttestingDevice | None = None, *, at: datetime = NOW) -> EvidenceMessage:
        """Evidence that is right in every respect, for a fresh challenge of the device."""
        whose = device or self.device
        token, challenge = self.challenge(device=whose, at=at)
        return whose.evidence(challenge, token=token, chain=self.chain(device=whose))

    def validate(self, message: EvidenceMessage, *, at: datetime = NOW) -> SignedResult:
        """Hand evidence in."""
        return self.verifier.validate_platform(encode_evidence(message), at=at)


def good(at: datetime, *, life: timedelta = timedelta(minutes=5)) -> CertStatus:
    """A good status, fresh."""
    return CertStatus(
        kind=StatusKind.GOOD, revocation=None, this_update=at, next_update=at + life, raw=b"good"
    )


def revoked(revocation: Revocation, at: datetime = NOW) -> CertStatus:
    """A revoked status, fresh."""
    return CertStatus(
        kind=StatusKind.REVOKED,
        revocation=revocation,
        this_update=at,
        next_update=at + timedelta(minutes=5),
        raw=b"revoked",
    )
