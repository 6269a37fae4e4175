"""The rule of a line of manifests, and until when each of them counts."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from pva.appraisal.manifest_chain import (
    LINE_MAX,
    ChainedManifest,
    ManifestChain,
    Validity,
    Window,
    check_succession,
)
from pva.appraisal.manifest_records import Retirement
from pva.refusals import RefusalCode, RefusalError
from standards.rats.manifest import Predecessor
from tests.fakes.credentials import MODEL, hw_type
from tests.fakes.pki import NOW
from tests.fakes.pva_world import reference_manifest
from tests.unit.pva.appraisal.appraisals import GOOD

HOUR = timedelta(hours=1)
START = NOW - 10 * HOUR
BASE = reference_manifest(GOOD)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rule reads of a manifest."""

    digest: bytes
    id: str
    supplier: str = "Acme"
    line: str = "gateway"
    svn: int = 3
    models: tuple[str, ...] = ("gw-1", "gw-2")
    predecessor_digest: bytes | None = None


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


FIRST = Facts(digest=digest(1), id="m-1")
SECOND = Facts(digest=digest(2), id="m-2", predecessor_digest=digest(1))
THIRD = Facts(digest=digest(3), id="m-3", predecessor_digest=digest(2))


def refused(manifest: Facts, *held: Facts) -> RefusalCode:
    with pytest.raises(RefusalError) as caught:
        check_succession(manifest, held=held)
    assert manifest.id in caught.value.subject
    return caught.value.code


@pytest.mark.check("A25")
def test_a_successor_may_follow() -> None:
    check_succession(FIRST, held=[])
    check_succession(SECOND, held=[FIRST])
    check_succession(replace(THIRD, svn=9, models=("gw-2",)), held=[FIRST, SECOND])
    check_succession(SECOND, held=[FIRST, SECOND, THIRD])


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R82")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"predecessor_digest": digest(9)}, RefusalCode.MANIFEST_PREDECESSOR_UNKNOWN),
        ({"supplier": "Other"}, RefusalCode.MANIFEST_WRONG_VENDOR),
        ({"line": "sensor"}, RefusalCode.MANIFEST_OTHER_LINE),
        ({"svn": 2}, RefusalCode.MANIFEST_SVN_FALLS),
        ({"models": ("gw-1", "gw-3")}, RefusalCode.MANIFEST_MODELS_WIDENED),
    ],
)
def test_what_is_no_successor_is_refused_by_name(change: dict[str, Any], code: RefusalCode) -> None:
    assert refused(replace(SECOND, **change), FIRST) is code


@pytest.mark.negative
@pytest.mark.check("A25")
def test_a_manifest_has_one_successor() -> None:
    rival = replace(SECOND, digest=digest(7), id="m-2b")
    assert refused(rival, FIRST, SECOND) is RefusalCode.MANIFEST_FORK


@pytest.mark.negative
def test_a_line_that_leads_back_to_itself_is_refused() -> None:
    looped = replace(FIRST, predecessor_digest=digest(3))
    assert refused(THIRD, looped, SECOND) is RefusalCode.MANIFEST_FORK


@pytest.mark.negative
def test_a_line_is_bounded() -> None:
    line = [FIRST] + [
        Facts(digest=digest(number), id=f"m-{number}", predecessor_digest=digest(number - 1))
        for number in range(2, LINE_MAX + 1)
    ]
    check_succession(line[-1], held=line[:-1])
    surplus = Facts(digest=digest(999), id="surplus", predecessor_digest=digest(LINE_MAX))
    assert refused(surplus, *line) is RefusalCode.MANIFEST_LINE_TOO_LONG


# windows


def link(number: int, **changed: Any) -> ChainedManifest:
    """Manifest `number` counts from `number` hours after START; its predecessor ends two hours after that."""
    approved, retired = changed.pop("approved", True), changed.pop("retired", False)
    starts = START + number * HOUR
    until = changed.pop("until", starts + 2 * HOUR)
    before = Predecessor(id=f"release-{number - 1}", digest=digest(number - 1), until=until)
    manifest = replace(
        BASE,
        id=f"release-{number}",
        version=f"1.{number}",
        svn=number,
        valid_from=starts,
        predecessor=before if number > 1 else None,
    )
    return ChainedManifest(
        manifest=replace(manifest, **changed),
        digest=digest(number),
        imported_at=START,
        approved_at=START if approved else None,
        retirement=Retirement(by="admin", at=START, reason="a fault") if retired else None,
    )


