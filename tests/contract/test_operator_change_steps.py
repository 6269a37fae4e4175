"""A change of operator broken off after each of its steps, in each of three ways: exactly one MID answers, and it is the right one.

The TRE is the real one over a software TPM and a disk that forgets; both operators sign for real. What one write or one command
of the TPM may leave half done is in `test_tre_operator_change_faults`.
"""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass

import pytest

from m2me_agent.tre.errors import TreError
from messages.erasure import decode_erasure
from messages.registry import decode_report
from messages.statement import decode_statement
from standards.pki import oids
from tests.contract.test_tre_operator_change_faults import NEW, PRIOR, Changing, install
from tests.contract.tpm_devices import manufactured
from tests.fakes.faulty_device import OPERATORS_ROOT, Moment, faulty_device
from tests.fakes.network import Network, operator


def successor(network: Network, number: int) -> Network:
    """Another operator, whose MID has this number."""
    made = copy(network)
    made.number = number
    made.sho = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer=f"sho-{number}")
    return made


@dataclass(kw_only=True)
class Steps:
    """The device before anything was ordered at the new operator, and the change on it."""

    changing: Changing
    begin: Moment

    def back(self) -> Changing:
        """To the beginning."""
        changing = self.changing
        changing.device.network = changing.new
        changing.device.back_to(self.begin)
        return changing


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steps]:
    folder = tmp_path_factory.mktemp("steps")
    with faulty_device(folder, manufactured("software", tmp_path_factory)) as device:
        device.enroll()
        install(device)
        device.operations.mids.instruct(device.instruction())
        prior = device.network
        device.network = successor(prior, 2)
        yield Steps(changing=Changing(device=device, prior=prior, new=device.network), begin=device.moment())


def order(changing: Changing) -> None:
    device = changing.device
    device.operations.orders.accept(**device.network.accepting(device.target))  # type: ignore[arg-type] # by name


def agree(changing: Changing) -> None:
    device = changing.device
    device.operations.orders.consent(device.network.order(device.target).digest)


def download(changing: Changing) -> None:
    device = changing.device
    assert device.install(device.network.good_parcel(device.target)).outcome == "installed"


def erase(changing: Changing) -> None:
    """The prior operator has its MID erased, for a fresh report."""
    device, prior = changing.device, copy(changing.prior)
    prior.number = 1
    encoded = device.operations.registry.report(prior.query(device.target))
    nonce = decode_report(decode_statement(encoded).body).tre_nonce
    proof = device.operations.erasures.erase(prior.erasure(device.target, nonce))
    assert decode_erasure(decode_statement(proof).body).mid_id == PRIOR


WAY: tuple[tuple[str, Callable[[Changing], None]], ...] = (
    ("ordered at the new operator", order),
    ("the person agreed", agree),
    ("downloaded and installed", download),
    ("switched", Changing.switch),
    ("confirmed", Changing.confirm),
    ("the prior MID erased", erase),
)
ABORTS: dict[str, Callable[[Changing], None]] = {
    "the TRE's process is killed": lambda it: it.device.cut(keeps_unsynced=False, resets_tpm=False),
    "power goes": lambda it: it.device.cut(keeps_unsynced=False),
    "nobody says anything more": lambda it: it.device.clock.pass_seconds(60),
}
SERVES_UNCONFIRMED = ("switched", "the TRE's process is killed")
"""The one abort after which the new MID serves without its confirmation: until its window is over."""


def expected(done: int, how: str) -> str:
    """Which MID answers after so many steps and this abort."""
    last = WAY[done - 1][0] if done else ""
    if last == "switched":
        return NEW if (last, how) == SERVES_UNCONFIRMED else PRIOR
    return NEW if done > [name for name, _ in WAY].index("switched") else PRIOR


@pytest.mark.requirement("R23", "R66", "R120")
@pytest.mark.negative
@pytest.mark.parametrize("how", ABORTS)
def test_after_an_abort_at_every_step_exactly_one_mid_answers(steps: Steps, how: str) -> None:
    table = {}
    for done in range(len(WAY) + 1):
        changing = steps.back()
        for _, do in WAY[:done]:
            do(changing)
        ABORTS[how](changing)
        table[done] = changing.answering()
    assert table == {done: [expected(done, how)] for done in range(len(WAY) + 1)}


@pytest.mark.requirement("R23", "R66")
def test_both_mids_are_there_until_the_prior_one_is_erased(steps: Steps) -> None:
    changing = steps.back()
    seen = []
    for _, do in WAY:
        do(changing)
        seen.append(changing.device.registry())
    before, after = [(PRIOR, "ACTIVE"), (NEW, "INACTIVE")], [(PRIOR, "INACTIVE"), (NEW, "ACTIVE")]
    assert seen == [before[:1], before[:1], before, after, after, after[1:]]


@pytest.mark.requirement("R120")
@pytest.mark.negative
def test_of_two_successors_with_a_release_each_the_first_one_wins(steps: Steps) -> None:
    changing = steps.back()
    for _, do in WAY[:3]:
        do(changing)
    third = successor(changing.new, 3)
    changing.device.network = third
    install(changing.device)
    race = Changing(device=changing.device, prior=changing.prior, new=third)
    token = race.prior.release(race.device.target, successor="sho-3")

    def third_switches() -> None:
        race.device.operations.changes.follow(
            third.switch(race.device.target, race.nonce(), release=token, mid_id="mid-3")
        )

    changing.switch()
    with pytest.raises(TreError, match="under way"):
        third_switches()
    changing.confirm()
    with pytest.raises(TreError):
        third_switches()
    assert [mid for mid in (*changing.answering(), "mid-3") if race.answers(mid)] == [NEW]
