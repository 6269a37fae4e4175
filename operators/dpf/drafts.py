"""What the DPF signs itself: its question to the PVA, and the delivery token of a grant.

Rule: a draft is a value; nothing is decided, stored or sent here. Every nonce and id is fresh random bytes, and a
grant ends no later than anything that it stands on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge.process import RandomBytes
from messages.challenge import VALIDATION
from messages.delivery import DELIVERY_KIND, Delivery
from messages.operator_token import OperatorSigner
from messages.validation_request import VALIDATION_REQUEST_OF_DPF, SignedRequest
from operators.dpf.gate import Authorized
from operators.dpf.records import AuthorizationRecord, DeliveryRecord, DeliveryStatus, Grant
from standards.rats.ear import AttestationResult

ID_BYTES = 16
NONCE_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """The DPF's signing key, its id in `signer`, and how long a question waits and a grant lives."""

    signer: OperatorSigner
    random_bytes: RandomBytes
    validation_life: timedelta
    grant_life: timedelta

    def delivery(
        self, authorization: AuthorizationRecord, *, pva: str, pfc_chain: Sequence[bytes], at: datetime
    ) -> DeliveryRecord:
        """A delivery that asks `pva` on a nonce of its own; the result is for this DPF and the SHO."""
        nonce, issued_at = self.random_bytes(NONCE_BYTES), at.replace(microsecond=0)
        request = SignedRequest(
            requester=self.signer.issuer,
            pva=pva,
            jti=self.random_bytes(ID_BYTES).hex(),
            device_id=authorization.device_id,
            purpose=VALIDATION,
            rp_nonce=nonce,
            order_digest=authorization.order_digest,
            audience=(self.signer.issuer, authorization.sho),
            encrypt_to=None,
            issued_at=issued_at,
            expires_at=issued_at + self.validation_life,
        )
        return DeliveryRecord(
            id=self.random_bytes(ID_BYTES).hex(),
            authorization_id=authorization.id,
            device_id=authorization.device_id,
            order_digest=authorization.order_digest,
            status=DeliveryStatus.VALIDATING,
            nonce=nonce,
            pva=pva,
            request=self.signer.sign(request.claims(), typ=VALIDATION_REQUEST_OF_DPF.typ),
            request_id=None,
            pfc_chain=tuple(pfc_chain),
            fresh_result=None,
            opened_at=at,
            expires_at=request.expires_at,
        )

    def grant(
        self,
        delivery: DeliveryRecord,
        authorization: AuthorizationRecord,
        *,
        authorized: Authorized,
        fresh: AttestationResult,
        at: datetime,
    ) -> Grant:
        """The next grant of an authorisation, for what the gate has proven."""
        ends = (
            authorized.authorization.expires_at,
            authorized.order.expires_at,
            authorized.package.expires_at,
            fresh.expires_at,
        )
        issued_at = at.replace(microsecond=0)
        token = Delivery(
            dpf=self.signer.issuer,
            grant_id=self.random_bytes(ID_BYTES).hex(),
            device_id=fresh.device_id,
            order_digest=authorization.order_digest,
            package_digest=authorized.authorization.package_digest,
            result_id=fresh.result_id,
            issued_at=issued_at,
            expires_at=min(issued_at + self.grant_life, *ends),
        )
        return Grant(
            id=token.grant_id,
            authorization_id=authorization.id,
            number=authorization.grants + 1,
            delivery_id=delivery.id,
            sho=authorization.sho,
            dpf=self.signer.issuer,
            device_id=fresh.device_id,
            ak_name=fresh.ak_name,
            order_digest=authorization.order_digest,
            result_id=fresh.result_id,
            package_digest=token.package_digest,
            delivery=self.signer.sign(token.claims(), typ=DELIVERY_KIND.typ),
            granted_at=at,
            expires_at=token.expires_at,
        )
