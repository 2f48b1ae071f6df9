"""Each kind of page in a real browser, from file://: nothing runs that should not, nothing is asked of any network."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Visit

KINDS = (
    "index.html",
    "metrics/token-f1-*.html",
    "runs.html",
    "runs/base-*.html",
    "items.html",
    "items/*.html",
    "compare.html",
    "compare/gnal-*.html",
    "significance.html",
    "significance/rougel-*.html",
    "ranks.html",
    "tradeoff.html",
    "factors.html",
    "factors/rougel-*.html",
    "method.html",
)


@pytest.fixture
def kind(request: pytest.FixtureRequest, site: Path) -> str:
    """A pattern that has a page on this board."""
    pattern: str = request.param
    assert list(site.glob(pattern)), f"the board has no page {pattern}"
    return pattern


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_nothing_runs_and_nothing_is_requested(kind: str, site: Path, visit: Callable[..., Visit]) -> None:
    seen = visit(kind)
    for summary in seen.page.query_selector_all("summary"):
        summary.evaluate("each => each.parentElement.open = true")
    seen.page.wait_for_timeout(50)
    assert seen.troubles() == []
    assert all(url.startswith(site.as_uri()) for url in seen.requests), seen.requests
    links = seen.page.eval_on_selector_all("[href], [src]", "all => all.map(each => each.href || each.src)")
    assert all(link.startswith(site.as_uri()) for link in links), links


@pytest.mark.parametrize("kind", KINDS, indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(kind: str, scheme: str, visit: Callable[..., Visit]) -> None:
    axe = pytest.importorskip("axe_playwright_python")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page = visit(kind, scheme=scheme).page
    page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    page.evaluate(source)
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [
        f"{each['id']}: {node['html'][:200]} {node['any']}" for each in found["violations"] for node in each["nodes"]
    ]
    assert told == []


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_its_html_is_valid_and_its_links_lead_somewhere(kind: str, site: Path) -> None:
    html5lib = pytest.importorskip("html5lib")
    for path in sorted(site.glob(kind)):
        source = path.read_text(encoding="utf-8")
        parser = html5lib.HTMLParser(strict=True)
        parser.parse(source)
        assert "\x00" not in source
        ids = re.findall(r'\sid="([^"]+)"', source)
        assert len(ids) == len(set(ids))
        for link in re.findall(r'(?:href|src)="([^"]*)"', source):
            target, _, anchor = html.unescape(link).partition("#")
            where = (path.parent / target).resolve() if target else path
            assert where.is_file(), f"{path.name}: {link}"
            assert where.is_relative_to(site)
            if anchor and where.suffix == ".html":
                assert f'id="{anchor}"' in where.read_text(encoding="utf-8"), f"{path.name}: {link}"


@pytest.mark.parametrize("kind", KINDS, indirect=True)
@pytest.mark.parametrize("width", [390, 768])
def test_it_never_scrolls_sideways_as_a_whole(kind: str, width: int, visit: Callable[..., Visit]) -> None:
    page = visit(kind, width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_dark_and_light_differ_from_the_first_paint(kind: str, visit: Callable[..., Visit]) -> None:
    """Colours come from the style sheet alone: without scripts they are the same."""
    color = "getComputedStyle(document.body).backgroundColor"
    found = {
        (scheme, scripts): visit(kind, scheme=scheme, scripts=scripts).page.evaluate(color)
        for scheme in ("light", "dark")
        for scripts in (True, False)
    }
    assert found["light", True] == found["light", False] != found["dark", True] == found["dark", False]


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_every_drawing_has_words_and_every_page_one_heading(kind: str, visit: Callable[..., Visit]) -> None:
    page = visit(kind).page
    assert page.locator("h1").count() == 1
    lacking = "all => all.filter(each => !each.querySelector('title')).map(each => each.outerHTML.slice(0, 200))"
    assert page.eval_on_selector_all("svg", lacking) == []
