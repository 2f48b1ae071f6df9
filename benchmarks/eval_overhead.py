"""Claim: `telbench eval` with vLLM, the loading of the model apart, takes at most 5 % more than a bare `LLM.generate`.

In each round the same token prompts (TeleQuAD questions, open book) go through one `vllm.LLM` twice with telbench's
default settings, greedy ones: bare, as one call of `LLM.generate`, and through the whole `telbench eval` without the
loading of the model (data, prompts, hashes, generation, scores with the default metrics, header). The order changes
from round to round, and vLLM's prefix cache is emptied before each. The verdict is the median of the rounds' ratios of
totals, whole command to bare call: the two of a round stand a minute or two apart, so that what slows the machine
meanwhile slows both. The clock is the CPU time of the process, since on shared cores the wall clock also counts what
other processes do; the ratio by wall clock is printed beside it. The model runs on one thread unless OMP_NUM_THREADS
says otherwise: threads that wait for one another spin, and beside other processes that spinning is most of the CPU
time (it made the same call cost from 86 to 204 seconds, where one thread takes 28). The second line is the same for
the generation phase inside the whole command (journal, progress, error handling; no data, prompts or scores). Exits
with 1 where the whole command's ratio is over 1.05 or an answer differs.

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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from telbench.harness.cli.terminal import Reporter
from telbench.harness.datasets.loading import load_dataset
from telbench.harness.engines import vllm as engine_module
from telbench.harness.engines.contract import Completion, Continuation, Request, Sampling
from telbench.harness.engines.vllm import VllmEngine
from telbench.harness.runs import evaluate as evaluate_module
from telbench.harness.runs.plan import Plan, make_plan
from telbench.harness.runs.settings import eval_settings
from telbench.harness.storage import RecordStore

ALLOWED = 0.05
WINDOW = 1024
VOCABULARY = 4096
SPECIALS = ["<s>", "</s>"]


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


@dataclass
class Seconds:
    """CPU of the process and wall, a pair for each measurement of one thing."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def measured(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The work, its seconds added here whenever it is done."""

        def timed(*arguments: Any) -> Any:
            cpu, wall = time.process_time(), time.perf_counter()
            result = work(*arguments)
            self.cpu.append(time.process_time() - cpu)
            self.wall.append(time.perf_counter() - wall)
            return result

        return timed

    def ratios(self, other: Seconds) -> tuple[float, float]:
        """Median over rounds of these seconds to the other's, by CPU and by wall."""
        by_cpu, by_wall = zip(self.cpu, other.cpu, strict=True), zip(self.wall, other.wall, strict=True)
        return statistics.median(a / b for a, b in by_cpu), statistics.median(a / b for a, b in by_wall)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("TELBENCH_DATA"), help="else TELBENCH_DATA")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=Sampling().max_tokens)
    args = parser.parse_args()
    if args.data_dir is None:
        parser.error("--data-dir DATA, or the environment variable TELBENCH_DATA, is needed")
    return args


def main() -> int:
    """Print seconds and ratios; exit 1 when the claim does not hold."""
    args = parsed()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = args.model
        if model is None:
            model = folder / "tiny"
            data = load_dataset("telequad", split="all", data_dir=args.data_dir)
            make_checkpoint(model, sorted({item.context or "" for item in data.items})[:200])
        return compare(args, model, folder)


def compare(args: argparse.Namespace, model: Path, folder: Path) -> int:
    """Measure both in turn and judge."""
    settings = eval_settings(
        model=str(model),
        engine="vllm",
        data="telequad",
        split="all",
        data_dir=args.data_dir,
        context="open",
        max_tokens=args.max_tokens,
        limit=args.questions,
        out=folder / "run",
        fresh=True,
        cache=False,
        name="overhead",
    )
    reporter = Reporter()
    plan = make_plan(settings, reporter)
    bare, phase, whole = Seconds(), Seconds(), Seconds()
    with reporter.quiet(folder / "log.txt"):
        engine = engine_module.open_engine(plan.engine_settings)
    with closing(engine):
        llm = engine._llm
        spec = replace(engine_module.ENGINE, open=lambda _: KeptOpen(engine))
        engine_module.ENGINE = spec
        plan = replace(plan, engine=spec)
        bare_answers(llm, replace(plan, prompts=plan.prompts[:16]))
        expected: dict[str, str] = {}
        evaluate_module.fill_journal = phase.measured(evaluate_module.fill_journal)
        works = [
            lambda: expected.update(bare.measured(bare_answers)(llm, plan)),
            lambda: whole.measured(evaluate_module.evaluate)(settings, reporter),
        ]
        equal = True
        for turn in range(args.rounds):
            for work in works if turn % 2 == 0 else works[::-1]:
                llm.reset_prefix_cache()
                gc.collect()
                work()
            equal &= expected == journal_answers(folder / "run" / "completions.jsonl", plan)
            spent = ", ".join(f"{each.cpu[-1]:.1f}" for each in (bare, phase, whole))
            print(f"round {turn + 1}: bare, generation phase, whole: {spent} s CPU", flush=True)
    return report(bare, phase, whole, len(expected), equal)


def report(bare: Seconds, phase: Seconds, whole: Seconds, prompts: int, equal: bool) -> int:
    """Print a line each; 0 if the claim holds."""
    for name, each in (("whole eval less load", whole), ("generation phase", phase), ("bare LLM.generate", bare)):
        by_cpu, by_wall = each.ratios(bare)
        print(
            f"{name:22} {statistics.median(each.cpu):7.2f} s CPU (ratio {by_cpu:.3f})  "
            f"{statistics.median(each.wall):7.2f} s wall (ratio {by_wall:.3f})"
        )
    added = statistics.median(a - b for a, b in zip(whole.cpu, phase.cpu, strict=True))
    print(f"data, prompts, hashes, scores and header together: {added:.2f} s CPU")
    rounds = len(bare.cpu)
    print(f"{prompts} different prompts, medians of {rounds} rounds; answers {'equal' if equal else 'NOT EQUAL'}")
    return int(not equal or whole.ratios(bare)[0] > 1 + ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
