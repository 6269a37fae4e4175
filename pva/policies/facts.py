"""What a policy judges: the facts of one validation, as a Cedar request, after the baseline has judged. Pure.

Rule: every fact follows from what the steps before have proven, or is the baseline's own verdict; the value survives JSON, so
that a policy can be tried on the facts of past results before it is in force.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pva.appraisal.appraisal import Appraisal
from pva.appraisal.boot_events import BootEvents
from pva.appraisal.continuity import DeviceHistory
from pva.appraisal.credential import PlatformCredential
from pva.appraisal.findings import Scope
from pva.appraisal.quote import PlatformQuote
from pva.requests import ValidationRequest
from standards.boot_log.algorithms import BANKS

RECOVERY = "recovery"
_DAY = timedelta(days=1)
_NO_MANIFEST = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """A request to judge: who (device), what for (action), in which state (manifest and context)."""

    device: Mapping[str, Any]
    device_id: str
    action: str
    manifest: Mapping[str, Any]
    context: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON; `facts_of_json` takes them back."""
        return {
            "device": dict(self.device),
            "device_id": self.device_id,
            "action": self.action,
            "manifest": dict(self.manifest),
            "context": dict(self.context),
        }

    def request(self) -> dict[str, Any]:
        """The Cedar request."""
        return {
            "principal": {"type": "PVA::Device", "id": self.device_id},
            "action": {"type": "PVA::Action", "id": self.action},
            "resource": {"type": "PVA::Manifest", "id": self.manifest["id"]},
            "context": dict(self.context),
        }

    def entities(self) -> list[dict[str, Any]]:
        """The entities of the request: the device in its model, the model in its supplier, and the manifest."""
        supplier = {"type": "PVA::Supplier", "id": self.device["supplier"]}
        model = {"type": "PVA::Model", "id": self.device["model"]}
        return [
            {"uid": supplier, "attrs": {}, "parents": []},
            {"uid": model, "attrs": {}, "parents": [supplier]},
            {
                "uid": {"type": "PVA::Device", "id": self.device_id},
                "attrs": dict(self.device),
                "parents": [model],
            },
            {
                "uid": {"type": "PVA::Manifest", "id": self.manifest["id"]},
                "attrs": dict(self.manifest),
                "parents": [],
            },
        ]


def facts_of_json(value: Mapping[str, Any]) -> PolicyFacts:
    """Facts out of their JSON form, as this PVA stored them."""
    return PolicyFacts(
        device=value["device"],
        device_id=value["device_id"],
        action=value["action"],
        manifest=value["manifest"],
        context=value["context"],
    )


def policy_facts(
    appraisal: Appraisal,
    *,
    boot: BootEvents,
    credential: PlatformCredential,
    history: DeviceHistory | None,
    request: ValidationRequest,
) -> PolicyFacts:
    """The facts of a validation that the baseline has judged."""
    names = {hw_type: name for name, hw_type in credential.supplier.models.items()}
    return PolicyFacts(
        device={
            "supplier": credential.supplier.name,
            "model": names.get(credential.hw_type, ""),
            "hw_type": credential.hw_type,
            "tre_level": credential.tre_level or 0,
        },
        device_id=credential.device_id,
        action=_action(request),
        manifest=_manifest(appraisal),
        context={
            "requester": request.party.tenant,
            "role": request.party.role,
            "purpose": request.purpose,
            "tre": appraisal.tiers[Scope.TRE].value,
            "platform": appraisal.tiers[Scope.PLATFORM].value,
            "findings": sorted({each.code for each in appraisal.findings}),
            "secure_boot": _secure_boot(boot),
            "ima": boot.ima is not None,
            **_history(history, at=appraisal.at),
            **_ages(appraisal, credential=credential),
            **_tpm(appraisal.quote),
        },
    )


def _action(request: ValidationRequest) -> str:
    """With an order a release depends on it; the recovery of a credential on hold is a case of its own."""
    if request.purpose == RECOVERY:
        return RECOVERY
    return "validate" if request.order_digest is None else "release"


def _manifest(appraisal: Appraisal) -> dict[str, Any]:
    if appraisal.reference is None:
        return {"id": _NO_MANIFEST, "supplier": "", "svn": 0, "known": False}
    manifest = appraisal.reference.manifest
    return {"id": manifest.id, "supplier": manifest.supplier, "svn": manifest.svn, "known": True}


def _secure_boot(boot: BootEvents) -> dict[str, bool]:
    bank = max(boot.quoted, key=lambda one: BANKS[one].size)
    facts = boot.secure_boot(bank=bank)
    if facts is None or not facts.measured:
        return {"known": False, "enabled": False, "shim_validates": False}
    return {"known": True, "enabled": facts.enabled, "shim_validates": facts.shim_validates}


def _history(history: DeviceHistory | None, *, at: datetime) -> dict[str, Any]:
    if history is None:
        return {"seen_before": False}
    known: dict[str, Any] = {"seen_before": True, "last_seen_days": (at - history.last.at) // _DAY}
    if history.svn_highest is not None:
        known["svn_highest"] = history.svn_highest
    return known


def _ages(appraisal: Appraisal, *, credential: PlatformCredential) -> dict[str, int]:
    at, certificate = appraisal.at, credential.certificate
    ages = {
        "credential_age_days": (at - certificate.not_valid_before_utc) // _DAY,
        "credential_days_left": (certificate.not_valid_after_utc - at) // _DAY,
    }
    ends = None if appraisal.reference is None else appraisal.reference.manifest.valid_to
    if ends is not None:
        ages["manifest_days_left"] = (ends - at) // _DAY
    return ages


def _tpm(quote: PlatformQuote) -> dict[str, Any]:
    return {
        "tpm_firmware": f"{quote.firmware_version:016x}",
        "tpm_resets": quote.clock_info.reset_count,
        "clock_safe": quote.clock_info.safe,
    }
