"""Waiting until a store is written: woken by what is written, for no longer than said, and by a few at a time."""

import threading

from edge.written import Written

LONG_S = 60.0


def waiting(written: Written, count: int) -> threading.Thread:
    """Somebody who waits, for longer than any test."""
    thread = threading.Thread(target=written.wait, args=(count,), kwargs={"timeout_s": LONG_S}, daemon=True)
    thread.start()
    return thread


def test_what_is_written_wakes_everybody_who_waits() -> None:
    written = Written(waiting_max=2)
    both = [waiting(written, written.count) for _ in range(2)]
    written.note()
    for each in both:
        each.join(LONG_S)
        assert not each.is_alive()


def test_what_was_written_between_the_look_and_the_wait_is_not_waited_for() -> None:
    written = Written(waiting_max=1)
    count = written.count
    written.note()
    written.wait(count, timeout_s=LONG_S)


def test_a_wait_ends_with_its_time() -> None:
    Written(waiting_max=1).wait(0, timeout_s=0.01)


def test_no_more_wait_than_may() -> None:
    written = Written(waiting_max=0)
    written.wait(written.count, timeout_s=LONG_S)
