"""What each socket may ask for: one use case an operation, and nothing of the other socket's.

The rule: the agent's operations and the person's are two disjoint sets; who speaks is the socket's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from m2me_agent.tre import answering
from m2me_agent.tre.attestation import Attestation
from m2me_agent.tre.connectivity import ConnectivityUse
from m2me_agent.tre.enrollment import Enrollment, identity
from m2me_agent.tre.erasure import Erasures
from m2me_agent.tre.errors import TreError
from m2me_agent.tre.installation import Installation
from m2me_agent.tre.mids import Mids
from m2me_agent.tre.operator_change import OperatorChanges
from m2me_agent.tre.operator_tokens import kind_of
from m2me_agent.tre.orders import AcceptedOrder, Orders
from m2me_agent.tre.registry import Registry
from m2me_agent.tre.state import TreState
from m2me_agent.tre.updates import Updates
from m2me_agent.tre.usim import NetworkChallenge
from m2me_agent.tre_protocol import AGENT_OPERATIONS, MMI_OPERATIONS, Operation
from messages.switch import SWITCH_KIND
from standards.pki.errors import PkiError
from standards.pki.fingerprints import certificate_sha256, decode_certificate

Parameters = Mapping[str, Any]
Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Everything that an agent may ask of this TRE."""

    enrollment: Enrollment
    attestation: Attestation
    connectivity: ConnectivityUse
    orders: Orders
    installation: Installation
    mids: Mids
    registry: Registry
    erasures: Erasures
    changes: OperatorChanges
    updates: Updates
    state: TreState

    def answer(self, payload: bytes) -> bytes:
        """The response to the payload of one frame; for any bytes, without raising."""
        return answering.answer(payload, allowed=AGENT_OPERATIONS, perform=self._perform)

    def _perform(self, operation: Operation, parameters: Parameters) -> Result:
        match operation:
            case Operation.STATUS:
                return {"status": self._status()}
            case Operation.BEGIN_ENROLLMENT:
                return {"request": self.enrollment.begin()}
            case Operation.ACTIVATE:
                return {"activation": self.enrollment.activate(parameters["challenge"])}
            case Operation.INSTALL_CREDENTIAL:
                installed = self.enrollment.install(parameters["result"])
                self.updates.retire()  # a PfC for a new manifest says that the update is done
                return {"credential": _described(installed)}
            case Operation.ATTEST:
                return {"evidence": self.attestation.attest(parameters["challenge_token"])}
            case _:
                return self._subscribe(operation, parameters)

    def _subscribe(self, operation: Operation, parameters: Parameters) -> Result:
        """The operations of the fourteen steps up to the receipt, without attestation."""
        match operation:
            case Operation.INSTALL_CONNECTIVITY:
                installed = self.connectivity.install(parameters["token"])
                return {"pcid": installed.pcid, "identity": installed.identity}
            case Operation.ATTACH:
                return self.connectivity.attach(_challenge(parameters))
            case Operation.ACCEPT_ORDER:
                order = self.orders.accept(**parameters)
                return {
                    "order_digest": order.digest,
                    "consent": order.consent.value,
                    "sho_name": order.sho_name,
                    "order_code": order.order_code,
                }
            case Operation.ACCEPT_UPDATE:
                return {"order_digest": self.orders.accept_update(parameters["order"]).digest}
            case Operation.INSTALL:
                return {"statement": self.installation.install(**parameters)}
            case _:
                return self._use_mids(operation, parameters)

    def _use_mids(self, operation: Operation, parameters: Parameters) -> Result:
        """The operations on MIDs that are installed."""
        match operation:
            case Operation.INSTRUCT:
                token = parameters["instruction"]
                follow = self.changes.follow if kind_of(token) == SWITCH_KIND.typ else self.mids.instruct
                row = follow(token)
                return {"mid_id": row.mid_id, "state": row.state.value}
            case Operation.AUTHENTICATE:
                return self.mids.authenticate(
                    _challenge(parameters),
                    mid_id=parameters["mid_id"],
                    application=parameters["application"],
                )
            case Operation.MIDS:
                return {"mids": self.mids.rows()}
            case Operation.REPORT:
                return {"statement": self.registry.report(parameters["query"])}
            case Operation.ERASE:
                return {"statement": self.erasures.erase(parameters["instruction"])}
            case _:
                return self._update(operation, parameters)

    def _update(self, operation: Operation, parameters: Parameters) -> Result:
        """The operations around an update of the platform."""
        match operation:
            case Operation.BEGIN_UPDATE:
                begun = self.updates.begin(parameters["sho"])
                return {"nonce": begun.nonce, "order_digest": begun.order_digest}
            case Operation.TAKE_APPROVALS:
                taken = self.updates.take(parameters["approvals"])
                return {"manifest_digest": taken.manifest_digest, "generation": taken.generation}
            case _:
                raise _not_here(operation)

    def open_vault(self) -> None:
        """At start: open what opens in this state, and finish an update, an erasure or a change of operator that a cut left unfinished.

        Raises:
            NotEnrolledError, TpmDeviceError, StateError: nothing was opened.
        """
        self.mids.open_vault()
        self.changes.settle()
        self.erasures.finish()
        self.updates.retire()

    def _status(self) -> dict[str, Any]:
        keys, chain = self.state.keys(), self.state.credential()
        connectivity = self.connectivity.installed()
        status: dict[str, Any] = {
            "device_id": "",
            "credential": {},
            "storage_public": "",
            "ak_public": "",
            "pfc_chain": list(chain or ()),
            "pcid": "" if connectivity is None else connectivity.pcid,
            "identity": "" if connectivity is None else connectivity.identity,
        }
        if keys is not None:
            status["device_id"] = identity(keys.ek).hex()
            status["storage_public"] = keys.storage.encode().hex()
            status["ak_public"] = keys.ak.encode().hex()
        if chain is not None:
            try:
                status["credential"] = _described(decode_certificate(chain[0]))
            except PkiError as error:
                status["credential"] = {"unreadable": str(error)}
        return status


