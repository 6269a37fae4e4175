"""What the DPF's listeners answer, as documented and as sent."""

from typing import Annotated

from pydantic import Field

from edge.operations import AnswerModel, Moment
from operators.dpf.records import AuthorizationStatus, DeliveryStatus


class GateRefusalAnswer(AnswerModel):
    """One refusal of the gate."""

    at: Moment
    code: str
    subject: str
    reason: str
    remedy: str


class AuthorizationAnswer(AnswerModel):
    """An authorisation; `grants` counts how often the package left, `refusals` is there where one was asked for.

    `prior_owner` is there in a change of operator.
    """

    authorization_id: str
    state: Annotated[AuthorizationStatus, Field(strict=False)]
    grants: int
    expires_at: Moment
    prior_owner: str | None = None
    refusals: list[GateRefusalAnswer] = Field(default_factory=list)


class DeliveryAnswer(AnswerModel):
    """A delivery; tokens (JWS) and sizes (bytes) are there once it is granted."""

    delivery_id: str
    state: Annotated[DeliveryStatus, Field(strict=False)]
    package: str | None = None
    delivery: str | None = None
    content_size: int | None = None
    chunk_bytes: int | None = None


class DeviceReceiptAnswer(AnswerModel):
    """What came of a receipt; `instruction` (JWS) once the SHO has given one."""

    outcome: str
    instruction: str | None = None


class UpdateApprovalsAnswer(AnswerModel):
    """Approvals of the state after an update, signed for one TRE (JWS)."""

    approvals: str


class StepAnswer(AnswerModel):
    """What the TRE is to be given next; `token` (JWS) where there is something to give."""

    step: str
    token: str | None = None
