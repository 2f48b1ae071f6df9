"""From judged runs to a blind sheet, to people's labels, to scores that they correct."""

from __future__ import annotations

import csv
import itertools
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import IncomparableError, InputError
from telbench.harness.cli.main import main
from telbench.harness.labelling.corrected import corrected_runs
from telbench.harness.labelling.labels import read_labels, read_sheets, write_labels
from telbench.harness.labelling.sheet import drawn_sheet, write_sheet
from telbench.metrics.fingerprints import text_sha256

ITEMS = 240


def save_run(folder: Path, answers: Mapping[str, str], scores: Mapping[str, float | None], **more: Any) -> Path:
    """A finished run with these answers and judged scores, three items of a document."""
    folder.mkdir()
    header = {
        "schema_version": 1,
        "run_id": f"id-of-{folder.name}",
        "status": "complete",
        "model": {"name": folder.name},
        "data": {"items_sha256": more.get("items", "a")},
        "metrics": {"rubric_score": {"judge_missing": 0, "range": [1.0, 5.0]}},
    }
    lines = []
    for place, (item, answer) in enumerate(answers.items()):
        line = {
            "item_id": item,
            "cluster_id": f"doc{place // 3}",
            "question": f"What is {item}?",
            "references": [f"It is {item}."],
            "prediction": answer,
            "scores": {"rubric_score": scores[item]},
        }
        if "judgements" in more:
            line["judgements"] = {"rubric_score": more["judgements"][item]}
        lines.append(json.dumps(line) + "\n")
    (folder / "run.json").write_text(json.dumps(header))
    (folder / "samples.jsonl").write_text("".join(lines))
    return folder


def fill(sheet: Path, out: Path, truth: Mapping[str, float], *, mark: str = ",", decimal: str = ".") -> Path:
    """What a person makes of the sheet who knows the truth of each answer."""
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with out.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys(), delimiter=mark)
        writer.writeheader()
        for row in rows:
            said = truth.get(row["answer"].removeprefix("'"))
            writer.writerow({**row, "score": "" if said is None else f"{said:g}".replace(".", decimal)})
    return out


