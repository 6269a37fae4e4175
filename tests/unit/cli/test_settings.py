"""Settings: one file, every key known, nothing of the environment but the file's name."""

from pathlib import Path

import pytest

from cli.settings import read_cli_settings
from edge.settings import SettingsError
from tests.unit.cli.person import SETTINGS, Given, Person

SUPPLIERS: Given = {("GET", "/v1/es-roots"): {"es_roots": []}, ("GET", "/v1/suppliers"): {"suppliers": []}}


def written(folder: Path, text: str) -> Path:
    path = folder / "cli.toml"
    path.write_text(text)
    return path


def test_files_are_relative_to_the_settings_file(tmp_path: Path) -> None:
    settings = read_cli_settings(written(tmp_path, SETTINGS))
    assert settings.key == tmp_path / "keys" / "me.key"
    assert settings.timeout_s == 10


@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (SETTINGS + 'ca_ulr = "x"\n', "ca_ulr: is not a setting"),
        (SETTINGS.replace("tls_root", "#"), "tls_root: is missing"),
        (SETTINGS.replace("https://ca", "http://ca"), "ca_url: .*https://HOST:PORT"),
        (SETTINGS.replace("ca.example.net:8443", "ca.example.net/v1"), "ca_url"),
        (SETTINGS.replace("ca.example.net:8443", "me@ca.example.net"), "ca_url"),
        (SETTINGS + "timeout_s = 0\n", "timeout_s"),
        ("ca_url = ", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changed: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_cli_settings(written(tmp_path, changed))


def test_variables_for_services_do_not_steer_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVA_CA_URL", "https://elsewhere.example.net")
    monkeypatch.setenv("PVA_DATABASE", "sqlite://")
    assert read_cli_settings(written(tmp_path, SETTINGS)).ca_url == "https://ca.example.net:8443"


def test_the_option_goes_before_the_variable_and_stands_anywhere(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(SETTINGS.replace("ca.example.net", "other.example.net"))
    for words in (
        ["--config", str(other), "supplier", "list"],
        ["supplier", "list", "--config", str(other)],
    ):
        person = Person(folder=tmp_path, given=SUPPLIERS)
        assert person.run(*words).exit_code == 0
        assert person.asked[0].host == "https://other.example.net:8443"


@pytest.mark.negative
def test_without_settings_one_is_told_how_to_name_them(tmp_path: Path) -> None:
    done = Person(folder=tmp_path).run("supplier", "list", environment={"PVA_CLI_CONFIG": ""})
    assert done.exit_code == 1
    assert "--config FILE" in done.stderr
    assert "PVA_CLI_CONFIG" in done.stderr


@pytest.mark.negative
def test_a_service_that_the_settings_leave_out_is_named_by_its_key(tmp_path: Path) -> None:
    person = Person(folder=tmp_path, given=SUPPLIERS, settings=SETTINGS.replace("pva_url", "#"))
    done = person.run("manifest", "list")
    assert done.exit_code == 1
    assert "pva_url: is missing" in done.stderr
