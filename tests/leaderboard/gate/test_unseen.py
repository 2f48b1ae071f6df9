"""A pass that few documents, or documents that nobody saw, could undo is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from telbench.leaderboard.compare.pairwise import compare_runs
from telbench.leaderboard.compare.table import warning_lines
from telbench.leaderboard.gate.gate import GatePolicy, MetricGate, judge_gate
from telbench.leaderboard.gate.report import junit_xml, markdown, power_lines

from ...made_runs import answered_run, made_run, metric


def judged(base, changes, margin, per_document=2) -> MetricGate:
    """The gate of two runs of token_f1 with these values."""
    runs = [
        made_run(name, {"token_f1": list(values)}, per_document=per_document)
        for name, values in (("base", base), ("run", np.asarray(base) + np.asarray(changes)))
    ]
    return judge_gate(runs[1], runs[0], [metric("token_f1")], GatePolicy({"token_f1": margin})).metrics[0]


def test_as_many_documents_as_the_rule_of_three_asks_for_let_an_unchanged_model_pass():
    enough, few = (judged([1.0] * 2 * count, [0.0] * 2 * count, 0.02) for count in (149, 148))
    assert enough.verdict == "PASS"
    assert enough.p_overlooked is None
    assert few.verdict == "INCONCLUSIVE"
    assert few.flags == ("identical", "unseen_failures")
    assert few.p_overlooked == pytest.approx(0.98**148, rel=1e-6)
    assert "148 documents are too few to rule out failures that they do not show: up to 2.0% of documents" in few.reason
    assert few.reason.endswith("a margin of 0.02 takes about 149 documents")


def test_what_a_document_can_lose_is_what_the_baseline_has():
    # A failure loses at most 0.2: thirty documents are enough for a margin of 0.02.
    assert judged([0.2] * 60, [0.0] * 60, 0.02).verdict == "PASS"
    assert judged([0.4] * 60, [0.0] * 60, 0.02).verdict == "INCONCLUSIVE"
    assert judged([0.0] * 60, [0.0] * 60, 0.02).verdict == "PASS"


def test_documents_that_carry_a_drop_are_named_and_keep_it_from_passing():
    changes = np.zeros(400)
    changes[:2], changes[100:102] = -0.9, -0.5
    found = judged([0.9] * 400, changes, 0.016)
    assert found.lower is not None
    assert found.lower > -0.016
    assert found.verdict == "INCONCLUSIVE"
    assert "dominated" in found.flags
    assert "1 of 200 documents carries 76% of the spread: d0 (-0.9)" in found.reason
    assert found.p_overlooked is not None
    assert found.p_overlooked > 0.05
    # A margin that one more of that kind does not reach.
    assert judged([0.9] * 400, changes, 0.05).verdict == "PASS"


def test_ordinary_differences_pass_as_before():
    changes = np.random.default_rng(0).normal(0, 0.2, 1000)
    found = judged([0.5] * 1000, changes, 0.05)
    assert found.verdict == "PASS"
    assert not {"dominated", "unseen_failures"} & set(found.flags)


def test_a_failure_that_is_shown_fails_however_few_carry_it():
    changes = np.where(np.arange(400) < 40, -0.9, 0.0)
    assert judged([0.9] * 400, changes, 0.02).verdict == "FAIL_HARD"


def test_a_corpus_score_passes_only_with_documents_enough():
    references = [f"the answer to question number {place} is this one" for place in range(40)]
    runs = [answered_run(name, "bleu", references, references)[0] for name in ("base", "run")]
    found = [judge_gate(runs[1], runs[0], [metric("bleu")], GatePolicy({"bleu": x})).metrics[0] for x in (5.0, 10.0)]
    # BLEU is 100: of forty documents 7.2 % may fail unseen.
    assert [each.verdict for each in found] == ["INCONCLUSIVE", "PASS"]
    assert "one that fails loses 100; a margin of 5 takes about 59 documents" in found[0].reason


@pytest.mark.parametrize(
    ("loss", "margin", "verdict"), [(0.0, 0.5, "PASS"), (4.0, 0.5, "INCONCLUSIVE"), (4.0, 1.0, "PASS")]
)
def test_of_a_metric_without_a_worst_value_the_largest_loss_that_is_seen_stands_for_others(loss, margin, verdict):
    values = [-10.0 - (loss if place < 2 else 0.0) for place in range(60)]
    runs = [
        made_run(name, {"reference_likelihood": row}, per_document=2)
        for name, row in (("base", [-10.0] * 60), ("run", values))
    ]
    policy = GatePolicy({"reference_likelihood": margin})
    assert judge_gate(runs[1], runs[0], [metric("reference_likelihood")], policy).metrics[0].verdict == verdict


def test_the_last_line_asks_for_as_many_documents_as_failures_take():
    runs = [made_run(name, {"token_f1": [1.0] * 80}, per_document=2) for name in ("base", "run")]
    gate = judge_gate(runs[1], runs[0], [metric("token_f1")], GatePolicy({"token_f1": 0.02}))
    assert (gate.metrics[0].n_for_margin, gate.metrics[0].clusters_for_margin) == (298, 149)
    assert power_lines(gate)[0].endswith("for 0.02 you need about 300 in 150 documents")


def test_names_of_documents_are_escaped_in_reports():
    changes = np.zeros(400)
    changes[:2], changes[100:102] = -0.9, -0.5
    documents = [f"<b>|d{place // 2}`\x1b" for place in range(400)]
    base = replace(
        made_run("base", {"token_f1": [0.9] * 400}),
        clusters=dict(zip([f"i{i}" for i in range(400)], documents, strict=True)),
    )
    run = replace(made_run("run", {"token_f1": list(0.9 + changes)}), clusters=base.clusters)
    gate = judge_gate(run, base, [metric("token_f1")], GatePolicy({"token_f1": 0.016}))
    assert "<b>|d0" in gate.metrics[0].reason
    assert "<b>" not in markdown(gate)
    assert "<b>" not in junit_xml(gate)
    assert "\x1b" not in junit_xml(gate) + markdown(gate)


def test_a_comparison_notes_the_documents_that_carry_its_difference():
    changes = np.zeros(400)
    changes[:2], changes[100:102], changes[200:208] = -0.9, -0.5, 0.01
    runs = [made_run("base", {"token_f1": [0.9] * 400}, per_document=2)]
    runs.append(made_run("run", {"token_f1": list(0.9 + changes)}, per_document=2))
    compared = compare_runs(runs, [metric("token_f1")])
    assert "dominated" in compared[0].items.flags
    assert [each.cluster for each in compared[0].items.carriers] == ["d0"]
    lines = warning_lines(runs, ["base", "run"], compared)
    assert "note: token_f1 of run: 1 of 200 documents carries 76% of the spread: d0 (-0.9)" in lines
