"""Whatever was measured instead: a register that differs is found, in the right scopes, with few findings."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pva.appraisal.boot_events import BootEvents
from pva.appraisal.deviations import deviation_findings
from standards.boot_log.algorithms import BANKS, SHA256
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.events import EV_IPL
from standards.boot_log.payloads import boot_loader
from standards.boot_log.replay import replay, reset_value
from standards.rats.corim import PlatformReference, ReferenceEvent
from standards.rats.ear import Finding
from tests.fakes.pva_world import reference_manifest
from tests.unit.pva.appraisal.appraisals import GOOD

PCR = 8
TEXTS = st.lists(st.sampled_from(["set a=1", "linux /vmlinuz", "boot", "reboot"]), max_size=7)
SCOPED = st.lists(
    st.tuples(st.sampled_from(["set a=1", "linux /vmlinuz", "boot"]), st.sampled_from(["tre", "platform"])),
    min_size=1,
    max_size=7,
)
MANIFEST = reference_manifest(GOOD)


def digest(text: str) -> bytes:
    return BANKS[SHA256].digest(text.encode())


def findings(came: list[str], expected: list[tuple[str, str]], label: str) -> list[Finding]:
    """What is found where `came` was measured and the manifest lists `expected` (text, scope)."""
    log = build_event_log(
        [
            Measurement(pcr=PCR, type=EV_IPL, data=boot_loader(label, text), measured=text.encode())
            for text in came
        ],
        algorithms=(SHA256,),
    )
    value = replay(log, bank=SHA256).get(PCR, reset_value(PCR, SHA256))
    events = tuple(
        ReferenceEvent(pcr=PCR, position=place, digest={SHA256: digest(text)}, name=text, scope=scope)
        for place, (text, scope) in enumerate(expected)
    )
    platform = PlatformReference(registers={SHA256: {PCR: bytes(32)}})
    manifest = replace(MANIFEST, events=events, platform=platform)
    boot = BootEvents(log=log, quoted={SHA256: {PCR: value}})
    return list(deviation_findings(boot, bank=SHA256, registers={PCR: (bytes(32), value)}, manifest=manifest))


@given(TEXTS, SCOPED, st.sampled_from(["grub_cmd", "kernel_cmdline"]))
def test_a_register_that_differs_is_found_in_the_right_scopes(
    came: list[str], expected: list[tuple[str, str]], label: str
) -> None:
    found = findings(came, expected, label)
    texts = [text for text, _ in expected]
    assert found[0].subject == f"PCR {PCR} of bank sha256"
    assert (found[0].event is None) == (came == texts)
    scopes = {each.scope for each in found}
    missing = {scope for text, scope in expected if text not in came}
    assert missing <= scopes
    assert len(came) <= len(texts) or "platform" in scopes
    assert len(found) <= 4


@given(SCOPED, st.sampled_from(["grub_cmd", "kernel_cmdline"]))
def test_one_surplus_event_anywhere_concerns_the_platform_alone(
    expected: list[tuple[str, str]], label: str
) -> None:
    texts = [text for text, _ in expected]
    for place in range(len(texts) + 1):
        found = findings([*texts[:place], "halt", *texts[place:]], expected, label)
        assert {each.scope for each in found} == {"platform"}
