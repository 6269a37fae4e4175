"""What the operator listener answers, as documented and as sent (`ca.web.bodies` words it).

Rule: a member that may be missing has a default here; one that is always there has none, also where it may be null.
"""

from typing import Annotated

from pydantic import Field

from edge.operations import AnswerModel, Moment, Sha256
from edge.pages import PageAnswer

_CA_ID = r"^[0-9a-f]{32}$"
_SERIAL = r"^[0-9a-f]{1,40}$"
Id = Annotated[str, Field(pattern=_CA_ID, description="id of a CA")]
Serial = Annotated[str, Field(pattern=_SERIAL, description="serial number in hexadecimal")]
Pem = Annotated[str, Field(description="PEM")]


class EsRootAnswer(AnswerModel):
    """A root; `hosted` when its key is here, `supplier` null for the roots of operators and of TLS."""

    ca_id: Id
    supplier: str | None
    hosted: bool
    certificate: Pem | None


class EsRootsAnswer(PageAnswer):
    """The present ES roots."""

    es_roots: list[EsRootAnswer]


class RootAnswer(EsRootAnswer):
    """One generation of a root's key, and what its neighbours in time certify of it."""

    kind: str
    state: str
    successor: Id | None
    by_predecessor: Pem | None
    by_successor: Pem | None


class RootsAnswer(PageAnswer):
    """Every root with its generations."""

    roots: list[RootAnswer]


class RolledRootAnswer(AnswerModel):
    """A root and its successor."""

    before: RootAnswer
    after: RootAnswer


class ModelAnswer(AnswerModel):
    """A model; `hw_type` is the last arc of the hwType in its Platform Credentials."""

    model: str
    hw_type: int


class IssuingCaAnswer(AnswerModel):
    """An issuing CA; `csr` is there and `certificate` null while it waits for its imported root."""

    ca_id: Id
    supplier: str
    name: str
    models: list[ModelAnswer]
    tre_level: int
    state: str
    crl_partitions: int
    certificate: Pem | None
    csr: Pem | None
    es_root: Id
    es_root_certificate: Pem | None
    crl_url: str
    ocsp_url: str


class IssuingCasAnswer(PageAnswer):
    """Issuing CAs."""

    issuing_cas: list[IssuingCaAnswer]


class CertificateAnswer(AnswerModel):
    """A certificate; the chain above it is known to the caller."""

    certificate: Pem


class ApprovalAnswer(AnswerModel):
    """An administrator's word that a suspension or a hold is to be lifted."""

    by: str
    at: Moment | None


class EstEnrollmentAnswer(AnswerModel):
    """A key that may ask, or waits to be allowed to; `serial` of what it got last.

    `digest` and `approvals` where two administrators register it; `state` is waiting until both have.
    """

    label: str
    spki_sha256: Sha256
    state: str
    since: Moment | None
    name: str
    role: str
    dns: list[str]
    ip: list[str]
    serial: Serial | None
    digest: Sha256 | None = None
    approvals: list[ApprovalAnswer] | None = None


class OperatorCertificateAnswer(AnswerModel):
    """The certificate of an operator's service; or what waits, of a key that two administrators register."""

    certificate: Pem | None
    proposal: EstEnrollmentAnswer | None = None


class KeyProposalsAnswer(PageAnswer):
    """Keys whose registration waits for another administrator."""

    key_proposals: list[EstEnrollmentAnswer]


class EstEnrollmentsAnswer(PageAnswer):
    """Keys that are registered or wait."""

    enrollments: list[EstEnrollmentAnswer]


class FeedAnswer(AnswerModel):
    """How far a batch feed has come; `missing` are numbers of chunks, the first is 0."""

    feed: str
    batch: str
    devices: int
    chunks: int
    missing: Annotated[tuple[int, ...], Field(strict=False)]
    imported: bool


class BatchAnswer(AnswerModel):
    """An imported batch list."""

    batch: str
    supplier: str
    devices: int


