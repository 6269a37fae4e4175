"""What `pva doctor` makes of what it sees, without a service: skew, dates, refusals; and which module is which role."""

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from cli.examination import Complaint, _complaints_about, examine_services
from cli.probe import Look
from cli.services_file import MODULES, read_services_file
from cli.settings import CliSettings
from edge.problem_document import Problem
from edge.settings import SettingsError
from tests.fakes.pki import NOW, Authority, Validity, p256
from tests.house.tree import ROOT

SETTINGS = CliSettings.model_validate(
    {"tls_root": "r", "certificate": "c", "key": "k", "passphrase_file": "p"}
)


def complaints(look: Look) -> list[Complaint]:
    return list(_complaints_about(look, name="ca", settings=SETTINGS, clock=lambda: NOW))


@pytest.mark.parametrize(
    ("skew_s", "expected"), [(4.0, []), (-4.0, []), (6.0, ["clock-skew"]), (-600.0, ["clock-skew"])]
)
def test_a_clock_that_is_wrong_is_named(skew_s: float, expected: list[str]) -> None:
    assert [each.code for each in complaints(Look(status=200, skew_s=skew_s))] == expected


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (timedelta(days=15), []),
        (timedelta(days=13), [("certificate-expiring", False)]),
        (-timedelta(seconds=1), [("certificate-expired", True)]),
    ],
)
def test_a_server_certificate_is_named_before_it_ends(
    left: timedelta, expected: list[tuple[str, bool]]
) -> None:
    made = Authority.root().issue("ca", key=p256().public_key(), validity=Validity(after=left))
    found = complaints(Look(status=200, certificate=made))
    assert [(each.code, each.urgent) for each in found] == expected


@pytest.mark.negative
def test_a_refusal_of_the_service_keeps_its_own_remedy() -> None:
    problem = Problem(status=403, type="principal-not-registered", title="Forbidden", remedy="register it")
    (found,) = complaints(Look(status=403, problem=problem))
    assert (found.code, found.remedy) == ("principal-not-registered", "register it")


def test_a_service_without_an_audit_log_is_no_complaint() -> None:
    problem = Problem(status=404, type="not-found", title="Not Found")
    assert complaints(Look(status=404, problem=problem)) == []


@pytest.mark.negative
def test_a_settings_file_that_is_not_there_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "services.toml"
    path.write_text(
        '[services.a]\nrole = "ca"\nconfig = "a.toml"\n[services.b]\nrole = "pva"\nconfig = "b.toml"\n'
    )
    found = list(examine_services(read_services_file(path), timeout_s=1))
    assert [each.subject.partition(":")[0] for each in found if each.code == "settings-unreadable"] == [
        "a",
        "b",
    ]
    assert [each.subject for each in found if each.code == "role-missing"] == ["ocsp"]


@pytest.mark.negative
@pytest.mark.parametrize("role", ["auditor", "", "../ca"])
def test_a_role_that_is_none_is_an_error_that_names_it(tmp_path: Path, role: str) -> None:
    path = tmp_path / "services.toml"
    path.write_text(f'[services.a]\nrole = "{role}"\nconfig = "a.toml"\n')
    with pytest.raises(SettingsError, match=r"services\.a\.role"):
        read_services_file(path)


def test_every_service_of_the_house_has_a_role() -> None:
    """A process that is added to the house is one that `pva serve` can run."""
    apps = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in [*ROOT.glob("*/app.py"), *ROOT.glob("operators/*/app.py")]
        if "serve(" in path.read_text()
    } - {"cli.app", "lab.app"}
    assert set(MODULES.values()) == apps
    assert all(find_spec(module) for module in MODULES.values())
