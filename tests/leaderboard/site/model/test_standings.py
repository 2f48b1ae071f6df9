"""A metric's table: order, ranks, what the items could show, and families of tests, whichever way the metric runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from telbench.leaderboard.compare.pairwise import compare_runs
from telbench.leaderboard.site.model.columns import RunColumns
from telbench.leaderboard.site.model.kept_measures import measured
from telbench.leaderboard.site.model.standings import (
    Measured,
    MetricTable,
    decided_together,
    metric_table,
)
from telbench.leaderboard.statistics.multiplicity import holm

from ....made_runs import metric
from .made_columns import made_columns

N = 120
DRAW = np.random.default_rng(5)
BASE = DRAW.uniform(0.3, 0.6, N)
NOISE = {name: DRAW.normal(0, 0.05, N) for name in ("base", "up", "down", "same")}


def run_of(title: str, name: str, shift: float, holes: int = 0, per_document: int = 1, spread: float = 1) -> RunColumns:
    values = (BASE + shift + spread * NOISE[name]).tolist()
    return made_columns(name, {title: [None] * holes + values[holes:]}, per_document=per_document)


def found_of(title: str, runs: list[RunColumns]) -> Measured:
    found = measured(metric(title), runs, [run.name for run in runs], by="source_document", posthoc="wilcoxon")
    return decided_together([found])[0]


def table_of(title: str, runs: list[RunColumns], baseline: bool = True) -> MetricTable:
    names = [run.name for run in runs]
    return metric_table(metric(title), runs, range(len(runs)), names, found_of(title, runs), [], baseline=baseline)


@pytest.mark.parametrize(("title", "best"), [("token_f1", "up"), ("over_refusal", "down")])
def test_the_best_run_is_first_and_ranks_are_by_run(title: str, best: str) -> None:
    runs = [run_of(title, name, shift) for name, shift in (("base", 0.0), ("up", 0.1), ("down", -0.1))]
    rows = table_of(title, runs).rows
    order = [runs[row.run].name for row in rows]
    assert order == (["up", "base", "down"] if best == "up" else ["down", "base", "up"])
    assert [(row.ranks, row.letters) for row in rows] == [((1, 1), "a"), ((2, 2), "b"), ((3, 3), "c")]
    deltas = {runs[row.run].name: row.comparison.delta for row in rows if row.comparison is not None}
    assert deltas.keys() == {"up", "down"}
    assert deltas[best] == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("title", ["token_f1", "over_refusal"])
@pytest.mark.parametrize(("shift", "first"), [(0.1, True), (-0.1, False)])
def test_two_runs_are_ranked_by_their_one_comparison(title: str, shift: float, first: bool) -> None:
    better = shift if title == "token_f1" else -shift
    runs = [run_of(title, "base", 0.0), run_of(title, "up", better)]
    found = {row.run: (row.ranks, row.letters) for row in table_of(title, runs).rows}
    ahead, behind = ((1, 1), "a"), ((2, 2), "b")
    assert found == ({1: ahead, 0: behind} if first else {0: ahead, 1: behind})
    alike = table_of(title, [run_of(title, "base", 0.0), run_of(title, "base", 0.0)])
    assert {(row.ranks, row.letters) for row in alike.rows} == {((1, 2), "a")}


def test_equal_values_stand_in_the_order_of_the_board() -> None:
    runs = [made_columns(name, {"token_f1": [0.5] * N}) for name in ("c", "a", "b")]
    assert [row.run for row in table_of("token_f1", runs).rows] == [0, 1, 2]


def test_what_the_items_could_show_is_the_median_over_the_runs() -> None:
    runs = [
        run_of("token_f1", "base", 0.0, spread=0),
        run_of("token_f1", "up", 0.0, spread=1),
        run_of("token_f1", "down", 0.0, spread=4),
        run_of("token_f1", "same", 0.0, holes=1, spread=9),
    ]
    table = table_of("token_f1", runs)
    # Miller 2024: (z_0.975 + z_0.8) standard errors of the paired difference; here of three, by Bonferroni.
    errors = [np.std(spread * NOISE[name], ddof=1) / np.sqrt(N) for name, spread in (("up", 1), ("down", 4))]
    assert table.detectable == pytest.approx(
        (stats.norm.ppf(1 - 0.025 / 3) + stats.norm.ppf(0.8)) * max(errors), rel=1e-6
    )
    assert (table.n, table.clusters, table.effective_clusters) == (N, N, N - 1)
    assert table_of("token_f1", runs, baseline=False).detectable is None
    assert {row.comparison for row in table_of("token_f1", runs, baseline=False).rows} == {None}


def test_q_is_corrected_over_all_metrics_and_runs_together() -> None:
    titles, shifts = ("token_f1", "over_refusal"), (("base", 0.0), ("up", 0.006), ("down", 0.008), ("same", 0.0))
    found = [found_of(title, [run_of(title, name, shift) for name, shift in shifts]) for title in titles]
    told = [each for one in decided_together(found) for each in one.comparisons]
    raw = [each.p for one in found for each in one.comparisons]
    assert [each.q for each in told] == pytest.approx(stats.false_discovery_control(raw).tolist())
    assert [(each.metric, each.run) for each in told] == [(t, name) for t in titles for name, _ in shifts[1:]]
    alone = compare_runs([run_of("token_f1", *pair).loaded(["token_f1"]) for pair in shifts], [metric("token_f1")])
    assert [each.p_adjusted for each in told[:3]] == [each.p_adjusted for each in alone]


def test_runs_that_share_no_item_are_not_ranked_and_those_that_share_some_with_the_baseline_are_compared() -> None:
    base, up = run_of("token_f1", "base", 0.0, holes=60), run_of("token_f1", "up", 0.1)
    first_half = made_columns("down", {"token_f1": [0.5] * 60 + [None] * 60})
    found = found_of("token_f1", [base, up, first_half])
    assert (found.ranking, [each.run for each in found.comparisons]) == (None, ["up"])
    table = table_of("token_f1", [base, up, first_half])
    rows = {row.run: row for row in table.rows}
    assert [rows[place].comparison is not None for place in range(3)] == [False, True, False]
    assert [(rows[place].ranks, rows[place].letters) for place in range(3)] == [
        ((2, 3), "b"),
        ((1, 2), "a"),
        ((1, 3), "ab"),
    ]
    assert found_of("token_f1", [base, first_half]) == Measured((), None)
    assert found_of("token_f1", [base, up]).ranking is None
    ranking = found_of("token_f1", [base, up, up]).ranking
    assert ranking is not None
    assert ranking.blocks == 60


def test_a_table_of_one_run_has_a_rank_and_nothing_to_compare() -> None:
    table = table_of("token_f1", [run_of("token_f1", "base", 0.0)])
    assert [(row.run, row.ranks, row.letters, row.comparison) for row in table.rows] == [(0, (1, 1), "a", None)]
    assert (table.n, table.clusters, table.effective_clusters, table.detectable) == (N, 0, 0.0, None)
    assert table.signature == metric("token_f1").signature


def test_a_table_tells_its_metric_and_counts_of_the_runs_with_the_most_items() -> None:
    runs = [run_of("token_f1", name, 0.0, holes, 4) for name, holes in (("base", 8), ("up", 0), ("down", 40))]
    table = table_of("token_f1", runs)
    assert (table.name, table.signature) == ("token_f1", metric("token_f1").signature)
    assert (table.n, table.clusters, table.effective_clusters) == (120, 28, 20)


def test_rows_name_runs_by_their_place_on_the_board() -> None:
    runs = [run_of("token_f1", name, shift) for name, shift in (("base", 0.0), ("up", 0.1))]
    found = found_of("token_f1", runs)
    table = metric_table(metric("token_f1"), runs, [3, 1], ["base", "up"], found, [], baseline=True)
    assert [(row.run, row.entry) for row in table.rows] == [
        (1, runs[1].header["metrics"]["token_f1"]), (3, runs[0].header["metrics"]["token_f1"]),
    ]  # fmt: skip


def test_rank_letter_and_verdict_are_one_decision_against_the_baseline() -> None:
    # Six runs: all 15 pairs as one family would not tell "up" from the baseline, the five verdicts do.
    shifts = (("base", 0.0), ("up", 0.0165), *((f"same{i}", 0.0) for i in range(4)))
    draw = np.random.default_rng(3)
    runs = [
        made_columns(name, {"token_f1": (BASE + shift + draw.normal(0, 0.05, N)).tolist()}) for name, shift in shifts
    ]
    by_mean = measured(metric("token_f1"), runs, [run.name for run in runs], by="source_document", posthoc="mean")
    (found,) = decided_together([by_mean])
    assert by_mean.ranking is not None
    assert found.ranking is not None
    verdicts = [each.verdict for each in found.comparisons]
    assert verdicts[0] == "better"
    assert by_mean.ranking.p[0][1] > 0.05 >= found.ranking.p[0][1] == found.comparisons[0].p_verdict
    rest = [pair.p_mean for pair in found.ranking.pairs if pair.first]
    assert [found.ranking.p[i][j] for i in range(1, 6) for j in range(i + 1, 6)] == pytest.approx(
        [min(1.0, p) for p in holm(rest)]
    )
    letters, ranges = found.ranking.letters, found.ranking.ranges
    for run, verdict in enumerate(verdicts, 1):
        assert bool(set(letters[0]) & set(letters[run])) == (verdict == "no difference shown")
    assert ranges[0][0] == 2


def test_documents_that_could_never_pass_so_many_comparisons_say_so() -> None:
    # 8 documents: all signs alike have p = 2 / 2^8 = 0.0078, and 7 rows need 0.05 / 7 = 0.0071 for the first.
    columns = [{"token_f1": (BASE + 0.2 * (i > 0)).tolist()} for i in range(8)]
    runs = [made_columns(f"run{i}", each, per_document=15) for i, each in enumerate(columns)]
    for count, told in ((7, "better"), (8, "too few source documents to tell")):
        comparisons = table_of("token_f1", runs[:count]).rows
        found = [row.comparison for row in comparisons if row.comparison is not None]
        assert {each.verdict for each in found} == {told}
        assert found[0].items.clusters == 8
        assert found[0].takes == (8 if count == 7 else 9)
        assert (found[0].detectable is None) == (count == 8)
    assert found[0].told == "too few source documents to tell: 8.0 effective, it takes 9"
