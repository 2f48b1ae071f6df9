"""Which way is better: gate, seeds, composite and tables with a lower-is-better and with a corpus metric."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
from scipy.stats import norm

from telbench.errors import IncomparableError
from telbench.leaderboard.compare.pairwise import compare_runs
from telbench.leaderboard.compare.ranking import rank_runs
from telbench.leaderboard.compare.seeds import average_seeds, seed_effects, study_of
from telbench.leaderboard.gate.gate import Gate, GatePolicy, MetricGate, judge_gate
from telbench.leaderboard.gate.report import markdown
from telbench.leaderboard.runs.loaded import LoadedRun
from telbench.leaderboard.site.model.columns import RunColumns, read_columns
from telbench.leaderboard.site.model.composite import composite_metric, composite_parts, with_composite
from telbench.leaderboard.statistics.corpus import bootstrap_differences
from telbench.metrics.contract import Metric, Sample
from telbench.metrics.intervals import statistics_matrix

from ..made_runs import answered_run, compared_runs, made_run, metric, report_lines
from .site.boards import answers, board_of, write_run

N = 60
DRAW = np.random.default_rng(11)
# Refusals where there was an answer: a rate, and lower is better.
REFUSES = DRAW.uniform(0.1, 0.3, 200)
WORDS = [
    "the",
    "AMF",
    "handles",
    "registration",
    "mobility",
    "and",
    "paging",
    "of",
    "a",
    "UE",
    "over",
    "NAS",
    "in",
    "core",
]
REFERENCES = [" ".join(DRAW.choice(WORDS, 10)) for _ in range(N)]


def noisy(share: float, seed: int = 0) -> list[str]:
    """The references with this share of their words drawn anew."""
    draw = np.random.default_rng(seed)
    return [
        " ".join(word if draw.random() > share else str(draw.choice(WORDS)) for word in text.split())
        for text in REFERENCES
    ]


GOOD, FAIR, POOR = noisy(0.1), noisy(0.15, 1), noisy(0.5)


def run_of(title: str, name: str, texts: list[str], **more: Any) -> LoadedRun:
    return answered_run(name, title, texts, REFERENCES, **more)[0]


def peer(title: str, texts: list[str]) -> float:
    """The corpus score by sacrebleu."""
    function = {"bleu": sacrebleu.corpus_bleu, "ter": sacrebleu.corpus_ter, "chrf": sacrebleu.corpus_chrf}[title]
    return function(texts, [REFERENCES]).score


def gated(title: str, run: LoadedRun, base: LoadedRun, margin: float, **more: Any) -> tuple[Gate, MetricGate]:
    gate = judge_gate(run, base, [metric(title)], GatePolicy({title: margin}, **more))
    return gate, gate.metrics[0]


def refusing(name: str, shift: float, **more: Any) -> LoadedRun:
    noise = np.random.default_rng(len(name)).normal(0, 0.02, 200)
    return made_run(name, {"over_refusal": (REFUSES + shift + noise).tolist()}, **more)


def test_a_gate_fails_a_candidate_that_refuses_more_and_passes_one_that_refuses_less() -> None:
    base = refusing("base", 0.0)
    gate, found = gated("over_refusal", refusing("worse", 0.2), base, 0.02)
    assert (found.verdict, gate.exit_code, found.higher_is_better) == ("FAIL_HARD", 1, False)
    assert found.candidate - found.baseline == pytest.approx(-found.delta)
    assert found.delta == pytest.approx(-0.2, abs=0.01)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < found.delta < found.upper < 0
    assert found.p_drop < 1e-6
    assert "(lower is better)" in markdown(gate, {})
    gate, found = gated("over_refusal", refusing("better", -0.05), base, 0.02)
    assert (found.verdict, gate.exit_code) == ("PASS", 0)
    assert found.delta > 0.04
    assert found.p_drop > 0.5


def test_a_guardrail_fails_on_a_shown_rise_where_lower_is_better() -> None:
    fine = {"token_f1": [0.5] * 200}
    base, worse, better = (
        made_run(name, {**fine, "over_refusal": (REFUSES + shift).tolist()})
        for name, shift in (("base", 0.0), ("worse", 0.05), ("better", -0.05))
    )
    metrics, policy = [metric("token_f1"), metric("over_refusal")], GatePolicy({"token_f1": 0.01}, ("over_refusal",))
    assert [each.verdict for each in judge_gate(worse, base, metrics, policy).metrics] == ["PASS", "FAIL"]
    assert [each.verdict for each in judge_gate(better, base, metrics, policy).metrics] == ["PASS", "PASS"]


def test_the_worst_items_of_a_gate_are_those_whose_lower_is_better_value_rose_most() -> None:
    rises = np.zeros(200)
    rises[[7, 40, 99]] = [0.6, 0.7, 0.1]
    rises[3] = -0.65
    base, run = (
        made_run(name, {"over_refusal": (REFUSES + up).tolist()}) for name, up in (("a", 0 * rises), ("b", rises))
    )
    _, found = gated("over_refusal", run, base, 0.02)
    assert [item["item_id"] for item in found.worst] == ["i40", "i7", "i99"]
    assert [item["difference"] for item in found.worst] == pytest.approx([-0.7, -0.6, -0.1])
    assert found.steep_drops == 2


def test_an_unanswered_item_counts_as_the_worst_value_where_lower_is_better() -> None:
    base = made_run("base", {"over_refusal": [0.2] * 100})
    run = made_run("run", {"over_refusal": [None] * 30 + [0.2] * 70}, failed=range(30))
    _, found = gated("over_refusal", run, base, 0.02)
    assert found.candidate == pytest.approx(0.3 * 1.0 + 0.7 * 0.2)
    assert (found.verdict, found.n_missing, found.steep_drops) == ("FAIL_HARD", 0, 30)


@pytest.mark.parametrize("title", ["bleu", "chrf", "ter"])
def test_a_gate_of_a_corpus_score_fails_the_poorer_answers_and_passes_the_better_ones(title: str) -> None:
    good, poor = run_of(title, "good", GOOD), run_of(title, "poor", POOR)
    gate, found = gated(title, poor, good, 2.0)
    assert (found.verdict, gate.exit_code) == ("FAIL_HARD", 1)
    assert (found.candidate, found.baseline) == pytest.approx((peer(title, POOR), peer(title, GOOD)), abs=1e-9)
    assert found.delta == pytest.approx(-abs(peer(title, POOR) - peer(title, GOOD)), abs=1e-9)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < found.delta < found.upper < -2.0
    assert found.p_drop < 0.001
    assert found.p_margin is None
    gate, found = gated(title, good, poor, 2.0)
    assert (found.verdict, gate.exit_code) == ("PASS", 0)
    assert found.delta > 0
    assert found.p_drop > 0.99


@pytest.mark.parametrize("title", ["bleu", "ter"])
def test_bounds_and_power_of_a_corpus_gate_are_those_of_the_paired_bootstrap_over_documents(title: str) -> None:
    base, run = run_of(title, "fair", FAIR, per_document=2), run_of(title, "good", GOOD, per_document=2)
    one = metric(title)
    assert one.aggregate is not None
    _, found = gated(title, run, base, 0.5, alpha=0.1)
    matrices = [
        statistics_matrix(one, list(side.scores[title].values()))[:, :-1].reshape(N // 2, 2, -1).sum(1)
        for side in (run, base)
    ]
    sign = 1 if one.higher_is_better else -1
    drawn = sign * bootstrap_differences(matrices[0], matrices[1], one.aggregate, resamples=4000, seed=9)
    assert found.lower is not None
    assert found.upper is not None
    # One-sided bounds at 1 - alpha, drawn twice: a tenth of the spread apart at most.
    assert [found.lower, found.upper] == pytest.approx(np.quantile(drawn, [0.1, 0.9]).tolist(), abs=drawn.std() / 10)
    assert found.clusters == N // 2
    assert found.effective_clusters == pytest.approx(N / 2)
    error = (found.upper - found.lower) / 2 / norm.ppf(0.9)
    assert error == pytest.approx(drawn.std(), rel=0.1)
    assert found.detectable == pytest.approx(error * (norm.ppf(0.9) + norm.ppf(0.8)), rel=1e-4)


def test_an_inconclusive_corpus_gate_says_how_many_items_settle_it() -> None:
    base, run = run_of("ter", "fair", FAIR), run_of("ter", "same", noisy(0.15, 2))
    _, found = gated("ter", run, base, 3.0)
    assert found.verdict == "INCONCLUSIVE"
    assert found.lower is not None
    assert found.upper is not None
    error = (found.upper - found.lower) / 2 / norm.ppf(0.95)
    expected = N * ((norm.ppf(0.95) + norm.ppf(0.8)) * error / (3.0 + found.delta)) ** 2
    assert found.n_needed == math.ceil(expected)


def test_one_document_gives_a_corpus_gate_no_bound_and_no_verdict() -> None:
    base, run = (run_of("bleu", name, texts, per_document=N) for name, texts in (("base", GOOD), ("run", POOR)))
    _, found = gated("bleu", run, base, 2.0)
    assert (found.verdict, found.lower, found.upper, found.detectable) == ("INCONCLUSIVE", None, None, None)
    assert found.reason.startswith("1.0 effective source documents")


def test_items_on_which_a_judge_gave_no_verdict_are_lost_even_where_both_runs_lack_them() -> None:
    scores = {"token_f1": [None] * 5 + [0.8] * 95}
    lost, apart = (made_run("run", scores, reason=reason) for reason in ("judge: timeout", "not applicable"))
    with pytest.raises(IncomparableError, match=r"5 of 100 items lack a score in one of the runs, 95 have one in both"):
        gated("token_f1", lost, lost, 0.02)
    assert gated("token_f1", lost, lost, 0.02, max_missing=0.05)[1].n_missing == 5
    assert gated("token_f1", apart, apart, 0.02)[1].n_missing == 0


def trained(title: str, name: str, seed: int, texts: list[str]) -> LoadedRun:
    return run_of(title, f"{name}-seed{seed}", texts, factors={"algorithm": name, "seed": seed})


@pytest.mark.parametrize("title", ["bleu", "ter"])
def test_the_effect_of_a_recipe_in_a_corpus_score_is_positive_where_it_is_better(title: str) -> None:
    poor = [noisy(0.3, seed) for seed in range(3)]
    good = [noisy(0.1, 10 + seed) for seed in range(3)]
    runs = [trained(title, "sft", seed, texts) for seed, texts in enumerate(poor)]
    runs += [trained(title, "dskd", seed, texts) for seed, texts in enumerate(good)]
    recipes = average_seeds(runs)
    (effect,) = seed_effects(recipes, ["sft", "dskd"], [metric(title)])
    expected = [abs(peer(title, ours) - peer(title, theirs)) for ours, theirs in zip(good, poor, strict=True)]
    assert list(effect.by_seed.values()) == pytest.approx(expected, abs=1e-9)
    # Averaged, a corpus score is that of all seeds' answers together.
    (found,) = compare_runs([each.run for each in recipes], [metric(title)])
    pooled = [list(chain.from_iterable(texts)) for texts in (good, poor)]
    function = sacrebleu.corpus_bleu if title == "bleu" else sacrebleu.corpus_ter
    assert found.values == pytest.approx([function(texts, [REFERENCES * 3]).score for texts in pooled], abs=1e-9)
    assert found.delta > 0


def test_the_effect_of_a_recipe_that_refuses_less_is_positive() -> None:
    runs = [
        refusing(f"{name}-seed{seed}", shift + 0.01 * seed, factors={"algorithm": name, "seed": seed})
        for name, shift in (("sft", 0.3), ("dskd", 0.1))
        for seed in range(3)
    ]
    recipes = average_seeds(runs)
    (effect,) = seed_effects(recipes, ["sft", "dskd"], [metric("over_refusal")])
    assert all(value == pytest.approx(0.2, abs=0.01) for value in effect.by_seed.values())
    assert compare_runs([each.run for each in recipes], [metric("over_refusal")])[0].verdict == "better"


def columns_of(name: str, values: dict[str, list[float]]) -> RunColumns:
    """A run's columns of these values by metric."""
    made = made_run(name, values)
    return RunColumns(
        path=Path(name),
        header=made.header,
        items=tuple(made.clusters),
        clusters=tuple(made.clusters.values()),
        categories=tuple(made.categories.values()),
        failed=frozenset(),
        values={title: np.array(column, np.float64) for title, column in values.items()},
        reasons={title: {} for title in values},
        stats={},
        offsets=array("q"),
        kinds=b"",
        digest=name,
    )


