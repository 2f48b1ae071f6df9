"""Metrics scored in several processes: the same scores, in order, and a process that ends is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from telbench.errors import TelbenchError
from telbench.harness.cli.main import main
from telbench.metrics.contract import Metric, Sample, metric, metrics_named
from telbench.metrics.processes import ScoringProcesses

NAMES = ("exact_match", "token_f1", "rouge1", "bleu", "chrf", "bertscore")


def batches(count: int, size: int) -> list[list[Sample]]:
    return [
        [Sample(f"{batch}-{place}", f"the AMF {place}", (f"the SMF {batch}", "an AMF")) for place in range(size)]
        for batch in range(count)
    ]


def test_scores_of_processes_are_those_of_one_in_the_order_of_the_batches() -> None:
    metrics = metrics_named(NAMES)
    given = batches(7, 3)
    with ScoringProcesses(metrics, 2) as processes:
        # Without an encoder, bertscore is scored where the encoder would be.
        assert processes.names == list(NAMES[:-1])
        found = list(processes.scored(given, lambda batch: batch))
    assert [batch for batch, _ in found] == given
    for batch, scores in found:
        assert scores == {each.name: each.score(batch) for each in metrics[:-1]}


def test_a_metric_that_the_registry_does_not_have_is_not_scored_in_processes() -> None:
    @metric(name="nowhere", family="ngram", range=(0, 1))
    def nowhere(sample: Sample) -> float:
        """Nothing."""
        return 0.0

    def never(metrics: list[Metric]) -> list[str]:
        with ScoringProcesses(metrics, 1) as processes:
            return processes.names

    assert never([nowhere]) == []


def test_a_process_that_is_ended_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # The process cannot even begin: what it is to make is not there.
    with ScoringProcesses(metrics_named(["bleu"]), 1) as processes:
        monkeypatch.setattr(processes._pool, "_initargs", (["no_such_metric"], [""]))
        with pytest.raises(TelbenchError, match=r"a scoring process ended: .*--workers 1 shows which"):
            list(processes.scored(batches(1, 1), lambda batch: batch))


def test_a_run_scored_by_workers_has_the_same_samples(tmp_path: Path) -> None:
    answers = tmp_path / "answers.txt"
    answers.write_text("".join(f"The AMF handles registration {number}.\n" for number in range(30)))
    common = ["score", str(answers), "--limit", "30", "--metrics", "token_f1,rougeL,bleu,fact_agreement"]
    for workers in ("1", "2"):
        assert main([*common, "--out", str(tmp_path / workers), "--workers", workers]) == 0
    one, two = ((tmp_path / workers / "samples.jsonl").read_bytes() for workers in ("1", "2"))
    assert one == two
