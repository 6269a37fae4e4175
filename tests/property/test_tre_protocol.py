"""Whatever a hostile agent sends, the TRE's decoder gives a value or its own error, never another."""

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from m2me_agent.tre_protocol import (
    AGENT_OPERATIONS,
    PARAMETERS,
    Operation,
    Refusal,
    Request,
    TreProtocolError,
    decode_request,
    decode_response,
    encode_frame,
    encode_request,
    encode_response,
    receive_frame,
)
from messages.encoding import encode_deterministic

# A few characters of each size: the full repertoire takes seconds to set up on a fresh machine.
TEXTS = st.text(st.sampled_from("aZ0. \x00\n\u00e9\u20ac\U0001f600"), max_size=60)
OPERATIONS = st.sampled_from(sorted(AGENT_OPERATIONS))
VALUES: dict[type, st.SearchStrategy[Any]] = {
    bytes: st.binary(max_size=300),
    str: TEXTS,
}
LEAVES = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.binary(max_size=40) | TEXTS
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers(0, 4), inner, max_size=3)
        | st.dictionaries(st.sampled_from(["challenge", "result", "code"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any well-formed request."""
    operation = Operation(draw(OPERATIONS))
    parameters = {name: draw(VALUES[kind]) for name, kind in PARAMETERS[operation].items()}
    return Request(operation=operation, parameters=parameters)


@given(requests())
def test_every_request_comes_back(request: Request) -> None:
    assert decode_request(encode_request(request)) == request


@given(requests(), st.data())
def test_every_prefix_and_every_suffix_byte_is_refused(request: Request, data: st.DataObject) -> None:
    payload = encode_request(request)
    cut = data.draw(st.integers(0, len(payload) - 1))
    suffix = data.draw(st.binary(min_size=1, max_size=1))
    assert _refused(payload[:cut])
    assert _refused(payload + suffix)


@given(st.binary(max_size=200))
def test_random_bytes_give_a_request_or_the_own_error(payload: bytes) -> None:
    _refused(payload)


@given(PLAIN)
def test_any_well_encoded_value_gives_a_request_or_the_own_error(value: object) -> None:
    _refused(encode_deterministic(value))


@given(PLAIN, OPERATIONS)
def test_any_answer_gives_a_response_or_the_own_error(value: object, operation: str) -> None:
    try:
        decode_response(encode_deterministic(value), operation=Operation(operation))
    except TreProtocolError:
        return


@given(
    st.builds(
        Refusal,
        code=TEXTS,
        subject=TEXTS,
        reason=TEXTS,
        remedy=TEXTS,
    )
)
def test_every_refusal_comes_back(refusal: Refusal) -> None:
    assert decode_response(encode_response(refusal), operation=Operation.ATTEST) == refusal


@given(st.binary(max_size=64))
def test_random_bytes_on_the_socket_give_frames_or_the_own_error(stream_bytes: bytes) -> None:
    stream = io.BytesIO(stream_bytes)
    frames = []
    try:
        while (frame := receive_frame(stream.read)) is not None:
            frames.append(frame)
    except TreProtocolError:
        return
    assert b"".join(encode_frame(frame) for frame in frames) == stream_bytes


def _refused(payload: bytes) -> bool:
    try:
        request = decode_request(payload)
    except TreProtocolError:
        return True
    assert encode_request(request) == payload
    return False
