"""The couriers of a PVA: what waits in its store goes to operators, to the CA and to suppliers, beside the listeners."""

import threading
from collections.abc import Callable
from datetime import timedelta

from clients.ca import CaOperatorClient
from clients.ca_holds import CaHoldClient
from clients.result_receiver import ResultReceiverClient
from edge.periodic import Periodic
from edge.process import system_clock
from edge.upstream_settings import UpstreamSettings
from pva.pushing import LOOK_INTERVAL_S, Courier, PostedResult, PostRoom
from pva.settings import PvaSettings
from pva.store.outbox import OutboxStore
from pva.store.renewals import RenewalStore
from pva.store.status_asks import StatusAskOutbox
from pva.store.watches import EventOutbox, PostedEvent
from pva.updates.renewals import PendingRenewal, Renew, RenewalCourier
from pva.watching.status_asks import CA, StatusAsk, StatusAsker

CLAIM_MARGIN_S = 5
ANSWER_BYTES_MAX = 16_384
"""What a callback may say; it is not read any further than for an error's log line."""
CALL_PARTS = 3
"""Connection, request and answer of a callback are bounded each."""


def couriers(post_room: PostRoom) -> tuple[Periodic, ...]:
    """The work of each courier of results."""
    return tuple(
        Periodic(name=f"push-{audience}", interval_s=0, work=courier.wait_and_deliver)
        for audience, courier in post_room.couriers.items()
    )


def open_post_room(
    settings: PvaSettings, outbox: OutboxStore, *, others: tuple[threading.Event, ...]
) -> PostRoom:
    """A courier for each callback and status responder of the settings; `others` hear of results too."""
    made = {
        audience: Courier(
            audience=audience,
            outbox=outbox,
            push=_push_result(ResultReceiverClient(callback.client(response_bytes_max=ANSWER_BYTES_MAX))),
            clock=system_clock,
            claim_life=_claim_life(callback),
        )
        for audience, callback in (settings.callbacks | settings.status_responders).items()
    }
    # responders are in no audience, and hear of every result
    responders = tuple(made[name].announced for name in settings.status_responders)
    return PostRoom(couriers=made, others=(*others, *responders))


def _push_result(receiver: ResultReceiverClient) -> Callable[[PostedResult], None]:
    return lambda posted: receiver.push_result(posted.token)


def event_couriers(settings: PvaSettings, outbox: EventOutbox) -> tuple[Courier[PostedEvent], ...]:
    """A courier of events for each callback of the settings."""
    return tuple(
        Courier(
            audience=audience,
            outbox=outbox,
            push=_push_event(ResultReceiverClient(callback.client(response_bytes_max=ANSWER_BYTES_MAX))),
            clock=system_clock,
            claim_life=_claim_life(callback),
        )
        for audience, callback in settings.callbacks.items()
    )


def _push_event(receiver: ResultReceiverClient) -> Callable[[PostedEvent], None]:
    return lambda posted: receiver.push_event(posted.token)


def courier_to_ca(ca: UpstreamSettings | None, outbox: StatusAskOutbox) -> tuple[Courier[StatusAsk], ...]:
    """The courier of asks about status, none where the settings name no CA."""
    if ca is None:
        return ()
    asker = StatusAsker(ca=CaHoldClient(ca.client()), store=outbox)
    courier = Courier(
        audience=CA, outbox=outbox, push=asker.tell, clock=system_clock, claim_life=_claim_life(ca)
    )
    return (courier,)


def _claim_life(callee: UpstreamSettings) -> timedelta:
    return timedelta(seconds=CLAIM_MARGIN_S + CALL_PARTS * callee.timeout_s)


def renewals(settings: PvaSettings, book: RenewalStore) -> tuple[Periodic, ...]:
    """The courier to the suppliers' CAs, where the settings name any."""
    if not settings.authorities:
        return ()
    longest_s = max(each.timeout_s for each in settings.authorities.values())
    courier = RenewalCourier(
        book=book,
        authorities={name: _renewer(each) for name, each in settings.authorities.items()},
        clock=system_clock,
        claim_life=timedelta(seconds=CLAIM_MARGIN_S + CALL_PARTS * longest_s),
    )
    return (Periodic(name="renewals", interval_s=LOOK_INTERVAL_S, work=courier.deliver),)


def _renewer(upstream: UpstreamSettings) -> Renew:
    client = CaOperatorClient(upstream.client())

    def renew(pending: PendingRenewal) -> str:
        made = client.renew_credential(
            issuer=pending.issuer,
            serial=pending.serial,
            manifest_digest=pending.manifest_digest,
            result_id=pending.result_id,
        )
        return f"{made.serial:040x}"

    return renew
