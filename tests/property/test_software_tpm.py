"""Any bytes give a TPM response, and never the one that means a defect."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.software_tpm.command_table import COMMANDS
from standards.tpm2.constants import CommandCode
from tests.fakes.software_tpm import BenchTpm
from tests.fakes.tpm_exchanges import Exchange, recorded, restore

FAILURE = 0x101
HEADER_BYTES = 10
NOT_OFFERED_TWICE = {CommandCode.STARTUP}
"""The process has started up already: no second Startup succeeds."""


def answered(bench: BenchTpm, command: bytes) -> int:
    """The return code of a well-formed response."""
    response = bench.tpm.execute(command)
    tag, size, rc = (int.from_bytes(response[start:end], "big") for start, end in ((0, 2), (2, 6), (6, 10)))
    assert size == len(response)
    assert tag in (0x8001, 0x8002, 0x00C4)
    assert rc != FAILURE
    assert rc == 0 or size == 10
    return rc


def mutated(data: st.DataObject, command: bytes) -> bytes:
    """The command with some bytes changed, cut off or added, framed again most of the time."""
    body = bytearray(command)
    for _ in range(data.draw(st.integers(0, 3)) if len(body) > HEADER_BYTES else 0):
        body[data.draw(st.integers(HEADER_BYTES, len(body) - 1))] = data.draw(st.integers(0, 255))
    kept = data.draw(st.one_of(st.just(len(body)), st.integers(HEADER_BYTES, len(body))))
    body[kept:] = data.draw(st.one_of(st.just(b""), st.binary(max_size=8)))
    if data.draw(st.integers(0, 9)):
        body[2:6] = len(body).to_bytes(4, "big")
    return bytes(body)


def test_the_story_has_every_command() -> None:
    _, exchanges = recorded()
    assert {exchange.code for exchange in exchanges} == set(COMMANDS) - NOT_OFFERED_TWICE


@given(st.binary(max_size=200))
def test_noise_gives_a_response(noise: bytes) -> None:
    bench, exchanges = recorded()
    restore(bench, exchanges[-1])
    assert answered(bench, noise)


@given(st.sampled_from(sorted(COMMANDS)), st.booleans(), st.binary(max_size=120))
def test_any_body_of_any_command_gives_a_response(code: CommandCode, sessions: bool, body: bytes) -> None:  # noqa: FBT001 drawn
    bench, exchanges = recorded()
    restore(bench, exchanges[len(exchanges) // 2])
    tag = b"\x80\x02" if sessions else b"\x80\x01"
    answered(bench, tag + (10 + len(body)).to_bytes(4, "big") + code.to_bytes(4, "big") + body)


@settings(max_examples=3 * settings().max_examples)
@given(st.data())
def test_a_mutated_command_is_answered_and_a_refused_one_changes_nothing(data: st.DataObject) -> None:
    bench, exchanges = recorded()
    exchange = exchanges[data.draw(st.integers(0, len(exchanges) - 1))]
    restore(bench, exchange)
    rc = answered(bench, mutated(data, exchange.command))
    if rc:
        machine = bench.tpm._machine  # noqa: SLF001 nothing outside shows all of the state
        assert machine.volatile is exchange.volatile
        counted = machine.state.dictionary_attack
        assert replace(exchange.state, dictionary_attack=counted, clock=machine.state.clock) == machine.state


@pytest.mark.negative
def test_every_prefix_and_every_suffix_of_a_command_is_refused() -> None:
    bench, exchanges = recorded()
    unique: dict[CommandCode, Exchange] = {exchange.code: exchange for exchange in exchanges}
    for exchange in unique.values():
        for size in range(10, len(exchange.command)):
            body = exchange.command[:2] + size.to_bytes(4, "big") + exchange.command[6:size]
            restore(bench, exchange)
            assert answered(bench, body), (exchange.code.name, size)
        size = len(exchange.command) + 1
        restore(bench, exchange)
        body = exchange.command[:2] + size.to_bytes(4, "big") + exchange.command[6:] + b"\x00"
        assert answered(bench, body), exchange.code.name
