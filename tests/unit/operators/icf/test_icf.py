"""The ICF's use cases: what a network gets, what it is refused, and what the DRF is told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.http_client import UnreachableError
from edge.refused import RefusedError
from messages.attachment import attachment_key
from operators.icf.attachments import AttachmentDesk
from operators.icf.refusals import REFUSALS, RefusalCode
from operators.icf.subscribers import BearerTerms, Subscriber, SubscriberDesk
from operators.icf.vectors import Resynchronisation, VectorDesk, check_network
from standards.aka.milenage import MilenageKey
from standards.aka.sequence import SEQ_MAX, HomeSequence, UsimSequence, parts_of, sqn_of
from standards.aka.vectors import Authenticated, AuthenticationVector, authenticate, make_auts
from standards.aka.vectors import Resynchronisation as UsimResynchronisation
from tests.fakes.access_memory import Counting, IcfMemory

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
LIFE = timedelta(seconds=120)
PCID, OTHER_PCID = "999700000000001", "999700000000002"
KEY = MilenageKey(k=bytes(range(16)), opc=bytes(range(16, 32)))
TERMS = BearerTerms(apn="provisioning", destinations=("drf.example:443",), quota_bytes=1000, life_s=60)
SUBSCRIBER = Subscriber(pcid=PCID, key=KEY, amf=b"\x00\x00", terms=TERMS)


class Drf:
    """Keeps what it is told, or does not answer."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bytes, datetime]] = []
        self.up = True

    def attached(self, pcid: str, *, serving_network: str, key: bytes, expires_at: datetime) -> None:
        if not self.up:
            raise UnreachableError("https://drf.example", reason="Connection refused")
        self.told.append((pcid, serving_network, key, expires_at))


class World:
    """An ICF with one subscriber."""

    def __init__(self, *, batch: int = 1) -> None:
        self.store, self.drf = IcfMemory(), Drf()
        self.vectors = VectorDesk(self.store, random_bytes=Counting(), batch=batch, vector_life=LIFE)
        self.attachments = AttachmentDesk(self.store, discovery=self.drf)
        self.subscribers = SubscriberDesk(self.store)
        self.subscribers.take_over(SUBSCRIBER, by="ccif", at=NOW)

    def issue(
        self,
        *,
        pcid: str = PCID,
        network: str = "vno-1",
        auts: Resynchronisation | None = None,
        at: datetime = NOW,
    ) -> tuple[AuthenticationVector, ...]:
        return self.vectors.issue(pcid, network=network, resynchronisation=auts, caller="vno", at=at).vectors

    def attach(
        self,
        rand: bytes,
        *,
        pcid: str = PCID,
        network: str = "vno-1",
        until: datetime = NOW + timedelta(seconds=60),
        at: datetime = NOW,
    ) -> None:
        self.attachments.attached(pcid, network=network, rand=rand, until=until, caller="vno", at=at)


def code_of(caught: pytest.ExceptionInfo[RefusedError]) -> str:
    return caught.value.code


@pytest.mark.requirement("R85")
@pytest.mark.requirement("R87")
def test_a_batch_is_taken_by_the_usim_in_order() -> None:
    world, usim = World(batch=3), UsimSequence()
    batch = world.vectors.issue(PCID, network="vno-1", resynchronisation=None, caller="vno", at=NOW)
    assert batch.terms == TERMS
    for vector in batch.vectors:
        answer = authenticate(KEY, rand=vector.rand, autn=vector.autn, sequence=usim)
        assert isinstance(answer, Authenticated)
        assert (answer.res, answer.ck, answer.ik) == (vector.xres, vector.ck, vector.ik)
        usim = answer.sequence
    assert len({vector.rand for vector in (*batch.vectors, *world.issue())}) == 6


@pytest.mark.negative
def test_an_unknown_pcid_has_no_vectors() -> None:
    with pytest.raises(RefusedError) as caught:
        World().issue(pcid=OTHER_PCID)
    assert code_of(caught) == RefusalCode.UNKNOWN_SUBSCRIBER


@pytest.mark.negative
@pytest.mark.requirement("R87")
def test_a_network_speaks_for_itself_only() -> None:
    assert check_network("vno-1", tenant="vno-1") == "vno-1"
    with pytest.raises(RefusedError) as caught:
        check_network("vno-1", tenant="vno-2")
    assert code_of(caught) == RefusalCode.FOREIGN_NETWORK


@pytest.mark.requirement("R87")
def test_auts_moves_the_sequence_past_the_usim() -> None:
    world, usim = World(), UsimSequence(highest=(700,) * 32)
    (vector,) = world.issue()
    answer = authenticate(KEY, rand=vector.rand, autn=vector.autn, sequence=usim)
    assert isinstance(answer, UsimResynchronisation)
    (again,) = world.issue(auts=Resynchronisation(rand=vector.rand, auts=answer.auts))
    taken = authenticate(KEY, rand=again.rand, autn=again.autn, sequence=usim)
    assert isinstance(taken, Authenticated)
    assert parts_of(taken.sequence.sqn_ms)[0] == 701


