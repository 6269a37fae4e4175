"""Logs of real machines, and tpm2_eventlog as the outside judge.

tpm2_eventlog runs in a process of its own, for it can crash. Where it differs from this project, the log and the
reason are named in the tables below, and each entry is itself tested: one that is no longer true fails.
"""

import json
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from standards.boot_log.algorithms import BANKS, BANKS_BY_NAME, SHA1, SHA256
from standards.boot_log.boot_chain import boot_chain, named_files, without_device
from standards.boot_log.boot_chain_facts import Component
from standards.boot_log.decode import decode_event_log
from standards.boot_log.describe import describe
from standards.boot_log.encode import encode_event_log
from standards.boot_log.event_log import EventLog, LogFormat
from standards.boot_log.events import PCR_INDEX_MAX
from standards.boot_log.grub_prediction import FILE_PCR, GrubChange, predict_grub
from standards.boot_log.measured import kernel_command_line
from standards.boot_log.replay import replay, reset_value
from standards.boot_log.secure_boot import secure_boot_facts
from tests.tools import need, shared_vectors
from tests.unit.standards.boot_log.logs import LOG

CRASHES_THE_JUDGE = {
    "option_rom_eventlog.bin": "version 5.4 ends with SIGSEGV in the last event, an EV_NO_ACTION that names no PCR; "
    "it is judged without the events that reach no PCR",
}
DIFFERS_IN_PCR_0 = {
    "keylime-mb.bin": "the judge starts PCR 0 from zeros, the log's StartupLocality says 3",
    "tss-hcrtm.bin": "the judge starts PCR 0 from zeros, after the log's H-CRTM event it starts from locality 4",
}
SECURE_BOOT = {
    "arch-linux-workstation.bin": False,
    "charra-bios.bin": False,
    "cos-101-amd-sev.bin": True,
    "cos-85-amd-sev.bin": True,
    "crypto_agile_eventlog.bin": False,
    "debian-10.bin": True,
    "hirs-TpmLog.bin": False,
    "keylime-mb.bin": False,
    "option_rom_eventlog.bin": True,
    "rhel8-uefi.bin": True,
    "tools-moklisttrusted.bin": True,
    "tools-sd-boot-fedora37.bin": False,
    "tss-hcrtm.bin": False,
    "ubuntu-1804-amd-sev.bin": False,
    "ubuntu-2104-no-secure-boot.bin": False,
}
BOOT_CHAINS = {
    "arch-linux-workstation.bin": (1, 1, 0),
    "charra-bios.bin": (2, 1, 2),
    "cos-101-amd-sev.bin": (2, 3, 0),
    "cos-85-amd-sev.bin": (2, 2, 0),
    "keylime-mb.bin": (2, 1, 1),
    "rhel8-uefi.bin": (2, 2, 1),
    "tools-moklisttrusted.bin": (2, 3, 1),
    "tools-sd-boot-fedora37.bin": (0, 0, 1),
    "tss-hcrtm.bin": (1, 1, 1),
    "ubuntu-1804-amd-sev.bin": (2, 1, 1),
    "ubuntu-2104-no-secure-boot.bin": (2, 1, 0),
}


GRUB_KERNELS = {
    "charra-bios.bin": "6.8.0-41-generic",
    "keylime-mb.bin": "6.11.5-300.fc41.x86_64",
    "rhel8-uefi.bin": "4.18.0-240.22.1.el8_3.x86_64",
    "tools-moklisttrusted.bin": "5.14.0-130.el9.x86_64",
    "tss-hcrtm.bin": "5.4.18-csv",
    "ubuntu-1804-amd-sev.bin": "5.4.0-1046-gcp",
}
"""Version of the kernel that GRUB started, where it loaded an initrd, too."""


def real_logs() -> list[Path]:
    """All logs of the folder of vectors, which must not be empty."""
    logs = sorted((shared_vectors() / "eventlogs").glob("*.bin"))
    assert logs, "no log among the vectors"
    return logs


@pytest.mark.check("A17")
def test_every_real_log_is_read_and_written_back() -> None:
    for path in real_logs():
        data = path.read_bytes()
        log = decode_event_log(data)
        assert log.events, path.name
        assert encode_event_log(log) == data, path.name
        assert all(describe(event).isprintable() for event in log.events), path.name


@pytest.mark.check("A18")
@pytest.mark.requirement("R94")
def test_real_logs_reach_the_pcrs_that_their_machines_had() -> None:
    folder = shared_vectors() / "eventlogs"
    recorded = json.loads((folder / "recorded_pcrs.json").read_text())
    assert set(recorded) <= {path.name for path in real_logs()}
    compared = 0
    for name, machine in recorded.items():
        log = decode_event_log((folder / name).read_bytes())
        assert machine["banks"], name
        for bank_name, pcrs in machine["banks"].items():
            bank = BANKS_BY_NAME[bank_name].id
            values = replay(log, bank=bank)
            for index, value in pcrs.items():
                got = values.get(int(index), reset_value(int(index), bank))
                assert got.hex() == value, f"{name} {bank_name} PCR {index}"
                compared += 1
    assert (
        compared == sum(len(pcrs) for machine in recorded.values() for pcrs in machine["banks"].values()) > 0
    )


