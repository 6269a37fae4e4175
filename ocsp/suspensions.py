"""Which certificates are under a suspension of their supplier, their model or their batch. Pure.

The one rule: a suspension says certificateHold of whatever would be good, and nothing of what is revoked already. The
earliest suspension that covers a certificate gives the time, so a second one over it changes no answer.
"""

from collections.abc import Sequence
from datetime import datetime

from clients.ca_status import SuspendedScope, Suspensions
from standards.pki.crl import Revocation, RevocationReason

Place = tuple[str, str | None, str | None]
"""Issuer, model and batch of a certificate."""


class SuspendedPlaces:
    """What is suspended, by issuing CA; empty is the ordinary case, and costs one look into an empty table."""

    def __init__(self, scopes: Sequence[SuspendedScope]) -> None:
        """Of these scopes."""
        self.scopes = tuple(scopes)
        self._by_issuer: dict[str, list[SuspendedScope]] = {}
        for scope in scopes:
            for issuer in scope.issuers:
                self._by_issuer.setdefault(issuer, []).append(scope)

    def after(self, told: Suspensions, *, version: int) -> "SuspendedPlaces":
        """What is suspended once the CA has told this, where `version` was the highest that was told before.

        A CA that counts anew after a backup forgot suspensions and liftings: what it does not know of stays suspended
        until its numbers are higher again.
        """
        by_id = {each.id: each for each in self.scopes} if told.version < version else {}
        by_id |= {each.id: each for each in told.in_force}
        scopes = [by_id[each] for each in sorted(by_id)]
        return self if list(self.scopes) == scopes else SuspendedPlaces(scopes)

    def since(self, place: Place) -> datetime | None:
        """Since when a certificate is suspended, None where it is not."""
        issuer, model, batch = place
        found = self._by_issuer.get(issuer)
        if found is None or model is None:  # of no device: a delegate of the responder
            return None
        return min(
            (scope.since for scope in found if scope.model in (None, model) and scope.batch in (None, batch)),
            default=None,
        )

    def hold(self, place: Place) -> Revocation | None:
        """What is said of a certificate that is good by itself."""
        since = self.since(place)
        return None if since is None else Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=since)
