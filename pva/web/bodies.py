"""JSON bodies of the operator and device listeners, checked before a use case sees them."""

import base64
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from edge.operations import QueryModel
from messages.challenge import AUDIENCE_MAX
from messages.operator_token import TOKEN_BYTES_MAX
from messages.trust_list import CRLS_MAX
from pva.policies.language import POLICY_BYTES_MAX
from standards.pki.oids import POLICY_TRE_LEVELS
from standards.rats.fields import encode_base64url

NONCE_BYTES = 32
MODELS_MAX = 200

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
DeviceId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
HwType = Annotated[str, StringConstraints(max_length=255, pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$")]
OcspUrl = Annotated[str, StringConstraints(max_length=500, pattern=r"^http://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?$")]
"""OCSP answers are signed, so their transport is plain HTTP (RFC 6960, appendix A)."""


class Body(BaseModel):
    """A body: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ChallengeBody(Body):
    """A device asks for its challenge."""

    device_id: DeviceId


class ValidationBody(Body):
    """An operator asks for a look at a device; `nonce` is 32 bytes in base64url.

    `order_digest` (SHA-256 in hex) is read to be refused with its own reason: orders need a signed request.
    """

    device_id: DeviceId
    purpose: Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[a-z-]+$")]
    nonce: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
    order_digest: Digest | None = None
    audience: Annotated[list[Name], Field(min_length=1, max_length=AUDIENCE_MAX)]

    @field_validator("nonce")
    @classmethod
    def _is_base64url(cls, value: str) -> str:
        if encode_base64url(_decode(value)) != value:
            raise ValueError(f"expected {NONCE_BYTES} bytes in base64url without padding")
        return value

    @property
    def rp_nonce(self) -> bytes:
        """The relying party's nonce as bytes."""
        return _decode(self.nonce)


class WatchBody(Body):
    """An operator has a device watched; times in seconds."""

    device_id: DeviceId
    interval_s: Annotated[int, Field(ge=1, le=366 * 86_400)]
    grace_s: Annotated[int, Field(ge=1, le=366 * 86_400)]
    audience: Annotated[list[Name], Field(min_length=1, max_length=AUDIENCE_MAX)]


class SignedRequestBody(Body):
    """A relying party or its relay hands in a signed validation request."""

    request: Annotated[str, StringConstraints(min_length=1, max_length=TOKEN_BYTES_MAX)]


class ApprovalBody(Body):
    """An SHO asks for approvals on its own result, for its order."""

    result_id: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[0-9a-f]+$")]
    order_digest: Digest


class RetirementBody(Body):
    """An administrator withdraws a manifest, and says why."""

    reason: Reason


class PolicyBody(Body):
    """The text of a policy."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=POLICY_BYTES_MAX)]


class DryRunBody(PolicyBody):
    """A policy to try on the results since a time (RFC 3339, UTC, whole seconds)."""

    since: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]

    @field_validator("since")
    @classmethod
    def _is_time(cls, value: str) -> str:
        datetime.fromisoformat(value)
        return value

    @property
    def since_at(self) -> datetime:
        """The time, aware."""
        return datetime.fromisoformat(self.since)


SharePercent = Annotated[int, Field(ge=0, le=100)]


class UpdateBody(Body):
    """A supplier announces the update to a manifest, to a share of the devices of its models."""

    manifest_digest: Digest
    share_percent: SharePercent


class ShareBody(Body):
    """A supplier announces an update to more devices."""

    share_percent: SharePercent


class ProfileQuery(QueryModel):
    """Which profile of the result: `ietf` as it was signed, `deployed` for software that reads the older claim names."""

    profile: Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[a-z]+$")] = "ietf"


class NextApprovalBody(ApprovalBody):
    """An SHO asks for approvals of the state that an announced manifest describes, by a result of its own order."""

    manifest_digest: Digest


class SuspensionBody(Body):
    """An administrator suspends a supplier, or one of its models, and says why."""

    supplier: Name
    model: Name | None = None
    reason: Reason


class CrlBody(Body):
    """Where the CRL of an issuing CA (PEM) lies."""

    issuing_ca: Annotated[str, StringConstraints(min_length=1, max_length=16_384)]
    url: OcspUrl


class SupplierBody(Body):
    """An administrator recognises a supplier; `root` is one PEM certificate.

    `models` is the name of a model -> the hwType (dotted OID) in Platform Credentials of its devices; the status of those is
    asked at `ocsp_url`, or read in `crls`.
    """

    supplier: Name
    root: Annotated[str, StringConstraints(min_length=1, max_length=16_384)]
    models: Annotated[dict[Name, HwType], Field(max_length=MODELS_MAX)]
    ocsp_url: OcspUrl | None = None
    crls: Annotated[list[CrlBody], Field(max_length=CRLS_MAX)] = []
    tre_level_min: Annotated[int, Field(ge=1, le=max(POLICY_TRE_LEVELS))] | None = None

    @model_validator(mode="after")
    def _has_one_source_of_status(self) -> Self:
        if (self.ocsp_url is None) == (not self.crls):
            raise ValueError("give ocsp_url or crls")
        return self

    @field_validator("models")
    @classmethod
    def _is_unambiguous(cls, value: dict[str, str]) -> dict[str, str]:
        if len(set(value.values())) != len(value):
            raise ValueError("expected a hwType of its own for each model")
        return value


def _decode(nonce: str) -> bytes:
    return base64.urlsafe_b64decode(nonce + "=")
