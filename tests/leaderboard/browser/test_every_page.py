"""Each kind of page in a real browser, from file://: nothing runs that should not, nothing is asked of any network."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Visit, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KINDS = (
    "index.html",
    "metrics/token-f1-*.html",
    "runs.html",
    "runs/base-*.html",
    "items.html",
    "items/*.html",
    "compare.html",
    "compare/gnal-*.html",
    "pair.html",
    "recipes.html",
    "recipes/metrics/rougel-*.html",
    "recipes/runs/*.html",
    "significance.html",
    "significance/rougel-*.html",
    "ranks.html",
    "tradeoff.html",
    "factors.html",
    "factors/rougel-*.html",
    "history.html",
    "method.html",
)
pytestmark = pytest.mark.slow
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, site: Path) -> str:
    """A pattern that has a page on this board."""
    pattern: str = request.param
    assert list(site.glob(pattern)), f"the board has no page {pattern}"
    return pattern


@pytest.fixture(scope="module")
def seen(kind: str, browser: Browser, site: Path) -> Iterator[Visit]:
    """The page, opened once for all that is asked of it."""
    visit = opened(browser, site, kind)
    yield visit
    visit.page.context.close()


def test_nothing_runs_and_nothing_is_requested(seen: Visit, site: Path) -> None:
    seen.page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    seen.page.wait_for_timeout(50)
    assert seen.troubles() == []
    assert all(url.startswith(site.as_uri()) for url in seen.requests), seen.requests
    links = seen.page.eval_on_selector_all("[href], [src]", "all => all.map(each => each.href || each.src)")
    assert all(link.startswith(site.as_uri()) for link in links), links


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_it_is_accessible(scheme: Any, width: int, seen: Visit) -> None:
    axe = pytest.importorskip("axe_playwright_python")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    seen.page.set_viewport_size({"width": width, "height": 900})
    seen.page.emulate_media(color_scheme=scheme)
    seen.page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    seen.page.evaluate(source)
    # Targets of 24 pixels are WCAG 2.2, which axe asks for only when told to.
    asked = "{resultTypes: ['violations'], rules: {'target-size': {enabled: true}}}"
    found = seen.page.evaluate(f"axe.run(document, {asked})")
    told = [
        f"{each['id']}: {node['html'][:200]} {node['any']}" for each in found["violations"] for node in each["nodes"]
    ]
    assert told == []


def test_its_html_is_valid_and_its_links_lead_somewhere(kind: str, site: Path) -> None:
    html5lib = pytest.importorskip("html5lib")
    for path in sorted(site.glob(kind))[:3]:
        source = path.read_text(encoding="utf-8")
        html5lib.HTMLParser(strict=True).parse(source)
        assert "\x00" not in source
        ids = re.findall(r'\sid="([^"]+)"', source)
        assert len(ids) == len(set(ids))
        for link in set(re.findall(r'(?:href|src)="([^"]*)"', source)):
            target, _, anchor = html.unescape(link).partition("#")
            where = (path.parent / target).resolve() if target else path
            assert where.is_file(), f"{path.name}: {link}"
            assert where.is_relative_to(site)
            if anchor and "=" not in anchor and where.suffix == ".html":
                assert f'id="{anchor}"' in where.read_text(encoding="utf-8"), f"{path.name}: {link}"


@pytest.mark.parametrize("width", [320, 390, 768])
def test_it_never_scrolls_sideways_as_a_whole(width: int, seen: Visit) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_and_light_come_from_the_system_without_a_script(
    kind: str, seen: Visit, browser: Browser, site: Path
) -> None:
    found = {}
    for scheme in ("light", "dark"):
        seen.page.emulate_media(color_scheme=scheme)
        bare = opened(browser, site, kind, color_scheme=scheme, java_script_enabled=False)
        found[scheme] = seen.page.evaluate(BACKGROUND)
        assert found[scheme] == bare.page.evaluate(BACKGROUND)
        bare.page.context.close()
    assert found["light"] != found["dark"]


def test_every_drawing_has_words_and_the_page_one_heading(seen: Visit) -> None:
    assert seen.page.locator("h1").count() == 1
    # The title becomes the label where the script shows tips of its own.
    lacking = "all => all.filter(each => !each.ariaLabel).map(each => each.outerHTML.slice(0, 200))"
    assert seen.page.eval_on_selector_all("svg", lacking) == []


def test_no_two_headings_of_a_page_are_alike(seen: Visit) -> None:
    headings = seen.page.eval_on_selector_all("h1, h2, h3", "all => all.map(each => each.textContent.trim())")
    assert len(headings) == len(set(headings))


def test_no_two_pages_have_a_title_or_a_heading_in_common(site: Path) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    # Questions of the data may be alike: titles of their pages have a number.
    told = {"title": list(pages), "h1": [path for path in pages if path.parent.name != "items"]}
    for tag, paths in told.items():
        found = [re.search(f"<{tag}.*?>(.*?)</{tag}>", pages[path], re.DOTALL) for path in paths]
        words = [re.sub("<.*?>", "", each[1]).strip() for each in found if each is not None]
        twice = {word: [str(path) for path, other in zip(paths, words, strict=True) if other == word] for word in words}
        assert [places for places in twice.values() if len(places) > 1] == []
