"""JSON bodies of the operator and device listeners, checked before a use case sees them."""

import base64
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from edge.operations import QueryModel, WholeNumber
from messages.registry import REPORT_STATEMENT_BYTES_MAX
from messages.reliance import RESULT_BYTES_MAX
from messages.state_event import STATE_EVENT_BYTES_MAX
from operators.dpf.credential import PFC_BYTES_MAX, PFC_CHAIN_MAX
from standards.rats.fields import encode_base64url

DeviceId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Certificate = Annotated[
    str, StringConstraints(min_length=1, max_length=PFC_BYTES_MAX * 4 // 3 + 4, pattern=r"^[A-Za-z0-9_-]+$")
]
Statement = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=REPORT_STATEMENT_BYTES_MAX * 4 // 3 + 4, pattern=r"^[A-Za-z0-9_-]+$"
    ),
]
STEP_BODY_BYTES_MAX = REPORT_STATEMENT_BYTES_MAX * 4 // 3 + 512
DELIVERY_BODY_BYTES_MAX = PFC_CHAIN_MAX * (PFC_BYTES_MAX * 4 // 3 + 8) + 512


class Body(BaseModel):
    """A body: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DeliveryBody(Body):
    """A device asks for its delivery; `pfc_chain` is DER in base64url, leaf first."""

    device_id: DeviceId
    order_digest: Digest
    pfc_chain: Annotated[list[Certificate], Field(min_length=1, max_length=PFC_CHAIN_MAX)]

    @field_validator("pfc_chain")
    @classmethod
    def _is_base64url(cls, value: list[str]) -> list[str]:
        for each in value:
            if encode_base64url(_decoded(each)) != each:
                raise ValueError("expected certificates in base64url without padding")
        return value

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The chain as bytes."""
        return tuple(_decoded(each) for each in self.pfc_chain)


class OffsetQuery(QueryModel):
    """From which byte of the content on."""

    offset: WholeNumber


class StepBody(Body):
    """A device asks what the owner of its MID wants, and brings what its TRE said; `statement` in base64url."""

    device_id: DeviceId
    order_digest: Digest
    statement: Statement | None = None

    @field_validator("statement")
    @classmethod
    def _is_spelled_once(cls, value: str | None) -> str | None:
        if value is not None and encode_base64url(_decoded(value)) != value:
            raise ValueError("expected a statement in base64url without padding")
        return value

    @property
    def said(self) -> bytes | None:
        """The statement as bytes."""
        return None if self.statement is None else _decoded(self.statement)


class UpdateBody(Body):
    """A device asks for approvals of the state after an update; all of it in hexadecimal."""

    device_id: DeviceId
    order_digest: Digest
    manifest_digest: Digest
    tre_nonce: Digest


class ResultBody(Body):
    """The PVA brings a signed result."""

    result: Annotated[str, StringConstraints(min_length=1, max_length=RESULT_BYTES_MAX)]


class EventBody(Body):
    """The PVA brings a signed state event."""

    event: Annotated[str, StringConstraints(min_length=1, max_length=STATE_EVENT_BYTES_MAX)]


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
