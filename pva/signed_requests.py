"""Use case: a relying party's signed request comes in, from itself or through a relay, and is looked after (D12, R93).

Rule: what is asked, and for whom, is what its signer signed; who carries it decides nothing but what it may see. The
signer sees result and refusals. A relay sees that the request ended and whether the platform passed; everything else
it carries sealed, for the key that the signer named in the request itself.

    1 verify the signature, as of an SHO or of a DPF
    2 the request is for this PVA, and in time
    3 the caller is the signer, or a relay
    4 the key for relayed answers is the signer's own
    5 enter it, or find it on record: the same token again is the same request
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from messages.errors import MessageError
from messages.operator_token import SignedClaims, TokenKind, check_life, verify_operator_token
from messages.sealed_result import SealedResult, seal_result
from messages.validation_request import (
    VALIDATION_REQUEST_OF_DPF,
    VALIDATION_REQUEST_OF_SHO,
    SignedRequest,
    read_claims,
)
from pva.refusals import RefusalCode, RefusalError
from pva.requests import (
    RecordedRefusal,
    RelyingParty,
    RequestDesk,
    RequestProgress,
    RequestState,
    SignedOrigin,
    ValidationRequest,
    ValidationWish,
    not_found,
)
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.extensions import OperatorRole
from standards.pki.fingerprints import decode_certificate
from standards.pki.paths import validate_path

RELAY: Final = "ro-relay"
_OUTCOMES: Final = {True: "pass", False: "fail", None: None}
_KINDS: Final[dict[str, tuple[TokenKind, ...]]] = {
    "sho": (VALIDATION_REQUEST_OF_SHO,),
    "dpf": (VALIDATION_REQUEST_OF_DPF,),
    RELAY: (VALIDATION_REQUEST_OF_SHO, VALIDATION_REQUEST_OF_DPF),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is at the operator listener: `role` sho, dpf or ro-relay."""

    role: str
    tenant: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedProgress:
    """A request as its relay sees it: `outcome` pass or fail once there is a result, `sealed` for the signer."""

    request_id: str
    state: RequestState
    outcome: str | None
    sealed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequestDesk:
    """The use case and what it works with; `anchors` is the operators' root, `issuer` this PVA's own id."""

    requests: RequestDesk
    anchors: Sequence[x509.Certificate]
    issuer: str

    def submit(self, token: str, *, caller: Caller, at: datetime) -> tuple[ValidationRequest, bool]:
        """Take a signed request; the request on record, and whether it is new. Raises RefusalError."""
        signed = self._verified(token, caller=caller, at=at)  # 1
        asked = _read(signed)
        self._refuse_misdirected(asked, at=at)  # 2
        _refuse_foreign(signed.signer, caller=caller)  # 3
        self._check_encryption_key(asked, signed=signed, at=at)  # 4
        return self.requests.enter(  # 5
            _wish(asked),
            party=RelyingParty(role=signed.signer.role, tenant=signed.signer.id, name=caller.name),
            origin=_origin(asked, token=token),
            relay=caller.tenant if caller.role == RELAY else None,
            at=at,
        )

    def progress(self, request_id: str, *, caller: Caller, at: datetime) -> RequestProgress:
        """What came of the caller's own request. Raises RefusalError where it has no such request."""
        progress = self.requests.store.progress(request_id, role=caller.role, tenant=caller.tenant, at=at)
        if progress is None:
            raise not_found()
        return progress

    def relayed(self, request_id: str, *, relay: str, at: datetime) -> RelayedProgress:
        """What a relay may see of a request that it handed in. Raises RefusalError where there is none.

        A request that expired without a result has no outcome; what was refused meanwhile is sealed all the same.
        """
        progress = self.requests.store.relayed_progress(request_id, relay=relay, at=at)
        if progress is None:
            raise not_found()
        return RelayedProgress(
            request_id=request_id,
            state=progress.state,
            outcome=_OUTCOMES[progress.passes],
            sealed=_sealed(progress),
        )

    def _verified(self, token: str, *, caller: Caller, at: datetime) -> SignedClaims:
        """The claims with their signer, of the first kind of request that the token is."""
        faults = []
        for kind in _KINDS[caller.role]:
            try:
                return verify_operator_token(token, kind, anchors=self.anchors, at=at)
            except MessageError as error:
                faults.append(str(error))
        raise _invalid(faults[0])

    def _refuse_misdirected(self, asked: SignedRequest, *, at: datetime) -> None:
        if asked.pva != self.issuer:
            raise RefusalError(
                RefusalCode.REQUEST_FOR_ANOTHER_PVA,
                subject="validation request",
                reason=f"it is for {asked.pva!r}, this PVA is {self.issuer!r}",
            )
        try:
            check_life(
                "the validation request", issued_at=asked.issued_at, expires_at=asked.expires_at, at=at
            )
        except MessageError as error:
            raise RefusalError(
                RefusalCode.REQUEST_OUT_OF_TIME, subject="validation request", reason=str(error)
            ) from None

    def _check_encryption_key(self, asked: SignedRequest, *, signed: SignedClaims, at: datetime) -> None:
        if asked.encrypt_to is None:
            return
        try:
            certificate = decode_certificate(asked.encrypt_to)
            validate_path(
                certificate,
                intermediates=signed.path[1:-1],
                anchors=self.anchors,
                at=at,
                eku=oids.EKU_RESULT_ENCRYPTION,
            )
            holder = OperatorRole.of(certificate)
            _sealing_key(certificate)
        except (PkiError, MessageError) as error:
            raise _unacceptable_key(str(error)) from None
        if holder != signed.signer:
            raise _unacceptable_key("the certificate is not one of the signer of the request")


