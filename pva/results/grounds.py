"""What a result stands on besides its evidence: the facts that policies judged, and the parts that a re-check needs. Pure.

Rule: each part has one encoding, is named by the SHA-256 of it in the audit leaf of the result, and is read back as what it
was; so a verdict can be computed again without this PVA, and a part that was changed is found by its name.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Self

from cryptography import x509

from edge.dual_control import Approval, approval_record, read_approval
from messages.runtime_policy import VerifiedRuntimePolicy
from messages.trust_list import Accreditation, ListedCrl, accreditation_claims, read_accreditation
from pva.appraisal.continuity import DeviceHistory, ImaProgress, Sighting
from pva.appraisal.credential import Supplier
from pva.appraisal.kept import Kept
from pva.appraisal.manifest_chain import ChainedManifest, ManifestChain
from pva.appraisal.manifest_records import Retirement
from pva.appraisal.policy import AppraisalPolicy
from pva.appraisal.runtime_policies import RuntimePolicies
from pva.policies.facts import PolicyFacts
from pva.policies.narrowing import PolicyInForce
from pva.requests import RelyingParty, ValidationRequest
from standards.pki.fingerprints import certificate_der
from standards.rats.fields import numeric_date
from standards.tpm2.structures import ClockInfo

REQUEST, RECOGNITION, STATUS, CHAIN = "request", "recognition", "status", "chain"
HISTORY, POLICY, POLICIES, TIME = "history", "policy", "policies", "time"
PARTS: Final = (TIME, REQUEST, RECOGNITION, STATUS, CHAIN, HISTORY, POLICY, POLICIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOnRecord:
    """A manifest of a chain as it stood at a verdict, without its content; `digest` names its signed form."""

    digest: bytes
    imported_at: datetime
    approvals: tuple[Approval, ...]
    approved_at: datetime | None
    retirement: Retirement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOnRecord:
    """The chain that the credential named, oldest first (none where it was not held), and its supplier's models."""

    links: tuple[LinkOnRecord, ...]
    permitted_models: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a validation was made under; `status` is the OCSP response as it came.

    `chain` is as the PVA held it, for every model; `applied` the runtime policy that judged.
    """

    at: datetime
    request: ValidationRequest
    supplier: Supplier
    chain: ManifestChain | None
    status: bytes
    history: DeviceHistory | None
    policy: AppraisalPolicy
    policies: Sequence[PolicyInForce]
    runtime: RuntimePolicies
    applied: VerifiedRuntimePolicy | None

    def parts(self) -> Mapping[str, bytes]:
        """Every part in its encoding."""
        chain = self.chain
        applied = None if self.applied is None else self.applied.digest
        held = {
            "links": [] if chain is None else [_link(each) for each in chain.links],
            "permitted_models": [] if chain is None else sorted(chain.permitted_models.items()),
        }
        owned = [
            {"role": each.role, "owner": each.owner, "digest": _hex(each.digest)} for each in self.policies
        ]
        return MappingProxyType(
            {
                TIME: _encoded(self.at.isoformat()),
                REQUEST: _encoded(_request(self.request)),
                RECOGNITION: _recognition(self.supplier),
                STATUS: self.status,
                CHAIN: _encoded(held),
                HISTORY: _encoded(None if self.history is None else _history(self.history)),
                POLICY: _policy(self.policy, self.runtime.digests, applied),
                POLICIES: _encoded(owned),
            }
        )

    @property
    def runtime_policy(self) -> tuple[bytes, bytes] | None:
        """Digest and signed form of the runtime policy that judged, where it is known."""
        signed = None if self.applied is None else self.runtime.signed.get(self.applied.digest)
        return None if self.applied is None or signed is None else (self.applied.digest, signed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a result stands on.

    `parts` is name of `PARTS` -> its encoding, `runtime_policy` digest and signed form of the one that judged, if any.
    """

    evidence: bytes
    facts: PolicyFacts
    parts: Mapping[str, bytes]
    runtime_policy: tuple[bytes, bytes] | None = None

    @classmethod
    def of(cls, under: Circumstances, *, evidence: bytes, facts: PolicyFacts) -> Self:
        """Those of a validation that was made under these circumstances."""
        return cls(evidence=evidence, facts=facts, parts=under.parts(), runtime_policy=under.runtime_policy)

    def digests(self) -> dict[str, str]:
        """SHA-256 of each part in hex, as the audit leaf names them."""
        return {name: hashlib.sha256(part).hexdigest() for name, part in sorted(self.parts.items())}


