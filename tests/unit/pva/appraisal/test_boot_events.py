"""Step 5 of a validation: which logs lead to a verdict at all."""

import struct

import pytest

from pva.appraisal.boot_events import replay_boot_log
from pva.refusals import RefusalCode, RefusalError
from standards.boot_log.algorithms import BANKS, SHA1, SHA256
from standards.boot_log.decode import decode_event_log
from standards.boot_log.encode import build_event_log, encode_event_log
from standards.boot_log.events import EV_SEPARATOR
from standards.boot_log.replay import replay
from tests.fakes.attesting_device import AttestingDevice

GOOD = AttestingDevice()
SEPARATOR = (
    struct.pack("<II", 4, EV_SEPARATOR) + BANKS[SHA1].digest(bytes(4)) + struct.pack("<I", 4) + bytes(4)
)


def test_a_log_that_reaches_the_quote_is_evidence() -> None:
    quoted = GOOD.pcr_values({SHA256: (0, 4, 8)})
    boot = replay_boot_log(GOOD.boot_log, quoted=quoted)
    assert len(boot.of_pcr(8, bank=SHA256)) == 2
    assert boot.of_pcr(9, bank=SHA256) == ()


@pytest.mark.negative
@pytest.mark.check("A17")
@pytest.mark.parametrize("bank", [SHA1, SHA256])
def test_a_log_in_the_sha1_format_is_refused_by_its_name(bank: int) -> None:
    values = replay(decode_event_log(SEPARATOR), bank=SHA1)
    quoted = {bank: {4: values[4] if bank == SHA1 else bytes(32)}}
    with pytest.raises(RefusalError) as refused:
        replay_boot_log(SEPARATOR, quoted=quoted)
    assert refused.value.code is RefusalCode.BOOT_LOG_LEGACY
    assert "sha1-legacy" in refused.value.reason


@pytest.mark.negative
@pytest.mark.check("A17")
def test_a_quote_of_the_sha1_bank_is_refused_though_its_log_is_right() -> None:
    log = build_event_log(GOOD.boot, algorithms=(SHA1, SHA256))
    quoted = {SHA1: replay(log, bank=SHA1), SHA256: replay(log, bank=SHA256)}
    with pytest.raises(RefusalError) as refused:
        replay_boot_log(encode_event_log(log), quoted=quoted)
    assert refused.value.code is RefusalCode.BOOT_LOG_LEGACY


@pytest.mark.negative
@pytest.mark.check("A18")
@pytest.mark.parametrize("pcr", [0, 4, 11], ids=["PCR 0", "PCR 4", "a PCR without events"])
def test_each_quoted_pcr_has_to_be_reached(pcr: int) -> None:
    quoted = GOOD.pcr_values({SHA256: (0, 4, 8, 11)})
    quoted[SHA256][pcr] = b"\x01" * 32
    with pytest.raises(RefusalError) as refused:
        replay_boot_log(GOOD.boot_log, quoted=quoted)
    assert refused.value.code is RefusalCode.BOOT_LOG_MISMATCH
    assert f"PCR {pcr} " in refused.value.subject