def test_logs_of_tpm_1_2_are_marked() -> None:
    legacy = {
        path.name
        for path in real_logs()
        if decode_event_log(path.read_bytes()).format is LogFormat.SHA1_LEGACY
    }
    assert legacy >= {"debian-10.bin", "option_rom_eventlog.bin"}


@pytest.mark.check("A18")
def test_a_quoted_log_reaches_the_quoted_values() -> None:
    folder = shared_vectors() / "evidence"
    quoted = json.loads((folder / "ecc-mb.pcrs.json").read_text())
    values = replay(decode_event_log((folder / "mb_log.bin").read_bytes()), bank=SHA256)
    for index, value in quoted.items():
        assert values.get(int(index), reset_value(int(index), SHA256)).hex() == value, f"PCR {index}"


def judgement(log: Path, *, returncode: int = 0) -> str:
    """What tpm2_eventlog prints in YAML."""
    command = [need("tpm2_eventlog"), str(log)]
    result = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert result.returncode == returncode, result.stderr.decode(errors="replace")
    return result.stdout.decode(errors="replace")


def judged_pcrs(text: str) -> dict[str, dict[int, str]]:
    """PCRs by bank name."""
    pcrs: dict[str, dict[int, str]] = {}
    bank: dict[int, str] = {}
    for line in text.partition("\npcrs:\n")[2].splitlines():
        name, _, value = (part.strip() for part in line.partition(":"))
        if value:
            bank[int(name)] = value.removeprefix("0x")
        elif name:
            bank = pcrs.setdefault(name, {})
    return pcrs


def judged_events(text: str, field: str) -> list[str]:
    """One field of every event in the order of the log."""
    return re.findall(rf'^ *{field}: "?([^"\n]*)"?$', text.partition("\npcrs:\n")[0], re.MULTILINE)


def compare(path: Path, data: bytes, *, differs_in_pcr_0: bool = False) -> set[str]:
    """Compare one log with the judge, event by event and PCR by PCR; answers the names of the banks that it judged."""
    log = decode_event_log(data)
    text = judgement(path)
    head = 1 if log.crypto_agile else 0  # the judge lists the Specification ID event too
    assert judged_events(text, "PCRIndex")[head:] == [str(event.pcr) for event in log.events], path.name
    assert judged_events(text, "EventSize")[head:] == [str(len(event.data)) for event in log.events], (
        path.name
    )
    digests = [digest.hex() for event in log.events for digest in event.digests.values()]
    assert judged_events(text, "Digest")[head:] == digests, path.name
    pcrs_by_bank = judged_pcrs(text)
    for bank_name, pcrs in pcrs_by_bank.items():
        values = replay(log, bank=BANKS_BY_NAME[bank_name].id)
        assert set(pcrs) == set(values), f"{path.name} {bank_name}"
        for index, value in pcrs.items():
            agrees = values[index].hex() == value
            assert agrees is not (index == 0 and differs_in_pcr_0), f"{path.name} {bank_name} PCR {index}"
    return set(pcrs_by_bank)


def judgeable(path: Path, folder: Path) -> Path:
    """The log itself, or a copy without what crashes the judge."""
    if path.name not in CRASHES_THE_JUDGE:
        return path
    log = decode_event_log(path.read_bytes())
    copy = folder / path.name
    kept = tuple(event for event in log.events if event.pcr <= PCR_INDEX_MAX)
    copy.write_bytes(encode_event_log(replace(log, events=kept)))
    return copy


@pytest.mark.check("A18")
def test_tpm2_eventlog_agrees_on_every_bank_of_every_real_log(tmp_path: Path) -> None:
    for path in real_logs():
        judged_path = judgeable(path, tmp_path)
        log = decode_event_log(path.read_bytes())
        differs = path.name in DIFFERS_IN_PCR_0 or log.startup_locality != 0
        banks = compare(judged_path, judged_path.read_bytes(), differs_in_pcr_0=differs)
        assert banks == {BANKS[bank].name for bank in log.algorithms if bank in BANKS}, path.name


def test_the_differences_of_the_judge_are_still_there() -> None:
    logs = {path.name: path for path in real_logs()}
    assert {*CRASHES_THE_JUDGE, *DIFFERS_IN_PCR_0} <= set(logs)
    for name in CRASHES_THE_JUDGE:
        judgement(logs[name], returncode=-signal.SIGSEGV)
    for name in DIFFERS_IN_PCR_0:
        assert decode_event_log(logs[name].read_bytes()).startup_locality != 0, name


