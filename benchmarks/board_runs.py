"""Run folders of a given size with realistic text, written by the project's own writers, for `board_build.py`.

Scores are those that the n-gram metrics give to a sample of the texts, dealt out with a shift of the mean from run to
run, so that values, ties, correlations and statistics of corpus metrics are as in life; embedding, judged and refusal
metrics, whose models are not run here, have values drawn between the same bounds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from telbench.harness.runs.folder import SAMPLES, SAMPLES_DRAFT, RunFolder
from telbench.metrics.contract import Metric, Sample, metrics_named

SCORED = ("exact_match", "token_f1", "rouge1", "rouge2", "rougeL", "bleu", "chrf", "ter", "over_refusal")
DRAWN = ("answer_similarity", "bertscore", "factual_correctness", "faithfulness", "answer_correctness")
# So many texts are scored, and so many items share a source document.
SCORED_ITEMS, PER_DOCUMENT = 400, 8
FACTORS = (("teacher", ("base", "sft")), ("vocabulary", ("same", "different")), ("algorithm", ("kd", "dskd")))
SUBJECTS = ("The gNB", "The AMF", "A UE in RRC_INACTIVE", "The SMF", "The UPF", "The target cell", "An O-DU", "The PCF")
VERBS = ("sends", "forwards", "receives", "discards", "acknowledges", "stores", "requests", "releases")
OBJECTS = (
    "the RRCReconfiguration message",
    "a PDU session",
    "the registration request",
    "the measurement report",
    "its security context",
    "the QoS flow",
    "an S-NSSAI",
    "the paging message",
)
ENDS = (
    "over the N2 interface",
    "within 10 ms",
    "when timer T304 expires",
    "before the handover",
    "at -110 dBm",
    "as TS 38.331 says",
    "on the primary cell",
    "for all bearers",
)


def sentence(draw: random.Random) -> str:
    """A sentence of telecom words."""
    return f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)} {draw.choice(ENDS)}."


def write_runs(folder: Path, runs: int, items: int) -> list[Path]:
    """So many run folders of so many items."""
    draw = random.Random(0)
    metrics = metrics_named([*SCORED, *DRAWN])
    dealt = _scored_answers(metrics[: len(SCORED)], draw)
    questions = [f"What happens in step {place} when {sentence(draw).lower()}" for place in range(items)]
    references = [" ".join(sentence(draw) for _ in range(2)) for _ in range(items)]
    made = []
    for number in range(runs):
        own = random.Random(number + 1)
        path = folder / f"run-{number:02}"
        target = RunFolder(path)
        totals = {metric.name: [0.0, 0.0] for metric in metrics}
        with (path / SAMPLES_DRAFT).open("w", encoding="utf-8") as stream:
            for sample in _samples(own, number / runs, questions, references, dealt):
                for name, value in sample["scores"].items():
                    totals[name][0] += value
                    totals[name][1] += 1
                stream.write(json.dumps(sample) + "\n")
        target.finish(_header(number, items, metrics, totals))
        target.release()
        made.append(path)
    return made


def deal_again(run: Path) -> None:
    """Deal the answers of a run, with their scores, to other items."""
    samples = run / SAMPLES
    lines = [json.loads(line) for line in samples.read_text("utf-8").splitlines()]
    dealt = [{name: line[name] for name in ("prediction", "scores", "stats")} for line in lines]
    random.Random(1).shuffle(dealt)
    samples.write_text("".join(json.dumps(line | other) + "\n" for line, other in zip(lines, dealt, strict=True)))


def _scored_answers(
    metrics: list[Metric], draw: random.Random
) -> list[tuple[dict[str, float], dict[str, list[float]]]]:
    """Scores and statistics of answers that are right, half right and wrong; best first."""
    samples = []
    for place in range(SCORED_ITEMS):
        first, second, wrong = (sentence(draw) for _ in range(3))
        reference = f"{first} {second}"
        answer = (reference, f"{first} {wrong}", f"{wrong} {sentence(draw)}")[place % 3]
        samples.append(Sample(str(place), answer, (reference,)))
    columns = {metric.name: metric.score(samples) for metric in metrics}
    found = []
    for place in range(SCORED_ITEMS):
        row = {name: column[place] for name, column in columns.items()}
        scores = {name: score.value for name, score in row.items() if score.value is not None}
        found.append((scores, {name: list(score.stats) for name, score in row.items() if score.stats is not None}))
    return sorted(found, key=lambda each: -each[0]["token_f1"])


def _samples(
    draw: random.Random,
    strength: float,
    questions: list[str],
    references: list[str],
    dealt: list[tuple[dict[str, float], dict[str, list[float]]]],
) -> Iterator[dict[str, Any]]:
    for place, (question, reference) in enumerate(zip(questions, references, strict=True)):
        # A stronger run draws more often from the front, where the better answers are.
        quality = draw.random() ** (1 + strength)
        scores, stats = dealt[int(quality * SCORED_ITEMS)]
        drawn = {name: round(min(1.0, max(0.0, draw.gauss(1 - quality, 0.15))), 4) for name in DRAWN}
        answer = reference if quality < 0.2 else f"{sentence(draw)} {sentence(draw)} {sentence(draw)}"
        yield {
            "item_id": f"item-{place:05}",
            "cluster_id": f"document-{place // PER_DOCUMENT}",
            "category": ("core", "radio", "transport", "security")[place // PER_DOCUMENT % 4],
            "question": question,
            "context_sha256": None,
            "references": [reference],
            "prediction": answer,
            "finish_reason": "stop",
            "status": "ok",
            "truncated": False,
            "scores": {**scores, **drawn},
            "stats": stats,
        }


def _header(number: int, items: int, metrics: list[Metric], totals: dict[str, list[float]]) -> dict[str, Any]:
    levels = {name: pair[number >> place & 1] for place, (name, pair) in enumerate(FACTORS)}
    entries = {}
    for metric in metrics:
        mean = totals[metric.name][0] / totals[metric.name][1]
        entries[metric.name] = {
            "value": mean,
            "ci_low": mean * 0.98,
            "ci_high": mean * 1.02,
            "ci_method": "cluster bootstrap",
            "n": items,
            "n_missing": 0,
            "missing": {},
            "signature": metric.signature,
            "family": metric.family,
            "higher_is_better": metric.higher_is_better,
            "range": list(metric.range),
            "level": metric.level,
        }
    digest = f"{number:064x}"
    return {
        "schema_version": 1,
        "run_id": digest,
        "status": "complete",
        "created": "2026-01-01T00:00:00+00:00",
        "command": ["telbench", "eval"],
        "telbench": {"version": None, "commit": None, "dirty": None},
        "packages": {},
        "machine": {},
        "model": {
            "name": f"student-{'-'.join(levels.values())}-{number:02}",
            "path": None,
            "weights_sha256": digest,
            "config_sha256": digest,
            "tokenizer_sha256": digest,
            "chat_template_sha256": None,
            "parameters": (500_000_000, 1_000_000_000, 7_000_000_000)[number % 3],
        },
        "factors": {**levels, "seed": number // 2 ** len(FACTORS)},
        "data": {
            "name": "synthetic",
            "split": "test",
            "n": items,
            "items_sha256": "0" * 64,
            "prompts_sha256": "0" * 64,
            "dropped": {},
        },
        "prompt": {"book": "closed", "version": 1, "choice_seed": 0},
        "depends_on": {},
        "generation": {"engine": "vllm", "temperature": 0, "max_tokens": 64, "generated": items},
        "judge": None,
        "metrics": entries,
        "counts": {"ok": items, "error": 0, "truncated": 0, "empty": 0, "cut_off": 0},
        "tokens": {"prompt": 40 * items, "completion": 30 * items},
        "seconds": {"generate": items / (100 + number)},
    }
