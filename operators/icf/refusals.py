"""Every way in which the ICF says "refused": stable codes, HTTP status and remedy."""

from collections.abc import Mapping
from enum import StrEnum, unique
from http import HTTPStatus

from edge.refused import RefusalRule, RefusedError


@unique
class RefusalCode(StrEnum):
    """Stable reason codes."""

    FOREIGN_NETWORK = "foreign-serving-network"
    UNKNOWN_SUBSCRIBER = "unknown-subscriber"
    SUBSCRIBER_CONFLICT = "subscriber-conflict"
    RAND_NOT_ISSUED = "rand-not-issued"
    AUTS_INVALID = "auts-invalid"
    SEQUENCE_USED_UP = "sequence-used-up"
    ATTACHMENT_TOO_LONG = "attachment-too-long"
    ALREADY_ATTACHED = "already-attached"
    DISCOVERY_UNREACHABLE = "discovery-unreachable"


REFUSALS: Mapping[RefusalCode, RefusalRule] = {
    RefusalCode.FOREIGN_NETWORK: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="ask for the network that your certificate is registered for"
    ),
    RefusalCode.UNKNOWN_SUBSCRIBER: RefusalRule(
        status=HTTPStatus.NOT_FOUND,
        remedy="check the PCID; the CCIF that allotted it must hand it over first",
    ),
    RefusalCode.SUBSCRIBER_CONFLICT: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="allot another PCID: a subscriber's key is never replaced"
    ),
    RefusalCode.RAND_NOT_ISSUED: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="fetch new vectors and authenticate again"
    ),
    RefusalCode.AUTS_INVALID: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="hand over the AUTS as the device sent it, with the RAND that it answers",
    ),
    RefusalCode.SEQUENCE_USED_UP: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="the device needs a new PCID with a new key"
    ),
    RefusalCode.ATTACHMENT_TOO_LONG: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="end the bearer within the life that came with the vectors",
    ),
    RefusalCode.ALREADY_ATTACHED: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="authenticate again: one vector opens one bearer"
    ),
    RefusalCode.DISCOVERY_UNREACHABLE: RefusalRule(
        status=HTTPStatus.SERVICE_UNAVAILABLE, remedy="wait as Retry-After says, then send the same again"
    ),
}


def refuse(code: RefusalCode, *, subject: str, reason: str) -> RefusedError:
    """The refusal of a code, with the status and remedy that belong to it."""
    return RefusedError(code, REFUSALS[code], subject=subject, reason=reason)
