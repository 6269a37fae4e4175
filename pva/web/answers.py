"""What the operator and device listeners answer, as documented and as sent.

Rule: a member that may be missing has a default here; one that is always there has none, also where it may be null.
"""

from typing import Annotated, Literal

from pydantic import Field

from edge.operations import AnswerModel, Moment, Sha256
from edge.pages import PageAnswer
from messages.state_event import PlatformState
from pva.appraisal.manifest_records import Standing
from pva.policies.desk import PolicyState
from pva.requests import RequestState
from pva.updates.rollouts import RolloutState

_BY_VALUE = Field(strict=False)
State = Annotated[RequestState, _BY_VALUE]
Token = Annotated[str, Field(description="a JWS in compact form, to be verified under the operators' root")]


class ChallengeAnswer(AnswerModel):
    """The signed challenge that a device quotes over (docs/PROTOCOL.md, section 2)."""

    challenge: Token


class EvidenceAnswer(AnswerModel):
    """The id of the result and its tier; the findings are for the relying party."""

    result_id: str
    status: str


class ManifestApprovalAnswer(AnswerModel):
    """One administrator's approval."""

    by: str
    at: Moment


class RetirementAnswer(ManifestApprovalAnswer):
    """Who withdrew a manifest, when and why."""

    reason: str


class ManifestAnswer(AnswerModel):
    """A manifest, with where it stands; `digest` is that of its signed bytes."""

    id: str
    supplier: str
    svn: int
    models: list[str]
    release: str
    line: str
    digest: Sha256
    predecessor: Sha256 | None
    predecessor_until: Moment | None
    valid_from: Moment | None
    valid_to: Moment | None
    imported_by: str
    imported_at: Moment
    standing: Annotated[Standing, _BY_VALUE]
    approvals: list[ManifestApprovalAnswer]
    retired: RetirementAnswer | None


class ManifestsAnswer(PageAnswer):
    """Manifests."""

    manifests: list[ManifestAnswer]


class AskedAnswer(AnswerModel):
    """A validation that was asked for: where to look, and until when a device may answer."""

    request_id: str
    expires_at: Moment


class RefusalAnswer(AnswerModel):
    """One refused try of a device; `authenticated` when its credential and quote were genuine."""

    at: Moment
    code: str
    subject: str
    reason: str
    remedy: str
    authenticated: bool


class ValidationAnswer(AnswerModel):
    """A validation as who asked sees it; `result` is the signed attestation result (EAR) once there is one."""

    request_id: str
    device_id: Sha256
    purpose: str
    state: State
    expires_at: Moment
    refusals: list[RefusalAnswer]
    result: Token | None = None


class SignedRequestAnswer(AnswerModel):
    """A signed request: its signer sees `refusals` and `result`, a relay `outcome` and `sealed` (a JWE for the signer)."""

    request_id: str
    state: State
    refusals: list[RefusalAnswer] = Field(default_factory=list)
    result: Token | None = None
    outcome: Literal["pass", "fail"] | None = None
    sealed: str | None = None


class ApprovalsAnswer(AnswerModel):
    """StateApprovals, the day key's certificates (DER) and the TPMT_PUBLIC of the storage key, in base64url."""

    approvals: list[str]
    day_key_chain: list[str]
    storage_public: str


class ResultAnswer(AnswerModel):
    """A signed attestation result in the profile that was asked for."""

    result: Token
    profile: str


class ScopeAnswer(AnswerModel):
    """The verdict on one scope."""

    scope: str
    status: str
    trustworthiness_vector: dict[str, int]
    policy_ids: list[str]


class CauseAnswer(AnswerModel):
    """The measurement behind a finding: PCR, number in its log, type of event, what it was."""

    pcr: Annotated[int, Field(alias="register")]
    number: int
    type: str
    description: str


class FindingAnswer(AnswerModel):
    """One finding; `claim` and `value` say what it moved in the trustworthiness vector."""

    scope: str
    code: str
    subject: str
    reason: str
    remedy: str
    expected: str | None = None
    measured: str | None = None
    event: str | None = None
    cause: CauseAnswer | None = None
    claim: str | None = None
    value: int | None = None


