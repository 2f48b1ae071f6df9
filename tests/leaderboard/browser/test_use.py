"""What people do on a board: sort, filter, search, share the address, unfold answers, by mouse or by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from telbench.harness.runs.folder import read_samples
from telbench.leaderboard.site.answers.words import words_of
from telbench.leaderboard.site.model.items import item_key

from .conftest import Visit, opened
from .hostile_runs import MODELS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow
SCORE = 'th[data-sort]:has-text("Score")'
VALUES = "all => all.filter(each => !each.parentElement.hidden).map(each => Number(each.dataset.value))"
SHOWN = "all => all.filter(each => !each.hidden).length"


@pytest.fixture
def board(browser: Browser, site: Path) -> Iterator[Visit]:
    visit = opened(browser, site, "index.html")
    yield visit
    assert visit.troubles() == []
    visit.page.context.close()


def scores(visit: Visit) -> list[float]:
    return visit.page.eval_on_selector_all("#standings tbody:not(.pinned) td.score", VALUES)


def test_scores_sort_down_then_up_and_the_header_says_so(board: Visit) -> None:
    header = board.page.locator(f"#standings {SCORE}")
    assert header.get_attribute("aria-sort") == "none"
    for direction, reverse in (("descending", True), ("ascending", False)):
        header.locator("button").click()
        assert header.get_attribute("aria-sort") == direction
        assert scores(board) == sorted(scores(board), reverse=reverse)


def test_names_sort_as_text_and_only_one_column_is_sorted(board: Visit) -> None:
    board.page.locator(f"#standings {SCORE} button").click()
    board.page.locator('#standings th[data-sort="text"] button').first.click()
    names = board.page.eval_on_selector_all("#standings tbody th", "all => all.map(each => each.textContent.trim())")
    assert len(names) == len(MODELS)
    sorted_by = board.page.eval_on_selector_all(
        "#standings thead [aria-sort]", "all => all.filter(each => each.getAttribute('aria-sort') !== 'none').length"
    )
    assert sorted_by == 1


def test_a_factor_filter_leaves_its_rows_and_says_how_many(board: Visit) -> None:
    board.page.locator('[data-factor="algorithm"]').select_option("dskd")
    wanted = sum(factors["algorithm"] == "dskd" for *_, factors in MODELS)
    for table in ("standings", "metrics"):
        assert board.page.eval_on_selector_all(f"#{table} tbody:not(.pinned) tr", SHOWN) == wanted
    assert f"{wanted} of {len(MODELS)}" in board.page.locator("[data-count]").inner_text()
    board.page.locator("[data-reset]").click()
    assert board.page.eval_on_selector_all("#standings tbody tr", SHOWN) == len(MODELS)


def test_words_are_searched_in_names(board: Visit) -> None:
    board.page.locator("[data-search]").fill("<SCRIPT>")
    assert board.page.eval_on_selector_all("#metrics tbody tr", SHOWN) == 1
    # It is the baseline, which stays on top of the first table whatever is asked for.
    assert board.page.eval_on_selector_all("#standings tbody:not(.pinned) tr", SHOWN) == 0
    assert board.page.eval_on_selector_all("#standings tbody.pinned tr", SHOWN) == 1


def test_runs_are_picked_by_size_and_columns_left_out_and_the_address_says_so(
    board: Visit, visit: Callable[..., Visit]
) -> None:
    size = board.page.locator('[data-trait="size"]')
    assert size.locator("option").all_inner_texts() == ["all", "up to 500 M", "up to 1 B"]
    size.select_option("up to 500 M")
    wanted = sum(parameters <= 500_000_000 for _, _, parameters, _ in MODELS)
    assert board.page.eval_on_selector_all("#metrics tbody tr", SHOWN) == wanted
    picker = board.page.locator("details.columns").first
    picker.locator("summary").click()
    picker.get_by_label("Right").uncheck()
    head = "#standings thead th:not([hidden])"
    assert not [words for words in board.page.locator(head).all_inner_texts() if words.startswith("Right")]
    again = visit("index.html", fragment=board.page.evaluate("location.hash"))
    assert again.page.locator(head).all_inner_texts() == board.page.locator(head).all_inner_texts()
    assert again.page.locator('[data-trait="size"]').input_value() == "up to 500 M"
    again.page.locator("details.columns").first.locator("summary").click()
    again.page.locator("details.columns").first.get_by_label("Right").check()
    assert "hide-" not in again.page.evaluate("location.hash")
    assert again.troubles() == []


def test_a_column_set_hides_the_other_families(board: Visit) -> None:
    board.page.locator("[data-preset]").select_option("refusal")
    heads = "all => all.filter(each => !each.hidden).map(each => each.dataset.family || '')"
    assert board.page.eval_on_selector_all("#metrics thead th", heads) == ["", "refusal"]


def test_the_address_brings_order_and_filters_back(board: Visit, visit: Callable[..., Visit]) -> None:
    board.page.locator(f"#standings {SCORE} button").click()
    board.page.locator('[data-factor="vocabulary"]').select_option("same")
    board.page.locator("[data-search]").fill("a")
    again = visit("index.html", fragment=board.page.evaluate("location.hash"))
    assert scores(again) == scores(board)
    assert again.page.locator('[data-factor="vocabulary"]').input_value() == "same"
    assert again.page.locator("[data-search]").input_value() == "a"
    assert again.page.locator(f"#standings {SCORE}").get_attribute("aria-sort") == "descending"
    assert again.troubles() == []


@pytest.mark.parametrize(
    "fragment",
    [
        "#sort-standings=99.descending&q=<img src=x onerror=attacked('hash')>",
        "#sort-standings=__proto__.ascending&f-algorithm=nothing",
        "#columns=none&%E0%A4%A",
        "#items",
    ],
)
def test_an_address_of_someone_elses_making_breaks_nothing(fragment: str, visit: Callable[..., Visit]) -> None:
    seen = visit("index.html", fragment=fragment)
    assert seen.page.locator("#standings tbody tr").count() == len(MODELS)
    assert seen.troubles() == []


def test_the_keyboard_alone_reaches_content_sorting_and_answers(board: Visit, visit: Callable[..., Visit]) -> None:
    board.page.keyboard.press("Tab")
    assert board.page.evaluate("document.activeElement.className") == "skip"
    board.page.keyboard.press("Enter")
    assert board.page.evaluate("document.activeElement.id") == "main"
    button = board.page.locator(f"#standings {SCORE} button")
    for _ in range(80):
        board.page.keyboard.press("Tab")
        if button.evaluate("each => each === document.activeElement"):
            break
    else:
        pytest.fail("the sort button is not in the tab order")
    outline = board.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    board.page.keyboard.press("Enter")
    assert board.page.locator(f"#standings {SCORE}").get_attribute("aria-sort") == "descending"
    seen = visit("compare/gnal-*.html")
    first = seen.page.locator("details.answers").first
    first.locator("summary").focus()
    seen.page.keyboard.press("Enter")
    assert first.evaluate("each => each.open")


def test_differences_of_words_are_told_apart_without_colour(visit: Callable[..., Visit]) -> None:
    seen = visit("compare/gnal-*.html")
    seen.page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    line = "all => getComputedStyle(all[0]).textDecorationLine"
    assert seen.page.eval_on_selector_all("details ins", line) == "underline"
    assert seen.page.eval_on_selector_all("details del", line) == "line-through"
    assert seen.troubles() == []


def test_all_numbers_are_there_without_scripts(visit: Callable[..., Visit], board: Visit) -> None:
    text = "document.querySelector('#standings').tBodies[0].innerText"
    assert visit("index.html", java_script_enabled=False).page.evaluate(text) == board.page.evaluate(text)


def test_a_page_prints_without_its_controls(board: Visit) -> None:
    board.page.emulate_media(media="print")
    assert not board.page.locator("header nav").is_visible()
    assert not board.page.locator("[data-search]").is_visible()
    assert board.page.locator("#standings").is_visible()


def test_an_item_leads_to_its_neighbours_by_key(visit: Callable[..., Visit], site: Path) -> None:
    seen = visit("items.html")
    links: list[Any] = seen.page.eval_on_selector_all("#items tbody th a", "all => all.map(each => each.href)")
    seen.page.goto(links[0])
    for key, target in (("j", links[1]), ("k", links[0])):
        with seen.page.expect_navigation():
            seen.page.keyboard.press(key)
        assert seen.page.url == target
    assert seen.troubles() == []


def test_single_keys_can_be_switched_off(visit: Callable[..., Visit]) -> None:
    seen = visit("items.html")
    links: list[Any] = seen.page.eval_on_selector_all("#items tbody th a", "all => all.map(each => each.href)")
    seen.page.goto(links[0])
    button = seen.page.locator("button[data-keys]")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    seen.page.keyboard.press("j")
    assert seen.page.url == links[0]
    seen.page.reload()
    assert seen.page.locator("button[data-keys]").inner_text() == "Keys j and k are off"
    seen.page.locator("button[data-keys]").click()
    with seen.page.expect_navigation():
        seen.page.keyboard.press("j")
    assert seen.page.url == links[1]
    assert seen.troubles() == []


def test_controls_are_large_enough_to_hit(board: Visit) -> None:
    sizes = board.page.eval_on_selector_all(
        "button, select, input, summary",
        "all => all.filter(each => each.offsetParent).map(each => [each.offsetWidth, each.offsetHeight])",
    )
    assert sizes
    assert min(min(pair) for pair in sizes) >= 24


def test_a_megabyte_of_answer_is_cut_on_the_page(site: Path) -> None:
    assert max(path.stat().st_size for path in site.rglob("*.html")) < 500_000


def items_ready(seen: Visit) -> None:
    seen.page.wait_for_selector("html[data-items]", state="attached")


def found(seen: Visit, **picked: str) -> list[str]:
    """The paths of the items that are listed once this is asked for."""
    for name, value in picked.items():
        field = seen.page.locator(f'[data-pick="{name}"]')
        seen.page.evaluate("delete document.documentElement.dataset.found")
        if name == "q":
            field.fill(value)
        else:
            field.select_option(value)
        seen.page.wait_for_selector("html[data-found]", state="attached")
    links: list[str] = seen.page.eval_on_selector_all(
        "#items tbody th a", "all => all.map(each => each.getAttribute('href'))"
    )
    return links


@pytest.fixture
def asked(runs: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """All answers to each item, in the order of the runs, by the item's id."""
    by_item: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        for sample in read_samples(run):
            by_item.setdefault(sample["item_id"], []).append(sample)
    return by_item


