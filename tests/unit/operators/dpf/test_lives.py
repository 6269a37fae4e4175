"""The DPF passes on what a device's TRE said and what the owner of its MID wants; it decides nothing."""

from dataclasses import dataclass, field, replace

import pytest

from operators.dpf.lives import LifeDesk, Step, StepQuestion
from operators.dpf.refusals import RefusalCode, RefusalError
from tests.fakes.dpf_counterparts import DpfRoom
from tests.unit.operators.dpf.room import WORLD, authorize, new_room

QUESTION = StepQuestion(
    device_id=WORLD.device.device_id, order_digest=WORLD.order.digest, statement=b"as it came"
)
ANSWER = Step(kind="instruct", token="a.b.c")  # noqa: S106 - no password


@dataclass
class Owner:
    """An SHO that answers, or refuses."""

    refusal: RefusalError | None = None
    asked: list[tuple[str, StepQuestion]] = field(default_factory=list)

    def next_step(self, sho: str, question: StepQuestion) -> Step:
        """What it says."""
        self.asked.append((sho, question))
        if self.refusal is not None:
            raise self.refusal
        return ANSWER


@pytest.fixture
def room() -> DpfRoom:
    made = new_room()
    authorize(made)
    return made


@pytest.mark.requirement("R57")
def test_the_owner_of_the_order_hears_the_statement_as_it_is(room: DpfRoom) -> None:
    owner = Owner()
    assert LifeDesk(store=room.store, owners=owner).next_step(QUESTION) == ANSWER
    assert owner.asked == [("sho-1", QUESTION)]


@pytest.mark.requirement("R22", "R57")
@pytest.mark.negative
@pytest.mark.parametrize("changed", [{"device_id": "00" * 32}, {"order_digest": bytes(32)}])
def test_nobody_is_asked_about_an_order_that_was_never_authorised_here(
    room: DpfRoom, changed: dict[str, object]
) -> None:
    owner = Owner()
    with pytest.raises(RefusalError) as caught:
        LifeDesk(store=room.store, owners=owner).next_step(replace(QUESTION, **changed))  # type: ignore[arg-type] # its members
    assert caught.value.code == RefusalCode.NOTHING_AUTHORIZED
    assert owner.asked == []


@pytest.mark.negative
def test_the_owners_no_comes_back(room: DpfRoom) -> None:
    refusal = RefusalError(RefusalCode.STEP_REFUSED, subject="SHO", reason="a journal that went back")
    with pytest.raises(RefusalError) as caught:
        LifeDesk(store=room.store, owners=Owner(refusal=refusal)).next_step(QUESTION)
    assert caught.value is refusal
