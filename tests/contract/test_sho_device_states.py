"""The AuC follows what a PVA tells of a watched device: in memory, on SQLite and on PostgreSQL alike (R24)."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from messages.operator_token import OperatorSigner
from messages.reliance import RESULT_KIND
from messages.state_event import STATE_EVENT_KIND, PlatformState, StateEvent
from operators.sho.refusals import RefusalCode, RefusalError
from standards.pki import oids
from tests.contract.test_sho_store import keys, world
from tests.fakes.sho_peers import DPF, OTHER_PVA, PVA, SHO, Keys
from tests.fakes.sho_world import World

__all__ = ["keys", "world"]

pytestmark = pytest.mark.requirement("R24")


class Watched:
    """One active subscription whose device is watched."""

    def __init__(self, world: World) -> None:
        """Bring an order to its end."""
        self.world = world
        order = world.authorized()
        world.receipts.take(world.message(order.id), at=world.at)
        self.imsi = world.imsi(order.id)
        self.device_id = world.keys.device.device_id
        self.signers = {
            name: world.keys.signer(world.keys.result_key, oids.EKU_ATTESTATION_RESULT, role="pva", name=name)
            for name in (PVA, OTHER_PVA, "pva-9")
        }

    def told(
        self,
        state: PlatformState,
        sequence: int,
        *,
        by: OperatorSigner | None = None,
        typ: str = STATE_EVENT_KIND.typ,
        **changed: Any,
    ) -> bool:
        """Bring an event; whether it was news."""
        event = StateEvent(
            pva=PVA,
            jti=f"event-{sequence}",
            audience=(SHO, DPF),
            operator=SHO,
            device_id=self.device_id,
            state=state,
            sequence=sequence,
            result_id=None if state is PlatformState.STALE else "result-9",
            since=self.world.at,
            issued_at=self.world.at,
        )
        signer = by or self.signers[PVA]
        token = signer.sign(replace(event, **changed).claims(), typ=typ)
        news: bool = self.world.states.take(token, at=self.world.at)
        return news

    def served(self) -> bool:
        """Whether the AuC gives vectors."""
        try:
            return bool(self.world.authentication.vectors(self.imsi))
        except RefusalError as refusal:
            if refusal.code != RefusalCode.SUBSCRIPTION_SUSPENDED.value:
                raise
            return False


@pytest.fixture
def watched(world: World) -> Watched:
    return Watched(world)


def test_a_bad_state_suspends_and_a_good_one_opens_again(watched: Watched) -> None:
    assert watched.served()
    assert watched.told(PlatformState.CONTRAINDICATED, 1)
    assert not watched.served()
    assert watched.told(PlatformState.AFFIRMING, 2)
    assert watched.served()
    leaves = watched.world.leaves(watched.device_id)
    assert leaves[-2:] == ["subscription-suspended", "subscription-reopened"]


@pytest.mark.negative
@pytest.mark.parametrize("state", [PlatformState.STALE, PlatformState.WARNING])
def test_what_is_not_known_for_bad_changes_nothing(watched: Watched, state: PlatformState) -> None:
    assert watched.told(state, 1)
    assert watched.served()
    watched.told(PlatformState.CONTRAINDICATED, 2)
    assert watched.told(state, 3)
    assert not watched.served()
    assert watched.world.leaves(watched.device_id)[-1] == "state-noted"


@pytest.mark.negative
def test_an_old_event_does_not_open_what_a_newer_one_closed(watched: Watched) -> None:
    assert watched.told(PlatformState.CONTRAINDICATED, 7)
    for sequence in (6, 7):
        assert not watched.told(PlatformState.AFFIRMING, sequence)
    assert not watched.served()


@pytest.mark.negative
def test_one_pva_does_not_take_back_what_another_one_says(watched: Watched) -> None:
    assert watched.told(PlatformState.CONTRAINDICATED, 1)
    assert watched.told(PlatformState.AFFIRMING, 9, by=watched.signers[OTHER_PVA])
    assert not watched.served()


@pytest.mark.negative
def test_another_device_is_another_subscription(watched: Watched) -> None:
    assert watched.told(PlatformState.CONTRAINDICATED, 1, device_id="ee" * 32)
    assert watched.served()


@pytest.mark.negative
@pytest.mark.parametrize("wrong", ["role", "purpose", "type", "audience", "operator", "pva", "time", "token"])
def test_an_event_that_is_right_in_all_but_one_changes_nothing(watched: Watched, wrong: str) -> None:
    """Who can forge an event could switch off every subscriber."""
    keys: Keys = watched.world.keys
    eku = oids.EKU_CHALLENGE if wrong == "purpose" else oids.EKU_ATTESTATION_RESULT
    role = "dpf" if wrong == "role" else "pva"
    forged = keys.signer(keys.token_key, eku, role=role, name=PVA)
    by = {"role": forged, "purpose": forged, "pva": watched.signers["pva-9"]}.get(wrong)
    altered: dict[str, dict[str, Any]] = {
        "audience": {"audience": (DPF,)},
        "operator": {"operator": "sho-2"},
        "time": {"issued_at": watched.world.at + timedelta(seconds=6)},
    }
    changed = altered.get(wrong, {})
    typ = RESULT_KIND.typ if wrong == "type" else STATE_EVENT_KIND.typ
    with pytest.raises(RefusalError) as caught:
        if wrong == "token":
            watched.world.states.take("made.up.token", at=watched.world.at)
        watched.told(PlatformState.CONTRAINDICATED, 1, by=by, typ=typ, **changed)
    assert caught.value.code == RefusalCode.EVENT_INVALID.value
    assert watched.served()


@pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)
def test_of_many_events_at_once_the_newest_stands(watched: Watched) -> None:
    states = [PlatformState.AFFIRMING] * 7 + [PlatformState.CONTRAINDICATED]
    threads = [
        threading.Thread(target=watched.told, args=(state, sequence))
        for sequence, state in enumerate(states, start=1)
    ]
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert not watched.served()
