"""Samples of lm-eval as runs: numbers by item, what is not by item, tasks, groups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import IncomparableError, InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.runs.foreign import Reading
from telbench.leaderboard.runs.lm_eval_logs import read_lm_eval
from telbench.leaderboard.runs.loaded import require_alike, shared_metrics
from telbench.leaderboard.runs.sources import open_run

from .logs import DATE, lm_eval_row, write_results, write_samples

TEXTS = ["the answer is B", "B"]


def test_metrics_without_numbers_by_item_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {"exact_match": 1.0, "bleu": TEXTS, "ter": TEXTS, "word_perplexity": [-0.25, 5], "brier_score": [0, "[1]"]}
    path = write_samples(tmp_path / "one", "gen", [lm_eval_row(number, scores) for number in range(20)])
    run = read_lm_eval(path)
    assert list(run.scores) == ["exact_match"]
    assert run.notes == (
        f"{path}: bleu, brier_score, ter, word_perplexity: the log has no statistics of these metrics item by item; "
        "left are exact_match",
    )
    assert main(["compare", str(path), str(path)]) == 0
    assert f"WARNING: {run.notes[0]}" in " ".join(capsys.readouterr().out.split())
    assert main(["compare", str(path), str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"][0] == run.notes[0]
    gate = ["check", "--baseline", str(path), "--candidate", str(path)]
    assert main([*gate, "--margin", "exact_match=0.2"]) == 0
    assert f"WARNING: {run.notes[0]}" in capsys.readouterr().out
    assert main([*gate, "--margin", "bleu=2"]) == 2
    assert "they share exact_match" in (error := capsys.readouterr().err)
    assert "no statistics of these metrics" in error


def test_a_log_of_such_metrics_alone_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_samples(tmp_path / "one", "gen", [lm_eval_row(0, {"bleu": TEXTS, "ter": TEXTS})])
    assert main(["compare", str(path), str(path)]) == 2
    error = capsys.readouterr().err
    assert "bleu, ter: the log has no statistics of these metrics item by item, and no other metric" in error


def test_a_log_likelihood_called_perplexity_is_no_perplexity(tmp_path: Path) -> None:
    rows = [lm_eval_row(number, {"perplexity": -0.5 - number, "acc": number % 2}) for number in range(4)]
    run = read_lm_eval(write_samples(tmp_path / "one", "lambada", rows))
    assert list(run.scores) == ["acc"]
    assert "perplexity: the log has no statistics" in run.notes[0]
    # One that is a perplexity counts.
    rows = [lm_eval_row(number, {"perplexity": 1.5 + number}) for number in range(4)]
    found = read_lm_eval(write_samples(tmp_path / "two", "own", rows)).header["metrics"]["perplexity"]
    assert (found["higher_is_better"], found["value"]) == (False, 3.0)


def test_the_results_file_says_which_way_is_better_and_what_the_mean_is(tmp_path: Path) -> None:
    rows = [lm_eval_row(number, {"clarity": number / 4, "acc": 1.0, "geo": number / 4}) for number in range(4)]
    path = write_samples(tmp_path / "one", "tele_mc", rows)
    assert set(read_lm_eval(path).undirected) == {"clarity", "geo"}
    write_results(
        tmp_path / "one",
        results={"tele_mc": {"clarity,none": 0.375, "acc,none": 1.0, "geo,none": 0.1, "alias": "tele_mc"}},
        higher_is_better={"tele_mc": {"clarity": False, "acc": True, "geo": True}},
    )
    run = read_lm_eval(path)
    assert {name: entry["higher_is_better"] for name, entry in run.header["metrics"].items()} == {
        "clarity": False,
        "acc": True,
    }
    assert "geo: the mean over items is not the number in the results file; left are acc, clarity" in run.notes[0]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "acc is no finite number"),
        (500, "acc is 500, outside its range of 0 to 1"),
        ("0.5", "acc is '0.5' and no number"),
    ],
)
def test_what_is_no_number_is_refused_with_its_line(tmp_path: Path, value: Any, told: str) -> None:
    path = write_samples(tmp_path / "one", "mc", [lm_eval_row(0, {"acc": 1.0}), lm_eval_row(1, {"acc": value})])
    with pytest.raises(InputError) as caught:
        read_lm_eval(path)
    assert str(caught.value).startswith(f"{path}, line 2: {told}")


def test_a_document_twice_and_a_line_that_is_no_object_are_refused(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "one", "mc", [lm_eval_row(0, {"acc": 1.0})] * 2)
    with pytest.raises(InputError, match="line 2: document 0 occurs twice with the same filter"):
        read_lm_eval(path)
    path.write_text(json.dumps(lm_eval_row(0, {"acc": 1.0})) + "\n[1]\n")
    with pytest.raises(InputError, match="line 2: an object is expected"):
        read_lm_eval(path)


@pytest.mark.parametrize(("changed", "told"), [("doc_hash", "other items"), ("prompt_hash", "other prompts")])
def test_other_documents_and_other_prompts_are_refused(tmp_path: Path, changed: str, told: str) -> None:
    rows = [lm_eval_row(number, {"acc": 1.0}) for number in range(3)]
    one = read_lm_eval(write_samples(tmp_path / "one", "mc", rows))
    other = read_lm_eval(write_samples(tmp_path / "two", "mc", [*rows[:2], {**rows[2], changed: "another"}]))
    with pytest.raises(IncomparableError, match=told):
        require_alike([one, other])


def test_a_log_that_tells_no_prompts_is_held_against_one_that_does(tmp_path: Path) -> None:
    rows = [lm_eval_row(number, {"acc": 1.0}) for number in range(3)]
    old = [{key: row[key] for key in row if key != "prompt_hash"} for row in rows]
    runs = [read_lm_eval(write_samples(tmp_path / name, "mc", each)) for name, each in (("a", rows), ("b", old))]
    require_alike(runs)


def test_scores_by_another_filter_are_another_metric_even_where_each_log_has_one(tmp_path: Path) -> None:
    runs = [
        read_lm_eval(write_samples(tmp_path / told, "gen", [lm_eval_row(0, {"exact_match": 1.0}, told)]))
        for told in ("strict", "flexible")
    ]
    with pytest.raises(IncomparableError, match=r"computed in different ways .*filter:flexible.*filter:strict"):
        shared_metrics(runs)


def two_tasks(folder: Path, wrong: float = 0.0) -> Path:
    """A folder of two tasks in a group, and a task beside it; six right of ten in the group, or as many less."""
    mc = [lm_eval_row(number, {"acc": float(number < 4), "acc_norm": 1.0}) for number in range(6)]
    likelihood = [lm_eval_row(number, {"acc": number % 2, "perplexity": -0.5}) for number in range(4)]
    write_samples(folder, "tele_mc", mc)
    write_samples(folder, "tele_ll", likelihood)
    write_samples(folder, "tele_gen", [lm_eval_row(0, {"exact_match": 0.0}, told) for told in ("strict", "flexible")])
    write_results(
        folder,
        groups={"tele": {"alias": "tele", "acc,none": 0.6 - wrong, "acc_stderr,none": 0.1}},
        group_subtasks={"all": ["tele"], "tele": ["tele_mc", "tele_ll"]},
        higher_is_better={"tele_mc": {"acc": True}, "tele": {"acc": True}},
    )
    return folder


@pytest.mark.parametrize("by", ["folder", "file"])
def test_tasks_of_a_folder_stand_side_by_side_and_groups_over_their_items(tmp_path: Path, by: str) -> None:
    folder = two_tasks(tmp_path / "model")
    run = open_run(folder if by == "folder" else folder / f"results_{DATE}.json")
    values = {name: (entry["value"], entry["n"]) for name, entry in run.header["metrics"].items()}
    assert values == {
        "tele_gen/exact_match@strict": (0.0, 1),
        "tele_gen/exact_match@flexible": (0.0, 1),
        "tele_ll/acc": (0.5, 4),
        "tele_mc/acc": (pytest.approx(4 / 6), 6),
        "tele_mc/acc_norm": (1.0, 6),
        "tele/acc": (0.6, 10),
    }
    assert run.header["data"]["n"] == 11
    assert (run.categories["tele_mc:3"], run.clusters["tele_mc:3"]) == ("tele_mc", "tele_mc:3")
    assert "tele_ll/perplexity: the log has no statistics" in run.notes[0]
    assert not run.undirected


def test_a_groups_number_that_is_no_mean_over_items_is_left_out(tmp_path: Path) -> None:
    run = open_run(two_tasks(tmp_path / "model", wrong=0.1))
    assert "tele/acc" not in run.scores
    assert any("tele/acc is left out" in note for note in run.notes)


def test_a_folder_of_tasks_is_compared_pinned_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (str(two_tasks(tmp_path / name)) for name in ("one", "two"))
    assert main(["compare", one, two, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["runs"][1]["difference"]["tele/acc"]
    assert (found["n"], found["delta"]) == (10, 0.0)
    assert main(["baseline", "pin", one, "--out", str(tmp_path / "a.json")]) == 0
    words = ["check", "--baseline", str(tmp_path / "a.json"), "--candidate", two, "--margin", "tele/acc=0.5"]
    assert main([*words, "--no-guardrails"]) == 0


def test_a_folder_of_two_evaluations_asks_for_one(tmp_path: Path) -> None:
    folder = two_tasks(tmp_path / "model")
    (folder / f"samples_tele_mc_{DATE}.jsonl").rename(folder / "samples_tele_mc_2025-01-01T00-00-00.jsonl")
    with pytest.raises(InputError, match=f"holds 2 evaluations: name one, results_{DATE}.json is the last"):
        open_run(folder)
    assert "tele_mc/acc" not in open_run(folder / f"results_{DATE}.json").scores


def test_results_without_samples_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run lm-eval with --log_samples"):
        open_run(write_results(tmp_path))


def test_a_field_of_the_documents_names_their_sources(tmp_path: Path) -> None:
    path = write_samples(tmp_path / "one", "mc", [lm_eval_row(number, {"acc": 1.0}) for number in range(4)])
    run = read_lm_eval(path, Reading(cluster="subject"))
    assert list(run.clusters.values()) == ["s0", "s0", "s1", "s1"]
    with pytest.raises(InputError, match=r"line 1: --cluster subjet: .*did you mean 'subject'"):
        read_lm_eval(path, Reading(cluster="subjet"))


def test_the_range_of_a_metric_is_the_widest_that_the_logs_suggest(tmp_path: Path) -> None:
    shares, points = (
        read_lm_eval(write_samples(tmp_path / name, "gen", [lm_eval_row(0, {"f1": value})]))
        for name, value in (("shares", 0.5), ("points", 50.0))
    )
    assert [shared_metrics(runs)[0].range for runs in ([shares, points], [points, shares], [shares, shares])] == [
        *((None, None), (None, None)),
        (0, 1),
    ]


def test_only_the_metrics_that_are_wanted_must_have_a_direction(tmp_path: Path) -> None:
    run = read_lm_eval(write_samples(tmp_path / "one", "gen", [lm_eval_row(0, {"acc": 0.5, "clarity": 0.5})]))
    assert len(shared_metrics([run, run], ["acc"])) == 2
    for wanted in (None, ["clarity"]):
        with pytest.raises(InputError, match="which way is better for clarity"):
            shared_metrics([run, run], wanted)


def test_one_metric_that_is_left_out_does_not_hide_those_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for task in ("a", "b"):
        rows = [lm_eval_row(number, {"odd": None, "f1": 0.25, "acc": 0.5, "em": 1.0}) for number in range(2)]
        write_samples(folder, task, rows)
    write_results(
        folder,
        results={"a": {"f1,none": 0.9}},
        groups={"absent": {"acc,none": 0.5}, "both": {"alias": "both", "em,none": 0.3, "acc,none": 0.5}},
        group_subtasks={"absent": ["c"], "both": ["a", "b"]},
        higher_is_better={task: {"odd": True} for task in ("a", "b")},
    )
    run = open_run(folder)
    assert set(run.scores) == {*(f"a/{name}" for name in ("odd", "acc", "em")), "both/acc"} | {
        f"b/{name}" for name in ("odd", "f1", "acc", "em")
    }
    assert [note.rpartition(": ")[2] for note in run.notes[1:]] == ["lm-eval's number is no mean over its items"]
    assert "a/f1: the mean over items is not the number in the results file" in run.notes[0]
