"""Every prefix, every changed byte and every length field of every input gives the parser's own error, in bounded time and memory."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import settings

from messages.evidence import EVIDENCE_BYTES_MAX
from tests.fuzz.__main__ import fault
from tests.fuzz.mutations import length_fields, mixture, one_byte_changes, prefixes
from tests.fuzz.targets import TARGETS, Target

MEMORY_MAX = 64 << 20
SMALL = (0x01, 0x80, 0xFF)
DEEP_FROM = 100
"""Examples of a property from which on a run is a deep one."""
FEW = 150
by_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def deep() -> bool:
    return settings().max_examples >= DEEP_FROM


def some(inputs: Iterator[bytes], *, most: int, whole: int) -> Iterator[bytes]:
    """All of the inputs in a deep run; else of the `whole` number of them about `most`, spread evenly."""
    step = 1 if deep() else max(whole // most, 1)
    return (each for number, each in enumerate(inputs) if number % step == 0)


def hold(target: Target, inputs: Iterator[bytes]) -> int:
    """See that a target behaves on all of these; how many there were."""
    tried = 0
    for data in inputs:
        tried += 1
        found = fault(target, data)
        assert found is None, f"{found} for {data.hex()[:2000]}"
    return tried


def hold_in_bounds(target: Target, inputs: Iterator[bytes]) -> int:
    """The same, with a look at the memory that the worst of them takes."""
    tracemalloc.start()
    try:
        tried = hold(target, inputs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_MAX
    return tried


@by_target
def test_good_input_is_taken(target: Target) -> None:
    for seed in target.seeds:
        if (target.name, seed) != ("signature", TARGETS[1].seeds[1]):  # an RSA signature, under an ECC key
            target.parse(seed)


@pytest.mark.check("A1")
@pytest.mark.negative
@by_target
def test_every_prefix(target: Target) -> None:
    for seed in target.seeds:
        assert hold(target, some(prefixes(seed), most=FEW, whole=len(seed)))


@pytest.mark.check("A1")
@pytest.mark.negative
@by_target
def test_every_changed_byte(target: Target) -> None:
    for seed in target.seeds:
        flips = tuple(range(1, 256)) if deep() and len(seed) < FEW else SMALL
        changed = one_byte_changes(seed, flips=flips)
        assert hold(target, some(changed, most=FEW, whole=len(seed) * len(flips)))


@pytest.mark.check("A1")
@pytest.mark.negative
@by_target
def test_every_length_field(target: Target) -> None:
    for seed in target.seeds:
        assert hold_in_bounds(target, some(length_fields(seed), most=FEW, whole=len(seed) * 50))


@pytest.mark.negative
@by_target
def test_mixtures(target: Target) -> None:
    rounds = settings().max_examples * 10
    assert hold(target, (mixture(target.seeds, seed=1, number=number) for number in range(rounds))) == rounds


def test_a_mixture_is_the_same_everywhere() -> None:
    seeds = TARGETS[0].seeds
    assert mixture(seeds, seed=3, number=9) == mixture(seeds, seed=3, number=9)
    assert len({mixture(seeds, seed=3, number=number) for number in range(50)}) > 20


@pytest.mark.negative
def test_another_error_and_a_slow_parser_are_faults() -> None:
    def raising(data: bytes) -> object:
        raise IndexError(len(data))

    target = Target(name="bad", parse=raising, error=ValueError, seeds=(b"x",))
    assert fault(target, b"x") == "IndexError: 1"


@pytest.mark.check("A1")
@pytest.mark.negative
@pytest.mark.parametrize(
    "name",
    [
        "quote",
        "boot-log",
        "ima-list",
        "ima-text",
        "runtime-policy",
        "evidence",
        "manifest",
        "signed-manifest",
    ],
)
def test_50_mb_are_refused_before_they_are_looked_at(name: str) -> None:
    target = next(each for each in TARGETS if each.name == name)
    data = target.seeds[0] + bytes(50 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(target.error):
            target.parse(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_no_listener_takes_50_mb_of_evidence() -> None:
    assert EVIDENCE_BYTES_MAX < 50 << 20
