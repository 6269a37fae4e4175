"""Repeated work goes on after a bad round, and ends when the block ends."""

import threading
import time

from edge.periodic import Periodic, run_periodically


def test_work_is_repeated_and_survives_a_bad_round() -> None:
    rounds: list[int] = []
    enough = threading.Event()

    def work() -> None:
        rounds.append(1)
        if len(rounds) == 2:
            raise RuntimeError("one bad round")
        if len(rounds) >= 4:
            enough.set()

    with run_periodically([Periodic(name="t", interval_s=0.001, work=work)]):
        assert enough.wait(5)
    after = len(rounds)
    time.sleep(0.02)
    assert len(rounds) == after


def test_stopping_does_not_wait_for_the_interval() -> None:
    started = time.monotonic()
    with run_periodically([Periodic(name="t", interval_s=60, work=lambda: None)]):
        pass
    assert time.monotonic() - started < 5
