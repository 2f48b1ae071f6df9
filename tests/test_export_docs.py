"""docs/export.md is run: every command on the page, in its order, with the runs and the log that it names."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.harness.datasets.loading import load_dataset
from telbench.leaderboard.exchange.contract import formats
from telbench.leaderboard.exchange.imported import readable

PAGE = Path(__file__).resolve().parents[1] / "docs" / "export.md"


def commands() -> list[list[str]]:
    """The lines of the page's blocks as words, without comments."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [shlex.split(line, comments=True) for text in blocks for line in text.splitlines()]


@pytest.mark.slow
def test_every_command_of_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    items = load_dataset("telecom-nano", split="test").items
    for name, lost in (("today", 40), ("candidate", 150)):
        rows = [
            {"id": item.id, "prediction": "no idea" if k < lost else item.references[0]} for k, item in enumerate(items)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert main(["score", f"{name}.jsonl", "--metrics", "token_f1,ter", "--out", f"runs/{name}"]) == 0
    assert main(["export", "runs/today", "--to", "lm-eval", "--model-id", "org/model", "--out", "out"]) == 0
    found = commands()
    assert {words[1] for words in found} == {"export", "import", "report", "data"}
    for words in found:
        assert words[0] == "telbench"
        assert main([word.replace("ORGANISATION/NAME", "org/name") for word in words[1:]]) == 0, words
    capsys.readouterr()
    assert len(list(Path("export/eee/data/telecom-nano/org/name").iterdir())) == 2
    assert Path("runs/org__model-telecom-nano_test-lm-eval/run.json").is_file()
    assert Path("report.html").is_file()
    assert Path("nano/croissant.json").is_file()


def test_the_tables_name_every_format() -> None:
    text = PAGE.read_text("utf-8")
    named = set(re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
    assert set(formats()) | set(readable()) <= named
    for each in formats().values():
        assert each.lost
