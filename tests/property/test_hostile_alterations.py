"""The hostile agent's alterations: of any message each place, and nothing but that place; and no message type is left out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.hostile_agent.alterations import altered, forged, rewritten, spliced
from lab.hostile_agent.messages import GOES_ON_TO, WITH_TOKENS, Direction, Kind, cells, message_types
from lab.hostile_agent.structure import CLAIMS, HEADER, SIGNATURE, at, nodes, opened
from lab.hostile_agent.tally import Tally
from m2me_agent.tre_protocol import AGENT_OPERATIONS, PARAMETERS
from messages.encoding import encode_deterministic
from messages.operator_token import OperatorSigner
from standards.pki import oids
from tests.fakes.network import operator
from tests.fakes.pki import Authority

SIGNER: OperatorSigner = operator(Authority.root("operators' root"), "sho", oids.EKU_SUBSCRIPTION)
LEAVES = st.one_of(
    st.integers(min_value=0, max_value=1 << 40), st.binary(max_size=40), st.text(max_size=20), st.booleans()
)
MESSAGES = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "unknown-member"),
    st.one_of(
        LEAVES,
        st.lists(LEAVES, min_size=1, max_size=3),
        st.dictionaries(st.integers(0, 9), LEAVES, min_size=1, max_size=3).map(encode_deterministic),
        st.dictionaries(st.sampled_from(["jti", "iat", "nonce"]), st.text(max_size=9), min_size=1).map(
            lambda claims: SIGNER.sign(claims, typ="test+jwt")
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(MESSAGES)
def test_each_place_is_altered_and_every_alteration_is_another_message(message: dict[str, Any]) -> None:
    tried = list(altered(message))
    for place, _ in nodes(message):
        if place:
            name = ".".join(str(part) for part in place)
            assert any(each.what.startswith(f"{name}: ") for each in tried), name
    for alteration in tried:
        assert alteration.change(message) != message, alteration.what


@given(MESSAGES)
def test_what_is_opened_and_closed_again_is_the_same(message: dict[str, Any]) -> None:
    for _, value in nodes(message):
        inside = opened(value)
        if inside is not None:
            assert inside.close(dict(inside.members)) == value


@given(MESSAGES, MESSAGES)
def test_a_splice_holds_one_part_of_the_other(message: dict[str, Any], other: dict[str, Any]) -> None:
    for alteration in spliced(message, other):
        place = alteration.what.partition(": ")[0]
        mixed = alteration.change(message)
        assert mixed != message
        found = {".".join(map(str, path)): value for path, value in nodes(mixed)}
        theirs = {".".join(map(str, path)): value for path, value in nodes(other)}
        assert found[place] == theirs[place]


@pytest.mark.negative
def test_header_claims_and_signature_of_a_token_are_places_and_forgeries_keep_the_claims() -> None:
    token = SIGNER.sign({"jti": "one"}, typ="test+jwt")
    places = {path for path, _ in nodes({"token": token})}
    assert {("token", HEADER, "alg"), ("token", CLAIMS, "jti"), ("token", SIGNATURE)} <= places
    forgeries = [each.change({"token": token})["token"] for each in forged({"token": token})]
    assert len(set(forgeries)) == 5
    assert all(at(each, (CLAIMS, "jti")) == "one" for each in forgeries)
    algorithms = {at(each, (HEADER, "alg")) for each in forgeries}
    assert algorithms == {"none", "HS256", "ES256"}
    (other,) = [each.change({"token": token})["token"] for each in rewritten({"token": token})]
    assert at(other, (CLAIMS,)) == at(token, (CLAIMS,))
    assert other != token


@pytest.mark.requirement("R31", "R52")
def test_no_message_type_of_the_protocol_is_left_out() -> None:
    assert set(GOES_ON_TO) == AGENT_OPERATIONS
    tokens = {operation for operation in AGENT_OPERATIONS if str in PARAMETERS[operation].values()}
    assert tokens >= WITH_TOKENS
    inward = {each.operation for each in message_types() if each.direction is Direction.INWARD}
    assert inward == AGENT_OPERATIONS
    for message in message_types():
        kinds = {kind for each, kind in cells() if each == message}
        assert kinds >= {Kind.DROP, Kind.REPLAY, Kind.ALTER, Kind.REORDER, Kind.DELAY}


@pytest.mark.negative
def test_what_was_not_played_or_ended_otherwise_is_not_as_it_must_be() -> None:
    tally = Tally()
    for cell in cells():
        tally.count(cell, "refused: malformed")
    assert tally.all_refused()
    gone = min(cells())
    played = tally.endings.pop(gone)
    assert not tally.all_refused()
    assert len(tally.missing()) == 1
    tally.endings[gone] = played
    tally.violated(gone, "was taken")
    assert not tally.all_refused()
