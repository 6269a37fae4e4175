"""What the SHO's listeners answer, as documented and as sent."""

from typing import Annotated

from pydantic import Field

from edge.operations import AnswerModel
from operators.sho.order_states import MigrationState, OrderState
from operators.sho.releases import ReleaseState

State = Annotated[OrderState, Field(strict=False)]


class OrderTokenAnswer(AnswerModel):
    """The signed order (JWS)."""

    order: str


class ReceiptAnswer(AnswerModel):
    """Where the order stands now; `instruction` (JWS) is what the TRE is to do, if anything."""

    state: State
    instruction: str | None = None


class UpdateApprovalsAnswer(AnswerModel):
    """Approvals of the state after an update, signed for one TRE (JWS)."""

    approvals: str


class StepAnswer(AnswerModel):
    """What the TRE is to be given next; `token` (JWS) where there is something to give."""

    step: str
    token: str | None = None


class MidAnswer(AnswerModel):
    """What the owner wants of a MID, and the state that its TRE reported last; a member that is not known is missing."""

    sequence: int
    wish: str | None = None
    state: str | None = None
    reason: str | None = None


class MidUpdateAnswer(AnswerModel):
    """An update of a MID, as an order of its own; `reason` where it was refused, failed or lapsed."""

    order_id: str
    product: str
    state: State
    reason: str | None = None


class MidUpdatesAnswer(AnswerModel):
    """Every update of a MID, oldest first."""

    updates: list[MidUpdateAnswer]


class MigrationAnswer(AnswerModel):
    """A migration of a MID: the order for the other device, where that stands, and whether the AuC has switched.

    `order_code` is what a person compares at the other device; `migration` is open, committed or aborted.
    """

    order_id: str
    order_code: str
    state: State
    migration: Annotated[MigrationState, Field(strict=False)]
    reason: str | None = None


class OrderedMigrationAnswer(MigrationAnswer):
    """A migration that was ordered; whoever shows `secret` may read the state of the order for the other device."""

    secret: str


class MigrationsAnswer(AnswerModel):
    """Every migration of a MID, oldest first."""

    migrations: list[MigrationAnswer]


class ReleaseAnswer(AnswerModel):
    """What became of a successor's question; `release` (JWS) once it was given, and once the MID is erased what shows that.

    `instruction` (JWS) is what the TRE was told, `proof` (base64url) what it signed for that.
    """

    state: Annotated[ReleaseState, Field(strict=False)]
    release: str | None = None
    instruction: str | None = None
    proof: str | None = None


class AskedReleaseAnswer(AnswerModel):
    """A successor's question as it stands; `decided_by` where somebody has decided."""

    successor: str
    state: Annotated[ReleaseState, Field(strict=False)]
    decided_by: str | None = None


class AskedReleasesAnswer(AnswerModel):
    """Every successor that asked for the MID of an order."""

    releases: list[AskedReleaseAnswer]


class VectorAnswer(AnswerModel):
    """An authentication vector (3GPP TS 33.102), in hexadecimal."""

    rand: str
    autn: str
    xres: str
    ck: str
    ik: str


class BearerAnswer(AnswerModel):
    """What the subscriber's bearer may do."""

    apn: str
    destinations: list[str]
    quota_bytes: int
    life_s: int


class VectorsAnswer(AnswerModel):
    """Vectors, and the terms of the bearer."""

    vectors: list[VectorAnswer]
    bearer: BearerAnswer


class PlacedOrderAnswer(AnswerModel):
    """An order; whoever shows `secret` may read its state, `order_code` is typed at the device."""

    order_id: str
    order_code: str
    state: State
    secret: str


class OrderAnswer(AnswerModel):
    """Where an order stands; `informed` says who was told what."""

    order_id: str
    state: State
    informed: list[str]
