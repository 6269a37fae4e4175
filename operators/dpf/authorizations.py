"""Use case: an SHO authorises the delivery of one package to one device (step 11).

Rule: all parts come together and are stored together, and only if every point of the gate that can be judged without
the device holds already. Whose word counts is the tenant of the certificate that brought it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError
from messages.mid_package import CONTENT_BYTES_MAX
from messages.operator_token import TOKEN_BYTES_MAX
from messages.reliance import RESULT_BYTES_MAX
from operators.dpf.gate import AuthorizedParts, Trust, check_authorization, check_authorized
from operators.dpf.records import AuthorizationRecord, AuthorizationStatus, RecordedRefusal
from operators.dpf.refusals import RefusalCode, RefusalError

AUTHORIZATION_BYTES_MAX = CONTENT_BYTES_MAX + RESULT_BYTES_MAX + 3 * TOKEN_BYTES_MAX + 64
_ID_DIGITS = 32


class AuthorizationStore(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def add_authorization(self, record: AuthorizationRecord) -> tuple[AuthorizationRecord, bool]:
        """Add it with its audit leaf and close older ones of the order; the one on record, and whether it is new.

        Raises RefusalError: another one has this id, or the order's subscription is installed.
        """

    def authorization(self, authorization_id: str) -> AuthorizationRecord | None:
        """One authorisation."""

    def refusals(self, authorization_id: str) -> tuple[RecordedRefusal, ...]:
        """What the gate refused under an authorisation, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationDesk:
    """The use case and what it works with."""

    store: AuthorizationStore
    trust: Trust

    def accept(self, body: bytes, *, sho: str, at: datetime) -> tuple[AuthorizationRecord, bool]:
        """Accept an authorisation that the tenant `sho` brings; the record, and whether it is new.

        Raises RefusalError by the point of the gate that says no.
        """
        # 1 decode the body: untrusted, size-limited
        parts = decode_parts(body)
        # 2 the same again changes nothing, and needs no result that is still in its life
        offered = check_authorization(parts, sho=sho, trust=self.trust, at=at)
        known = self.store.authorization(authorization_id(sho, jti=offered.jti))
        if known is not None and known.parts.digest == parts.digest:
            return known, False
        # 3 points 1 to 4 of the gate, now
        authorized = check_authorized(parts, sho=sho, trust=self.trust, accepted_at=at, at=at)
        # 4 one transaction: another one under this id is a conflict
        authorization = authorized.authorization
        return self.store.add_authorization(
            AuthorizationRecord(
                id=authorization_id(sho, jti=authorization.jti),
                sho=sho,
                jti=authorization.jti,
                device_id=authorization.device_id,
                order_digest=authorization.order_digest,
                status=AuthorizationStatus.OPEN,
                grants=0,
                accepted_at=at,
                expires_at=authorization.expires_at,
                parts=parts,
                prior_owner=authorization.prior_owner,
            )
        )

    def show(
        self, authorization_id: str, *, sho: str
    ) -> tuple[AuthorizationRecord, tuple[RecordedRefusal, ...]]:
        """An SHO's own authorisation with what the gate refused. Raises RefusalError (NOT_FOUND)."""
        record = self.store.authorization(authorization_id)
        if record is None or record.sho != sho:
            raise RefusalError(
                RefusalCode.NOT_FOUND, subject="authorisation", reason="the caller has none with this id"
            )
        return record, self.store.refusals(record.id)


def decode_parts(body: bytes) -> AuthorizedParts:
    """The parts of an authorisation, as `clients.dpf` sends them. Raises RefusalError."""
    try:
        fields = decode_fields(body, what="authorisation", bytes_max=AUTHORIZATION_BYTES_MAX)
        parts = AuthorizedParts(
            authorization=fields.text(1, size_max=TOKEN_BYTES_MAX),
            order=fields.text(2, size_max=TOKEN_BYTES_MAX),
            result=fields.text(3, size_max=RESULT_BYTES_MAX),
            package=fields.text(4, size_max=TOKEN_BYTES_MAX),
            content=fields.octets(5, size_min=1, size_max=CONTENT_BYTES_MAX),
        )
        fields.close()
    except MessageError as error:
        raise RefusalError(RefusalCode.AUTHORIZATION_MALFORMED, subject="body", reason=str(error)) from None
    return parts


def authorization_id(sho: str, *, jti: str) -> str:
    """Id of an authorisation: its SHO's own id for it, told apart by SHO."""
    return hashlib.sha256(encode_deterministic(["pva/authorisation/1", sho, jti])).hexdigest()[:_ID_DIGITS]
