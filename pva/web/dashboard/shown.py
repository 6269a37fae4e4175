"""How values stand in pages: every text made visible and escaped, times in UTC, what differs marked.

Rule: most texts here were said by somebody else, a device among them. Characters that are not seen, or that turn the
direction of what follows, are written out; the template engine escapes the rest.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any, Final

from markupsafe import Markup

_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_WORDS: Final = re.compile(r"\s+|[^\s]+")
_DIGITS_SHOWN: Final = 12
_DIFFED_MAX: Final = 4_000
"""Longest text whose words are compared; of longer ones nothing is marked."""


def visible(value: Any) -> Any:
    """A text with its unseen characters written out; what is markup or no text stays as it is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    return "" if value is None else value


def moment(at: datetime | None) -> Markup:
    """A time in UTC, for people and for programs."""
    if at is None:
        return Markup('<span class="none">-</span>')
    return Markup('<time datetime="{machine}">{people}</time>').format(
        machine=f"{at:%Y-%m-%dT%H:%M:%SZ}", people=f"{at:%Y-%m-%d %H:%M:%S} UTC"
    )


def day(at: datetime | None) -> Markup:
    """A day in UTC."""
    if at is None:
        return Markup('<span class="none">-</span>')
    return Markup('<time datetime="{day}">{day}</time>').format(day=f"{at:%Y-%m-%d}")


def digest(value: bytes | str | None) -> Markup:
    """A digest: its first digits to look at, the whole to be copied and read aloud."""
    if value is None:
        return Markup('<span class="none">-</span>')
    digits = value.hex() if isinstance(value, bytes) else visible(value)
    if len(digits) <= _DIGITS_SHOWN:
        return Markup("<code>{}</code>").format(digits)
    return Markup(
        '<code class="digest" title="{whole}">{first}<span class="rest">{rest}</span></code>'
    ).format(whole=digits, first=digits[:_DIGITS_SHOWN], rest=digits[_DIGITS_SHOWN:])


def indented(value: Any) -> str:
    """A record as JSON that people can read."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


def differing(text: str, other: str | None) -> Sequence[tuple[str, bool]]:
    """`text` in parts, each with whether to mark it as missing in `other`: words of a command line.

    Where nothing is the same, as of two digests, nothing is marked.
    """
    if other is None or max(len(text), len(other)) > _DIFFED_MAX:
        return [(text, False)]
    ours, theirs = _WORDS.findall(text), _WORDS.findall(other)
    parts: list[tuple[str, bool]] = []
    for kind, begin, end, _, _ in SequenceMatcher(a=ours, b=theirs, autojunk=False).get_opcodes():
        if begin != end:
            parts.append(("".join(ours[begin:end]), kind != "equal"))
    return parts if any(not differs for _, differs in parts) else [(text, False)]
