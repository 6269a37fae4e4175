"""Use case: the new Platform Credential of a device that was accepted under another manifest than its own names (R82).

Rule: the CA of the supplier decides; this PVA tells it credential, manifest and result, until it has an answer. What is to
be told is recorded with the result, so it is never lost; a device outside of an announced update's share is not told of.
No device and no relying party waits for it.

    noted --(claim)--> tried --(answered)--> done
                       tried --(refused by the CA)--> given up: another result notes it again
                       tried --(not reached)--> noted, due after a pause that doubles
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, Protocol

from edge.http_client import HttpError, UnreachableError
from edge.process import Clock, logger
from pva.pushing import pause_after

BATCH: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingRenewal:
    """A credential (issuer as the CA names it, serial number) and the manifest that its device was accepted under."""

    device_id: str
    manifest_digest: bytes
    supplier: str
    issuer: str
    serial: int
    result_id: str
    tries: int


class RenewalBook(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def due_renewals(
        self, suppliers: Sequence[str], *, at: datetime, count_max: int
    ) -> Sequence[PendingRenewal]:
        """Renewals that are to be asked for now at the CAs of these suppliers, oldest first."""

    def claim_renewal(self, pending: PendingRenewal, *, until: datetime) -> bool:
        """Take one try for oneself until then; False where another took it."""

    def postpone_renewal(self, pending: PendingRenewal, *, until: datetime) -> None:
        """Give a claimed renewal back, due then."""

    def end_renewal(self, pending: PendingRenewal, *, outcome: str, at: datetime) -> None:
        """It is over, with an audit leaf."""


Renew = Callable[[PendingRenewal], str]
"""Asks a CA; the new serial number in hexadecimal. Raises HttpError, UnreachableError, or what its client raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalCourier:
    """Everything that is to be told to CAs, by supplier; `claim_life` is longer than a call can take."""

    book: RenewalBook
    authorities: Mapping[str, Renew]
    clock: Clock
    claim_life: timedelta

    def deliver(self) -> None:
        """Try every due renewal once."""
        suppliers = sorted(self.authorities)
        while batch := self.book.due_renewals(suppliers, at=self.clock(), count_max=BATCH):
            for pending in batch:
                self._try(pending)

    def _try(self, pending: PendingRenewal) -> None:
        if not self.book.claim_renewal(pending, until=self.clock() + self.claim_life):
            return
        try:
            serial = self.authorities[pending.supplier](pending)
        except HttpError as error:
            if (
                error.status < HTTPStatus.INTERNAL_SERVER_ERROR
                and error.status != HTTPStatus.TOO_MANY_REQUESTS
            ):
                self.book.end_renewal(pending, outcome=f"refused: {error}"[:500], at=self.clock())
                return
            self._later(pending, error)
        except Exception as error:  # noqa: BLE001  # whatever a CA answers must not end the courier
            self._later(pending, error)
        else:
            self.book.end_renewal(pending, outcome=f"renewed: {serial}", at=self.clock())

    def _later(self, pending: PendingRenewal, error: Exception) -> None:
        self.book.postpone_renewal(pending, until=self.clock() + pause_after(pending.tries))
        kind = "unreachable" if isinstance(error, UnreachableError) else "failed"
        logger("renewals").warning(
            "ca-not-told", supplier=pending.supplier, kind=kind, reason=str(error)[:500]
        )
