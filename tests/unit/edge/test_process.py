"""Clock, logs, ready line; the dropping of privileges is shown in a process of its own (contract tests)."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC

import pytest
import structlog

from edge.process import (
    PrivilegeError,
    configure_logging,
    drop_privileges,
    logger,
    print_ready,
    system_clock,
    system_random,
)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_the_clock_is_aware_and_utc() -> None:
    assert system_clock().tzinfo is UTC


def test_random_bytes_have_the_length_asked_for_and_differ() -> None:
    assert len(system_random(32)) == 32
    assert system_random(32) != system_random(32)


def test_every_log_line_is_one_json_object() -> None:
    stream = io.StringIO()
    configure_logging(role="ca", stream=stream)
    logger("enrolment").info("refused", subject="a\nb", reason="not-in-batch")
    logger("http").error("unexpected", exc_info=ValueError("inside"))
    logging.getLogger("some.library").warning("hello %s", "there")
    logging.getLogger("some.library").info("not shown")
    first, second, third = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["role"], first["level"], first["subject"]) == (
        "refused",
        "ca",
        "info",
        "a\nb",
    )
    assert "ValueError: inside" in second["exception"]
    assert (third["event"], third["level"]) == ("hello there", "warning")


def test_who_cannot_log_still_serves() -> None:
    stream = io.StringIO()
    configure_logging(role="ca", stream=stream)
    stream.close()
    logger().info("nobody reads it")


def test_lines_below_the_level_are_left_out() -> None:
    stream = io.StringIO()
    configure_logging(role="ca", level="warning", stream=stream)
    logger().info("quiet")
    assert stream.getvalue() == ""


def test_the_ready_line_names_role_and_listeners(capsys: pytest.CaptureFixture[str]) -> None:
    print_ready("ca", {"public": "http://127.0.0.1:1"})
    line = json.loads(capsys.readouterr().out)
    assert line["event"] == "ready"
    assert line["listeners"] == {"public": "http://127.0.0.1:1"}


@pytest.mark.negative
@pytest.mark.parametrize(("uid", "gid"), [(0, 1000), (1000, 0), (0, 0)])
def test_root_is_no_user_to_drop_to(uid: int, gid: int) -> None:
    with pytest.raises(PrivilegeError, match="unprivileged"):
        drop_privileges(uid, gid)
