"""What earlier builds keep: a board from it is that of a fresh build to the last byte, whatever changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.harness.runs.folder import JUDGEMENTS
from telbench.leaderboard.compare.pairwise import measure_columns
from telbench.leaderboard.site import store as store_module
from telbench.leaderboard.site.model import board as board_module
from telbench.leaderboard.site.model import items as items_module
from telbench.leaderboard.site.model import kept_columns, kept_measures
from telbench.leaderboard.site.model.columns import read_columns
from telbench.leaderboard.site.store import Part, Store

from .boards import answers, write_run

METRICS = "exact_match,token_f1,bleu,chrf,ter"
# Changes of a board's runs or options after its first build: what is done to the folder of runs, and further options.
CHANGES = (
    "nothing",
    "answers",
    "added",
    "removed",
    "scored again",
    "baseline",
    "items ids",
    "title",
    "cluster",
    "pairs",
    "judged",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven runs, one kept back, one to change, two that differ in their seed alone."""
    folder = tmp_path_factory.mktemp("kept")
    for place, right in enumerate((20, 17, 14, 14, 9, 3, 12)):
        wrong = f"It routes {place} packets <b>&amp; 基站</b> to the UPF."
        write_run(folder, f"r{place}", answers(right, wrong=wrong), METRICS)
    for place, seed in ((1, 1), (2, 2)):
        header = folder / "runs" / f"r{place}" / "run.json"
        told = json.loads(header.read_text())
        told["factors"] = {"algorithm": "kd", "seed": seed}
        header.write_text(json.dumps(told))
    (folder / "runs" / "r6").rename(folder / "r6")
    given = answers(11, wrong="Nobody knows.")
    write_run(folder, "other", given, METRICS)
    (folder / "runs" / "other").rename(folder / "other")
    return folder


def changed(made: Path, folder: Path, change: str) -> list[str]:
    """The runs after a change, in this folder; the options of the build."""
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(made / "runs", folder)
    if change == "answers":
        shutil.rmtree(folder / "r4")
        shutil.copytree(made / "other", folder / "r4")
    elif change == "added":
        shutil.copytree(made / "r6", folder / "r6")
    elif change == "removed":
        shutil.rmtree(folder / "r3")
    elif change == "scored again":
        samples = folder / "r5" / "samples.jsonl"
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        for place, line in enumerate(lines):
            line["scores"]["token_f1"] = place / len(lines)
        samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    elif change == "judged":
        samples = folder / "r5" / "samples.jsonl"
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        lines[0]["judgements"] = {"token_f1": ["k1"]}
        samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
        record = {"key": "k1", "judge": "j", "rubric": "claims-1", "missing": {"reason": "no JSON", "detail": ""}}
        (folder / "r5" / JUDGEMENTS).write_text(json.dumps(record) + "\n")
    return {
        "baseline": ["--baseline", str(folder / "r3")],
        "items ids": ["--items", "ids"],
        "title": ["--title", "Another"],
        "cluster": ["--cluster", "item"],
        "pairs": ["--pairs", "wilcoxon"],
    }.get(change, [])


def build(runs: Path, out: Path, *options: str) -> int:
    return main(["leaderboard", "build", str(runs), "--out", str(out), *options])


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        *((change, 50_000) for change in CHANGES),
        *((change, 0) for change in ("answers", "added", "baseline", "judged")),
    ],
)
def test_a_board_from_the_cache_is_that_of_a_fresh_build(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, whole: int
) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(items_module, "WHOLE_UP_TO", whole)
    monkeypatch.setattr(items_module, "GROUP", 10)
    runs = tmp_path / "runs"
    changed(made, runs, "nothing")
    assert build(runs, tmp_path / "site") == 0
    options = changed(made, runs, change)
    shutil.rmtree(tmp_path / "site")
    assert build(runs, tmp_path / "site", *options) == 0
    assert build(runs, tmp_path / "fresh", "--no-cache", *options) == 0
    assert contents(tmp_path / "site") == contents(tmp_path / "fresh")
    assert any(name.startswith("data/pairs/") for name in contents(tmp_path / "site"))


