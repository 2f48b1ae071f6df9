"""Badge and preview: they say what the first table says, stand alone, and names in them stay text."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.site.cards.badge import badge
from telbench.leaderboard.site.cards.files import card_files
from telbench.leaderboard.site.cards.preview import HEIGHT, WIDTH, Bar, Words, as_png, as_svg, card
from telbench.leaderboard.site.model.board import Board

from ..boards import Markup, answers, board_of, write_run

HOSTILE = "</text><script>alert(1)</script>&\"'" + "x" * 300


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("carded")
    return [write_run(folder, name, answers(right)) for name, right in (("base", 4), ("good", 22), ("same", 4))]


@pytest.fixture(scope="module")
def board(runs: list[Path]) -> Board:
    return board_of(runs, baseline=runs[0], url="https://boards.example/t/")


def test_the_badge_counts_the_verdicts_of_the_first_table(board: Board) -> None:
    files = dict(card_files(board))
    verdicts = [row.comparison.verdict for row in board.tables[0].rows if row.comparison is not None]
    better, worse = (sum(each.startswith(word) for each in verdicts) for word in ("better", "worse"))
    assert better == 1
    told = "".join(ET.fromstring(files["badge.svg"]).itertext())
    assert f"{better} better, {worse} worse than base" in told


def test_the_preview_has_every_best_run_with_its_score(board: Board) -> None:
    files = dict(card_files(board))
    root = ET.fromstring(files["preview.svg"])
    words = [each.text for each in root.iter() if each.tag.endswith("}text")]
    assert {"base", "good", "same"} <= set(words)
    assert any("good is better than base" in (word or "") for word in words)
    assert files["preview.png"][:8] == b"\x89PNG\r\n\x1a\n"


def test_the_same_board_gives_the_same_pictures(board: Board) -> None:
    assert dict(card_files(board)) == dict(card_files(board))


@pytest.mark.parametrize("count", [0, 1, 40])
def test_a_card_keeps_everything_inside_and_names_stay_text(count: int) -> None:
    bars = [Bar(HOSTILE, "0.5", 0.1 * place, None if place % 2 else 0.0, 1.0) for place in range(count)]
    shapes = card(HOSTILE, [HOSTILE + " word" * 90] * 9, bars, HOSTILE)
    root = ET.fromstring(as_svg(HOSTILE, shapes))
    assert not [each for each in root.iter() if "script" in each.tag]
    for each in shapes:
        if isinstance(each, Words):
            left = each.x - (0.54 * each.size * len(each.words) if each.right else 0)
            assert left >= 0
            assert left + 0.54 * each.size * len(each.words) <= WIDTH
            assert 0 < each.y < HEIGHT
    image = pytest.importorskip("PIL.Image")
    assert image.open(io.BytesIO(as_png(shapes))).size == (WIDTH, HEIGHT)


def test_a_badge_is_as_wide_as_its_words() -> None:
    narrow, wide = (ET.fromstring(badge("telbench", words, "#000")) for words in ("ok", "W" * 30))
    assert float(narrow.get("width", "0")) < float(wide.get("width", "0")) / 3
    assert "".join(ET.fromstring(badge(HOSTILE, "x", "#000")).itertext()).count("alert(1)") == 2


def test_links_show_a_picture_only_where_the_address_is_known(runs: list[Path], tmp_path: Path) -> None:
    words = ["leaderboard", "build", *map(str, runs), "--out", str(tmp_path / "site")]
    for more, image in (([], None), (["--url", "https://boards.example/t"], "https://boards.example/t/preview.png")):
        assert main([*words, *more]) == 0
        page = Markup((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
        told = {each.get("property"): each.get("content") for name, each in page.elements if name == "meta"}
        assert told.get("og:image") == image
        assert (tmp_path / "site" / "preview.png").exists() == (image is not None)
        assert "base" in str(told["og:description"])
    assert main([*words, "--url", "boards.example"]) == 2