def test_a_composite_counts_from_the_worst_value_to_the_best_whichever_way_the_metric_runs() -> None:
    nan = math.nan
    parts = [metric("token_f1"), metric("bleu"), metric("over_refusal")]
    one = columns_of("one", {"token_f1": [1.0, 0.5, nan], "bleu": [50.0, 0.0, 10.0], "over_refusal": [0.0, 1.0, nan]})
    two = columns_of("two", {"token_f1": [0.0, 0.5, 0.5], "bleu": [0.0, 100.0, nan], "over_refusal": [0.25, nan, 0.0]})
    first, second = with_composite([one, two], parts)
    # N-gram metrics are one family and refusal another; a metric counts on an item where both runs have it.
    assert first.values["overall"][:2].tolist() == pytest.approx([((1.0 + 0.5) / 2 + 1.0) / 2, (0.5 + 0.0) / 2])
    assert second.values["overall"][:2].tolist() == pytest.approx([(0.0 + 0.75) / 2, (0.5 + 1.0) / 2])
    for run in (first, second):
        assert math.isnan(run.values["overall"][2])
        assert run.reasons["overall"] == {2: "no metric that all runs have"}
        entry = run.header["metrics"]["overall"]
        assert (entry["n"], entry["n_missing"], entry["missing"]) == (2, 1, {"no metric that all runs have": 1})
        assert entry["value"] == pytest.approx(float(np.mean(run.values["overall"][:2])))
        assert (entry["higher_is_better"], entry["range"], entry["level"]) == (True, [0.0, 1.0], "item")
    assert one.header["metrics"].keys() == {"token_f1", "bleu", "over_refusal"}


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (1.0, 5.0), (-4.0, 0.0), (-1.0, 1.0)])
@pytest.mark.parametrize("higher", [True, False])
def test_a_value_counts_by_its_place_between_the_bounds(bounds: tuple[float, float], higher: bool) -> None:
    low, high = bounds
    one = replace(metric("token_f1"), range=bounds, higher_is_better=higher)
    (made,) = with_composite([columns_of("one", {"token_f1": [low, low + 0.25 * (high - low), high]})], [one])
    places = [0.0, 0.25, 1.0]
    expected = places if higher else [1 - place for place in places]
    assert made.values["overall"].tolist() == pytest.approx(expected)


