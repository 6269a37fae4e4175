"""What differs between two manifests, by name."""

from dataclasses import replace
from typing import Any

import pytest

from standards.boot_log.algorithms import SHA256, SHA384
from standards.rats.manifest import Manifest, PlatformReference
from standards.rats.manifest_difference import differences
from tests.unit.standards.rats.manifests import MANIFEST, SUCCESSOR


def named(old: Manifest, new: Manifest) -> list[tuple[str, str]]:
    return [(each.kind, each.name) for each in differences(old, new)]


def test_a_manifest_does_not_differ_from_itself() -> None:
    assert differences(MANIFEST, MANIFEST) == ()
    shuffled = replace(MANIFEST, events=MANIFEST.events[::-1], models=MANIFEST.models[::-1])
    assert differences(MANIFEST, shuffled) == ()


def test_a_release_says_what_it_changes() -> None:
    found = {each.name: (each.old, each.new) for each in differences(MANIFEST, SUCCESSOR)}
    assert set(found) == {"id", "svn", "release", "valid from", "predecessor", "predecessor until"}
    assert found["svn"] == ("7", "8")
    assert found["predecessor until"] == (None, "2026-09-01T00:00:00Z")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tre_image_digest": None}, [("release", "tre image")]),
        ({"models": ("gw-1",)}, [("release", "models")]),
        (
            {"platform": PlatformReference(registers={SHA256: {0: b"\x00" * 32, 9: b"\x08" * 32}})},
            [
                ("register", "PCR 8 of bank sha256"),
                ("register", "PCR 9 of bank sha256"),
                ("register", "PCR 0 of bank sha384"),
            ],
        ),
        ({"events": MANIFEST.events[1:]}, [("event", "PCR 4, position 0: separator")]),
        (
            {"events": (replace(MANIFEST.events[0], name="other"), *MANIFEST.events[1:])},
            [("event", "PCR 4, position 0: separator -> other")],
        ),
        (
            {"events": (*MANIFEST.events[:2], replace(MANIFEST.events[2], scope="platform"))},
            [("event", "PCR 8, position 0: command line")],
        ),
    ],
)
def test_each_part_is_named(change: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert named(MANIFEST, replace(MANIFEST, **change)) == expected


def test_one_event_more_is_one_difference() -> None:
    first, second, third = MANIFEST.events
    between = replace(first, position=1, name="option ROM", digest={SHA256: b"\x99" * 32})
    longer = replace(MANIFEST, events=(first, between, replace(second, position=2), third))
    (only,) = differences(MANIFEST, longer)
    assert (only.kind, only.name, only.old) == ("event", "PCR 4, position 1: option ROM", None)
    assert "sha256:9999" in (only.new or "")


def test_a_bank_more_of_an_event_is_a_difference() -> None:
    first, *rest = MANIFEST.events
    wider = replace(first, digest={**first.digest, SHA384: b"\x40" * 48})
    assert named(MANIFEST, replace(MANIFEST, events=(wider, *rest))) == [
        ("event", "PCR 4, position 0: separator")
    ]
