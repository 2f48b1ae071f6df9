"""Several data sets as one gate: one family of tests over all, and what a set of verdicts comes to."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from telbench.errors import InputError
from telbench.leaderboard.checks.settings import PolicySettings
from telbench.leaderboard.checks.several import GateSet, all_line, data_line, judge_set, markdown_of
from telbench.leaderboard.gate.gate import Case, GatePolicy, judge_gate
from telbench.leaderboard.gate.report import junit_xml, markdown, terminal_rows, workflow_commands
from telbench.leaderboard.gate.sequential import combined, judge_levels
from telbench.leaderboard.gate.spending import Levels

from ...made_runs import made_run, metric

METRICS = [metric("token_f1"), metric("rougeL")]
POLICY = GatePolicy({"token_f1": 0.02}, ("rougeL",))


def case(seed: int, shift: float = 0.0, *, n: int = 400, policy: GatePolicy = POLICY, guard: float = 0.0) -> Case:
    """A candidate whose token_f1 differs by ``shift`` and whose rougeL by ``guard``, with noise of mean 0."""
    draw = np.random.default_rng(seed)
    base = draw.uniform(0.3, 0.7, (2, n))
    noise = draw.normal(0, 0.1, (2, n))
    changed = base + noise - noise.mean(axis=1, keepdims=True) + [[shift], [guard]]
    runs = [
        made_run(name, {"token_f1": values[0].tolist(), "rougeL": values[1].tolist()})
        for name, values in (("run", changed), ("base", base))
    ]
    return Case(runs[0], runs[1], METRICS, policy)


def test_a_set_of_one_is_the_gate_of_that_one():
    one = case(1, -0.012)
    alone = judge_gate(one.candidate, one.baseline, one.metrics, one.policy)
    together = judge_set({"only": one}, "warn")
    assert json.dumps(together.to_dict()["data"]["only"]) == json.dumps(alone.to_dict())
    assert (together.verdict, together.exit_code) == (alone.verdict, alone.exit_code)


def test_drops_are_corrected_over_the_primary_metrics_of_all_data_sets():
    # Shown by itself: p is about 0.03. Among three it is not.
    cases = {"a": case(1, -0.0095), "b": case(2), "c": case(3)}
    alone = judge_set({"a": cases["a"]}, "warn").gates["a"].metrics[0]
    together = judge_set(cases, "warn").gates["a"].metrics[0]
    assert alone.p_drop == together.p_drop
    assert alone.p_drop_adjusted == pytest.approx(alone.p_drop)
    assert together.p_drop_adjusted == pytest.approx(3 * together.p_drop)
    assert (alone.verdict, together.verdict) == ("PASS_SMALL_DROP", "PASS")
    # What has to be proved needs no correction, as all of them have to prove it.
    assert (alone.lower, alone.p_margin) == (together.lower, together.p_margin)


def test_budgets_are_another_family_of_guardrails_and_categories_of_all_data_sets():
    within = replace(POLICY, categories=("even", "odd"))
    cases = {"a": case(1, policy=within, guard=-0.031), "b": case(2, policy=within)}
    gates = judge_set(cases, "warn").gates
    roles = [each.role for each in gates["a"].metrics]
    assert roles == ["primary", "guardrail", "category", "category"]
    guard = gates["a"].metrics[1]
    assert guard.p_beyond is not None
    # The smallest of six: a guardrail and two categories in each of two data sets.
    assert guard.p_beyond_adjusted == pytest.approx(6 * guard.p_beyond)
    assert gates["a"].metrics[0].p_drop_adjusted <= 1.0
    alone = judge_set({"a": replace(cases["a"], policy=POLICY)}, "warn").gates["a"].metrics[1]
    assert alone.p_beyond_adjusted == alone.p_beyond == guard.p_beyond


@pytest.mark.parametrize(
    ("shifts", "handling", "verdict", "code"),
    [
        ((0.0, 0.0), "warn", "pass", 0),
        ((0.0, -0.06), "warn", "fail", 1),
        ((0.0, None), "warn", "inconclusive", 0),
        ((0.0, None), "fail", "inconclusive", 3),
        ((-0.06, None), "fail", "fail", 1),
    ],
)
def test_one_that_fails_fails_all_and_one_that_cannot_tell_leaves_all_open(shifts, handling, verdict, code):
    policy = replace(POLICY, on_inconclusive=handling)
    cases = {
        f"set{place}": case(place, shift or 0.0, n=30 if shift is None else 400, policy=policy)
        for place, shift in enumerate(shifts)
    }
    found = judge_set(cases, handling)
    assert (found.verdict, found.exit_code) == (verdict, code)
    assert all_line(found).startswith(f"ALL DATA SETS: {verdict.upper()}: ")
    assert f"exit code {code}" in all_line(found)
    assert ("(3 with --on-inconclusive fail)" in all_line(found)) == (verdict == "inconclusive" and code == 0)


def test_the_lines_say_what_holds_and_name_what_does_not():
    found = judge_set({"good": case(1), "bad": case(2, -0.06, guard=-0.05), "few": case(3, n=30)}, "warn")
    good, bad, few = (data_line(name, gate) for name, gate in found.gates.items())
    assert good == "good: PASS: 1 of 1 primary metric, 1 of 1 guardrail hold"
    assert bad == ("bad: FAIL: 0 of 1 primary metric, 0 of 1 guardrail hold; worse: token_f1 -0.06, rougeL -0.05")
    assert few == "few: INCONCLUSIVE: 0 of 1 primary metric, 1 of 1 guardrail hold; cannot tell: token_f1"
    assert all_line(found) == (
        "ALL DATA SETS: FAIL: 1 of 3 worse (bad), 1 of 3 cannot tell (few), 1 of 3 pass; exit code 1"
    )
    text = markdown_of(found, {})
    assert [line for line in text.splitlines() if line.startswith("##")] == [
        "## telbench check: fail",
        "### good: pass",
        "### bad: fail",
        "### few: inconclusive",
    ]
    root = ElementTree.fromstring(junit_xml(*found.gates.values()))
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["skipped"]) == ("6", "2", "1")
    assert [suite.attrib["failures"] for suite in root] == ["0", "2", "0"]


def test_a_fall_in_one_category_fails_though_the_mean_of_all_items_holds():
    one = case(1, policy=replace(POLICY, categories=("odd",)))
    column = {
        item: replace(score, value=(score.value or 0) + (-0.06 if one.candidate.categories[item] == "odd" else 0.06))
        for item, score in one.candidate.scores["token_f1"].items()
    }
    one = replace(one, candidate=replace(one.candidate, scores={**one.candidate.scores, "token_f1": column}))
    found = judge_set({"a": one}, "warn").gates["a"]
    assert [(each.title, each.role, each.verdict) for each in found.metrics] == [
        ("token_f1", "primary", "PASS"),
        ("rougeL", "guardrail", "PASS"),
        ("token_f1 in odd", "category", "FAIL"),
    ]
    held = found.metrics[2]
    assert (held.n, held.budget, held.margin) == (200, 0.02, None)
    ours, theirs = (
        np.mean([run.scores["token_f1"][item].value or 0 for item in run.clusters if run.categories[item] == "odd"])
        for run in (one.candidate, one.baseline)
    )
    assert held.delta == pytest.approx(ours - theirs)
    assert held.reason.startswith("the drop is larger than the budget of 0.02")
    wide = replace(one, policy=replace(one.policy, category_budgets={"token_f1": 0.2}))
    assert judge_set({"a": wide}, "warn").gates["a"].metrics[2].verdict == "PASS_SMALL_DROP"


def test_a_look_at_a_baseline_holds_categories_too():
    one = case(1, -0.06, policy=replace(POLICY, guardrails=(), categories=("odd",)))
    red, passing = judge_levels(one.candidate, one.baseline, METRICS, one.policy, Levels(0.02, 0.05))
    assert [each.role for each in passing.metrics] == ["primary"]
    # Two families: each has half of the level of red.
    assert red.policy.alpha == 0.01
    found = combined(red, passing, one.policy)
    assert [(each.title, each.role, each.verdict) for each in found.metrics] == [
        ("token_f1", "primary", "FAIL_HARD"),
        ("token_f1 in odd", "category", "FAIL"),
    ]


def test_all_categories_leave_out_those_that_cannot_tell_and_say_so():
    one = case(1)
    categories = {
        item: "few" if place < 4 else "rest" if place < 300 else None
        for place, item in enumerate(one.baseline.clusters)
    }
    one = replace(one, baseline=replace(one.baseline, categories=categories))
    every = judge_set({"a": replace(one, policy=replace(POLICY, categories=("all",)))}, "warn").gates["a"]
    assert [each.title for each in every.metrics if each.role == "category"] == ["token_f1 in rest"]
    assert "token_f1 in few is not held: 4.0 effective source documents, it takes 6" in every.warnings
    # Named by itself it is not silently passed over.
    named = judge_set({"a": replace(one, policy=replace(POLICY, categories=("few",)))}, "warn").gates["a"]
    assert [(each.title, each.verdict) for each in named.metrics if each.role == "category"] == [
        ("token_f1 in few", "INCONCLUSIVE")
    ]
    assert named.verdict == "inconclusive"


def test_a_category_without_scores_or_items_is_refused():
    one = case(1)
    settings = PolicySettings(margins={"token_f1": 0.02}, categories=("evn",))
    with pytest.raises(InputError, match="--categories evn: no item of base is of this category: did you mean 'even'"):
        settings.case(one.candidate, one.baseline)
    bare = replace(one.baseline, categories={})
    with pytest.raises(InputError, match="no item of base has a category: make both runs with --map category=FIELD"):
        settings.case(one.candidate, bare)
    lacking = {
        item: score if one.baseline.categories[item] == "even" else replace(score, value=None, reason="n/a")
        for item, score in one.candidate.scores["token_f1"].items()
    }
    run = replace(one.candidate, scores={**one.candidate.scores, "token_f1": lacking})
    policy = replace(POLICY, categories=("odd",), max_missing=0.6)
    with pytest.raises(InputError, match="--categories odd: no item of it has token_f1 in both runs"):
        judge_gate(run, one.baseline, METRICS, policy)


def test_how_many_items_may_lack_a_score_is_asked_of_all_items_and_not_of_each_category():
    one = case(1, policy=replace(POLICY, categories=("few",)))
    column = dict(one.candidate.scores["token_f1"])
    column["i0"] = replace(column["i0"], value=None, reason="judge: no verdict")
    categories = {item: "few" if place < 20 else "rest" for place, item in enumerate(one.baseline.clusters)}
    run = replace(one.candidate, scores={**one.candidate.scores, "token_f1": column})
    one = replace(one, candidate=run, baseline=replace(one.baseline, categories=categories))
    (held,) = [each for each in judge_set({"a": one}, "warn").gates["a"].metrics if each.role == "category"]
    assert (held.n, held.n_missing) == (19, 1)


@pytest.mark.parametrize("budgets", [{"token_f1": -0.1}, {"rougeL": 0.1}, {"token_f1": float("nan")}])
def test_budgets_of_categories_are_of_primary_metrics_and_no_negative_numbers(budgets):
    with pytest.raises(InputError, match="--category-budget"):
        replace(POLICY, categories=("odd",), category_budgets=budgets)
    with pytest.raises(InputError, match="and --categories"):
        replace(POLICY, category_budgets={"token_f1": 0.1})


def test_a_hostile_category_stays_text_in_every_report():
    hostile = "</summary><script>x</script>|`a`\n::error::\x00\u202e]("
    one = case(1, policy=replace(POLICY, categories=(hostile,)), shift=-0.06)
    moved = dict.fromkeys(one.baseline.clusters, hostile)
    gate = judge_set({hostile: replace(one, baseline=replace(one.baseline, categories=moved))}, "warn").gates[hostile]
    assert gate.metrics[2].verdict == "FAIL"
    text = markdown(gate, {}) + markdown_of(GateSet(gate.verdict, gate.exit_code, {hostile: gate}), {})
    assert "<script>" not in text
    assert "\x00" not in text
    # What begins with a tag is HTML to the end of its line, and no Markdown.
    assert not any("](" in line for line in text.splitlines() if not line.startswith("<details>"))
    root = ElementTree.fromstring(junit_xml(gate))
    assert [each.attrib["name"].startswith("token_f1 in </summary>") for each in root.iter("testcase")][2]
    commands = list(workflow_commands(gate, hostile))
    assert all("\n" not in line and line.startswith("::") for line in commands)
    assert terminal_rows(gate)[3][0].startswith("token_f1 in ")


@pytest.mark.slow
def test_an_unchanged_model_is_not_red_more_often_for_being_asked_on_three_data_sets():
    """2.3 standard errors over the nominal 5 % of 100 gates; any of three checks is red about three times as often."""
    draw = np.random.default_rng(11)
    red = alone = 0
    for _ in range(100):
        cases = {str(place): case(int(draw.integers(1 << 30)), n=60) for place in range(3)}
        cases = {name: _noisy(one, draw) for name, one in cases.items()}
        red += judge_set(cases, "warn").verdict == "fail"
        alone += any(judge_set({name: one}, "warn").verdict == "fail" for name, one in cases.items())
    assert red <= 10
    assert alone > red


def _noisy(one: Case, draw: np.random.Generator) -> Case:
    """The same with noise whose mean is not 0."""
    scores = {
        name: {item: replace(score, value=0.5 + draw.normal(0, 0.2)) for item, score in column.items()}
        for name, column in one.candidate.scores.items()
    }
    flat = {name: {item: replace(s, value=0.5) for item, s in c.items()} for name, c in one.baseline.scores.items()}
    return replace(one, candidate=replace(one.candidate, scores=scores), baseline=replace(one.baseline, scores=flat))
