"""How texts of others stand in pages: what is not seen is written out, what differs is marked, nothing is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup, escape

from pva.web.dashboard.shown import differing, digest, moment, visible

_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@pytest.mark.negative
@pytest.mark.parametrize(
    "character", [*_BIDI, "\x00", "\x1b", "\r", "\x7f", "\x9b", "\u200b", "\u2028", "\ufeff"]
)
def test_characters_that_are_not_seen_are_written_out(character: str) -> None:
    assert visible(f"a{character}b") == f"a\\u{ord(character):04x}b"


@given(st.text())
def test_no_such_character_stays_and_the_others_do(text: str) -> None:
    shown = visible(text)
    assert not set(shown) & set(_BIDI)
    assert all(each in "\t\n" or ord(each) >= 0x20 for each in shown)
    assert "<" not in escape(shown)


def test_what_is_no_text_stays_as_it_is() -> None:
    mark = Markup("<b>\u202e</b>")
    assert visible(mark) is mark
    assert visible(7) == 7
    assert visible(None) == ""


def test_words_of_a_command_line_that_differ_are_marked() -> None:
    parts = differing("root=/dev/vda ro quiet", "root=/dev/vda ro init=/bin/sh")
    assert [text for text, differs in parts if differs] == ["quiet"]
    assert differing("ab" * 32, "cd" * 32) == [("ab" * 32, False)]
    assert differing("word", None) == [("word", False)]
    assert differing("x " * 5000, "x") == [("x " * 5000, False)]


@given(st.text(), st.text() | st.none())
def test_the_parts_are_the_text(text: str, other: str | None) -> None:
    assert "".join(part for part, _ in differing(text, other)) == text


@pytest.mark.negative
def test_a_digest_that_is_none_is_escaped_all_the_same() -> None:
    shown = digest('"><script>alert(1)</script>')
    assert "<script>" not in shown
    assert re.fullmatch(r'<code class="digest" title="[0-9a-f]{64}">.*</code>', digest(bytes(32)))
    assert "-" in digest(None)
    assert "-" in moment(None)
