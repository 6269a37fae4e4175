"""Who an SHO deals with, signing for real: operators' root, a supplier's device, PVAs, DRF and DPF."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from messages.approval import (
    USE_PACKAGE,
    USE_VAULT,
    VAULT_REACH,
    ApprovedState,
    StateApproval,
    Use,
    signed_digest,
)
from messages.operator_token import OperatorSigner, verify_operator_token
from messages.reliance import RESULT_KIND
from messages.sealed_result import SealedResult, seal_result
from messages.update_approvals import GENERATIONS_MIN
from messages.validation_request import VALIDATION_REQUEST_OF_SHO, SignedRequest, read_claims
from operators.sho.approvals import OfferedApprovals
from operators.sho.changes import PriorAnswer
from operators.sho.refusals import PeerError
from operators.sho.validation import Progress
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from standards.pki.fingerprints import certificate_der, decode_certificate, spki_sha256
from standards.rats.ar4si import Tier
from standards.rats.ear import AttestationResult, CredentialReference
from standards.rats.submodules import Finding, Submodule
from standards.tpm2.constants import Algorithm
from standards.tpm2.policy import policy_key_public
from standards.tpm2.structures import Signature
from standards.tpm2.templates import GENERATION_COUNTER
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import FakeSupplier
from tests.fakes.pki import DEFAULT_VALIDITY, LEAF_USAGE, NOW, Authority, Validity, p256

SHO, DPF, PVA, OTHER_PVA = "sho-1", "dpf-1", "pva-1", "pva-2"
PRIOR_SHO = "sho-0"
PRODUCT = "M2M 10"
SELECTIONS = {0x000B: (0, 2, 4, 7)}
PCR_DIGEST = hashlib.sha256(b"the approved state").digest()
NEXT_PCR_DIGEST = hashlib.sha256(b"the state after an update").digest()
COUNTER = 41
KEY_FILE = b"\x5a" * 32


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Keys and certificates of one test module: made once, since they cost more than everything else."""

    operators: Authority = field(default_factory=lambda: Authority.root("operators' root"))
    supplier: FakeSupplier = field(default_factory=FakeSupplier.make)
    device: AttestingDevice = field(default_factory=AttestingDevice)
    token_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    policy_root: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    result_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    day_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    opener_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    validity: Validity = DEFAULT_VALIDITY
    issued: dict[tuple[str, ...], x509.Certificate] = field(default_factory=dict)

    def certificate(
        self, key: ec.EllipticCurvePrivateKey, eku: x509.ObjectIdentifier, *, role: str, name: str
    ) -> x509.Certificate:
        """An operator's certificate under the operators' root; the same again is the same one."""
        known = (spki_sha256(key.public_key()), eku.dotted_string, role, name)
        if known not in self.issued:
            self.issued[known] = self._issue(key, eku, role=role, name=name)
        return self.issued[known]

    def _issue(
        self, key: ec.EllipticCurvePrivateKey, eku: x509.ObjectIdentifier, *, role: str, name: str
    ) -> x509.Certificate:
        extensions = [(LEAF_USAGE, True), (OperatorRole(role=role, id=name).to_extension(), False)]
        return self.operators.issue(
            name, key=key.public_key(), eku=eku, extensions=extensions, validity=self.validity
        )

    def signer(
        self, key: ec.EllipticCurvePrivateKey, eku: x509.ObjectIdentifier, *, role: str, name: str
    ) -> OperatorSigner:
        """A signer of such a service."""
        certificate = self.certificate(key, eku, role=role, name=name)
        return OperatorSigner(key=key, chain=(certificate,), issuer=name)


