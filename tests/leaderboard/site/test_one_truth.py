"""A board never contradicts itself, and its first lines say what its rows say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.site.formats import shortened
from telbench.leaderboard.site.model.headline import headline

from .boards import Markup, answers, board_of, write_items, write_run
from .contradictions import Standings, contradictions

COUNT = 60


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Seven runs of 60 items in 30 documents: some far apart, some near the first."""
    folder = tmp_path_factory.mktemp("one")
    write_items(folder, COUNT)
    right = {"production": 20, "near-a": 22, "near-b": 28, "good": 46, "best": 60, "poor": 4, "none": 0}
    return [write_run(folder, name, answers(count, COUNT)) for name, count in right.items()]


@pytest.fixture(scope="module")
def site(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "site"
    command = ["leaderboard", "build", *map(str, runs), "--baseline", str(runs[0]), "--out", str(out)]
    assert main(command) == 0
    return out


def test_no_row_contradicts_another_or_itself(site: Path) -> None:
    assert contradictions(site) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('data-value="c">c</td>', 'data-value="d">d</td>'), "letters"),
        (("better, p", "worse, p"), "another sign"),
        (('data-value="2">1</td>', 'data-value="2">7</td>'), "in the data"),
    ],
)
def test_the_check_finds_what_is_planted(site: Path, tmp_path: Path, change: tuple[str, str], told: str) -> None:
    for part in ("data", "metrics"):
        (tmp_path / part).mkdir()
        for file in [*(site / part).glob("*.html"), *(site / part).rglob("*.json")]:
            target = tmp_path / file.relative_to(site)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.read_bytes())
    page = (site / "index.html").read_text("utf-8")
    assert change[0] in page
    (tmp_path / "index.html").write_text(page.replace(*change), "utf-8")
    assert any(told in line for line in contradictions(tmp_path))


def test_the_first_lines_are_the_verdicts_in_words(site: Path, runs: list[Path]) -> None:
    page = (site / "index.html").read_text("utf-8")
    (block,) = re.findall(r'<ul class="headline">(.*?)</ul>', page, re.DOTALL)
    lines = [Markup(line).text.replace(" ,", ",") for line in block.split("</li>") if "<li" in line]
    interval = r"\(\+0\.\d+ \[0\.\d+, 0\.\d+\]\) ?\."
    assert re.fullmatch(rf"best is better than production on the overall score {interval}", lines[0])
    assert re.fullmatch(rf"good is better, too {interval}", lines[1])
    assert lines[2] == "near-b is not told apart from it."
    assert lines[3] == "none and poor are worse than it."
    assert lines[4] == "near-a cannot be told from it: too few items differ to tell."
    assert re.fullmatch(r"With these 60 questions, differences under 0\.\d+ cannot be seen\.", lines[5])
    board = board_of(runs, baseline=runs[0])
    told = {place: claim.kind for claim in headline(board) for place in claim.runs}
    verdicts = {row.run: row.comparison.verdict for row in board.tables[0].rows if row.comparison is not None}
    kinds = {"better": "better", "worse": "worse"}
    assert told == {place: kinds.get(verdict, "open") for place, verdict in verdicts.items()}


