"""The gate's three answers, on made differences and as a command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import norm

from telbench.errors import IncomparableError, InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.gate.gate import GatePolicy, judge_gate
from telbench.leaderboard.gate.report import MARKDOWN_LIMIT, junit_xml, markdown, power_lines, workflow_commands
from telbench.leaderboard.runs.loaded import LoadedRun
from telbench.leaderboard.statistics.multiplicity import holm
from telbench.leaderboard.testing import assert_no_regression
from telbench.metrics.contract import ItemScore

from ...made_runs import answered_run, made_run, metric

BASE = np.random.default_rng(0).uniform(0.3, 0.7, 1000)


def gate_of(shift: float, *, margin: float = 0.02, n: int = 1000, noise: float = 0.1, per_document: int = 1, **policy):
    draw = np.random.default_rng(5)
    # The noise has mean 0 to the last digit, so that the shift is what is seen.
    errors = draw.normal(0, noise, n)
    changed = BASE[:n] + shift + errors - errors.mean()
    base = made_run("base", {"token_f1": BASE[:n].tolist()}, per_document=per_document)
    run = made_run("run", {"token_f1": changed.tolist()}, per_document=per_document)
    return judge_gate(run, base, [metric("token_f1")], GatePolicy({"token_f1": margin}, **policy))


@pytest.mark.parametrize(
    ("shift", "options", "verdict", "code"),
    [
        (0.0, {}, "PASS", 0),
        (0.05, {}, "PASS", 0),
        (-0.012, {}, "PASS_SMALL_DROP", 0),
        (-0.018, {}, "FAIL", 1),
        (-0.05, {}, "FAIL_HARD", 1),
        (-0.005, {"n": 60}, "INCONCLUSIVE", 0),
        (-0.005, {"n": 60, "on_inconclusive": "fail"}, "INCONCLUSIVE", 3),
        (-0.05, {"per_document": 250}, "INCONCLUSIVE", 0),
    ],
)
def test_the_verdict_follows_from_bounds_and_margin(shift, options, verdict, code):
    gate = gate_of(shift, **options)
    (found,) = gate.metrics
    assert (found.verdict, gate.exit_code) == (verdict, code)
    assert gate.verdict == {"PASS": "pass", "FAIL": "fail", "INCO": "inconclusive"}[verdict[:4]]
    if found.lower is not None and found.upper is not None:
        assert found.lower < found.delta < found.upper


@pytest.mark.parametrize(("shift", "margin"), [(0.0, 0.02), (-0.012, 0.02), (-0.012, 0.013), (-0.05, 0.02)])
def test_the_test_of_the_margin_asks_whether_the_drop_is_smaller_and_agrees_with_the_bound(shift, margin):
    (found,) = gate_of(shift, margin=margin, per_document=2).metrics
    draw = np.random.default_rng(5).normal(0, 0.1, 1000)
    error = float((draw - draw.mean()).reshape(500, 2).sum(1).std(ddof=1)) * np.sqrt(500) / 1000
    assert found.p_margin == pytest.approx(norm.sf((shift + margin) / error), abs=0.01)
    assert found.lower is not None
    assert found.p_margin is not None
    assert (found.p_margin <= 0.05) == (found.lower >= -margin)
    assert found.p_drop == pytest.approx(norm.cdf(shift / error), abs=0.01)


def test_an_inconclusive_gate_tells_how_many_items_it_takes():
    (found,) = gate_of(-0.005, n=60).metrics
    assert found.n_needed is not None
    assert found.n_needed > 60
    assert str(found.n_needed) in found.reason
    # So many items of the same kind do settle it.
    assert gate_of(-0.005, n=1000).metrics[0].verdict.startswith("PASS")
    assert found.n_needed < 1000


def test_the_drop_that_a_gate_claims_to_find_is_found_in_four_of_five_draws():
    draw, n = np.random.default_rng(8), 80
    errors = draw.normal(0, 0.1, (200, n))
    (found,) = gate_of(0.0, n=n).metrics
    assert found.detectable is not None
    base, run = (made_run(name, {"token_f1": BASE[:n].tolist()}) for name in ("base", "run"))
    spread = float((np.random.default_rng(5).normal(0, 0.1, n)).std(ddof=1)) / np.sqrt(n)
    assert found.detectable == pytest.approx((norm.ppf(0.95) + norm.ppf(0.8)) * spread, rel=1e-6)
    shown = 0
    for noise in errors:
        values = dict(zip(base.clusters, (BASE[:n] - 0.1 / np.sqrt(n) * 2.4865 + noise).tolist(), strict=True))
        scores = {"token_f1": {item: ItemScore(value) for item, value in values.items()}}
        gate = judge_gate(replace(run, scores=scores), base, [metric("token_f1")], GatePolicy({"token_f1": 0.02}))
        shown += gate.metrics[0].p_drop <= 0.05
    # Four standard errors of a share of 0.8 among 200.
    assert shown / 200 == pytest.approx(0.8, abs=0.11)


def test_a_drop_hidden_by_many_small_gains_fails_and_is_told():
    base = made_run("base", {"token_f1": [0.5] * 1000})
    run = made_run("run", {"token_f1": [0.51] * 900 + [0.15] * 100})
    gate = judge_gate(run, base, [metric("token_f1")], GatePolicy({"token_f1": 0.01}))
    assert gate.metrics[0].verdict == "FAIL_HARD"
    assert "opposite directions" in gate.warnings[0]


def test_a_guardrail_needs_no_proof_and_fails_on_a_shown_drop_only():
    values = {"token_f1": BASE.tolist(), "rougeL": BASE.tolist()}
    base = made_run("base", values)
    policy = GatePolicy({"token_f1": 0.02}, ("rougeL",))
    noisy = np.random.default_rng(1).normal(0, 0.4, 1000)
    metrics = [metric("token_f1"), metric("rougeL")]
    unsure = made_run("run", {**values, "rougeL": (BASE + noisy - noisy.mean() - 0.001).tolist()})
    assert [each.verdict for each in judge_gate(unsure, base, metrics, policy).metrics] == ["PASS", "PASS"]
    worse = made_run("run", {**values, "rougeL": (BASE - 0.03 + noisy * 0.1).tolist()})
    gate = judge_gate(worse, base, metrics, policy)
    assert [each.verdict for each in gate.metrics] == ["PASS", "FAIL"]
    assert gate.exit_code == 1


def test_of_equal_values_a_guardrail_passes_as_a_primary_metric_of_its_budget_does():
    draw = np.random.default_rng(4).normal(0, 0.1, 1000)
    values = (BASE - 0.012 + draw - draw.mean()).tolist()
    base = made_run("base", {"token_f1": BASE.tolist(), "rougeL": BASE.tolist()})
    run = made_run("run", {"token_f1": values, "rougeL": values})
    metrics = [metric("token_f1"), metric("rougeL")]
    found = judge_gate(run, base, metrics, GatePolicy({"token_f1": 0.02}, ("rougeL",)))
    assert [each.verdict for each in found.metrics] == ["PASS_SMALL_DROP", "PASS_SMALL_DROP"]
    assert (found.exit_code, found.metrics[1].budget, found.metrics[1].margin) == (0, 0.02, None)
    assert found.metrics[1].reason == "a drop is shown; that it is larger than the budget of 0.02 is not"
    for policy in (
        GatePolicy({"token_f1": 0.02}, ("rougeL",), budgets={"rougeL": 0.005}),
        GatePolicy({"token_f1": 0.02}, ("rougeL",), guardrail_budget=0.005),
        GatePolicy({"token_f1": 0.02}, ("rougeL",), guardrail_budget=0.0),
    ):
        gate = judge_gate(run, base, metrics, policy)
        assert [each.verdict for each in gate.metrics] == ["PASS_SMALL_DROP", "FAIL"]
        assert gate.metrics[1].reason.startswith("the drop is larger than the budget of 0")
        assert "budget" in junit_xml(gate)
        assert f"a budget of {100 * policy.guardrail_budget:g} % of the range each" in markdown(gate)


def test_a_budget_is_a_share_of_the_range_or_of_the_baselines_value_where_the_range_is_open():
    policy = GatePolicy({"token_f1": 0.02}, guardrail_budget=0.05)
    found = [policy.budget_of(metric(title), -3.0) for title in ("rougeL", "bleu", "reference_likelihood", "token_f1")]
    assert found == [0.05, 5.0, pytest.approx(0.15), None]
    named = GatePolicy({"token_f1": 0.02}, ("bleu",), budgets={"bleu": 1.5})
    assert named.budget_of(metric("bleu"), 30.0) == 1.5


def test_guardrails_are_corrected_together():
    draw = np.random.default_rng(9)
    titles = ("token_f1", "rouge1", "rouge2", "rougeL")
    base = made_run("base", dict.fromkeys(titles, BASE.tolist()))
    shifts = (0.0, 0.028, 0.03, 0.02)
    run = made_run("run", {title: (BASE - shift + draw.normal(0, 0.1, 1000)).tolist()
                           for title, shift in zip(titles, shifts, strict=True)})  # fmt: skip
    gate = judge_gate(run, base, [metric(title) for title in titles], GatePolicy({"token_f1": 0.02}, titles[1:]))
    guards = gate.metrics[1:]
    beyond = [each.p_beyond for each in guards if each.p_beyond is not None]
    assert [each.p_beyond_adjusted for each in guards] == holm(beyond)
    errors = [(run.scores[title][f"i{i}"].value or 0.0) - BASE[i] for title in titles[1:] for i in range(1000)]
    for each, row, p in zip(guards, np.reshape(errors, (3, 1000)), beyond, strict=True):
        assert p == pytest.approx(norm.cdf((row.mean() + 0.02) / (row.std(ddof=1) / np.sqrt(1000))), abs=0.01)
        assert (each.verdict == "FAIL") == ((each.p_beyond_adjusted or 0.0) <= 0.05)
    assert gate.metrics[0].p_beyond is None


def test_a_guardrail_of_a_corpus_score_has_a_budget_too():
    references = [f"the {word} handles message {place} of it" for place, word in enumerate("ABCDEFGHIJ" * 10)]
    texts = {"base": references, "run": [text.replace("handles message", "drops a") for text in references]}
    runs = {}
    for name, answers in texts.items():
        made, _ = answered_run(name, "chrf", answers, references)
        other = made_run(name, {"token_f1": [0.5] * 100})
        header = {**made.header, "metrics": {**made.header["metrics"], **other.header["metrics"]}}
        runs[name] = replace(made, header=header, scores={**made.scores, **other.scores})
    metrics = [metric("token_f1"), metric("chrf")]
    found = judge_gate(runs["run"], runs["base"], metrics, GatePolicy({"token_f1": 0.02}, ("chrf",))).metrics[1]
    assert (found.verdict, found.budget) == ("FAIL", 2.0)
    wide = GatePolicy({"token_f1": 0.02}, ("chrf",), budgets={"chrf": 99.0})
    assert judge_gate(runs["run"], runs["base"], metrics, wide).metrics[1].verdict == "PASS_SMALL_DROP"


def test_the_last_lines_say_what_the_data_could_have_shown():
    (found,) = gate_of(0.0, n=240, noise=0.3, per_document=2).metrics
    spread = float(np.random.default_rng(5).normal(0, 0.3, 240).reshape(120, 2).sum(1).std(ddof=1)) * np.sqrt(120) / 240
    unit = norm.ppf(0.95) + norm.ppf(0.8)
    assert found.detectable == pytest.approx(unit * spread, rel=1e-3)
    wanted = 240 * (unit * spread / 0.02) ** 2
    assert found.n_for_margin == pytest.approx(wanted, rel=1e-3)
    assert found.clusters_for_margin == pytest.approx(wanted / 2, abs=2)
    (line,) = power_lines(gate_of(0.0, n=240, noise=0.3, per_document=2))
    assert line == (
        f"token_f1: these 240 items in 120 documents can show a drop of {found.detectable:.2g} or more (80 % power); "
        f"for 0.02 you need about {float(f'{wanted:.2g}'):,.0f} in {float(f'{wanted / 2:.2g}'):,.0f} documents"
    )
    (line,) = power_lines(gate_of(0.0, n=1000, noise=0.1))
    assert line.endswith("(80 % power), and the margin is 0.02")
    (line,) = power_lines(gate_of(0.0, n=240, per_document=80))
    assert line.endswith("can show no drop, however large: they say as much as 3.0 equal documents, it takes 6")


def test_an_unanswered_item_counts_as_the_worst_answer():
    base = made_run("base", {"token_f1": [0.8] * 100})
    run = made_run("run", {"token_f1": [None] * 30 + [0.8] * 70}, failed=range(30))
    (found,) = judge_gate(run, base, [metric("token_f1")], GatePolicy({"token_f1": 0.02})).metrics
    assert (found.candidate, found.n, found.n_missing) == (pytest.approx(0.56), 100, 0)
    assert found.verdict == "FAIL_HARD"


def test_a_metric_without_a_lower_bound_is_gated_and_unanswered_items_of_it_have_no_worst_value():
    base = made_run("base", {"reference_likelihood": [-2.0 + 0.001 * i for i in range(100)]})
    run = made_run("run", {"reference_likelihood": [None, *(-2.4 + 0.001 * i for i in range(1, 100))]}, failed=[0])
    (found,) = judge_gate(
        run, base, [metric("reference_likelihood")], GatePolicy({"reference_likelihood": 0.1}, max_missing=0.02)
    ).metrics
    assert (found.verdict, found.n, found.n_missing) == ("FAIL_HARD", 99, 1)
    assert found.delta == pytest.approx(-0.4)


def test_many_lost_scores_make_the_comparison_another_one():
    base = made_run("base", {"token_f1": [0.8] * 100})
    run = made_run("run", {"token_f1": [None] * 5 + [0.8] * 95}, reason="judge: timeout")
    with pytest.raises(IncomparableError, match="5 of 100 items lack a score"):
        judge_gate(run, base, [metric("token_f1")], GatePolicy({"token_f1": 0.02}))
    assert judge_gate(run, base, [metric("token_f1")], GatePolicy({"token_f1": 0.02}, max_missing=0.1)).exit_code == 0


def test_items_to_which_a_metric_does_not_apply_are_not_lost():
    scores = {"token_f1": [None] * 50 + [0.8] * 50}
    gate = judge_gate(
        made_run("run", scores), made_run("base", scores), [metric("token_f1")], GatePolicy({"token_f1": 0.02})
    )
    assert (gate.metrics[0].n, gate.metrics[0].n_missing, gate.exit_code) == (50, 0, 0)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"margins": {}}, "no primary metric"),
        ({"margins": {"token_f1": -0.1}}, "give a positive number"),
        *(({"margins": {"token_f1": x}}, "give a positive number") for x in (0.0, float("nan"), float("inf"))),
        ({"margins": {"token_f1": 0.1}, "guardrails": ("token_f1",)}, "choose one"),
        ({"margins": {"token_f1": 0.1}, "guardrails": ("bleu",), "budgets": {"bleu": -1.0}}, "0 or a positive number"),
        ({"margins": {"token_f1": 0.1}, "budgets": {"bleu": 1.0}}, "bleu is no guardrail"),
        *(({"margins": {"token_f1": 0.1}, "guardrail_budget": x}, "a share of the range") for x in (-0.1, 1.1)),
        *(({"margins": {"token_f1": 0.1}, "alpha": alpha}, "between 0 and 0.5") for alpha in (-0.1, 0.0, 0.5, 0.9)),
    ],
)
def test_a_policy_that_is_none_is_refused(policy, message):
    with pytest.raises(InputError, match=message):
        GatePolicy(**policy)


def test_a_drop_of_all_items_fails_though_its_p_value_is_too_small_for_a_number():
    base, run = (made_run(name, {"exact_match": [value] * 1200}) for name, value in (("base", 1.0), ("run", 0.0)))
    (found,) = judge_gate(run, base, [metric("exact_match")], GatePolicy({"exact_match": 0.02})).metrics
    assert (found.p_drop, found.p_drop_adjusted, found.verdict) == (0.0, 0.0, "FAIL_HARD")


def test_six_documents_are_enough_to_tell_and_five_are_not():
    (enough,), (few,) = (gate_of(-0.2, n=60, per_document=size, noise=0.01).metrics for size in (10, 12))
    assert (enough.effective_clusters, enough.verdict) == (6.0, "FAIL_HARD")
    assert (few.effective_clusters, few.verdict) == (5.0, "INCONCLUSIVE")
    assert few.reason == "5.0 effective source documents, 6 are needed to tell anything"


def test_runs_without_a_single_score_in_both_cannot_be_held_against_each_other():
    run = made_run("run", {"token_f1": [None] * 40})
    with pytest.raises(IncomparableError, match="0 of 40 items lack a score in one of the runs, 0 have one in both"):
        judge_gate(run, run, [metric("token_f1")], GatePolicy({"token_f1": 0.02}))


def test_the_twenty_worst_items_are_listed_worst_first():
    (found,) = gate_of(-0.05).metrics
    values = [item["difference"] for item in found.worst]
    assert len(values) == 20
    assert values == sorted(values)
    assert values[-1] < found.delta


def test_a_steep_drop_is_one_of_more_than_half_of_the_metrics_range():
    scale = replace(metric("token_f1"), range=(1.0, 5.0))
    base = made_run("base", {"token_f1": [4.5] * 60})
    run = made_run("run", {"token_f1": [4.5] * 57 + [2.5, 2.4, 1.5]})
    (found,) = judge_gate(run, base, [scale], GatePolicy({"token_f1": 0.5})).metrics
    assert found.steep_drops == 2


def with_counts(name: str, **counts: int) -> LoadedRun:
    run = made_run(name, {"token_f1": [0.5] * 200})
    return replace(run, header={**run.header, "counts": counts})


def test_more_unanswered_empty_or_cut_answers_than_the_baseline_has_are_told():
    def warnings(run: LoadedRun, base: LoadedRun) -> tuple[str, ...]:
        return judge_gate(run, base, [metric("token_f1")], GatePolicy({"token_f1": 0.02})).warnings

    few, more = with_counts("few", error=2, empty=2, cut_off=2), with_counts("more", error=3, empty=4, cut_off=5)
    assert warnings(more, few) == (
        "the candidate has 3 items without an answer, the baseline 2",
        "the candidate has 4 empty answers, the baseline 2",
        "the candidate has 5 cut answers, the baseline 2",
    )
    assert warnings(more, more) == warnings(few, more) == ()
    # Two of two hundred are one in a hundred and not more.
    assert warnings(few, with_counts("none")) == ()


def test_a_metric_that_the_runs_do_not_share_is_named():
    run = made_run("run", {"token_f1": [0.5] * 10})
    with pytest.raises(InputError, match="'bleu' is not in both runs: they share token_f1"):
        judge_gate(run, run, [metric("token_f1")], GatePolicy({"bleu": 1.0}))


def test_the_same_runs_give_the_same_bytes():
    one, two = (json.dumps(gate_of(-0.018).to_dict(), sort_keys=True) for _ in range(2))
    assert one == two


def test_junit_is_read_back_with_failures_and_skips():
    root = ElementTree.fromstring(junit_xml(gate_of(-0.05)))
    assert root.attrib["failures"] == "1"
    assert [failure.attrib["type"] for failure in root.iter("failure")] == ["FAIL_HARD"]
    root = ElementTree.fromstring(junit_xml(gate_of(-0.005, n=60)))
    assert (root.attrib["skipped"], [case.attrib["name"] for case in root.iter("testcase")]) == ("1", ["token_f1"])


def test_reports_hold_no_markup_of_the_data_and_keep_the_limit():
    gate = gate_of(-0.05)
    hostile = {
        str(item["item_id"]): "| <b>x</b> ](http://x) `\x00\u202e " + "long " * 9000 for item in gate.metrics[0].worst
    }
    text = markdown(gate, hostile)
    assert len(text.encode()) < MARKDOWN_LIMIT
    assert "<b>" not in text
    assert "](http" not in text
    assert "\x00" not in text
    (line,) = workflow_commands(gate)
    assert line.startswith("::error title=telbench token_f1::FAIL_HARD")


def answers(folder: Path, name: str, good: int, data: Path) -> Path:
    """A run with so many of 200 right answers."""
    file = folder / f"{name}.jsonl"
    rows = [{"id": f"i{i}", "prediction": f"the answer {i}" if i % 200 < good else "no idea"} for i in range(200)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = folder / name
    assert main(["score", str(file), "--data", str(data), "--metrics", "token_f1,bleu", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Real runs of 200 items in 100 documents: the baseline, an equal one, a much worse one, one of a few items."""
    folder = tmp_path_factory.mktemp("gate")
    data = folder / "data.jsonl"
    with data.open("w") as stream:
        for i in range(200):
            record = {"id": f"i{i}", "question": f"Question {i}?", "references": [f"the answer {i}"]}
            stream.write(json.dumps({**record, "source_document": f"d{i // 2}"}) + "\n")
    runs = {name: answers(folder, name, good, data) for name, good in (("base", 150), ("equal", 150), ("worse", 90))}
    other = folder / "other.jsonl"
    other.write_text(json.dumps({"id": "i0", "question": "Another?", "references": ["x"]}) + "\n")
    file = folder / "one.jsonl"
    file.write_text(json.dumps({"id": "i0", "prediction": "x"}) + "\n")
    runs["other"] = folder / "another"
    assert main(["score", str(file), "--data", str(other), "--metrics", "token_f1", "--out", str(runs["other"])]) == 0
    return runs


