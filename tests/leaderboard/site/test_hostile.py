"""Answers, questions, names and ids of unknown origin: nothing runs, leaves its folder or reorders a line."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.site.formats import text
from telbench.leaderboard.site.model import items
from telbench.leaderboard.site.model.board import slug
from telbench.leaderboard.site.model.data_files import csv_cell

from .boards import Markup, unpacked_answers

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    '"><svg onload=alert(4)>',
    "javascript:alert(5)",
    "[click](javascript:alert(6))",
    "\u202egnp.exe\u2066",
    "nul\x00 and \x1b[31mred",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- " + "&" * 50,
    "line\u2028separator\u2029",
    "x" * 1_000_000,
]
NAMES = ["../../x", "<script>alert(7)</script>", "a/../../b"]
ALLOWED = {
    "html",
    "head",
    "meta",
    "title",
    "link",
    "body",
    "a",
    "header",
    "nav",
    "ul",
    "li",
    "main",
    "h1",
    "h2",
    "h3",
    "p",
    "b",
    "span",
    "div",
    "dl",
    "dt",
    "dd",
    "code",
    "section",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "footer",
    "script",
    "bdi",
    "abbr",
    "label",
    "input",
    "select",
    "option",
    "button",
    "article",
    "ol",
    "details",
    "summary",
    "figure",
    "figcaption",
    "svg",
    "g",
    "line",
    "circle",
    "rect",
    "text",
    "desc",
    "path",
    "polyline",
    "ins",
    "del",
    "form",
    "noscript",
    "mark",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    data = folder / "items.jsonl"
    with data.open("w") as stream:
        for index, words in enumerate(HOSTILE):
            item = {
                "id": f"../{index}/{words[:200]}",
                "question": f"What is {words[:5000]}?",
                "references": [words[:5000].replace("\x00", "") or "nothing"],
                "category": words[:60],
                "source_document": words[:60],
            }
            stream.write(json.dumps(item) + "\n")
    made = []
    for number, name in enumerate(NAMES):
        file = folder / f"answers{number}.jsonl"
        rows = [
            {"id": f"../{index}/{words[:200]}", "prediction": words if number else f"I refuse {words[:100]}"}
            for index, words in enumerate(HOSTILE)
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        out = folder / "runs" / str(number)
        command = ["score", str(file), "--data", str(data), "--metrics", "exact_match,token_f1", "--out", str(out)]
        assert main([*command, "--name", name]) == 0
        header = json.loads((out / "run.json").read_text())
        header["factors"] = {"<b>": name, "seed": "'\"><script>"}
        (out / "run.json").write_text(json.dumps(header))
        made.append(out)
    return made


@pytest.mark.parametrize("large", [False, True])
def test_no_text_becomes_markup_on_any_page(
    large: bool, runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(items, "WHOLE_UP_TO", 0)
    site = tmp_path / "deep" / "site"
    title = "</title><script>alert(8)</script>"
    assert main(["leaderboard", "build", *map(str, runs), "--out", str(site), "--title", title]) == 0
    assert {path.name for path in tmp_path.rglob("*") if not path.is_relative_to(site)} == {"deep"}
    pages = list(site.rglob("*.html"))
    assert len(pages) > (6 if large else 15)
    for page in pages:
        words = page.read_text("utf-8")
        found = Markup(words)
        assert {tag for tag, _ in found.elements} <= ALLOWED, page
        scripts = [attributes for tag, attributes in found.elements if tag == "script"]
        places = r"(\.\./)*(assets|data)/[\w/-]+\.js"
        assert all(set(each) == {"src"} and re.fullmatch(places, each["src"] or "") for each in scripts), page
        for _, attributes in found.elements:
            assert not [name for name in attributes if name.startswith("on")], page
            target = attributes.get("href") or ""
            assert re.fullmatch(r"(\.\./)*[a-z0-9./-]*(#[\w=&-]+)?", target), (page, target)
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\u2028\u2029]", words), page
        assert len(words) < 3_000_000
    for path in site.rglob("*"):
        assert re.fullmatch(r"[\w./-]+", str(path.relative_to(site)))
        assert ".." not in str(path.relative_to(site))


def test_answers_of_a_large_board_travel_as_characters_that_mean_nothing(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "WHOLE_UP_TO", 0)
    assert main(["leaderboard", "build", *map(str, runs), "--out", str(tmp_path / "site")]) == 0
    (shard,) = (tmp_path / "site" / "data" / "answers").iterdir()
    found = re.fullmatch(r'telbenchAnswers\("([A-Za-z0-9+/=]+)"\);\n', shard.read_text("ascii"))
    assert found is not None
    document = unpacked_answers(shard.read_bytes())
    shown = {answer[1] for answers in document["items"].values() for answer in answers}
    assert "<script>alert(1)</script>" in shown
    assert not any("\x00" in words or "\u202e" in words for words in shown)
    assert max(map(len, shown)) < 5000


def test_names_that_point_elsewhere_make_plain_file_names() -> None:
    assert re.fullmatch(r"x-[0-9a-f]{8}", slug("../../x", "1"))
    assert re.fullmatch(r"run-[0-9a-f]{8}", slug("\u202e../..", "1"))
    assert slug("a", "1") != slug("a", "2")
    assert len(slug("x" * 10_000, "1")) < 60


def test_hidden_characters_are_shown_and_endless_text_is_cut() -> None:
    assert text("a\u202eb\x00c") == "a\\u202eb\\x00c"
    assert text("x" * 30, 10) == "xxxxxxxxxx … (20 more characters)"


@pytest.mark.parametrize("words", ["=1+1", "+cmd", "-2", "@sum", "\t=1"])
def test_acsv_cell_is_no_formula(words: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([csv_cell(words)])
    assert not stream.getvalue().startswith(("=", "+", "-", "@", "\t"))
    assert csv_cell(-0.5) == -0.5
