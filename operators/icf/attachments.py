"""Attachments: a network says that a PCID authenticated; the DRF hears of it at once (R90, R107).

Rule: only a RAND that this network was given opens an attachment, once, and for no longer than the subscriber's terms.
The key that device and DRF will share is derived here, from K and that RAND, and kept nowhere.
"""

from datetime import datetime, timedelta
from typing import Protocol

from edge.http_client import HttpError, UnreachableError
from messages.attachment import attachment_key
from operators.icf.refusals import RefusalCode, refuse
from operators.icf.subscribers import Subscriber
from operators.icf.vectors import IssuedVector, is_good


class AttachmentStore(Protocol):
    """What attaching needs of the store."""

    def subscriber(self, pcid: str) -> Subscriber | None:
        """The subscriber of a PCID."""

    def issued(self, rand: bytes) -> IssuedVector | None:
        """The issued vector with this RAND."""

    def attach(self, rand: bytes, *, until: datetime, by: str, at: datetime) -> bool:
        """Use a RAND, with an audit leaf; False if it is used for another time already. The same again: True."""


class Discovery(Protocol):
    """The DRF, as far as the ICF talks to it (`clients.drf.DrfOperatorClient`)."""

    def attached(self, pcid: str, *, serving_network: str, key: bytes, expires_at: datetime) -> None:
        """Say that a PCID is attached. Raises HttpError, UnreachableError."""


class AttachmentDesk:
    """Takes attachments and passes them on."""

    def __init__(self, store: AttachmentStore, *, discovery: Discovery) -> None:
        """Pass them on to `discovery`."""
        self._store = store
        self._discovery = discovery

    def attached(
        self, pcid: str, *, network: str, rand: bytes, until: datetime, caller: str, at: datetime
    ) -> None:
        """Take one attachment of the caller's own `network`. Raises RefusedError. The same again is the same."""
        # 1 a RAND that this network was given for this PCID
        issued = self._store.issued(rand)
        subscriber = self._store.subscriber(pcid)
        if issued is None or subscriber is None or not is_good(issued, pcid=pcid, network=network, at=at):
            raise refuse(
                RefusalCode.RAND_NOT_ISSUED,
                subject="rand",
                reason="no vector with this RAND was given to this network for this PCID lately",
            )
        # 2 no longer than the terms
        latest = issued.expires_at + timedelta(seconds=subscriber.terms.life_s)
        if not at < until <= latest:
            raise refuse(
                RefusalCode.ATTACHMENT_TOO_LONG,
                subject="expires_at",
                reason=f"expected a time until {latest:%Y-%m-%dT%H:%M:%SZ}",
            )
        # 3 once
        if not self._store.attach(rand, until=until, by=caller, at=at):
            raise refuse(
                RefusalCode.ALREADY_ATTACHED, subject="rand", reason="this vector has opened another bearer"
            )
        # 4 the DRF hears of it; if it does not, the caller sends the same again
        found = subscriber.key.answers(rand=rand)
        key = attachment_key(ck=found.ck, ik=found.ik, pcid=pcid)
        try:
            self._discovery.attached(pcid, serving_network=network, key=key, expires_at=until)
        except (HttpError, UnreachableError) as error:
            raise refuse(
                RefusalCode.DISCOVERY_UNREACHABLE,
                subject="DRF",
                reason="the discovery function did not take the attachment",
            ) from error