def check(scored: dict[str, Path], candidate: str, *more: str, baseline: Path | None = None) -> int:
    words = ["check", "--baseline", str(baseline or scored["base"]), "--candidate", str(scored[candidate])]
    return main([*words, "--margin", "token_f1=0.05", *more])


def test_the_commands_exit_code_is_the_verdict(scored, tmp_path, capsys):
    assert check(scored, "equal") == 0
    assert check(scored, "worse") == 1
    assert check(scored, "equal", "--margin", "token_f1=oops") == 2
    assert check(scored, "other") == 4
    out = capsys.readouterr()
    assert "FAIL_HARD" in out.out
    assert "Traceback" not in out.err


def test_budgets_are_named_and_settable_for_one_and_for_all(scored, capsys):
    assert check(scored, "equal") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("1 guardrail: a budget of 2 % of the range each; all of them together fail a model")
    assert lines[-2] == "PASS: base against base, exit code 0" or lines[-2].startswith("PASS: ")
    assert "can show no drop" in lines[-1] or "can show a drop of" in lines[-1]
    assert check(scored, "equal", "--guardrail", "bleu=1.5", "--json") == 0
    gate = json.loads(capsys.readouterr().out)
    assert [(each["metric"], each["budget"]) for each in gate["metrics"]] == [("token_f1", None), ("bleu", 1.5)]
    assert check(scored, "equal", "--guardrail-budget", "0.1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"][1]["budget"] == 10
    assert check(scored, "equal", "--guardrail", "bleu=much") == 2
    assert "--guardrail bleu=much: give a number" in capsys.readouterr().err