@pytest.mark.negative
@pytest.mark.requirement("R87")
@pytest.mark.parametrize("fault", ["key", "rand", "network", "pcid", "late"])
def test_a_wrong_auts_moves_nothing(fault: str) -> None:
    world = World()
    other = MilenageKey(k=bytes(16), opc=bytes(16))
    world.subscribers.take_over(replace(SUBSCRIBER, pcid=OTHER_PCID), by="ccif", at=NOW)
    (vector,) = world.issue()
    auts = make_auts(other if fault == "key" else KEY, rand=vector.rand, sqn_ms=sqn_of(seq=900, ind=1))
    told = Resynchronisation(rand=bytes(16) if fault == "rand" else vector.rand, auts=auts)
    before = world.store.subscribers[PCID].sequence
    with pytest.raises(RefusedError) as caught:
        world.issue(
            auts=told,
            network="vno-2" if fault == "network" else "vno-1",
            pcid=OTHER_PCID if fault == "pcid" else PCID,
            at=NOW + LIFE if fault == "late" else NOW,
        )
    expected = RefusalCode.AUTS_INVALID if fault == "key" else RefusalCode.RAND_NOT_ISSUED
    assert code_of(caught) == expected
    assert world.store.subscribers[PCID].sequence == before


@pytest.mark.negative
def test_used_up_numbers_end_the_subscriber() -> None:
    world = World()
    full = replace(SUBSCRIBER, pcid=OTHER_PCID, sequence=HomeSequence(seq=SEQ_MAX))
    world.subscribers.take_over(full, by="ccif", at=NOW)
    with pytest.raises(RefusedError) as caught:
        world.issue(pcid=OTHER_PCID)
    assert code_of(caught) == RefusalCode.SEQUENCE_USED_UP


@pytest.mark.requirement("R90")
def test_the_drf_is_told_the_key_that_the_device_derives() -> None:
    world = World()
    (vector,) = world.issue()
    until = NOW + timedelta(seconds=60)
    world.attach(vector.rand, until=until)
    key = attachment_key(ck=vector.ck, ik=vector.ik, pcid=PCID)
    assert world.drf.told == [(PCID, "vno-1", key, until)]


@pytest.mark.negative
@pytest.mark.requirement("R90")
@pytest.mark.requirement("R107")
def test_only_a_rand_of_this_network_and_pcid_attaches_in_time() -> None:
    world = World()
    world.subscribers.take_over(replace(SUBSCRIBER, pcid=OTHER_PCID), by="ccif", at=NOW)
    (vector,) = world.issue()
    latest = NOW + LIFE + timedelta(seconds=TERMS.life_s)
    late = NOW + LIFE
    calls: list[tuple[str, Callable[[], None]]] = [
        (RefusalCode.RAND_NOT_ISSUED, lambda: world.attach(bytes(16))),
        (RefusalCode.RAND_NOT_ISSUED, lambda: world.attach(vector.rand, network="vno-2")),
        (RefusalCode.RAND_NOT_ISSUED, lambda: world.attach(vector.rand, pcid=OTHER_PCID)),
        (RefusalCode.RAND_NOT_ISSUED, lambda: world.attach(vector.rand, at=late, until=latest)),
        (
            RefusalCode.ATTACHMENT_TOO_LONG,
            lambda: world.attach(vector.rand, until=latest + timedelta(seconds=1)),
        ),
        (RefusalCode.ATTACHMENT_TOO_LONG, lambda: world.attach(vector.rand, until=NOW)),
    ]
    for expected, call in calls:
        with pytest.raises(RefusedError) as caught:
            call()
        assert code_of(caught) == expected
    assert world.drf.told == []


@pytest.mark.negative
@pytest.mark.requirement("R90")
def test_one_vector_opens_one_bearer() -> None:
    world = World()
    (vector,) = world.issue()
    world.attach(vector.rand)
    with pytest.raises(RefusedError) as caught:
        world.attach(vector.rand, until=NOW + timedelta(seconds=30))
    assert code_of(caught) == RefusalCode.ALREADY_ATTACHED


@pytest.mark.negative
def test_an_attachment_that_the_drf_missed_is_sent_again() -> None:
    world = World()
    (vector,) = world.issue()
    world.drf.up = False
    with pytest.raises(RefusedError) as caught:
        world.attach(vector.rand)
    assert code_of(caught) == RefusalCode.DISCOVERY_UNREACHABLE
    world.drf.up = True
    world.attach(vector.rand)
    assert len(world.drf.told) == 1
    assert world.store.audit.count("attached") == 1


def test_the_same_hand_over_again_changes_the_terms_only() -> None:
    world = World()
    world.issue()
    assert not world.subscribers.take_over(SUBSCRIBER, by="ccif", at=NOW)
    changed = replace(SUBSCRIBER, terms=replace(TERMS, quota_bytes=5))
    assert not world.subscribers.take_over(changed, by="ccif", at=NOW)
    assert world.store.subscribers[PCID].terms.quota_bytes == 5
    assert world.store.subscribers[PCID].sequence.seq == 1
    assert world.store.audit == ["subscriber-added", "vectors-issued", "subscriber-changed"]


@pytest.mark.negative
@pytest.mark.parametrize("key", [replace(KEY, k=bytes(16)), replace(KEY, opc=bytes(16))])
def test_another_key_under_a_known_pcid_is_refused(key: MilenageKey) -> None:
    world = World()
    with pytest.raises(RefusedError) as caught:
        world.subscribers.take_over(replace(SUBSCRIBER, key=key), by="ccif", at=NOW)
    assert code_of(caught) == RefusalCode.SUBSCRIBER_CONFLICT
    assert world.store.subscribers[PCID].key == KEY


def test_every_code_has_a_remedy() -> None:
    assert set(REFUSALS) == set(RefusalCode)
    assert all(rule.remedy for rule in REFUSALS.values())
