"""Orders that depend on how answers are read are told; orders that do not are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.compare.readings import doubts


def entry(value: float | None, n: int = 100, **more) -> dict:
    return {"value": value, "range": [0, 1], "n": n, **more}


def doubts_on(metric: str, runs: list[tuple[str, dict]]) -> list[str]:
    return doubts({metric: runs})


def test_several_metrics_that_are_doubtful_for_one_reason_are_one_line() -> None:
    def run(name: str, value: float, cut: int, area: float) -> tuple[str, dict]:
        bounds = {"items": cut, "low": value - 0.2, "high": value + 0.2}
        return name, entry(value, unfinished=bounds if cut else None, calibration={"near_miss_auc": area})

    pair = [run("one", 0.4, 20, 0.8), run("other", 0.5, 0, 0.3)]
    more = [run("one", 0.4, 26, 0.1), run("other", 0.5, 3, 0.2)]
    far = [run("one", 0.1, 20, 0.9), run("other", 0.9, 0, 0.9)]
    assert doubts({"a": pair, "b": more, "far": far}) == [
        "a, b are blind to facts on these items: they put a right text above one with one wrong fact in 10 to 30 of "
        "100 cases, so they cannot say which run is right",
        "answers that did not end could turn the order on a, b: 26 of one; 3 of other",
    ]
    assert doubts({"a": pair, "far": far}) == doubts({"a": pair})
    five = [run(f"r{n}", 0.4 + n / 100, 20, 0.9) for n in range(5)]
    assert doubts({"a": five, "b": five}) == [
        "answers that did not end could turn the order on a, b: 20 of r0; 20 of r1; 20 of r2; and 2 runs more"
    ]


def test_a_reading_that_turns_the_order_is_told_with_both_pairs_of_values() -> None:
    runs = [("qwen", entry(0.29, readings={"first": 0.64})), ("gemini", entry(0.61, readings={"first": 0.49}))]
    assert doubts_on("choice_accuracy", runs) == [
        "choice_accuracy: the order depends on how answers are read: qwen 0.290 / gemini 0.610, by the first "
        "conclusion qwen 0.640 / gemini 0.490"
    ]


def test_a_run_without_a_reading_keeps_its_own_value() -> None:
    plain = ("plain", entry(0.5))
    assert doubts_on("m", [plain, ("other", entry(0.4, readings={"text": 0.6}))])
    assert not doubts_on("m", [plain, ("other", entry(0.4, readings={"text": 0.45}))])
    assert not doubts_on("m", [plain, ("other", entry(None, readings={"text": 0.6}))])
    # A tie is no order that could be turned.
    assert not doubts_on("m", [plain, ("other", entry(0.4, readings={"text": 0.5}))])


def test_cut_off_answers_that_could_turn_the_order_are_told_with_their_number() -> None:
    short = ("short", entry(0.4, unfinished={"items": 20, "low": 0.4, "high": 0.6}))
    (line,) = doubts_on("m", [short, ("whole", entry(0.5))])
    assert line == "m: answers that did not end could turn the order: short 0.400 / whole 0.500, 20 of short"
    assert not doubts_on("m", [short, ("whole", entry(0.7))])
    few = ("few", entry(0.4, unfinished={"items": 1, "low": 0.4, "high": 0.41}))
    assert not doubts_on("m", [few, ("whole", entry(0.405))])


def test_a_metric_that_puts_wrong_facts_above_right_texts_is_told_as_blind() -> None:
    def run(area: float | None) -> tuple[str, dict]:
        return "run", entry(0.9, calibration={"value": 0.8, "near_miss_auc": area})

    assert doubts_on("bertscore", [run(0.04), run(0.04)]) == [
        "bertscore is blind to facts on these items: it puts a right text above one with one wrong fact in 4 of 100 "
        "cases, so it cannot say which run is right"
    ]
    assert not doubts_on("bertscore", [run(0.6), run(0.9)])
    # Not measured is not blind: few items, or a run of an earlier telbench.
    assert not doubts_on("bertscore", [run(None), ("old", entry(0.5, calibration={"value": 0.8})), ("no", entry(0.5))])
    # What was measured for the data counts before what was measured with the run.
    assert not doubts_on("bertscore", [("run", {**run(0.04)[1], "worth": {"near_miss_auc": 0.7}})])


def test_of_many_pairs_three_are_named_and_the_rest_counted() -> None:
    low = [(f"a{n}", entry(0.2 + n / 100, readings={"first": 0.9})) for n in range(3)]
    high = [(f"b{n}", entry(0.5 + n / 100, readings={"first": 0.1})) for n in range(3)]
    (line,) = doubts_on("m", [*low, *high])
    assert line.endswith("; and 6 pairs more")
    assert line.count("by the first conclusion") == 3


@pytest.fixture
def two_runs(tmp_path: Path) -> tuple[Path, Path]:
    """One run that concludes rightly first and wrongly last, and one that is right half the time."""
    rows = [
        {"id": f"q{n}", "question": f"Which {n}?", "choices": ["UDP", "TCP"], "answer": 0, "source_document": f"TS {n}"}
        for n in range(40)
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = []
    for name, answer in (
        ("turning", lambda n: "The answer is A.\nThe answer is B."),
        ("half", lambda n: "AB"[n % 2]),
    ):
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps({"id": f"q{n}", "prediction": answer(n)}) + "\n" for n in range(40)))
        made.append(tmp_path / name)
        asked = ["--data", str(tmp_path / "data.jsonl"), "--metrics", "choice_accuracy", "--out", str(made[-1])]
        assert main(["score", str(file), *asked]) == 0
    return made[0], made[1]


def test_compare_and_check_warn(two_runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    turning, half = map(str, two_runs)
    said = "the order depends on how answers are read"
    assert main(["compare", half, turning]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert main(["compare", half, turning, "--json"]) == 0
    assert any(said in warning for warning in json.loads(capsys.readouterr().out)["warnings"])
    main(["check", "--candidate", turning, "--baseline", half, "--margin", "choice_accuracy=0.02"])
    assert said in "".join(capsys.readouterr())


def test_the_board_says_so_on_its_first_page_and_the_metrics_page(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert main(["leaderboard", "build", *map(str, two_runs), "--out", str(site)]) == 0
    for page in (site / "index.html", *(site / "metrics").glob("choice*.html")):
        assert "the order depends on how answers are read" in page.read_text("utf-8")
