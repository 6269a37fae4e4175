"""The table of an order's states, read as a whole."""

import pytest

from operators.sho.order_states import (
    ERASABLE,
    TRANSITIONS,
    OrderState,
    TransitionError,
    bound,
    check_transition,
)
from tests.fakes.sho_world import World

CLOSED = {OrderState.ERASED, OrderState.SUPERSEDED}


@pytest.mark.requirement("R62")
def test_active_is_reached_from_installed_alone_and_that_from_authorized_alone() -> None:
    leads_to = {
        state: {before for before, afters in TRANSITIONS.items() if state in afters} for state in OrderState
    }
    assert leads_to[OrderState.ACTIVE] == {OrderState.INSTALLED}
    assert leads_to[OrderState.ERASED] == ERASABLE
    assert leads_to[OrderState.MOVED] == {OrderState.ACTIVE}
    assert leads_to[OrderState.SUPERSEDED] == {OrderState.ACTIVE}
    assert leads_to[OrderState.INSTALLED] == {OrderState.AUTHORIZED}
    assert leads_to[OrderState.AUTHORIZED] == {OrderState.PACKAGED}
    assert leads_to[OrderState.PACKAGED] == {OrderState.VALIDATING}


def test_every_state_is_in_the_table_and_only_closed_ones_end() -> None:
    assert set(TRANSITIONS) == set(OrderState)
    assert {state for state, afters in TRANSITIONS.items() if not afters} == CLOSED


@pytest.mark.negative
@pytest.mark.parametrize("before", sorted(OrderState))
def test_a_change_that_is_not_in_the_table_is_a_fault(before: OrderState) -> None:
    for after in set(OrderState) - TRANSITIONS[before]:
        with pytest.raises(TransitionError, match=after.value):
            check_transition(before, after)


@pytest.mark.negative
def test_an_order_that_no_device_registered_with_is_bound_to_nothing(world: World) -> None:
    with pytest.raises(TransitionError, match="bound to no device"):
        bound(world.place())