@pytest.mark.check("A18")
def test_tpm2_eventlog_agrees_on_our_log(tmp_path: Path) -> None:
    path = tmp_path / "log.bin"
    path.write_bytes(encode_event_log(LOG))
    assert compare(path, path.read_bytes(), differs_in_pcr_0=True) == {"sha1", "sha256"}


@pytest.mark.check("A20")
def test_secure_boot_of_real_machines_is_read_without_a_violation() -> None:
    """In each bank, and as it was: none of these machines broke A20, and some have old shims."""
    for path in real_logs():
        log = decode_event_log(path.read_bytes())
        for bank in log.algorithms:
            facts = secure_boot_facts(log, bank=bank)
            if path.name in SECURE_BOOT:
                enabled = SECURE_BOOT[path.name]
                assert facts.violations == (), f"{path.name} {facts.violations}"
                assert (facts.measured, facts.enabled) == (True, enabled), path.name
                assert any(each.in_db for each in facts.authorities) is enabled, path.name
                assert not any(each.in_db is False for each in facts.authorities), path.name


@pytest.mark.check("A20")
def test_tpm2_eventlog_reads_the_same_secure_boot_variables(tmp_path: Path) -> None:
    for path in real_logs():
        text = judgement(judgeable(path, tmp_path))
        names, contents = judged_events(text, "UnicodeName"), judged_events(text, "VariableData")
        facts = secure_boot_facts(log := decode_event_log(path.read_bytes()), bank=log.algorithms[0])
        for name, content in facts.variables.items():
            assert name in names, f"{path.name} {name}"
            assert not content or content.hex() in contents, f"{path.name} {name}"


@pytest.mark.check("A21")
def test_boot_chains_of_real_machines_are_named() -> None:
    """Numbers of boot loaders, kernels and initrds, as the logs list them."""
    logs = {path.name: decode_event_log(path.read_bytes()) for path in real_logs()}
    for name, expected in BOOT_CHAINS.items():
        for bank in logs[name].algorithms:
            chain = boot_chain(logs[name], bank=bank)
            named = (Component.BOOT_LOADER, Component.KERNEL, Component.INITRD)
            assert tuple(len(chain.of(component)) for component in named) == expected, name
    for log in logs.values():
        boot_chain(log, bank=log.algorithms[0])


@pytest.mark.check("A19")
def test_command_lines_of_real_logs_are_the_measured_ones() -> None:
    found = {
        path.name: kernel_command_line(log, bank=SHA256 if SHA256 in log.algorithms else SHA1)
        for path in real_logs()
        for log in [decode_event_log(path.read_bytes())]
    }
    lines = [line for line in found.values() if line is not None]
    assert len(lines) >= len(found) // 2
    assert all("vmlinuz" in line for line in lines)


def is_read_as(name: str, version: str, *, log: EventLog) -> dict[str, bytes]:
    """New content by its new path, for every file of a version that GRUB read or a measured command named."""
    links = boot_chain(log, bank=SHA256).links
    named = [path for link in links for path in named_files(link.text or "")[1]]
    read = [without_device(link.name) for link in links if link.pcr == FILE_PCR]
    assert named, name
    return {path.replace(version, "9.9"): path.encode() for path in (*named, *read) if version in path}


@pytest.mark.check("A21")
def test_every_real_boot_by_grub_is_predicted_as_it_was() -> None:
    for path in real_logs():
        log = decode_event_log(path.read_bytes())
        bank = SHA256 if SHA256 in log.algorithms else SHA1
        made = predict_grub(log, banks=(bank,), change=GrubChange())
        values, again = replay(log, bank=bank), replay(replace(log, events=made.events), bank=bank)
        assert [again.get(pcr) for pcr in (8, 9)] == [values.get(pcr) for pcr in (8, 9)], path.name


@pytest.mark.check("A21")
@pytest.mark.parametrize("name", GRUB_KERNELS)
def test_the_next_kernel_of_a_real_boot_by_grub_is_predicted(name: str) -> None:
    log = decode_event_log((shared_vectors() / "eventlogs" / name).read_bytes())
    version = GRUB_KERNELS[name]
    files = is_read_as(name, version, log=log)
    change = GrubChange(texts=((version, "9.9"),), files=files)
    after = replace(log, events=predict_grub(log, banks=(SHA256,), change=change).events)
    loaded = [
        link
        for component in (Component.KERNEL, Component.INITRD)
        for link in boot_chain(after, bank=SHA256).of(component)
    ]
    assert {link.digest for link in loaded} <= {BANKS[SHA256].digest(each) for each in files.values()}
    assert {link.component for link in loaded} == {Component.KERNEL, Component.INITRD}
    assert "vmlinuz-9.9" in (kernel_command_line(after, bank=SHA256) or "")
    assert not any(version.encode() in event.data for event in after.events)
