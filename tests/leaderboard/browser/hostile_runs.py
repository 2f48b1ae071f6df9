"""Run folders whose questions, answers and names try to run, to reorder lines and to leave their folder."""

from __future__ import annotations

import json
import random
from pathlib import Path

from telbench.harness.cli.main import main

ITEMS, PER_DOCUMENT = 60, 3
# What would call the function that the tests put on every page, were it ever run.
ATTACKS = (
    "<script>attacked('script')</script>",
    "</script><script>attacked('end')</script>",
    "<img src=x onerror=\"attacked('image')\">",
    "<svg onload=attacked('svg')>",
    '"><a href="javascript:attacked(\'link\')">click</a>',
    "'-attacked('quote')-'",
    "{{ 7 * 191 }} {% raw %}",
    "<!-- <style>*{display:none}</style>",
    "\u202egnp.exe\u202c \u2066isolated",
    "nul \x00 bell \x07 escape \x1b[31m separator \u2028 surrogate \ud800",
    "](javascript:attacked('markdown)",
)
WORDS = (
    "the",
    "gNB",
    "sends",
    "RRC",
    "setup",
    "to",
    "AMF",
    "over",
    "N2",
    "with",
    "timer",
    "T3512",
    "of",
    "54",
    "minutes",
)
# name, share of right answers, parameters, factors
MODELS = (
    (
        "base <script>attacked('name')</script>",
        0.35,
        500_000_000,
        {"algorithm": "sft", "vocabulary": "same", "seed": 0},
    ),
    ("../../etc/passwd", 0.45, 500_000_000, {"algorithm": "dskd", "vocabulary": "same", "seed": 0}),
    ("javascript:attacked('model')", 0.40, 1_000_000_000, {"algorithm": "sft", "vocabulary": "different", "seed": 0}),
    ("\u202egnal \x07 bell", 0.80, 1_000_000_000, {"algorithm": "dskd", "vocabulary": "different", "seed": 0}),
    ("again 0.5B", 0.47, 500_000_000, {"algorithm": "dskd", "vocabulary": "same", "seed": 1}),
)
METRICS = "exact_match,token_f1,rougeL,bleu,ter,over_refusal"


def make_runs(folder: Path, *, long_answer: int = 0) -> list[Path]:
    """Five runs on the same items, the first with an answer of so many characters."""
    draw = random.Random(6)
    references = [" ".join(draw.choices(WORDS, k=6)) for _ in range(ITEMS)]
    data = folder / "data.jsonl"
    with data.open("w") as stream:
        for place, reference in enumerate(references):
            item = {
                "id": f"../{place}<b>" if place % 7 == 0 else f"item-{place}",
                "question": f"{ATTACKS[place % len(ATTACKS)]} what does {place} do?",
                "references": [reference],
                "context": f"{ATTACKS[(place + 1) % len(ATTACKS)]} {reference}",
                "source_document": f"document-{place // PER_DOCUMENT}",
                "category": ("core <b>", "radio", "transport")[place % 3],
            }
            stream.write(json.dumps(item) + "\n")
    runs = []
    for number, (name, right, parameters, factors) in enumerate(MODELS):
        answers = folder / f"answers-{number}.jsonl"
        with answers.open("w") as stream:
            for place, reference in enumerate(references):
                said = reference if draw.random() < right else " ".join(draw.choices(WORDS, k=8))
                if draw.random() < 0.3:
                    said = f"{said} {ATTACKS[draw.randrange(len(ATTACKS))]}"
                if place == 5 and number == 0 and long_answer:
                    said = "long " * (long_answer // 5)
                identity = f"../{place}<b>" if place % 7 == 0 else f"item-{place}"
                stream.write(json.dumps({"id": identity, "prediction": said}) + "\n")
        out = folder / f"run-{number}"
        code = main(["score", str(answers), "--data", str(data), "--metrics", METRICS, "--out", str(out)])
        assert code == 0
        _as_generated(out, name, parameters, factors, seconds=2.0 + number)
        runs.append(out)
    return runs


def _as_generated(run: Path, name: str, parameters: int, factors: dict[str, object], *, seconds: float) -> None:
    """The header as if a checkpoint of that name and size had answered."""
    file = run / "run.json"
    header = json.loads(file.read_text())
    header["model"].update(name=name, parameters=parameters)
    header["factors"] = factors
    header["generation"].update(engine="vllm", generated=header["data"]["n"])
    header["seconds"]["generate"] = seconds
    header["tokens"]["completion"] = 6000
    file.write_text(json.dumps(header))
