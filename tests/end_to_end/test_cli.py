"""docs/CLI.md and the how-tos, played: every command in them, in its order, against real services and a real device."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest

from cli.app import main
from tests.end_to_end.document_reader import COMMANDS, DEVICE, HOW_TOS, ROOT, TYPED, Reader
from tests.end_to_end.lab_services import running_lab


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with running_lab(tmp_path_factory.mktemp("cli"), devices=(DEVICE,)) as scene:
        somebody = Reader(scene, tmp_path_factory.mktemp("folder"))
        somebody.prepare()
        yield somebody


@pytest.fixture(scope="module")
def played(reader: Reader) -> dict[str, dict[str, Any]]:
    """What came of each command of docs/CLI.md."""
    with contextlib.chdir(reader.folder):
        return {line: reader.type(line) for line in COMMANDS}


@pytest.mark.timeout(400)
def test_the_document_can_be_followed_word_for_word(
    reader: Reader, played: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reader.folder)
    answers = played
    verdict = next(answer for line, answer in answers.items() if line.startswith("result verify"))
    assert verdict["outcome"] == "affirming"
    assert {row["scope"]: row["status"] for row in verdict["scopes"]} == {
        "platform": "affirming",
        "tre": "affirming",
    }
    listed = next(answer for line, answer in answers.items() if line == "supplier list")
    standing = {row["supplier"]: (row["key_kept_by"], row["recognised"]) for row in listed["suppliers"]}
    assert standing["supplier-3"] == ("CA", "yes")
    assert standing["supplier-4"] == ("supplier", "no")
    manifest = next(answer for line, answer in answers.items() if line.startswith("manifest verify"))
    assert [event["scope"] for event in manifest["events"]].count("tre") == 1
    decided = [answer["outcome"] for line, answer in answers.items() if "manifest approve " in line]
    assert decided == ["waiting", "approved"] * 2
    announced = [answer for line, answer in answers.items() if line.startswith("update ")]
    assert [(each["share_percent"], each["state"]) for each in announced] == [
        (5, "running"),
        (5, "paused"),
        (5, "running"),
        (100, "running"),
        (100, "running"),
    ]
    diff = next(answer for line, answer in answers.items() if line.startswith("manifest diff"))
    assert {row["kind"] for row in diff["differences"]} == {"release"}
    retired = next(answer for line, answer in answers.items() if line.startswith("manifest retire"))
    assert retired["outcome"] == "retired"
    assert reader.altered["outcome"] == "contraindicated"
    kernel = next(each for each in reader.altered["findings"] if each["scope"] == "platform")
    assert "/boot/vmlinuz" in kernel["event"]
    assert reader.replayed["error"]["code"] == "result-of-another-question"
    revoked = reader.run(f"credential show {reader.words['SERIAL']} --issuer gateways.pem", exit_code=0)
    assert (revoked["status"], revoked["reason"]) == ("revoked", "cessationOfOperation")


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("played")
def test_so_can_the_how_tos(reader: Reader) -> None:
    """After the commands' own document, in its folder; the device is enrolled again, as its supplier allowed."""
    with contextlib.chdir(reader.folder):
        reader.enroll_again()
        played = {document.name: reader.follow(document) for document in HOW_TOS}
    assert {name for name, count in played.items() if not count} == {"DEVICE-MAKER.md"}


def test_every_command_is_in_the_document() -> None:
    """A command that nobody documented was not played either."""
    alone = {name for name, command in main.commands.items() if not isinstance(command, click.Group)}
    typed = [re.sub(r"--config \S+ ", "", line).split() for line in TYPED]
    words = {" ".join(line[: 1 if line[0] in alone else 2]) for line in typed}
    grouped = {
        f"{name} {each}"
        for name, section in main.commands.items()
        if isinstance(section, click.Group)
        for each in section.commands
    }
    assert words == grouped | alone


@pytest.mark.negative
def test_without_services_it_is_not_reached(reader: Reader) -> None:
    """The real process: no table off a terminal, the reason on standard error, 4 as exit code."""
    settings = (reader.folder / "admin.toml").read_text()
    dead = reader.folder / "dead.toml"
    dead.write_text(
        re.sub(r"^(c|pv)a_url = .*$", r'\1a_url = "https://127.0.0.1:1"', settings, flags=re.MULTILINE)
    )
    command = [sys.executable, "-m", "cli", "supplier", "list", "--config", str(dead)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert "https://127.0.0.1:1" in done.stderr
    assert "what to do: " in done.stderr
