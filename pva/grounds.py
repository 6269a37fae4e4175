"""What a result stands on besides its evidence: the facts that policies judged, and the parts that a re-check needs. Pure.

Rule: each part has one encoding, is named by the SHA-256 of it in the audit leaf of the result, and is read back as what it
was; so a verdict can be computed again without this PVA, and a part that was changed is found by its name.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from cryptography import x509

from pva.continuity import DeviceHistory, Sighting
from pva.credential import Supplier
from pva.narrowing import PolicyInForce
from pva.policy import AppraisalPolicy
from pva.policy_facts import PolicyFacts
from pva.requests import RelyingParty, ValidationRequest
from pva.runtime_policies import RuntimePolicies
from standards.pki.fingerprints import certificate_der
from standards.tpm2.structures import ClockInfo

REQUEST, RECOGNITION, STATUS = "request", "recognition", "status"
HISTORY, POLICY, POLICIES, TIME = "history", "policy", "policies", "time"
PARTS: Final = (TIME, REQUEST, RECOGNITION, STATUS, HISTORY, POLICY, POLICIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a result stands on.

    `parts` is name of `PARTS` -> its encoding, `runtime_policy` digest and signed form of the one that judged, if any.
    """

    evidence: bytes
    facts: PolicyFacts
    parts: Mapping[str, bytes]
    runtime_policy: tuple[bytes, bytes] | None = None

    def digests(self) -> dict[str, str]:
        """SHA-256 of each part in hex, as the audit leaf names them."""
        return {name: hashlib.sha256(part).hexdigest() for name, part in sorted(self.parts.items())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a validation was made under; `status` is the OCSP response as it came."""

    at: datetime
    request: ValidationRequest
    supplier: Supplier
    manifest_imported_at: datetime | None
    status: bytes
    history: DeviceHistory | None
    policy: AppraisalPolicy
    policies: Sequence[PolicyInForce]
    runtime: RuntimePolicies
    runtime_policy: bytes | None

    def parts(self) -> Mapping[str, bytes]:
        """Every part in its encoding."""
        supplier, policy = self.supplier, self.policy
        recognition = {
            "name": supplier.name,
            "root": certificate_der(supplier.root),
            "models": dict(supplier.models),
            "ocsp_url": supplier.ocsp_url,
            "manifest_imported_at": self.manifest_imported_at,
        }
        baseline = {
            "pcr_selections": {str(bank): list(pcrs) for bank, pcrs in policy.pcr_selections.items()},
            "clock_grace_s": int(policy.clock_grace.total_seconds()),
            "result_life_s": int(policy.result_life.total_seconds()),
            "ima": policy.ima,
            "runtime_policies": list(self.runtime.digests),
            "runtime_policy": self.runtime_policy,
        }
        owned = [{"role": each.role, "owner": each.owner, "digest": each.digest} for each in self.policies]
        return MappingProxyType(
            {
                TIME: _encoded(self.at),
                REQUEST: _encoded({**asdict(self.request), "origin": None}),
                RECOGNITION: _encoded(recognition),
                STATUS: self.status,
                HISTORY: _encoded(None if self.history is None else asdict(self.history)),
                POLICY: _encoded(baseline),
                POLICIES: _encoded(owned),
            }
        )


def read_time(part: bytes) -> datetime:
    """The time that judged everything. Raises ValueError."""
    return datetime.fromisoformat(_text(json.loads(part)))


def read_request(part: bytes) -> ValidationRequest:
    """The request that was answered; where it was signed, its signature is not part of this. Raises ValueError."""
    value = _decoded(part)
    return ValidationRequest(
        **{
            **_members(value, ValidationRequest),
            "party": RelyingParty(**value["party"]),
            "audience": tuple(value["audience"]),
        }
    )


def read_recognition(part: bytes) -> tuple[Supplier, datetime | None]:
    """The supplier as it was recognised, and when the manifest was imported. Raises ValueError."""
    value = _decoded(part)
    supplier = Supplier(
        name=value["name"],
        root=x509.load_der_x509_certificate(value["root"]),
        models=value["models"],
        ocsp_url=value["ocsp_url"],
    )
    return supplier, value["manifest_imported_at"]


def read_history(part: bytes) -> DeviceHistory | None:
    """What was known of the device before. Raises ValueError."""
    value = _decoded(part)
    if value is None:
        return None
    last = Sighting(**{**value["last"], "clock_info": ClockInfo(**value["last"]["clock_info"])})
    return DeviceHistory(**{**value, "last": last})


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


def _members(value: Mapping[str, Any], kind: type[ValidationRequest]) -> dict[str, Any]:
    return {each.name: value[each.name] for each in fields(kind)}


def _encoded(value: object) -> bytes:
    """JSON, keys sorted, no spaces; bytes as `{"hex": ...}`, times as `{"time": ...}`."""
    if isinstance(value, datetime):
        return json.dumps(value.isoformat()).encode()
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_marked).encode()


def _marked(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    raise TypeError(f"no encoding of {type(value).__name__}")


def _decoded(part: bytes) -> Any:
    return json.loads(part, object_hook=_unmarked)


def _unmarked(value: dict[str, Any]) -> Any:
    if set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    return datetime.fromisoformat(value["time"]) if set(value) == {"time"} else value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a text")
    return value
