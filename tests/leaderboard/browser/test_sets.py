"""A site of several data sets in a real browser: its first page, and the way between the boards."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from telbench.harness.cli.main import main

from .conftest import Visit, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow
SETS = ("oran <script>attacked('set')</script>", "teleqna")
MODELS = {
    "base": 0.3,
    "<img src=x onerror=\"attacked('model')\">": 0.8,
    "a-model-with-a-rather-long-name-that-has-no-end": 0.4,
}


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models on two data sets, and a fourth on one of them."""
    folder, draw, runs = tmp_path_factory.mktemp("several"), random.Random(2), []
    for number, name in enumerate(SETS):
        data = folder / f"set{number}.jsonl"
        items = [
            {
                "id": f"i{i}",
                "question": f"Case {i} of {number}?",
                "references": [f"answer {i}"],
                "source_document": f"d{i // 2}",
            }
            for i in range(40)
        ]
        data.write_text("".join(json.dumps(item) + "\n" for item in items))
        for place, (model, share) in enumerate({**MODELS, **({} if number else {"only here": 0.5})}.items()):
            answers = folder / f"answers-{number}-{place}.jsonl"
            lines = [{"id": f"i{i}", "prediction": f"answer {i}" if draw.random() < share else "no"} for i in range(40)]
            answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
            out = folder / "runs" / f"{number}-{place}"
            words = ["score", str(answers), "--data", str(data), "--metrics", "exact_match", "--out", str(out)]
            assert main([*words, "--name", model]) == 0
            header = json.loads((out / "run.json").read_text())
            header["data"]["name"] = name
            (out / "run.json").write_text(json.dumps(header))
            runs.append(out)
    site = folder / "site"
    assert main(["leaderboard", "build", *map(str, runs), "--title", "<b>Suite", "--out", str(site)]) == 0
    return site


@pytest.fixture
def seen(browser: Browser, several: Path) -> Iterator[Visit]:
    visit = opened(browser, several, "index.html")
    yield visit
    visit.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_over_all_sets_is_accessible(scheme: Any, width: int, seen: Visit) -> None:
    axe = pytest.importorskip("axe_playwright_python")
    seen.page.set_viewport_size({"width": width, "height": 900})
    seen.page.emulate_media(color_scheme=scheme)
    seen.page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    seen.page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [f"{each['id']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]] == []


@pytest.mark.parametrize("width", [320, 390, 768])
def test_it_never_scrolls_sideways_as_a_whole(width: int, seen: Visit) -> None:
    seen.page.set_viewport_size({"width": width, "height": 900})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_switcher_leads_from_set_to_set_and_back(seen: Visit) -> None:
    links = seen.page.locator("nav.others a")
    assert links.count() == 1 + len(SETS)
    links.nth(2).click()
    assert "/sets/teleqna-" in seen.page.url
    assert seen.page.locator('nav.others a[aria-current="page"]').inner_text() == "teleqna"
    seen.page.locator("nav.others a").nth(1).click()
    assert "/sets/oran-" in seen.page.url
    seen.page.locator("nav.others a").first.click()
    assert seen.page.locator("#sets").count() == 1
    assert seen.troubles() == []


def test_columns_of_data_sets_sort_and_the_baseline_stays_on_top(seen: Visit) -> None:
    head = seen.page.locator("#sets thead th").last
    head.locator("button").click()
    values = "all => all.map(each => each.lastElementChild.dataset.value)"
    told = [float(each) for each in seen.page.eval_on_selector_all("#sets tbody:not(.pinned) tr", values) if each]
    assert told == sorted(told, reverse=True)
    assert seen.page.locator("#sets tbody.pinned tr").count() == 1


def test_every_link_of_the_first_page_leads_to_a_page_of_the_site(seen: Visit, several: Path) -> None:
    links = seen.page.eval_on_selector_all(
        "a[href], link[href], script[src]", "all => all.map(each => each.href || each.src)"
    )
    for link in links:
        assert link.startswith(several.as_uri())
        assert (several / link.removeprefix(several.as_uri() + "/").partition("#")[0]).is_file()
