"""Bodies of the public and operator listeners, checked before a use case sees them."""

import base64
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from messages.evidence import CERTIFICATE_SIZE_MAX, CHAIN_LENGTH_MAX, PUBLIC_SIZE_MAX
from messages.instruction import REASON_MAX
from messages.order import ID_MAX
from messages.registry import REPORT_STATEMENT_BYTES_MAX
from messages.reliance import RESULT_BYTES_MAX
from messages.state_event import STATE_EVENT_BYTES_MAX
from standards.rats.fields import encode_base64url

SUBSCRIBER_MAX: Final = 128
DEVICE_CODE_MAX: Final = 64
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"


def _one_spelling(value: str) -> str:
    if encode_base64url(decode_base64url(value)) != value:
        raise ValueError("expected base64url without padding")
    return value


def decode_base64url(value: str) -> bytes:
    """Bytes of a member that the schema has checked."""
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def _octets(size_max: int) -> StringConstraints:
    return StringConstraints(min_length=1, max_length=(size_max * 4 + 2) // 3, pattern=r"^[A-Za-z0-9_-]+$")


Certificate = Annotated[str, _octets(CERTIFICATE_SIZE_MAX), AfterValidator(_one_spelling)]
TpmPublic = Annotated[str, _octets(PUBLIC_SIZE_MAX), AfterValidator(_one_spelling)]
Subscriber = Annotated[str, StringConstraints(min_length=1, max_length=SUBSCRIBER_MAX, pattern=_PRINTABLE)]
DeviceCode = Annotated[str, StringConstraints(min_length=1, max_length=DEVICE_CODE_MAX, pattern=_PRINTABLE)]
Product = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]
Statement = Annotated[str, _octets(REPORT_STATEMENT_BYTES_MAX), AfterValidator(_one_spelling)]
Octets16 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Octets32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

OperatorId = Annotated[str, StringConstraints(min_length=1, max_length=ID_MAX, pattern=r"^[!-~]+$")]
MidId = Annotated[str, StringConstraints(min_length=1, max_length=ID_MAX, pattern=r"^[!-~]+$")]
Imsi = Annotated[str, StringConstraints(pattern=r"^[0-9]{6,15}$")]
ServingNetwork = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]


class Body(BaseModel):
    """A body: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PriorBody(Body):
    """What an order takes over: the operator whose MID serves now, and that MID."""

    operator: OperatorId
    mid_id: MidId


class OrderBody(Body):
    """A user orders; `prior` makes it a change of operator."""

    subscriber: Subscriber
    device_code: DeviceCode
    product: Product
    prior: PriorBody | None = None


class RegistrationBody(Body):
    """A device registers, as the DRF hands it on."""

    device_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    pfc_chain: Annotated[list[Certificate], Field(min_length=1, max_length=CHAIN_LENGTH_MAX)]
    ak_public: TpmPublic


class ResultBody(Body):
    """A PVA pushes a result."""

    result: Annotated[str, StringConstraints(min_length=1, max_length=RESULT_BYTES_MAX, pattern=r"^[!-~]+$")]


class EventBody(Body):
    """A PVA pushes a state event."""

    event: Annotated[
        str, StringConstraints(min_length=1, max_length=STATE_EVENT_BYTES_MAX, pattern=r"^[!-~]+$")
    ]


class UpdateBody(Body):
    """A device is to be updated, as the DPF hands it on; digests and the TRE's nonce in hexadecimal."""

    order_digest: Octets32
    manifest_digest: Octets32
    tre_nonce: Octets32


class StepBody(Body):
    """A device brings what its TRE said of an order's MID, if anything, as the DPF hands it on."""

    order_digest: Octets32
    statement: Statement | None = None


class WishBody(Body):
    """What this operator wants of a MID."""

    action: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,16}$")]
    reason: (
        Annotated[str, StringConstraints(min_length=1, max_length=REASON_MAX, pattern=_PRINTABLE)] | None
    ) = None


class MidUpdateBody(Body):
    """The next version of a MID: another product or the same one, fresh keys or those that there are."""

    product: Product | None = None
    fresh_keys: bool = False


class MigrationBody(Body):
    """The device that the subscription of a MID is to move to, by its code."""

    device_code: DeviceCode


class ReleaseBody(Body):
    """A successor asks for the release of one MID in one device."""

    device_id: Octets32
    mid_id: MidId


class DecisionBody(Body):
    """Whether a successor may take a MID over."""

    successor: OperatorId
    decision: Literal["approve", "deny"]


class AttachmentBody(Body):
    """A VNO tells that a subscriber attached; `rand` is that of the vector, and the IMSI stands where the ICF's route has a PCID."""

    pcid: Imsi
    serving_network: ServingNetwork
    rand: Octets16
    expires_at: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$")]


class ResynchronisationBody(Body):
    """A device did not take a sequence number."""

    rand: Octets16
    auts: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{28}$")]


class VectorsBody(Body):
    """A VNO wants to authenticate a subscriber; the IMSI stands where the ICF's route has a PCID."""

    pcid: Imsi
    serving_network: ServingNetwork
    resynchronisation: ResynchronisationBody | None = None