def read_time(part: bytes) -> datetime:
    """The time that judged everything. Raises ValueError."""
    at = datetime.fromisoformat(json.loads(part))
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    return at


def read_request(part: bytes) -> ValidationRequest:
    """The request that was answered; where it was signed, its signature is not part of this. Raises ValueError."""
    value = _decoded(part)
    return ValidationRequest(
        **{
            **value,
            "party": RelyingParty(**value["party"]),
            "audience": tuple(value["audience"]),
            "origin": None,
        }
    )


def read_recognition(part: bytes) -> Supplier:
    """The supplier as it was recognised. Raises ValueError."""
    value = _decoded(part)
    return Supplier(
        name=value["name"],
        root=x509.load_der_x509_certificate(value["root"]),
        models=dict(value["models"]),
        ocsp_url=value["ocsp_url"],
        crls=tuple(
            ListedCrl(issuer=x509.load_der_x509_certificate(each["issuer"]), url=each["url"])
            for each in value.get("crls", [])
        ),
        tre_level_min=value.get("tre_level_min"),
        accreditation=_accreditation(value.get("accreditation")),
        listed_until=_time(value.get("listed_until")),
    )


def _accreditation(value: object) -> Accreditation | None:
    return None if value is None else read_accreditation(value, what="accreditation")


def _time(value: int | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, tz=UTC)


def read_chain(part: bytes) -> ChainOnRecord:
    """The chain as it was on record. Raises ValueError."""
    value = _decoded(part)
    links = (
        LinkOnRecord(
            **{
                **link,
                "approvals": tuple(read_approval(each) for each in link["approvals"]),
                "retirement": None if link["retirement"] is None else Retirement(**link["retirement"]),
            }
        )
        for link in value["links"]
    )
    return ChainOnRecord(links=tuple(links), permitted_models=dict(value["permitted_models"]))


def read_history(part: bytes) -> DeviceHistory | None:
    """What was known of the device before. Raises ValueError."""
    value = _decoded(part)
    if value is None:
        return None
    last = Sighting(**{**value["last"], "clock_info": ClockInfo(**value["last"]["clock_info"])})
    ima = None if value["ima"] is None else ImaProgress(**value["ima"])
    return DeviceHistory(**{**value, "last": last, "ima": ima})


def read_policy(part: bytes) -> tuple[AppraisalPolicy, tuple[bytes, ...], bytes | None]:
    """The baseline, the digests of runtime policies in force, and the one that judged. Raises ValueError."""
    value = _decoded(part)
    policy = AppraisalPolicy(
        pcr_selections={int(bank): tuple(pcrs) for bank, pcrs in value["pcr_selections"].items()},
        clock_grace=timedelta(seconds=value["clock_grace_s"]),
        result_life=timedelta(seconds=value["result_life_s"]),
        ima=value["ima"],
    )
    return policy, tuple(value["runtime_policies"]), value["runtime_policy"]


def read_policies(part: bytes) -> list[tuple[str, str, bytes]]:
    """Role, owner and digest of each policy that judged. Raises ValueError."""
    return [(each["role"], each["owner"], each["digest"]) for each in _decoded(part)]


_ENCODED_MAX = 256
_recognitions: Kept[str, tuple[Supplier, bytes]] = Kept(weight_max=_ENCODED_MAX)
_policies: Kept[tuple[bytes, tuple[bytes, ...], bytes | None], bytes] = Kept(weight_max=_ENCODED_MAX)
"""Encodings of what is the same in many validations, by their content."""


def _recognition(supplier: Supplier) -> bytes:
    held = _recognitions.get(supplier.name)
    if held is not None and held[0] == supplier:
        return held[1]
    value = {
        "name": supplier.name,
        "root": _hex(certificate_der(supplier.root)),
        "models": sorted(supplier.models.items()),
        "ocsp_url": supplier.ocsp_url,
        **_accredited(supplier),
    }
    part = _encoded(value)
    _recognitions.put(supplier.name, (replace(supplier, models=dict(supplier.models)), part))
    return part


