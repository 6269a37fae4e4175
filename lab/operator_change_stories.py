"""A change of operator, step by step, each step broken off once before it goes on: one device, two home operators.

Rule: as for all stories: what happened is read from the parties' answers. After every abort each MID is asked with a vector of
its own operator's; the change goes on from what the abort has left.
"""

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.sho import PlacedOrder, ShoOperatorClient
from clients.vno import VnoClient
from edge.http_client import HttpError
from lab.answering_mids import ALONE, answering
from lab.bearer_traffic import BearerTraffic, Counted
from lab.device import Answer, Device, refusal_in
from lab.fourteen_steps import Journey, asked, attached, public, state_of
from lab.homes import HOME_MNC, PRODUCT, WINDOW_S
from lab.identities import SHO, SHO_2, STAFF, VNO
from lab.mid_use import attach, states_of, usim_of
from lab.network_records import carried_bytes, prior_owners
from lab.outcomes import ended, refused, said
from lab.scene import Scene
from lab.story import GOOD_DEVICE, UnexpectedEndError
from m2me_agent.agent.kept_bearer import encode_bearer
from m2me_agent.tre_protocol import Operation
from messages.attachment import nai_of
from messages.bearer import Bearer
from messages.device_code import device_code

OLD, NEW = ALONE.format(SHO), ALONE.format(SHO_2)
PATIENCE_S, PAUSE_S = 60.0, 0.1


@dataclass(slots=True, kw_only=True)
class Changing:
    """The stage: `old` is the order of the MID that serves, `new` the one that takes it over.

    `pcid_bytes` is what the provisional identity has used before, which counts on from bearer to bearer.
    """

    scene: Scene
    old: PlacedOrder
    new: PlacedOrder | None = None
    bearer: Bearer | None = None
    pcid_bytes: int = 0

    @property
    def device(self) -> Device:
        """The one device."""
        return self.scene.devices[GOOD_DEVICE]

    @property
    def bearer_file(self) -> Path:
        """Where its modem keeps the bearer for its agent."""
        return self.scene.site.role(f"devices/{GOOD_DEVICE}") / "bearer.json"

    def carried_by_pcid(self) -> int:
        """What the provisional identity has used, in bytes."""
        pcid = asked(self.device, Operation.STATUS)["status"]["pcid"]
        return carried_bytes(self.scene.services, pcid)[1]

    def aborted(self, step: str, how: str, *, expected: str = OLD, beside: str = "") -> None:
        """One row: which MID answers after this abort."""
        happened = answering(self.scene, GOOD_DEVICE)
        ended(self.scene, step, how, expected=expected, happened=happened + beside)

    def run(
        self,
        step: str,
        *,
        stop_at: str = "",
        watch: Callable[[Mapping[str, Any], int], None] = lambda _event, _pid: None,
    ) -> Answer:
        """The agent goes on with the order at the new operator, over the old one's bearer."""
        journey = Journey(
            scene=self.scene, device=self.device, prefix=f"{step}.", stop_at=stop_at, watch=watch
        )
        return journey.run(choice=SHO_2, bearer=self.bearer_file)

    def follow(self, step: str) -> str:
        """The device asks what its MIDs' owners want, and does it."""
        with self.scene.narrator.line(
            step, "M2ME", "VNO, DPF, SHOs, TRE", "questions, reports, words"
        ) as line:
            line.outcome = self.device.agent("follow").outcome
        return line.outcome

    def power_cut(self, step: str) -> None:
        """The machine loses power, and starts again."""
        with self.scene.narrator.line(step, "power", GOOD_DEVICE, "off and on"):
            self.device.power_off()
            self.scene.power_on(GOOD_DEVICE)


