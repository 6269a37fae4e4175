"""Mutate one parser's input for a while: `python -m tests.fuzz TARGET [--seconds S] [--seed N] [--from NUMBER]`.

Prints where it ended, so that the next run goes on there; an input that makes a parser raise another error than its own, or
take too long, is written to `.pva/fuzz` and ends the run with status 1.
"""

import argparse
import sys
import time
from itertools import count
from pathlib import Path

from tests.fuzz.mutations import mixture
from tests.fuzz.targets import TARGETS, Target

FOUND = Path(__file__).parents[2] / ".pva" / "fuzz"
SLOW_S = 5.0


def fault(target: Target, data: bytes) -> str | None:
    """What is wrong with how a target takes these bytes, None where it behaves."""
    began = time.thread_time()
    try:
        target.parse(data)
    except target.error:
        pass
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return f"{type(error).__name__}: {error}"
    spent = time.thread_time() - began
    return f"took {spent:.1f} s" if spent > SLOW_S else None


def main() -> int:
    """Run until the time is over or something is found."""
    by_name = {target.name: target for target in TARGETS}
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="mutate the input of one parser"
    )
    parser.add_argument("target", choices=sorted(by_name))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="first", type=int, default=0)
    asked = parser.parse_args()
    target, ends = by_name[asked.target], time.monotonic() + asked.seconds
    for number in count(asked.first):
        if time.monotonic() > ends:
            sys.stdout.write(
                f"{target.name}: nothing found; go on with --seed {asked.seed} --from {number}\n"
            )
            return 0
        data = mixture(target.seeds, seed=asked.seed, number=number)
        found = fault(target, data)
        if found is not None:
            FOUND.mkdir(parents=True, exist_ok=True)
            kept = FOUND / f"{target.name}-{asked.seed}-{number}.bin"
            kept.write_bytes(data)
            sys.stdout.write(
                f"{target.name}: --seed {asked.seed} --from {number}: {found}; kept as {kept.name}\n"
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
