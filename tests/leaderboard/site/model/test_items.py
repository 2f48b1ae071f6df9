"""Item pages: every system's answer to a question, whole pages on small boards, compressed files on large ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.runs.folder import JUDGEMENTS, read_samples
from telbench.leaderboard.site.model import items
from telbench.leaderboard.site.model.items import Judgements, item_path, items_at
from telbench.leaderboard.site.page import File, Page
from telbench.leaderboard.site.pages import item as item_module
from telbench.leaderboard.site.pages.item import item_count, item_pages

from ..boards import COUNT, Markup, answers, board_of, unpacked_answers, write_items, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("items")
    return [write_run(folder, name, answers(right)) for name, right in {"a": 22, "b": 14, "c": 3}.items()]


def test_an_item_has_all_answers_with_their_scores_best_first(runs: list[Path]) -> None:
    board = board_of(runs)
    (item,) = items_at(board, [15], {})
    samples = {run.columns.path: list(read_samples(run.columns.path))[15] for run in board.runs}
    assert item.question == "What does the NRF do in case 15?"
    assert [board.runs[each.run].name for each in item.answers] == ["a", "b", "c"]
    for each in item.answers:
        sample = samples[board.runs[each.run].columns.path]
        assert each.words == sample["prediction"]
        names = [table.name for table in board.tables]
        assert each.scores[names.index("token_f1")] == f"{sample['scores']['token_f1']:.3f}"
    assert [each.kind for each in item.answers] == ["right", "other", "other"]


def test_a_small_board_has_a_page_an_item_and_lists_them_all(runs: list[Path]) -> None:
    board = board_of(runs)
    pages = [page for page in item_pages(board) if isinstance(page, Page)]
    assert len(pages) == item_count(board) == COUNT + 1
    assert {page.path for page in pages} == {item_path(board, place) for place in range(COUNT)} | {"items.html"}
    titles = [page.title for page in pages if isinstance(page, Page)]
    assert len(set(titles)) == len(titles)
    assert "1. What does the AMF do in case 0?" in titles
    (listed,) = (page for page in pages if page.path == "items.html" and isinstance(page, Page))
    rows = listed.context["rows"]
    kinds = [[run.columns.kind(place) == "right" for run in board.runs] for place in range(COUNT)]
    assert [row.right for row in rows] == [sum(right) for right in kinds]


def test_a_large_board_has_a_page_a_group_with_every_answer_beside_it(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "WHOLE_UP_TO", 0)
    monkeypatch.setattr(items, "GROUP", 10)
    monkeypatch.setattr(item_module, "LISTED", 15)
    board = board_of(runs)
    pages = list(item_pages(board))
    assert sum(isinstance(page, Page) for page in pages) == item_count(board) == 3 + 2
    found = {}
    for page in pages:
        if isinstance(page, File) and page.path.startswith("data/answers/"):
            found.update(unpacked_answers(page.content)["items"])
    assert len(found) == COUNT
    wanted = {
        items.item_key(sample["item_id"]): sample["prediction"] for sample in read_samples(board.runs[2].columns.path)
    }
    assert {key: next(each[1] for each in rows if each[0] == 2) for key, rows in found.items()} == wanted
    path, _, anchor = item_path(board, 12).partition("#")
    page = next(page for page in pages if page.path == path)
    assert not isinstance(page, File)
    shown = Markup(page.context["body"]).elements
    assert anchor in {told.get("id") for tag, told in shown if tag == "article"}
    assert [told["data-run"] for tag, told in shown if tag == "tr" and "data-run" in told] == ["0"] * 10
    assert page.title == "Items 11 to 20"


def test_verdicts_of_a_large_board_lie_beside_its_pages_unless_they_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "WHOLE_UP_TO", 0)
    write_items(tmp_path)
    path = write_run(tmp_path, "judged", answers(8))
    samples = [json.loads(line) for line in (path / "samples.jsonl").read_text().splitlines()]
    samples[0]["judgements"] = {"faithfulness": ["k1"]}
    (path / "samples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in samples))
    record = {"key": "k1", "judge": "j", "rubric": "claims-1", "missing": {"reason": "no JSON", "detail": ""}}
    (path / JUDGEMENTS).write_text(json.dumps(record) + "\n")

    def first_verdicts() -> list[Any]:
        files = [page for page in item_pages(board_of([path])) if isinstance(page, File)]
        found = unpacked_answers(files[0].content)["items"]
        return found[items.item_key(samples[0]["item_id"])][0][4]

    assert first_verdicts() == [["j, claims-1", "faithfulness", ["no verdict: no JSON"]]]
    monkeypatch.setattr(items, "MOST_VERDICTS", 10)
    assert first_verdicts() == []


def test_verdicts_are_those_that_the_scores_rest_on(tmp_path: Path) -> None:
    records = [
        {"key": "k1", "judge": "j", "rubric": "claims-1", "verdict": {"claims": [{"claim": "A.", "TP": True}]}},
        {"key": "k2", "judge": "j", "rubric": "claims-1", "missing": {"reason": "no JSON", "detail": ""}},
    ]
    (tmp_path / JUDGEMENTS).write_text("not json\n" + "".join(json.dumps(each) + "\n" for each in records))
    sample = {"judgements": {"faithfulness": ["k1", "absent"], "factual_correctness": ["k1", "k2"]}}
    one, two = Judgements(tmp_path).verdicts(sample)
    assert (one.judge, one.metrics) == ("j, claims-1", ("faithfulness", "factual_correctness"))
    assert "A." in " ".join(one.lines)
    assert two.lines == ("no verdict: no JSON",)
    assert Judgements(tmp_path / "nowhere").verdicts(sample) == ()
