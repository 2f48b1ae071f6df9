"""A third party's page of the board: in the menu, in its look and its policy, and held to a place of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.registry import listed

from ..installed import install


def board_of(folder: Path) -> list[str]:
    """The words that build a board of one run; the site is in ``board``."""
    rows = [{"id": f"i{place}", "question": f"Q{place}?", "references": ["an answer"]} for place in range(4)]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = [{"id": row["id"], "prediction": "three whole words"} for row in rows]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    run = folder / "run"
    words = ["score", str(folder / "answers.jsonl"), "--data", str(folder / "items.jsonl"), "--metrics", "exact_match"]
    assert main([*words, "--out", str(run), "--name", "<b>model"]) == 0
    return ["leaderboard", "build", str(run), "--out", str(folder / "board")]


def test_a_third_partys_page_is_in_the_menu_and_as_safe_as_the_others(
    installed_plugins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = board_of(tmp_path)
    assert main(words) == 0
    page = (tmp_path / "board" / "lengths.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;model" in page
    assert "<b>model" not in page
    assert ": 3.0 words" in page
    assert "Content-Security-Policy" in page
    assert '<a href="lengths.html">Lengths</a>' in (tmp_path / "board" / "index.html").read_text(encoding="utf-8")
    assert main(words) == 0
    assert "nothing changed" in capsys.readouterr().out


BROKEN = {
    "raises": ("def pages(board): raise KeyError('gone'); yield", "failed: KeyError: 'gone'"),
    "leaves": ("def pages(board): yield File('../out.html', b'')", "'../out.html' is no place inside the site"),
    "asset": ("def pages(board): yield File('assets/board.js', b'')", "'assets/board.js' is no place"),
    "twice": ("def pages(board): yield File('index.html', b'')", "index.html is there already"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_page_is_one_line_and_the_site_stays_as_it_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = board_of(tmp_path)
    code, told = BROKEN[name]
    site = tmp_path / "packages"
    site.mkdir()
    install(site, "broken-page", {"telbench.pages": {"mine": f"broken_{name}:MINE"}})
    (site / f"broken_{name}.py").write_text(
        "from telbench.leaderboard.site.page import File, Section\n"
        f"{code}\nMINE = Section('mine.html', 'Mine', pages)\n"
    )
    monkeypatch.syspath_prepend(site)
    listed.cache_clear()
    try:
        assert main(words) == 2
    finally:
        listed.cache_clear()
    error = capsys.readouterr().err
    assert told in error
    assert "'mine'" in error
    assert not (tmp_path / "board").exists()
    assert not (tmp_path / "out.html").exists()


def test_what_is_no_section_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = board_of(tmp_path)
    site = tmp_path / "packages"
    site.mkdir()
    install(site, "no-page", {"telbench.pages": {"mine": "json:dumps"}})
    monkeypatch.syspath_prepend(site)
    listed.cache_clear()
    try:
        assert main(words) == 2
    finally:
        listed.cache_clear()
    assert "plugin 'mine' is not a telbench Section but a function" in capsys.readouterr().err