@dataclass(frozen=True, slots=True, kw_only=True)
class MmiOperations:
    """Everything that the person at the device may ask of this TRE."""

    orders: Orders
    mids: Mids

    def answer(self, payload: bytes) -> bytes:
        """The response to the payload of one frame; for any bytes, without raising."""
        return answering.answer(payload, allowed=MMI_OPERATIONS, perform=self._perform)

    def _perform(self, operation: Operation, parameters: Parameters) -> Result:
        match operation:
            case Operation.PENDING:
                return {"orders": [_shown(order) for order in self.orders.pending()]}
            case Operation.USIMS:
                return {"usims": self.mids.usims()}
            case Operation.SELECT:
                return {"access": self.mids.select(**parameters).access}
            case Operation.CONSENT:
                self.orders.consent(parameters["order_digest"])
            case Operation.REFUSE:
                self.orders.refuse(parameters["order_digest"])
            case _:
                raise _not_here(operation)
        return {"order_digest": parameters["order_digest"]}


def _challenge(parameters: Parameters) -> NetworkChallenge:
    return NetworkChallenge(rand=parameters["rand"], autn=parameters["autn"])


def _shown(order: AcceptedOrder) -> dict[str, Any]:
    return {
        "order_digest": order.digest,
        "sho": order.sho,
        "sho_name": order.sho_name,
        "order_code": order.order_code,
        "consent": order.consent.value,
    }


def _described(credential: x509.Certificate) -> dict[str, str]:
    return {
        "serial": f"{credential.serial_number:040x}",
        "issuer": credential.issuer.rfc4514_string(),
        "not_before": f"{credential.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{credential.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "sha256": certificate_sha256(credential),
    }


def _not_here(operation: Operation) -> TreError:
    return TreError(
        subject=operation, reason="is not answered on this socket", remedy="ask on the other socket"
    )
