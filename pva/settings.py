"""Settings of the PVA's process (TOML and `PVA_*`); relative paths are taken from the file's folder.

Rule: read once, in `pva.app`; an unknown key is an error that names it. What a device must quote, and how long
challenges, requests and results live, is a setting; what is checked is not. With `ima` each
device is asked for its IMA list too (with `ima_incremental` for what is new in it, which TREs must know of), and judged by
the signed `runtime_policies` (docs/adr/0027-ima.md). A manifest counts, a supplier is
recognised, a list of the administrators themselves is imported and a suspension lifted after `manifest_approvals`
administrators; trust lists come from the issuers in `trust_lists` (docs/adr/0046-supplier-trust.md). Results
are pushed to the `callbacks` (relying party as in the audience -> its operator listener) and to no other address; whatever their audience, the `status_responders` (name -> its operator listener) get them too
(docs/adr/0048-operator-ocsp.md). By the
rule `hold` the `ca` is asked to hold a credential (docs/adr/0032-continuous-validation.md). New credentials after updates are asked for at the `authorities` (supplier -> the
operator listener of its CA). Pages for people are served where there is a `dashboard` (docs/DASHBOARD.md).
"""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from edge.audit_log import AuditLogSettings
from edge.database_faults import DatabaseUrl
from edge.dual_control import ADMINISTRATORS
from edge.listener_settings import OperatorListenerSettings, TlsListenerSettings
from edge.management import ManagementSettings
from edge.settings import Settings, SettingsPath
from edge.signing_keys import SigningKeySettings
from edge.upstream_settings import UpstreamSettings
from messages.pcr import PCR_INDEX_MAX, PcrSelections
from pva.appraisal.policy import FORBIDDEN_PCRS, AppraisalPolicy
from pva.results.result import PromiseTerms
from pva.watching.holding import HoldRule
from standards.boot_log.algorithms import BANKS_BY_NAME, SHA1, SHA256
from standards.rats.promise import MERGE_DELAY_MAX_S

BOOT_AGGREGATE_PCRS = frozenset(range(10))

_SELECTION = re.compile(
    r"(?P<bank>[a-z0-9_]+):(?P<indices>[0-9]{1,2}(?:-[0-9]{1,2})?(?:,[0-9]{1,2}(?:-[0-9]{1,2})?)*)"
)


class HoldSettings(Settings):
    """When the CA is asked to hold a credential: `contraindicated` of its last `of` results within `within_s`."""

    contraindicated: Annotated[int, Field(ge=2, le=64)] = 3
    of: Annotated[int, Field(ge=2, le=64)] = 5
    within_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 86_400

    @model_validator(mode="after")
    def _is_n_of_m(self) -> Self:
        if self.contraindicated > self.of:
            raise ValueError(f"expected contraindicated <= of, got {self.contraindicated} of {self.of}")
        return self

    def rule(self) -> HoldRule:
        """The rule that these settings make."""
        return HoldRule(
            contraindicated=self.contraindicated, of=self.of, within=timedelta(seconds=self.within_s)
        )


class WatchSettings(Settings):
    """How many devices an operator may have watched, how often at most, and for how long events are carried."""

    per_operator: Annotated[int, Field(ge=0, le=10_000_000)] = 100_000
    interval_min_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    event_life_s: Annotated[int, Field(ge=60, le=90 * 86_400)] = 7 * 86_400


class TrustListSettings(Settings):
    """An issuer of trust lists, by its id: as what it signs, and the roots (PEM) that its certificate leads to.

    The role `pva` is this PVA's administrators.
    """

    role: Literal["overseer", "pva", "sho", "dpf"]
    anchors: SettingsPath


class PromisingLogSettings(AuditLogSettings):
    """The PVA's log; each result promises that its leaf is under a checkpoint `merge_delay_s` later at the latest."""

    merge_delay_s: Annotated[int, Field(ge=1, le=MERGE_DELAY_MAX_S)] = 60

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.interval_s >= self.merge_delay_s:
            raise ValueError(
                f"merge_delay_s: expected more than the interval_s of checkpoints, {self.interval_s:g}"
            )
        return self

    @property
    def promises(self) -> PromiseTerms:
        """What results promise."""
        return PromiseTerms(log=self.name, merge_delay_s=self.merge_delay_s)


