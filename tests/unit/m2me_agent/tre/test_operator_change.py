"""A change of operator: two signatures switch, a deadline or a failure switches back, and one MID serves at any moment."""

from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from m2me_agent.tre.errors import InstructionError, MidError, StateError, TreError
from m2me_agent.tre.usim import NetworkChallenge
from m2me_agent.tre.usim_selection import Phase
from m2me_agent.tre_protocol import Operation, Refusal, Request, decode_response, encode_request
from messages.instruction import ACTIVATE, BLOCK, DEACTIVATE, UNBLOCK
from messages.mid_content import MidContent, NetworkApplication
from messages.mid_policy import MidPolicy
from messages.registry import RegistryReport, decode_report
from messages.statement import decode_statement
from messages.switch import CONFIRM, WINDOW_MS_MAX
from standards.aka.sequence import sqn_of
from standards.aka.vectors import make_vector
from standards.pki import oids
from tests.fakes.network import AMF, IMSI, MID_KEY, Network, operator
from tests.unit.m2me_agent.tre.subscriptions import OPERATORS_ROOT, World

CONFIRMING: dict[str, Any] = {"action": CONFIRM, "window_ms": None, "release": None}
THEIRS = "001020000000001"
WINDOW_MS = 60_000
USIM = NetworkApplication(
    kind="usim",
    access="cellular",
    identity=IMSI,
    public_identities=(),
    algorithm="milenage",
    k=MID_KEY.k,
    opc=MID_KEY.opc,
)
POLICY = MidPolicy(algorithms=("milenage",))


def content(number: int, *usims: NetworkApplication) -> MidContent:
    return MidContent(mid_id=f"mid-{number}", applications=usims, policy=POLICY)


@dataclass(kw_only=True)
class Change:
    """A device with the prior operator's active MID and the new operator's, which is installed."""

    world: World
    prior: Network
    new: Network
    seq: int = 0

    def switch(self, **changed: Any) -> Any:
        return self.say(
            self.new.switch(self.world.target, self.report(self.new).tre_nonce, **self.released(changed))
        )

    def confirm(self, **changed: Any) -> Any:
        nonce = self.report(self.new).tre_nonce
        return self.say(self.new.switch(self.world.target, nonce, **{**CONFIRMING, **changed}))

    def say(self, token: str) -> Any:
        """The row of the new MID, after the new owner's word."""
        return self.world.device.operations.changes.follow(token)

    def released(self, changed: dict[str, Any]) -> dict[str, Any]:
        return {"release": self.release(), **changed}

    def release(self, *, by: Network | None = None, successor: str = "sho-2", mid_id: str = "mid-1") -> str:
        return (by or self.prior).release(self.world.target, successor=successor, mid_id=mid_id)

    def report(self, owner: Network) -> RegistryReport:
        encoded = self.world.device.operations.registry.report(owner.query(self.world.target))
        return decode_report(decode_statement(encoded).body)

    def states(self, owner: Network) -> list[tuple[str, str, str]]:
        return [(each.mid_id, each.state, each.reason) for each in self.report(owner).entries]

    def answering(self) -> list[str]:
        """The MIDs that answer a challenge of their operator."""
        return [mid_id for mid_id, imsi in (("mid-1", IMSI), ("mid-2", THEIRS)) if self.answers(mid_id, imsi)]

    def answers(self, mid_id: str, imsi: str) -> bool:
        self.seq += 100
        made = make_vector(MID_KEY, rand=bytes(16), sqn=sqn_of(seq=self.seq, ind=0), amf=AMF)
        try:
            self.world.device.operations.mids.authenticate(
                NetworkChallenge(rand=made.rand, autn=made.autn), mid_id=mid_id, application=imsi
            )
        except MidError:
            return False
        return True

    def wait(self, milliseconds: int) -> None:
        clock = self.world.tpm.clock
        self.world.tpm.clock = replace(clock, clock=clock.clock + milliseconds)


def prepared(folder: Path, *usims: NetworkApplication) -> Change:
    world = World(folder=folder)
    world.active(content(1, USIM))
    prior = world.network
    world.network = copy(world.network)
    world.network.number = 2
    world.network.sho = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
    world.installed(content(2, *(usims or (replace(USIM, identity=THEIRS),))))
    return Change(world=world, prior=prior, new=world.network)


@pytest.fixture
def change(tmp_path: Path) -> Change:
    return prepared(tmp_path)


