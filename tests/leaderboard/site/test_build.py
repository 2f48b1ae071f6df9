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
            # What a page is asked to show is no place on it.
            if anchor and "=" not in anchor:
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


def test_what_hosts_and_systems_put_into_a_site_stays_there(runs: list[Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert build(runs, site) == 0
    (site / ".git" / "objects").mkdir(parents=True)
    (site / ".git" / "HEAD").write_text("ref: refs/heads/pages")
    (site / "CNAME").write_text("board.example.org")
    (site / ".nojekyll").write_text("")
    (site / "runs" / ".DS_Store").write_text("")
    assert build(runs[:2], site) == 0
    assert (site / ".git" / "HEAD").read_text() == "ref: refs/heads/pages"
    assert (site / "CNAME").read_text() == "board.example.org"
    # Killed after the new site was put in place and before the former one's files came over.
    (tmp_path / ".site.former").mkdir()
    (site / ".git").rename(tmp_path / ".site.former" / ".git")
    assert build(runs, site) == 0
    assert (site / ".git" / "HEAD").read_text() == "ref: refs/heads/pages"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_run_keeps_its_address_when_it_is_scored_again(tmp_path: Path) -> None:
    site, given = tmp_path / "site", answers(14)
    paths = [write_run(tmp_path, "a", given), write_run(tmp_path, "b", answers(20))]
    assert build(paths, site) == 0
    before = sorted(path.name for path in (site / "runs").iterdir())
    write_run(tmp_path, "a", given, "exact_match,token_f1,bleu,rouge1")
    assert build(paths, site) == 0
    assert sorted(path.name for path in (site / "runs").iterdir()) == before


@pytest.mark.parametrize("items", ["all", "ids", "none"])
def test_texts_of_items_are_shown_as_asked(runs: list[Path], tmp_path: Path, items: str) -> None:
    site = tmp_path / "site"
    assert build(runs, site, "--items", items) == 0
    pages = "".join(path.read_text("utf-8") for path in site.rglob("*") if path.is_file())
    for text in ("What does the", "handles case", "It routes packets"):
        assert (text in pages) == (items == "all")
    assert (site / "items.html").exists() == (items != "none")
    assert ("Item i3" in pages) == (items == "ids")
    for page in site.rglob("*.html"):
        for tag, told in Markup(page.read_text("utf-8")).elements:
            if tag == "a" and "items" in (told.get("href") or "").partition("#")[0]:
                assert (page.parent / str(told["href"]).partition("#")[0]).exists()


def test_protected_questions_are_left_out_unless_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_run(tmp_path, "a", answers(14))
    header = json.loads((path / "run.json").read_text())
    header["data"]["name"] = "teleqna"
    (path / "run.json").write_text(json.dumps(header))
    assert build([path], tmp_path / "site") == 0
    assert "its publisher keeps them from being crawled (--items all shows them)" in capsys.readouterr().err
    assert "What does the" not in (tmp_path / "site" / "items.html").read_text("utf-8")
    assert build([path], tmp_path / "site", "--items", "all") == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "pages hold the texts of teleqna (netop-team/TeleQnA, MIT); its publisher keeps them from" in told
    page = Markup((tmp_path / "site" / "items.html").read_text("utf-8")).text
    assert "Questions and references: teleqna, netop-team/TeleQnA, MIT." in page
    assert "What does the" in page


def test_the_card_of_answers_from_a_file_invents_no_engine(runs: list[Path], tmp_path: Path) -> None:
    assert build(runs, tmp_path / "site") == 0
    (page, *_) = (tmp_path / "site" / "runs").glob("a-*.html")
    card = Markup(page.read_text("utf-8").partition('<dl class="card">')[2].partition("</dl>")[0]).text
    assert "Engine not known: answers from a file" in card
    for name in ("Temperature", "Longest answer", "Precision", "Tokens"):
        assert f"{name} n/a" in card


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
    lines = (site / overview["tables"]["token_f1"].replace(".json", ".csv")).read_text("utf-8-sig").splitlines()
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
