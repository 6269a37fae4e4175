"""The frames and messages of the TRE socket."""

import io
from typing import Any

import pytest

from m2me_agent.tre_protocol import (
    AGENT_OPERATIONS,
    FRAME_BYTES_MAX,
    MMI_OPERATIONS,
    OTHER_RESULTS,
    PARAMETERS,
    RESULTS,
    TEXT_CHARACTERS_MAX,
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
from messages.mid_package import CONTENT_BYTES_MAX
from messages.operator_token import TOKEN_BYTES_MAX

SAMPLES: dict[type, Any] = {bytes: b"\x01\x02", str: "token", dict: {"a": "b"}, list: [{"a": "b"}], int: 7}
REFUSAL = Refusal(code="untrusted", subject="signer", reason="expected x, got y", remedy="ask z")


@pytest.mark.parametrize("operation", Operation)
def test_a_request_of_each_operation_comes_back(operation: Operation) -> None:
    parameters = {name: SAMPLES[kind] for name, kind in PARAMETERS[operation].items()}
    request = Request(operation=operation, parameters=parameters)
    assert decode_request(encode_request(request), allowed=frozenset({operation})) == request


@pytest.mark.requirement("R13")
@pytest.mark.requirement("R52")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("socket", "others"), [(AGENT_OPERATIONS, MMI_OPERATIONS), (MMI_OPERATIONS, AGENT_OPERATIONS)]
)
def test_no_socket_answers_an_operation_of_the_other(
    socket: frozenset[Operation], others: frozenset[Operation]
) -> None:
    for operation in others:
        parameters = {name: SAMPLES[kind] for name, kind in PARAMETERS[operation].items()}
        payload = encode_request(Request(operation=operation, parameters=parameters))
        with pytest.raises(TreProtocolError):
            decode_request(payload, allowed=socket)


@pytest.mark.parametrize("operation", OTHER_RESULTS)
def test_a_wish_for_resynchronisation_comes_in_place_of_a_result(operation: Operation) -> None:
    result = {"auts": b"auts"}
    assert decode_response(encode_response(result), operation=operation) == result


@pytest.mark.negative
def test_a_result_is_never_mixed_with_the_other_one() -> None:
    payload = encode_response({"res": b"", "attachment_key": b"", "auts": b""})
    with pytest.raises(TreProtocolError):
        decode_response(payload, operation=Operation.ATTACH)


@pytest.mark.parametrize("operation", Operation)
def test_a_result_and_a_refusal_of_each_operation_come_back(operation: Operation) -> None:
    result = {name: SAMPLES[kind] for name, kind in RESULTS[operation].items()}
    assert decode_response(encode_response(result), operation=operation) == result
    assert decode_response(encode_response(REFUSAL), operation=operation) == REFUSAL


def test_there_is_no_operation_that_takes_data_to_be_signed() -> None:
    assert {operation.value: sorted(PARAMETERS[operation]) for operation in Operation} == {
        "status": [],
        "begin_enrollment": [],
        "activate": ["challenge"],
        "install_credential": ["result"],
        "attest": ["challenge_token"],
        "install_connectivity": ["token"],
        "attach": ["autn", "rand"],
        "accept_order": ["discovery", "nonce", "order"],
        "accept_update": ["order"],
        "install": ["content", "delivery", "package"],
        "instruct": ["instruction"],
        "report": ["query"],
        "erase": ["instruction"],
        "authenticate": ["application", "autn", "mid_id", "rand"],
        "mids": [],
        "begin_update": ["sho"],
        "take_approvals": ["approvals"],
        "pending": [],
        "consent": ["order_digest"],
        "refuse": ["order_digest"],
        "usims": [],
        "select": ["application", "mid_id"],
    }