def path_of(item: str) -> str:
    return f"items/{item_key(item)}.html"


def test_items_are_found_by_words_of_questions_and_of_answers(
    visit: Callable[..., Visit], asked: dict[str, list[dict[str, Any]]]
) -> None:
    seen = visit("items.html")
    items_ready(seen)
    for words in ("t3512 minutes", "onload", "n"):
        wanted = words.split()
        for where in ("", "asked", "answered"):
            expected = [
                path_of(item)
                for item, answers in asked.items()
                if all(
                    any(
                        word.startswith(each)
                        for text in (
                            *((item, answers[0]["question"], *answers[0]["references"]) if where != "answered" else ()),
                            *((each["prediction"][:4000] for each in answers) if where != "asked" else ()),
                        )
                        for word in words_of(text)
                    )
                    for each in wanted
                )
            ]
            assert found(seen, **{"q": words, "in": where}) == expected
    assert seen.troubles() == []


def test_items_are_picked_by_whose_answer_is_right(visit: Callable[..., Visit], site: Path) -> None:
    seen = visit("items.html")
    items_ready(seen)
    every = found(seen)
    wrong = found(seen, baseline="wrong")
    right = found(seen, baseline="right")
    assert sorted(wrong + right) == sorted(every)
    assert wrong
    assert right
    names = seen.page.eval_on_selector_all('[data-pick="system"] option', "all => all.map(each => each.textContent)")
    lost = found(seen, baseline="right", system="1", answer="wrong")
    assert 0 < len(lost) < len(right)
    for path in lost:
        page = (site / path).read_text(encoding="utf-8")
        kinds = {
            int(run): kind
            for run, kind in re.findall(r'<tr data-run="(\d+)">.*?class="kind (right|wrong)"', page, re.S)
        }
        assert (kinds[0], kinds[1]) == ("right", "wrong"), names
    assert seen.troubles() == []