def _read(signed: SignedClaims) -> SignedRequest:
    try:
        return read_claims(signed.claims)
    except MessageError as error:
        raise _invalid(str(error)) from None


def _refuse_foreign(signer: OperatorRole, *, caller: Caller) -> None:
    """The tenant of a request is its signer: nobody but a relay hands in another party's."""
    if caller.role != RELAY and (signer.role, signer.id) != (caller.role, caller.tenant):
        raise RefusalError(
            RefusalCode.REQUEST_OF_ANOTHER,
            subject="validation request",
            reason=f"it is signed by {signer.role} {signer.id!r}, the caller is {caller.role} {caller.tenant!r}",
        )


def _wish(asked: SignedRequest) -> ValidationWish:
    return ValidationWish(
        device_id=asked.device_id,
        purpose=asked.purpose,
        rp_nonce=asked.rp_nonce,
        order_digest=asked.order_digest,
        audience=asked.audience,
    )


def _origin(asked: SignedRequest, *, token: str) -> SignedOrigin:
    content = json.dumps(asked.claims(), sort_keys=True, separators=(",", ":")).encode()
    return SignedOrigin(
        jti=asked.jti,
        token=token,
        content=hashlib.sha256(content).digest(),
        encrypt_to=asked.encrypt_to,
        ends_at=asked.expires_at,
    )


def _sealed(progress: RequestProgress) -> str | None:
    """Result and refusals for the signer's key; nothing while the request waits, or where it named no key."""
    origin = progress.request.origin
    if origin is None or origin.encrypt_to is None or progress.state is RequestState.PENDING:
        return None
    content = SealedResult(
        result=progress.result, refusals=[refusal_members(each) for each in progress.refusals]
    )
    return seal_result(content, to=_sealing_key(decode_certificate(origin.encrypt_to)))


def refusal_members(refused: RecordedRefusal) -> dict[str, object]:
    """A refused try as its relying party reads it, in the answer or in the envelope."""
    return {
        "at": f"{refused.at:%Y-%m-%dT%H:%M:%SZ}",
        "code": refused.code,
        "subject": refused.subject,
        "reason": refused.reason,
        "remedy": refused.remedy,
        "authenticated": refused.authenticated,
    }


def _sealing_key(certificate: x509.Certificate) -> EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise MessageError(what="key to encrypt to", expected="P-256", got=type(key).__name__)
    return key


def _invalid(reason: str) -> RefusalError:
    return RefusalError(RefusalCode.REQUEST_UNTRUSTED, subject="validation request", reason=reason[:1000])


def _unacceptable_key(reason: str) -> RefusalError:
    return RefusalError(
        RefusalCode.ENCRYPTION_KEY_UNACCEPTABLE,
        subject="pva_encrypt_to of the validation request",
        reason=reason,
    )
