"""Power failures of a TRE: each operation is traced, then cut at every call of its disk and of its TPM, and made whole again.

A cut is before a call, or (for a TPM) after it, and what was not synchronised is gone or, by luck, there. After each: the
registry is that of before or that of after; exactly its active MIDs answer their operator; the operation goes on to its end; and
another loss of power changes nothing. What was erased has its proof, and old files bring nothing of it back. The number of calls
must not fall below what is recorded here: a lost hook cuts nothing.
"""

import errno
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings

from m2me_agent.tre.errors import InstructionError, MidError, TreError
from messages.erasure import decode_erasure
from messages.instruction import ACTIVATE, BLOCK, LOCK, UNBLOCK, UNLOCK
from messages.registry import decode_report
from messages.statement import decode_statement, verify_statement
from tests.contract.tpm_devices import manufactured
from tests.fakes.faulty_device import SELECTIONS, FaultyDevice, Moment, faulty_device
from tests.fakes.faulty_disk import PowerCutError
from tests.fakes.network import PROOF_NONCE, Target

SEED = 20260601
EXAMPLES = 100
"""Of hypothesis in a normal run, at most."""
IS_DEEP = settings().max_examples > EXAMPLES
SAMPLE = 4
"""Cuts of one operation in a normal run; `--deep` makes them all."""
SAID = "said"
"""What an owner has said in the course of an operation, to be said again."""
Brought = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation: what is brought for it, how it is done, and at least how many calls it makes."""

    bring: Callable[[FaultyDevice], Brought]
    do: Callable[[FaultyDevice, Brought], object]
    calls_min: int


def as_it_is(world: FaultyDevice) -> Brought:
    """What the operators know of the device."""
    return {"target": world.target}


def nothing(_world: FaultyDevice) -> Brought:
    """Nothing is brought."""
    return {}


def activate(world: FaultyDevice, brought: Brought) -> None:
    """The owner's instruction; where it was followed before the cut, there is nothing left to do."""
    try:
        world.operations.mids.instruct(brought["instruction"])
    except MidError:
        assert ("mid-1", "ACTIVE") in world.registry()


def fresh_nonce(world: FaultyDevice, target: Target) -> bytes:
    """Of a report to the owner; it is this process's, and gone with it."""
    report = world.operations.registry.report(world.network.query(target))
    return decode_report(decode_statement(report).body).tre_nonce


def instructed(action: str, *, leads_to: str) -> Callable[[FaultyDevice, Brought], None]:
    """The owner's word about the first MID; where it was followed before a cut, there is nothing left to do."""

    def instruct(world: FaultyDevice, brought: Brought) -> None:
        target = brought["target"]
        nonce = fresh_nonce(world, target)
        try:
            world.operations.mids.instruct(
                world.network.instruction(target, nonce, mid_id="mid-1", action=action)
            )
        except MidError:
            assert ("mid-1", leads_to) in world.registry()

    return instruct


def erase_second(world: FaultyDevice, brought: Brought) -> None:
    """An erasure that answers the receipt; another MID stays beside it."""
    world.operations.erasures.erase(brought["erasure"])


def erase_last(world: FaultyDevice, brought: Brought) -> None:
    """An erasure that answers a report, said again as it was; a new one where its nonce went with the process."""
    if SAID in brought:
        with suppress(InstructionError):
            world.operations.erasures.erase(brought[SAID])
            return
    target = brought["target"]
    brought[SAID] = world.network.erasure(target, fresh_nonce(world, target), mid_id="mid-1")
    world.operations.erasures.erase(brought[SAID])


def prepare_update(world: FaultyDevice, brought: Brought) -> None:
    """A nonce of this process, and approvals that answer it."""
    nonce = world.operations.updates.begin("sho-1").nonce
    world.operations.updates.take(world.network.update_approvals(brought["following"], nonce))


def take_next_credential(world: FaultyDevice, brought: Brought) -> None:
    """The PfC for the next manifest, and the end of the old state."""
    world.operations.enrollment.install(brought["result"])
    world.operations.updates.retire()


def consent(world: FaultyDevice, brought: Brought) -> None:
    """An order, and a person's word."""
    accepted = world.operations.orders.accept(**brought["order"])
    world.operations.orders.consent(accepted.digest)


def order_of(world: FaultyDevice) -> Brought:
    return {"order": world.network.accepting(world.target)}


def new_version(world: FaultyDevice) -> Brought:
    """The first MID's next version, under an order for it that this TRE has taken."""
    network, number = world.network, world.network.number
    network.number = 4
    world.operations.orders.accept_update(network.updating(world.target))
    parcel = network.parcel(*network.package(world.target, version=2))
    network.number, network.updates = number, None
    return {"parcel": parcel}


def installed(world: FaultyDevice, brought: Brought) -> None:
    """A package, to its receipt."""
    receipt = world.install(brought["parcel"])
    assert receipt.outcome == "installed", receipt.detail


