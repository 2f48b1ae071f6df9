"""A format of somebody's own is listed, written and read like telbench's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import telbench
from telbench.harness.cli.main import main
from telbench.registry import listed

from ...installed import install

MODULE = """
from pathlib import Path

from telbench.leaderboard.exchange.contract import Exported, Format, writing_file
from telbench.leaderboard.runs.foreign import SCORES, Log, Reading, run_of
from telbench.metrics.contract import ItemScore


def write(run: Exported, out: Path) -> list[Path]:
    file = out / "scores.lines"
    with writing_file(file) as stream:
        for sample in run.samples():
            stream.write(f"{sample['item_id']} {sample['scores']['token_f1']!r}\\n".encode())
    return [file]


def read(path: Path, reading: Reading):
    log = Log(path, SCORES, path.stem, "lines")
    for line in path.read_text().splitlines():
        item, value = line.split()
        if value != "None":
            log.hashes[item], log.clusters[item], log.categories[item] = item, item, None
            log.scores.setdefault("token_f1", {})[item] = ItemScore(float(value))
    return [run_of(log, reading.settings)]


def holds(path: Path) -> bool:
    return path.suffix == ".lines"


LINES = Format("lines", "an id and a score a line", "all else", write=write, holds=holds, read=read)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    site = tmp_path / "site"
    site.mkdir()
    (site / "lines_format.py").write_text(MODULE)
    install(site, "lines-format", {"telbench.formats": {"lines": "lines_format:LINES"}})
    monkeypatch.syspath_prepend(site)
    listed.cache_clear()
    yield
    sys.modules.pop("lines_format", None)
    listed.cache_clear()


@pytest.mark.usefixtures("plugin")
def test_a_third_partys_format_is_listed_written_and_read(
    scored: telbench.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--list"]) == 0
    assert "an id and a score a line" in capsys.readouterr().out
    assert main(["export", str(scored.path), "--to", "lines", "--out", str(tmp_path / "out")]) == 0
    assert main(["import", str(tmp_path / "out" / "scores.lines"), "--out", str(tmp_path / "runs")]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert telbench.Run.read(run).value("token_f1") == pytest.approx(scored.value("token_f1"), abs=1e-12)