@pytest.mark.negative
@pytest.mark.parametrize(
    "value",
    [
        [],
        7,
        "status",
        {},
        {1: "status"},
        {1: "status", 2: {}, 3: 0},
        {1: "sign", 2: {}},
        {1: 1, 2: {}},
        {1: "status", 2: []},
        {1: "status", 2: {"x": 1}},
        {1: "attest", 2: {}},
        {1: "attest", 2: {"challenge_token": b"bytes"}},
        {1: "attest", 2: {"challenge_token": "t", "extra_data": b"x" * 32}},
        {1: "activate", 2: {"challenge": "text"}},
        {1: "activate", 2: {"challenge": True}},
    ],
)
def test_a_request_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(TreProtocolError):
        decode_request(encode_deterministic(value))


@pytest.mark.negative
@pytest.mark.parametrize("value", [{}, {1: {}}, {1: {}, 2: {}}, {2: {}}, {2: {"code": "x"}}, {3: 1}, []])
def test_a_response_of_another_shape_is_refused(value: object) -> None:
    with pytest.raises(TreProtocolError):
        decode_response(encode_deterministic(value), operation=Operation.ATTEST)


@pytest.mark.negative
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"\xa2\x01",
        b"\xa2\x02\xa0\x01\x66status",
        encode_request(Request(operation=Operation.STATUS, parameters={})) + b"\x00",
    ],
    ids=["empty", "break", "cut", "keys out of order", "trailing byte"],
)
def test_bytes_that_are_not_deterministic_cbor_are_refused(payload: bytes) -> None:
    with pytest.raises(TreProtocolError):
        decode_request(payload)


def test_long_texts_of_a_refusal_are_cut() -> None:
    long = Refusal(code="c", subject="s", reason="r" * (TEXT_CHARACTERS_MAX + 1), remedy="m")
    decoded = decode_response(encode_response(long), operation=Operation.STATUS)
    assert isinstance(decoded, Refusal)
    assert decoded.reason == "r" * TEXT_CHARACTERS_MAX


def test_a_package_of_the_largest_size_fits_into_a_frame() -> None:
    token = "t" * TOKEN_BYTES_MAX
    content = bytes(CONTENT_BYTES_MAX)
    largest = {"package": token, "delivery": token, "content": content}
    request = Request(operation=Operation.INSTALL, parameters=largest)
    payload = encode_request(request)
    assert receive_frame(io.BytesIO(encode_frame(payload)).read) == payload
    assert decode_request(payload) == request


@pytest.mark.negative
def test_an_answer_larger_than_a_frame_is_not_encoded() -> None:
    with pytest.raises(TreProtocolError):
        encode_response({"evidence": bytes(FRAME_BYTES_MAX)})


def test_frames_come_back_in_pieces_and_in_their_order() -> None:
    stream = io.BytesIO(encode_frame(b"one") + encode_frame(b"two"))
    assert receive_frame(lambda count: stream.read(min(count, 2))) == b"one"
    assert receive_frame(lambda count: stream.read(min(count, 2))) == b"two"
    assert receive_frame(stream.read) is None


@pytest.mark.negative
@pytest.mark.parametrize("length", [0, FRAME_BYTES_MAX + 1, 0xFFFFFFFF])
def test_a_length_outside_the_cap_is_refused_before_anything_is_read(length: int) -> None:
    stream = io.BytesIO(length.to_bytes(4, "big") + b"payload")
    with pytest.raises(TreProtocolError):
        receive_frame(stream.read)
    assert stream.read() == b"payload"


@pytest.mark.negative
@pytest.mark.parametrize("cut", [1, 3, 4, 6])
def test_an_end_inside_a_frame_is_refused(cut: int) -> None:
    stream = io.BytesIO(encode_frame(b"abc")[:cut])
    with pytest.raises(TreProtocolError):
        receive_frame(stream.read)


@pytest.mark.negative
@pytest.mark.parametrize("payload", [b"", bytes(FRAME_BYTES_MAX + 1)])
def test_a_payload_outside_the_cap_is_not_framed(payload: bytes) -> None:
    with pytest.raises(TreProtocolError):
        encode_frame(payload)
