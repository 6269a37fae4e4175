"""A14, A15, A26: what one device may say next."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from pva.appraisal.continuity import DeviceHistory, Sighting, advance, changes, identity_conflict
from standards.tpm2.structures import ClockInfo
from tests.fakes.pki import NOW

GRACE = timedelta(hours=2)
CLOCK = ClockInfo(clock=1000, reset_count=5, restart_count=2, safe=True)


def sighting(**changed: Any) -> Sighting:
    base = Sighting(
        device_id="aa" * 32,
        supplier="Acme",
        hw_type="1.2.3",
        ak_name=b"ak",
        qualified_signer=b"signer",
        storage_key_name=b"storage",
        generation_counter_name=b"counter",
        generation_counter=4,
        clock_info=CLOCK,
        firmware_version=1,
        credential_sha256=b"pfc 1",
        credential_not_before=NOW,
        at=NOW,
    )
    return replace(base, **changed)


def clock(*, reset: int = 5, restart: int = 2, clock: int = 1001, safe: bool = True) -> ClockInfo:
    return ClockInfo(clock=clock, reset_count=reset, restart_count=restart, safe=safe)


def history(at: datetime = NOW, **changed: Any) -> DeviceHistory:
    return advance(None, sighting(at=at, **changed), accepted_svn=3)


def codes(before: DeviceHistory | None, seen: Sighting) -> list[str]:
    return [finding.code for finding in changes(before, seen, clock_grace=GRACE)]


def test_a_first_sighting_and_an_ordinary_next_one_are_unremarkable() -> None:
    assert codes(None, sighting()) == []
    assert codes(history(), sighting(clock_info=clock())) == []


@pytest.mark.check("A14")
def test_a_new_boot_may_start_its_restarts_anew() -> None:
    assert codes(history(), sighting(clock_info=clock(reset=6, restart=0, clock=1))) == []


@pytest.mark.check("A14")
@pytest.mark.negative
@pytest.mark.parametrize(
    "now",
    [
        clock(reset=4, restart=9, clock=10**9),
        clock(restart=1, clock=10**9),
        clock(clock=1000),
        clock(clock=999),
    ],
    ids=["reset count", "restart count", "clock stands still", "clock"],
)
def test_time_that_goes_back_is_a_finding(now: ClockInfo) -> None:
    seen = sighting(clock_info=now)
    assert codes(history(), seen) == ["clock-regression"]
    kept = advance(history(), seen, accepted_svn=None).last.clock_info
    assert kept == CLOCK, "the high-water mark stays, so that the device stays contraindicated"


@pytest.mark.check("A14")
def test_the_clock_is_stored_every_time() -> None:
    before = history()
    after = advance(before, sighting(clock_info=clock(clock=2000)), accepted_svn=None)
    assert after.last.clock_info.clock == 2000
    assert after.revision == before.revision + 1


@pytest.mark.check("A14")
def test_a_clock_that_is_not_safe_has_a_grace() -> None:
    before = history(clock_info=clock(clock=1, safe=False))
    assert before.unsafe_since == NOW
    in_time = sighting(clock_info=clock(safe=False), at=NOW + GRACE)
    assert codes(before, in_time) == []
    assert advance(before, in_time, accepted_svn=None).unsafe_since == NOW


@pytest.mark.check("A14")
@pytest.mark.negative
def test_past_the_grace_a_clock_that_is_not_safe_is_a_finding() -> None:
    before = history(clock_info=clock(clock=1, safe=False))
    late = NOW + GRACE + timedelta(seconds=1)
    assert codes(before, sighting(clock_info=clock(safe=False), at=late)) == ["clock-not-safe"]
    assert codes(before, sighting(clock_info=clock(safe=True), at=late)) == []
    rebooted = clock(reset=6, restart=0, safe=False)
    assert codes(before, sighting(clock_info=rebooted, at=late)) == [], "a new run has a grace of its own"


@pytest.mark.check("A15")
@pytest.mark.negative
def test_another_firmware_version_is_a_finding_once() -> None:
    updated = sighting(clock_info=clock(), firmware_version=2)
    assert codes(history(), updated) == ["tpm-firmware-changed"]
    after = advance(history(), updated, accepted_svn=None)
    assert codes(after, sighting(clock_info=clock(clock=3000), firmware_version=2)) == []


@pytest.mark.check("A30")
@pytest.mark.negative
def test_another_storage_key_under_the_same_credential_is_a_finding_and_stays_one() -> None:
    other = sighting(clock_info=clock(), storage_key_name=b"another")
    assert codes(history(), other) == ["storage-key-changed"]
    after = advance(history(), other, accepted_svn=None)
    assert codes(after, replace(other, clock_info=clock(clock=3000))) == ["storage-key-changed"]


@pytest.mark.negative
@pytest.mark.parametrize("changed", [{"generation_counter": 3}, {"generation_counter_name": b"other"}])
def test_a_generation_counter_that_goes_back_is_a_finding(changed: dict[str, Any]) -> None:
    assert codes(history(), sighting(clock_info=clock(), **changed)) == ["generation-counter-regression"]


def test_new_keys_under_a_newer_credential_are_an_enrolment() -> None:
    enrolled_again = sighting(
        storage_key_name=b"another",
        clock_info=clock(reset=0, restart=0, clock=5),
        credential_sha256=b"pfc 2",
        credential_not_before=NOW + timedelta(days=1),
    )
    assert codes(history(), enrolled_again) == []
    after = advance(history(), enrolled_again, accepted_svn=None)
    assert after.last == enrolled_again
    assert after.svn_highest == 3, "a new enrolment does not forget the security version"


def test_a_newer_credential_over_the_same_keys_forgets_nothing() -> None:
    renewed = sighting(
        clock_info=clock(reset=4),
        credential_sha256=b"pfc 2",
        credential_not_before=NOW + timedelta(days=1),
    )
    assert codes(history(), renewed) == ["clock-regression"]


@pytest.mark.check("A26")
@pytest.mark.negative
def test_one_ak_under_two_devices_is_a_conflict() -> None:
    seen = sighting()
    assert identity_conflict(None, "bb" * 32, seen) is not None
    assert identity_conflict(None, None, seen) is None
    assert identity_conflict(history(), seen.device_id, seen) is None


@pytest.mark.check("A26")
@pytest.mark.negative
def test_one_device_with_two_aks_is_a_conflict_unless_it_was_enrolled_again() -> None:
    other = sighting(ak_name=b"other ak", credential_sha256=b"pfc 2")
    assert identity_conflict(history(), None, other) is not None
    later = replace(other, credential_not_before=NOW + timedelta(days=1))
    assert identity_conflict(history(), None, later) is None


@pytest.mark.check("A26")
@pytest.mark.negative
def test_a_device_of_one_supplier_is_no_device_of_another() -> None:
    foreign = sighting(
        supplier="Rival",
        ak_name=b"other ak",
        credential_sha256=b"pfc 2",
        credential_not_before=NOW + timedelta(days=1),
    )
    assert identity_conflict(history(), None, foreign) is not None
    assert identity_conflict(history(), None, replace(foreign, ak_name=b"ak")) is not None


@pytest.mark.check("A29")
def test_the_highest_accepted_security_version_never_falls() -> None:
    before = history()
    assert before.svn_highest == 3
    assert advance(before, sighting(clock_info=clock()), accepted_svn=2).svn_highest == 3
    assert advance(before, sighting(clock_info=clock()), accepted_svn=None).svn_highest == 3
    assert advance(before, sighting(clock_info=clock()), accepted_svn=9).svn_highest == 9
