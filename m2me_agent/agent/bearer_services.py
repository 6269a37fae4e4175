"""The visited network, and the services behind its gateway, as the use cases want them.

Rule: DRF, PVA and DPF are reached through the gateway of the bearer and in no other way, over TLS whose root is the
one of the settings; whatever URLs a discovery names, they get no more than that.
"""

import ssl

from clients.dpf import DeliveryState, DpfAnswerError, DpfDeviceClient
from clients.drf import DiscoveryQuestion, DrfAnswerError, DrfDeviceClient, Registration
from clients.pva import PvaDeviceClient
from clients.vno import AkaChallenge as Challenged
from clients.vno import VnoAnswerError, VnoClient
from edge.http_client import Gateway, HttpClient
from m2me_agent.agent.attachment import AkaChallenge, Attachment
from m2me_agent.agent.download import Grant, ReceiptAnswer
from m2me_agent.agent.errors import RefusedError
from m2me_agent.agent.lives import NextStep
from m2me_agent.agent.ports import Device
from m2me_agent.agent.pva_service import PvaService
from m2me_agent.agent.registration import Wishes
from m2me_agent.agent.reports import reported
from m2me_agent.tre_protocol import Refusal
from messages.bearer import Bearer

VNO_ANSWERS = (VnoAnswerError,)
DRF_ANSWERS = (DrfAnswerError,)
DPF_ANSWERS = (DpfAnswerError,)


class VnoService:
    """The radio side of a visited network."""

    def __init__(self, client: VnoClient) -> None:
        self._client = client

    def attach(self, identity: str) -> AkaChallenge:
        """Claim an identity."""
        return _challenge(reported("VNO", lambda: self._client.attach(identity), answers=VNO_ANSWERS))

    def resynchronise(self, session: str, *, auts: bytes) -> AkaChallenge:
        """Get another challenge."""
        return _challenge(
            reported("VNO", lambda: self._client.resynchronise(session, auts=auts), answers=VNO_ANSWERS)
        )

    def respond(self, session: str, *, res: bytes) -> Bearer:
        """Get the bearer."""
        return reported("VNO", lambda: self._client.respond(session, res=res), answers=VNO_ANSWERS)


class DrfService:
    """The device part of a DRF, for a device that is attached."""

    def __init__(self, client: DrfDeviceClient, *, attachment_key: bytes) -> None:
        self._client = client
        self._key = attachment_key

    def discover(self, device: Device, *, nonce: bytes, wishes: Wishes) -> str:
        """The signed discovery answer."""
        question = DiscoveryQuestion(
            pcid=device.pcid,
            device_id=device.device_id,
            nonce=nonce,
            supplier=wishes.supplier,
            choice=wishes.choice,
        )
        return reported(
            "DRF", lambda: self._client.discover(question, attachment_key=self._key), answers=DRF_ANSWERS
        )

    def register(self, device: Device, *, sho: str, idempotency_key: str) -> str:
        """The order token."""
        registration = Registration(
            pcid=device.pcid,
            device_id=device.device_id,
            sho=sho,
            pfc_chain=device.pfc_chain,
            ak_public=device.ak_public,
        )
        return reported(
            "DRF",
            lambda: self._client.register(
                registration, attachment_key=self._key, idempotency_key=idempotency_key
            ),
            answers=DRF_ANSWERS,
        )