def chain(*links: ChainedManifest) -> ManifestChain:
    return ManifestChain(links=links, permitted_models={MODEL: hw_type()})


def accepted(which: ManifestChain, at: datetime) -> list[str]:
    return [each.manifest.id for each in which.appraisable(at=at)]


def validity(which: ManifestChain, number: int, at: datetime = NOW) -> Validity:
    return next(v for each, v in which.approved(at=at) if each.digest == digest(number))


@pytest.mark.check("A25")
@pytest.mark.requirement("R82")
def test_both_states_are_accepted_in_the_overlap_and_only_then() -> None:
    two = chain(link(1), link(2))
    counts, over = START + 2 * HOUR, START + 4 * HOUR
    second = timedelta(seconds=1)
    assert accepted(two, counts - second) == ["release-1"]
    assert accepted(two, counts) == ["release-1", "release-2"]
    assert accepted(two, over) == ["release-1", "release-2"]
    assert accepted(two, over + second) == ["release-2"]
    assert validity(two, 1).ends_at == over
    assert validity(two, 1).window(over + second) is Window.SUPERSEDED


@pytest.mark.negative
@pytest.mark.requirement("R29")
def test_what_waits_for_approval_neither_counts_nor_ends_its_predecessor() -> None:
    two = chain(link(1), link(2, approved=False))
    assert accepted(two, NOW) == ["release-1"]
    assert validity(two, 1).superseded_at is None
    assert validity(two, 1).successor is None


@pytest.mark.negative
@pytest.mark.check("A25")
def test_retiring_takes_away_and_never_gives_back() -> None:
    two = chain(link(1), link(2, retired=True))
    assert accepted(two, NOW) == []
    assert validity(two, 1).window(NOW) is Window.SUPERSEDED
    assert validity(two, 2).window(NOW) is Window.RETIRED
    assert validity(two, 1).successor is None
    assert accepted(chain(link(1, retired=True), link(2)), START + 3 * HOUR) == ["release-2"]


@pytest.mark.check("A25")
def test_no_older_state_outlives_a_newer_one() -> None:
    urgent = link(3, until=START + 3 * HOUR)
    three = chain(link(1), link(2, until=START + 9 * HOUR), urgent)
    after = START + 3 * HOUR + timedelta(seconds=1)
    assert accepted(three, START + 3 * HOUR) == ["release-1", "release-2", "release-3"]
    assert accepted(three, after) == ["release-3"]
    assert validity(three, 1).superseded_at == START + 3 * HOUR
    successor = validity(three, 1).successor
    assert successor is not None
    assert successor.id == "release-3"


@pytest.mark.check("A25")
def test_a_successor_that_is_approved_ends_those_before_one_that_is_not() -> None:
    three = chain(link(1), link(2, approved=False), link(3))
    assert accepted(three, NOW) == ["release-3"]
    assert validity(three, 1).superseded_at == START + 5 * HOUR


@pytest.mark.negative
def test_a_window_that_ends_without_a_successor_is_expired_and_not_superseded() -> None:
    alone = link(1, valid_to=NOW - HOUR)
    assert validity(chain(alone), 1).window(NOW) is Window.EXPIRED
    followed = chain(alone, link(2, valid_from=NOW - HOUR, until=NOW + HOUR))
    assert validity(followed, 1).window(NOW) is Window.SUPERSEDED
    too_early = chain(alone, link(2, valid_from=NOW + HOUR, until=NOW + 2 * HOUR))
    assert validity(too_early, 1).window(NOW) is Window.EXPIRED


@pytest.mark.check("A25")
def test_a_line_ends_for_a_model_that_its_next_manifest_is_not_for() -> None:
    narrowed = link(2, models=("gateway-0",))
    two = ManifestChain(
        links=(link(1), narrowed, link(3)), permitted_models={MODEL: hw_type(), "gateway-0": hw_type(2)}
    )
    assert accepted(two.for_model(hw_type()), NOW) == ["release-1"]
    assert [each.manifest.id for each in two.for_model(hw_type(2)).links] == ["release-1", "release-2"]