def play_change(changing: Changing) -> None:
    """All of it, in order."""
    stories: tuple[tuple[str, Callable[[Changing], None]], ...] = (
        ("1 The subscriber orders at the new operator, and names the prior one and its MID", _order),
        (
            "2 The prior operator's release: its subscriber or its administrator agrees, or nobody gets it",
            _release,
        ),
        (
            "3 to 6 Validation, authorisation, download and receipt, over the prior operator's bearer",
            _deliver,
        ),
        ("7 The switch, and back by itself where it is not confirmed", _switch),
        ("8 The new operator confirms, once the device has attached with the new IMSI", _confirm),
        ("9 and 10 The prior operator's MID is erased, and its AuC closes", _erase),
    )
    for title, story in stories:
        changing.scene.narrator.heading(title)
        story(changing)


def _order(changing: Changing) -> None:
    scene = changing.scene
    mid_id, imsi = usim_of(scene, GOOD_DEVICE, SHO)
    refused(
        scene,
        "1a",
        "an order that names an operator that nothing is taken over from",
        _placed(changing, prior=("sho-9", mid_id), key="order-of-another-prior"),
        expected="prior-operator-unknown",
    )
    changing.aborted("1b", "aborted: refused at the order")
    placed = _placed(changing, prior=(SHO, mid_id), key="order-that-takes-over")
    if not isinstance(placed, PlacedOrder):
        raise UnexpectedEndError(f"{SHO_2} took no order: {said(placed)}")
    changing.new, changing.pcid_bytes = placed, changing.carried_by_pcid()
    with scene.narrator.line("1", "TRE", f"VNO, {SHO}", f"attach with the IMSI {imsi}") as line:
        vno = VnoClient(scene.services.http(VNO, "device"))
        changing.bearer = attached(vno, changing.device, mid_id=mid_id, imsi=imsi)
        _keep(changing.bearer_file, changing.bearer)
        line.outcome = f"bearer to {changing.bearer.apn}, which stays up"


def _placed(changing: Changing, *, prior: tuple[str, str], key: str) -> object:
    scene, code = changing.scene, device_code(changing.scene.ids[GOOD_DEVICE])
    message = f"order for {code}, in place of {prior[0]}'s"
    with scene.narrator.line("1", "user", SHO_2, message) as line:
        try:
            placed = public(scene, SHO_2).order(
                subscriber=f"subscriber of {GOOD_DEVICE}",
                device_code=code,
                product=PRODUCT,
                idempotency_key=key,
                prior=prior,
            )
        except HttpError as error:
            line.outcome = said(refusal_in(error))
            return refusal_in(error)
        line.outcome = f"order code {placed.order_code}"
    return placed


def _release(changing: Changing) -> None:
    scene, old = changing.scene, changing.old
    staff = ShoOperatorClient(scene.services.http(SHO, "operator", scene.services.identity(STAFF)))

    def deny(event: Mapping[str, Any], _pid: int) -> None:
        if event["event"] != "order-accepted":
            return
        _until(lambda: bool(staff.releases(old.order_id)), f"{SHO_2} asks {SHO} for its release")
        with scene.narrator.line("2", "subscriber", SHO, f"denies {SHO_2} the release") as line:
            (asked,) = public(scene, SHO).decide_release(
                old.order_id, secret=old.secret, successor=SHO_2, approves=False
            )
            line.outcome = f"{asked.state}, by its {asked.decided_by}"
        _until(lambda: _state(changing) == "refused", f"{SHO_2} hears of it")

    changing.run("2", stop_at="order-accepted", watch=deny)
    changing.aborted(
        "2",
        "aborted: the subscriber denies the release",
        expected=f"{OLD}, order refused",
        beside=f", order {_state(changing)}",
    )
    with scene.narrator.line("2", "staff", SHO, f"approves the release to {SHO_2}") as line:
        (asked,) = staff.decide_release(old.order_id, SHO_2, approves=True)
        line.outcome = f"{asked.state}, by its {asked.decided_by}"


def _deliver(changing: Changing) -> None:
    scene = changing.scene
    if changing.bearer is None:
        raise UnexpectedEndError(f"{GOOD_DEVICE} has no bearer of {SHO}")
    url = scene.services.urls[SHO]["public"]
    traffic = BearerTraffic(changing.bearer, url, "/register", anchors=scene.services.tls_root)
    traffic.start()
    try:
        changing.run("3", stop_at="validated")
        changing.aborted("3", "aborted: the agent is killed after its validation")
        changing.run("5", stop_at="granted")
        changing.aborted("5", "aborted: the agent is killed as its download begins")
        _receipt_held_back(changing)
    finally:
        counted = traffic.stop()
    _tell_traffic(changing, counted)


