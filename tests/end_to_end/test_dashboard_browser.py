"""The dashboard in a real browser over mutual TLS: with and without scripts, narrow, dark, by keyboard, for a screen reader."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from tests.end_to_end.dashboard_browser import NARROW, ROOT, Screen, ServedDashboard, served_dashboard
from tests.tools import only_deep

AXE: Final = ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js"
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
OF_OPERATOR: Final = ("/", "/devices", "/manifests", "/updates", "/policies", "/suppliers", "/log")
OF_ADMINISTRATOR: Final = (
    "/approvals",
    "/manifests",
    "/updates",
    "/suppliers",
    "/log",
    "/log/records",
    "/devices",
)
"""The last is none of his: a refusal is a page too."""
EVERY_RUN: Final = {("sho-1", "light"), ("second", "light"), ("sho-1", "dark"), ("sho-1", "narrow")}
"""Who looks, and how, in every run; `--deep` has the others look too."""
LOOKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "light": {},
    "narrow": {"viewport": NARROW},
    "dark": {"color_scheme": "dark"},
}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDashboard]:
    with served_dashboard(tmp_path_factory.mktemp("served")) as served:
        yield served


def pages_of(screen: Screen, paths: tuple[str, ...]) -> Iterator[str]:
    """Open each page, and the first that each list leads to."""
    for path in paths:
        screen.open(path)
        yield path
    for path in paths[1:]:
        screen.open(path)
        first = screen.page.locator("tbody th a, .chain a").first
        if first.count():
            first.click()
            screen.page.wait_for_load_state()
            yield f"{path}, its first"


@pytest.mark.parametrize(
    ("person", "paths", "look"),
    [
        ("sho-1", OF_OPERATOR, "light"),
        ("second", OF_ADMINISTRATOR, "light"),
        ("acme", OF_OPERATOR, "light"),
        ("auditor", OF_OPERATOR, "light"),
        ("sho-1", OF_OPERATOR, "dark"),
        ("sho-1", OF_OPERATOR, "narrow"),
        ("second", OF_ADMINISTRATOR, "narrow"),
    ],
)
def test_every_page_is_readable_by_everybody(
    dashboard: ServedDashboard, person: str, paths: tuple[str, ...], look: str, request: pytest.FixtureRequest
) -> None:
    if (person, look) not in EVERY_RUN:
        only_deep(request)
    axe = AXE.read_text(encoding="utf-8")
    with dashboard.as_person(person, **LOOKS[look]) as screen:
        for name in pages_of(screen, paths):
            assert screen.faults() == [], name
            if look != "narrow":  # the same elements in the same colours
                screen.page.evaluate(axe)
                broken = screen.page.evaluate("rules => axe.run({runOnly: rules})", RULES)["violations"]
                told = [(each["id"], [node["html"][:120] for node in each["nodes"][:3]]) for each in broken]
                assert told == [], name
            screen.keep(f"{person}{re.sub('[^a-z]+', '-', name)}-{look}")
        assert [each for each in screen.complaints if "403" not in each] == []


def test_the_chart_is_drawn_from_the_table(dashboard: ServedDashboard) -> None:
    with dashboard.as_person("sho-1") as screen:
        screen.open("/")
        screen.page.wait_for_selector("#chart canvas")
        drawn = screen.page.evaluate(
            """() => {
              const canvas = document.querySelector("#chart canvas");
              const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              const colours = new Set();
              for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) colours.add(data.slice(i, i + 3).join());
              return ["affirming", "contraindicated", "refused"].map((name) => {
                const hex = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim().slice(1);
                return colours.has([0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)).join());
              });
            }"""
        )
        assert drawn == [True, True, True]
        assert screen.page.get_attribute(".uplot", "role") == "img"
        screen.page.get_by_label("a day", exact=True).check()
        screen.page.wait_for_url("**/?span=day")
        expect(screen.page.locator("#counts tbody tr")).to_have_count(24)
        assert screen.page.locator("#list-status").inner_text().endswith("in the last day.")
        screen.page.wait_for_selector("#chart canvas")
        assert screen.complaints == []


def test_the_list_is_filtered_in_place_and_its_address_says_so(dashboard: ServedDashboard) -> None:
    with dashboard.as_person("sho-1") as screen:
        screen.open("/devices")
        screen.page.evaluate("document.body.dataset.same = 'page'")
        assert screen.page.get_attribute("#list-status", "role") == "status"
        screen.page.get_by_label("Outcome").select_option("contraindicated")
        expect(screen.page.locator("#list tbody tr")).to_have_count(2)
        assert "2 devices shown, contraindicated alone." in screen.page.locator("#list-status").inner_text()
        assert "outcome=contraindicated" in screen.page.url
        assert screen.page.evaluate("document.body.dataset.same") == "page"
        screen.page.go_back()
        expect(screen.page.locator("#list tbody tr")).to_have_count(14)
        kept = screen.page.evaluate("Object.keys(localStorage).concat(Object.keys(sessionStorage))")
        assert kept == ["htmx-current-path-for-history"]  # an address, for as long as the tab; no page
        assert screen.complaints == []


def test_everything_is_there_without_scripts(dashboard: ServedDashboard) -> None:
    with dashboard.as_person("sho-1", java_script_enabled=False) as screen:
        screen.open("/")
        assert screen.page.locator("#chart canvas").count() == 0
        screen.page.get_by_text("The same as a table").click()
        assert screen.page.locator("#counts tbody tr").count() == 28
        screen.page.get_by_label("a day", exact=True).check()
        screen.page.get_by_role("button", name="Show").click()
        assert screen.page.locator("#counts tbody tr").count() == 24
        screen.open("/devices")
        screen.page.get_by_label("Outcome").select_option("silent")
        screen.page.get_by_role("button", name="Filter").click()
        assert screen.page.locator("#list tbody tr").count() == 1
        screen.page.locator("#list tbody th a").click()
        assert screen.page.get_by_text("No answer came in time.").is_visible()


def test_a_second_administrator_approves_by_keyboard_alone(dashboard: ServedDashboard) -> None:
    with dashboard.as_person("second", java_script_enabled=False) as screen:
        screen.open("/")
        assert screen.page.url.endswith("/approvals")
        screen.page.keyboard.press("Tab")
        assert screen.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert screen.page.locator(".skip").is_visible()
        screen.page.keyboard.press("Enter")
        for _ in range(3):
            screen.page.keyboard.press("Tab")
            if screen.page.evaluate("document.activeElement.tagName") == "BUTTON":
                break
        assert screen.page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2")
        screen.page.keyboard.press("Enter")
        screen.page.wait_for_url("**/manifests/*?said=manifest-approved")
        assert screen.page.get_by_role("status").inner_text() == "Your approval is on record."
        assert screen.page.locator("h1 ~ .verdict .badge").inner_text() == "approved"
        screen.keep("approved-light")


@pytest.mark.negative
def test_no_other_origin_frames_a_page_or_sends_a_form(dashboard: ServedDashboard) -> None:
    with dashboard.as_person("acme") as screen:
        screen.page.set_content(f'<iframe src="{screen.url}/"></iframe>')
        screen.page.wait_for_timeout(500)
        assert all("Platform Validation Authority" not in frame.content() for frame in screen.page.frames[1:])
        screen.open("/updates")
        action = screen.page.get_attribute("form[action$='/pause']", "action")
        assert action is not None
        token = screen.page.get_attribute("form[action$='/pause'] [name=form_token]", "value")
        screen.page.goto("about:blank")
        screen.page.set_content(
            f'<form method="post" action="{screen.url}{action}"><input name="form_token" value="{token}"><button>Win</button></form>'
        )
        screen.page.get_by_role("button").click()
        screen.page.wait_for_selector("h1")
        assert screen.page.get_by_text("request-of-another-origin").is_visible()
        screen.open("/updates")
        assert screen.page.locator(".badge-running").count() == 1


@pytest.mark.negative
def test_nobody_without_a_registered_certificate_sees_a_page(dashboard: ServedDashboard) -> None:
    with dashboard.as_person("stranger") as screen:
        assert screen.open("/devices") == 403
        assert screen.page.get_by_text("no principal is registered for this certificate").is_visible()
        assert screen.page.locator("nav").count() == 0


def test_the_browser_leaves_the_home_of_whoever_runs_the_tests_alone(dashboard: ServedDashboard) -> None:
    settled = {path.name for path in (dashboard.folder / "home").iterdir()}
    assert ".config" in settled