def test_the_composite_is_a_share_of_which_more_is_better_and_its_interval_is_that_of_a_mean_over_documents() -> None:
    found = composite_metric(["bleu", "token_f1"])
    assert (found.range, found.higher_is_better, found.level) == ((0.0, 1.0), True, "item")
    assert found.signature == "overall|of:bleu+token_f1|placed:2|v1"
    with pytest.raises(TypeError, match="made of other metrics' scores"):
        found.score([Sample("i0", "", ("r",))])
    values = DRAW.uniform(0, 1, 80)
    values[7] = math.nan
    (made,) = with_composite([columns_of("one", {"token_f1": values.tolist()})], [metric("token_f1")])
    entry = made.header["metrics"]["overall"]
    known = values[np.isfinite(values)]
    assert entry["value"] == pytest.approx(known.mean())
    error = known.std() / np.sqrt(79)
    bounds = known.mean() + error * norm.ppf([0.025, 0.975])
    assert [entry["ci_low"], entry["ci_high"]] == pytest.approx(bounds.tolist(), abs=error / 4)
    assert entry["ci_method"].startswith("cluster bootstrap percentile|clusters:80")
    assert (entry["n"], entry["n_missing"]) == (79, 1)


def calibrated(name: str, family: Mapping[str, tuple[float, float] | None]) -> RunColumns:
    """A run with these metrics, and the means of unrelated and right texts in its calibration (None: there is none)."""
    run = columns_of(name, {title: [0.5, 0.7] for title in family})
    for title, ends in family.items():
        if ends is not None:
            anchors = {"null": {"mean": ends[0]}, "upper": ends[1], "value": 0.5}
            run.header["metrics"][title]["calibration"] = anchors
    return run


