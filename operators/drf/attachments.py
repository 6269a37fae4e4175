"""Use case: which PCIDs are attached now, and whether a request comes from the device behind one (R90).

Rule: the word of an ICF opens the DRF for a PCID while the attachment lasts, and the key that came with it proves each
request: method, path and body. Claiming somebody else's PCID is not enough. Nothing here holds or asks for
authentication vectors: those are between VNO and ICF (R01).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from messages.attachment import check_pcid, is_request_mac
from messages.errors import MessageError
from operators.drf.refusals import RefusalCode, RefusalError

KEY_SIZE = 32
_NOBODYS_KEY = bytes(KEY_SIZE)
"""Stands in where there is no attachment, so that both answers take the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A PCID that is attached: the ICF that said so, the network, the shared key, and its end."""

    pcid: str
    icf: str
    serving_network: str
    key: bytes = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """A device's request as it came: the proof in its header, and what that proof covers."""

    pcid: str
    mac: str
    method: str
    path: str
    body: bytes


class AttachmentStore(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def save_attachment(self, attachment: Attachment, *, at: datetime) -> None:
        """Keep it with an audit leaf, in place of an older one.

        Raises RefusalError (ATTACHMENT_CONFLICT): another ICF's attachment of this PCID lasts.
        """

    def attachment(self, pcid: str) -> Attachment | None:
        """The last attachment of a PCID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentDesk:
    """The use case and what it works with; `life_max` bounds what an ICF may promise."""

    store: AttachmentStore
    life_max: timedelta

    def attached(self, attachment: Attachment, *, at: datetime) -> None:
        """Take the word of an ICF that a PCID is attached now. Raises RefusalError."""
        try:
            check_pcid(attachment.pcid)
        except MessageError as error:
            raise RefusalError(
                RefusalCode.ATTACHMENT_NOT_NOW, subject="attachment", reason=str(error)
            ) from None
        if not at < attachment.expires_at <= at + self.life_max:
            raise RefusalError(
                RefusalCode.ATTACHMENT_NOT_NOW,
                subject=f"attachment of {attachment.pcid}",
                reason=f"expected an end after now and within {self.life_max}, got another time",
            )
        self.store.save_attachment(attachment, at=at)

    def authenticate(self, request: DeviceRequest, *, at: datetime) -> Attachment:
        """The attachment whose device sent this request. Raises RefusalError (NOT_ATTACHED)."""
        known = self.store.attachment(request.pcid)
        is_live = known is not None and at < known.expires_at
        proven = is_request_mac(
            request.mac,
            known.key if known is not None else _NOBODYS_KEY,
            method=request.method,
            path=request.path,
            body=request.body,
        )
        if known is None or not is_live or not proven:
            raise RefusalError(
                RefusalCode.NOT_ATTACHED,
                subject="Authorization",
                reason="no PCID that is attached now proves this request",
            )
        return known
