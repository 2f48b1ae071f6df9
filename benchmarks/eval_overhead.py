"""Claim: what `telbench eval` adds to vLLM's own generation is within 5 % in its generation phase.

The same token prompts (TeleQuAD questions, open book) and the same greedy settings go through one `vllm.LLM`: bare,
as one call of `LLM.generate`; through the generation phase of telbench (journal, progress, error handling); and
through the whole `telbench eval` without the loading of the model (data, prompts, hashes, generation, scores, header).
The three alternate, each round in another order, with vLLM's prefix cache emptied before each. On a shared machine the
model's own time moves by several times from one minute to the next, and CPU seconds with it, so the verdict does not
come from two such totals: it is the CPU time spent outside vLLM's queueing and its engine steps, which is all that
telbench can add, over the bare call's total. Medians of the totals by both clocks are printed beside it. The answers
must be equal to the letter. Exits with 1 where they are not, or where the generation phase adds more than 5 %.

    python benchmarks/eval_overhead.py --data-dir DATA [--model CHECKPOINT] [--questions 1000] [--rounds 5]

Without ``--model`` a checkpoint of two million random weights is made: the smaller the model, the more any overhead
shows. The garbage collector is run before each measurement.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.harness.datasets.loading import load_dataset
from telbench.harness.engines import vllm as engine_module
from telbench.harness.engines.base import Completion, Continuation, Request, Sampling
from telbench.harness.engines.vllm import VllmEngine
from telbench.harness.evaluate import evaluate
from telbench.harness.generate import fill_journal
from telbench.harness.journal import RecordStore
from telbench.harness.plan import EvalSettings, Plan, make_plan
from telbench.harness.reporter import Reporter

ALLOWED = 0.05
WINDOW = 1024
VOCABULARY = 4096
SPECIALS = ["<s>", "</s>"]
NAMES = ("bare LLM.generate", "generation phase", "whole eval less load")


class KeptOpen:
    """An engine that stays open when a run closes it, so that loading is no part of what is measured."""

    def __init__(self, engine: VllmEngine) -> None:
        self._engine = engine
        self.info = engine.info

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Hand on what the engine yields."""
        return self._engine.generate(requests, sampling)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """Hand on what the engine yields."""
        return self._engine.log_likelihoods(continuations)

    def close(self) -> None:
        """Stay open."""


def make_checkpoint(folder: Path, texts: list[str]) -> None:
    """A random Llama (4 layers of width 128) with a byte-level tokenizer trained on the contexts."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    specials = dict(zip(("bos_token", "eos_token"), SPECIALS, strict=True))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials)
    fast.chat_template = "{{ bos_token }}{{ messages[0]['content'] }}\n"
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=WINDOW,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
        dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def bare_answers(llm: Any, plan: Plan) -> dict[str, str]:
    """Texts by key from one call of vLLM on the plan's prompts."""
    from vllm import SamplingParams

    requests = {each.request.key: each.request for each in plan.prompts if each.problem is None}
    sampling = plan.sampling
    params = SamplingParams(max_tokens=sampling.max_tokens, temperature=0.0, stop=list(sampling.stop) or None)
    prompts = [{"prompt_token_ids": list(request.token_ids)} for request in requests.values()]
    outputs = llm.generate(prompts, params, use_tqdm=False)
    return {key: output.outputs[0].text for key, output in zip(requests, outputs, strict=True)}


def journal_answers(file: Path, plan: Plan) -> dict[str, str]:
    """Texts by key from a run's journal."""
    with RecordStore(file) as store:
        keys = {each.request.key for each in plan.prompts if each.problem is None}
        return {key: (store.get(key) or {}).get("text", "") for key in keys}


def measured(work: Callable[[], Any], clock: Outside) -> tuple[float, float, float]:
    """Seconds: wall, CPU of the process, and CPU outside vLLM."""
    gc.collect()
    clock.inside = 0.0
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu = time.process_time() - cpu
    return time.perf_counter() - wall, cpu, cpu - clock.inside


