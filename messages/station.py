"""A folder in which devices and CA leave the messages of enrolment for each other, where the station has no network.

The one rule: the folder is trusted with nothing. Its files are the messages that travel over the network elsewhere
(`messages.enrollment`), and whoever takes one out checks it as if it had come from there.

    device                     folder                      supplier's shell -> CA
      names its keys ->        DEVICE.request       ->     begins
      opens the secret    <-   DEVICE.challenge     <-     (or DEVICE.refused)
      proves its keys ->       DEVICE.activation    ->     issues
      installs the PfC    <-   DEVICE.result        <-     (or DEVICE.refused)
      done ->                  DEVICE.installed

DEVICE is the device_id, 64 hexadecimal digits. What is next for either side follows from which files are there, so
either may stop anywhere and go on, and folders that were copied may be put together again.
"""

import json
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from messages.enrollment import ENROLLMENT_BYTES_MAX
from messages.errors import refusal

MESSAGES_MAX: Final = 16
"""Messages of a page; each costs the CA a few signatures and durable transactions, and a client waits for all of them."""
BASE64_BYTES_MAX: Final = 4 * -(-ENROLLMENT_BYTES_MAX // 3)
PAGE_BYTES_MAX: Final = 1 << 20
"""Of a page as JSON."""
REFUSAL_BYTES_MAX: Final = 1 << 17
_TEXT_MAX: Final = 2_000
_DEVICE_ID_DIGITS: Final = 64
_HEX: Final = frozenset("0123456789abcdef")


class Part(StrEnum):
    """What a file holds; INSTALLED is empty and says that the TRE has the result."""

    REQUEST = "request"
    CHALLENGE = "challenge"
    ACTIVATION = "activation"
    RESULT = "result"
    REFUSED = "refused"
    INSTALLED = "installed"


ANSWERS: Final = {Part.REQUEST: Part.CHALLENGE, Part.ACTIVATION: Part.RESULT}
"""Message of a device -> how the CA answers it, where it does not refuse it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationMessage:
    """A message of a device or of the CA, in the name of a device; `data` is as `messages.enrollment` encodes it."""

    device_id: str
    part: Part
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StationRefusal:
    """Why the CA refused a device's message, for whoever stands at the device."""

    code: str
    subject: str
    reason: str
    remedy: str

    def encode(self) -> bytes:
        """As a file: JSON, for people and programs. What no terminal should see, and what is too long, is left out."""
        shown = {name: _shown(text) for name, text in asdict(self).items()}
        return json.dumps(shown, ensure_ascii=True, indent=1).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> "StationRefusal":
        """Read the file; raises MessageError."""
        try:
            value = json.loads(data[:REFUSAL_BYTES_MAX].decode("utf-8"))
            texts = {name: value[name] for name in ("code", "subject", "reason", "remedy")}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise refusal("refusal of a station", "JSON with its four parts", str(error)) from error
        if any(not isinstance(text, str) or _shown(text) != text for text in texts.values()):
            raise refusal("refusal of a station", "four printable texts", "others")
        return cls(**texts)


def file_name(device_id: str, part: Part) -> str:
    """Name of the file with a part of a device."""
    return f"{device_id}.{part}"


def read_name(name: str) -> tuple[str, Part] | None:
    """Device id and part of a file; None for a file that is none of ours."""
    device_id, _, word = name.partition(".")
    if len(device_id) != _DEVICE_ID_DIGITS or not set(device_id) <= _HEX or word not in set(Part):
        return None
    return device_id, Part(word)


def waits_for_ca(parts: AbstractSet[Part]) -> Part | None:
    """Which message of a device has no answer yet; an activation stands for the request before it."""
    if parts & {Part.RESULT, Part.REFUSED, Part.INSTALLED}:
        return None
    if Part.ACTIVATION in parts:
        return Part.ACTIVATION
    return Part.REQUEST if Part.REQUEST in parts and Part.CHALLENGE not in parts else None


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:_TEXT_MAX]
