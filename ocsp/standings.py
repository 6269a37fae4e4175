"""How certificates stand in the store, asked once for all the answers that are made together.

The one rule: what an answer rests on is read before the answer is signed, and the moment from which it is true
before that.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from ocsp.judgement import StatusStore
from standards.pki.crl import Revocation


class Standing(NamedTuple):
    """How an issued certificate stands: equal, as a whole, until its status changes."""

    revocation: Revocation | None
    version: int


class StandingStore(StatusStore, Protocol):
    """A responder's store that tells too whether a status has changed."""

    def changes_seen(self) -> int:
        """A number that grows whenever statuses may have changed."""

    def standings(self, issuer: str, serials: Sequence[int]) -> Mapping[int, Standing]:
        """How those of the asked certificates of the CA `issuer` stand that were issued."""


class StandingsAhead:
    """What one question to the store said; satisfies `responder.StatusStore` for answers that follow at once."""

    def __init__(self, store: StandingStore, wanted: Iterable[tuple[str, int]]) -> None:
        """Ask for `wanted`, CA and serial number; a store that cannot say so now says so at each answer."""
        self._store = store
        # the number before the standings: a change in between is noticed later
        self.seen = store.changes_seen()
        self._as_of = store.as_of()
        self._found: dict[str, Mapping[int, Standing]] = {}
        self._failure: Exception | None = None
        serials: dict[str, list[int]] = {}
        for issuer, serial in wanted:
            serials.setdefault(issuer, []).append(serial)
        self._asked = serials
        try:
            for issuer, numbers in serials.items():
                self._found[issuer] = store.standings(issuer, numbers)
        except Exception as error:  # noqa: BLE001  # each answer says what it means for its client
            self._failure = error

    def as_of(self) -> datetime | None:
        """When the store was last level with the CA's feed, as it was before it was asked."""
        return self._as_of

    def standing(self, issuer: str, serial: int) -> Standing | None:
        """How a wanted certificate stands, None where it was not issued or the store could not say."""
        return self._found.get(issuer, {}).get(serial)

    def statuses(self, issuer: str, serials: Sequence[int]) -> Mapping[int, Revocation | None]:
        """Of the asked serials those that were issued, with their revocation; what was not wanted is asked now."""
        if len(serials) != 1 or serials[0] not in self._asked.get(issuer, ()):
            return self._store.statuses(issuer, serials)
        if self._failure is not None:
            raise self._failure
        found = self._found[issuer].get(serials[0])
        return {} if found is None else {serials[0]: found.revocation}
