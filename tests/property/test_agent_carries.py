"""What an agent reads of tokens and files that it carries: a value or its own report, for anything."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2me_agent.agent.errors import RefusedError
from m2me_agent.agent.ports import Patience
from m2me_agent.agent.unverified import read_discovery, read_package, token_digest
from tests.fakes.journey_world import World, unsigned
from tests.property.test_messages import JSON
from tests.unit.messages.operator_samples import DISCOVERY, PACKAGE

WORLD = World()
CLAIMS = {"discovery": DISCOVERY.claims(), "package": PACKAGE.claims()}
READERS: dict[str, Any] = {"discovery": read_discovery, "package": read_package}


def refused(name: str, token: str) -> bool:
    try:
        READERS[name](token)
    except RefusedError:
        return True
    return False


@pytest.mark.parametrize("name", READERS)
def test_tokens_as_they_are_made_are_read(name: str) -> None:
    assert not refused(name, unsigned(CLAIMS[name]))


@given(st.sampled_from(sorted(READERS)), st.text(max_size=200))
def test_any_text_is_refused(name: str, token: str) -> None:
    assert refused(name, token)
    assert len(token_digest(token)) == 64


@given(st.sampled_from(sorted(READERS)), JSON)
def test_any_json_in_the_place_of_claims_is_refused(name: str, claims: Any) -> None:
    token = unsigned({}).split(".")
    middle = unsigned({"x": claims}).split(".")[1]
    assert refused(name, f"{token[0]}.{middle}.{token[2]}")


@given(st.data())
def test_any_claim_may_be_anything(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(READERS)))
    claim = data.draw(st.sampled_from(sorted(CLAIMS[name])))
    value = data.draw(JSON)
    refused(name, unsigned({**CLAIMS[name], claim: json.loads(json.dumps(value))}))


@given(
    st.floats(0.001, 1),
    st.floats(1, 3),
    st.floats(0.01, 2),
    st.floats(0, 60),
)
def test_patience_ends(first_s: float, growth: float, longest_s: float, total_s: float) -> None:
    patience = Patience(first_s=first_s, growth=growth, longest_s=longest_s, total_s=total_s)
    pauses = list(patience.pauses())
    assert sum(pauses) <= total_s + 1e-6
    assert all(pause_s > 0 for pause_s in pauses)
