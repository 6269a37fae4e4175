"""The values of a reference manifest: what an approved device looks like when it is measured.

Rule: a manifest is a set of values that were signed together; which devices it is for, and whether it is in its
window at a given time, is judged by whoever appraises with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

SCOPES: Final = ("platform", "tre")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceEvent:
    """One expected event: `position` counts from 0 the events that are extended into `pcr`.

    `digest` goes by TPM_ALG_ID of the bank; `name` is for people; `scope` is "platform" or "tre".
    """

    pcr: int
    position: int
    digest: Mapping[int, bytes]
    name: str
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformReference:
    """Final PCR values: `registers` is {TPM_ALG_ID: {pcr: value}}."""

    registers: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The manifest that another one replaces: its id, and the SHA-256 of its signed form.

    `until` (aware UTC, whole seconds) is the last moment at which the predecessor's state is still accepted.
    """

    id: str
    digest: bytes
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A supplier's reference values for models of his, at one security version (`svn`).

    `tre_image_digest` is SHA-256, or None; the window (aware UTC, whole seconds) has an end or is absent. A manifest
    with a `predecessor` has a window, too, and does not begin after its predecessor ends. `line_name` names the line
    that successors share, None where the id does; `release_name` is for people.
    """

    id: str
    supplier: str
    models: tuple[str, ...]
    svn: int
    version: str
    platform: PlatformReference
    events: tuple[ReferenceEvent, ...] = ()
    tre_image_digest: bytes | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    predecessor: Predecessor | None = None
    line_name: str | None = None
    release_name: str | None = None

    @property
    def line(self) -> str:
        """Name of the line of manifests that follow one another."""
        return self.id if self.line_name is None else self.line_name

    @property
    def release(self) -> str:
        """What people call this release: its version, and its name where it has one."""
        return self.version if self.release_name is None else f"{self.version} ({self.release_name})"
