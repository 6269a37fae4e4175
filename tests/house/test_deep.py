"""`./dev test --deep` goes on where it was stopped, and tells its last result."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.settings import Settings, SettingsError, load_settings
from tests.deep import NAMED_FOLDER, RUN, Progress, fingerprint, read_last, words

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_a_stopped_run_goes_on_with_its_seed_and_without_what_passed(tmp_path: Path) -> None:
    begun = Progress.resume(tmp_path, run="a")
    begun.note("test_one", "passed")
    begun.note("test_two", "failed")
    with (tmp_path / "progress.jsonl").open("a") as progress:
        progress.write('{"test": "test_three", "outc')  # stopped while it wrote
    again = Progress.resume(tmp_path, run="a")
    assert (again.seed, again.passed) == (begun.seed, frozenset({"test_one"}))


def test_other_sources_or_arguments_are_another_run(tmp_path: Path) -> None:
    Progress.resume(tmp_path, run="a").note("test_one", "passed")
    assert Progress.resume(tmp_path, run="b").passed == frozenset()
    (tmp_path / "module.py").write_text("one = 1")
    before = fingerprint(["x"], root=tmp_path)
    assert fingerprint(["y"], root=tmp_path) != before
    (tmp_path / "module.py").write_text("one = 2")
    assert fingerprint(["x"], root=tmp_path) != before


def test_a_failure_in_one_phase_of_a_test_stays_one(tmp_path: Path) -> None:
    progress = Progress.resume(tmp_path, run="a")
    progress.note("test_one", "failed")
    progress.note("test_one", "passed")
    assert progress.outcomes == {"test_one": "failed"}


def test_a_finished_run_is_the_last_result_and_the_next_has_another_seed(tmp_path: Path) -> None:
    progress = Progress.resume(tmp_path, run="a")
    progress.note("test_one", "passed")
    progress.note("test_two", "failed")
    progress.finish(at=AT)
    last = read_last(tmp_path)
    assert last is not None
    assert (last["passed"], last["failed"]) == (1, ["test_two"])
    assert words(last) == (
        "last finished deep run: seed 1, 2026-06-01T12:00:00+00:00, 1 passed, 1 failed\n  test_two"
    )
    assert Progress.resume(tmp_path, run="a").seed == 2
    assert json.loads((tmp_path / "last.json").read_text())["run"] == "a"
    assert words(None) == "no deep run has been finished yet"


def test_services_that_a_deep_run_starts_take_its_names_for_no_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Nothing(Settings):
        """A process without settings."""

    for name in (RUN, NAMED_FOLDER):
        monkeypatch.setenv(name, "a")
    load_settings(Nothing, path=None)
    monkeypatch.setenv("PVA_DEEP_RUN", "a")
    with pytest.raises(SettingsError):
        load_settings(Nothing, path=None)