def _receipt_held_back(changing: Changing) -> None:
    """The new operator hangs when the MID is installed: no switch can come before it goes on."""
    scene = changing.scene
    hanging = scene.processes.started[SHO_2].process
    hangs_at = "bearer-kept" if changing.device.has_grant else "order-accepted"

    def watch(event: Mapping[str, Any], _pid: int) -> None:
        if event["event"] == hangs_at:
            hanging.send_signal(signal.SIGSTOP)

    try:
        changing.run("6", stop_at="receipt-signed", watch=watch)
    finally:
        hanging.send_signal(signal.SIGCONT)
    changing.aborted(
        "6",
        "aborted: the new operator hangs, so receipt and switch are held back; the agent is killed",
        expected=f"{OLD}; {SHO}: ACTIVE, {SHO_2}: INACTIVE",
        beside=f"; {states_of(scene, GOOD_DEVICE)}",
    )


def _tell_traffic(changing: Changing, counted: Counted) -> None:
    scene = changing.scene
    bearer_id, carried = carried_bytes(scene.services, usim_of(scene, GOOD_DEVICE, SHO)[1])
    beside = changing.carried_by_pcid() - changing.pcid_bytes
    kept = changing.bearer is not None and changing.bearer.id == bearer_id
    scene.narrator.remark(
        f"       {counted.answered} exchanges through {SHO}'s bearer meanwhile, {len(counted.lost)} lost; "
        f"at most {counted.gap_max_ms:.0f} ms between two; it has carried {carried} bytes"
    )
    ended(
        scene,
        "r",
        f"traffic through {SHO}'s bearer while {SHO_2}'s MID comes over it",
        expected="every exchange was answered, over one bearer; the PCID's carried 0 bytes",
        happened=f"{'every exchange was answered' if counted.answered and not counted.lost else 'some were lost'}, "
        f"over {'one bearer' if kept else 'another bearer'}; the PCID's carried {beside} bytes",
    )


def _switch(changing: Changing) -> None:
    scene = changing.scene
    answer = changing.run("7")
    ended(
        scene,
        "7a",
        "the receipt is answered with the switch: until it is confirmed",
        expected=f"active; {NEW}; {SHO}: INACTIVE, {SHO_2}: ACTIVE; order installed",
        happened=f"{answer.outcome}; {answering(scene, GOOD_DEVICE)}; {states_of(scene, GOOD_DEVICE)}; "
        f"order {_state(changing)}",
    )
    owners = prior_owners(scene.services, scene.ids[GOOD_DEVICE])
    ended(
        scene,
        "4",
        "whose MID each one replaces, as the DPF has it on record",
        expected=f"{SHO}: nobody's, {SHO_2}: {SHO}'s",
        happened=", ".join(f"{sho}: {owners[sho]}'s" for sho in sorted(owners)),
    )
    changing.power_cut("7")
    changing.aborted("7b", "aborted: a power cut after the switch")
    changing.follow("7")
    changing.aborted("7c", "the change begins anew, for a fresh report", expected=NEW)
    with scene.narrator.line("7", "network", "-", f"does not take the device; the {WINDOW_S} s pass"):
        _until(
            lambda: f"{SHO}: ACTIVE" in states_of(scene, GOOD_DEVICE),
            "the TRE goes back",
            patience_s=WINDOW_S + PATIENCE_S,
        )
    changing.aborted("7d", "aborted: the deadline passes without an attachment")


