"""The tables of a comparison: narrow enough for 80 columns, complete where asked, and the same in Markdown."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from telbench.harness.cli.main import main
from telbench.harness.cli.tables import Grid, Words, fitted, plain
from telbench.leaderboard.compare.explain import COLUMNS, FLAGS, PHRASES, VERDICTS, explained
from telbench.leaderboard.compare.markdown import escaped, markdown
from telbench.leaderboard.compare.pairwise import SHORT
from telbench.leaderboard.compare.table import report
from telbench.leaderboard.runs.loaded import LoadedRun

from ...made_runs import compared_runs, made_run, report_lines

N = 240
DRAW = np.random.default_rng(0)
BASE = DRAW.uniform(0.3, 0.6, N)
# Those of the set telbench14 that a made run can have.
TITLES = (
    "exact_match", "token_f1", "rouge1", "rouge2", "rougeL", "bertscore", "answer_similarity", "answer_relevance",
    "answer_correctness", "factual_correctness", "faithfulness", "rubric_score", "over_refusal",
)  # fmt: skip
HOSTILE = (
    "a|b", "`code` ``", "<script>alert(1)</script>", "@octocat #12 GH-7 o/r#3", "https://evil.example/x www.evil.com",
    "**b** _i_ ~~s~~ [l](http://x) ![i](y)", "# head", "- list", "1. one", "---", "line\nbreak\r| x |", "end\\",
    "\u202e rtl \x1b[31m", "$a$ &amp; &lt;",
)  # fmt: skip


def run_of(name: str, shift: float = 0.0, titles: tuple[str, ...] = TITLES) -> LoadedRun:
    return made_run(name, {title: (BASE + shift + DRAW.normal(0, 0.05, N)).tolist() for title in titles})


def test_no_line_of_usual_names_is_longer_than_80_columns() -> None:
    two = compared_runs([run_of("today"), run_of("candidate", -0.02)], TITLES, strata=True, primary=["token_f1"])
    thirteen = compared_runs([run_of(f"qwen2.5-{k}b-dskd", 0.01 * k, ("token_f1", "over_refusal")) for k in range(13)],
                             ("token_f1", "over_refusal"), strata=True)  # fmt: skip
    for found in (two, thirteen):
        lines = report_lines(found)
        assert max(map(len, lines)) <= 80
        wide = report_lines(found, wide=True)
        assert max(map(len, wide)) > 80
        assert " wins/ties/losses " in "\n".join(wide)
    assert sum(line.startswith("rank ") for line in report_lines(thirteen)) == 2
    assert sum(line.startswith("category ") for line in report_lines(thirteen)) == 1


def test_columns_that_do_not_fit_are_named_and_never_half_of_the_tables_lose_them() -> None:
    heads, spare = ("run", "verdict", "p", "n"), ("n", "p")
    short = Grid(heads, (("a", "worse", "0.1", "5"),), "<<>>", spare)
    long = Grid(heads, (("a" * 20, "worse", "0.1", "5"),), "<<>>", spare)
    blocks = fitted([short, Words("between"), long], 36)
    assert [block.heads for block in blocks if isinstance(block, Grid)] == [("run", "verdict", "p")] * 2
    assert blocks[-1] == Words("left out, for lines of 36 columns (--wide has them): n")
    assert fitted([short], 80) == [Grid(heads, short.rows, "<<>>")]
    # A name is never cut: the row is longer than the line when nothing is left to leave out.
    narrow = plain(fitted([long], 10))
    assert narrow[:2] == ["run                   verdict", f"{'a' * 20}  worse"]


def test_the_table_says_by_row_what_it_rests_on() -> None:
    base = made_run("today", {"exact_match": [0.0] * 40 + [1.0] * 10 + [0.0] * 150, "over_refusal": [0.25] * 200})
    run = made_run("candidate", {"exact_match": [1.0] * 40 + [0.0] * 160, "over_refusal": [0.25] * 100 + [0.75] * 100})
    lines = report_lines(compared_runs([base, run], ["exact_match", "over_refusal"]), wide=True)
    place = next(place for place, line in enumerate(lines) if line.startswith("metric"))
    heads, first, second = (re.split(r"  +", line) for line in lines[place : place + 3])
    assert heads == ["metric", "today", "candidate", "difference", "p", "verdict", "sees", "r", "wins/ties/losses", "n"]
    assert first[:3] == ["exact_match", "0.050", "0.200"]
    assert (first[5], *first[7:]) == ("better", "0.600", "40/150/10", "200")
    # A rise of a half on half of the items, where lower is better: the difference is that of the values.
    assert second[:3] == ["over_refusal (lower)", "0.250", "0.500"]
    assert second[3].startswith("+0.250 [0.")
    assert (second[5], *second[7:]) == ("worse", "-1.000", "0/100/100", "200")


def test_long_names_stand_above_the_table_and_names_of_columns_are_no_heads() -> None:
    lines = report_lines(compared_runs([run_of("telecom-base-1.5b-long"), run_of("candidate")], ["token_f1"]))
    assert "made test: 240 items; base is telecom-base-1.5b-long, run is candidate" in lines
    assert any(line.split()[:3] == ["metric", "base", "run"] for line in lines)
    for name in ("n", "p", "metric"):
        lines = report_lines(compared_runs([run_of("today"), run_of(name)], ["token_f1"]))
        assert any(line.split()[:3] == ["metric", "base", "run"] for line in lines)


def test_metrics_that_nobody_has_are_named_and_have_no_table() -> None:
    runs = [made_run(name, {"token_f1": BASE.tolist(), "exact_match": [None] * N}) for name in ("a", "b")]
    found = compared_runs(runs, ["token_f1", "exact_match"])
    lines = report_lines(found)
    assert "not compared, as no item has a score in both: exact_match" in lines
    assert sum("exact_match" in line for line in lines) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_in_markdown(name: str) -> None:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    text = markdown(report(compared_runs([run_of("today"), run_of(name, -0.1)], ["token_f1"])))
    tokens = [child for token in parser.parse(text) for child in (token, *(token.children or ()))]
    # The answer is bold, and nothing else is anything.
    assert {token.type for token in tokens if token.type.endswith("_open")} <= {
        "paragraph_open", "strong_open", "heading_open", "table_open", "thead_open", "tbody_open", "tr_open", "th_open",
        "td_open", "bullet_list_open", "list_item_open",
    }  # fmt: skip
    assert sum(token.type == "strong_open" for token in tokens) == 1
    assert not {"code_inline", "image", "fence", "code_block", "hr", "html_block"} & {token.type for token in tokens}
    assert {token.content for token in tokens if token.type == "html_inline"} <= {"<span>", "</span>"}
    shown = parser.render(text)
    rows = re.findall(r"<tr>(.*?)</tr>", shown, flags=re.S)
    assert len({row.count("<t") for row in rows}) == 1
    said = html.unescape(re.sub(r"<[^>]+>", "", shown))
    # What GitHub makes links of after Markdown has been read.
    assert not re.search(r"@\w|#\d|GH-\d|://|www\.", said)
    plain_name = escaped(name)
    assert plain_name in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_markdown_says_what_the_terminal_says() -> None:
    found = compared_runs([run_of("today"), run_of("candidate", -0.02)], TITLES, strata=True, primary=["token_f1"])
    rendered = MarkdownIt("commonmark").enable("table").render(markdown(report(found)))
    said = html.unescape(re.sub(r"<[^>]+>", " ", rendered))
    words = set(said.split())
    for line in report_lines(found, wide=True):
        assert set(line.split()) <= words, line


def test_a_ranking_by_ranks_shows_the_ranks_that_it_tests() -> None:
    runs = [run_of(f"telecom-{name}", shift, ("token_f1",)) for name, shift in (("a", 0.0), ("b", 0.1), ("c", 0.1))]
    heads = {posthoc: next(line for line in report_lines(compared_runs(runs, ["token_f1"], posthoc=posthoc))
                           if line.startswith("rank ")) for posthoc in ("mean", "nemenyi")}  # fmt: skip
    assert "mean rank" not in heads["mean"]
    assert "mean rank" in heads["nemenyi"]


def test_every_verdict_has_a_word_and_every_word_a_meaning() -> None:
    assert set(SHORT.values()) <= set(VERDICTS)
    assert {"identical", "sign_conflict", "few_items", "few_clusters", "many_ties"} <= set(FLAGS)


def occurring() -> list[LoadedRun]:
    spiky = np.where(np.arange(N) % 10 == 0, BASE - 0.35, BASE + 0.01)
    return [made_run("today", {"token_f1": BASE.tolist()}), made_run("spiky", {"token_f1": spiky.tolist()})]


def test_what_occurs_is_explained_and_nothing_else() -> None:
    found = compared_runs(occurring(), ["token_f1"])
    blocks = fitted(report(found))
    (grid,) = (block for block in blocks if isinstance(block, Grid))
    told = [block.text for block in explained(found, blocks) if isinstance(block, Words)]
    words = [line.partition(": ")[0] for line in told[1:]]
    assert set(grid.heads) - {"today", "spiky"} <= set(words)
    assert "today, spiky" in words
    left_out = set(COLUMNS) - set(grid.heads)
    assert left_out
    assert not left_out & set(words)
    assert set(VERDICTS) & set(words) == {"worse, mixed"}
    assert [word for word in words if word.startswith("flag ")] == ["flag sign_conflict (token_f1)"]
    assert "difference: spiky minus today, item by item" in " ".join(told)
    assert {"Friedman p", "tied"} & set(words) == set()


def test_of_many_runs_ranks_and_ties_are_explained() -> None:
    runs = [run_of(name, shift, ("token_f1",)) for name, shift in (("a", 0.0), ("b", 0.1), ("c", 0.1))]
    found = compared_runs(runs, ["token_f1"])
    words = {block.text.partition(": ")[0] for block in explained(found, fitted(report(found)))
             if isinstance(block, Words)}  # fmt: skip
    assert {"rank", "run", "score", "group", "better", "base", "tied", "Kendall's W", "Friedman p", "Holm"} <= words


def test_every_phrase_that_is_explained_occurs_in_some_report() -> None:
    few = [made_run(name, {"over_refusal": (BASE + shift).tolist()}, per_document=80)
           for name, shift in (("a", 0.0), ("b", 0.1), ("c", 0.2))]  # fmt: skip
    many = [*occurring(), run_of("twin", 0.001, ("token_f1",))]
    lower = [run_of(name, shift, ("over_refusal",)) for name, shift in (("a", 0.0), ("b", 0.1))]
    found = [compared_runs(few, ["over_refusal"]), compared_runs(many, ["token_f1"]),
             compared_runs(many, ["token_f1"], posthoc="nemenyi"), compared_runs(lower, ["over_refusal"])]  # fmt: skip
    text = "\n".join(block.text for each in found for block in report(each) if isinstance(block, Words))
    assert [phrase for phrase in PHRASES if phrase not in text] == []


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    place = tmp_path_factory.mktemp("runs")
    rows = [{"id": f"q{n}", "question": f"What is {n}?", "references": [f"number {n}"], "source_document": f"d{n}"}
            for n in range(60)]  # fmt: skip
    (place / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, right in (("today", 50), ("candidate", 20), ("other", 35)):
        answers = [{"id": f"q{n}", "prediction": f"number {n}" if n < right else "none"} for n in range(60)]
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
        asked = ["--data", str(place / "data.jsonl"), "--metrics", "exact_match", "--out", str(place / name)]
        assert main(["score", str(place / f"{name}.jsonl"), *asked]) == 0
    return [str(place / name) for name in ("today", "candidate", "other")]


def test_the_command_prints_the_answer_first_in_each_form(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    begins = "candidate is worse than today on exact_match: -0.500 ["
    for more, first in (
        ([], begins),
        (["--wide"], begins),
        (["--explain"], begins),
        (["--markdown"], f"**{begins[:-1]}"),
    ):
        assert main(["compare", *folders[:2], *more]) == 0
        told = capsys.readouterr()
        assert told.out.startswith(first)
        assert told.out.isascii()
        assert "\x1b" not in told.out
        assert ("what this means" in told.out) == (more == ["--explain"])
    assert main(["compare", *folders, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["answer"]["sentences"] == ["exact_match: today leads with 0.833, alone. Against today: 2 worse."]
    assert document["answer"]["leaders"][0]["leaders"] == ["today"]
    assert document["runs"][1]["difference"]["exact_match"]["delta"] == -0.5


@pytest.mark.parametrize("form", ["markdown", "explain"])
def test_json_and_another_form_at_once_are_refused(
    form: str, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["compare", *folders[:2]],
        ["check", "--baseline", folders[0], "--candidate", folders[1], "--margin", "exact_match=0.1"],
    ):
        assert main([*words, "--json", f"--{form}"]) == 2
        assert capsys.readouterr().err.count(f"--json and --{form}: choose one") == 1


def test_a_report_too_long_for_a_comment_is_told(
    folders: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("telbench.leaderboard.commands.compare.COMMENT_LIMIT", 100)
    assert main(["compare", *folders, "--markdown"]) == 0
    assert "a comment on GitHub holds 100" in capsys.readouterr().err