@pytest.mark.requirement("R23", "R37")
def test_the_new_mid_serves_and_after_its_confirmation_for_good(change: Change) -> None:
    assert change.answering() == ["mid-1"]
    assert change.switch().state == "ACTIVE"
    assert change.answering() == ["mid-2"]
    assert change.states(change.prior) == [("mid-1", "INACTIVE", "handed-over")]
    assert change.states(change.new) == [("mid-2", "ACTIVE", "awaits-confirmation")]
    assert change.confirm().state == "ACTIVE"
    change.wait(2 * WINDOW_MS_MAX)
    assert change.answering() == ["mid-2"]
    assert change.states(change.prior) == [("mid-1", "INACTIVE", "-")]
    assert change.states(change.new) == [("mid-2", "ACTIVE", "-")]
    assert change.report(change.prior).transitions[-1].event == "hand-over"
    assert change.report(change.new).transitions[-1].event == "switch"
    change.world.restart()
    assert [
        row["state"] for row in change.world.device.operations.mids.rows() if row["mid_id"] == "mid-2"
    ] == ["ACTIVE"]


@pytest.mark.requirement("R37", "R58")
@pytest.mark.parametrize("by_receipt", [True, False])
def test_a_switch_answers_the_receipt_or_a_report_and_neither_twice(
    change: Change, *, by_receipt: bool
) -> None:
    target = change.world.target
    opened = change.world.device.operations.mids.vault.opened("sho-2")
    assert opened is not None
    receipt_nonce = opened.visible.journal[0].tre_nonce
    nonce = receipt_nonce if by_receipt else change.report(change.new).tre_nonce
    token = change.new.switch(target, nonce, release=change.release(), window_ms=WINDOW_MS)
    change.say(token)
    # what was signed with the switch confirms nothing: a confirmation answers a report
    with pytest.raises(InstructionError, match="no open report"):
        change.say(change.new.switch(target, receipt_nonce, **CONFIRMING))
    change.wait(WINDOW_MS)
    with pytest.raises(InstructionError, match="answers no open receipt"):
        change.say(token)
    assert change.answering() == ["mid-1"]


@pytest.mark.requirement("R37")
@pytest.mark.parametrize("way", ["deadline", "reset", "resumed"])
def test_without_a_confirmation_the_prior_mid_serves_again(change: Change, way: str) -> None:
    change.switch(window_ms=WINDOW_MS)
    change.wait(WINDOW_MS - 1)
    assert change.answering() == ["mid-2"]
    clock = change.world.tpm.clock
    if way == "deadline":
        change.wait(1)
    elif way == "reset":
        change.world.tpm.clock = replace(clock, reset_count=clock.reset_count + 1)
    else:
        change.world.tpm.clock = replace(clock, restart_count=clock.restart_count + 1)
    assert change.answering() == ["mid-1"]
    assert change.states(change.prior) == [("mid-1", "ACTIVE", "-")]
    assert change.states(change.new) == [("mid-2", "INACTIVE", "-")]
    assert change.report(change.new).transitions[-1].event == "roll-back"
    with pytest.raises(MidError, match="until it is confirmed"):
        change.confirm()
    # and it may be tried again, with the same release
    change.switch()
    change.confirm()
    assert change.answering() == ["mid-2"]


@pytest.mark.requirement("R37")
def test_a_tre_that_was_started_again_in_one_boot_keeps_to_the_deadline(change: Change) -> None:
    change.switch(window_ms=WINDOW_MS)
    change.world.restart()
    assert change.answering() == ["mid-2"]
    change.wait(WINDOW_MS)
    change.world.restart()
    assert change.answering() == ["mid-1"]


@pytest.mark.requirement("R37")
def test_the_agent_brings_both_words_as_it_brings_any_instruction(change: Change) -> None:
    def brought(token: str) -> object:
        payload = encode_request(Request(operation=Operation.INSTRUCT, parameters={"instruction": token}))
        answered = change.world.device.operations.answer(payload)
        return decode_response(answered, operation=Operation.INSTRUCT)

    target, nonce = change.world.target, change.report(change.new).tre_nonce
    token = change.new.switch(target, nonce, release=change.release())
    assert brought(token) == {"mid_id": "mid-2", "state": "ACTIVE"}
    nonce = change.report(change.new).tre_nonce
    assert brought(change.new.switch(target, nonce, **CONFIRMING)) == {"mid_id": "mid-2", "state": "ACTIVE"}
    again = brought(token)
    assert isinstance(again, Refusal)
    assert again.code == "instruction-refused"