@pytest.mark.parametrize("whole", [50_000, 0])
def test_a_board_that_several_processes_make_from_the_cache_is_that_of_one(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(items_module, "WHOLE_UP_TO", whole)
    monkeypatch.setattr(items_module, "GROUP", 10)
    runs = tmp_path / "runs"
    changed(made, runs, "answers")
    assert build(runs, tmp_path / "fresh", "--no-cache") == 0
    monkeypatch.setattr(board_module, "_WORTH_A_PROCESS", -1)
    changed(made, runs, "nothing")
    assert build(runs, tmp_path / "site") == 0
    changed(made, runs, "answers")
    assert build(runs, tmp_path / "site") == 0
    assert contents(tmp_path / "site") == contents(tmp_path / "fresh")


def test_what_one_run_is_made_of_is_made_once(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    runs, site = tmp_path / "runs", tmp_path / "site"
    changed(made, runs, "nothing")
    assert build(runs, site) == 0
    read: list[str] = []
    compared: list[int] = []

    def reading(path: Path, *rest: object) -> object:
        read.append(path.name)
        return read_columns(path, *rest)  # type: ignore[arg-type]

    def comparing(metric: object, columns: list[object], *rest: object) -> object:
        compared.append(len(columns) - 1)
        return measure_columns(metric, columns, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(kept_columns, "read_columns", reading)
    monkeypatch.setattr(kept_measures, "measure_columns", comparing)
    changed(made, runs, "answers")
    assert build(runs, site) == 0
    assert read == ["r4"]
    assert compared
    assert set(compared) == {1}
    # Files that say what they said before are those of the former site.
    before = {path: path.stat().st_ino for path in site.rglob("*") if path.is_file()}
    changed(made, runs, "nothing")
    assert build(runs, site) == 0
    assert read == ["r4"]
    assert before[site / "assets" / "board.js"] == (site / "assets" / "board.js").stat().st_ino


def test_parts_that_were_damaged_are_made_anew(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    runs, site = tmp_path / "runs", tmp_path / "site"
    changed(made, runs, "nothing")
    assert build(runs, site) == 0
    wanted = contents(site)
    parts = sorted((tmp_path / "cache" / "boards").iterdir())
    assert len(parts) > 10
    assert all((path.stat().st_mode & 0o777) & 0o077 == 0 for path in (tmp_path / "cache" / "boards",))
    for number, path in enumerate(parts):
        held = bytearray(path.read_bytes())
        if number % 3 == 0:
            path.write_bytes(held[: len(held) // 2])
        elif number % 3 == 1:
            held[len(held) // 2] ^= 0xFF
            path.write_bytes(held)
        else:
            path.write_bytes(b"")
    shutil.rmtree(site)
    assert build(runs, site) == 0
    assert contents(site) == wanted


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_costs_time_alone(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    assert build(made / "runs", tmp_path / "site") == 0


def test_a_cache_in_the_place_of_a_file_costs_time_alone(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    assert build(made / "runs", tmp_path / "site") == 0
    assert (tmp_path / "cache").read_text() == "no folder"


def test_nothing_is_kept_where_that_is_not_wanted(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    assert build(made / "runs", tmp_path / "site", "--no-cache") == 0
    assert not (tmp_path / "cache" / "boards").exists()
    assert build(made / "runs", tmp_path / "other") == 0
    assert (tmp_path / "cache" / "boards").is_dir()
    # Nothing kept is published.
    assert not [path for path in (tmp_path / "other").rglob("*") if path.suffix in (".npz", ".pieces")]


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path, limit=6_000)
    for place in range(5):
        store.put(Part(place, {}, [bytes(1_000)]), "part", place)
        for path in tmp_path.glob("part-*"):
            if path.stat().st_mtime > 10**9:
                os.utime(path, (place, place))
    assert store.get("part", 0) is not None
    store.tidy()
    left = [place for place in range(5) if store.get("part", place) is not None]
    assert 0 in left
    assert 1 not in left
    assert 4 in left
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 6_000


def test_parts_of_other_code_are_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.put(Part({"a": [1, None]}), "part", "key")
    found = store.get("part", "key")
    assert found is not None
    assert found.told == {"a": [1, None]}
    monkeypatch.setattr(store_module, "made_with", lambda: "another version")
    assert store.get("part", "key") is None
