"""Verdicts in words, families of tests, strata and clusters."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import sacrebleu
from scipy import stats

from telbench.errors import InputError
from telbench.harness.cli.tables import p_value
from telbench.leaderboard.compare.pairwise import compare_runs, verdict
from telbench.leaderboard.compare.table import warning_lines
from telbench.leaderboard.statistics.multiplicity import holm
from telbench.metrics.contract import Sample, missing

from ...made_runs import answered_run, compared_runs, made_run, metric, report_lines

DRAW = np.random.default_rng(0)
BASE = DRAW.uniform(0.2, 0.8, 300)


def shifted(name: str, shift: float, noise: float = 0.1, **more):
    values = np.clip(BASE + shift + np.random.default_rng(len(name)).normal(0, noise, 300), 0, 1)
    return made_run(name, {"token_f1": values.tolist()}, **more)


def only(*runs, **options):
    return compare_runs(runs, [metric("token_f1")], **options)


def test_verdicts_say_in_words_what_is_shown():
    base = made_run("base", {"token_f1": BASE.tolist()})
    verdicts = [only(base, run)[0].verdict for run in (shifted("up", 0.1), shifted("down", -0.1), base)]
    assert verdicts == ["better", "worse", "identical"]
    assert only(base, shifted("same", 0.0))[0].verdict == "no difference shown"


def test_a_conflict_of_mean_and_ranks_comes_first():
    base = made_run("base", {"token_f1": [0.5] * 1000})
    other = made_run("other", {"token_f1": [0.51] * 900 + [0.15] * 100})
    compared = only(base, other)
    assert compared[0].verdict == "worse, but most items say the opposite"
    assert warning_lines([base, other], ["base", "other"], compared)[0].startswith("WARNING: token_f1 of other: mean")


def test_other_number_formats_are_a_warning_and_unknown_ones_are_not():
    runs = [shifted(name, 0.0) for name in ("base", "same", "given", "other")]
    for run, dtype in zip(runs, ("float32", "float32", None, "bfloat16"), strict=True):
        run.header["generation"] = {**run.header["generation"], "dtype": dtype}
    names = [run.name for run in runs]
    assert warning_lines(runs, names, []) == [
        "WARNING: other number formats (float32: base, same; bfloat16: other): a part of the difference may be "
        "rounding; --dtype sets one for all"
    ]
    assert warning_lines(runs[:3], names[:3], []) == []


def test_each_metric_is_a_family_of_the_runs_and_q_covers_all():
    base = made_run("base", {"token_f1": BASE.tolist()})
    runs = [shifted("a", 0.013), shifted("bb", 0.012), shifted("ccc", 0.0)]
    compared = only(base, *runs)
    raw = sorted(each.p for each in compared)
    assert min(each.p_adjusted for each in compared) == pytest.approx(min(1.0, 3 * raw[0]))
    assert all(each.p <= each.q <= 1 for each in compared)


def test_documents_count_and_not_their_items():
    copied = np.repeat(BASE[:30], 10)
    better = np.repeat(np.clip(BASE[:30] + np.random.default_rng(3).normal(0.03, 0.1, 30), 0, 1), 10)
    base = made_run("base", {"token_f1": copied.tolist()}, per_document=10)
    run = made_run("run", {"token_f1": better.tolist()}, per_document=10)
    (by_document,), (by_item,) = only(base, run), only(base, run, by="item")
    assert by_document.items.clusters == 30
    assert by_document.p > by_item.p
    assert by_document.delta == pytest.approx(by_item.delta)


def test_categories_are_compared_by_themselves():
    base = made_run("base", {"token_f1": [0.5] * 60})
    run = made_run("run", {"token_f1": [0.5 + 0.2 * (i % 2) for i in range(60)]})
    by = {each.stratum: each for each in only(base, run, strata=True)}
    assert (by["even"].delta, by["odd"].delta) == (0.0, pytest.approx(0.2))
    assert by[None].delta == pytest.approx(0.1)
    assert by["odd"].n == 30


def test_nothing_to_pair_is_refused():
    base = made_run("base", {"token_f1": [0.5, None]})
    with pytest.raises(InputError, match="nothing to compare"):
        only(base, made_run("run", {"token_f1": [None, 0.5]}))


def test_the_record_is_json_and_the_table_names_its_method():
    base, run = made_run("base", {"token_f1": BASE.tolist()}), shifted("up", 0.1)
    found = compared_runs([base, run], ["token_f1"])
    document = json.loads(json.dumps(found.pairs[0].to_dict(), allow_nan=False))
    assert document["ci"][0] < document["delta"] < document["ci"][1]
    lines = report_lines(found)
    assert "sign-flip test over 300 source documents" in " ".join(" ".join(lines).split())
    assert [line.split()[0] for line in lines if " better " in line] == ["up", "token_f1"]


def test_a_family_is_a_metric_within_a_stratum_and_q_is_over_all_that_was_compared():
    draw = np.random.default_rng(7)
    titles = ("token_f1", "over_refusal")
    runs = [
        made_run(name, {title: (BASE + shift + draw.normal(0, 0.1, 300)).tolist() for title in titles})
        for name, shift in (("base", 0.0), ("one", 0.012), ("two", 0.015), ("three", 0.02))
    ]
    compared = compare_runs(runs, [metric(title) for title in titles], strata=True)
    assert len(compared) == 3 * 2 * 3
    for title in titles:
        for stratum in (None, "even", "odd"):
            members = [each for each in compared if (each.metric, each.stratum) == (title, stratum)]
            mine = sorted((each.p, each.p_adjusted) for each in members)
            (p1, q1), (p2, q2), (p3, q3) = mine
            first = min(1.0, 3 * p1)
            second = max(first, min(1.0, 2 * p2))
            assert (q1, q2, q3) == pytest.approx((first, second, max(second, p3)))
    assert [each.q for each in compared] == pytest.approx(
        stats.false_discovery_control([each.p for each in compared]).tolist()
    )


def test_what_is_flipped_as_a_whole_is_what_was_named():
    base = made_run("base", {"token_f1": BASE.tolist()}, per_document=5)
    up = shifted("up", 0.1, per_document=5)
    found = {by: only(base, up, by=by)[0] for by in ("source_document", "category", "item")}
    assert [each.items.clusters for each in found.values()] == [60, 2, 300]
    assert found["category"].verdict == "too few source documents to tell"


def test_reasons_say_on_which_side_a_score_is_lacking():
    ours = [None, None, *[0.5] * 18]
    theirs = [0.5, None, None, None, *[0.5] * 16]
    base = made_run("base", {"token_f1": theirs}, reason="judge: timeout")
    (found,) = only(base, made_run("run", {"token_f1": ours}))
    assert found.unpaired == {
        "not applicable in both runs": 1,
        "not applicable in run": 1,
        "judge: timeout in base": 2,
    }
    assert (found.n, found.values) == (16, (0.5, 0.5))


def test_five_items_that_differ_are_too_few_and_six_are_not():
    base = made_run("base", {"token_f1": [0.5] * 200})
    few, enough = ([0.9] * count + [0.5] * (200 - count) for count in (5, 6))
    assert only(base, made_run("few", {"token_f1": few}))[0].verdict == "too few items differ to tell"
    assert only(base, made_run("six", {"token_f1": enough}))[0].verdict == "better"


def test_the_p_value_is_that_of_the_mean_and_a_claim_reaches_to_alpha():
    base = made_run("base", {"token_f1": [0.5] * 1000})
    (found,) = only(base, made_run("other", {"token_f1": [0.51] * 900 + [0.15] * 100}))
    # The sum of signs: nine hundred of 0.01 and a hundred of 0.35, nearly normal.
    z = (900 * 0.01 - 100 * 0.35) / np.sqrt(900 * 0.01**2 + 100 * 0.35**2)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=0.05)
    assert (found.p, found.items.p_wilcoxon) == (found.items.p_mean, pytest.approx(0, abs=1e-6))
    plain = only(base, made_run("up", {"token_f1": [0.6] * 1000}))[0]
    told = [verdict(plain, p, alpha) for p, alpha in ((0.05, 0.05), (0.0501, 0.05), (0.0501, 0.1))]
    assert told == ["better", "no difference shown", "better"]


def test_runs_whose_corpus_scores_differ_are_not_identical_whatever_their_items_say():
    chrf = metric("chrf")
    given = {"base": "the AMF handles the registration", "other": "the AMF drops a request"}
    runs = []
    for name, text in given.items():
        column = chrf.score([Sample(f"i{i}", text, (given["base"],)) for i in range(20)])
        scores = {f"i{i}": replace(score, value=50.0) for i, score in enumerate(column)}
        runs.append(replace(made_run(name, {"chrf": [50.0] * 20}), scores={"chrf": scores}))
    (found,) = compare_runs(runs, [chrf])
    assert (found.items.flags, found.verdict) == (("identical",), "worse")
    assert found.delta < -10


REFERENCES = [f"the {word} handles message {place} of the procedure" for place, word in enumerate("ABCDEFGHIJ" * 2)]


def with_errors(every: int) -> list[str]:
    """The references, in every so many of which three words are others."""
    return [
        text.replace("handles message", "drops a") if place % every == 0 else text
        for place, text in enumerate(REFERENCES)
    ]


@pytest.mark.parametrize(("title", "sign"), [("chrf", 1), ("ter", -1)])
def test_a_corpus_score_stands_for_its_metric_and_positive_is_better_whichever_way_it_runs(title: str, sign: int):
    function = {"chrf": sacrebleu.corpus_chrf, "ter": sacrebleu.corpus_ter}[title]
    answers = {"base": with_errors(2), "better": REFERENCES, "worse": with_errors(1)}
    runs = [answered_run(name, title, texts, REFERENCES)[0] for name, texts in answers.items()]
    scores = [function(texts, [REFERENCES]).score for texts in answers.values()]
    better, worse = compare_runs(runs, [metric(title)])
    for found, score in ((better, scores[1]), (worse, scores[2])):
        assert found.values == pytest.approx((score, scores[0]))
        assert found.delta == pytest.approx(sign * (score - scores[0]))
        assert found.corpus is not None
        assert found.interval == (found.corpus.ci_low, found.corpus.ci_high)
        assert found.p == found.corpus.p
    assert (better.verdict, worse.verdict) == ("better", "worse")
    assert better.interval is not None
    assert worse.interval is not None
    assert worse.interval[0] < worse.delta < worse.interval[1] < 0 < better.interval[0] < better.delta


def test_a_corpus_score_is_of_the_items_that_both_runs_have_in_documents_of_their_own():
    base, run = (answered_run(name, "chrf", with_errors(every), REFERENCES, per_document=10)[0]
                 for name, every in (("base", 2), ("run", 3)))  # fmt: skip
    base.scores["chrf"]["i0"] = missing("not applicable")
    run.scores["chrf"]["i3"] = missing("judge: timeout")
    (found,) = compare_runs([base, run], [metric("chrf")])
    kept = [place for place in range(20) if place not in (0, 3)]
    scores = [
        sacrebleu.corpus_chrf([with_errors(every)[place] for place in kept], [[REFERENCES[place] for place in kept]])
        for every in (3, 2)
    ]
    assert found.values == pytest.approx(tuple(each.score for each in scores))
    assert (found.n, found.unpaired) == (18, {"judge: timeout in run": 1, "not applicable in base": 1})
    # Two documents: of four ways to swap them, two at least have a difference as large.
    assert found.p >= 0.45
    alone = compare_runs([base, run], [metric("chrf")], by="item")[0]
    assert alone.corpus is not None
    assert alone.p < 0.45


def test_runs_and_metrics_stand_in_the_order_they_were_named_under_their_titles():
    scores = {"token_f1": [0.5] * 8, "exact_match": [1.0] * 8}
    runs = [made_run("base", scores), made_run("same", scores), made_run("same", scores)]
    found = compare_runs(runs, [metric("exact_match"), metric("token_f1")], names=["first", "second", "third"])
    assert [(each.metric, each.run) for each in found] == [
        ("exact_match", "second"), ("exact_match", "third"), ("token_f1", "second"), ("token_f1", "third"),
    ]  # fmt: skip
    assert [each.run for each in only(*runs)] == ["same", "same"]


def test_a_metric_without_pairs_is_left_out_and_items_without_a_category_are_in_no_stratum():
    base = made_run("base", {"token_f1": [0.5] * 8, "exact_match": [None] * 8})
    run = made_run("run", {"token_f1": [0.6] * 8, "exact_match": [1.0] * 8})
    sides = [replace(side, categories={**side.categories, "i0": None}) for side in (base, run)]
    found = compare_runs(sides, [metric("exact_match"), metric("token_f1")], strata=True)
    assert [(each.metric, each.stratum, each.n) for each in found] == [
        ("token_f1", None, 8), ("token_f1", "even", 3), ("token_f1", "odd", 4),
    ]  # fmt: skip


def test_too_few_documents_for_an_interval_have_none():
    base = made_run("base", {"token_f1": [0.5, 0.4, 0.3, 0.2]})
    (found,) = only(base, made_run("run", {"token_f1": [0.6, 0.6, 0.6, 0.6]}))
    assert (found.interval, found.to_dict()["ci"]) == (None, None)
    assert found.verdict == "too few source documents to tell"


def test_equal_means_of_different_items_are_not_identical():
    base = made_run("base", {"token_f1": [0.5] * 40})
    (found,) = only(base, made_run("run", {"token_f1": [0.4, 0.6] * 20}))
    assert (found.delta, found.p, found.verdict) == (0.0, 1.0, "no difference shown")


def test_values_are_the_means_of_the_run_and_of_the_first_one():
    base = made_run("base", {"token_f1": [0.5, 0.3, None, 0.4]})
    (found,) = only(base, made_run("run", {"token_f1": [0.5, 0.6, 0.9, 1.0]}))
    assert found.values == pytest.approx((0.7, 0.4))
    assert found.delta == pytest.approx(0.3)


TITLES = (
    "token_f1", "exact_match", "rouge1", "rouge2", "rougeL", "choice_accuracy", "over_refusal", "refusal_accuracy",
)  # fmt: skip


def of_many(name: str, shifts: dict[str, float], seed: int, n: int = 300):
    draw = np.random.default_rng(seed)
    return made_run(name, {
        title: (BASE[:n] + shifts.get(title, 0.0) + draw.normal(0, 0.1, n)).tolist() for title in TITLES
    })  # fmt: skip


def test_verdicts_are_corrected_over_all_metrics_that_are_shown_and_say_what_would_have_been_seen():
    base, run = of_many("base", {}, 1), of_many("run", {"rouge1": 0.011, "rouge2": 0.03}, 2)
    found = compare_runs([base, run], [metric(title) for title in TITLES])
    assert [each.p_verdict for each in found] == holm([each.p for each in found])
    alone = next(each for each in found if each.metric == "rouge1")
    assert alone.p < 0.05 < alone.p_verdict
    assert alone.verdict == "no difference shown"
    (by_itself,) = compare_runs([base, run], [metric("rouge1")])
    assert (by_itself.p, by_itself.p_verdict, by_itself.verdict) == (alone.p, alone.p, "better")
    # The power of a test at 0.05 / 8: Miller 2024.
    assert alone.items.standard_error is not None
    wanted = (stats.norm.ppf(1 - 0.05 / 16) + stats.norm.ppf(0.8)) * alone.items.standard_error
    assert alone.detectable == pytest.approx(wanted)
    assert alone.told == f"no difference shown; would have seen {wanted:.2g}"
    assert next(each for each in found if each.metric == "rouge2").told == "better"


def test_primary_metrics_and_categories_are_families_of_their_own():
    base, run = of_many("base", {}, 1), of_many("run", {"rouge1": 0.012}, 2)
    found = compare_runs([base, run], [metric(title) for title in TITLES], strata=True, primary=["rouge1", "rougeL"])
    for first in (True, False):
        for whole in (True, False):
            family = [
                each for each in found
                if (each.metric in ("rouge1", "rougeL")) == first and (each.stratum is None) == whole
            ]  # fmt: skip
            assert [each.p_verdict for each in family] == holm([each.p for each in family])
    assert found[TITLES.index("rouge1")].verdict == "better"
    lines = report_lines(compared_runs([base, run], TITLES, strata=True, primary=["rouge1"]))
    assert "Holm over 1 primary row, 2 primary category rows, 7 other rows, 14 other category rows" in " ".join(
        " ".join(lines).split()
    )


@pytest.mark.slow
def test_two_equal_models_are_called_different_in_one_of_eight_metrics_in_five_percent():
    claims, repeats = 0, 200
    for seed in range(repeats):
        found = compare_runs([of_many("a", {}, 2 * seed, 100), of_many("b", {}, 2 * seed + 1, 100)],
                             [metric(title) for title in TITLES])  # fmt: skip
        claims += any(each.verdict in ("better", "worse") for each in found)
    # Four standard errors of a share of 0.05 among 200.
    assert claims / repeats < 0.05 + 4 * np.sqrt(0.05 * 0.95 / repeats)


def test_right_or_wrong_has_an_interval_that_agrees_with_its_p_value():
    agree = set()
    for gained, lost, n in ((20, 8, 100), (19, 8, 100), (18, 8, 100), (13, 4, 60), (12, 4, 60), (30, 16, 400)):
        base = made_run("base", {"exact_match": [0.0] * gained + [1.0] * lost + [0.5] * (n - gained - lost)})
        run = made_run("run", {"exact_match": [1.0] * gained + [0.0] * lost + [0.5] * (n - gained - lost)})
        (found,) = compare_runs([base, run], [metric("exact_match")])
        assert found.p == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
        assert found.ci_verdict == found.interval
        assert found.interval is not None
        assert (found.interval[0] > 0) == (found.p <= 0.05) == (found.verdict == "better")
        agree.add(found.verdict)
    assert agree == {"better", "no difference shown"}


def test_intervals_of_many_rows_agree_with_their_corrected_p_values():
    shifts = {title: 0.004 * place for place, title in enumerate(TITLES)}
    runs = [of_many("base", {}, 1), of_many("run", shifts, 2), of_many("more", shifts, 3)]
    found = compare_runs(runs, [metric(title) for title in TITLES])
    assert {each.verdict for each in found} == {"better", "no difference shown"}
    for each in found:
        assert each.ci_verdict is not None
        assert each.interval is not None
        assert (each.ci_verdict[0] <= 0 <= each.ci_verdict[1]) == (each.p_verdict > 0.05)
        assert each.ci_verdict[0] <= each.interval[0] < each.interval[1] <= each.ci_verdict[1]
    claims = sum(each.p_verdict <= 0.05 for each in found)
    # Sixteen rows: the smallest p at 0.05 / 16, the first that is no claim and all after it at one level.
    assert max(each.level_verdict for each in found) == pytest.approx(1 - 0.05 / 16)
    assert min(each.level_verdict for each in found) == pytest.approx(1 - 0.05 / (16 - claims))


@pytest.mark.parametrize("title", ["bleu", "chrf", "ter"])
def test_interval_and_p_of_a_corpus_score_are_of_one_test(title: str):
    draw = np.random.default_rng(5)
    for every in (3, 4, 5, 6):
        noisy = [text if draw.random() > 1 / every else text.replace("message", "a") for text in REFERENCES * 3]
        runs = [answered_run(name, title, texts, REFERENCES * 3)[0]
                for name, texts in (("base", with_errors(4) * 3), ("run", noisy))]  # fmt: skip
        (found,) = compare_runs(runs, [metric(title)])
        assert found.corpus is not None
        assert found.interval is not None
        assert (found.interval[0] <= 0 <= found.interval[1]) == (found.p > 0.05)
        # What swaps and draws of documents say is near by, and stays in the record.
        assert found.p == pytest.approx(found.corpus.p_swaps, abs=0.06)
        drawn = (found.corpus.bootstrap_low or 0.0, found.corpus.bootstrap_high or 0.0)
        width = drawn[1] - drawn[0]
        assert found.interval == pytest.approx(drawn, abs=0.15 * width)


def test_an_interval_is_printed_in_digits_that_show_whether_0_is_in_it():
    draw = np.random.default_rng(3)
    base = made_run("base", {"token_f1": BASE.tolist()})
    noise = draw.normal(0, 0.1, 300)
    error = noise.std(ddof=1) / np.sqrt(300)
    run = made_run("run", {"token_f1": (BASE - 1.99 * error + noise - noise.mean()).tolist()})
    found = only(base, run)
    assert found[0].verdict == "worse"
    assert found[0].ci_verdict is not None
    assert -0.0005 < found[0].ci_verdict[1] < 0
    (row,) = (line for line in report_lines(compared_runs([base, run], ["token_f1"])) if line.startswith("token_f1"))
    upper = float(row.partition(", ")[2].partition("]")[0])
    assert upper < 0
    assert p_value(0.0500004) == "0.0500004"


def test_too_few_documents_are_counted_and_have_no_interval_and_no_p():
    base = made_run("base", {"token_f1": BASE.tolist()}, per_document=100)
    run = shifted("up", 0.1, per_document=100)
    (found,) = only(base, run)
    assert (found.p_verdict, found.ci_verdict) == (1.0, None)
    assert found.told == "too few source documents to tell: 3.0 effective, it takes 6"
    lines = report_lines(compared_runs([base, run], ["token_f1"]), wide=True)
    (heads,) = (line.split() for line in lines if line.startswith("metric"))
    (row,) = (line for line in lines if line.startswith("token_f1"))
    assert "[" not in row
    assert heads == ["metric", "base", "up", "difference", "verdict", "r", "wins/ties/losses", "n"]
    assert " ".join(" ".join(lines[:2]).split()) == (
        "Nothing can be told of up and base on token_f1: 3 source documents tell as much as 3.0 of equal size, it "
        "takes 6."
    )


def test_five_items_that_differ_are_counted():
    base = made_run("base", {"token_f1": [0.5] * 200})
    (found,) = only(base, made_run("few", {"token_f1": [0.9] * 5 + [0.5] * 195}))
    assert found.told == "too few items differ to tell: 5, it takes 6"


def test_a_metric_has_one_table_of_all_runs_and_all_categories_have_one():
    base = made_run("base", {"token_f1": BASE.tolist(), "rougeL": BASE.tolist()})
    noise = {name: np.random.default_rng(len(name)).normal(0, 0.1, 300) for name in ("a", "bb", "ccc")}
    runs = [base, *(made_run(name, {"token_f1": (BASE + each).tolist(), "rougeL": (BASE - each).tolist()})
                    for name, each in noise.items())]  # fmt: skip
    lines = report_lines(compared_runs(runs, ["token_f1", "rougeL"], strata=True))
    heads = [place for place, line in enumerate(lines) if " verdict " in line and " difference " in line]
    assert [lines[place].split()[:2] for place in heads] == [["rank", "run"], ["rank", "run"], ["category", "base"]]
    for place in heads[:2]:
        assert {line.split()[1] for line in lines[place + 1 : place + 5]} == {"base", "a", "bb", "ccc"}
    categories = [line.split()[0] for line in lines[heads[2] + 1 : heads[2] + 1 + 2 * (1 + 2 * 4)]]
    assert categories == ["token_f1", "even", "a", "bb", "ccc", "odd", "a", "bb", "ccc",
                          "rougeL", "even", "a", "bb", "ccc", "odd", "a", "bb", "ccc"]  # fmt: skip
