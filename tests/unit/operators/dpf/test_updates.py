"""The DPF passes a device's question about an update on to the owner, and its answer back; it decides nothing."""

from dataclasses import dataclass, field, replace

import pytest

from operators.dpf.refusals import RefusalCode, RefusalError
from operators.dpf.updates import UpdateDesk, UpdateQuestion
from tests.fakes.dpf_counterparts import DpfRoom
from tests.unit.operators.dpf.room import WORLD, authorize, new_room

QUESTION = UpdateQuestion(
    device_id=WORLD.device.device_id,
    order_digest=WORLD.order.digest,
    manifest_digest=b"\x4d" * 32,
    tre_nonce=b"\x5e" * 32,
)


@dataclass
class Owner:
    """An SHO that answers, or refuses."""

    refusal: RefusalError | None = None
    asked: list[tuple[str, UpdateQuestion]] = field(default_factory=list)

    def update_approvals(self, sho: str, question: UpdateQuestion) -> str:
        """What it says."""
        self.asked.append((sho, question))
        if self.refusal is not None:
            raise self.refusal
        return "signed approvals"


@pytest.fixture
def room() -> DpfRoom:
    made = new_room()
    authorize(made)
    return made


@pytest.mark.requirement("R82")
def test_the_owner_of_the_order_is_asked_and_its_answer_comes_back_as_it_is(room: DpfRoom) -> None:
    owner = Owner()
    desk = UpdateDesk(store=room.store, owners=owner)
    assert desk.approvals(QUESTION) == "signed approvals"
    assert owner.asked == [("sho-1", QUESTION)]


@pytest.mark.requirement("R82")
@pytest.mark.negative
@pytest.mark.parametrize("changed", [{"device_id": "00" * 32}, {"order_digest": bytes(32)}])
def test_nobody_is_asked_about_an_order_that_was_never_authorised_here(
    room: DpfRoom, changed: dict[str, object]
) -> None:
    owner = Owner()
    with pytest.raises(RefusalError) as caught:
        UpdateDesk(store=room.store, owners=owner).approvals(replace(QUESTION, **changed))  # type: ignore[arg-type] # its members
    assert caught.value.code == RefusalCode.NOTHING_AUTHORIZED
    assert owner.asked == []


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_the_owners_no_comes_back(room: DpfRoom) -> None:
    refusal = RefusalError(RefusalCode.UPDATE_REFUSED, subject="SHO", reason="not announced")
    with pytest.raises(RefusalError) as caught:
        UpdateDesk(store=room.store, owners=Owner(refusal=refusal)).approvals(QUESTION)
    assert caught.value is refusal
