"""A suite's file: what may be written short, what comes before what, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.settings import SUITES
from telbench.harness.suite.checking import check_entries
from telbench.harness.suite.entries import entries_of, entry_of, shares_of
from telbench.harness.suite.file import read_suite

WHOLE = """
models:
  small: /models/small
  large: {model: /models/large, dtype: bfloat16}
data:
  telequad: {limit: 20}
  mine: {data: questions.jsonl, max_tokens: 16}
prompts:
  plain: {}
  terse: {instruction: One word.}
settings: {max_tokens: 64, metrics: [token_f1]}
changes:
  - {model: [large], data: [mine], settings: {max_tokens: 8}}
  - {model: [small], prompt: [terse], skip: true}
baseline: large
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "suite.yaml"
    file.write_text(text)
    return file


def test_every_pair_is_an_entry_with_its_own_settings(tmp_path: Path) -> None:
    entries = entries_of(read_suite(written(tmp_path, WHOLE)), "suite.yaml")
    found = {each.label: (each.settings.get("max_tokens"), each.settings.get("dtype")) for each in entries}
    assert found == {
        "large-telequad-plain": (64, "bfloat16"),
        "large-telequad-terse": (64, "bfloat16"),
        # The data's own setting comes before what all share, a change before both.
        "large-mine-plain": (8, "bfloat16"),
        "large-mine-terse": (8, "bfloat16"),
        "small-telequad-plain": (64, None),
        "small-mine-plain": (16, None),
    }
    asked = entries[1].asked()
    assert (asked.model, asked.name, asked.data.limit) == ("/models/large", "large", 20)
    assert asked.prompt.instruction == "One word."


def test_an_entry_is_a_record_that_makes_it_again(tmp_path: Path) -> None:
    for entry in entries_of(read_suite(written(tmp_path, WHOLE)), "suite.yaml"):
        assert entry_of(entry.to_dict()) == entry


def test_lists_stand_for_names_of_folders_and_sets(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, "models: [/a/one, /a/two]\ndata: [telequad, questions.jsonl, open-telco]"))
    assert list(suite.models) == ["one", "two"]
    assert list(suite.data) == ["telequad", "questions", *SUITES["open-telco"]]
    assert {own["data"] for own in suite.data.values()} == {"telequad", "questions.jsonl", *SUITES["open-telco"]}


def test_only_what_changes_an_answer_or_a_score_gives_another_folder(tmp_path: Path) -> None:
    text = "models: [/a/one]\ndata: [telequad]\nsettings: {%s}"

    def folder(settings: str) -> str:
        return entries_of(read_suite(written(tmp_path, text % settings)), "s")[0].folder

    usual = folder("max_tokens: 8")
    assert folder("max_tokens: 8, workers: 2, data_dir: /data, cache: false") == usual
    assert folder("max_tokens: 9") != usual


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data: [telequad]", "the key 'models' is missing"),
        ("models: [/a]\ndata: {}", "data is empty: name one or more"),
        ("models: [/a]\ndata: [telequad]\nmodles: [/b]", "unknown key 'modles' (line 3): did you mean 'models'?"),
        ("models: [/a]\ndata: [telequad]\nsettings:\n  max_token: 3", "unknown key 'max_token' (line 4): did you mean"),
        ("models: {a: {model: /a, dtype: float3}}\ndata: [telequad]", "models: a (line 1): dtype is 'float3'"),
        ("models: {a: {dtype: float32}}\ndata: [telequad]", "a names no model: add 'model: FOLDER' to it"),
        ("models: [/a, /b/a]\ndata: [telequad]", "'a' is there twice: give names of your own"),
        ("models: [/a]\ndata: [telequad, telequad]", "'telequad' is there twice"),
        ("models: [/a]\ndata: [open-telco, ot-telemath]", "'ot-telemath' is there twice"),
        ("models: [/a]\ndata: [telequad]\nsettings: {out: x}", "out (line 3) is decided by the suite"),
        ("models: [/a]\ndata: [telequad]\nbaseline: b", "there is no 'b' among models: there are a"),
        ("models: [/a]\ndata: [telequad]\nchanges: [{model: b, skip: true}]", "there is no 'b' among models"),
        ("models: [/a]\ndata: [telequad]\nchanges: [{model: a}]", "entry 1 changes nothing"),
        ("models: [/a]\ndata: [telequad]\nchanges: [{model: a, skip: true}]", "all entries are skipped"),
        ("models: /a\ndata: [telequad]", "models (line 1) must be a mapping"),
        ("models: [1]\ndata: [telequad]", "1 names no model"),
        ("models: {'a b': /x, 'a,b': /x}\ndata: [telequad]", "two entries are called a_b-telequad"),
        ("- a", "holds no mapping"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_the_file(tmp_path: Path, text: str, told: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        entries_of(read_suite(file), str(file))
    line = str(caught.value)
    assert told in line
    assert "\n" not in line
    assert "suite.yaml" in line


def test_shares_keep_models_whole_and_engines_apart(tmp_path: Path) -> None:
    text = "models: {a: /a, b: /b, c: /c, d: /d}\ndata: [telequad, teleqna]"
    entries = entries_of(read_suite(written(tmp_path, text)), "s")
    alike = {each.label: "x" if each.model in "abc" else "y" for each in entries}

    def models(places: int) -> list[str]:
        return ["".join(each.model for each in share.entries) for share in shares_of(entries, alike, places)]

    assert models(1) == ["aabbccdd"]
    assert models(2) == ["aabbcc", "dd"]
    assert models(3) == ["aabb", "cc", "dd"]
    assert models(9) == ["aa", "bb", "cc", "dd"]


def test_a_suite_takes_no_runs_that_stop_early() -> None:
    settings = {"model": "m", "data": "telecom-nano", "adaptive": True, "against": ["runs/today"]}
    entry = entry_of({"model": "m", "data": "telecom-nano", "prompt": "", "settings": settings})
    with pytest.raises(InputError, match=r"suite\.yaml: m-telecom-nano: a suite compares complete runs"):
        check_entries([entry], "suite.yaml")
