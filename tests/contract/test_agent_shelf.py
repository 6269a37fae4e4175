"""The agent's folder: what it keeps outlives the agent, private, and what cannot be read is as if it were not there."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from m2me_agent.agent.download import Grant
from m2me_agent.agent.shelf import GRANT_FILE, DiskShelf
from tests.fakes.journey_world import World

WORLD = World()
GRANT = Grant(
    order_digest=b"\x0d" * 32,
    delivery_id="delivery-1",
    package=WORLD.package,
    delivery=WORLD.delivery,
    content_size=10,
    dpf_url="https://dpf.example",
)


@pytest.mark.requirement("R97")
def test_what_was_kept_is_there_for_the_next_agent(tmp_path: Path) -> None:
    shelf = DiskShelf(tmp_path)
    assert shelf.grant() is None
    assert shelf.content("a") == b""
    shelf.keep(GRANT)
    shelf.add("a", b"first ")
    shelf.add("a", b"second")
    shelf.add("b", b"other")
    later = DiskShelf(tmp_path)
    assert later.grant() == GRANT
    assert later.content("a") == b"first second"
    later.drop("a")
    later.drop("a")
    assert (later.content("a"), later.content("b")) == (b"", b"other")
    later.clear()
    assert later.grant() is None
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    shelf = DiskShelf(tmp_path)
    shelf.keep(GRANT)
    shelf.add("a", b"bytes")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_grant_takes_the_place_of_another_also_of_one_half_written(tmp_path: Path) -> None:
    shelf = DiskShelf(tmp_path)
    shelf.keep(GRANT)
    (tmp_path / f"{GRANT_FILE}.new").write_bytes(b'{"half')
    shelf.keep(replace(GRANT, delivery_id="delivery-2"))
    kept = shelf.grant()
    assert kept is not None
    assert kept.delivery_id == "delivery-2"


@pytest.mark.negative
@pytest.mark.parametrize(
    "change",
    [
        {"order_digest": "no hex"},
        {"order_digest": 1},
        {"package": 7},
        {"package": "no token"},
        {"delivery": None},
        {"content_size": "10"},
        {"content_size": True},
        {"delivery_id": ["x"]},
    ],
)
def test_a_grant_that_is_wrong_in_one_member_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    shelf = DiskShelf(tmp_path)
    shelf.keep(GRANT)
    value = json.loads((tmp_path / GRANT_FILE).read_text())
    (tmp_path / GRANT_FILE).write_text(json.dumps({**value, **change}))
    assert shelf.grant() is None


@pytest.mark.negative
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"null", b'{"package": "x"}', b"[" * 100_000])
def test_a_file_that_is_no_grant_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / GRANT_FILE).write_bytes(data)
    assert DiskShelf(tmp_path).grant() is None
