"""The documentation as a site: it builds strictly, asks nothing of a network, and its menu has every page."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    # Not --quiet: warnings that are not shown are not counted either.
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(out)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=env)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(name, reason=f"{name} makes the site: pip install telbench[docs]")
    out = tmp_path_factory.mktemp("site")
    told = build(ROOT / "mkdocs.yml", out)
    assert told.returncode == 0, told.stdout + told.stderr
    return out


class Fetched(HTMLParser):
    """What a browser loads by itself when it opens a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag in ("script", "img", "iframe", "source", "video"):
            self.addresses += [told["src"]] if "src" in told else []
        elif tag == "link" and told.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(told.get("href", ""))


def fetched(page: str) -> list[str]:
    reader = Fetched()
    reader.feed(page)
    return reader.addresses


@pytest.mark.slow
def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text("utf-8")
        outside = [each for each in fetched(text) if re.match(r"(?:\w+:)?//", each) and not each.startswith("data:")]
        assert outside == [], page.name
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?https?:[^)]*", styles) == []


@pytest.mark.slow
def test_every_page_of_the_docs_is_on_the_site_and_in_its_menu(site: Path) -> None:
    index = (site / "index.html").read_text("utf-8")
    for path in sorted((ROOT / "docs").rglob("*.md")):
        inner = path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert (site / inner).is_file(), inner
        assert f'href="{inner}"' in index, f"{inner} is not in the menu"
    for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG"):
        assert f'href="{name}.html"' in index


@pytest.mark.slow
def test_the_reference_has_signatures_words_and_examples_as_code(site: Path) -> None:
    calls = (site / "reference" / "python.html").read_text("utf-8")
    for name in ("evaluate", "compare", "check", "distill"):
        assert f'id="telbench.calls.{name}"' in calls, name
    statistics = (site / "reference" / "statistics.html").read_text("utf-8")
    assert "&gt;&gt;&gt; </span>" in statistics
    assert "<blockquote>" not in statistics


@pytest.mark.slow
def test_a_link_that_leads_nowhere_and_a_name_that_is_not_there_fail_the_build(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs makes the site: pip install telbench[docs]")
    pytest.importorskip("mkdocstrings", reason="mkdocstrings makes the reference: pip install telbench[docs]")
    docs = tmp_path / "docs"
    docs.mkdir()
    rooms = hooks().rooms
    rooms(tmp_path / "rooms")
    plugins = {"search": {}, "mkdocstrings": {"handlers": {"python": {"paths": [str(tmp_path / "rooms")]}}}}
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"site_name: x\nplugins: {plugins}\nvalidation: {{links: {{anchors: warn}}}}\n")
    for text, word in (
        ("# A\n[b](b.md)", "b.md"),
        ("# A\n[b](#nowhere)", "nowhere"),
        ("# A\n::: telbench.calls.nothing", "nothing"),
    ):
        (docs / "index.md").write_text(text + "\n")
        told = build(config, tmp_path / "out")
        assert told.returncode == 1, text
        assert word in told.stdout + told.stderr


def test_examples_of_the_hooks_are_true() -> None:
    found = doctest.testmod(hooks())
    assert found.attempted >= 4
    assert found.failed == 0


def test_what_a_page_loads_is_seen() -> None:
    assert fetched('<link rel="stylesheet" href="//a/b.css"><script src="https://c"></script><a href="https://d">') == [
        "//a/b.css",
        "https://c",
    ]
