"""Contexts come from the data set at hand, only where their hash is the one that the run has recorded."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.harness.cli.terminal import Reporter
from telbench.harness.datasets.loading import load_dataset
from telbench.harness.runs.folder import HEADER, SAMPLES, read_samples
from telbench.leaderboard.site.build import inputs_digest
from telbench.leaderboard.site.model import items
from telbench.leaderboard.site.model.board import Board, Options, make_board
from telbench.leaderboard.site.model.contexts import find_contexts
from telbench.leaderboard.site.model.items import item_key, items_at

from ..boards import Markup

HOSTILE = "<script>alert(1)</script> The UE\u202e shall start the timer when it enters the state of rest."


def write_run(folder: Path, data: str, predictions: dict[str, str], *options: str) -> Path:
    """A finished run of given answers to a data set."""
    file = folder / "answers.jsonl"
    file.write_text("".join(json.dumps({"id": i, "prediction": text}) + "\n" for i, text in predictions.items()))
    out = folder / "runs" / "a"
    given = ["--data", data, "--metrics", "token_f1", "--out", str(out), "--name", "a", *options]
    assert main(["score", str(file), *given]) == 0
    return out


def write_hostile(folder: Path, *options: str) -> Path:
    """A run on a file of two items, one of which has a context that would like to be a script."""
    data = folder / "own.jsonl"
    items = [
        {"id": "i0", "question": "Which timer?", "references": ["T3511"], "context": HOSTILE},
        {"id": "i1", "question": "Which node?", "references": ["the AMF"]},
    ]
    data.write_text("".join(json.dumps(item) + "\n" for item in items))
    return write_run(folder, str(data), {"i0": "none at all", "i1": "no node"}, *options)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open-book run on telecom-nano: the second item's context answers the first two, the others are wrong."""
    items = load_dataset("telecom-nano", split="reading").items
    copied = items[1].context or ""
    predictions = {item.id: "It routes packets." for item in items} | {items[0].id: copied, items[1].id: copied}
    return write_run(tmp_path_factory.mktemp("reading"), "telecom-nano", predictions, "--split", "reading")


def board_of(run: Path, data_dir: Path | None = None) -> Board:
    return make_board([run], Options(), Reporter(), 1, find_contexts([run], data_dir))


def with_sample_hash(run: Path, copy: Path, place: int, digest: str) -> Path:
    """A copy of the run in which one sample has another context's hash."""
    samples = list(read_samples(run))
    samples[place]["context_sha256"] = digest
    copy.mkdir()
    (copy / HEADER).write_bytes((run / HEADER).read_bytes())
    (copy / SAMPLES).write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return copy


def test_items_have_the_contexts_of_the_data_set(reading: Path) -> None:
    board = board_of(reading)
    wanted = {item.id: item.context for item in load_dataset("telecom-nano", split="reading").items}
    found = {item.item_id: item.context for item in items_at(board, range(len(board.items)), {})}
    assert found == wanted
    assert board.contexts.notes == ()


def test_an_answer_that_is_its_context_is_told_as_copied(reading: Path) -> None:
    board, without = board_of(reading), make_board([reading], Options(), Reporter(), 1)
    assert "copied context" not in without.runs[0].columns.error_kinds
    columns = board.runs[0].columns
    assert columns.kind(1) == "copied context"
    # The first item's answer is the context of another item: wrong, but not copied from its own.
    assert columns.error_kinds["copied context"] == 1


def test_a_context_with_another_hash_is_not_shown(reading: Path, tmp_path: Path) -> None:
    board = board_of(with_sample_hash(reading, tmp_path / "run", 1, "0" * 64))
    first, second = items_at(board, [0, 1], {})
    assert first.context
    assert second.context is None
    assert board.runs[0].columns.kind(1) != "copied context"
    (note,) = board.contexts.notes
    assert note.startswith("contexts are not shown: 1 of ")


def test_a_public_set_that_is_not_there_gives_a_note(
    reading: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TELBENCH_DATA", raising=False)
    run = with_sample_hash(reading, tmp_path / "run", 1, "0" * 64)
    header = json.loads((run / HEADER).read_text())
    header["data"]["name"], header["command"] = "telequad", ["score"]
    (run / HEADER).write_text(json.dumps(header))
    board = board_of(run)
    (note,) = board.contexts.notes
    assert note.startswith("contexts are not shown: data set 'telequad' needs ")
    assert items_at(board, [0], {})[0].context is None


def test_closed_book_runs_show_none(tmp_path: Path) -> None:
    run = write_hostile(tmp_path, "--context", "closed")
    contexts = find_contexts([run], None)
    assert (dict(contexts.texts), contexts.notes) == ({}, ())


def test_large_boards_show_none(reading: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "WHOLE_UP_TO", 0)
    assert {item.context for item in items_at(board_of(reading), [0, 1], {})} == {None}


def test_a_page_shows_the_context_escaped(tmp_path: Path) -> None:
    run = write_hostile(tmp_path)
    assert main(["leaderboard", "build", str(run), "--out", str(tmp_path / "site")]) == 0
    page = (tmp_path / "site" / "items" / f"{item_key('i0')}.html").read_text("utf-8")
    assert html.escape("<script>alert(1)</script>") in page
    assert "<script>alert" not in page
    assert "\\u202e" in page
    assert "\u202e" not in page
    assert "Context" in Markup(page).text
    other = (tmp_path / "site" / "items" / f"{item_key('i1')}.html").read_text("utf-8")
    assert '<details class="context">' not in other


def test_a_file_that_moved_is_found_in_the_data_folder_and_a_changed_one_is_not_read(tmp_path: Path) -> None:
    run = write_hostile(tmp_path)
    moved = tmp_path / "data"
    moved.mkdir()
    (tmp_path / "own.jsonl").rename(moved / "own.jsonl")
    lost = find_contexts([run], None)
    assert dict(lost.texts) == {}
    assert lost.notes == ("contexts are not shown: own.jsonl is not there: say with --data-dir which folder holds it",)
    found = find_contexts([run], moved)
    assert list(found.texts.values()) == [HOSTILE]
    assert inputs_digest([run], Options(), found) != inputs_digest([run], Options(), lost)
    with (moved / "own.jsonl").open("a") as stream:
        stream.write("\n")
    changed = find_contexts([run], moved)
    assert dict(changed.texts) == {}
    assert "another version" in changed.notes[0]


def test_a_later_build_with_the_data_at_hand_is_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, site = write_hostile(tmp_path), tmp_path / "site"
    hidden = (tmp_path / "own.jsonl").rename(tmp_path / "hidden")
    command = ["leaderboard", "build", str(run), "--out", str(site)]
    page = site / "items" / f"{item_key('i0')}.html"
    assert main(command) == 0
    assert "contexts are not shown" in capsys.readouterr().err
    assert "alert(1)" not in page.read_text("utf-8")
    hidden.rename(tmp_path / "own.jsonl")
    assert main(command) == 0
    assert "alert(1)" in page.read_text("utf-8")
    capsys.readouterr()
    assert main(command) == 0
    assert "nothing changed" in capsys.readouterr().out