def test_what_the_composite_is_made_of_and_why_the_other_metrics_are_left_out() -> None:
    titles = {"token_f1": 0.5, "ter": 1.0, "reference_likelihood": 1.0, "over_refusal": 1.0, "bleu": 0.51,
              "rubric_score": 0.9, "answer_similarity": 1.0, "answer_relevance": 1.0, "bertscore": 1.0,
              "fact_agreement": 1.0, "fact_contradiction": 1.0}  # fmt: skip
    embedding = {"answer_similarity": (0.4, 0.9), "bertscore": None}
    base = calibrated("base", {title: embedding.get(title) for title in titles})
    parts, left_out = composite_parts(
        [metric(title) for title in titles], titles, base, titles.keys() - {"rubric_score"}
    )
    assert [part.name for part in parts] == ["bleu", "answer_similarity", "fact_agreement"]
    assert left_out == [
        "token_f1 (ranks half of the runs or fewer)",
        "ter (no two bounds)",
        "reference_likelihood (no two bounds)",
        "over_refusal (whether it refuses, not whether it is right)",
        "rubric_score (base, the baseline, lacks it)",
        "answer_relevance (nearness to the question, not being right)",
        "bertscore (not calibrated on these data)",
        "fact_contradiction (best for an answer that says nothing)",
    ]


