"""Attachment at a visited network: routing, sessions, and each step of AKA that can say no."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clients.icf import BearerTerms, IcfAnswerError, Resynchronisation, VectorBatch, read_batch
from edge.http_client import HttpError, UnreachableError
from edge.problem_document import Problem
from edge.refused import RefusedError
from messages.attachment import nai_of
from operators.vno.attachment import AttachmentDesk, AttachmentRules, Challenge, Home
from operators.vno.bearers import is_proven
from operators.vno.refusals import REFUSALS, RefusalCode
from operators.vno.routing import Network, network_of
from operators.vno.sessions import SESSIONS_OF_A_PCID_MAX, Session, Sessions
from standards.aka.milenage import MilenageKey
from standards.aka.sequence import UsimSequence, sqn_of
from standards.aka.vectors import make_auts, make_vector, verify_auts
from tests.fakes.access_memory import Counting, VnoMemory
from tests.fakes.usim import SoftwareUsim

NOW = datetime(2026, 6, 1, 12, 0, 0, 500_000, tzinfo=UTC)
PCID = "999700000000001"
IDENTITY = nai_of(PCID, mnc_digits=2)
KEY = MilenageKey(k=bytes(range(16)), opc=bytes(range(16, 32)))
TERMS = BearerTerms(apn="provisioning", destinations=("drf.example:443",), quota_bytes=1000, life_s=60)
HOME: Network = ("999", "70")


class Icf:
    """An AuC of one subscriber, which may fail."""

    def __init__(self) -> None:
        self.seq = 0
        self.asked: list[str] = []
        self.told: list[tuple[str, str, bytes, datetime]] = []
        self.error: Exception | None = None
        self.terms = TERMS

    def authentication_vectors(
        self, pcid: str, *, serving_network: str, resynchronisation: Resynchronisation | None = None
    ) -> VectorBatch:
        if self.error is not None:
            raise self.error
        self.asked.append(serving_network)
        if resynchronisation is not None:
            self.seq = verify_auts(KEY, rand=resynchronisation.rand, auts=resynchronisation.auts) >> 5
        self.seq += 1
        rand = (len(self.asked)).to_bytes(16, "big")
        vector = make_vector(KEY, rand=rand, sqn=sqn_of(seq=self.seq, ind=self.seq % 32), amf=b"\x00\x00")
        assert pcid == PCID
        return VectorBatch(vectors=(vector,), bearer=self.terms)

    def attached(self, pcid: str, *, serving_network: str, rand: bytes, expires_at: datetime) -> None:
        if self.error is not None:
            raise self.error
        self.told.append((pcid, serving_network, rand, expires_at))


class World:
    """A visited network with one agreement."""

    def __init__(self, *, sessions_max: int = 4, hears: bool = True) -> None:
        self.icf, self.store = Icf(), VnoMemory()
        self.usim = SoftwareUsim(KEY)
        self.desk = AttachmentDesk(
            self.store,
            homes={HOME: Home(network=self.icf, hears_attachments=hears)},
            sessions=Sessions(sessions_max=sessions_max),
            rules=AttachmentRules(serving_network="vno-1", session_life=timedelta(seconds=10)),
            random_bytes=Counting(),
        )

    def attach(self, *, at: datetime = NOW) -> Challenge:
        return self.desk.attach(IDENTITY, at=at)

    def res(self, challenge: Challenge) -> bytes:
        return self.usim.response(challenge.rand, challenge.autn)


def code_of(caught: pytest.ExceptionInfo[RefusedError]) -> str:
    return caught.value.code


# --- routing


@pytest.mark.requirement("R02")
@pytest.mark.parametrize(
    ("pcid", "realm", "known", "found"),
    [
        ("001010000000001", ("001", "01"), [("001", "01"), ("999", "70")], ("001", "01")),
        ("999700000000001", ("999", "70"), [("001", "01"), ("999", "70")], ("999", "70")),
        ("310410000000001", ("310", "410"), [("310", "410"), ("310", "41")], ("310", "410")),
        ("310410000000001", ("310", "41"), [("310", "410"), ("310", "41")], ("310", "41")),
        ("208010000000001", ("208", "01"), [("001", "01"), ("999", "70")], None),
        ("310410000000001", ("310", "410"), [("310", "41")], None),
        ("310410000000001", ("311", "410"), [("310", "410")], None),
    ],
)
def test_the_longest_match_decides(
    pcid: str, realm: Network, known: list[Network], found: Network | None
) -> None:
    assert network_of(pcid, realm=realm, known=known) == found


@pytest.mark.negative
@pytest.mark.requirement("R02")
def test_no_agreement_no_question() -> None:
    world = World()
    with pytest.raises(RefusedError) as caught:
        world.desk.attach(nai_of("208010000000001", mnc_digits=2), at=NOW)
    assert code_of(caught) == RefusalCode.NO_ROAMING_AGREEMENT
    assert world.icf.asked == []


@pytest.mark.negative
@pytest.mark.requirement("R84")
@pytest.mark.parametrize(
    "identity", ["", PCID, IDENTITY.replace("0999", "1999", 1), IDENTITY + "x", "0" * 100]
)
def test_another_form_of_identity_is_refused(identity: str) -> None:
    with pytest.raises(RefusedError) as caught:
        World().desk.attach(identity, at=NOW)
    assert code_of(caught) == RefusalCode.IDENTITY_MALFORMED


# --- authentication


@pytest.mark.requirement("R84")
@pytest.mark.requirement("R86")
@pytest.mark.requirement("R89")
def test_the_right_res_opens_a_bearer_that_the_home_network_knows_of() -> None:
    world = World()
    challenge = world.attach()
    opened = world.desk.respond(challenge.session, res=world.res(challenge), at=NOW)
    bearer = opened.bearer
    until = NOW.replace(microsecond=0) + timedelta(seconds=60)
    assert world.icf.asked == ["vno-1"]
    assert world.icf.told == [(PCID, "vno-1", challenge.rand, until)]
    assert (bearer.apn, bearer.destinations, bearer.left_bytes, bearer.expires_at) == (
        "provisioning",
        ("drf.example:443",),
        1000,
        until,
    )
    assert is_proven(world.store.bearer(bearer.id), opened.secret)
    assert not is_proven(world.store.bearer(bearer.id), opened.secret + "x")
    assert not is_proven(None, opened.secret)
    assert opened.secret not in repr(opened)


@pytest.mark.negative
@pytest.mark.requirement("R88")
@pytest.mark.parametrize("at", range(8))
def test_a_wrong_res_ends_the_session(at: int) -> None:
    world = World()
    challenge = world.attach()
    res = bytearray(world.res(challenge))
    res[at] ^= 1
    with pytest.raises(RefusedError) as caught:
        world.desk.respond(challenge.session, res=bytes(res), at=NOW)
    assert code_of(caught) == RefusalCode.RES_WRONG
    res[at] ^= 1
    with pytest.raises(RefusedError) as ended:
        world.desk.respond(challenge.session, res=bytes(res), at=NOW)
    assert code_of(ended) == RefusalCode.SESSION_UNKNOWN
    assert world.icf.told == []
    assert world.store.audit == []


@pytest.mark.negative
def test_a_session_ends_in_time_and_is_used_once() -> None:
    world = World()
    challenge = world.attach()
    with pytest.raises(RefusedError) as caught:
        world.desk.respond(challenge.session, res=world.res(challenge), at=NOW + timedelta(seconds=10))
    assert code_of(caught) == RefusalCode.SESSION_UNKNOWN
    again = world.attach()
    res = world.res(again)
    world.desk.respond(again.session, res=res, at=NOW)
    with pytest.raises(RefusedError) as used:
        world.desk.respond(again.session, res=res, at=NOW)
    assert code_of(used) == RefusalCode.SESSION_UNKNOWN


@pytest.mark.negative
@pytest.mark.requirement("R87")
def test_one_resynchronisation_an_attachment() -> None:
    world = World()
    world.usim.sequence = UsimSequence(highest=(500,) * 32)
    challenge = world.attach()
    auts = make_auts(KEY, rand=challenge.rand, sqn_ms=world.usim.sequence.sqn_ms)
    again = world.desk.resynchronise(challenge.session, auts=auts, at=NOW)
    with pytest.raises(RefusedError) as old:
        world.desk.respond(challenge.session, res=bytes(8), at=NOW)
    assert code_of(old) == RefusalCode.SESSION_UNKNOWN
    assert world.desk.respond(again.session, res=world.res(again), at=NOW).bearer.pcid == PCID

    first = world.attach()
    second = world.desk.resynchronise(
        first.session, auts=make_auts(KEY, rand=first.rand, sqn_ms=sqn_of(seq=900, ind=0)), at=NOW
    )
    with pytest.raises(RefusedError) as caught:
        world.desk.resynchronise(
            second.session, auts=make_auts(KEY, rand=second.rand, sqn_ms=sqn_of(seq=9000, ind=0)), at=NOW
        )
    assert code_of(caught) == RefusalCode.RESYNCHRONISED_ALREADY


def problem(type_: str) -> Problem:
    return Problem(status=403, type=type_, title="t")


@pytest.mark.negative
@pytest.mark.requirement("R01")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnreachableError("u", reason="r"), RefusalCode.HOME_UNREACHABLE),
        (HttpError("u", status=503, problem=None), RefusalCode.HOME_UNREACHABLE),
        (HttpError("u", status=404, problem=problem("unknown-subscriber")), RefusalCode.IDENTITY_UNKNOWN),
        (HttpError("u", status=404, problem=problem("subscription-unknown")), RefusalCode.IDENTITY_UNKNOWN),
        (
            HttpError("u", status=403, problem=problem("subscription-not-active")),
            RefusalCode.IDENTITY_NOT_ACTIVE,
        ),
        (HttpError("u", status=403, problem=problem("auts-invalid")), RefusalCode.AUTS_REFUSED),
        (HttpError("u", status=403, problem=problem("foreign-serving-network")), RefusalCode.HOME_REFUSED),
        (HttpError("u", status=500, problem=None), RefusalCode.HOME_REFUSED),
        (IcfAnswerError("vectors", "a map", "none"), RefusalCode.HOME_REFUSED),
    ],
)
def test_what_the_home_network_does_not_give_nobody_else_is_asked_for(error: Exception, code: str) -> None:
    world = World()
    world.icf.error = error
    with pytest.raises(RefusedError) as caught:
        world.attach()
    assert code_of(caught) == code


@pytest.mark.negative
@pytest.mark.requirement("R90")
def test_no_bearer_unless_the_home_network_hears_of_it() -> None:
    world = World()
    challenge = world.attach()
    world.icf.error = UnreachableError("u", reason="r")
    with pytest.raises(RefusedError) as caught:
        world.desk.respond(challenge.session, res=world.res(challenge), at=NOW)
    assert code_of(caught) == RefusalCode.HOME_UNREACHABLE
    assert world.store.bearers == {}


def test_the_auc_of_a_subscription_is_asked_for_vectors_only() -> None:
    world = World(hears=False)
    challenge = world.attach()
    assert world.desk.respond(challenge.session, res=world.res(challenge), at=NOW).bearer.pcid == PCID
    assert world.icf.told == []


@pytest.mark.negative
@pytest.mark.requirement("R08")
def test_attaching_again_brings_no_new_quota() -> None:
    world = World()
    challenge = world.attach()
    first = world.desk.respond(challenge.session, res=world.res(challenge), at=NOW).bearer
    world.store.set_aside(first.id, bytes_needed=600, at=NOW)
    challenge = world.attach()
    second = world.desk.respond(challenge.session, res=world.res(challenge), at=NOW).bearer
    assert second.left_bytes == 400
    world.store.set_aside(second.id, bytes_needed=400, at=NOW)
    challenge = world.attach()
    with pytest.raises(RefusedError) as caught:
        world.desk.respond(challenge.session, res=world.res(challenge), at=NOW)
    assert code_of(caught) == RefusalCode.QUOTA_USED
    later = NOW + timedelta(seconds=60)
    challenge = world.attach(at=later)
    third = world.desk.respond(challenge.session, res=world.res(challenge), at=later)
    assert third.bearer.left_bytes == 1000


@pytest.mark.negative
@pytest.mark.requirement("R89")
def test_terms_without_an_apn_or_a_destination_are_none() -> None:
    vector = {"rand": "00" * 16, "autn": "00" * 16, "xres": "00" * 8, "ck": "00" * 16, "ik": "00" * 16}
    terms: dict[str, Any] = {"apn": "a", "destinations": ["a.example:1"], "quota_bytes": 1, "life_s": 1}
    assert read_batch({"vectors": [vector], "bearer": terms}).bearer.apn == "a"
    faults: list[dict[str, Any]] = [
        {"apn": ""},
        {"destinations": []},
        {"quota_bytes": 0},
        {"life_s": 0},
        {"more": 1},
    ]
    for wrong in faults:
        with pytest.raises(IcfAnswerError):
            read_batch({"vectors": [vector], "bearer": terms | wrong})
    for missing in terms:
        with pytest.raises(IcfAnswerError):
            read_batch({"vectors": [vector], "bearer": {k: v for k, v in terms.items() if k != missing}})
    with pytest.raises(IcfAnswerError):
        read_batch({"vectors": [], "bearer": terms})


# --- sessions


def session(number: int, *, pcid: str = PCID, at: datetime = NOW) -> Session:
    return Session(
        id=str(number),
        pcid=pcid,
        home=HOME,
        rand=bytes(16),
        autn=bytes(16),
        xres=bytes(8),
        terms=TERMS,
        resynchronised=False,
        expires_at=at + timedelta(seconds=10),
    )


@pytest.mark.negative
def test_sessions_are_bounded_and_make_room_in_time() -> None:
    sessions = Sessions(sessions_max=3)
    for number in range(3):
        sessions.add(session(number, pcid=str(number)), at=NOW)
    with pytest.raises(RefusedError) as caught:
        sessions.add(session(3, pcid="3"), at=NOW)
    assert code_of(caught) == RefusalCode.TOO_MANY_SESSIONS
    sessions.add(session(4, pcid="4"), at=NOW + timedelta(seconds=10))


def test_one_pcid_cannot_fill_the_table() -> None:
    sessions = Sessions(sessions_max=100)
    for number in range(SESSIONS_OF_A_PCID_MAX + 1):
        sessions.add(replace(session(number)), at=NOW)
    with pytest.raises(RefusedError):
        sessions.take("0", at=NOW)
    assert sessions.take("1", at=NOW).id == "1"


def test_every_code_has_a_remedy() -> None:
    assert set(REFUSALS) == set(RefusalCode)
    assert all(rule.remedy for rule in REFUSALS.values())
