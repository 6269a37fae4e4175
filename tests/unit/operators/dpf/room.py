"""Steps that the tests of the DPF's use cases share."""

from datetime import datetime, timedelta
from typing import Any

from messages.encoding import encode_deterministic
from operators.dpf.gate import AuthorizedParts
from operators.dpf.records import AuthorizationRecord, DeliveryRecord
from operators.dpf.release import GrantedDelivery
from tests.fakes.dpf_counterparts import DpfRoom
from tests.fakes.dpf_world import SHO, DpfWorld
from tests.fakes.pki import NOW

WORLD = DpfWorld()
PARTS = WORLD.parts()
SECOND = timedelta(seconds=1)


def new_room() -> DpfRoom:
    """A DPF to which nothing has happened."""
    return DpfRoom(WORLD)


def body_of(parts: AuthorizedParts) -> bytes:
    """The body of an authorisation."""
    return encode_deterministic(
        {1: parts.authorization, 2: parts.order, 3: parts.result, 4: parts.package, 5: parts.content}
    )


def authorize(
    room: DpfRoom, parts: AuthorizedParts | None = None, *, at: datetime = NOW
) -> AuthorizationRecord:
    """Bring an authorisation as the SHO."""
    record, _ = room.authorizations.accept(body_of(parts or PARTS), sho=SHO, at=at)
    return record


def come(room: DpfRoom, *, at: datetime = NOW, **changed: Any) -> DeliveryRecord:
    """Ask for the delivery as the device."""
    asked = {
        "device_id": WORLD.device.device_id,
        "order_digest": WORLD.order.digest,
        "pfc_chain": WORLD.chain,
        **changed,
    }
    return room.releases.open(asked["device_id"], asked["order_digest"], pfc_chain=asked["pfc_chain"], at=at)


def answer(room: DpfRoom, delivery: DeliveryRecord, *, at: datetime = NOW, **changed: Any) -> str:
    """Let the PVA answer the question of a delivery; the token."""
    fresh = WORLD.fresh(
        **{
            "nonce": delivery.nonce,
            "result_id": f"fresh-{len(room.pva.answers) + 1}",
            "issued_at": at.replace(microsecond=0),
            "expires_at": at.replace(microsecond=0) + timedelta(minutes=5),
            **changed,
        },
    )
    token = WORLD.signed_result(fresh)
    room.pva.answers[room.pva.submit(delivery.pva, delivery.request)] = token
    return token


def granted(room: DpfRoom, *, at: datetime = NOW) -> tuple[DeliveryRecord, GrantedDelivery]:
    """A device that came and was granted its delivery."""
    delivery = come(room, at=at)
    answer(room, delivery, at=at)
    grant = room.releases.progress(delivery.id, at=at)
    assert grant is not None
    return delivery, grant
