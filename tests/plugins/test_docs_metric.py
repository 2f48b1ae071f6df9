"""The corpus metric of docs/metrics.md, taken out of the page as a reader would: it works wherever metrics do."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.harness.runs.folder import read_run, read_samples
from telbench.registry import listed

from ..installed import install

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
REFERENCES = ("the AMF", "SMF or UPF", "the UE", "no term", "RRC over SRB1", "the NRF")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed_plugins: Path) -> Iterator[Path]:
    """The page's module, installed beside the example packages (the engine that repeats the question is one)."""
    found = re.search(r"```python\n# (terms_kept)\.py\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / f"{found[1]}.py").write_text(found[2], "utf-8")
    install(installed_plugins, "terms", {"telbench.metrics": {"terms_kept": "terms_kept:terms_kept"}})
    monkeypatch.syspath_prepend(tmp_path)
    listed.cache_clear()
    yield tmp_path
    sys.modules.pop("terms_kept", None)


def test_a_corpus_metric_written_from_the_docs_alone_works_everywhere(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrics", "check", "terms_kept"]) == 0
    assert capsys.readouterr().out == "terms_kept: keeps the contract\n"
    data = site / "data.jsonl"
    rows = [
        {"id": f"q{index}", "question": f"Is it {answer}, then?", "references": [reference]}
        for index, (reference, answer) in enumerate(zip(REFERENCES, (*REFERENCES[:5], "that"), strict=True))
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = ["--data", str(data), "--split", "all", "--metrics", "terms_kept,exact_match"]
    runs = [str(site / name) for name in ("echo", "made", "worse")]
    assert main(["eval", "--engine", "echo", *common, "--out", runs[0]]) == 0
    for run, lost in zip(runs[1:], (3, 6), strict=True):
        answers = Path(f"{run}.txt")
        answers.write_text("".join(f"{'none' if index < lost else text}\n" for index, text in enumerate(REFERENCES)))
        assert main(["score", str(answers), *common, "--out", run]) == 0
    # Seven terms, one in an item whose answer lacks it: 6 of 7, not the mean over items.
    entry = read_run(Path(runs[0]))["metrics"]["terms_kept"]
    assert (entry["value"], entry["n"], entry["n_missing"]) == (pytest.approx(6 / 7), 5, 1)
    assert entry["ci_low"] <= entry["value"] <= entry["ci_high"]
    stats = [sample["stats"].get("terms_kept") for sample in read_samples(Path(runs[0]))]
    assert stats == [[1, 1], [2, 2], [1, 1], None, [2, 2], [0, 1]]
    capsys.readouterr()
    assert main(["compare", *runs[:2], "--metrics", "terms_kept", "--json"]) == 0
    (row,) = [row for row in json.loads(capsys.readouterr().out)["rows"] if row["metric"] == "terms_kept"]
    assert row["difference"] == pytest.approx(3 / 7 - 6 / 7)
    margin = ["--margin", "terms_kept=0.01"]
    assert main(["check", "--baseline", runs[0], "--candidate", runs[0], *margin]) == 0
    assert main(["check", "--baseline", runs[0], "--candidate", runs[2], *margin]) in (1, 3)
    assert main(["leaderboard", "build", *runs, "--out", str(site / "board")]) == 0
    assert "terms_kept" in (site / "board" / "index.html").read_text("utf-8")