class DifferenceAnswer(AnswerModel):
    """One component that is not as the nearest manifest has it."""

    component: str
    pcr: Annotated[int, Field(alias="register")]
    words: str
    expected: str | None = None
    measured: str | None = None
    expected_digest: str | None = None
    measured_digest: str | None = None


class NamedManifestAnswer(AnswerModel):
    """Which manifest."""

    id: str
    svn: int
    digest: Sha256 | None = None
    version: str | None = None


class NearestAnswer(AnswerModel):
    """The known manifest that explains most of what was measured; `more` counts differences that are not listed."""

    manifest: NamedManifestAnswer
    name: str
    sentence: str
    explained: int
    measurements: int
    differences: list[DifferenceAnswer]
    more: int


class ExplanationAnswer(AnswerModel):
    """Why a validation ended as it did; without a result the refused tries are the explanation."""

    request_id: str
    device_id: Sha256
    purpose: str
    state: State
    refusals: list[RefusalAnswer]
    result_id: str | None = None
    status: str | None = None
    issued_at: Moment | None = None
    expires_at: Moment | None = None
    policy_digest: Sha256 | None = None
    evidence_digest: Sha256 | None = None
    manifest: NamedManifestAnswer | None = None
    scopes: list[ScopeAnswer] = Field(default_factory=list)
    findings: list[FindingAnswer] = Field(default_factory=list)
    evidence_kept: bool = False
    nearest: NearestAnswer | None = None


class StatementAnswer(AnswerModel):
    """A statement of a policy: its id, the reason that it gives, its line."""

    id: str
    reason: str
    line: int


class PolicyAnswer(AnswerModel):
    """A policy as its owner has it; `text` where one policy was asked for."""

    name: str
    digest: Sha256
    statements: list[StatementAnswer]
    role: str
    owner: str
    state: Annotated[PolicyState, _BY_VALUE]
    added_at: Moment
    changed_at: Moment
    changed_by: str
    text: str | None = None


class PoliciesAnswer(PageAnswer):
    """Policies."""

    policies: list[PolicyAnswer]


class FaultAnswer(AnswerModel):
    """What is wrong with a line of a policy."""

    line: int
    message: str
    remedy: str


class PolicyCheckAnswer(AnswerModel):
    """What a text says, or why it is no policy: then there are `faults` and nothing else."""

    faults: list[FaultAnswer]
    name: str | None = None
    digest: Sha256 | None = None
    statements: list[StatementAnswer] = Field(default_factory=list)


class ChangedVerdictAnswer(AnswerModel):
    """A result that the policy would have denied."""

    result_id: str
    device_id: Sha256
    issued_at: Moment
    denied_by: list[str]
    reasons: list[str]


class DryRunAnswer(AnswerModel):
    """What a policy would have said of the results since a time; `complete` unless there were too many."""

    name: str
    digest: Sha256
    statements: list[StatementAnswer]
    judged: int
    without_facts: int
    denied: int
    changed: int
    complete: bool
    by_statement: dict[str, int]
    changes: list[ChangedVerdictAnswer]


class WatchAnswer(AnswerModel):
    """A watch; `state` is null before the first answer."""

    watch_id: str
    device_id: Sha256
    interval_s: int
    grace_s: int
    audience: list[str]
    state: Annotated[PlatformState, _BY_VALUE] | None
    due_at: Moment
    deadline: Moment


class WatchesAnswer(PageAnswer):
    """The caller's watches."""

    watches: list[WatchAnswer]


class UpdateAnswer(AnswerModel):
    """An announced update."""

    manifest_digest: Sha256
    supplier: str
    share_percent: int
    state: Annotated[RolloutState, _BY_VALUE]
    announced_by: str
    announced_at: Moment


class UpdatesAnswer(PageAnswer):
    """Announced updates."""

    updates: list[UpdateAnswer]
