"""Power failures in a change of operator: cut at each call of disk and TPM, exactly one of the two MIDs answers afterwards.

The TRE is the real one over a software TPM and a disk that forgets (see `tests.fakes.faulty_device`). A cut resets the machine or
kills the process alone, and what was written last is lost or kept, by turns.
"""

import errno
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass

import pytest
from hypothesis import settings

from m2me_agent.tre.errors import MidError, TreError
from m2me_agent.tre.usim import NetworkChallenge
from messages.registry import decode_report
from messages.statement import decode_statement
from messages.switch import CONFIRM
from standards.pki import oids
from tests.contract.tpm_devices import manufactured
from tests.fakes.faulty_device import OPERATORS_ROOT, FaultyDevice, faulty_device
from tests.fakes.faulty_disk import PowerCutError
from tests.fakes.network import IMSI, MID_KEY, Network, operator, vector

SEED = 20260601
IS_DEEP = settings().max_examples > 100
SAMPLE = 10
"""Cuts of one operation in a normal run; `--deep` makes them all."""
PRIOR, NEW = "mid-1", "mid-2"
MIDS = (PRIOR, NEW)
BEFORE = [(PRIOR, "ACTIVE"), (NEW, "INACTIVE")]
AFTER = [(PRIOR, "INACTIVE"), (NEW, "ACTIVE")]


@dataclass(kw_only=True)
class Changing:
    """The device, and its two operators."""

    device: FaultyDevice
    prior: Network
    new: Network

    def nonce(self) -> bytes:
        """Of a fresh report to the new operator."""
        encoded = self.device.operations.registry.report(self.new.query(self.device.target))
        return decode_report(decode_statement(encoded).body).tre_nonce

    def switch(self) -> None:
        """Both operators' words."""
        target = self.device.target
        release = self.prior.release(target, successor="sho-2")
        self.device.operations.changes.follow(self.new.switch(target, self.nonce(), release=release))

    def confirm(self) -> None:
        """The new operator's second word."""
        token = self.new.switch(self.device.target, self.nonce(), action=CONFIRM, window_ms=None)
        self.device.operations.changes.follow(token)

    def late(self) -> None:
        """The first use after the deadline."""
        self.device.clock.pass_seconds(60)
        assert self.answering() == [PRIOR]

    def answering(self) -> list[str]:
        """The MIDs that answer their operators; nobody selects anything."""
        return [mid_id for mid_id in MIDS if self.answers(mid_id)]

    def answers(self, mid_id: str) -> bool:
        self.device.seq += 100
        made = vector(MID_KEY, seq=self.device.seq)
        try:
            self.device.operations.mids.authenticate(
                NetworkChallenge(rand=made.rand, autn=made.autn), mid_id=mid_id, application=IMSI
            )
        except MidError:
            return False
        return True

    def check(self, *allowed: list[tuple[str, str]]) -> None:
        """One of these registries, and exactly its active MID answers."""
        registry = self.device.registry()
        assert registry in allowed
        assert self.answering() == [mid_id for mid_id, state in registry if state == "ACTIVE"]


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changing]:
    """One device, put back for each cut."""
    folder = tmp_path_factory.mktemp("faulty")
    with faulty_device(folder, manufactured("software", tmp_path_factory)) as device:
        device.enroll()
        install(device)
        device.operations.mids.instruct(device.instruction())
        prior = device.network
        device.network = copy(prior)
        device.network.number = 2
        device.network.sho = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
        install(device)
        yield Changing(device=device, prior=prior, new=device.network)


def install(device: FaultyDevice) -> None:
    accepted = device.operations.orders.accept(**device.network.accepting(device.target))  # type: ignore[arg-type] # by name
    device.operations.orders.consent(accepted.digest)
    receipt = device.install(device.network.good_parcel(device.target))
    assert receipt.outcome == "installed", receipt.detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """An operation, what comes before it, and the registry that it ends with."""

    prepare: tuple[Callable[[Changing], None], ...]
    do: Callable[[Changing], None]
    before: list[tuple[str, str]]
    after: list[tuple[str, str]]


STORIES = {
    "switch": Story(prepare=(), do=Changing.switch, before=BEFORE, after=AFTER),
    "confirm": Story(prepare=(Changing.switch,), do=Changing.confirm, before=AFTER, after=AFTER),
    "deadline": Story(prepare=(Changing.switch,), do=Changing.late, before=AFTER, after=BEFORE),
}


def cuts(count: int, *, name: str) -> list[int]:
    """Which calls are cut: all, or a seeded sample with the first and the last."""
    every = list(range(1, count + 1))
    if IS_DEEP or count <= SAMPLE:
        return every
    drawn = random.Random(f"{SEED}/{name}").sample(every[1:-1], SAMPLE - 2)  # noqa: S311 - to be repeated
    return [1, *sorted(drawn), count]


def begin(changing: Changing, moment: object, story: Story) -> None:
    changing.device.back_to(moment)  # type: ignore[arg-type] # a Moment
    for prepare in story.prepare:
        prepare(changing)


@pytest.mark.requirement("R23", "R37")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", STORIES)
def test_power_may_go_at_any_call_and_one_mid_answers(
    changing: Changing, name: str, *, is_after: bool
) -> None:
    story, device = STORIES[name], changing.device
    moment = device.moment()
    begin(changing, moment, story)
    changing.check(story.before)
    device.fuse.arm(0)
    story.do(changing)
    calls = list(device.fuse.calls)
    assert {"create", "write", "fsync", "rename", "TPM"} <= {call.split()[0] for call in calls}
    changing.check(story.after)
    for number in cuts(len(calls), name=f"{name}/{is_after}"):
        begin(changing, moment, story)
        device.fuse.arm(number, is_after=is_after)
        with pytest.raises(PowerCutError):
            story.do(changing)
        resets = number % 3 != 0
        device.cut(keeps_unsynced=number % 2 == 0, resets_tpm=resets)
        # a machine that was off goes back, unless the new operator's confirmation was durable
        changing.check(BEFORE, AFTER)
        if resets and name != "confirm":
            changing.check(BEFORE)
        changed_again(changing)
    device.back_to(moment)


def changed_again(changing: Changing) -> None:
    """Whatever came of it: the change may be made, or is; and what is confirmed survives every loss of power."""
    device = changing.device
    if device.operations.mids.selection.change() is None and device.registry() == BEFORE:
        changing.switch()
    if device.operations.mids.selection.change() is not None:
        changing.confirm()
    changing.check(AFTER)
    device.cut(keeps_unsynced=False)
    changing.check(AFTER)


@pytest.mark.requirement("R37")
@pytest.mark.negative
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", STORIES)
def test_a_disk_may_be_full_at_any_write_and_one_mid_answers(changing: Changing, name: str) -> None:
    story, device = STORIES[name], changing.device
    moment = device.moment()
    begin(changing, moment, story)
    device.fuse.arm(0)
    story.do(changing)
    writes = [number for number, call in enumerate(device.fuse.calls, 1) if not call.startswith("TPM")]
    for number in cuts(len(writes), name=f"{name}/full"):
        begin(changing, moment, story)
        device.fuse.arm(writes[number - 1], error=OSError(errno.ENOSPC, "No space left on device"))
        with suppress(TreError):
            story.do(changing)
        device.fuse.arm(0)
        changing.check(BEFORE, AFTER)
        changed_again(changing)
    device.back_to(moment)