def test_what_is_worth_nothing_counts_0_in_the_composite_and_what_is_right_1() -> None:
    # An unrelated text has a cosine of .4 here, a right one .9; contradicting facts is worth as little as silence.
    values = {"answer_similarity": [0.4, 0.65, 0.9, 0.2, 0.95], "fact_agreement": [0.0, 0.5, 1.0, -1.0, 1.0]}
    base = calibrated("base", {"answer_similarity": (0.4, 0.9), "fact_agreement": None})
    base = replace(base, values={title: np.array(column) for title, column in values.items()},
                   items=tuple("abcde"), clusters=tuple("abcde"))  # fmt: skip
    (made,) = with_composite([base], [metric(title) for title in values])
    assert made.values["overall"].tolist() == pytest.approx([0.0, 0.5, 1.0, 0.0, 1.0])


def by_kind(kind: str) -> tuple[Metric, LoadedRun, LoadedRun, LoadedRun]:
    """A metric and three runs, best first."""
    if kind == "over_refusal":
        first, second, third = (refusing(name, shift) for name, shift in (("good", 0.0), ("fair", 0.1), ("poor", 0.3)))
    else:
        texts = {"good": GOOD, "fair": noisy(0.3, 1), "poor": POOR}
        first, second, third = (run_of(kind, name, given) for name, given in texts.items())
    return metric(kind), first, second, third


@pytest.mark.parametrize("kind", ["over_refusal", "ter", "bleu"])
def test_a_ranking_begins_with_the_best_run_whichever_way_the_metric_runs(kind: str) -> None:
    one, good, fair, poor = by_kind(kind)
    found = rank_runs([poor, good, fair], one)
    assert found.order == (1, 2, 0)
    assert found.ranges == ((3, 3), (1, 1), (2, 2))
    assert [found.letters[place] for place in found.order] == ["a", "b", "c"]
    assert found.friedman.mean_ranks[1] < found.friedman.mean_ranks[0]
    by_pair = {(pair.first, pair.second): pair for pair in found.pairs}
    assert by_pair[0, 1].delta < 0 < by_pair[1, 2].delta


@pytest.mark.parametrize("kind", ["over_refusal", "ter", "bleu"])
def test_a_table_has_the_differences_of_its_values_and_says_where_lower_is_better(kind: str) -> None:
    one, good, fair, _ = by_kind(kind)
    for runs, word in (((fair, good), "better"), ((good, fair), "worse")):
        lines = report_lines(compared_runs(runs, [kind]), wide=True)
        (row,) = (line for line in lines if line.startswith(kind))
        assert (" (lower) " in row) == (not one.higher_is_better)
        values = row.replace(" (lower)", "").split()
        first, second, difference = map(float, values[1:4])
        assert difference == pytest.approx(second - first, abs=0.11 if abs(first) > 1 else 0.0011)
        assert (difference > 0) == ((word == "better") == one.higher_is_better)
        assert f" {word} " in row
        assert ("(lower is better)" in " ".join(" ".join(lines).split())) == (not one.higher_is_better)


@pytest.mark.parametrize(("kind", "sign"), [("over_refusal", -1), ("token_f1", 1)])
def test_a_factor_that_lowers_a_metric_helps_only_where_lower_is_better(kind: str, sign: int) -> None:
    draw = np.random.default_rng(4)
    cells = [
        made_run(
            f"{teacher}-{seed}",
            {kind: (REFUSES + (0.0 if teacher else 0.1) + draw.normal(0, 0.01, 200)).tolist()},
            factors={"teacher": teacher, "size": size, "seed": seed},
        )
        for teacher in (False, True)
        for size in ("small", "large")
        for seed in range(3)
    ]
    study = study_of(cells, metric(kind))
    effect = next(each for each in study.main if "teacher" in each.contrast)
    # With a teacher the value falls by a tenth.
    assert effect.items.delta == pytest.approx(-0.1 * sign, abs=0.005)
    assert effect.recipe.effect == pytest.approx(-0.1 * sign, abs=0.005)


def test_a_board_lists_the_lowest_error_rate_first_and_two_runs_by_their_difference(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, name, answers(right), "ter,token_f1") for name, right in (("poor", 2), ("good", 22))]
    board = board_of(runs)
    for title in ("ter", "token_f1"):
        rows = board.table(title).rows
        assert [board.runs[row.run].name for row in rows] == ["good", "poor"]
        assert [(row.ranks, row.letters) for row in rows] == [((1, 1), "a"), ((2, 2), "b")]
    assert board.left_out == ("ter (no two bounds)",)
    assert read_columns(runs[0]).header["metrics"]["ter"]["higher_is_better"] is False
