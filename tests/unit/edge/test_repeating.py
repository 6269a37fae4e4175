"""Only what a service puts off, and makes nothing twice, is sent again, and never sooner than the service says."""

from datetime import UTC, datetime

import pytest

from edge.repeating import Repeating, makes_nothing_twice, named

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def repeating(*, times_max: int = 3, wait_max_s: float = 10.0) -> Repeating:
    return Repeating(sleep=lambda _: None, clock=lambda: NOW, times_max=times_max, wait_max_s=wait_max_s)


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [
        ("0", 0.0),
        ("2", 2.0),
        (" 10 ", 10.0),
        ("Mon, 01 Jun 2026 12:00:04 GMT", 4.0),
        ("Mon, 01 Jun 2026 12:00:04 -0000", 4.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_the_service_says(status: int, retry_after: str, wait_s: float) -> None:
    assert repeating().wait_s(status, retry_after, repeated=0) == wait_s


@pytest.mark.negative
@pytest.mark.parametrize(
    "retry_after",
    [
        None,
        "",
        "soon",
        "-1",
        "1.5",
        "11",
        "9" * 40,
        "Mon, 01 Jun 2026 12:00:11 GMT",
        "Mon, 99 Jun 2026 12:00 GMT",
    ],
)
def test_a_service_that_says_nothing_or_wants_more_time_is_not_asked_again(retry_after: str | None) -> None:
    assert repeating().wait_s(503, retry_after, repeated=0) is None


@pytest.mark.negative
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500, 502, 504])
def test_any_other_refusal_stands(status: int) -> None:
    assert repeating().wait_s(status, "1", repeated=0) is None


@pytest.mark.negative
def test_it_ends_after_a_bounded_number_of_times() -> None:
    policy = repeating(times_max=2)
    assert [policy.wait_s(429, "1", repeated=count) for count in range(4)] == [1.0, 1.0, None, None]
    assert repeating(times_max=0).wait_s(429, "1", repeated=0) is None


def test_what_makes_nothing_twice() -> None:
    assert makes_nothing_twice("GET", {})
    assert makes_nothing_twice("POST", {"idempotency-key": "k" * 16})
    assert makes_nothing_twice("POST", named("k" * 16))
    assert named(None) == {}
    assert not makes_nothing_twice("POST", {"Accept": "*/*"})
    assert not makes_nothing_twice("PUT", {})
