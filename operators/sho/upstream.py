"""The services that the SHO calls, as its use cases need them: DRF, PVAs, DPF, prior operators over their clients.

Rule: whatever goes wrong on the way is a `PeerError` that names the service; nothing that comes back is believed here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from clients.dpf import DpfAnswerError, DpfOperatorClient
from clients.drf import DrfAnswerError, DrfOperatorClient
from clients.pva import Approvals, PvaAnswerError, PvaOperatorClient
from clients.sho import ShoAnswerError, ShoOperatorClient
from edge.http_client import HttpError, UnreachableError
from operators.sho.approvals import OfferedApprovals
from operators.sho.changes import PriorAnswer, ReleaseRefusedError
from operators.sho.refusals import PeerError
from operators.sho.validation import Progress


@contextmanager
def _as_peer(service: str) -> Iterator[None]:
    try:
        yield
    except (UnreachableError, HttpError, DrfAnswerError, DpfAnswerError, PvaAnswerError) as error:
        raise PeerError(service, reason=str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRoute:
    """A PVA that is asked directly."""

    pva: str
    client: PvaOperatorClient

    def submit(self, token: str) -> str:
        """See `operators.sho.validation.ValidationRoute`."""
        with _as_peer(f"PVA {self.pva}"):
            return self.client.submit_request(token).request_id

    def progress(self, request_id: str) -> Progress:
        """See `operators.sho.validation.ValidationRoute`."""
        with _as_peer(f"PVA {self.pva}"):
            found = self.client.request_progress(request_id)
        return Progress(state=found.state, result=found.result)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedRoute:
    """A PVA that the registration operator asks on this operator's behalf."""

    pva: str
    client: DrfOperatorClient

    def submit(self, token: str) -> str:
        """See `operators.sho.validation.ValidationRoute`."""
        with _as_peer(f"relay to PVA {self.pva}"):
            return self.client.relay(token).request_id

    def progress(self, request_id: str) -> Progress:
        """See `operators.sho.validation.ValidationRoute`; what the relay says of the outcome counts for nothing."""
        with _as_peer(f"relay to PVA {self.pva}"):
            found = self.client.relayed(request_id)
        return Progress(state=found.state, sealed=found.sealed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PvaApprovals:
    """Approvals of every PVA of this operator, by the PVA's id."""

    clients: Mapping[str, PvaOperatorClient]

    def approvals(self, pva: str, *, result_id: str, order_digest: bytes) -> OfferedApprovals:
        """See `operators.sho.provisioning.ApprovalSource`."""
        client = self._client(pva)
        with _as_peer(f"PVA {pva}"):
            return _offered(client.approvals(result_id=result_id, order_digest=order_digest))

    def next_approvals(
        self, pva: str, *, result_id: str, order_digest: bytes, manifest_digest: bytes
    ) -> OfferedApprovals:
        """See `operators.sho.updates.NextApprovalSource`."""
        client = self._client(pva)
        with _as_peer(f"PVA {pva}"):
            return _offered(
                client.update_approvals(
                    result_id=result_id, order_digest=order_digest, manifest_digest=manifest_digest
                )
            )

    def _client(self, pva: str) -> PvaOperatorClient:
        client = self.clients.get(pva)
        if client is None:
            raise PeerError(f"PVA {pva}", reason="it is none of this operator's PVAs")
        return client


def _offered(found: Approvals) -> OfferedApprovals:
    return OfferedApprovals(
        approvals=found.approvals, day_key_chain=found.day_key_chain, storage_public=found.storage_public
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrfAnnouncer:
    """The DRF, as far as orders go."""

    client: DrfOperatorClient
    sho_name: str

    def announce(self, order_id: str, *, device_code: str) -> None:
        """See `operators.sho.registration.Announcer`."""
        with _as_peer("DRF"):
            self.client.announce_order(order_id, device_code=device_code, sho_name=self.sho_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DpfDeliveryPoint:
    """The DPF that this operator delivers by."""

    client: DpfOperatorClient

    def authorize(self, *, authorization: str, order: str, result: str, package: str, content: bytes) -> None:
        """See `operators.sho.provisioning.DeliveryPoint`."""
        with _as_peer("DPF"):
            self.client.authorize(
                authorization=authorization, order=order, result=result, package=package, content=content
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorListeners:
    """The operator listeners of the operators that subscriptions are taken over from, by the operators' ids."""

    clients: Mapping[str, ShoOperatorClient]

    def release(self, operator: str, *, device_id: str, mid_id: str) -> PriorAnswer:
        """See `operators.sho.changes.PriorOperators`."""
        client = self.clients.get(operator)
        if client is None:
            raise ReleaseRefusedError(f"{operator}: this operator takes nothing over from it any more")
        try:
            found = client.release(device_id=device_id, mid_id=mid_id)
        except HttpError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.problem is None:
                raise PeerError(f"operator {operator}", reason=str(error)) from error
            problem = error.problem
            raise ReleaseRefusedError(f"{operator}: {problem.subject}: {problem.detail}") from error
        except (UnreachableError, ShoAnswerError) as error:
            raise PeerError(f"operator {operator}", reason=str(error)) from error
        return PriorAnswer(release=found.release, instruction=found.instruction, proof=found.proof)
