"""Runs as tables: no digit is lost, no spreadsheet runs an answer, and any table of ids and scores becomes a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import telbench
from telbench.errors import InputError
from telbench.leaderboard.exchange.tables import holds_scores, read_scores
from telbench.leaderboard.runs.foreign import Reading

from .conftest import exported

HIGHER = Reading()


def test_a_table_comes_back_to_the_last_digit(scored: telbench.Run, tmp_path: Path) -> None:
    samples, metrics = exported(scored, "csv", tmp_path)
    (back,) = read_scores(samples, Reading(texts=True))
    assert set(back.header["metrics"]) == set(scored.header["metrics"])
    for sample in scored.samples():
        item = sample["item_id"]
        assert {name: column[item].value for name, column in back.scores.items()} == sample["scores"]
        assert (back.clusters[item], back.categories[item]) == (sample["cluster_id"], sample["category"])
        assert back.texts[item].references == tuple(sample["references"])
        if sample["status"] == "ok" and "\x1b" not in sample["prediction"]:
            assert back.texts[item].prediction == sample["prediction"]
    with metrics.open(encoding="utf-8") as stream:
        rows = {row["metric"]: row for row in csv.DictReader(stream)}
    assert {name: float(row["value"]) for name, row in rows.items()} == {
        name: entry["value"] for name, entry in scored.header["metrics"].items()
    }


def test_parquet_holds_numbers_as_numbers_and_none_where_there_is_none(scored: telbench.Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    samples, metrics = exported(scored, "parquet", tmp_path)
    table = parquet.read_table(samples)
    assert {str(table.schema.field(name).type) for name in scored.header["metrics"]} == {"double"}
    for name in scored.header["metrics"]:
        assert table.column(name).to_pylist() == [sample["scores"][name] for sample in scored.samples()]
    assert parquet.read_table(metrics).column("value").to_pylist() == [
        entry["value"] for entry in scored.header["metrics"].values()
    ]


def test_no_cell_is_a_formula_or_moves_a_terminal(scored: telbench.Run, tmp_path: Path) -> None:
    text = exported(scored, "csv", tmp_path)[0].read_text(encoding="utf-8")
    assert "\x1b" not in text
    cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "+", "@", "\t"))] == []
    assert "'=1+1" in cells
    assert "'-5 dBm" in cells


def test_a_table_of_anybodys_scores_is_a_run(tmp_path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    rows = [
        {"id": k, "prediction": f"a{k}", "accuracy": k % 2 == 0, "my_f1": k / 10, "remark": "fine", "doc": f"d{k // 2}"}
        for k in range(8)
    ]
    rows[3]["my_f1"] = None
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert holds_scores(file)
    (run,) = read_scores(file, Reading(cluster="doc"))
    assert set(run.header["metrics"]) == {"accuracy", "my_f1"}
    assert (run.name, run.header["data"]["split"]) == ("theirs", "scores")
    assert run.scores["my_f1"]["3"].value is None
    assert run.header["metrics"]["accuracy"]["value"] == 0.5
    assert run.clusters["5"] == "d2"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,f1\na,0.5\na,0.6\n", "the id a occurs twice"),
        ("id,f1\n,0.5\n", "no id"),
        ("name,f1\na,0.5\n", "no column of ids"),
        ("id,prediction\na,b\n", "no column of numbers beside id"),
        ("id,f1\n", "holds no rows"),
        ("id,accuracy\na,1.5\n", "accuracy is 1.5, outside its range"),
        ("id,f1\na,inf\n", "f1 is no finite number"),
    ],
)
def test_tables_without_ids_or_numbers_are_refused(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=told):
        read_scores(file, HIGHER)


def test_a_file_of_answers_alone_is_no_table_of_scores(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"id": "a", "prediction": "5"}\n')
    assert not holds_scores(file)
    assert not holds_scores(tmp_path / "nowhere.csv")
