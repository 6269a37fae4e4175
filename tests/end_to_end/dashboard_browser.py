"""Headless Chromium at a served dashboard, with the client certificate of a person; what a page must be, asked of its DOM."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from edge.keys import read_passphrase
from tests.served import served
from tests.tools import need

ROOT: Final = Path(__file__).parents[2]
SCREENSHOTS: Final = ROOT / ".pva" / "screenshots"
DESKTOP: Final = {"width": 1280, "height": 900}
NARROW: Final = {"width": 360, "height": 740}

FAULTS_OF_A_PAGE: Final = """
() => {
  const faults = [];
  const seen = (element) => element.getClientRects().length > 0;
  const text = (element) => (element.getAttribute("aria-label") || element.textContent || "").trim();
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title.trim()) faults.push("no title");
  for (const mark of ["header", "main", "nav", "footer"]) {
    if (!document.querySelector(mark)) faults.push("no " + mark);
  }
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const now = Number(heading.tagName[1]);
    if (now > level + 1) faults.push("h" + level + " is followed by " + heading.tagName + ": " + text(heading));
    if (!text(heading)) faults.push("an empty heading");
    level = now;
  }
  for (const input of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    const labelled = [...(input.labels || [])].some(text) || input.getAttribute("aria-label");
    if (!labelled) faults.push("an input without label: " + input.outerHTML.slice(0, 120));
  }
  for (const control of document.querySelectorAll("a[href], button, summary")) {
    if (seen(control) && !text(control)) faults.push("a control without name: " + control.outerHTML.slice(0, 120));
  }
  for (const nav of document.querySelectorAll("nav, [role=region]")) {
    if (!nav.getAttribute("aria-label") && !nav.getAttribute("aria-labelledby")) faults.push("an unnamed " + nav.tagName);
  }
  for (const table of document.querySelectorAll("table")) {
    if (table.closest(".u-legend, .uplot")) continue;
    for (const head of table.querySelectorAll("thead th")) {
      if (!head.scope) faults.push("a column head without scope: " + text(head));
    }
    const named = table.caption || table.closest("[aria-label]");
    if (!named) faults.push("a table without a name");
  }
  for (const image of document.querySelectorAll("img")) {
    if (!image.hasAttribute("alt")) faults.push("an image without alt");
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids)) {
    if (ids.filter((each) => each === id).length > 1) faults.push("id twice: " + id);
  }
  for (const name of ["aria-labelledby", "aria-describedby"]) {
    for (const element of document.querySelectorAll("[" + name + "]")) {
      for (const id of element.getAttribute(name).split(/\\s+/)) {
        if (!document.getElementById(id)) faults.push(name + " leads nowhere: " + id);
      }
    }
  }
  if (document.querySelector("[style]:not(.uplot *):not(.uplot)")) faults.push("an inline style");
  if (document.documentElement.scrollWidth > window.innerWidth) {
    const wide = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1);
    faults.push("wider than the window: " + wide.slice(0, 3).map((e) => e.outerHTML.slice(0, 90)).join(" | "));
  }
  return faults;
}
"""
"""What a screen reader, a keyboard and a narrow window need of every page."""


@dataclass
class Screen:
    """One person's browser window; what it complains about is kept."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen to the console, and to scripts that fail."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, path: str) -> int:
        """Go to a page; the status of the answer."""
        answer = self.page.goto(self.url + path)
        assert answer is not None
        return answer.status

    def faults(self) -> list[str]:
        """What is wrong with the page that is open."""
        found: list[str] = self.page.evaluate(FAULTS_OF_A_PAGE)
        return found

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


@dataclass(frozen=True, kw_only=True)
class ServedDashboard:
    """A dashboard in a process of its own, and a browser."""

    browser: Browser
    folder: Path
    url: str

    @contextmanager
    def as_person(self, name: str, **options: Any) -> Iterator[Screen]:
        """A fresh browser profile with the certificate of somebody."""
        certificate: dict[str, Any] = {
            "origin": self.url,
            "certPath": self.folder / f"{name}.pem",
            "keyPath": self.folder / "keys" / f"{name}.key",
            "passphrase": read_passphrase(self.folder / "keys" / "passphrase").decode(),
        }
        context: BrowserContext = self.browser.new_context(
            client_certificates=[certificate],  # type: ignore[list-item]  # a TypedDict that is not exported
            ignore_https_errors=True,
            **{"viewport": DESKTOP, "locale": "en-GB", **options},
        )
        try:
            yield Screen(page=context.new_page(), url=self.url)
        finally:
            context.close()


def _at_home_in(home: Path) -> dict[str, str | float | bool]:
    """The environment of a browser that keeps what it keeps in this folder, and leaves the person's own home alone."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**kept, "HOME": str(home)}


@contextmanager
def served_dashboard(folder: Path) -> Iterator[ServedDashboard]:
    """Serve a watched fleet's dashboard and open a browser; skips (fails under CI) without Chromium."""
    chromium = need("chromium")
    command = [sys.executable, "-m", "tests.contract.dashboard_service", str(folder)]
    service = served(command, log=folder / "log")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium,
                args=["--no-sandbox", "--disable-gpu"],
                env=_at_home_in(folder / "home"),
            )
            try:
                yield ServedDashboard(browser=browser, folder=folder, url=service.urls["dashboard"])
            finally:
                browser.close()
    finally:
        service.stop()
