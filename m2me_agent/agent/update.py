"""Updates of the platform: what the agent carries before one, and after it (R82).

Rule: the agent brings the owners' answers to the TRE, and the CA's new credential; it can hold them back and nothing else.
Before: for each operator with a MID here, a nonce of the TRE to the DPF and its owner's signed approvals back. After: the
Platform Credential that the CA made once a PVA had accepted the new state.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from m2me_agent.agent.errors import RefusedError
from m2me_agent.agent.ports import Device, Sleep, Tre, repeat
from m2me_agent.tre_protocol import Operation, Refusal


class ApprovalSource(Protocol):
    """The device part of a DPF, behind the bearer; raises AgentError."""

    def update_approvals(
        self, device: Device, *, order_digest: bytes, manifest_digest: bytes, tre_nonce: bytes
    ) -> str:
        """The owner's signed approvals of the state after an update; may be repeated."""


class CredentialSource(Protocol):
    """The device part of a CA; raises AgentError."""

    def credential(self, device_id: str) -> bytes:
        """The EnrollmentResult with the newest good PfC of a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What came of the question to one owner: "prepared" or the code of the refusal."""

    sho: str
    outcome: str
    generation: int | None = None


def prepare(
    tre: Tre,
    dpf_of: Callable[[], ApprovalSource],
    device: Device,
    *,
    manifest_digest: bytes,
    sleep: Sleep,
) -> tuple[Prepared, ...]:
    """Have every owner of a MID approve the next state.

    An owner that says no does not keep the others from it. Raises AgentError: there is no MID, or nobody was reached.
    """
    owners = sorted({row["owner"] for row in tre.ask(Operation.MIDS)["mids"]})
    if not owners:
        raise RefusedError(
            Refusal(
                code="no-mid",
                subject="update",
                reason="no MID is in this TRE, so nothing has to be approved",
                remedy="install the update",
            )
        )
    dpf = dpf_of()
    return tuple(
        _prepare_one(tre, dpf, device, sho=sho, manifest_digest=manifest_digest, sleep=sleep)
        for sho in owners
    )


def renew(tre: Tre, ca: CredentialSource, *, sleep: Sleep) -> Mapping[str, Any]:
    """Install the newest PfC of this device; what the TRE installed, described.

    Raises:
        AgentError: the CA has none, or could not be reached; or the TRE does not take it. May be repeated.
    """
    device_id = tre.ask(Operation.STATUS)["status"]["device_id"]
    result = repeat(lambda: ca.credential(device_id), sleep=sleep)
    credential: Mapping[str, Any] = tre.ask(Operation.INSTALL_CREDENTIAL, {"result": result})["credential"]
    return credential


def _prepare_one(
    tre: Tre, dpf: ApprovalSource, device: Device, *, sho: str, manifest_digest: bytes, sleep: Sleep
) -> Prepared:
    try:
        begun = tre.ask(Operation.BEGIN_UPDATE, {"sho": sho})
        approvals = repeat(
            lambda: dpf.update_approvals(
                device,
                order_digest=begun["order_digest"],
                manifest_digest=manifest_digest,
                tre_nonce=begun["nonce"],
            ),
            sleep=sleep,
        )
        taken = tre.ask(Operation.TAKE_APPROVALS, {"approvals": approvals})
    except RefusedError as refused:
        return Prepared(sho=sho, outcome=refused.code)
    return Prepared(sho=sho, outcome="prepared", generation=taken["generation"])
