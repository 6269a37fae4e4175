"""Every way in which the VNO says "refused": stable codes, HTTP status and remedy."""

from collections.abc import Mapping
from enum import StrEnum, unique
from http import HTTPStatus

from edge.refused import RefusalRule, RefusedError


@unique
class RefusalCode(StrEnum):
    """Stable reason codes; the first group at the attach listener, the second at the gateway."""

    IDENTITY_MALFORMED = "identity-malformed"
    NO_ROAMING_AGREEMENT = "no-roaming-agreement"
    IDENTITY_UNKNOWN = "identity-unknown"
    IDENTITY_NOT_ACTIVE = "identity-not-active"
    HOME_REFUSED = "home-network-refused"
    HOME_UNREACHABLE = "home-network-unreachable"
    TOO_MANY_SESSIONS = "too-many-sessions"
    SESSION_UNKNOWN = "session-unknown"
    RES_WRONG = "res-wrong"
    RESYNCHRONISED_ALREADY = "resynchronised-already"
    AUTS_REFUSED = "auts-refused"
    QUOTA_USED = "quota-used"

    REQUEST_MALFORMED = "request-malformed"
    METHOD_NOT_OFFERED = "method-not-offered"
    BEARER_REQUIRED = "bearer-required"
    BEARER_ENDED = "bearer-ended"
    DESTINATION_NOT_ALLOWED = "destination-not-allowed"
    ADDRESS_NOT_ALLOWED = "address-not-allowed"
    TOO_MANY_TUNNELS = "too-many-tunnels"
    DESTINATION_UNREACHABLE = "destination-unreachable"


_ATTACH_ANEW = "attach anew"

REFUSALS: Mapping[RefusalCode, RefusalRule] = {
    RefusalCode.IDENTITY_MALFORMED: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="send 0<PCID>@wlan.mncXXX.mccYYY.3gppnetwork.org with the network of the PCID",
    ),
    RefusalCode.NO_ROAMING_AGREEMENT: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="try another network: this one has no agreement with your home network",
    ),
    RefusalCode.IDENTITY_UNKNOWN: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="have the issuer of the PCID hand it over to its home network"
    ),
    RefusalCode.IDENTITY_NOT_ACTIVE: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="wait until your operator has activated the subscription"
    ),
    RefusalCode.HOME_REFUSED: RefusalRule(
        status=HTTPStatus.BAD_GATEWAY,
        remedy="have the operators of both networks look at their audit records",
    ),
    RefusalCode.HOME_UNREACHABLE: RefusalRule(
        status=HTTPStatus.SERVICE_UNAVAILABLE, remedy=f"wait as Retry-After says, then {_ATTACH_ANEW}"
    ),
    RefusalCode.TOO_MANY_SESSIONS: RefusalRule(
        status=HTTPStatus.SERVICE_UNAVAILABLE, remedy=f"wait as Retry-After says, then {_ATTACH_ANEW}"
    ),
    RefusalCode.SESSION_UNKNOWN: RefusalRule(
        status=HTTPStatus.NOT_FOUND, remedy=f"a session takes one answer, soon: {_ATTACH_ANEW}"
    ),
    RefusalCode.RES_WRONG: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_ATTACH_ANEW),
    RefusalCode.RESYNCHRONISED_ALREADY: RefusalRule(status=HTTPStatus.CONFLICT, remedy=_ATTACH_ANEW),
    RefusalCode.AUTS_REFUSED: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_ATTACH_ANEW),
    RefusalCode.QUOTA_USED: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="wait until the bearer of this PCID has expired"
    ),
    RefusalCode.REQUEST_MALFORMED: RefusalRule(
        status=HTTPStatus.BAD_REQUEST, remedy="send CONNECT host:port without a body"
    ),
    RefusalCode.METHOD_NOT_OFFERED: RefusalRule(
        status=HTTPStatus.METHOD_NOT_ALLOWED,
        remedy="use CONNECT: this gateway opens tunnels and reads nothing",
    ),
    RefusalCode.BEARER_REQUIRED: RefusalRule(
        status=HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        remedy="attach first, then send Proxy-Authorization: Basic with id and secret of the bearer",
    ),
    RefusalCode.BEARER_ENDED: RefusalRule(status=HTTPStatus.GONE, remedy=_ATTACH_ANEW),
    RefusalCode.DESTINATION_NOT_ALLOWED: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="use a destination of the bearer, in its spelling"
    ),
    RefusalCode.ADDRESS_NOT_ALLOWED: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="have the VNO's operator name the network in reachable_networks"
    ),
    RefusalCode.TOO_MANY_TUNNELS: RefusalRule(
        status=HTTPStatus.TOO_MANY_REQUESTS, remedy="close a tunnel of this bearer first"
    ),
    RefusalCode.DESTINATION_UNREACHABLE: RefusalRule(
        status=HTTPStatus.BAD_GATEWAY, remedy="try again later: the service does not answer"
    ),
}


def refuse(code: RefusalCode, *, subject: str, reason: str) -> RefusedError:
    """The refusal of a code, with the status and remedy that belong to it."""
    return RefusedError(code, REFUSALS[code], subject=subject, reason=reason)