def _accredited(supplier: Supplier) -> dict[str, Any]:
    """What is recorded of an accredited supplier only, so that the others' grounds read as they always did."""
    told: dict[str, Any] = {}
    if supplier.tre_level_min is not None:
        told["tre_level_min"] = supplier.tre_level_min
    if supplier.accreditation is not None:
        told["accreditation"] = accreditation_claims(supplier.accreditation)
    if supplier.crls:
        told["crls"] = [
            {"issuer": _hex(certificate_der(each.issuer)), "url": each.url} for each in supplier.crls
        ]
    if supplier.listed_until is not None:
        told["listed_until"] = numeric_date(supplier.listed_until)
    return told


def _policy(policy: AppraisalPolicy, runtime: tuple[bytes, ...], applied: bytes | None) -> bytes:
    key = policy.digest, runtime, applied
    held = _policies.get(key)
    if held is not None:
        return held
    value = {
        "pcr_selections": {str(bank): pcrs for bank, pcrs in policy.pcr_selections.items()},
        "clock_grace_s": int(policy.clock_grace.total_seconds()),
        "result_life_s": int(policy.result_life.total_seconds()),
        "ima": policy.ima,
        "runtime_policies": [_hex(each) for each in runtime],
        "runtime_policy": None if applied is None else _hex(applied),
    }
    part = _encoded(value)
    _policies.put(key, part)
    return part


def _request(request: ValidationRequest) -> dict[str, Any]:
    party = request.party
    return {
        "id": request.id,
        "device_id": request.device_id,
        "purpose": request.purpose,
        "rp_nonce": _hex(request.rp_nonce),
        "order_digest": None if request.order_digest is None else _hex(request.order_digest),
        "audience": request.audience,
        "party": {"role": party.role, "tenant": party.tenant, "name": party.name},
        "created_at": _moment(request.created_at),
        "expires_at": _moment(request.expires_at),
    }


def _link(link: ChainedManifest) -> dict[str, Any]:
    retired = link.retirement
    return {
        "digest": _hex(link.digest),
        "imported_at": _moment(link.imported_at),
        "approvals": [
            {**approval_record(each), "approved_at": _moment(each.approved_at)} for each in link.approvals
        ],
        "approved_at": None if link.approved_at is None else _moment(link.approved_at),
        "retirement": None
        if retired is None
        else {"by": retired.by, "at": _moment(retired.at), "reason": retired.reason},
    }


def _history(history: DeviceHistory) -> dict[str, Any]:
    ima = history.ima
    return {
        "last": _sighting(history.last),
        "svn_highest": history.svn_highest,
        "unsafe_since": None if history.unsafe_since is None else _moment(history.unsafe_since),
        "revision": history.revision,
        "ima": None
        if ima is None
        else {
            "count": ima.count,
            "value": _hex(ima.value),
            "reset_count": ima.reset_count,
            "restart_count": ima.restart_count,
            "policy": _hex(ima.policy),
        },
    }


def _sighting(seen: Sighting) -> dict[str, Any]:
    clock = seen.clock_info
    return {
        "device_id": seen.device_id,
        "supplier": seen.supplier,
        "hw_type": seen.hw_type,
        "ak_name": _hex(seen.ak_name),
        "qualified_signer": _hex(seen.qualified_signer),
        "storage_key_name": _hex(seen.storage_key_name),
        "generation_counter_name": _hex(seen.generation_counter_name),
        "generation_counter": seen.generation_counter,
        "clock_info": {
            "clock": clock.clock,
            "reset_count": clock.reset_count,
            "restart_count": clock.restart_count,
            "safe": clock.safe,
        },
        "firmware_version": seen.firmware_version,
        "credential_sha256": _hex(seen.credential_sha256),
        "credential_not_before": _moment(seen.credential_not_before),
        "at": _moment(seen.at),
    }


_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False)


def _encoded(value: object) -> bytes:
    """JSON, keys sorted, no spaces; bytes as `{"hex": ...}`, times as `{"time": ...}`."""
    return _encoder.encode(value).encode("ascii")


def _hex(value: bytes) -> dict[str, str]:
    return {"hex": value.hex()}


def _moment(at: datetime) -> dict[str, str]:
    return {"time": at.isoformat()}


def _decoded(part: bytes) -> Any:
    return json.loads(part, object_hook=_unmarked)


def _unmarked(value: dict[str, Any]) -> Any:
    if set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    return datetime.fromisoformat(value["time"]) if set(value) == {"time"} else value