class Made:
    """Two equal systems; the judge is a point more lenient to the wordier one."""

    def __init__(self, folder: Path) -> None:
        draw = random.Random(1)
        names = [f"item{place:03d}" for place in range(ITEMS)]
        self.truth: dict[str, float] = {}
        self.runs: list[Path] = []
        for system, lenient in (("short", 0.0), ("wordy", 1.0)):
            answers = {name: f"{system} answer to {name}" for name in names}
            true = {name: float(draw.randint(1, 5)) for name in names}
            self.truth |= {answers[name]: true[name] for name in names}
            judged = {name: min(5.0, max(1.0, true[name] + lenient + draw.choice([-0.5, 0, 0.5]))) for name in names}
            self.runs.append(save_run(folder / system, answers, judged))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_labels_take_away_what_a_lenient_judge_adds(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, sheet = [str(run) for run in made.runs], tmp_path / "sheet.csv"
    assert main(["judge", "sheet", *runs, "--n", "160", "--out", str(sheet)]) == 0
    assert "fill in the column score, 1 to 5" in capsys.readouterr().out
    first = fill(sheet, tmp_path / "anna.csv", made.truth)
    second = fill(sheet, tmp_path / "bo.csv", {text: min(5, value + 0.5) for text, value in made.truth.items()})
    labels = tmp_path / "labels.jsonl"
    assert main(["judge", "labels", str(first), str(second), "--out", str(labels)]) == 0
    assert "Krippendorff's alpha" in capsys.readouterr().out
    assert main(["judge", "correct", *runs, "--labels", str(labels)]) == 0
    assert "wordy is not told apart from short" in capsys.readouterr().out
    assert main(["judge", "correct", *runs, "--labels", str(labels), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["runs"][1]["difference"]
    assert told["judged"] > 0.5
    assert told["ci_low"] < 0.25 < told["ci_high"] < told["judged"]
    # The answers of both systems to an item were drawn together.
    assert 60 <= told["labels"] <= 100


def test_labels_hold_for_a_run_that_gave_the_very_answers_and_for_no_other(made: Made, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    write_sheet(drawn_sheet(made.runs, "rubric_score", 100), sheet)
    found = read_sheets([fill(sheet, tmp_path / "filled.csv", made.truth)]).labels
    before = corrected_runs(made.runs, found, "rubric_score")
    header = made.runs[1] / "run.json"
    header.write_text(header.read_text().replace("id-of-wordy", "scored anew"))
    assert corrected_runs(made.runs, found, "rubric_score")[1].mean == before[1].mean
    samples = made.runs[1] / "samples.jsonl"
    samples.write_text(samples.read_text().replace("wordy answer", "another answer"))
    assert corrected_runs(made.runs, found, "rubric_score")[1].reason == (
        "0 labels are too few to correct a judge by: 10 are needed"
    )


def test_the_sheet_tells_nothing_of_systems_and_judges(made: Made, tmp_path: Path) -> None:
    drawn = drawn_sheet(made.runs, "rubric_score", 60)
    write_sheet(drawn, tmp_path / "sheet.csv")
    text = (tmp_path / "sheet.csv").read_text(encoding="utf-8-sig")
    assert "id-of" not in text
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["row"] for row in rows] == [f"r{place:04d}" for place in range(1, len(rows) + 1)]
    assert all(row["score"] == row["comment"] == "" for row in rows)
    # Neither by system nor by item: neighbours are mostly of other items.
    assert sum(a["question"] == b["question"] for a, b in itertools.pairwise(rows)) < len(rows) / 4
    assert {row["answer"].split()[0] for row in rows[:20]} == {"short", "wordy"}
    with pytest.raises(InputError, match="a sheet is never overwritten"):
        write_sheet(drawn, tmp_path / "sheet.csv")


def test_every_level_of_the_judge_is_drawn_and_chances_are_those_of_the_strata(made: Made) -> None:
    drawn = drawn_sheet(made.runs[:1], "rubric_score", 40)
    assert len(drawn.rows) == 40
    assert {row.chance for row in drawn.rows} == {10 / 60}
    # Weighted by chances the rows stand for all items.
    assert sum(1 / row.chance for row in drawn.rows) == pytest.approx(ITEMS)
    assert drawn_sheet(made.runs[:1], "rubric_score", 40, seed=1).rows != drawn.rows
    assert drawn_sheet(made.runs[:1], "rubric_score", 40).rows == drawn.rows


def test_items_on_which_judges_disagree_are_drawn_twice_as_often(tmp_path: Path) -> None:
    names = [f"i{place}" for place in range(200)]
    run = save_run(
        tmp_path / "run",
        dict.fromkeys(names, "x") | {name: f"answer {name}" for name in names},
        {name: 1 + place % 5 for place, name in enumerate(names)},
        judgements={name: [f"{name}-a", f"{name}-b"] for name in names},
    )
    records = []
    for place, name in enumerate(names):
        for judge in "ab":
            said = 3 + (judge == "b" and place % 4 == 0)
            records.append(
                {"key": f"{name}-{judge}", "judge": judge, "rubric": "r", "verdict": {"score": said, "reason": judge}}
            )
    (run / "judgements.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    chances: dict[bool, set[float]] = {True: set(), False: set()}
    for row in drawn_sheet([run], "rubric_score", 50).rows:
        chances[int(row.item_id[1:]) % 4 == 0].add(round(row.chance, 3))
    assert min(chances[True]) > 1.6 * max(chances[False])


def test_one_answer_of_two_systems_is_one_row_and_a_label_of_both(tmp_path: Path) -> None:
    names = [f"i{place}" for place in range(12)]
    runs = [
        save_run(tmp_path / name, dict.fromkeys(names, "=HYPERLINK(1)"), dict.fromkeys(names, 3.0)) for name in "ab"
    ]
    sheet = tmp_path / "sheet.csv"
    write_sheet(drawn_sheet(runs, "rubric_score", 24), sheet)
    with sheet.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    # A spreadsheet runs nothing of it.
    assert {row["answer"] for row in rows} == {"'=HYPERLINK(1)"}
    filled = fill(sheet, tmp_path / "filled.csv", {"=HYPERLINK(1)": 4.5}, mark=";", decimal=",")
    found = read_sheets([filled])
    assert {label.run for label in found.labels} == {"id-of-a", "id-of-b"}
    assert {label.label for label in found.labels} == {4.5}
    assert found.alpha.value is None
    write_labels(found.labels, tmp_path / "labels.jsonl")
    assert read_labels(tmp_path / "labels.jsonl") == found.labels
    assert found.labels[0].answer_sha256 == text_sha256("=HYPERLINK(1)")


def test_two_runs_of_the_very_same_answers_have_one_label(tmp_path: Path) -> None:
    names = [f"i{place}" for place in range(12)]
    runs = [save_run(tmp_path / name, dict.fromkeys(names, "x"), dict.fromkeys(names, 3.0)) for name in "ab"]
    for run in runs:
        (run / "run.json").write_text((run / "run.json").read_text().replace(f"id-of-{run.name}", "one id"))
    sheet, labels = tmp_path / "sheet.csv", tmp_path / "labels.jsonl"
    write_sheet(drawn_sheet(runs, "rubric_score", 24), sheet)
    write_labels(read_sheets([fill(sheet, tmp_path / "f.csv", {"x": 4.0})]).labels, labels)
    assert len(read_labels(labels)) == 12


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("r0002,", "r9999,"), r"filled\.csv, line 3: the key has no row 'r9999'"),
        (("r0002,", "r0001,"), r"filled\.csv, line 3: row r0001 stands twice"),
        ((",4,", ",four,"), r"line 2: 'four' is no score from 1 to 5"),
        ((",4,", ",6,"), r"line 2: 6 is no score from 1 to 5"),
        ((",4,", ",nan,"), r"line 2: nan is no score from 1 to 5"),
        (("row,", "zeile,"), "has no columns 'row' and 'score'"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"i{place}" for place in range(12)]
    run = save_run(tmp_path / "a", dict.fromkeys(names, "x"), dict.fromkeys(names, 3.0))
    sheet = tmp_path / "sheet.csv"
    write_sheet(drawn_sheet([run], "rubric_score", 12), sheet)
    filled = fill(sheet, tmp_path / "filled.csv", {"x": 4})
    filled.write_text(filled.read_text(encoding="utf-8-sig").replace(*change, 1), encoding="utf-8")
    with pytest.raises(InputError, match=told):
        read_sheets([filled])
    assert main(["judge", "labels", str(filled), "--out", str(tmp_path / "l")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "l").exists()


def test_what_does_not_belong_together_is_refused(made: Made, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    write_sheet(drawn_sheet(made.runs, "rubric_score", 100), sheet)
    found = read_sheets([fill(sheet, tmp_path / "filled.csv", made.truth)]).labels
    with pytest.raises(InputError, match="no judged metric 'bleu'"):
        drawn_sheet(made.runs, "bleu", 10)
    other = save_run(tmp_path / "other", {"x": "y"}, {"x": 3.0}, items="b")
    with pytest.raises(IncomparableError):
        drawn_sheet([made.runs[0], other], "rubric_score", 10)
    with pytest.raises(IncomparableError):
        corrected_runs([made.runs[0], other], found, "rubric_score")
    samples = made.runs[0] / "samples.jsonl"
    samples.write_text(samples.read_text().replace("short answer", "another answer"))
    with pytest.raises(InputError, match="is of another answer than"):
        corrected_runs(made.runs, found, "rubric_score")


def test_too_few_labels_are_told_and_no_number_is_made_of_them(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet, labels = tmp_path / "sheet.csv", tmp_path / "labels.jsonl"
    write_sheet(drawn_sheet(made.runs[:1], "rubric_score", 8), sheet)
    write_labels(read_sheets([fill(sheet, tmp_path / "f.csv", made.truth)]).labels, labels)
    assert main(["judge", "correct", str(made.runs[0]), "--labels", str(labels)]) == 0
    assert "short: 8 labels are too few to correct a judge by: 10 are needed" in capsys.readouterr().out
    labels.write_text('{"run": "a"}\n')
    assert main(["judge", "correct", str(made.runs[0]), "--labels", str(labels)]) == 2
    assert "labels.jsonl, line 1: no label" in capsys.readouterr().err