class DpfService:
    """The device part of a DPF."""

    def __init__(self, client: DpfDeviceClient) -> None:
        self._client = client

    def request(self, device: Device, *, order_digest: bytes) -> str:
        """The id of the open delivery of an order."""
        return reported(
            "DPF",
            lambda: self._client.request(
                device_id=device.device_id, order_digest=order_digest, pfc_chain=device.pfc_chain
            ),
            answers=DPF_ANSWERS,
        ).delivery_id

    def granted(self, delivery_id: str, *, order_digest: bytes) -> Grant | None:
        """The grant, None while the device is being validated."""
        state = reported("DPF", lambda: self._client.delivery(delivery_id), answers=DPF_ANSWERS)
        return _grant(state, order_digest=order_digest)

    def content(self, delivery_id: str, *, offset: int) -> bytes:
        """A chunk of the content."""
        return reported("DPF", lambda: self._client.content(delivery_id, offset=offset), answers=DPF_ANSWERS)

    def receipt(self, delivery_id: str, statement: bytes) -> ReceiptAnswer:
        """Hand in the TRE's receipt."""
        answer = reported("DPF", lambda: self._client.receipt(delivery_id, statement), answers=DPF_ANSWERS)
        return ReceiptAnswer(outcome=answer.outcome, instruction=answer.instruction)

    def update_approvals(
        self, device: Device, *, order_digest: bytes, manifest_digest: bytes, tre_nonce: bytes
    ) -> str:
        """The owner's signed approvals of the state after an update."""
        return reported(
            "DPF",
            lambda: self._client.update_approvals(
                device_id=device.device_id,
                order_digest=order_digest,
                manifest_digest=manifest_digest,
                tre_nonce=tre_nonce,
            ),
            answers=DPF_ANSWERS,
        )

    def mid_step(self, device: Device, *, order_digest: bytes, statement: bytes | None) -> NextStep:
        """What the owner of an order's MID wants next."""
        step = reported(
            "DPF",
            lambda: self._client.mid_step(
                device_id=device.device_id, order_digest=order_digest, statement=statement
            ),
            answers=DPF_ANSWERS,
        )
        return NextStep(step=step.step, token=step.token)


class BearerServices:
    """DRF, PVA and DPF through the gateway of a bearer; connections are kept for the whole journey."""

    def __init__(self, *, drf_url: str, tls: ssl.SSLContext, timeout_s: float) -> None:
        self._drf_url = drf_url
        self._tls = tls
        self._timeout_s = timeout_s
        self._clients: dict[tuple[str, str], HttpClient] = {}

    def drf(self, attachment: Attachment) -> DrfService:
        """The DRF of the settings."""
        http = self._http(attachment.bearer, self._drf_url)
        return DrfService(DrfDeviceClient(http), attachment_key=attachment.key)

    def pva(self, attachment: Attachment, url: str) -> PvaService:
        """The PVA of a discovery."""
        return PvaService(PvaDeviceClient(self._http(attachment.bearer, url)))

    def dpf(self, attachment: Attachment, url: str) -> DpfService:
        """The DPF of a discovery."""
        return DpfService(DpfDeviceClient(self._http(attachment.bearer, url)))

    def _http(self, bearer: Bearer, url: str) -> HttpClient:
        known = self._clients.get((bearer.id, url))
        if known is None:
            gateway = Gateway(
                address=bearer.gateway, bearer_id=bearer.id, secret=bearer.secret, tls=self._tls
            )
            try:
                known = HttpClient(url, tls=self._tls, gateway=gateway, timeout_s=self._timeout_s)
            except ValueError as error:
                raise _no_service(url, error) from error
            self._clients[bearer.id, url] = known
        return known


def _challenge(given: Challenged) -> AkaChallenge:
    return AkaChallenge(session=given.session, rand=given.rand, autn=given.autn)


def _grant(state: DeliveryState, *, order_digest: bytes) -> Grant | None:
    if state.package is None or state.delivery is None or state.content_size is None:
        return None
    return Grant(
        order_digest=order_digest,
        delivery_id=state.delivery_id,
        package=state.package,
        delivery=state.delivery,
        content_size=state.content_size,
    )


def _no_service(url: str, error: ValueError) -> RefusedError:
    return RefusedError(
        Refusal(
            code="answer",
            subject="URL of a service",
            reason=f"{error}",
            remedy=f"ask the operator that named {url[:200]}",
        )
    )
