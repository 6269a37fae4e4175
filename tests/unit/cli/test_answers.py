"""What people and programs get to read."""

import io
import json

import pytest

from cli.answers import Answer, print_answer, print_failure
from cli.failures import Failure

ROWS = [{"name": "a [bold]b[/bold]", "ca_id": "0f" * 16, "models": ["m1", "m2"]}]
FAILURE = Failure(code="role", subject="me\x1b[2J", reason="not\nfor you", remedy="ask")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def text_of(answer: Answer, stream: io.StringIO | None = None) -> str:
    out = io.StringIO() if stream is None else stream
    print_answer(answer, output="text", stream=out)
    return out.getvalue()


def test_json_holds_outcome_members_and_certificates_but_no_advice() -> None:
    out = io.StringIO()
    answer = Answer(outcome="found", members={"rows": ROWS, "at": None}, pem={"csr": "PEM"}, next_step="go")
    print_answer(answer, output="json", stream=out)
    assert json.loads(out.getvalue()) == {"outcome": "found", "rows": ROWS, "at": None, "csr": "PEM"}


def test_text_leaves_out_what_is_not_there_and_ends_with_the_next_step() -> None:
    members = {"ca_id": "00", "reason": None, "models": ["a", "b"], "hosted": True}
    answer = Answer(outcome="made", members=members, pem={"csr": "---\n"}, next_step="sign it")
    assert text_of(answer).splitlines() == [
        "made",
        "ca id: 00",
        "models: a, b",
        "hosted: yes",
        "---",
        "next: sign it",
    ]


def test_rows_are_tab_separated_off_a_terminal_and_a_table_at_one() -> None:
    answer = Answer(outcome="1 CA", members={"cas": ROWS})
    assert text_of(answer) == f"1 CA\nname\tca_id\tmodels\na [bold]b[/bold]\t{'0f' * 16}\tm1, m2\n"
    shown = text_of(answer, Terminal())
    assert "─" in shown
    assert "a [bold]b[/bold]" in shown
    assert "0f" * 16 in shown
    assert "\t" not in shown


@pytest.mark.negative
def test_nothing_that_a_terminal_acts_on_is_shown() -> None:
    hostile = "x\x1b]0;title\x07\r\ny\u202e"
    rows = [{"name": hostile}]
    for shown in (
        text_of(Answer(outcome="found", members={"name": hostile, "rows": rows})),
        text_of(Answer(outcome="found", members={"rows": rows}), Terminal()),
    ):
        # what remains of control characters is the table's own bold type, at a terminal
        assert not {"\x07", "\r", "\u202e"} & set(shown)
        assert "\x1b]" not in shown
        assert "\N{REPLACEMENT CHARACTER}" in shown


@pytest.mark.negative
def test_a_failure_is_told_in_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    print_failure(FAILURE, output="text")
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        err == "me\N{REPLACEMENT CHARACTER}[2J: not\N{REPLACEMENT CHARACTER}for you [role]\nwhat to do: ask\n"
    )
    print_failure(FAILURE, output="json")
    error = {"code": "role", "subject": "me\x1b[2J", "reason": "not\nfor you", "remedy": "ask"}
    assert json.loads(capsys.readouterr().out) == {"outcome": "refused", "error": error}
