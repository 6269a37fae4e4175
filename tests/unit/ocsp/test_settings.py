"""Settings of the responder, and the policy that they mean."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.settings import SettingsError, load_settings
from ocsp.judgement import NeverIssued
from ocsp.settings import OcspSettings
from ocsp.single_extensions import NOTHING_MORE

SETTINGS = """
database = "sqlite://"
answer_lifetime_s = 60
never_issued = "revoked"
[public]
host = "127.0.0.1"
port = 0
[key]
key = "a"
passphrase_file = "b"
[ca]
url = "https://ca.example.net"
anchors = "c"
certificate = "d"
key = "e"
passphrase_file = "f"
[compromised_cas]
{ca_id} = {since}
"""


def loaded(folder: Path, *, ca_id: str = "0a" * 16, since: str = "2026-06-01T14:00:00+02:00") -> OcspSettings:
    path = folder / "ocsp.toml"
    path.write_text(SETTINGS.format(ca_id=ca_id, since=since))
    return load_settings(OcspSettings, path=path)


@pytest.mark.check("O21")
def test_the_policy_is_what_the_settings_say(tmp_path: Path) -> None:
    policy = loaded(tmp_path).policy()
    assert policy.lifetime == timedelta(seconds=60)
    assert policy.never_issued is NeverIssued.REVOKED
    assert policy.compromised == {"0a" * 16: datetime(2026, 6, 1, 12, tzinfo=UTC)}


@pytest.mark.negative
@pytest.mark.check("O21")
@pytest.mark.parametrize("ca_id", ["0A" * 16, "0a" * 15, "0a" * 17])
def test_a_compromised_ca_is_named_by_its_id(tmp_path: Path, ca_id: str) -> None:
    with pytest.raises(SettingsError, match="compromised_cas"):
        loaded(tmp_path, ca_id=ca_id)


@pytest.mark.negative
@pytest.mark.check("O21")
def test_a_time_without_a_zone_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="compromised_cas"):
        loaded(tmp_path, since="2026-06-01T14:00:00")


@pytest.mark.check("O14")
@pytest.mark.check("O15")
@pytest.mark.check("O16")
def test_more_is_said_where_the_operator_asks_for_it(tmp_path: Path) -> None:
    assert loaded(tmp_path).policy().single_extensions is NOTHING_MORE
    path = tmp_path / "more.toml"
    more = "statuses_kept_days = 730\ncrl_entry_extensions = true\n"
    urls = f'\n[crl_urls]\n{"0a" * 16} = "http://ca.example.net/x.crl"\n'
    path.write_text(more + SETTINGS.format(ca_id="0a" * 16, since="2026-06-01T14:00:00Z") + urls)
    said = load_settings(OcspSettings, path=path).policy().single_extensions
    assert (said.kept_for, said.crl_entries) == (timedelta(days=730), True)
    assert said.crl_urls == {"0a" * 16: "http://ca.example.net/x.crl"}
    path.write_text(path.read_text().replace("http:", "ftp:"))
    with pytest.raises(SettingsError, match="crl_urls"):
        load_settings(OcspSettings, path=path)
