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
REFERENCES = ("the AMF", "SMF or UPF", "the UE", "no term", "RRC over SRB1", "the NRF") * 5


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


def three_runs(site: Path) -> list[str]:
    """Runs with the page's metric: answers that repeat the question, half of the answers lost, and all."""
    data = site / "data.jsonl"
    rows = [
        {"id": f"q{index}", "question": f"Is it {answer}, then?", "references": [reference]}
        for index, (reference, answer) in enumerate(zip(REFERENCES, (*REFERENCES[:5], "that") * 5, strict=True))
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = ["--data", str(data), "--split", "all", "--metrics", "terms_kept,exact_match,token_f1"]
    runs = [str(site / name) for name in ("echo", "made", "worse")]
    assert main(["eval", "--engine", "echo", *common, "--out", runs[0]]) == 0
    for run, lost in zip(runs[1:], (15, 30), strict=True):
        answers = Path(f"{run}.txt")
        answers.write_text("".join(f"{'none' if index < lost else text}\n" for index, text in enumerate(REFERENCES)))
        assert main(["score", str(answers), *common, "--out", run]) == 0
    return runs


def test_a_corpus_metric_written_from_the_docs_alone_works_everywhere(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrics", "check", "terms_kept"]) == 0
    assert capsys.readouterr().out == "terms_kept: keeps the contract\n"
    runs = three_runs(site)
    # Of six items, five have seven terms, and one answer lacks its only one: 6 of 7, not the mean over items.
    entry = read_run(Path(runs[0]))["metrics"]["terms_kept"]
    assert (entry["value"], entry["n"], entry["n_missing"]) == (pytest.approx(6 / 7), 25, 5)
    assert entry["ci_low"] <= entry["value"] <= entry["ci_high"]
    stats = [sample["stats"].get("terms_kept") for sample in read_samples(Path(runs[0]))]
    assert stats[:6] == [[1, 1], [2, 2], [1, 1], None, [2, 2], [0, 1]]
    capsys.readouterr()
    assert main(["compare", *runs[:2], "--metrics", "terms_kept", "--json"]) == 0
    difference = json.loads(capsys.readouterr().out)["runs"][1]["difference"]["terms_kept"]
    assert difference["delta"] == pytest.approx(17 / 35 - 6 / 7, abs=1e-6)
    margin = ["--margin", "terms_kept=0.01", "--on-inconclusive", "fail"]
    assert main(["check", "--baseline", runs[0], "--candidate", runs[0], *margin]) in (0, 3)
    assert main(["check", "--baseline", runs[0], "--candidate", runs[2], *margin]) == 1
    assert main(["leaderboard", "build", *runs, "--out", str(site / "board")]) == 0
    assert "terms_kept" in (site / "board" / "index.html").read_text("utf-8")


def test_runs_with_a_metric_that_is_gone_or_newer_are_still_compared_and_published(
    site: Path, installed_plugins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = three_runs(site)
    module = site / "terms_kept.py"
    module.write_text(module.read_text("utf-8").replace("statistics=2", "statistics=2, version=2"), "utf-8")
    newer = "was scored by its version 1, installed is version 2, which would sum up otherwise"
    for told in (newer, "unknown metric 'terms_kept'"):
        sys.modules.pop("terms_kept", None)
        listed.cache_clear()
        capsys.readouterr()
        assert main(["compare", *runs[:2], "--metrics", "exact_match"]) == 0
        assert "terms_kept" not in capsys.readouterr().out
        assert main(["compare", *runs[:2]]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "terms_kept is left out: " in out
        assert told in out
        assert main(["compare", *runs[:2], "--metrics", "terms_kept"]) in (2, 4)
        assert told in capsys.readouterr().err
        # A gate leaves nothing out in silence.
        gate = ["check", "--baseline", runs[0], "--candidate", runs[1], "--margin", "exact_match=0.9"]
        assert main(gate) in (2, 4)
        assert told in capsys.readouterr().err
        assert main([*gate, "--guardrail", "token_f1"]) in (0, 1, 3)
        board = site / f"board-{len(told)}"
        assert main(["leaderboard", "build", *runs, "--out", str(board)]) == 0
        assert "terms_kept" not in (board / "index.html").read_text("utf-8")
        assert "terms_kept (no table: " in (board / "method.html").read_text("utf-8")
        # Then without the package.
        for file in installed_plugins.glob("terms-*/entry_points.txt"):
            file.unlink()
