"""The extension that tells a platform's state: its layout, and what it refuses."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from asn1crypto import core

from standards.pki.errors import DecodeError
from standards.pki.platform_state import TIERS, PlatformState
from standards.rats.ar4si import Tier

STATE = PlatformState(
    state_digest=b"\xcc" * 32, tier="warning", result_time=datetime(2026, 6, 1, 12, 0, 7, tzinfo=UTC)
)


class Lax(core.Sequence):  # type: ignore[misc]  # the library is not typed
    """As a foreign decoder knows it from the definition alone."""

    _fields: ClassVar[list[Any]] = [
        ("digest", core.OctetString),
        ("tier", core.UTF8String),
        ("time", core.GeneralizedTime),
    ]


def test_a_foreign_decoder_reads_what_is_said() -> None:
    read = Lax.load(STATE.encode(), strict=True).native
    assert read == {"digest": b"\xcc" * 32, "tier": "warning", "time": STATE.result_time}
    assert PlatformState.decode(STATE.encode()) == STATE


def test_a_time_of_another_zone_is_the_same_time() -> None:
    east = STATE.result_time.astimezone(timezone(timedelta(hours=2)))
    assert replace(STATE, result_time=east).encode() == STATE.encode()


def test_the_words_are_those_of_the_results() -> None:
    assert set(TIERS) == {each.value for each in Tier}


@pytest.mark.negative
@pytest.mark.parametrize(
    "wrong",
    [
        {"state_digest": b"\xcc" * 19},
        {"state_digest": b"\xcc" * 65},
        {"tier": "good"},
        {"result_time": STATE.result_time.replace(tzinfo=None)},
        {"result_time": STATE.result_time.replace(microsecond=1)},
    ],
)
def test_what_a_reader_would_refuse_is_not_said(wrong: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        replace(STATE, **wrong)  # type: ignore[arg-type]  # one field each


@pytest.mark.negative
def test_octets_of_another_structure_are_refused() -> None:
    der = STATE.encode()
    tier = Lax({"digest": b"\xcc" * 32, "tier": "good", "time": STATE.result_time}).dump()
    for wrong in (b"", der[:-1], der + b"\x00", b"\x31" + der[1:], tier):
        with pytest.raises(DecodeError):
            PlatformState.decode(wrong)