def test_the_baseline_stays_on_top_and_columns_that_no_run_has_are_gone(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    (pinned,) = re.findall(r'<tbody class="pinned">(.*?)</tbody>', page, re.DOTALL)
    assert pinned.count("<tr") == 1
    assert "production" in pinned
    heads = Markup(page.partition("<thead>")[2].partition("</thead>")[0]).text
    # Answers from a file have no engine, no weights and no speed; all items have a score.
    assert "Right" in heads
    assert "Words" in heads
    for head in ("Size", "Speed", "Missing"):
        assert head not in heads


def test_too_few_documents_for_so_many_runs_is_told_first(tmp_path: Path) -> None:
    write_items(tmp_path, 16)
    paths = [write_run(tmp_path, f"run{i}", answers(16 if i else 0, 16)) for i in range(8)]
    lines = [claim.said for claim in headline(board_of(paths, baseline=paths[0]))]
    assert lines[0] == "No run is shown to be better than run0 on the overall score"
    assert lines[1] == "cannot be told from it: too few source documents to tell: 8.0 effective, it takes 9"
    # Six of them would be enough of a family for the same 8 documents.
    assert "is better than run0" in headline(board_of(paths[:7], baseline=paths[0]))[0].said


def test_with_a_margin_each_row_says_whether_it_is_shown_not_to_be_worse_by_more(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["leaderboard", "build", *map(str, runs), "--baseline", str(runs[0]), "--out", str(tmp_path / "site")]
    assert main([*command, "--margin", "overall=0.02", "--margin", "bleu=2"]) == 0
    rows = Standings((tmp_path / "site" / "index.html").read_text("utf-8")).by_column()
    told = {run.rsplit("-", 1)[0]: cells["Δ to baseline"].rpartition(": ")[2] for run, cells in rows}
    board = board_of(runs, baseline=runs[0])
    for row in board.tables[0].rows:
        if row.comparison is not None and row.comparison.ci_verdict is not None:
            low, high = row.comparison.ci_verdict
            expected = "shown" if low > -0.02 else "worse" if high < -0.02 else "not shown"
            assert told[board.runs[row.run].name] == expected
    assert (told["best"], told["none"]) == ("shown", "worse")
    assert main([*command, "--margin", "nonsense=0.1"]) == 2
    assert "--margin nonsense: the board has overall, exact_match, token_f1, bleu" in capsys.readouterr().err


def test_one_run_alone_has_its_score_in_the_first_line(runs: list[Path]) -> None:
    (claim,) = headline(board_of(runs[:1]))
    told = r"has 0\.341 \(95 % 0\.\d{3} to 0\.\d{3}\) on the overall score, (\d+) % of its answers are right\. One .*"
    found = re.fullmatch(told, claim.said)
    assert found is not None
    assert int(found[1]) == round(100 * (board_of(runs[:1]).baseline.right or 0))


def test_one_run_alone_has_no_rank_letter_or_difference(runs: list[Path], tmp_path: Path) -> None:
    assert main(["leaderboard", "build", str(runs[0]), "--out", str(tmp_path / "site")]) == 0
    ((_, cells),) = Standings((tmp_path / "site" / "index.html").read_text("utf-8")).by_column()
    assert "Score" in cells
    assert not {"Rank", "Group", "Δ to baseline"} & set(cells)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["base", "student"], ["base", "student"]),
        (["a" * 80 + "-seed1", "a" * 80 + "-seed2"], ["a" * 12 + "…1", "a" * 12 + "…2"]),
        (["x" * 30 + "y" * 30], ["x" * 12 + "…" + "x" * 15 + "…" + "y" * 15]),
        (["m" * 20 + "1" + "m" * 40 + "Z", "m" * 20 + "2" + "m" * 40 + "Z"],
         ["m" * 12 + "…1" + "m" * 14 + "…" + "m" * 14 + "Z", "m" * 12 + "…2" + "m" * 14 + "…" + "m" * 14 + "Z"]),
        # Cutting in the middle would make these alike.
        ([f"{'a' * 30}{i}{'b' * 40}{i}{'c' * 20}" for i in (1, 1)], [f"{'a' * 30}1{'b' * 40}1{'c' * 20}"] * 2),
    ],
)  # fmt: skip
def test_long_names_are_cut_where_they_are_alike(names: list[str], expected: list[str]) -> None:
    assert shortened(names) == expected


def test_a_name_that_two_runs_share_gets_its_folder_and_no_other_does(tmp_path: Path) -> None:
    write_items(tmp_path)
    paths = [write_run(tmp_path, f"f{i}", answers(8 + i), title=title) for i, title in enumerate(("old", "new", "new"))]
    assert {run.name for run in board_of(paths, baseline=paths[0]).runs} == {"old", "new (f1)", "new (f2)"}
