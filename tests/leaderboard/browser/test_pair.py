"""Any two runs in a real browser: chosen, sent on by address, turned round, with the answers that differ."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Visit

pytestmark = pytest.mark.slow
READY = "() => document.documentElement.dataset.pair"
CELLS = "all => all.map(row => Array.from(row.cells, cell => cell.innerText.trim()))"


def slugs(site: Path) -> list[str]:
    return sorted(path.stem for path in (site / "runs").glob("*.html"))


def shown(seen: Visit) -> list[list[str]]:
    seen.page.wait_for_function(READY)
    rows: list[list[str]] = seen.page.eval_on_selector_all("#pair-metrics tbody tr", CELLS)
    return rows


def test_the_boards_picker_leads_to_the_pair(visit: Callable[..., Visit], site: Path) -> None:
    seen = visit("index.html")
    one, other = slugs(site)[:2]
    seen.page.locator('[data-pick-run="one"]').select_option(one)
    seen.page.locator('[data-pick-run="other"]').select_option(other)
    seen.page.locator("[data-pick-go]").click()
    seen.page.wait_for_function(READY)
    assert seen.page.evaluate(READY) == f"{one} {other}"
    assert seen.page.url.endswith(f"pair.html#one={one}&other={other}")
    assert seen.troubles() == []


def test_a_pair_with_the_baseline_is_told_as_on_its_own_page(visit: Callable[..., Visit], site: Path) -> None:
    run = next(slug for slug in slugs(site) if slug.startswith("gnal"))
    base = next(slug for slug in slugs(site) if slug.startswith("base"))
    plain = visit("compare/gnal-*.html").page.eval_on_selector_all("#differences tbody tr", CELLS)
    rows = shown(seen := visit("pair.html", fragment=f"#one={base}&other={run}"))
    assert [row[0].split("\n")[0] for row in rows] == [row[0] for row in plain]
    for row, known in zip(rows, plain, strict=True):
        delta, verdict = re.sub(r"^\W ", "", row[1]).split("\n")
        assert (delta, known[10].startswith(verdict)) == (known[3], True)
        assert row[2] == ("no interval" if known[4] == "n/a" else known[4])
        assert row[3] == known[5]
        assert row[6] == known[7]
    assert seen.troubles() == []


def test_the_other_way_round_turns_every_sign_and_verdict(visit: Callable[..., Visit], site: Path) -> None:
    seen = visit("pair.html", fragment="#one={}&other={}".format(*slugs(site)[1:3]))
    before = shown(seen)
    seen.page.locator("[data-pick-turn]").click()
    seen.page.wait_for_function("old => document.documentElement.dataset.pair !== old", arg=" ".join(slugs(site)[1:3]))
    words = {"better": "worse", "worse": "better"}
    for row, back in zip(before, shown(seen), strict=True):
        assert (row[4], row[5]) == (back[5], back[4])
        assert row[6].split(" / ") == back[6].split(" / ")[::-1]
        told, other = row[1].split("\n")[1], back[1].split("\n")[1]
        assert re.sub("better|worse", lambda found: words[found[0]], told) == other
        signs = [re.sub(r"[^-+−\d.]", "", each[1].split("\n")[0]) for each in (row, back)]
        assert signs[0][1:] == signs[1][1:]
        assert signs[0][0] != signs[1][0] or float(signs[0][1:]) == 0
    again = visit("pair.html", fragment=seen.page.evaluate("location.hash"))
    assert shown(again) == shown(seen)


def test_questions_that_differ_unfold_with_both_answers(visit: Callable[..., Visit], site: Path) -> None:
    seen = visit("pair.html", fragment="#one={}&other={}&by=token_f1".format(*slugs(site)[1:3]))
    shown(seen)
    first = seen.page.locator("#pair-losses details").first
    first.locator("summary").click()
    first.locator("dd").nth(3).wait_for()
    assert first.locator("del, ins").count() >= 1
    assert "token_f1" in first.inner_text()
    deltas = seen.page.eval_on_selector_all(
        "#pair-losses .delta", "all => all.map(each => Number(each.textContent.slice(2).replace('−', '-')))"
    )
    assert deltas == sorted(deltas)
    assert max(deltas) < 0
    first.locator("dd a").click()
    assert "/items/" in seen.page.url
    assert seen.troubles() == []


@pytest.mark.parametrize("fragment", ["#one=__proto__&other=constructor", "#one=%E0%A4%A", "#by=<img src=x>"])
def test_an_address_of_someone_elses_making_shows_a_pair_all_the_same(
    fragment: str, visit: Callable[..., Visit]
) -> None:
    seen = visit("pair.html", fragment=fragment)
    assert shown(seen)
    assert seen.troubles() == []


def test_without_scripts_the_way_leads_to_the_pages_that_are_there(visit: Callable[..., Visit]) -> None:
    seen = visit("pair.html", java_script_enabled=False)
    assert not seen.page.locator("[data-pick]").is_visible()
    seen.page.locator("noscript a").first.click()
    assert seen.page.url.endswith("compare.html")


def test_data_that_are_not_there_are_told_in_a_line(visit: Callable[..., Visit], site: Path, tmp_path: Path) -> None:
    seen = visit("pair.html")
    shown(seen)
    for each in ("pair.html", "assets"):
        source = site / each
        for file in [source] if source.is_file() else source.iterdir():
            target = tmp_path / file.relative_to(site)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.read_bytes())
    seen.page.goto((tmp_path / "pair.html").as_uri())
    seen.page.locator("#pair-trouble").wait_for()
    assert "could not be read" in seen.page.locator("#pair-trouble").inner_text()
