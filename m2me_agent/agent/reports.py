"""Every failure of a call to a service, as a report for people: who said no, why, and what to do."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar

from edge.http_client import GatewayRefusedError, HttpError, UnreachableError
from m2me_agent.agent.errors import AgentError, BearerEndedError, NotReachedError, RefusedError
from m2me_agent.tre_protocol import Refusal

T = TypeVar("T")

BUSY: Final = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}
)
"""Answers of a service that can be expected to answer otherwise soon."""
NOT_YET_ATTACHED: Final = "not-attached"
"""What a DRF says until the home network has told it of the attachment."""
BEARER_ENDED: Final = frozenset({HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.GONE})


def reported(service: str, call: Callable[[], T], *, answers: tuple[type[Exception], ...]) -> T:
    """The call's value; its failures as AgentError. `answers` are the errors of answers that cannot be read."""
    try:
        return call()
    except GatewayRefusedError as error:
        raise _gateway_refused(error) from error
    except UnreachableError as error:
        raise NotReachedError(
            Refusal(
                code="unreachable",
                subject=f"{service} at {error.url}",
                reason=error.reason,
                remedy="check the network, the URL and the TLS root in the agent's settings, then try again",
            )
        ) from error
    except HttpError as error:
        raise _refused(service, error) from error
    except answers as error:
        raise RefusedError(
            Refusal(
                code="answer",
                subject=f"message between TRE and {service}",
                reason=str(error),
                remedy=f"check the {service}'s URL in the agent's settings; versions may differ",
            )
        ) from error


def _refused(service: str, error: HttpError) -> AgentError:
    problem = error.problem
    refusal = Refusal(
        code=(problem.reason or problem.type) if problem else f"http-{error.status}",
        subject=(problem.subject if problem else "") or f"{service} at {error.url}",
        reason=(problem.detail or problem.title) if problem else f"answered {error.status}",
        remedy=(problem.remedy if problem else "") or f"ask the operator of the {service}",
    )
    passes = error.status in BUSY or refusal.code == NOT_YET_ATTACHED
    return NotReachedError(refusal) if passes else RefusedError(refusal)


def _gateway_refused(error: GatewayRefusedError) -> AgentError:
    if error.status in BEARER_ENDED:
        return BearerEndedError(
            Refusal(
                code="bearer-ended",
                subject="bearer of the visited network",
                reason=error.reason,
                remedy="attach anew: m2me provision does so",
            )
        )
    refusal = Refusal(
        code="gateway-refused",
        subject=error.url,
        reason=error.reason,
        remedy="ask the operator that issued the PCID which destinations its bearer leads to",
    )
    return NotReachedError(refusal) if error.status in BUSY else RefusedError(refusal)
