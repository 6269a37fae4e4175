"""Use case: the CA is asked to hold a Platform Credential, or told of a recovery, until it has answered (D6, R24).

Rule: an ask is posted in the transaction that records the result which leads to it, and carried beside, by the same
couriers as results: a claim before every try, a pause that doubles, no end of patience. The CA decides: a repeat of an
ask changes nothing there, and an answer that no repeat would change ends it here.

    none --next_ask--> asked --answered--> told          (one row a credential: its last act)
    told(hold) --recovery result--> asked(recovery) --answered--> told(recovery) --next_ask--> asked(hold)
    asked(hold) --the CA did not hold it: it has used these results before--> none
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final, Protocol

from clients.ca_bodies import IssuedCredential
from edge.http_client import HttpError
from edge.process import logger
from pva.watching.holding import Act

CA: Final = "ca"
"""Whom the asks go to, as couriers name their addressees."""
_FINAL = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})
_LOST_RACE = "concurrent-change"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAsk:
    """An ask on its way: which credential (`issuer` a ca_id), which act on which results, since when, `tries` so far."""

    issuer: str
    serial: int
    act: Act
    results: tuple[str, ...]
    asked_at: datetime
    tries: int
    expires_at: datetime | None = None


class StatusAskStore(Protocol):
    """What this use case needs of a store, besides `pva.pushing.Outbox`."""

    def drop(self, ask: StatusAsk) -> None:
        """Forget an ask, as if it had never been made."""


class HoldingCa(Protocol):
    """The CA's side. Raises HttpError, UnreachableError."""

    def hold(self, issuer: str, serial: int, *, results: Sequence[str]) -> IssuedCredential:
        """Ask that a PfC be held for these results."""

    def recover(self, issuer: str, serial: int, *, result: str) -> IssuedCredential:
        """Tell that a recovery result was given under a held PfC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAsker:
    """Carries one ask to the CA; an answer that no repeat changes is the end of it."""

    ca: HoldingCa
    store: StatusAskStore

    def tell(self, ask: StatusAsk) -> None:
        """Ask once. Raises HttpError or UnreachableError where another try may get an answer."""
        try:
            if ask.act is Act.RECOVERY:
                self.ca.recover(ask.issuer, ask.serial, result=ask.results[0])
                return
            answered = self.ca.hold(ask.issuer, ask.serial, results=ask.results)
        except HttpError as error:
            if not _is_final(error):
                raise
            logger("holds").error(
                "status-ask-refused", issuer=ask.issuer, act=ask.act.value, reason=str(error)[:500]
            )
            return
        if answered.status == "good":
            self.store.drop(ask)


def _is_final(error: HttpError) -> bool:
    lost_race = error.problem is not None and error.problem.reason == _LOST_RACE
    return error.status in _FINAL and not lost_race