def _confirm(changing: Changing) -> None:
    scene = changing.scene
    changing.follow("8")
    taken = attach(scene, GOOD_DEVICE, sho=SHO_2)
    changing.aborted(
        "8a", "attached with the new IMSI", expected=f"{NEW}, authenticated", beside=f", {taken}"
    )
    changing.power_cut("8")
    changing.aborted("8b", "aborted: a power cut before the confirmation")
    changing.follow("8")
    attach(scene, GOOD_DEVICE, sho=SHO_2)
    changing.follow("8")
    stands = state_of(scene, _new(changing), SHO_2)
    told = "was told" if "in place of" in " ".join(stands.informed) else "was not told"
    ended(
        scene,
        "8c",
        "confirmed for a fresh report",
        expected=f"{NEW}, order active, the user was told",
        happened=f"{answering(scene, GOOD_DEVICE)}, order {stands.state}, the user {told}",
    )
    changing.power_cut("8")
    changing.aborted("8d", "aborted: a power cut after the confirmation", expected=NEW)


def _erase(changing: Changing) -> None:
    scene, old_imsi = changing.scene, usim_of(changing.scene, GOOD_DEVICE, SHO)[1]
    changing.aborted(
        "9a",
        "aborted: the erasure is held back",
        expected=f"{NEW}; {SHO}: INACTIVE, {SHO_2}: ACTIVE",
        beside=f"; {states_of(scene, GOOD_DEVICE)}",
    )
    changing.follow("9")
    old = state_of(scene, changing.old)
    erased = "was told that it has ended" if "has ended" in old.informed[-1] else "was told nothing"
    ended(
        scene,
        "9b",
        f"{SHO}'s MID is erased: {SHO} has the TRE's proof",
        expected=f"{NEW}; {SHO_2}: ACTIVE; order erased, the user was told that it has ended",
        happened=f"{answering(scene, GOOD_DEVICE)}; {states_of(scene, GOOD_DEVICE)}; order {old.state}, "
        f"the user {erased}",
    )
    new = _new(changing)
    _until(lambda: _proof_is_there(changing), f"{SHO_2} gets the proof")
    ended(
        scene,
        "9c",
        f"{SHO_2} has verified the same proof",
        expected=f"the user was told that {SHO}'s is erased",
        happened=f"the user was told that {SHO}'s is erased" if _proof_is_there(changing) else "told nothing",
    )
    ended(
        scene,
        "10a",
        f"{SHO}'s AuC, asked for the old IMSI by the network that served it",
        expected="refused: identity-not-active",
        happened=_attach_anew(scene, old_imsi),
    )
    ended(
        scene,
        "10b",
        f"the network that carried {SHO}'s bearer serves {SHO_2}'s subscriber",
        expected=f"authenticated, order {SHO_2} active",
        happened=f"{attach(scene, GOOD_DEVICE, sho=SHO_2)}, order {SHO_2} {state_of(scene, new, SHO_2).state}",
    )


def _attach_anew(scene: Scene, imsi: str) -> str:
    with scene.narrator.line("10", "anybody", f"VNO, {SHO}", f"attach with the IMSI {imsi}") as line:
        try:
            VnoClient(scene.services.http(VNO, "device")).attach(nai_of(imsi, mnc_digits=len(HOME_MNC)))
        except HttpError as error:
            line.outcome = said(refusal_in(error))
            return line.outcome
    return "a challenge"


def _proof_is_there(changing: Changing) -> bool:
    informed = state_of(changing.scene, _new(changing), SHO_2).informed
    return f"from {SHO} has been erased" in informed[-1]


def _new(changing: Changing) -> PlacedOrder:
    if changing.new is None:
        raise UnexpectedEndError(f"nothing was ordered at {SHO_2}")
    return changing.new


def _state(changing: Changing) -> str:
    return state_of(changing.scene, _new(changing), SHO_2).state


def _keep(path: Path, bearer: Bearer) -> None:
    """What a modem hands to its agent; for its owner alone."""
    path.touch(mode=0o600)
    path.write_bytes(encode_bearer(bearer))


def _until(is_so: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S) -> None:
    ends = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() > ends:
            raise UnexpectedEndError(f"waited {patience_s:g} s in vain until {what}")
        time.sleep(PAUSE_S)