@pytest.mark.requirement("R22", "R58")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("release", "reason"),
    [
        ({"by": "new"}, "no release by the owner"),
        ({"mid_id": "mid-2"}, "no release by the owner"),
        ({"successor": "sho-3"}, "another successor"),
    ],
)
def test_without_the_prior_owner_s_release_nothing_is_switched(
    change: Change, release: dict[str, Any], reason: str
) -> None:
    named = {**release, **({"by": change.new} if "by" in release else {})}
    with pytest.raises(InstructionError, match=reason):
        change.switch(release=change.release(**named))
    assert change.answering() == ["mid-1"]


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_a_release_or_a_switch_of_another_kind_or_device_is_refused(change: Change) -> None:
    target, nonce, release = change.world.target, change.report(change.new).tre_nonce, change.release()
    other = replace(target, device_id="ab" * 32)
    of_one_owner = {
        "prior_mid_id": "mid-2",
        "release": change.new.release(target, successor="sho-2", mid_id="mid-2"),
    }
    good = change.new.switch(target, nonce, release=release)
    tries = (
        release,
        change.new.switch(other, nonce, release=release),
        change.new.switch(target, nonce, release=change.prior.release(other, successor="sho-2")),
        change.new.switch(target, nonce, release=good),
        change.prior.switch(target, nonce, release=release, mid_id="mid-2"),
        change.new.switch(target, bytes(32), release=release),
        change.new.switch(target, nonce, release=release, prior_mid_id="mid-9"),
        change.new.switch(target, nonce, **of_one_owner),
        change.prior.switch(target, nonce, mid_id="mid-2", **CONFIRMING),
        change.new.switch(other, nonce, **CONFIRMING),
        change.new.switch(target, nonce, **CONFIRMING),
    )
    for token in tries:
        with pytest.raises(TreError):
            change.say(token)
        assert change.answering() == ["mid-1"]


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_what_the_prior_mid_serves_is_served_by_the_new_one_or_nothing_is_switched(tmp_path: Path) -> None:
    change = prepared(tmp_path, replace(USIM, identity=THEIRS, access="wlan"))
    with pytest.raises(MidError, match="no USIM for cellular access"):
        change.switch()
    assert change.answers("mid-1", IMSI)


@pytest.mark.requirement("R37")
@pytest.mark.negative
@pytest.mark.parametrize("action", [DEACTIVATE, BLOCK])
def test_while_a_change_waits_no_other_word_about_its_mids_is_followed(change: Change, action: str) -> None:
    change.switch()
    instruct = change.world.device.operations.mids.instruct
    for owner in (change.prior, change.new):
        nonce = change.report(owner).tre_nonce
        with pytest.raises(MidError, match="under way"):
            instruct(owner.instruction(change.world.target, nonce, action=action))
        nonce = change.report(owner).tre_nonce
        with pytest.raises(MidError, match="under way"):
            change.world.device.operations.erasures.erase(owner.erasure(change.world.target, nonce))
    with pytest.raises(MidError, match="under way"):
        change.switch()
    shown = change.world.mmi.answer(
        encode_request(
            Request(operation=Operation.SELECT, parameters={"mid_id": "mid-1", "application": IMSI})
        )
    )
    refused = decode_response(shown, operation=Operation.SELECT)
    assert isinstance(refused, Refusal)
    assert "got INACTIVE" in refused.reason
    assert change.answering() == ["mid-2"]


@pytest.mark.requirement("R23", "R59")
def test_after_the_confirmation_the_prior_owner_s_mid_is_erased_and_the_new_one_serves(
    change: Change,
) -> None:
    change.switch()
    change.confirm()
    nonce = change.report(change.prior).tre_nonce
    change.world.device.operations.erasures.erase(change.prior.erasure(change.world.target, nonce))
    assert change.states(change.prior) == [("mid-1", "ERASED", "moved")]
    assert change.answering() == ["mid-2"]


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_a_mid_that_is_blocked_takes_no_part_and_is_not_gone_back_to(change: Change) -> None:
    instruct = change.world.device.operations.mids.instruct

    def said(action: str) -> None:
        nonce = change.report(change.prior).tre_nonce
        instruct(change.prior.instruction(change.world.target, nonce, action=action))

    said(BLOCK)
    with pytest.raises(MidError, match="no effect"):
        change.switch()
    said(UNBLOCK)
    said(ACTIVATE)
    change.switch(window_ms=WINDOW_MS)
    del change.world.device.operations.mids.vault._open["sho-1"]  # noqa: SLF001 - its compartment has closed
    change.wait(WINDOW_MS)
    assert change.answering() == ["mid-2"]


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_a_new_mid_that_cannot_be_used_is_gone_back_from(change: Change) -> None:
    change.switch()
    del change.world.device.operations.mids.vault._open["sho-2"]  # noqa: SLF001 - its compartment has closed
    assert change.answering() == ["mid-1"]
    standing = change.world.device.operations.mids.selection.change()
    assert standing is not None
    assert (standing.phase, standing.held) == (Phase.BACK, "mid-2")


@pytest.mark.negative
def test_a_change_that_cannot_be_understood_is_told(change: Change) -> None:
    change.switch()
    kept = change.world.storage.records["usim-selection"]
    change.world.storage.records["usim-selection"] = kept.replace(b"pending", b"perhaps")
    with pytest.raises(StateError, match="usim-selection"):
        change.answering()
