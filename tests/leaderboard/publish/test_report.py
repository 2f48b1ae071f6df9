"""A report is one file that loads nothing, says what compare says, and lets no answer do anything."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import telbench
from telbench.harness.cli.main import main

from ..scored_runs import scored_run

COUNT = 40


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("runs")
    made = [
        scored_run(folder, name, "set", COUNT, right, "token_f1,exact_match,ter")
        for name, right in (("today", 0.9), ("<script>alert(1)</script>", 0.3), ("again", 0.9))
    ]
    return list(map(str, made))


class Elements(HTMLParser):
    """Names of elements, and whatever an attribute would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.loaded: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loaded += [
            value for name, value in attrs if name in ("src", "href", "action", "srcset") or name[:2] == "on"
        ]


def test_a_page_loads_nothing_and_shows_hostile_names_as_they_are(runs: list[str], tmp_path: Path) -> None:
    out = tmp_path / "reports" / "r.html"
    assert main(["report", *runs[:2], "--out", str(out), "--primary", "token_f1"]) == 0
    text = out.read_text("utf-8")
    elements = Elements(text)
    assert elements.loaded == []
    assert {"script", "link", "img", "iframe"} & set(elements.names) == set()
    assert {"svg", "table", "style"} <= set(elements.names)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; is worse than today" in text
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", text).replace("http-equiv", "")


def test_it_says_what_compare_says_and_shows_what_was_lost(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["compare", *runs[:2], "--markdown", "--primary", "token_f1"]) == 0
    answer = capsys.readouterr().out.split("\n\n")[0]
    assert main(["report", *runs[:2], "--primary", "token_f1", "--worst", "3"]) == 0
    told = capsys.readouterr().out
    assert answer in told
    losses = told.partition("largest losses")[2]
    assert losses.startswith(" of &lt;script")
    assert "(24 items lost)" in losses
    assert len(re.findall(r"^\| i\d+ \| 1 \| 0 \|", losses, re.MULTILINE)) == 3
    assert "| no idea |" in losses
    assert "--explain" not in told
    assert all(telbench.Run.read(run).header["run_id"][:12] in told for run in runs[:2])


def test_ids_alone_hold_no_text(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *runs[:2], "--items", "ids"]) == 0
    told = capsys.readouterr().out
    assert "largest losses" in told
    assert [word for word in ("no idea", "the answer", "Question") if word in told] == []


def test_one_run_and_three_have_reports_too(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", runs[1]]) == 0
    told = capsys.readouterr().out
    assert "lowest token\\_f1" in told or "lowest token_f1" in told
    assert "how to repeat it" in told
    assert main(["report", *runs, "--out", str(tmp_path / "three.html"), "--title", "Nightly"]) == 0
    text = (tmp_path / "three.html").read_text("utf-8")
    assert text.count("<figure>") == 2
    assert "<h1>Nightly</h1>" in text


def test_an_anchor_is_a_baseline(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anchor = str(tmp_path / "anchor.json")
    assert main(["baseline", "pin", runs[0], "--out", anchor]) == 0
    capsys.readouterr()
    assert main(["report", anchor, runs[2]]) == 0
    assert "how to repeat it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--out", "r.pdf"], 2, "--out r.pdf: a report is a .html or a .md file"),
        (["--metrics", "blue"], 2, "--metrics blue: the runs share"),
        (["--worst", "-1"], 2, "-1 is not between 0 and 1000"),
    ],
)
def test_what_cannot_be_reported_is_one_line(
    words: list[str], code: int, told: str, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *runs[:2], *words]) == code
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_runs_of_other_items_are_not_reported_together(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = scored_run(tmp_path, "other", "set", 12, 0.5, "token_f1")
    assert main(["report", runs[0], str(other)]) == 4
    assert "cannot be compared" in capsys.readouterr().err
    assert json.loads((other / "run.json").read_text())["status"] == "complete"
