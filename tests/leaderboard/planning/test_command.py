"""``telbench plan`` as users call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two real runs on 120 items in 40 documents, and one of a single item."""
    folder = tmp_path_factory.mktemp("plan")
    data = folder / "data.jsonl"
    records = [{"id": f"i{i}", "question": f"Q {i}?", "references": [f"the answer {i}"]} for i in range(120)]
    data.write_text(
        "".join(json.dumps({**each, "source_document": f"d{i // 3}"}) + "\n" for i, each in enumerate(records))
    )
    found = {}
    for name, wrong in (("base", 3), ("run", 4)):
        answers = [{"id": f"i{i}", "prediction": "other" if i % wrong == 0 else f"answer {i}"} for i in range(120)]
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(each) + "\n" for each in answers))
        found[name] = folder / name
        assert (
            main(["score", str(file), "--data", str(data), "--metrics", "token_f1,bleu", "--out", str(found[name])])
            == 0
        )
    return found


def plan(*words: object) -> int:
    return main(["plan", *map(str, words)])


def test_two_runs_are_planned_from_and_agree_with_the_last_line_of_the_check(runs, capsys):
    assert plan(runs["base"], runs["run"], "--margin", "token_f1=0.02,bleu=2") == 0
    told = capsys.readouterr().out
    assert told.startswith("plan from two runs: run against base, 120 items in 40 documents\n")
    assert (
        main(["check", "--baseline", str(runs["base"]), "--candidate", str(runs["run"]), "--margin", "token_f1=0.02"])
        < 2
    )
    line = capsys.readouterr().out.splitlines()[-1]
    items, documents = line.rpartition("you need about ")[2].removesuffix(" documents").split(" in ")
    (row,) = [each for each in told.splitlines() if each.startswith("token_f1") and " items in " in each]
    assert f" {items} [" in row
    assert f"in {documents} documents" in row
    assert f"a drop of {line.partition('a drop of ')[2].split()[0]} [" in row


def test_json_is_one_document_with_reasons_in_place_of_numbers(runs, capsys):
    assert (
        plan(runs["base"], runs["run"], "--margin", "token_f1=0.02", "--items", 700, "--documents", 100, "--json") == 0
    )
    document = json.loads(capsys.readouterr().out)
    (metric,) = document["metrics"]
    assert metric["check"]["needed"]["items"] > 120
    assert metric["seeds"] == {"seeds": None, "low": None, "high": None, "reason": "one training seed a model"}
    assert {option["buys"] for option in metric["budget"]} == {"now", "documents", "items"}
    assert (metric["design"]["items"], metric["design"]["documents"]) == (700, 100)


def test_without_a_margin_all_shared_metrics_tell_what_they_can_show(runs, capsys):
    assert plan(runs["base"], runs["run"]) == 0
    told = capsys.readouterr().out
    assert "a check needs" not in told
    assert "bleu      a drop of" in told


def test_one_run_and_assumptions_alone_are_plans_too(runs, capsys):
    assert plan(runs["base"], "--correlation", 0.5, "--margin", "token_f1=0.02") == 0
    assert "plan from one run: base" in capsys.readouterr().out
    assert plan("--margin", "token_f1=0.03", "--sd", 1 / 3, "--items", 500) == 0
    told = capsys.readouterr().out
    assert told.startswith("plan from assumptions\n")
    assert "970 items in 970 documents" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to plan"),
        (("--margin", "token_f1=0.02"), "--sd"),
        (("BASE",), "--correlation"),
        (("BASE", "--correlation", "0.5", "--sd", "0.1"), "give one"),
        (("BASE", "RUN", "--sd", "0.1"), "two runs tell it"),
        (("BASE", "RUN", "--icc", "0.1"), "--icc"),
        (("BASE", "RUN", "--margin", "token_f=0.1"), "did you mean 'token_f1'"),
        (("BASE", "RUN", "--margin", "token_f1=2"), "nothing would fail"),
        (("BASE", "RUN", "--margin", "token_f1=-1"), "positive"),
        (("BASE", "RUN", "--items", "50"), "--items and --documents go together"),
        (("BASE", "RUN", "--items", "50", "--documents", "60"), "more than the 50 items"),
        (("BASE", "RUN", "--power", "1"), "power"),
        (("BASE", "nowhere"), "nowhere"),
        (("--margin", "x=0.1", "--sd", "0.1", "--documents", "5"), "--items"),
        (("--margin", "x=0.1", "--sd", "nan"), "sd"),
        (("--margin", "x=-0.1", "--sd", "0.1"), "positive"),
        (("--margin", "x=0.1", "--sd", "0.1", "--correlation", "0.4"), "--correlation"),
        (("--margin", "x=0.1", "--sd", "0.1", "--items", "10", "--documents", "20"), "more than the 10 items"),
    ],
)
def test_bad_usage_is_one_line_that_says_how_to_mend_it(runs, capsys, words, message):
    capsys.readouterr()
    names = {"BASE": str(runs["base"]), "RUN": str(runs["run"])}
    assert plan(*(names.get(word, word) for word in words)) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