def test_items_are_ordered_over_all_of_them_and_the_address_brings_it_back(visit: Callable[..., Visit]) -> None:
    from playwright.sync_api import expect

    seen = visit("items.html")
    items_ready(seen)
    found(seen, system="2", order="apart.falling")
    deltas = "all => all.map(each => Math.abs(Number(each.textContent.split(', ').pop().replace('−', '-'))))"
    shown = seen.page.eval_on_selector_all("#items tbody td:last-child .under", deltas)
    assert shown == sorted(shown, reverse=True)
    assert shown[0] > shown[-1]
    again = visit("items.html", fragment=seen.page.evaluate("location.hash"))
    items_ready(again)
    assert again.page.locator("#items tbody").inner_text() == seen.page.locator("#items tbody").inner_text()
    again.page.locator("[data-clear]").click()
    expect(again.page.locator("#items thead th")).to_have_count(7)
    assert again.page.evaluate("location.hash") == ""
    rights = "all => all.map(each => Number(each.cells[3].textContent.split('/')[0]))"
    hardest = [*found(again, order="hardest.rising")]
    counts = again.page.eval_on_selector_all("#items tbody tr", rights)
    assert counts == sorted(counts)
    assert len(hardest) == len(counts)
    assert seen.troubles() + again.troubles() == []


def test_words_that_the_baseline_lacks_are_marked_and_unmarked(visit: Callable[..., Visit]) -> None:
    seen = visit("items/*.html")
    rows = "all => all.map(each => each.textContent)"
    before = seen.page.eval_on_selector_all("tr[data-run] .words.given", rows)
    seen.page.locator("[data-differences] select").select_option("baseline")
    assert seen.page.locator('tr[data-run]:not([data-run="0"]) ins').count() > 0
    assert seen.page.locator('tr[data-run="0"] ins').count() == 0
    assert seen.page.eval_on_selector_all("tr[data-run] .words.given", rows) == before
    seen.page.locator("[data-differences] select").select_option("")
    assert seen.page.locator("tr[data-run] ins").count() == 0
    assert seen.troubles() == []