class AcceptedManifestAnswer(AnswerModel):
    """A manifest as recorded; `digest` is that of its signed bytes."""

    manifest: str
    digest: Sha256
    svn: int
    models: list[str]


class DeviceAnswer(AnswerModel):
    """A device, and whether it may enrol."""

    device_id: Sha256
    state: str


class ReissuedAnswer(AnswerModel):
    """A certificate that was issued anew."""

    device_id: Sha256
    issuer: Id
    serial: Serial


class ReissueAnswer(AnswerModel):
    """A page of a line: what was issued, how many were left out and why, and `after` of the next page (null: the last)."""

    issued: list[ReissuedAnswer]
    left_out: dict[str, int]
    next: str | None


class StationRefusalAnswer(AnswerModel):
    """Why a message was refused, for whoever stands at the device."""

    code: str
    subject: str
    reason: str
    remedy: str


class CarriedAnswer(AnswerModel):
    """What a message of a device was answered, one of the three: challenge or result in base64, or a refusal."""

    device_id: Sha256
    challenge: str | None
    result: str | None
    refused: StationRefusalAnswer | None


class StationPageAnswer(AnswerModel):
    """An answer to each message of the page, in their order."""

    answers: list[CarriedAnswer]


class IssuedAnswer(AnswerModel):
    """A certificate with its present status."""

    issuer: Id
    serial: Serial
    kind: str
    device_id: Sha256 | None
    certificate: Pem | None
    status: str
    reason: str | None
    revoked_at: Moment | None
    not_after: Moment | None
    version: int


class HoldAnswer(AnswerModel):
    """For which results a credential is held; `recovery` is the result that shows the device good again."""

    results: list[str]
    asked_by: str
    held_at: Moment | None
    recovery: str | None
    recovered_at: Moment | None


class HoldLiftingAnswer(IssuedAnswer):
    """A credential, and who approved that its hold be lifted."""

    approvals: list[ApprovalAnswer]


class SuspensionAnswer(AnswerModel):
    """What is suspended (`model` and `batch` null: all of the supplier), and how far its lifting is."""

    id: str
    supplier: str
    model: str | None
    batch: str | None
    reason: str
    suspended_by: str
    suspended_at: Moment | None
    approvals: list[ApprovalAnswer]
    lifted_at: Moment | None


class SuspensionsAnswer(PageAnswer):
    """Suspensions."""

    suspensions: list[SuspensionAnswer]


class AccreditationAnswer(AnswerModel):
    """Until when a supplier is accredited, by which list."""

    supplier: str
    issuer: str
    sequence: int
    scheme: str
    certificate: str
    ends_at: Moment | None


class AccreditationsAnswer(AnswerModel):
    """What a trust list says of suppliers of this CA."""

    accreditations: list[AccreditationAnswer]


class PlatformCredentialAnswer(IssuedAnswer):
    """A Platform Credential with its hold, if it is under one, and the suspensions that cover it."""

    hold: HoldAnswer | None
    suspensions: list[SuspensionAnswer]


class StatusChangeAnswer(AnswerModel):
    """One row of the change feed."""

    seq: int
    issuer: Id
    serial: Serial
    status: str
    reason: str | None
    revoked_at: Moment | None
    not_after: Moment | None
    version: int
    model: str | None
    batch: str | None


class SuspendedScopeAnswer(AnswerModel):
    """What responders hold: certificates of these CAs, of the model and the batch where they are named."""

    id: str
    issuers: list[Id]
    model: str | None
    batch: str | None
    since: Moment | None


class InForceAnswer(AnswerModel):
    """All that is suspended; `version` grows with every change of it."""

    version: int
    in_force: list[SuspendedScopeAnswer]


class StatusChangesAnswer(AnswerModel):
    """A page of the feed behind `after`: `previous` is the row at `after`, `next` the next `after`."""

    previous: StatusChangeAnswer | None
    changes: list[StatusChangeAnswer]
    next: int
    complete: bool
    suspensions: InForceAnswer
