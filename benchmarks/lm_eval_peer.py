"""Claim: `telbench eval` with vLLM answers as lm-evaluation-harness does on the same items, for less CPU time.

For each model, TeleQuAD (answers in words, open book) and TeleQnA (multiple choice: a letter asked for, and the
likelihood of each option's text) go through `telbench eval` and through `lm_eval --model vllm`, each as a user would
start it, in a process of its own. lm-eval is given telbench's prompts as texts and tokenises them itself; number
format, window, length of answers and stops are equal. Compared are: answers that are the same text, BLEU, chrF and TER
of the whole (against the first reference: lm-eval's take no more), the options' log-likelihoods, and the accuracy by
likelihood per byte. The clock is the CPU time of a command and its children, since on shared cores the wall clock also
counts what others do; both run on one thread unless OMP_NUM_THREADS says otherwise. Without a GPU lm-eval's vLLM gets
the environment that telbench gives its own, and runs eagerly too: by vLLM's defaults it may not start beside others.
Exits with 1 where an accuracy differs by more than one item or telbench takes more CPU time.

    python benchmarks/lm_eval_peer.py MODEL... --data-dir DATA --peer PYTHON [--items 100] [--dtype float32]

``--peer`` is the interpreter of an environment that has lm-eval 0.4.13 and the same vLLM.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from telbench.config import written
from telbench.harness.cli.terminal import Reporter
from telbench.harness.datasets.loading import limited, load_dataset
from telbench.harness.engines.vllm_arguments import CPU_ENVIRONMENT
from telbench.harness.runs.plan import asked_in, open_plan
from telbench.harness.runs.settings import EvalSettings, eval_settings
from telbench.harness.tokenizing import read_tokenizer

WORDS, CHOICE = "telequad", "teleqna"
METRICS = {WORDS: "bleu,chrf,ter", CHOICE: "choice_accuracy,choice_likelihood"}
CORPUS = ("bleu", "chrf", "ter")


@dataclass(frozen=True)
class Cost:
    """Seconds of one command with its children."""

    cpu: float
    wall: float


def timed(command: Sequence[str], log: Path, more: Mapping[str, str]) -> Cost:
    """Run a command whose output goes to a file; what it printed last is shown where it fails."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"} | dict(more)
    environment.setdefault("OMP_NUM_THREADS", "1")
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with log.open("wb") as out:
        code = subprocess.run(command, env=environment, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        sys.exit(f"{' '.join(command[:4])} … ended with {code}:\n{log.read_text(errors='replace')[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, time.perf_counter() - start)


def drawn(data: str, args: argparse.Namespace, folder: Path) -> str:
    """A file of the items that both are asked, each with its first reference; the name of the file."""
    whole = load_dataset(data, data_dir=Path(args.data_dir))
    rows = []
    for item in limited(whole, args.items, 0).items:
        row = {"id": item.id, "question": item.question, "source_document": item.source_document}
        if item.choices:
            row |= {"choices": list(item.choices), "answer": list(item.answer)}
        else:
            row |= {"references": list(item.references[:1]), "context": item.context}
        rows.append(json.dumps(row) + "\n")
    file = folder / f"{data}-items.jsonl"
    file.write_text("".join(rows), encoding="utf-8")
    return str(file)


def asked_of_ours(model: str, file: str, data: str, args: argparse.Namespace) -> EvalSettings:
    """The settings of telbench's run."""
    return eval_settings(
        model=model,
        data=file,
        split="all",
        engine="vllm",
        dtype=args.dtype,
        max_tokens=args.max_tokens,
        metrics=METRICS[data].split(","),
    )


def documents(settings: EvalSettings) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(Documents for lm-eval: prompts as text, options after their own prompt; what generation is given)."""
    opening = open_plan(settings, Reporter())
    asked = asked_in(opening, settings, frozenset({"option_scores"}), Reporter())
    checkpoint = opening.engine_settings.checkpoint
    assert checkpoint is not None
    tokenizer = read_tokenizer(checkpoint)

    def text(ids: Sequence[int]) -> str:
        return tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)

    rows = []
    for item, prompt in zip(opening.dataset.items, asked.prompts, strict=True):
        ids = list(prompt.request.token_ids)
        row: dict[str, Any] = {"id": item.id, "prompt": text(ids), "reference": item.references[0]}
        options = asked.continuations.get(item.id, ())
        if options:
            asked_text = text(options[0].token_ids[: options[0].start])
            row["asked"] = asked_text.rstrip()
            # lm-eval counts white space at a prompt's end into each option: one of that alone tells how much it is.
            spaces = asked_text[len(row["asked"]) :]
            row["options"] = [spaces + text(option.token_ids[option.start :]) for option in options]
            row["options"] += [spaces] * bool(spaces)
            row["bytes"] = [len(choice.encode()) for choice in item.choices]
            row["gold"] = item.answer[0]
        rows.append(row)
    generation = {"until": list(asked.sampling.stop), "max_gen_toks": asked.sampling.max_tokens, "do_sample": False}
    return rows, {"generation": generation, "window": (asked.longest or 0) + 8}


def task(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    """An lm-eval task over these documents."""
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    common: dict[str, Any] = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test",
    }
    common |= facts
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(common), encoding="utf-8")


def asked_of_peer(folder: Path, data: str, rows: list[dict[str, Any]], generation: Mapping[str, Any]) -> list[str]:
    """Write the tasks of a data set; their names."""
    asked = {"output_type": "generate_until", "doc_to_text": "{{prompt}}", "doc_to_target": "{{reference}}"}
    asked |= {"target_delimiter": "", "generation_kwargs": dict(generation)}
    metrics = [{"metric": name} for name in CORPUS] if data == WORDS else [{"metric": "exact_match"}]
    task(folder, f"{data}_words", rows, asked | {"metric_list": metrics})
    if data == WORDS:
        return [f"{data}_words"]
    by_likelihood = {"output_type": "multiple_choice", "doc_to_text": "{{asked}}", "doc_to_choice": "{{options}}"}
    by_likelihood |= {"doc_to_target": "gold", "target_delimiter": "", "metric_list": [{"metric": "acc"}]}
    task(folder, f"{data}_options", [row for row in rows if "options" in row], by_likelihood)
    return [f"{data}_words", f"{data}_options"]


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The records of a JSONL file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def measure(model: str, data: str, args: argparse.Namespace, folder: Path) -> bool:
    """Run both on a data set and print a line of each comparison; does the claim hold?"""
    settings = asked_of_ours(model, drawn(data, args, folder), data, args)
    rows, facts = documents(settings)
    names = asked_of_peer(folder, data, rows, facts["generation"])
    run = folder / f"{data}-run"
    config = folder / "ours.json"
    config.write_text(json.dumps(written(settings)), encoding="utf-8")
    ours = [sys.executable, "-m", "telbench", "eval", "--config", str(config), "--out", str(run), "--no-cache"]
    loaded = f"pretrained={model},dtype={args.dtype},max_model_len={facts['window']},add_bos_token=False"
    on_cpu = not torch.cuda.is_available()
    loaded += ",enforce_eager=True,gpu_memory_utilization=0.4" if on_cpu else ""
    peer = [args.peer, "-m", "lm_eval", "--model", "vllm", "--model_args", loaded, "--batch_size", "auto"]
    peer += ["--tasks", ",".join(names), "--include_path", str(folder), "--log_samples"]
    peer += ["--output_path", str(folder / f"{data}-peer")]
    own, theirs = (
        timed(ours, folder / "ours.log", {}),
        timed(peer, folder / "peer.log", CPU_ENVIRONMENT if on_cpu else {}),
    )
    header = json.loads((run / "run.json").read_text())
    samples = {sample["item_id"]: sample for sample in read_lines(run / "samples.jsonl")}
    logs = {name: read_lines(next((folder / f"{data}-peer").rglob(f"samples_{name}_*.jsonl"))) for name in names}
    results = json.loads(next((folder / f"{data}-peer").rglob("results_*.json")).read_text())["results"]
    label = f"{Path(model).name} on {data}, {len(rows)} items"
    answers = {line["doc"]["id"]: line["resps"][0][0].strip() for line in logs[f"{data}_words"]}
    same = sum(samples[key]["prediction"].strip() == answer for key, answer in answers.items())
    print(f"{label}: {same} of {len(answers)} answers are the same text", flush=True)
    holds = True
    if data == WORDS:
        for name in CORPUS:
            value, other = header["metrics"][name]["value"], results[f"{data}_words"][f"{name},none"]
            print(f"  {name}: telbench {value:.4f}, lm-eval {other:.4f}")
    else:
        holds = compare_options(samples, logs[f"{data}_options"], header)
    for who, cost in (("telbench", own), ("lm-eval", theirs)):
        print(f"  {who}: {cost.cpu:.1f} s of CPU, {cost.wall:.1f} s by the clock")
    print(f"  lm-eval / telbench: {theirs.cpu / own.cpu:.2f} of CPU time, {theirs.wall / own.wall:.2f} by the clock")
    return holds and theirs.cpu >= own.cpu


def compare_options(
    samples: Mapping[str, Mapping[str, Any]], lines: Sequence[Mapping[str, Any]], header: Mapping[str, Any]
) -> bool:
    """Print how log-likelihoods and the accuracy by byte agree; is the accuracy the same but for one item?"""
    gaps, moved, right = [], [], 0
    for line in lines:
        document = line["doc"]
        theirs = [float(answer[0][0]) for answer in line["resps"]]
        ours = samples[document["id"]]["option_scores"]
        if len(theirs) > len(ours):
            spaces = theirs.pop()
            moved.append(spaces)
            theirs = [value - spaces for value in theirs]
        gaps += [abs(one - other) for one, other in zip(ours, theirs, strict=True)]
        per_byte = [value / size for value, size in zip(theirs, document["bytes"], strict=True)]
        right += per_byte.index(max(per_byte)) == document["gold"]
    value = header["metrics"]["choice_likelihood"]["value"]
    close = sum(gap <= 1e-3 for gap in gaps)
    if moved:
        print(f"  lm-eval counts the prompt's last white space into options: {min(moved):.3g} to {max(moved):.3g} nats")
    print(f"  {close} of {len(gaps)} option log-likelihoods within 0.001 (largest gap {max(gaps):.2g})")
    print(f"  accuracy by likelihood per byte: telbench {value:.4f}, lm-eval {right / len(lines):.4f}")
    print(f"  accuracy of the letter asked for: telbench {header['metrics']['choice_accuracy']['value']:.4f}")
    return abs(value - right / len(lines)) <= 1.5 / len(lines)


def main() -> int:
    """Compare on both data sets for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--peer", required=True, metavar="PYTHON", help="interpreter that has lm-eval and vLLM")
    parser.add_argument("--data", nargs="+", choices=sorted(METRICS), default=[WORDS, CHOICE])
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    holds = True
    for model in args.models:
        for data in args.data:
            with tempfile.TemporaryDirectory() as folder:
                holds = measure(str(Path(model).resolve()), data, args, Path(folder)) and holds
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
