"""docs/python.md and its notebook are run, block by block, as a reader would."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import telbench
from telbench.harness.datasets.loading import load_dataset

ROOT = Path(__file__).resolve().parents[1]
PAGE, NOTEBOOK = ROOT / "docs" / "python.md", ROOT / "docs" / "first_run.ipynb"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def write_answers(folder: Path) -> None:
    """Both files of answers that the page names: more of the candidate's are lost."""
    items = load_dataset("telecom-nano", split="test").items
    for name, lost in (("answers", 40), ("candidate", 150)):
        rows = [
            {"id": item.id, "prediction": "no idea" if place < lost else item.references[0]}
            for place, item in enumerate(items)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.slow
def test_every_example_of_the_page_runs_in_order(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    write_answers(tmp_path)
    (tmp_path / "path" / "to").mkdir(parents=True)
    for name in ("checkpoint", "teacher"):
        (tmp_path / "path" / "to" / name).symlink_to(tiny_checkpoint)
    names: dict[str, Any] = {}
    for number, text in enumerate(blocks()):
        exec(compile(text, f"{PAGE.name}, block {number + 1}", "exec"), names)  # noqa: S102
    assert names["today"].value("exact_match") > names["candidate"].value("exact_match")
    assert sorted(names["worse"]) == ["exact_match", "token_f1"]
    assert names["difference"].n == 7
    assert (names["gate"].verdict, names["score"]) == ("fail", 1.0)
    assert names["page"].is_file()
    assert "did you mean 'open'?" in capsys.readouterr().out


def test_the_page_names_all_that_is_public() -> None:
    rows = "".join(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|"))
    assert [name for name in telbench.__all__ if f"`{name}`" not in rows] == []


@pytest.mark.slow
def test_the_notebook_runs_headless_and_is_not_flooded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel run notebooks: pip install telbench[dev]")
    pytest.importorskip("ipykernel")
    pytest.importorskip("pandas")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert [cell for cell in notebook.cells if cell.get("outputs")] == []
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert len(shown) == 4
    assert "<td" in shown[0]
    assert "95 % interval" in shown[0]
    assert "worse" in shown[2]
    assert shown[3].startswith('<p class="answer"><strong>fail: candidate against today')
    # Progress is one output a step, and libraries are quiet.
    streams = "".join(output.text for output in outputs if output.output_type == "stream")
    assert len(streams.splitlines()) <= 4, streams
    assert len(outputs) <= 10, [output.output_type for output in outputs]