class Outside:
    """CPU seconds of the process outside `LLMEngine.step` and `LLM.enqueue` / the queueing of `LLM.generate`."""

    def __init__(self, llm: Any) -> None:
        self.inside = 0.0
        llm.llm_engine.step = self._counted(llm.llm_engine.step)
        llm._add_completion_requests = self._counted(llm._add_completion_requests)

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return call(*arguments, **options)
            finally:
                self.inside += time.process_time() - started

        return timed


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("TELBENCH_DATA"), help="else TELBENCH_DATA")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=32)
    args = parser.parse_args()
    if args.data_dir is None:
        parser.error("--data-dir DATA, or the environment variable TELBENCH_DATA, is needed")
    return args


def main() -> int:
    """Print medians and ratios; exit 1 when the claim does not hold."""
    args = parsed()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = args.model
        if model is None:
            model = folder / "tiny"
            data = load_dataset("telequad", split="all", data_dir=args.data_dir)
            make_checkpoint(model, sorted({item.context or "" for item in data.items})[:200])
        return compare(args, model, folder)


def compare(args: argparse.Namespace, model: Path, folder: Path) -> int:
    """Measure the three in turn and judge."""
    settings = EvalSettings(
        model=str(model),
        engine="vllm",
        data="telequad",
        split="all",
        data_dir=args.data_dir,
        book="open",
        sampling=Sampling(max_tokens=args.max_tokens),
        limit=args.questions,
        out=folder / "run",
        fresh=True,
        cache=False,
        name="overhead",
    )
    reporter = Reporter()
    plan = make_plan(settings, reporter)
    seconds: dict[str, list[tuple[float, float, float]]] = {name: [] for name in NAMES}
    with reporter.quiet(folder / "log.txt"):
        engine = engine_module.open_engine(plan.engine_settings)
    with closing(engine):
        llm = engine._llm
        spec = replace(engine_module.ENGINE, open=lambda _: KeptOpen(engine))
        engine_module.ENGINE = spec
        plan = replace(plan, engine=spec)
        expected = bare_answers(llm, plan)
        clock = Outside(llm)
        equal = True
        for turn in range(args.rounds):
            journal = folder / f"journal-{turn}.jsonl"

            def phase(file: Path = journal) -> None:
                with RecordStore(file) as store:
                    fill_journal(plan, store, reporter)

            works = (lambda: bare_answers(llm, plan), phase, lambda: evaluate(settings, reporter))
            turns = list(zip(NAMES, works, strict=True))
            for name, work in turns[turn % 3 :] + turns[: turn % 3]:
                llm.reset_prefix_cache()
                seconds[name].append(measured(work, clock))
            equal &= expected == journal_answers(journal, plan)
            equal &= expected == journal_answers(folder / "run" / "completions.jsonl", plan)
    return report(seconds, len(expected), equal)


def report(seconds: dict[str, list[tuple[float, float, float]]], prompts: int, equal: bool) -> int:
    """Print a line each; 0 if the claim holds."""
    medians = {
        name: [statistics.median(column) for column in zip(*each, strict=True)] for name, each in seconds.items()
    }
    wall, cpu, own = medians[NAMES[0]]
    for name, (walled, spent, outside) in medians.items():
        share = (outside - own) / cpu
        print(
            f"{name:22} {walled:7.2f} s wall ({walled / wall:.3f})  {spent:7.2f} s CPU ({spent / cpu:.3f})  "
            f"{outside:6.3f} s CPU outside vLLM (adds {share:.1%} of the bare call)"
        )
    rounds = len(seconds[NAMES[0]])
    print(f"{prompts} different prompts, medians of {rounds}; answers {'equal' if equal else 'NOT EQUAL'}")
    added = (medians[NAMES[1]][2] - own) / cpu
    return int(not equal or added > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
