"""Rows without run folders: logs are ranked by the tests of compare, reported numbers are shown and not tested."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.runs.directions import LogSettings
from telbench.leaderboard.runs.foreign import Reading
from telbench.leaderboard.site.elsewhere.rows import rows_from, sorted_out

from ....leaderboard.runs.logs import inspect_log, write_json
from ..boards import Markup, answers, write_run

ITEMS = 40


def scores(right: float, seed: int) -> list[float]:
    draw = random.Random(seed)
    return [float(draw.random() < right) for _ in range(ITEMS)]


def aggregate(model: str, value: float, **more: Any) -> dict[str, Any]:
    """As the files of the collection are."""
    return {
        "schema_version": "0.3.0",
        "evaluation_id": f"teleqna/{model}/1",
        "retrieved_timestamp": "1770570009",
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": "An Institute",
            "evaluator_relationship": "third_party",
        },
        "model_info": {"name": model, "id": f"dev/{model}"},
        "evaluation_results": [
            {
                "evaluation_name": "teleqna",
                "source_data": {"source_type": "hf_dataset", "dataset_name": "teleqna"},
                "metric_config": {"lower_is_better": False, "score_type": "binary", "min_score": 0, "max_score": 1},
                "score_details": {
                    "score": value,
                    "uncertainty": {
                        "confidence_interval": {"lower": value - 0.1, "upper": value + 0.1},
                        "num_samples": 40,
                    },
                },
            }
        ],
        **more,
    }


def write_eee(folder: Path, model: str, column: Sequence[float], **more: Any) -> Path:
    rows = [
        {
            "schema_version": "0.3.0",
            "evaluation_id": f"teleqna/{model}/1",
            "model_id": f"dev/{model}",
            "evaluation_name": "teleqna",
            "sample_id": f"q{place}",
            "interaction_type": "single_turn",
            "input": {"raw": f"Question {place}?", "reference": ["A"]},
            "output": {"raw": ["A"]},
            "answer_attribution": [],
            "evaluation": {"score": value, "is_correct": value == 1},
            "metadata": {"document": f"d{place // 2}"},
        }
        for place, value in enumerate(column)
    ]
    (folder / f"{model}_samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return write_json(folder / f"{model}.json", aggregate(model, sum(column) / len(column), **more))


def table_of(site: Path, name: str) -> Mapping[str, Any]:
    tables = json.loads((site / "data" / "board.json").read_text())["tables"]
    return json.loads((site / tables[name]).read_text())


def test_files_of_every_eval_ever_are_rows_with_the_same_differences_as_in_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write_eee(tmp_path, f"m{place}", scores(0.3 + 0.2 * place, place)) for place in range(3)]
    site = tmp_path / "site"
    assert main(["leaderboard", "build", *map(str, files), "--out", str(site)]) == 0
    table = table_of(site, "teleqna")
    assert {row["run"]: row["value"] for row in table["rows"]} == {
        f"m{place}": pytest.approx(sum(scores(0.3 + 0.2 * place, place)) / ITEMS) for place in range(3)
    }
    # The same numbers as an inspect log, which compare reads.
    logs = [
        write_json(
            tmp_path / f"log{place}.json", inspect_log({"exact": [[v] for v in scores(0.3 + 0.2 * place, place)]})
        )
        for place in range(3)
    ]
    assert main(["leaderboard", "build", *map(str, logs), "--out", str(tmp_path / "logs")]) == 0
    other = table_of(tmp_path / "logs", "exact")
    capsys.readouterr()
    assert main(["compare", *map(str, logs), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    deltas = sorted(each["delta"] for each in other["differences"].values())
    assert deltas == pytest.approx(sorted(each["delta"] for each in table["differences"].values()))
    told = [each["difference"]["exact"]["delta"] for each in compared["runs"] if each["difference"]]
    assert deltas == pytest.approx(sorted(told))
    page = Markup((site / "index.html").read_text(encoding="utf-8"))
    assert "n/a" in page.text
    assert "0.0 %" not in page.text  # nobody knows which answers are right


def test_a_number_without_scores_is_shown_and_not_ranked(tmp_path: Path) -> None:
    run = write_run(tmp_path, "ours", answers(12))
    told = write_json(tmp_path / "other.json", aggregate("<b>other</b>", 0.71))
    site = tmp_path / "site"
    assert main(["leaderboard", "build", str(run), str(told), "--out", str(site)]) == 0
    page = Markup((site / "index.html").read_text(encoding="utf-8"))
    assert "Reported elsewhere" in page.text
    assert "<b>other</b> teleqna teleqna 0.710 0.610 – 0.810 40 An Institute" in page.text
    assert [row["run"] for row in table_of(site, "token_f1")["rows"]] == ["ours"]


def test_a_log_of_other_items_stands_apart_with_the_reason(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, name, answers(right)) for name, right in (("ours", 12), ("theirs", 14))]
    log = write_eee(tmp_path, "m", scores(0.5, 1))
    site = tmp_path / "site"
    assert main(["leaderboard", "build", *map(str, runs), str(log), "--out", str(site)]) == 0
    board = json.loads((site / "data" / "board.json").read_text())
    (apart,) = board["apart"]
    assert apart["run"] == "m"
    assert "items" in apart["reason"]


def test_another_log_makes_the_board_anew_and_the_same_one_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_eee(tmp_path, "m", scores(0.5, 1))
    words = ["leaderboard", "build", str(file), "--out", str(tmp_path / "site")]
    assert main(words) == 0
    first = (tmp_path / "site" / "index.html").read_bytes()
    assert main(words) == 0
    assert "nothing changed" in capsys.readouterr().out
    write_eee(tmp_path, "m", scores(0.9, 2))
    assert main(words) == 0
    assert (tmp_path / "site" / "index.html").read_bytes() != first


def test_repeated_answers_are_averaged_and_failed_ones_have_no_score(tmp_path: Path) -> None:
    file = write_eee(tmp_path, "m", [1.0, 0.0, 1.0])
    lines = (tmp_path / "m_samples.jsonl").read_text().splitlines()
    again = {**json.loads(lines[1]), "evaluation": {"score": 1.0, "is_correct": True}}
    failed = {**json.loads(lines[2]), "error": "timeout"}
    (tmp_path / "m_samples.jsonl").write_text(
        "\n".join([lines[0], lines[1], json.dumps(again), json.dumps(failed)]) + "\n"
    )
    (run,) = rows_from([file]).runs
    assert run.values["teleqna"][:2].tolist() == [1.0, 0.5]
    assert run.reasons["teleqna"] == {2: "unscored in the log"}


def test_logs_of_the_same_items_in_another_order_are_one_board(tmp_path: Path) -> None:
    column = scores(0.5, 1)
    one, other = (write_eee(tmp_path, name, column) for name in ("a", "b"))
    lines = (tmp_path / "b_samples.jsonl").read_text().splitlines()
    (tmp_path / "b_samples.jsonl").write_text("\n".join(reversed(lines)) + "\n")
    first, second = rows_from([one, other]).runs
    assert first.items == second.items
    assert first.values["teleqna"].tolist() == second.values["teleqna"].tolist() == column


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sample_id": None}, "line 1: no instance of Every Eval Ever (sample_id is missing)"),
        ({"evaluation": {"score": "high"}}, "line 1: teleqna"),
        ({"input": None}, "line 1: neither sample_hash nor input"),
    ],
)
def test_garbage_is_told_by_its_line(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    file = write_eee(tmp_path, "m", scores(0.5, 1))
    lines = (tmp_path / "m_samples.jsonl").read_text().splitlines()
    lines[0] = json.dumps({**json.loads(lines[0]), **change})
    (tmp_path / "m_samples.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as error:
        rows_from([file])
    assert told in str(error.value)


def test_a_metric_without_a_direction_asks_for_one(tmp_path: Path) -> None:
    log = write_json(tmp_path / "log.json", inspect_log({"glossary": [[1.0], [0.5], [0.25]]}))
    with pytest.raises(InputError, match="--higher-is-better glossary"):
        rows_from([log])
    (run,) = rows_from([log], Reading(LogSettings(lower_is_better=("glossary",)))).runs
    assert run.header["metrics"]["glossary"]["higher_is_better"] is False


def test_what_telbench_exported_is_a_row_of_the_same_metrics(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, name, answers(right)) for name, right in (("ours", 12), ("theirs", 14))]
    assert main(["export", str(runs[1]), "--to", "eee", "--out", str(tmp_path / "exported")]) == 0
    (file,) = (each for each in (tmp_path / "exported").rglob("*.json"))
    site = tmp_path / "site"
    assert main(["leaderboard", "build", str(runs[0]), str(file), "--out", str(site)]) == 0
    rows = {row["run"]: row["value"] for row in table_of(site, "token_f1")["rows"]}
    header = json.loads((runs[1] / "run.json").read_text())
    assert rows == {
        "ours": pytest.approx(rows["ours"]),
        "theirs": pytest.approx(header["metrics"]["token_f1"]["value"]),
    }


def test_run_folders_stay_run_folders(tmp_path: Path) -> None:
    run = write_run(tmp_path, "ours", answers(12))
    log = write_eee(tmp_path, "m", scores(0.5, 1))
    nothing = tmp_path / "nothing"
    assert sorted_out([run, run.parent, log, nothing]) == ([run, run.parent, nothing], [log])
