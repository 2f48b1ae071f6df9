"""The folder: whole or not there, the same bytes for the same runs, and nothing of a stranger's harmed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.harness.storage import FolderLock
from telbench.leaderboard.site import build as building
from telbench.leaderboard.site.model import board as board_module

from .boards import Markup, answers, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder, name, answers(right)) for name, right in {"a": 22, "b": 14, "c": 3}.items()]


def build(runs: list[Path], out: Path, *options: str) -> int:
    return main(["leaderboard", "build", *map(str, runs), "--out", str(out), *options])


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_runs_give_the_same_bytes(runs: list[Path], tmp_path: Path) -> None:
    assert build(runs, tmp_path / "one") == 0
    assert build(runs, tmp_path / "two") == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert "index.html" in contents(tmp_path / "one")


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(runs: list[Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert build(runs, site) == 0
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 5
    for page in pages:
        ids: dict[Path, set[str]] = {}
        found = Markup(page.read_text("utf-8"))
        for tag, attributes in found.elements:
            target = attributes.get("href") or attributes.get("src")
            if target is None:
                assert tag != "style"
                assert not (tag == "script" and "src" not in attributes)
                continue
            path, _, anchor = target.partition("#")
            assert ":" not in path, (page, target)
            assert not path.startswith("/"), (page, target)
            file = (page.parent / path).resolve() if path else page.resolve()
            assert file.is_relative_to(site.resolve()), (page, target)
            assert file.is_file(), (page, target)
            if anchor:
                if file not in ids:
                    ids[file] = {a["id"] or "" for _, a in Markup(file.read_text("utf-8")).elements if "id" in a}
                assert anchor in ids[file], (page, target)


def test_every_page_has_the_strict_policy_before_anything_is_loaded(runs: list[Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert build(runs, site) == 0
    for page in site.rglob("*.html"):
        found = Markup(page.read_text("utf-8")).elements
        place = next(i for i, (_, a) in enumerate(found) if a.get("http-equiv") == "Content-Security-Policy")
        loads = [i for i, (tag, _) in enumerate(found) if tag in ("link", "script", "img")]
        assert place < min(loads)
        assert "default-src 'none'" in (found[place][1]["content"] or "")
        assert "unsafe" not in (found[place][1]["content"] or "")
        assert [a for _, a in found if any(name.startswith("on") or name == "style" for name in a)] == []


def test_a_folder_of_someone_else_is_refused_and_left_alone(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert build(runs, tmp_path) == 2
    assert "thesis.tex" in capsys.readouterr().err
    assert contents(tmp_path) == {"thesis.tex": hashlib.sha256(b"years of work").hexdigest()}


def test_a_file_added_to_a_site_is_not_thrown_away(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    assert build(runs, site) == 0
    (site / "notes.txt").write_text("mine")
    assert build(runs[:2], site) == 2
    assert "notes.txt" in capsys.readouterr().err


def test_a_build_that_fails_leaves_the_former_site_whole(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    assert build(runs[:2], site) == 0
    before = contents(site)

    def fail(*arguments: object) -> str:
        raise OSError(28, "No space left on device", str(site))

    monkeypatch.setattr(building.Drafts, "write", fail)
    assert build(runs, site) == 2
    assert contents(site) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_tables_are_there_as_csv_and_json_with_the_numbers_of_the_page(runs: list[Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert build(runs, site) == 0
    overview = json.loads((site / "data/board.json").read_text())
    document = json.loads((site / overview["tables"]["token_f1"]).read_text())
    assert [row["run"] for row in document["rows"]] == ["a", "b", "c"]
    lines = (site / overview["tables"]["token_f1"].replace(".json", ".csv")).read_text().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("rank_low,rank_high,run,")
    page = next((site / "metrics").glob("token-f1-*.html"))
    text = Markup(page.read_text("utf-8")).text
    for row in document["rows"]:
        assert f"{row['value']:.3f}" in text
        if row["delta"] is not None:
            assert f"{row['delta']:.3f}".replace("-", "−") in text


def test_manifest_lists_every_file_with_its_hash(runs: list[Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert build(runs, site) == 0
    manifest = json.loads((site / "data/build.json").read_text())
    found = contents(site)
    del found["data/build.json"]
    assert manifest["files"] == found


def test_a_build_of_the_same_runs_does_nothing_and_of_others_keeps_what_says_the_same(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    assert build(runs, site) == 0
    times = {path: path.stat().st_mtime_ns for path in site.rglob("*")}
    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr(board_module, "make_board", None)
        assert build(runs, site) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in site.rglob("*")} == times
    # Another title is on every page, and in no table.
    assert build(runs, site, "--title", "Others") == 0
    tables = list((site / "data" / "tables").iterdir())
    assert {path.stat().st_mtime_ns == times[path] for path in tables} == {True}
    assert "Others" in (site / "index.html").read_text("utf-8")


def test_a_page_that_was_tampered_with_is_made_again(runs: list[Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert build(runs, site) == 0
    before = contents(site)
    (site / "index.html").write_text("changed")
    assert build(runs, site) == 0
    assert contents(site) == before


def test_a_build_that_was_killed_midway_is_made_good_by_the_next(runs: list[Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert build(runs, site) == 0
    before = contents(site)
    # Killed between the two renames, with a draft half written.
    site.rename(tmp_path / ".site.former")
    (tmp_path / ".site.building" / "runs").mkdir(parents=True)
    (tmp_path / ".site.building" / "old.html").write_text("half")
    assert build(runs, site, "--title", "Other") == 0
    assert set(contents(site)) == set(before)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_two_builds_of_one_site_at_a_time_are_refused(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = tmp_path / ".site.building"
    draft.mkdir()
    (draft / "theirs.html").write_text("being written")
    lock = FolderLock(draft)
    try:
        assert build(runs, tmp_path / "site") == 2
    finally:
        lock.release()
    assert "pid" in capsys.readouterr().err
    assert (draft / "theirs.html").is_file()
