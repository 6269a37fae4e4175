"""Settings of the PVA: what devices are asked to quote, and unknown keys."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from edge.settings import SettingsError, load_settings
from pva.results.result import PromiseTerms
from pva.settings import PvaSettings, read_selections
from pva.watching.holding import HoldRule

SETTINGS = """
issuer = "pva-1"
database = "sqlite://"
operators_root = "root.pem"
{more}
[device]
certificate = "a"
key = "b"
[operator]
certificate = "a"
key = "b"
client_anchors = "c"
principals = "d"
[challenge_key]
key = "a"
passphrase_file = "b"
certificate = "c"
[result_key]
key = "a"
passphrase_file = "b"
certificate = "c"
[approval_key]
key = "a"
passphrase_file = "b"
certificate = "c"
[callbacks."sho-1"]
url = "https://127.0.0.1:8443"
anchors = "a"
certificate = "b"
key = "c"
passphrase_file = "d"
"""


def test_selections_are_read_in_order() -> None:
    assert read_selections(("sha384:0", "sha256:14,0-9")) == {0x000B: (*range(10), 14), 0x000C: (0,)}


@pytest.mark.negative
@pytest.mark.check("A16")
@pytest.mark.parametrize(
    "text",
    ["sha256:10", "sha256:16", "sha256:20-23", "sha256:24", "sha256:9-0", "sha256:", "sha1:0", "0-9", ""],
)
def test_what_says_nothing_about_boot_code_is_not_asked_for(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_selections((text,))


@pytest.mark.negative
def test_no_selection_and_one_bank_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        read_selections(())
    with pytest.raises(ValueError, match="each once"):
        read_selections(("sha256:0", "sha256:1"))


def settings(tmp_path: Path, more: str) -> PvaSettings:
    path = tmp_path / "pva.toml"
    path.write_text(SETTINGS.format(more=more))
    return load_settings(PvaSettings, path=path, environ={})


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    read = settings(tmp_path, "")
    assert read.operators_root == tmp_path / "root.pem"
    assert read.callbacks["sho-1"].anchors == tmp_path / "a"


RESPONDER = """[status_responders."{name}"]
url = "https://127.0.0.1:8444"
anchors = "a"
certificate = "b"
key = "c"
passphrase_file = "d"
"""


def test_results_go_to_responders_under_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "pva.toml"
    path.write_text(SETTINGS.format(more="") + RESPONDER.format(name="ocsp-1"))
    read = load_settings(PvaSettings, path=path, environ={})
    assert read.status_responders["ocsp-1"].anchors == tmp_path / "a"
    path.write_text(SETTINGS.format(more="") + RESPONDER.format(name="sho-1"))
    with pytest.raises(SettingsError, match=r"status_responders.*sho-1"):
        load_settings(PvaSettings, path=path, environ={})


def test_a_hold_takes_three_of_five_within_a_day_if_nothing_is_said(tmp_path: Path) -> None:
    read = settings(tmp_path, "")
    assert read.ca is None
    assert read.hold.rule() == HoldRule(contraindicated=3, of=5, within=timedelta(days=1))


@pytest.mark.negative
@pytest.mark.requirement("R24")
@pytest.mark.parametrize(
    "url",
    ["http://sho.example", "https://user@sho.example", "https://sho.example?to=else", "sho.example", ""],
)
def test_a_callback_is_an_https_url_and_nothing_more(tmp_path: Path, url: str) -> None:
    path = tmp_path / "pva.toml"
    text = SETTINGS.format(more="")
    assert 'url = "https://' in text
    path.write_text(re.sub(r'url = "https://[^"]*"', f'url = "{url}"', text))
    with pytest.raises(SettingsError) as caught:
        load_settings(PvaSettings, path=path, environ={})
    assert "url" in str(caught.value)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("resultlife_s = 3", "resultlife_s"),
        ("result_life_s = 0", "result_life_s"),
        ('runtime_policies = ["a.cose"]', "runtime_policies"),
        ('ima = true\npcr_selection = ["sha256:0-8,14"]', "ima"),
        ('ima = true\npcr_selection = ["sha384:0-9"]', "ima"),
        ('pcr_selection = ["sha256:16"]', "pcr_selection"),
        ('profile = "demo"', "profile"),
        ("hold.contraindicated = 1", "contraindicated"),
        ("hold.contraindicated = 6", "contraindicated"),
        ("hold.within_s = 1", "within_s"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, more: str, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, more)
    assert named in str(caught.value)


def with_log(folder: Path, more: str) -> PvaSettings:
    path = folder / "pva.toml"
    log = f'[audit_log]\nname = "pva-1.example.net/log"\nkey = "a"\npassphrase_file = "b"\n{more}\n'
    path.write_text(SETTINGS.format(more="") + log)
    return load_settings(PvaSettings, path=path, environ={})


def test_results_promise_their_leaf_by_the_log_of_the_settings(tmp_path: Path) -> None:
    assert settings(tmp_path, "").audit_log is None
    for more, delay in (("", 60), ("merge_delay_s = 5", 5)):
        log = with_log(tmp_path, more).audit_log
        assert log is not None
        assert log.promises == PromiseTerms(log="pva-1.example.net/log", merge_delay_s=delay)


@pytest.mark.negative
@pytest.mark.parametrize("more", ["merge_delay_s = 0", "merge_delay_s = 90000", "interval_s = 60"])
def test_a_promise_that_cannot_be_kept_is_refused(tmp_path: Path, more: str) -> None:
    with pytest.raises(SettingsError, match="merge_delay_s"):
        with_log(tmp_path, more)


@pytest.mark.requirement("R29")
def test_two_administrators_approve_a_manifest_unless_more_are_asked_for(tmp_path: Path) -> None:
    assert settings(tmp_path, "").manifest_approvals == 2
    assert settings(tmp_path, "manifest_approvals = 3").manifest_approvals == 3
    assert settings(tmp_path, 'profile = "lab"\nmanifest_approvals = 1').manifest_approvals == 1


@pytest.mark.negative
@pytest.mark.requirement("R29")
def test_one_administrator_is_for_a_lab(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="manifest_approvals"):
        settings(tmp_path, "manifest_approvals = 1")