@dataclass
class FakePva:
    """A PVA that answers every request as a test wants it, with results and approvals that are signed for real."""

    keys: Keys
    id: str = PVA
    at: datetime = NOW
    reachable: bool = True
    sealed: bool = False
    status: Tier = Tier.AFFIRMING
    requests: dict[str, SignedRequest] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    next_pcr_digest: bytes = NEXT_PCR_DIGEST
    alter_approval: Callable[[StateApproval], StateApproval] = lambda approval: approval
    approval_changes: dict[str, Any] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Certify the result key and the day key."""
        self.signer = self.keys.signer(
            self.keys.result_key, oids.EKU_ATTESTATION_RESULT, role="pva", name=self.id
        )
        self.day_certificate = self.keys.certificate(
            self.keys.day_key, oids.EKU_STATE_APPROVAL, role="pva", name=self.id
        )

    def submit(self, token: str) -> str:
        self._reach()
        anchors = [self.keys.operators.certificate]
        signed = verify_operator_token(token, VALIDATION_REQUEST_OF_SHO, anchors=anchors, at=self.at)
        request = read_claims(signed.claims)
        self.asked.append(token)
        self.requests[request.jti] = request
        return request.jti

    def progress(self, request_id: str) -> Progress:
        self._reach()
        if request_id in self.refused:
            return Progress(state="expired")
        token = self.answers.get(request_id)
        if token is None:
            return Progress(state="pending")
        if not self.sealed:
            return Progress(state="completed", result=token)
        encrypt_to = self.requests[request_id].encrypt_to
        assert encrypt_to is not None
        return Progress(state="completed", sealed=seal(token, encrypt_to))

    def result(self, request: SignedRequest, **changed: Any) -> AttestationResult:
        """What the device's evidence leads to."""
        device = self.keys.device
        result = AttestationResult(
            result_id=f"result-{request.jti}",
            issuer=self.id,
            audience=request.audience,
            issued_at=self.at,
            expires_at=self.at + timedelta(minutes=5),
            developer="open-pva",
            build="test",
            nonce=request.rp_nonce,
            submodules={name: submodule(self.status, scope=name) for name in ("tre", "platform")},
            purpose=request.purpose,
            device_id=request.device_id,
            ak_name=device.ak.name,
            storage_key_name=device.storage.name,
            order_digest=request.order_digest,
            pcr_selections=SELECTIONS,
            pcr_digest=PCR_DIGEST,
            evidence_digest=bytes(32),
            policy_digest=bytes(32),
            pfc=CredentialReference(issuer_sha256=bytes(32), serial=1, sha256=bytes(32)),
            manifest=None,
            generation_counter=COUNTER,
        )
        return replace(result, **changed)

    def sign(self, result: AttestationResult) -> str:
        """The result as this PVA signs it."""
        return self.signer.sign(result.claims(), typ=RESULT_KIND.typ)

    def answer_all(self, **changed: Any) -> str:
        """Answer every request that waits; the last result."""
        token = ""
        for request in self.requests.values():
            token = self.sign(self.result(request, **changed))
            self.answers[request.jti] = token
        return token

    def approvals(self, pva: str, *, result_id: str, order_digest: bytes) -> OfferedApprovals:
        self._reach()
        assert (pva, result_id.partition("-")[0]) == (self.id, "result")
        package = Use(
            use=USE_PACKAGE, device_id=self.keys.device.device_id, sho=SHO, order_digest=order_digest
        )
        vault = Use(use=USE_VAULT, device_id=self.keys.device.device_id, sho=SHO, order_digest=None)
        reach = range(COUNTER, COUNTER + VAULT_REACH + 1)
        uses = [(package, COUNTER), *((vault, value) for value in reach)]
        offered = OfferedApprovals(
            approvals=tuple(self.alter_approval(self.approval(use, count)).encode() for use, count in uses),
            day_key_chain=(certificate_der(self.day_certificate),),
            storage_public=self.keys.device.storage.encode(),
        )
        return replace(offered, **self.approval_changes)

    def next_approvals(
        self, pva: str, *, result_id: str, order_digest: bytes, manifest_digest: bytes
    ) -> OfferedApprovals:
        """The vault in the state after an update, at three values of the counter."""
        self._reach()
        assert (pva, result_id.partition("-")[0], len(order_digest)) == (self.id, "result", 32)
        assert len(manifest_digest) == 32
        vault = Use(use=USE_VAULT, device_id=self.keys.device.device_id, sho=SHO, order_digest=None)
        signed = [
            self.approval(vault, COUNTER + more, pcr_digest=self.next_pcr_digest)
            for more in range(1, GENERATIONS_MIN + 1)
        ]
        offered = OfferedApprovals(
            approvals=tuple(self.alter_approval(each).encode() for each in signed),
            day_key_chain=(certificate_der(self.day_certificate),),
            storage_public=self.keys.device.storage.encode(),
        )
        return replace(offered, **self.approval_changes)

    def approval(
        self, use: Use, counter: int, *, key: ec.EllipticCurvePrivateKey | None = None, **changed: Any
    ) -> StateApproval:
        """One approval, signed over what it says."""
        state = ApprovedState(
            pcr_selections=SELECTIONS,
            pcr_digest=PCR_DIGEST,
            counter_name=GENERATION_COUNTER.written().name,
            counter=counter,
        )
        state = replace(state, **changed)
        der = (key or self.keys.day_key).sign(signed_digest(use, state), ec.ECDSA(Prehashed(hashes.SHA256())))
        return StateApproval(
            use=use,
            state=state,
            day_key=policy_key_public(self.keys.day_key.public_key()).encode(),
            signature=Signature.from_der(der, hash_algorithm=Algorithm.SHA256, coordinate_bytes=32).encode(),
        )

    def _reach(self) -> None:
        if not self.reachable:
            raise PeerError(f"PVA {self.id}", reason="it is down")


@dataclass
class FakeNetwork:
    """DRF and DPF as the SHO calls them."""

    drf_reachable: bool = True
    dpf_reachable: bool = True
    dpf_takes_new: bool = True
    announced: list[tuple[str, str]] = field(default_factory=list)
    authorized: list[dict[str, Any]] = field(default_factory=list)

    def announce(self, order_id: str, *, device_code: str) -> None:
        if not self.drf_reachable:
            raise PeerError("DRF", reason="it is down")
        self.announced.append((order_id, device_code))

    def authorize(self, **parts: Any) -> None:
        if not self.dpf_reachable:
            raise PeerError("DPF", reason="it is down")
        if not self.dpf_takes_new and parts not in self.authorized:
            raise PeerError("DPF", reason="result-invalid")
        self.authorized.append(parts)


@dataclass
class FakePriors:
    """The prior operators as the SHO asks them: `answer` makes what comes back of operator, device and MID."""

    answer: Callable[[str, str, str], PriorAnswer] = lambda *_: PriorAnswer(release=None)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def release(self, operator: str, *, device_id: str, mid_id: str) -> PriorAnswer:
        self.asked.append((operator, device_id, mid_id))
        return self.answer(operator, device_id, mid_id)


def submodule(status: Tier, *, scope: str) -> Submodule:
    """A verdict on one scope, with a finding where it is not affirming."""
    value = {Tier.AFFIRMING: 2, Tier.WARNING: 32, Tier.CONTRAINDICATED: 96}[status]
    finding = Finding(
        code="pcr-mismatch", scope=scope, subject="PCR 4", reason="another value", remedy="update"
    )
    return Submodule(
        status=status,
        trustworthiness_vector={"executables": value},
        policy_ids=("urn:pva:policy:1",),
        findings=() if status is Tier.AFFIRMING else (finding,),
    )


def seal(token: str | None, encrypt_to: bytes) -> str:
    """A result as a PVA seals it for whoever asked through a relay."""
    key = decode_certificate(encrypt_to).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return seal_result(SealedResult(result=token, refusals=()), to=key)