def test_an_anchor_stands_for_the_run_it_was_pinned_from(scored, tmp_path, capsys):
    anchor = tmp_path / "anchor.json"
    assert main(["baseline", "pin", str(scored["base"]), "--out", str(anchor)]) == 0
    first = anchor.read_bytes()
    assert b"the answer 7" not in first
    capsys.readouterr()
    assert check(scored, "worse", "--json") == 1
    direct = json.loads(capsys.readouterr().out)
    assert check(scored, "worse", "--json", baseline=anchor) == 1
    assert json.loads(capsys.readouterr().out) == direct
    assert main(["baseline", "pin", str(scored["base"]), "--out", str(anchor)]) == 0
    assert anchor.read_bytes() == first
    assert main(["baseline", "pin", str(scored["worse"]), "--out", str(anchor)]) == 2
    assert "holds another anchor" in capsys.readouterr().err


def test_reports_are_written_and_github_is_told_inside_actions_only(scored, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    files = [
        f"--{kind}={tmp_path / name}" for kind, name in (("out", "g.json"), ("junit", "j.xml"), ("summary", "s.md"))
    ]
    assert check(scored, "worse", *files) == 1
    assert "::error title=telbench token_f1::FAIL_HARD" in capsys.readouterr().err
    assert (tmp_path / "step.md").read_text() == (tmp_path / "s.md").read_text()
    assert "Question" in (tmp_path / "s.md").read_text()
    assert ElementTree.parse(tmp_path / "j.xml").getroot().attrib["failures"] == "1"
    before = (tmp_path / "g.json").read_bytes()
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert check(scored, "worse", *files) == 1
    assert "::error" not in capsys.readouterr().err
    assert (tmp_path / "g.json").read_bytes() == before


def test_a_damaged_or_foreign_file_is_one_line(scored, tmp_path, capsys):
    for name, text in (
        ("a.json", "{"),
        ("b.json", "{}"),
        ("c.json", json.dumps({"kind": "telbench anchor", "version": 1})),
    ):
        (tmp_path / name).write_text(text)
        assert check(scored, "equal", baseline=tmp_path / name) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith("telbench check: ")
        assert "\n" not in error


def test_the_helper_for_pytest_raises_with_the_table(scored):
    assert assert_no_regression(scored["equal"], scored["base"], margins={"token_f1": 0.02}).exit_code == 0
    with pytest.raises(AssertionError, match="FAIL_HARD"):
        assert_no_regression(scored["worse"], scored["base"], margins={"token_f1": 0.02})
