"""A Chromium that is there already, a board of hostile runs, and pages that note whatever goes wrong on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from telbench.harness.cli.main import main

from .hostile_runs import make_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Runs before a page's own scripts. What hostile texts would call is there to be called.
WATCH = """
window.noted = [];
window.attacked = how => window.noted.push('attacked by ' + how);
window.alert = window.confirm = window.prompt = () => window.noted.push('a dialog');
document.addEventListener('securitypolicyviolation', event =>
    window.noted.push('policy: ' + event.violatedDirective + ' ' + event.blockedURI));
"""


@dataclass
class Visit:
    """A page with what was noted on it: console messages, errors, requests, violations of its policy, attacks."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def troubles(self) -> list[str]:
        """Whatever ought not to have happened."""
        return self.messages + self.page.evaluate("window.noted")


# Not for the whole session: while it is open an event loop runs, and other tests of the process start their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser; a skip with the reason where there is none (CI's set-up installs one where it can)."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if found is None or sync_playwright is None:
        pytest.skip(
            "no Chromium (apt-get install chromium)" if found is None else "no playwright (pip install playwright)"
        )
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five hostile runs; one answer has a megabyte."""
    return make_runs(tmp_path_factory.mktemp("hostile"), long_answer=1_000_000)


@pytest.fixture(scope="session")
def site(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board of the runs, with what a gate said of them."""
    out, history = (tmp_path_factory.mktemp("board") / name for name in ("site", "history.jsonl"))
    for candidate in runs[1:]:
        words = ["check", "--baseline", str(runs[0]), "--candidate", str(candidate), "--margin", "token_f1=0.02"]
        main([*words, "--history", str(history)])
    words = ["leaderboard", "build", *map(str, runs), "--out", str(out), "--history", str(history)]
    assert main([*words, "--title", "</title><b>Board"]) == 0
    return out


def opened(browser: Browser, site: Path, pattern: str, fragment: str = "", **options: Any) -> Visit:
    """A page of the site, given by a pattern of its path, in a browser context of its own."""
    path = sorted(site.glob(pattern))[0]
    page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}).new_page()
    page.set_default_timeout(20_000)
    page.add_init_script(WATCH)
    seen = Visit(page)
    page.on("console", lambda message: seen.messages.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: seen.messages.append(f"error: {error}"))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(path.as_uri() + fragment)
    return seen


@pytest.fixture
def visit(browser: Browser, site: Path) -> Iterator[Callable[..., Visit]]:
    """`opened` on the board; what it opened is closed in the end."""
    visits: list[Visit] = []

    def open_page(pattern: str, **options: Any) -> Visit:
        visits.append(opened(browser, site, pattern, **options))
        return visits[-1]

    yield open_page
    for each in visits:
        each.page.context.close()
