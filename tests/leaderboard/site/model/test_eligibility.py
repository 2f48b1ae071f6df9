"""Who is ranked: at the limits of what may be missing, and measured as the others were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.leaderboard.site.model.columns import RunColumns
from telbench.leaderboard.site.model.eligibility import measured_alike, rankable, run_folders

from .made_columns import made_columns

METRIC = "token_f1"


def holed(name: str, holes: int, n: int = 200, **more: Any) -> RunColumns:
    """A run that lacks its first scores."""
    return made_columns(name, {METRIC: [None] * holes + [0.5] * (n - holes)}, **more)


def ranked(*runs: RunColumns, allow: bool = False) -> tuple[list[str], dict[str, str]]:
    kept, apart = rankable(METRIC, runs, allow_incomplete=allow)
    return [run.name for run in kept], {each.name: each.reason for each in apart}


def test_one_item_in_a_hundred_may_lack_a_score_and_no_more() -> None:
    reasons = {METRIC: {0: "judge: timeout", 2: "judge: timeout"}}
    runs = holed("a", 0), holed("b", 0), holed("two", 2), holed("three", 3, reasons=reasons)
    told = "incomplete: 3 items without a score (2 judge: timeout, 1 not applicable)"
    assert ranked(*runs) == (["a", "b", "two"], {"three": told})
    assert ranked(*runs, allow=True) == (["a", "b", "two", "three"], {})


def test_an_item_counts_where_half_of_the_runs_have_a_score() -> None:
    # Two of four lack the first of 20 items: it is expected, and they are incomplete. Three of four: it is not.
    half = [holed(name, holes, 20) for name, holes in (("a", 0), ("b", 0), ("c", 1), ("d", 1))]
    assert ranked(*half)[0] == ["a", "b"]
    most = [holed(name, holes, 20) for name, holes in (("a", 0), ("b", 1), ("c", 1), ("d", 1))]
    assert ranked(*most) == (["a", "b", "c", "d"], {})
    # Two of five are fewer than half, and so is one of three.
    assert ranked(*most[:3])[0] == ["a", "b", "c"]
    assert ranked(*half, holed("e", 1, 20))[0] == ["a", "b", "c", "d", "e"]


def test_a_run_without_any_expected_score_has_no_value_whatever_is_allowed() -> None:
    elsewhere = made_columns("elsewhere", {METRIC: [None] * 19 + [0.5]}, reasons={METRIC: {0: "judge: gone"}})
    others = [made_columns(name, {METRIC: [0.5] * 19 + [None]}) for name in ("a", "b", "c")]
    assert ranked(*others, elsewhere, allow=True) == (
        ["a", "b", "c"],
        {"elsewhere": "no value: judge: gone, not applicable"},
    )
    assert ranked(holed("none", 20, 20), holed("neither", 20, 20))[0] == []


def test_the_first_run_says_how_a_metric_is_computed() -> None:
    other = made_columns("other", {METRIC: [0.5] * 20})
    other.header["metrics"][METRIC]["signature"] = "token_f1|v9"
    without = made_columns("without", {"exact_match": [1.0] * 20})
    runs = holed("first", 0, 20), other, without
    assert ranked(*runs) == (["first"], {"other": "computed differently (token_f1|v9)", "without": "not computed"})
    assert ranked(without, other, holed("first", 0, 20))[0] == ["other"]


def warm(name: str, temperature: float, engine: str = "vllm") -> RunColumns:
    header = {("generation", "temperature"): temperature, ("generation", "engine"): engine}
    return holed(name, 0, 20, header=header)


def test_without_a_baseline_most_runs_decide_and_with_one_it_does() -> None:
    one, two, three = warm("one", 0.7), warm("two", 0), warm("three", 0)
    kept, apart = measured_alike([one, two, three], None)
    assert ([run.name for run in kept], [each.name for each in apart]) == (["two", "three"], ["one"])
    assert apart[0].reason == "measured differently: other temperature (0 and 0.7)"
    kept, apart = measured_alike([one, two, three], one)
    assert ([run.name for run in kept], [each.name for each in apart]) == (["one"], ["two", "three"])
    # Of as many the first.
    assert [run.name for run in measured_alike([one, two], None)[0]] == ["one"]


def test_a_run_is_held_against_all_that_are_kept() -> None:
    # Answers from a file have no known temperature: they join anything, and vouch for nobody.
    known, given, warmer = warm("known", 0), warm("given", 9, "replay"), warm("warmer", 0.7)
    kept, apart = measured_alike([known, given, warmer], known)
    assert ([run.name for run in kept], [each.name for each in apart]) == (["known", "given"], ["warmer"])


def test_a_folder_named_twice_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    assert run_folders([run]) == ([run], [])
    assert run_folders([run.parent]) == ([run], [])
    with pytest.raises(InputError, match="is named twice"):
        run_folders([run, run.parent])
    with pytest.raises(InputError, match="is no run folder and holds none"):
        run_folders([tmp_path])


def test_folders_are_found_by_name_in_what_was_given_and_unfinished_ones_stand_apart(tmp_path: Path) -> None:
    made = {name: tmp_path / "runs" / name for name in ("b", "a", "half", "notes")}
    for name, folder in made.items():
        folder.mkdir(parents=True)
        if name in "ab":
            (folder / "run.json").write_text("{}")
    (made["half"] / "run.partial.json").write_text("{}")
    (tmp_path / "runs" / "readme.txt").write_text("what these are")
    finished, apart = run_folders([tmp_path / "runs"])
    assert finished == [made["a"], made["b"]]
    assert [(each.name, each.path) for each in apart] == [("half", made["half"])]
    assert apart[0].reason.startswith("not finished")
    assert run_folders([made["half"]])[0] == []
    # A run that was finished after all is finished, and one folder may hold others.
    (made["a"] / "run.partial.json").write_text("{}")
    assert run_folders([made["b"], made["a"]]) == ([made["b"], made["a"]], [])
    for wrong in (made["notes"], tmp_path / "runs" / "readme.txt", tmp_path / "nowhere"):
        with pytest.raises(InputError, match="is no run folder and holds none"):
            run_folders([wrong])


def test_a_run_whose_header_has_no_value_is_not_ranked_whatever_its_items_have() -> None:
    without = holed("without", 0, 20)
    without.header["metrics"][METRIC]["value"] = None
    assert ranked(holed("a", 0, 20), without) == (["a"], {"without": "no value: no score"})


def test_runs_are_kept_in_the_order_given_whichever_of_them_is_the_baseline() -> None:
    runs = [warm(name, 0) for name in ("one", "two", "three")]
    assert [run.name for run in measured_alike(runs, runs[2])[0]] == ["one", "two", "three"]
    assert measured_alike(runs, runs[1])[1] == []
    other = warm("other", 0)
    other.header["data"]["items_sha256"] = "others"
    kept, apart = measured_alike([other, *runs], None)
    assert ([run.name for run in kept], [each.name for each in apart]) == (["one", "two", "three"], ["other"])
    assert apart[0].reason == "measured differently: other items (same and others)"


def test_an_item_lacking_without_a_reason_is_counted_as_no_score() -> None:
    bare = holed("bare", 3, 20)
    bare = replace(bare, reasons={METRIC: {0: "judge: timeout"}})
    told = "incomplete: 3 items without a score (1 judge: timeout, 2 no score)"
    assert ranked(holed("a", 0, 20), holed("b", 0, 20), bare) == (["a", "b"], {"bare": told})
