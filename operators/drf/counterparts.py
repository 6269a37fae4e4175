"""Whom the DRF calls: SHOs with registrations (role drf), PVAs as a relay (role ro-relay).

Rule: each call goes to the address in the settings, with the identity for that role; a counterpart's refusal is
passed on with its reason, and silence is "not now".
"""

from collections.abc import Mapping

from clients.pva import PvaAnswerError, PvaOperatorClient
from clients.sho import ShoAnswerError, ShoOperatorClient
from edge.http_client import HttpError, UnreachableError
from operators.drf.refusals import RefusalCode, RefusalError
from operators.drf.registrations import RegistrationWish
from operators.drf.relay import Relayed, RelayedAnswer

RETRY_AFTER_S = 5
_SERVER_FAULT = 500
_TOO_MANY = 429


class ShoRegistrations:
    """Satisfies `operators.drf.registrations.HomeOperators`."""

    def __init__(self, clients: Mapping[str, ShoOperatorClient]) -> None:
        """Bring registrations to the SHOs by their ids."""
        self._clients = clients

    def register(self, wish: RegistrationWish) -> str:
        """See `operators.drf.registrations.HomeOperators`."""
        try:
            return self._clients[wish.sho].register(
                device_id=wish.device_id, pfc_chain=wish.pfc_chain, ak_public=wish.ak_public
            )
        except (HttpError, UnreachableError, ShoAnswerError) as error:
            raise _told(
                error,
                subject=f"operator {wish.sho}",
                refused=RefusalCode.REGISTRATION_REFUSED,
                silent=RefusalCode.SHO_UNAVAILABLE,
            ) from None


class RelayVerifiers:
    """Satisfies `operators.drf.relay.Verifiers`; keyed by the SHO whose PVA it is."""

    def __init__(self, clients: Mapping[str, PvaOperatorClient]) -> None:
        """Hand requests in at the PVAs of the SHOs."""
        self._clients = clients

    def hand_in(self, sho: str, token: str) -> Relayed:
        """See `operators.drf.relay.Verifiers`."""
        try:
            submitted = self._client(sho).submit_request(token)
        except (HttpError, UnreachableError, PvaAnswerError) as error:
            raise _of_pva(sho, error) from None
        return Relayed(request_id=submitted.request_id, sho=sho, expires_at=submitted.expires_at)

    def answer(self, sho: str, request_id: str) -> RelayedAnswer:
        """See `operators.drf.relay.Verifiers`."""
        try:
            told = self._client(sho).request_progress(request_id)
        except (HttpError, UnreachableError, PvaAnswerError) as error:
            raise _of_pva(sho, error) from None
        return RelayedAnswer(
            request_id=request_id, state=told.state, outcome=told.outcome, sealed=told.sealed
        )

    def _client(self, sho: str) -> PvaOperatorClient:
        client = self._clients.get(sho)
        if client is None:
            raise RefusalError(
                RefusalCode.SHO_UNKNOWN, subject=f"operator {sho}", reason="this DRF relays nothing for it"
            )
        return client


def _of_pva(sho: str, error: Exception) -> RefusalError:
    return _told(
        error,
        subject=f"PVA of operator {sho}",
        refused=RefusalCode.RELAY_REFUSED,
        silent=RefusalCode.PVA_UNAVAILABLE,
    )


def _told(error: Exception, *, subject: str, refused: RefusalCode, silent: RefusalCode) -> RefusalError:
    """A counterpart's "no" with its reason; everything else is silence."""
    if isinstance(error, HttpError) and error.status < _SERVER_FAULT and error.status != _TOO_MANY:
        problem = error.problem
        reason = f"status {error.status}" if problem is None else f"{problem.type}: {problem.detail}"
        return RefusalError(refused, subject=subject, reason=reason)
    return RefusalError(silent, subject=subject, reason=str(error), retry_after_s=RETRY_AFTER_S)