class PvaSettings(Settings):
    """The whole of the PVA's settings; without `ca` nobody is asked to hold a credential."""

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    management: ManagementSettings | None = None
    issuer: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    developer: Annotated[str, StringConstraints(min_length=1, max_length=255)] = "open-pva"
    database: DatabaseUrl
    device: TlsListenerSettings
    operator: OperatorListenerSettings
    dashboard: OperatorListenerSettings | None = None
    challenge_key: SigningKeySettings
    result_key: SigningKeySettings
    approval_key: SigningKeySettings
    callbacks: dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], UpstreamSettings] = (
        Field(default_factory=dict)
    )
    status_responders: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=128)], UpstreamSettings
    ] = Field(default_factory=dict)
    watches: WatchSettings = WatchSettings()
    ca: UpstreamSettings | None = None
    hold: HoldSettings = HoldSettings()
    authorities: dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], UpstreamSettings] = (
        Field(default_factory=dict)
    )
    operators_root: SettingsPath
    trust_lists: dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], TrustListSettings] = (
        Field(default_factory=dict)
    )
    audit_log: PromisingLogSettings | None = None
    pcr_selection: tuple[str, ...] = ("sha256:0-9,14",)
    ima: bool = False
    ima_incremental: bool = False
    runtime_policies: tuple[SettingsPath, ...] = ()
    manifest_approvals: Annotated[int, Field(ge=1, le=5)] = ADMINISTRATORS
    request_life_s: Annotated[int, Field(ge=10, le=86_400)] = 900
    challenge_life_s: Annotated[int, Field(ge=5, le=600)] = 60
    result_life_s: Annotated[int, Field(ge=10, le=3_600)] = 300
    clock_grace_s: Annotated[int, Field(ge=0, le=86_400)] = 7_200
    evidence_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    ocsp_timeout_s: Annotated[float, Field(gt=0, le=30)] = 5.0

    @field_validator("pcr_selection")
    @classmethod
    def _is_selection(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        read_selections(value)
        return value

    @model_validator(mode="after")
    def _each_receiver_has_a_name(self) -> Self:
        twice = sorted(set(self.callbacks) & set(self.status_responders))
        if twice:
            raise ValueError(
                f"status_responders: expected names that no callback has, got {', '.join(twice)}"
            )
        return self

    @model_validator(mode="after")
    def _dual_control(self) -> Self:
        if self.manifest_approvals < ADMINISTRATORS and self.profile != "lab":
            raise ValueError(
                f"manifest_approvals: expected {ADMINISTRATORS} administrators or more outside of a lab"
            )
        return self

    @model_validator(mode="after")
    def _policies_have_ima(self) -> Self:
        if self.ima_incremental and not self.ima:
            raise ValueError("ima_incremental: expected ima = true, without which no list is asked for")
        if self.runtime_policies and not self.ima:
            raise ValueError("runtime_policies: expected ima = true, without which nothing is judged by them")
        return self

    @model_validator(mode="after")
    def _ima_has_its_boot(self) -> Self:
        if self.ima and BOOT_AGGREGATE_PCRS - set(self.pcr_selections.get(SHA256, ())):
            raise ValueError(
                "ima: expected sha256:0-9 in pcr_selection, which the list's boot_aggregate is over"
            )
        return self

    @property
    def pcr_selections(self) -> PcrSelections:
        """What devices are asked to quote: bank (TPM_ALG_ID) -> ascending indices."""
        return read_selections(self.pcr_selection)

    def policy(self) -> AppraisalPolicy:
        """The appraisal policy that these settings make."""
        return AppraisalPolicy(
            pcr_selections=self.pcr_selections,
            clock_grace=timedelta(seconds=self.clock_grace_s),
            result_life=timedelta(seconds=self.result_life_s),
            ima=self.ima,
        )


def read_selections(texts: tuple[str, ...]) -> PcrSelections:
    """Read selections such as `sha256:0-9,14`, one a bank. Raises ValueError with a sentence."""
    selections: dict[int, tuple[int, ...]] = {}
    for text in texts:
        match = _SELECTION.fullmatch(text)
        bank = BANKS_BY_NAME.get(match["bank"]) if match else None
        if match is None or bank is None or bank.id == SHA1 or bank.id in selections:
            raise ValueError(f"expected a bank (not sha1), each once, as in sha256:0-9,14; got {text!r}")
        indices = sorted({index for part in match["indices"].split(",") for index in _range(part)})
        if not indices or indices[-1] > PCR_INDEX_MAX or FORBIDDEN_PCRS & set(indices):
            raise ValueError(
                f"expected PCRs of 0 to 15 without 10, which alone speak of boot code; got {text!r}"
            )
        selections[bank.id] = tuple(indices)
    if not selections:
        raise ValueError("expected at least one selection, as in sha256:0-9,14")
    return dict(sorted(selections.items()))


def _range(part: str) -> range:
    low, _, high = part.partition("-")
    return range(int(low), int(high or low) + 1)
