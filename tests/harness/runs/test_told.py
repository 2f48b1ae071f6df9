"""What the user of ``telbench score`` says of the model that answered: in the header, in its own id, on the board."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from telbench.harness.cli.main import main
from telbench.harness.runs.folder import read_run

SCHEMA = Path(__file__).parents[3] / "harness" / "run.schema.json"
TOLD = ["--parameters", "7e9", "--tokens-per-second", "120.5", "--cost", "0.5", "--factor", "algorithm=dskd,seed=1"]


def score(folder: Path, out: str, *more: str) -> tuple[int, Path]:
    rows = [{"id": f"i{place}", "question": f"Q{place}?", "references": ["an answer"]} for place in range(4)]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = [{"id": row["id"], "prediction": "an answer"} for row in rows]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    words = ["score", str(folder / "answers.jsonl"), "--data", str(folder / "items.jsonl"), "--metrics", "exact_match"]
    return main([*words, "--out", str(folder / out), *more]), folder / out


def test_size_speed_cost_and_factors_are_in_the_header(tmp_path: Path) -> None:
    code, run = score(tmp_path, "told", *TOLD)
    assert code == 0
    header = read_run(run)
    assert header["model"]["parameters"] == 7_000_000_000
    assert header["factors"] == {"algorithm": "dskd", "seed": "1"}
    assert header["told"]["tokens_per_second"] == 120.5
    assert header["told"]["cost"] == 0.5
    jsonschema.validate(header, json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_another_word_on_the_model_is_another_run_and_none_is_the_run_that_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent, told = (read_run(score(tmp_path, name, *more)[1]) for name, more in (("a", ()), ("b", TOLD)))
    assert silent["run_id"] != told["run_id"]
    assert "told" not in silent
    assert score(tmp_path, "b", *TOLD)[0] == 0
    assert "already finished" in capsys.readouterr().err
    assert score(tmp_path, "b", "--cost", "3")[0] == 2


def test_the_board_shows_what_was_told(tmp_path: Path) -> None:
    runs = [score(tmp_path, name, *more)[1] for name, more in (("a", ()), ("b", TOLD))]
    assert main(["leaderboard", "build", *map(str, runs), "--out", str(tmp_path / "site")]) == 0
    tables = json.loads((tmp_path / "site" / "data" / "board.json").read_text())["tables"]
    rows = json.loads((tmp_path / "site" / tables["exact_match"]).read_text())["rows"]
    (row,) = [row for row in rows if row["parameters"]]
    assert (row["parameters"], row["tokens_per_second"], row["dollars_per_1000"]) == (7_000_000_000, 120.5, 125.0)
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "$125" in page


@pytest.mark.parametrize("wrong", [["--cost", "0"], ["--parameters", "-1"], ["--tokens-per-second", "fast"]])
def test_what_cannot_be_is_refused(wrong: list[str], tmp_path: Path) -> None:
    assert score(tmp_path, "a", *wrong)[0] == 2
    assert not (tmp_path / "a").exists()