def authenticated(world: FaultyDevice, _brought: Brought) -> None:
    """The first MID answers."""
    assert world.answers("mid-1")


def started(world: FaultyDevice, _brought: Brought) -> None:
    """The process starts."""
    world.start()
    world.open_vault()


OPERATIONS: dict[str, Operation] = {
    "enrol": Operation(bring=nothing, do=lambda w, _: w.operations.enrollment.begin(), calls_min=27),
    "activate keys": Operation(
        bring=lambda w: {"challenge": w.enrollment_challenge()},
        do=lambda w, b: w.operations.enrollment.activate(b["challenge"]),
        calls_min=13,
    ),
    "credential": Operation(
        bring=lambda w: {"result": w.credential()},
        do=lambda w, b: w.operations.enrollment.install(b["result"]),
        calls_min=6,
    ),
    "attest": Operation(
        bring=lambda w: {"token": w.challenge()},
        do=lambda w, b: w.operations.attestation.attest(b["token"]),
        calls_min=14,
    ),
    "connectivity": Operation(
        bring=lambda w: {"token": w.network.connectivity_token(w.network.connectivity(w.target))},
        do=lambda w, b: w.operations.connectivity.install(b["token"]),
        calls_min=9,
    ),
    "consent": Operation(bring=order_of, do=consent, calls_min=12),
    "install": Operation(
        bring=lambda w: {"parcel": w.network.good_parcel(w.target)},
        do=installed,
        calls_min=45,
    ),
    "activate MID": Operation(bring=lambda w: {"instruction": w.instruction()}, do=activate, calls_min=12),
    "authenticate": Operation(bring=nothing, do=authenticated, calls_min=12),
    "start": Operation(bring=nothing, do=started, calls_min=14),
    "install another": Operation(
        bring=lambda w: {"parcel": w.network.good_parcel(w.target)},
        do=installed,
        calls_min=31,
    ),
    "update MID": Operation(bring=new_version, do=installed, calls_min=20),
    "prepare update": Operation(
        bring=lambda w: {"following": w.following()}, do=prepare_update, calls_min=10
    ),
    "retire": Operation(
        bring=lambda w: {"result": w.credential(of_next=True)}, do=take_next_credential, calls_min=11
    ),
    "block": Operation(bring=as_it_is, do=instructed(BLOCK, leads_to="BLOCKED"), calls_min=15),
    "unblock": Operation(bring=as_it_is, do=instructed(UNBLOCK, leads_to="INACTIVE"), calls_min=23),
    "activate again": Operation(bring=as_it_is, do=instructed(ACTIVATE, leads_to="ACTIVE"), calls_min=15),
    "lock": Operation(bring=as_it_is, do=instructed(LOCK, leads_to="MIGRATING"), calls_min=15),
    "unlock": Operation(bring=as_it_is, do=instructed(UNLOCK, leads_to="ACTIVE"), calls_min=15),
    "erase": Operation(
        bring=lambda w: {"erasure": w.network.erasure(w.target, w.row("mid-2").tre_nonce)},
        do=erase_second,
        calls_min=28,
    ),
    "erase the last": Operation(bring=as_it_is, do=erase_last, calls_min=40),
}
"""In the order in which a device meets them; each begins where the one before has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """An operation with its beginning, and the registries before and after it."""

    name: str
    moment: Moment
    brought: Brought
    before: list[tuple[str, str]]
    after: list[tuple[str, str]]
    calls: tuple[str, ...]

    def begin(self, world: FaultyDevice) -> None:
        """As it was before the operation, of which nothing was said yet."""
        world.back_to(self.moment)
        self.brought.pop(SAID, None)

    def do(self, world: FaultyDevice) -> object:
        """The operation."""
        return OPERATIONS[self.name].do(world, self.brought)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyDevice]:
    """One device, put back for each cut."""
    with faulty_device(
        tmp_path_factory.mktemp("faulty"), manufactured("software", tmp_path_factory)
    ) as device:
        yield device


@pytest.fixture(scope="module")
def chapters(world: FaultyDevice) -> dict[str, Chapter]:
    """The life of a device without faults, traced."""
    told = {}
    for name, operation in OPERATIONS.items():
        if name == "install another":
            world.network.number = 2
            consent(world, order_of(world))
        if name == "retire":
            world.boot(is_next=True)
        brought, moment = operation.bring(world), world.moment()
        world.back_to(moment)
        before = world.registry()
        world.fuse.arm(0)
        operation.do(world, brought)
        calls = tuple(world.fuse.calls)
        told[name] = Chapter(
            name=name, moment=moment, brought=brought, before=before, after=world.registry(), calls=calls
        )
    return told


def cuts(count: int, *, name: str) -> list[int]:
    """Which calls are cut: all, or a seeded sample with the first and the last."""
    every = list(range(1, count + 1))
    if IS_DEEP or count <= SAMPLE:
        return every
    drawn = random.Random(f"{SEED}/{name}").sample(every[1:-1], SAMPLE - 2)  # noqa: S311 - to be repeated
    return [1, *sorted(drawn), count]


def check_registry(world: FaultyDevice, *allowed: list[tuple[str, str]]) -> None:
    """The registry is one of these, and exactly its active MIDs answer."""
    registry = world.registry()
    assert registry in allowed
    assert world.usable() == [mid_id for mid_id, state in registry if state == "ACTIVE"]


def made_whole(world: FaultyDevice, chapter: Chapter) -> None:
    """The operation once more, to its end; and another loss of power."""
    chapter.do(world)
    check_registry(world, chapter.after)
    world.cut(keeps_unsynced=False)
    check_registry(world, chapter.after)
    check_erased(world, chapter)


def check_erased(world: FaultyDevice, chapter: Chapter) -> None:
    """What the operation took away has a proof that stays, and the files of before bring nothing of it back."""
    gone = {mid_id for mid_id, _ in chapter.before} - {mid_id for mid_id, _ in chapter.after}
    for mid_id in gone:
        grave = world.operations.erasures.graves.find(world.network.sho.issuer, mid_id)
        assert grave is not None
        body = verify_statement(
            decode_statement(grave.proof),
            nonce=PROOF_NONCE,
            ak_name=world.target.ak_name,
            pcr_selections=SELECTIONS,
            pcr_digest=world.pcr_digest,
        )
        assert decode_erasure(body).mid_id == mid_id
    if gone:
        world.disk.restore(chapter.moment.files)
        world.cut(keeps_unsynced=True)
        assert not gone & set(world.usable())


@pytest.mark.requirement("R37")
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_hooks_see_every_call_of_an_operation(chapters: dict[str, Chapter], name: str) -> None:
    calls = chapters[name].calls
    assert len(calls) >= OPERATIONS[name].calls_min, calls
    kinds = {call.split()[0] for call in calls}
    assert "TPM" in kinds
    if name not in {"start", "authenticate"}:
        assert {"create", "write", "fsync", "rename"} <= kinds


@pytest.mark.requirement("R37")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_power_may_go_at_any_call(
    world: FaultyDevice, chapters: dict[str, Chapter], name: str, *, is_after: bool
) -> None:
    chapter = chapters[name]
    done = 0
    for number in cuts(len(chapter.calls), name=f"{name}/{is_after}"):
        chapter.begin(world)
        world.fuse.arm(number, is_after=is_after)
        with pytest.raises(PowerCutError):
            chapter.do(world)
        done += 1
        # what was written last is lost or kept, the machine reset or the process alone killed: by turns
        world.cut(keeps_unsynced=number % 2 == 0, resets_tpm=number % 3 != 0)
        check_registry(world, chapter.before, chapter.after)
        made_whole(world, chapter)
    assert done == len(cuts(len(chapter.calls), name=f"{name}/{is_after}"))


@pytest.mark.requirement("R37")
@pytest.mark.negative
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_disk_may_be_full_at_any_write(
    world: FaultyDevice, chapters: dict[str, Chapter], name: str
) -> None:
    chapter = chapters[name]
    writes = [number for number, call in enumerate(chapter.calls, 1) if not call.startswith("TPM")]
    for number in cuts(len(writes), name=f"{name}/full"):
        chapter.begin(world)
        world.fuse.arm(writes[number - 1], error=OSError(errno.ENOSPC, "No space left on device"))
        with told_or_done(chapter, world):
            chapter.do(world)
        world.fuse.arm(0)
        check_registry(world, chapter.before, chapter.after)
        made_whole(world, chapter)


@pytest.mark.requirement("R37")
@pytest.mark.negative
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_tpm_may_be_reset_at_any_command(
    world: FaultyDevice, chapters: dict[str, Chapter], name: str
) -> None:
    chapter = chapters[name]
    commands = [number for number, call in enumerate(chapter.calls, 1) if call.startswith("TPM")]
    for number in cuts(len(commands), name=f"{name}/reset"):
        chapter.begin(world)
        world.fuse.arm(commands[number - 1], action=world.reset_tpm)
        with told_or_done(chapter, world):
            chapter.do(world)
        world.fuse.arm(0)
        world.start()
        world.open_vault()
        check_registry(world, chapter.before, chapter.after)
        made_whole(world, chapter)


@contextmanager
def told_or_done(chapter: Chapter, world: FaultyDevice) -> Iterator[None]:
    """A fault is told as a refusal, or as a receipt that says so; or it was of no consequence."""
    try:
        yield
    except TreError:
        return
    except AssertionError:
        # an installation tells it in its receipt, and an authentication by no answer
        if chapter.name not in {"install", "install another", "update MID", "authenticate"}:
            raise
        world.fuse.arm(0)
