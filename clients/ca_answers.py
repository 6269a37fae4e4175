"""What every answer of the CA has in common: decoded whole, or refused whole as a CaAnswerError."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.model_faults import faults_of


class CaAnswerError(Exception):
    """The CA answered something that its API does not say: which route, and why."""

    def __init__(self, route: str, reason: str) -> None:
        super().__init__(f"answer of the CA to {route} cannot be used: {reason}")
        self.route = route
        self.reason = reason


class Body(BaseModel):
    """A JSON answer; members that a newer CA adds are none of our business."""

    model_config = ConfigDict(frozen=True)


BodyT = TypeVar("BodyT", bound=Body)


def read(kind: type[BodyT], value: object, route: str) -> BodyT:
    """A parsed JSON value as `kind`; raises CaAnswerError."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise CaAnswerError(route, faults_of(error)) from error


def read_json(kind: type[BodyT], octets: bytes, route: str) -> BodyT:
    """A JSON document as `kind`; raises CaAnswerError."""
    try:
        return kind.model_validate_json(octets)
    except ValidationError as error:
        raise CaAnswerError(route, faults_of(error)) from error
