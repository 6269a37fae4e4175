"""`./dev test --deep`: many more examples of everything, seeded, and going on where it was stopped.

A plugin of pytest (`-p tests.deep`). What passed or failed is written down test by test in `.pva/deep/progress.jsonl`, under a
fingerprint of the sources and of what was asked; a run of the same skips what passed, until all has run: then its result is
in `.pva/deep/last.json`, and the next run begins anew with another seed. `./dev test --deep --last` prints the last result.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".pva" / "deep"
RUN, NAMED_FOLDER = "TEST_DEEP_RUN", "TEST_DEEP_FOLDER"
"""In the environment, which services that tests start inherit: no name with the prefix of their settings."""
SOURCES = ("*.py", "*.toml", "*.json", "*.bin")
_HIDDEN = (".venv", ".pva", ".git")
_FAILED_SHOWN = 20


def fingerprint(asked: Sequence[str], *, root: Path = ROOT) -> str:
    """What a result is a result of: the bytes of the sources, and the arguments."""
    digest = hashlib.sha256("\0".join(asked).encode())
    for pattern in SOURCES:
        for path in sorted(root.rglob(pattern)):
            relative = path.relative_to(root)
            if relative.parts[0] not in _HIDDEN:
                digest.update(
                    relative.as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
                )
    return digest.hexdigest()[:16]


@dataclass
class Progress:
    """A run that is under way, on disk line by line: first what it is, then one line a test."""

    folder: Path
    run: str
    seed: int
    outcomes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def resume(cls, folder: Path, *, run: str) -> "Progress":
        """The run of this fingerprint that was stopped, or a new one with the next seed."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = _lines(folder / "progress.jsonl")
        if lines and lines[0].get("run") == run:
            outcomes = {each["test"]: each["outcome"] for each in lines[1:]}
            return cls(folder=folder, run=run, seed=lines[0]["seed"], outcomes=outcomes)
        last = read_last(folder)
        begun = cls(folder=folder, run=run, seed=1 if last is None else last["seed"] + 1)
        (folder / "progress.jsonl").write_text(json.dumps({"run": run, "seed": begun.seed}) + "\n")
        return begun

    @property
    def passed(self) -> frozenset[str]:
        """Tests that need not run again."""
        return frozenset(test for test, outcome in self.outcomes.items() if outcome == "passed")

    def note(self, test: str, outcome: str) -> None:
        """Write down how a test ended; a failure in any of its phases stays one."""
        if self.outcomes.get(test) == "failed" and outcome != "failed":
            return
        self.outcomes[test] = outcome
        with (self.folder / "progress.jsonl").open("a") as progress:
            progress.write(json.dumps({"test": test, "outcome": outcome}) + "\n")

    def finish(self, *, at: datetime) -> None:
        """Everything has run: the progress becomes the last result."""
        told = {
            "seed": self.seed,
            "run": self.run,
            "finished_at": at.isoformat(timespec="seconds"),
            "passed": len(self.passed),
            "failed": sorted(test for test, outcome in self.outcomes.items() if outcome == "failed"),
        }
        (self.folder / "last.json").write_text(json.dumps(told, indent=1) + "\n")
        (self.folder / "progress.jsonl").unlink()


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; the last one may have been cut when the run was stopped."""
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def read_last(folder: Path = FOLDER) -> dict[str, Any] | None:
    """The result of the last run that was finished."""
    path = folder / "last.json"
    return json.loads(path.read_text()) if path.exists() else None


def words(last: dict[str, Any] | None) -> str:
    """The last result for people."""
    if last is None:
        return "no deep run has been finished yet"
    failed = last["failed"]
    more = "" if len(failed) <= _FAILED_SHOWN else f"\n  and {len(failed) - _FAILED_SHOWN} more"
    listed = "".join(f"\n  {test}" for test in failed[:_FAILED_SHOWN])
    return (
        f"last finished deep run: seed {last['seed']}, {last['finished_at']}, {last['passed']} passed, "
        f"{len(failed)} failed{listed}{more}"
    )


class DeepRun:
    """The plugin in the process that was started; workers only leave out what they are told."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.skipped = progress.passed
        self.selected = 0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what passed before."""
        self.selected = _leave_out(config, items, self.skipped)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist the same."""
        node.workerinput["deep_passed"] = sorted(self.skipped)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write down the end of each test."""
        if report.failed or report.when == "call" or (report.when == "setup" and report.skipped):
            self.progress.note(report.nodeid, "failed" if report.failed else "passed")

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Whether it ran to its end; failed tests belong to a finished run too."""
        if exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            self.progress.finish(at=datetime.now(UTC))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say which run it was and how the last finished one ended."""
        terminalreporter.write_line(
            f"deep run with seed {self.progress.seed}: {len(self.skipped)} tests had passed before it was stopped"
            if self.skipped
            else f"deep run with seed {self.progress.seed}"
        )
        terminalreporter.write_line(words(read_last(self.progress.folder)))


def _leave_out(config: pytest.Config, items: list[pytest.Item], passed: frozenset[str]) -> int:
    gone = [item for item in items if item.nodeid in passed]
    if gone:
        items[:] = [item for item in items if item.nodeid not in passed]
        config.hook.pytest_deselected(items=gone)
    return len(items)


class DeepWorker:
    """The plugin in a worker of xdist."""

    def __init__(self, passed: frozenset[str]) -> None:
        self.passed = passed

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what passed before."""
        _leave_out(config, items, self.passed)


def pytest_configure(config: pytest.Config) -> None:
    """Register for the process that was started, or for one of its workers."""
    told = getattr(config, "workerinput", None)
    if told is not None:
        config.pluginmanager.register(DeepWorker(frozenset(told.get("deep_passed", ()))), "deep-worker")
        return
    progress = Progress.resume(_folder(), run=os.environ[RUN])
    config.pluginmanager.register(DeepRun(progress), "deep-run")


def _folder() -> Path:
    return Path(os.environ.get(NAMED_FOLDER, FOLDER))


def main(arguments: Sequence[str]) -> int:
    """Run pytest with this plugin; exit as it does."""
    if list(arguments) == ["--last"]:
        sys.stdout.write(words(read_last(_folder())) + "\n")
        return 0
    run = fingerprint(arguments)
    os.environ[RUN] = run
    seed = Progress.resume(_folder(), run=run).seed
    options = ["-p", "tests.deep", "--hypothesis-profile", "deep", f"--hypothesis-seed={seed}"]
    status = pytest.main([*options, *arguments])
    return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
