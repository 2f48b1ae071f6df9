"""The answer of a comparison: sentences by hand, from numbers that can be worked out by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from telbench.leaderboard.compare.answer import Compared, answer_fields
from telbench.leaderboard.compare.seeds import average_seeds, seed_effects, study_of
from telbench.leaderboard.compare.table import sentences
from telbench.leaderboard.runs.loaded import LoadedRun

from ...made_runs import compared_runs, made_run, metric

N = 200
INTERVAL = r"\[-?\d+\.\d+, -?\d+\.\d+\]"


def right(gained: int, lost: int, n: int = N) -> list[float]:
    """Right or wrong against `WRONG_AND_RIGHT`: so many gained, so many lost."""
    return [1.0] * gained + [0.0] * lost + [0.0] * (n - gained - lost)


def base_of(lost: int, gained: int, n: int = N) -> list[float]:
    return [0.0] * gained + [1.0] * lost + [0.0] * (n - gained - lost)


def pair(changes: Mapping[str, tuple[int, int]], **more: Any) -> list[LoadedRun]:
    """today and candidate, which gains and loses so many of 200 items in each metric."""
    return [
        made_run("today", {name: base_of(lost, gained) for name, (gained, lost) in changes.items()}, **more),
        made_run("candidate", {name: right(gained, lost) for name, (gained, lost) in changes.items()}, **more),
    ]


def told(found: Compared) -> list[str]:
    """Sentences with their intervals, which other tests check, taken out."""
    return [re.sub(INTERVAL, "[]", sentence) for sentence in sentences(found)]


def seen(gained: int, lost: int, rows: int, n: int = N) -> str:
    """What would have been seen, Miller 2024: (z + z) times the error, at 0.05 by the rows."""
    differences = np.array([1.0] * gained + [-1.0] * lost + [0.0] * (n - gained - lost))
    error = differences.std(ddof=1) / math.sqrt(n)
    return f"{(stats.norm.ppf(1 - 0.05 / rows / 2) + stats.norm.ppf(0.8)) * error:.2g}"


def test_worse_metrics_come_first_with_their_differences_and_the_rest_with_what_would_have_been_seen() -> None:
    changes = {"exact_match": (10, 30), "token_f1": (20, 20), "rougeL": (15, 45)}
    # 20 and 30 lost of 200.
    assert told(compared_runs(pair(changes), list(changes))) == [
        "candidate is worse than today on 2 of 3 metrics: exact_match -0.100 [], rougeL -0.150 []; no difference shown "
        f"on 1: would have seen token_f1 {seen(20, 20, 3)}."
    ]
    assert seen(20, 20, 3) == "0.1"


def test_better_and_worse_are_both_said_and_never_set_off() -> None:
    changes = {"exact_match": (10, 40), "token_f1": (40, 10)}
    assert told(compared_runs(pair(changes), list(changes))) == [
        "candidate is worse than today on 1 of 2 metrics: exact_match -0.150 []; better on 1: token_f1 +0.150 []."
    ]


def test_all_metrics_one_metric_and_many() -> None:
    changes = {"exact_match": (40, 10), "token_f1": (40, 10)}
    both = "candidate is better than today on both metrics: exact_match +0.150 [], token_f1 +0.150 []."
    assert told(compared_runs(pair(changes), list(changes))) == [both]
    alone = "candidate is better than today on exact_match: +0.150 []."
    assert told(compared_runs(pair({"exact_match": (40, 10)}), ["exact_match"])) == [alone]
    five = ("exact_match", "token_f1", "rouge1", "rouge2", "rougeL")
    assert told(compared_runs(pair(dict.fromkeys(five, (40, 10))), five)) == [
        "candidate is better than today on all 5 metrics: exact_match +0.150 [], token_f1 +0.150 [], rouge1 +0.150 [] "
        "and 2 more."
    ]


def test_metrics_that_decide_are_told_first_and_the_others_apart() -> None:
    changes = {"exact_match": (10, 40), "token_f1": (10, 40), "rougeL": (20, 20), "rouge1": (40, 10)}
    assert told(compared_runs(pair(changes), list(changes), primary=["token_f1", "rougeL"])) == [
        "candidate is worse than today on 1 of 2 primary metrics: token_f1 -0.150 []; no difference shown on 1: would "
        f"have seen rougeL {seen(20, 20, 2)}.",
        "Other metrics (2): worse on 1: exact_match -0.150 []; better on 1: rouge1 +0.150 [].",
    ]


def test_where_lower_is_better_a_rise_is_worse_and_has_its_own_sign() -> None:
    changes = {"over_refusal": (40, 10), "exact_match": (20, 20)}
    found = compared_runs(pair(changes), list(changes))
    assert told(found)[0].startswith(
        "candidate is worse than today on 1 of 2 metrics: over_refusal +0.150 [] (lower is better);"
    )
    (entry,) = answer_fields(found, sentences(found))["against_first"][0]["worse"]
    assert entry["raw_difference"] == pytest.approx(0.15)
    assert 0 < entry["raw_ci"][0] < 0.15 < entry["raw_ci"][1]
    assert entry["p"] == pytest.approx(2 * stats.binomtest(10, 50).pvalue)
    assert not entry["higher_is_better"]


def test_nothing_shown_is_not_the_same() -> None:
    changes = {"exact_match": (20, 20), "token_f1": (22, 18)}
    assert told(compared_runs(pair(changes), list(changes))) == [
        "No difference between candidate and today is shown on any of 2 metrics: would have seen exact_match "
        f"{seen(20, 20, 2)}, token_f1 {seen(22, 18, 2)}."
    ]
    assert told(compared_runs(pair({"exact_match": (20, 20)}), ["exact_match"])) == [
        f"No difference between candidate and today is shown on exact_match: would have seen {seen(20, 20, 1)}."
    ]


def test_the_same_scores_are_called_so() -> None:
    changes = {"exact_match": (0, 0), "token_f1": (0, 0)}
    (sentence,) = told(compared_runs(pair(changes), list(changes)))
    assert sentence == "candidate and today have the same score on every item on both metrics."
    changes["token_f1"] = (20, 20)
    (sentence,) = told(compared_runs(pair(changes), list(changes)))
    assert sentence == (
        "No difference between candidate and today is shown on 1 of 2 metrics: would have seen token_f1 "
        f"{seen(20, 20, 2)}; the same score on every item on 1: exact_match."
    )


def test_too_few_documents_are_counted_with_how_many_it_takes() -> None:
    runs = pair({"exact_match": (40, 10)})
    # Documents of 120, 40 and 40 items: 200^2 / (120^2 + 2 * 40^2) = 2.27.
    documents = {f"i{i}": "abc"[max(0, (i - 80) // 40)] for i in range(N)}
    found = compared_runs([replace(run, clusters=documents) for run in runs], ["exact_match"])
    assert told(found) == [
        "Nothing can be told of candidate and today on exact_match: 3 source documents tell as much as 2.3 of equal "
        "size, it takes 6."
    ]
    (entry,) = answer_fields(found, [])["against_first"][0]["too_few"]
    assert entry == {
        "metric": "exact_match",
        "effective_source_documents": pytest.approx(200**2 / (120**2 + 2 * 40**2)),
        "it_takes": 6.0,
    }


def test_of_many_metrics_with_too_few_documents_the_poorest_is_told() -> None:
    # The second metric has no score in the third document: 100 items in two of 50.
    runs = [
        made_run("today", {"token_f1": [0.5] * 150, "rougeL": [0.5] * 100 + [None] * 50}, per_document=50),
        made_run("candidate", {"token_f1": [0.6] * 150, "rougeL": [0.6] * 100 + [None] * 50}, per_document=50),
    ]
    assert told(compared_runs(runs, ["token_f1", "rougeL"])) == [
        "Nothing can be told of candidate and today on any of 2 metrics: 2 source documents tell as much as 2.0 of "
        "equal size, it takes 6."
    ]


def test_too_few_items_that_differ_are_counted() -> None:
    changes = {"exact_match": (5, 0), "token_f1": (40, 10)}
    assert told(compared_runs(pair(changes), list(changes))) == [
        "candidate is better than today on 1 of 2 metrics: token_f1 +0.150 []; nothing can be told on 1: too few items "
        "differ (exact_match 5), it takes 6."
    ]


def test_a_claim_says_how_many_items_it_rests_on_and_that_most_say_the_opposite() -> None:
    spiky = [0.51] * 180 + [0.15] * 20
    base = made_run("today", {"token_f1": [0.5] * N})
    (sentence,) = told(compared_runs([base, made_run("candidate", {"token_f1": spiky})], ["token_f1"]))
    # 180 times 0.01, less 20 times 0.35, over 200.
    assert sentence == "candidate is worse than today on token_f1: -0.026 [] (most items say the opposite)."
    judged = made_run("candidate", {"token_f1": [None] * 40 + [0.4, 0.5] * 80}, reason="judge: no verdict")
    (sentence,) = told(compared_runs([base, judged], ["token_f1"]))
    assert sentence == "candidate is worse than today on token_f1: -0.050 [] (160 of 200 items)."


def three(shifts: Mapping[str, Sequence[float]], titles: Sequence[str]) -> list[LoadedRun]:
    """Runs whose metrics lie so far above a common base, with a little noise of their own."""
    base = np.random.default_rng(0).uniform(0.3, 0.6, N)
    draw = np.random.default_rng(1)
    return [
        made_run(name, {title: (base + shift + draw.normal(0, 0.02, N)).tolist()
                        for title, shift in zip(titles, moved, strict=True)})
        for name, moved in shifts.items()
    ]  # fmt: skip


def test_of_many_runs_who_leads_and_who_ties_is_told_metric_by_metric() -> None:
    shifts = {"a": (0.0, 0.0), "b": (0.1, 0.1), "c": (0.1, 0.2), "d": (-0.1, 0.05)}
    runs = three(shifts, ["token_f1", "rougeL"])
    found = compared_runs(runs, ["token_f1", "rougeL"])
    best = max((1, 2), key=lambda place: found.rankings[0].means[place])
    means = [max(ranking.means) for ranking in found.rankings]
    assert told(found) == [
        "Of 4 runs on 2 metrics, c leads or ties for the lead on 2, b on 1.",
        f"token_f1: {'abcd'[best]} leads with {means[0]:.4f}, tied with {'abcd'[3 - best]}. Against a: 1 worse, 2 "
        "better.",
        f"rougeL: c leads with {means[1]:.4f}, alone. Against a: 3 better.",
    ]
    leaders = answer_fields(found, told(found))["leaders"]
    assert [(each["metric"], sorted(each["leaders"]), each["separated"]) for each in leaders] == [
        ("token_f1", ["b", "c"], True), ("rougeL", ["c"], True),
    ]  # fmt: skip


def test_of_many_runs_metrics_that_decide_come_first() -> None:
    runs = three({"a": (0.0, 0.0, 0.0), "b": (0.1, 0.1, 0.1), "c": (0.2, 0.0, 0.0)}, ["token_f1", "rougeL", "rouge1"])
    lines = told(compared_runs(runs, ["token_f1", "rougeL", "rouge1"], primary=["rougeL"]))
    assert [line.partition(" leads")[0] for line in lines] == [
        "rougeL: b", "Of 3 runs on 2 other metrics, c", "token_f1: c", "rouge1: b",
    ]  # fmt: skip


def test_where_nobody_leads_it_is_said_with_the_best_score() -> None:
    runs = three({"a": (0.0,), "b": (0.0,), "c": (0.0,)}, ["token_f1"])
    found = compared_runs(runs, ["token_f1"])
    best = found.rankings[0].order[0]
    assert told(found) == [
        f"token_f1: no run is shown to be better than another; {'abc'[best]} has the best score, "
        f"{found.rankings[0].means[best]:.4f}. Against a: 2 without a shown difference."
    ]
    assert not answer_fields(found, [])["leaders"][0]["separated"]


def test_where_lower_is_better_the_lowest_leads() -> None:
    runs = three({"a": (0.0,), "b": (0.2,), "c": (-0.1,)}, ["over_refusal"])
    (line,) = told(compared_runs(runs, ["over_refusal"]))
    assert line.startswith("over_refusal (lower is better): c leads with 0.3")
    assert line.endswith("alone. Against a: 1 worse, 1 better.")


def test_few_documents_rank_nobody() -> None:
    runs = [made_run(name, {"token_f1": [0.5 + shift] * N}, per_document=40)
            for name, shift in (("a", 0.0), ("b", 0.1), ("c", 0.2))]  # fmt: skip
    assert told(compared_runs(runs, ["token_f1"])) == [
        "token_f1: nothing can be ranked: 5 source documents tell as much as 5.0 of equal size, it takes 6."
    ]


def test_categories_are_told_after_the_whole() -> None:
    # Even items gain 40 and lose none, odd ones lose 30.
    values = [1.0 if i % 2 == 0 and i < 80 else 0.0 for i in range(N)]
    base = [1.0 if i % 2 and i < 60 else 0.0 for i in range(N)]
    runs = [made_run("today", {"exact_match": base}), made_run("candidate", {"exact_match": values})]
    first, second = told(compared_runs(runs, ["exact_match"], strata=True))
    assert first.startswith("No difference between candidate and today is shown on exact_match: would have seen 0.1")
    assert second == "Within categories (2 rows): worse on 1: odd -0.300 []; better on 1: even +0.400 []."


def test_seeds_speak_for_the_recipes_in_a_sentence_of_their_own() -> None:
    rises, names = ([0.04, 0.05, 0.06], [0.0, 0.0, 0.0]), ("kd", "sft")
    runs = [
        made_run(f"{name}-seed{seed}", {"over_refusal": [0.3 + rise, 0.5 + rise] * 60}, factors={"algorithm": name,
                                                                                                 "seed": seed})
        for name, shifts in zip(names[::-1], rises[::-1], strict=True)
        for seed, rise in enumerate(shifts)
    ]  # fmt: skip
    recipes = average_seeds(runs)
    found = compared_runs([recipe.run for recipe in recipes], ["over_refusal"])
    effects = seed_effects(recipes, found.names, found.metrics)
    low, high = stats.t.interval(0.95, 2, loc=0.05, scale=0.01 / math.sqrt(3))
    assert sentences(replace(found, recipes=recipes, seeds=effects))[-1] == (
        "The recipes as such, over training seeds (Holm within a metric): worse on 1: over_refusal +0.050 "
        f"[{low:.3f}, {high:.3f}]."
    )
    two = average_seeds([run for run in runs if run.header["factors"]["seed"] < 2])
    found = compared_runs([recipe.run for recipe in two], ["over_refusal"])
    effects = seed_effects(two, found.names, found.metrics)
    assert sentences(replace(found, recipes=two, seeds=effects))[-1] == (
        "Over training seeds, no statement about the recipe: 2 seeds in common, 3 are needed."
    )


def test_a_study_answers_for_its_factors_first() -> None:
    base, draw = np.random.default_rng(0).uniform(0.3, 0.6, N), np.random.default_rng(1)
    runs = [
        made_run(f"{teacher}{width}", {"token_f1": (base + 0.1 * teacher + draw.normal(0, 0.02, N)).tolist()},
                 factors={"teacher": teacher, "width": width})
        for teacher in (0, 1) for width in (8, 9)
    ]  # fmt: skip
    found = compared_runs(runs, ["token_f1"])
    study = study_of(runs, metric("token_f1"))
    (first, *_) = told(replace(found, studies={"token_f1": study}))
    change = study.main[0].items.delta
    assert change == pytest.approx(0.1, abs=0.01)
    shown = sum(each.p_adjusted <= 0.05 for each in (*study.main, *study.interactions))
    assert first.startswith(
        f"Study of token_f1: {shown} of 3 effects of factors are shown: teacher: 1 - 0 +{change:.4f} []"
    )


def test_fields_are_json_and_hold_every_row_once() -> None:
    changes = {"exact_match": (10, 40), "token_f1": (20, 20), "rougeL": (0, 0), "rouge1": (5, 0), "rouge2": (40, 10)}
    found = compared_runs(pair(changes), list(changes), primary=["exact_match"])
    document = json.loads(json.dumps(answer_fields(found, sentences(found)), allow_nan=False))
    assert (document["decides"], document["leaders"]) == ("primary", [])
    first, others = document["against_first"]
    assert (first["run"], first["metrics"], others["metrics"]) == ("candidate", "primary", "other")
    groups = ("worse", "better", "not_shown", "identical", "too_few")
    assert {name: [each["metric"] for each in first[name] + others[name]] for name in groups} == {
        "worse": ["exact_match"], "better": ["rouge2"], "not_shown": ["token_f1"], "identical": ["rougeL"],
        "too_few": ["rouge1"],
    }  # fmt: skip
    assert others["too_few"] == [{"metric": "rouge1", "items_that_differ": 5, "it_takes": 6}]
    assert document["sentences"] == sentences(found)
