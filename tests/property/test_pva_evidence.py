"""Whatever is done to evidence: a refusal, or a result that is no better than before; never another error."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messages.evidence import encode_evidence
from pva.appraisal.continuity import DeviceHistory, Sighting, advance, changes
from pva.refusals import RefusalError
from pva.settings import read_selections
from standards.tpm2.structures import ClockInfo
from tests.fakes.pki import NOW
from tests.fakes.pva_world import POLICY, World

WORLD = World()
TOKEN, CHALLENGE = WORLD.challenge()
MESSAGE = WORLD.device.evidence(CHALLENGE, token=TOKEN, chain=WORLD.chain())
EVIDENCE = encode_evidence(MESSAGE)
SIGNED_PARTS = ("attest", "signature", "body", "ak_public")


def outcome(body: bytes) -> str:
    """What the PVA makes of a body, with everything before this try undone."""
    WORLD.store.redeemed.clear()
    WORLD.store.results.clear()
    WORLD.store.histories.clear()
    WORLD.store.refusals.clear()
    try:
        return WORLD.verifier.validate_platform(body, at=NOW).status
    except RefusalError as refusal:
        return refusal.code.value


def test_untouched_evidence_is_affirmed() -> None:
    assert outcome(EVIDENCE) == "affirming"


@given(st.binary(max_size=300))
def test_random_bytes_are_malformed(body: bytes) -> None:
    assert outcome(body) == "evidence-malformed"


@pytest.mark.check("A1")
@given(st.integers(min_value=0, max_value=len(EVIDENCE) - 1))
def test_every_prefix_is_malformed(size: int) -> None:
    assert outcome(EVIDENCE[:size]) == "evidence-malformed"


@pytest.mark.check("A1")
@given(st.binary(min_size=1, max_size=4))
def test_every_suffix_is_malformed(suffix: bytes) -> None:
    assert outcome(EVIDENCE + suffix) == "evidence-malformed"


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(min_value=0, max_value=len(EVIDENCE) - 1), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_is_refused_or_says_nothing_new(position: int, flip: int) -> None:
    altered = bytearray(EVIDENCE)
    altered[position] ^= flip
    # bytes of an event's data that no digest covers are hints: who changes them cannot make a device look bad
    told = outcome(bytes(altered))
    start = EVIDENCE.index(MESSAGE.boot_log)
    assert told != "contraindicated"
    if told in {"affirming", "warning"}:
        assert start <= position < start + len(MESSAGE.boot_log)


@settings(deadline=None)
@given(st.sampled_from(SIGNED_PARTS), st.data())
def test_one_changed_byte_in_what_is_signed_is_refused(part: str, data: st.DataObject) -> None:
    original: bytes = getattr(MESSAGE, part)
    position = data.draw(st.integers(min_value=0, max_value=len(original) - 1))
    altered = bytearray(original)
    altered[position] ^= data.draw(st.integers(min_value=1, max_value=255))
    changed: dict[str, Any] = {part: bytes(altered)}
    message = replace(MESSAGE, **changed)
    assert outcome(encode_evidence(message)) not in {"affirming", "warning", "contraindicated"}


clocks = st.builds(
    ClockInfo,
    clock=st.integers(min_value=0, max_value=5),
    reset_count=st.integers(min_value=0, max_value=3),
    restart_count=st.integers(min_value=0, max_value=3),
    safe=st.booleans(),
)


def sighting(clock_info: ClockInfo) -> Sighting:
    return Sighting(
        device_id="aa" * 32,
        supplier="Acme",
        hw_type="1.2.3",
        ak_name=b"ak",
        qualified_signer=b"signer",
        storage_key_name=b"storage",
        generation_counter_name=b"counter",
        generation_counter=1,
        clock_info=clock_info,
        firmware_version=1,
        credential_sha256=b"pfc",
        credential_not_before=NOW,
        at=NOW,
    )


@pytest.mark.check("A14")
@given(st.lists(clocks, min_size=2, max_size=8))
def test_a_clock_is_accepted_exactly_when_it_is_later_than_all_before(history: list[ClockInfo]) -> None:
    known: DeviceHistory | None = None
    latest: tuple[int, int, int] | None = None
    for clock in history:
        order = (clock.reset_count, clock.restart_count, clock.clock)
        codes = [each.code for each in changes(known, sighting(clock), clock_grace=POLICY.clock_grace)]
        assert ("clock-regression" in codes) == (latest is not None and order <= latest)
        known = advance(known, sighting(clock), accepted_svn=None)
        latest = order if latest is None else max(latest, order)


indices = st.integers(min_value=0, max_value=30)
ranges = st.builds("{}-{}".format, indices, indices) | indices.map(str)


@given(st.lists(ranges, min_size=1, max_size=4), st.sampled_from(["sha256", "sha384", "sha1", "md5", ""]))
def test_a_selection_names_pcrs_of_boot_code_or_is_refused(parts: list[str], bank: str) -> None:
    try:
        selections = read_selections((f"{bank}:{','.join(parts)}",))
    except ValueError:
        return
    (chosen,) = selections.values()
    assert bank in {"sha256", "sha384"}
    assert chosen
    assert set(chosen) <= set(range(16)) - {10}
