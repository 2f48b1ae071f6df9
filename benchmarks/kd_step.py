"""One optimizer step of distillation: telbench's with a live teacher and from its cache, against TRL's GKD trainer.

Run: ``python benchmarks/kd_step.py [--items N] [--prompt P] [--answer A] [--vocabulary V] [--rounds R]``. The same
random Llamas, the same padded batch, the same objective (forward KL over the answer tokens at temperature 1, nothing
else), AdamW and clipping, on one thread. The three take turns in one process, so that what else the machine does hits
all alike; CPU seconds of the median step are compared. Losses and the student's weights after all steps must agree.
Targets: live at least 1.2 times as fast as TRL, from the cache at least 2 times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIVE_TARGET, CACHED_TARGET = 1.2, 2.0


def models(options: argparse.Namespace) -> tuple[Any, Any]:
    """(teacher, student), the teacher four times as wide in its layers' weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    def build(seed: int, width: int, layers: int) -> Any:
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=options.vocabulary,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            num_key_value_heads=width // 64,
            max_position_embeddings=2048,
            pad_token_id=0,
        )
        return LlamaForCausalLM(config).float()

    return build(0, 2 * options.width, 2 * options.layers).eval(), build(1, options.width, options.layers)


def examples(options: argparse.Namespace) -> list[Any]:
    """Items of about the given lengths, both models reading the same tokens."""
    import random

    from telbench.kd.batches import Example
    from telbench.kd.teacher.rows import TeacherExample
    from telbench.kd.train.examples import PairedExample

    draw = random.Random(0)
    found = []
    for number in range(options.items):
        prompt = draw.randint(options.prompt // 2, options.prompt)
        answer = draw.randint(1, 2 * options.answer)
        ids = tuple(draw.randrange(3, options.vocabulary) for _ in range(prompt + answer))
        example = Example(ids, prompt)
        rows = tuple((row, row) for row in range(answer))
        found.append(PairedExample(str(number), example, TeacherExample(str(number), example), rows))
    return found


def telbench_step(student: Any, teacher: Any, items: list[Any], rate: float) -> Callable[[], float]:
    """A step as `telbench.kd.train.trainer` makes it, from tokens to weights."""
    from dataclasses import replace

    from torch.nn.utils import clip_grad_norm_

    from telbench.kd.settings import MethodSettings, OptimiserSettings
    from telbench.kd.train.distiller import Denominators, Distiller, make_micro_batch
    from telbench.kd.train.examples import taught
    from telbench.kd.train.optimisation import adamw_over
    from telbench.kd.vocabulary.link import VocabularyLink

    method = MethodSettings(algorithm="vanilla_kd", kd_rate=1.0, temperature=1.0)
    link = VocabularyLink(student.config.vocab_size)
    distiller = Distiller(student, method, teacher, link).train()
    optimizer = adamw_over(student, None, OptimiserSettings(learning_rate=rate, weight_decay=0.0), None)

    def step() -> float:
        micro = make_micro_batch(items, 0, method.objective, link, "cpu")
        micro = replace(micro, teacher_rows=teacher.rows(taught(items)))
        loss, _ = distiller(micro, Denominators(micro.batch.n_labels, len(micro.pairs)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip_grad_norm_(distiller.parameters(), 1.0)
        optimizer.step()
        return float(loss)

    return step


def trl_step(
    student: Any, teacher: Any, items: list[Any], rate: float, folder: Path, *, half: bool = False
) -> Callable[[], float]:
    """TRL's own trainer on the same batch: its training step, clipping and optimizer; ``half``: in bfloat16.

    It trains where the student is.
    """
    import torch
    from torch.nn.utils import clip_grad_norm_
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    from telbench.kd.batches import collate

    arguments = GKDConfig(
        output_dir=str(folder), lmbda=0.0, beta=0.0, learning_rate=rate, weight_decay=0.0, report_to=[],
        use_cpu=student.device.type != "cuda", bf16=half, gradient_checkpointing=False, max_grad_norm=1.0,
        adam_beta2=0.999,
    )  # fmt: skip
    from datasets import Dataset

    made: Any = GKDTrainer
    trainer = made(
        student, teacher, args=arguments, data_collator=lambda rows: rows, processing_class=plain_tokenizer(),
        train_dataset=Dataset.from_dict({"messages": [[]]}),
    )  # fmt: skip
    trainer.create_optimizer()
    wrapped = trainer.accelerator.prepare(student).train()

    def step() -> float:
        batch = collate([item.student for item in items], 0)
        inputs = torch.zeros(len(items), batch.inputs.shape[1] + 1, dtype=torch.long)
        labels = torch.full_like(inputs, -100)
        mask = torch.zeros_like(inputs)
        for row, item in enumerate(items):
            ids = torch.tensor(item.student.ids)
            inputs[row, : len(ids)], mask[row, : len(ids)] = ids, 1
            labels[row, item.student.start : len(ids)] = ids[item.student.start :]
        trainer.optimizer.zero_grad(set_to_none=True)
        count = torch.tensor(batch.n_labels)
        given = {"input_ids": inputs, "attention_mask": mask, "labels": labels}
        given = {name: tensor.to(student.device) for name, tensor in given.items()}
        loss = trainer.compute_loss(wrapped, given, num_items_in_batch=count.to(student.device))
        trainer.accelerator.backward(loss)
        clip_grad_norm_(wrapped.parameters(), 1.0)
        trainer.optimizer.step()
        return float(loss)

    return step


def plain_tokenizer() -> Any:
    """A tokenizer that others ask for and never use here."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 2}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>")


def cached_teacher(teacher: Any, items: list[Any], folder: Path) -> Any:
    """What `telbench kd cache` makes of the teacher for these items, opened as a training opens it: without a body."""
    from telbench.harness.checkpoint import open_checkpoint
    from telbench.harness.identity import identify_checkpoint
    from telbench.kd.teacher.cache import CacheKey, examples_sha256, open_cached_teacher
    from telbench.kd.teacher.rows import LiveTeacher
    from telbench.kd.teacher.shards import CacheWriter
    from telbench.kd.teacher.tables import locate
    from telbench.kd.train.examples import taught

    teacher.save_pretrained(folder / "teacher")
    plain_tokenizer().save_pretrained(folder / "teacher")
    checkpoint = open_checkpoint(str(folder / "teacher"))
    made, wanted, rows = identify_checkpoint(checkpoint, None), taught(items), folder / "rows"
    hashes = made.weights_sha256, made.config_sha256, made.tokenizer_sha256, made.chat_template_sha256
    rows.mkdir()
    writer = CacheWriter(rows, CacheKey(*hashes, {}, 2048, "float32", examples_sha256(wanted)), wanted, {})
    live = LiveTeacher(teacher)
    writer.source = locate(live, checkpoint)
    for shard in writer.missing:
        writer.make(shard, live.rows, 1)
    writer.finish()
    return open_cached_teacher(rows, checkpoint)


def main() -> int:
    """Take turns, compare, print a JSON line; exit 1 when answers differ or a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=320, help="longest prompt; about TeleQuAD's median context")
    parser.add_argument("--answer", type=int, default=12, help="mean answer length")
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    import copy

    import torch

    from telbench.kd.teacher.rows import LiveTeacher

    torch.set_num_threads(1)
    teacher, student = models(options)
    items, rate = examples(options), 1e-4
    students = {name: copy.deepcopy(student) for name in ("trl", "live", "cached")}
    with tempfile.TemporaryDirectory() as scratch:
        live = LiveTeacher(copy.deepcopy(teacher))
        stored = cached_teacher(copy.deepcopy(teacher), items, Path(scratch))
        steps = {
            "trl": trl_step(students["trl"], teacher, items, rate, Path(scratch)),
            "live": telbench_step(students["live"], live, items, rate),
            "cached": telbench_step(students["cached"], stored, items, rate),
        }
        losses: dict[str, list[float]] = {name: [] for name in steps}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
        for _ in range(options.rounds + 1):
            for name, step in steps.items():
                cpu, wall = time.process_time(), time.perf_counter()
                losses[name].append(step())
                times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    # The first turn warms up.
    cpu = {name: statistics.median(used for used, _ in found[1:]) for name, found in times.items()}
    wall = {name: statistics.median(used for _, used in found[1:]) for name, found in times.items()}
    apart = max(abs(losses[name][k] - losses["trl"][k]) for name in steps for k in range(options.rounds + 1))
    weights = max(
        float((one - other).abs().max())
        for name in ("live", "cached")
        for one, other in zip(students[name].parameters(), students["trl"].parameters(), strict=True)
    )
    report = {
        "cpu_seconds": {name: round(value, 4) for name, value in cpu.items()},
        "wall_seconds": {name: round(value, 4) for name, value in wall.items()},
        "live_faster": round(cpu["trl"] / cpu["live"], 2),
        "cached_faster": round(cpu["trl"] / cpu["cached"], 2),
        "cached_against_live": round(cpu["live"] / cpu["cached"], 2),
        "largest_loss_difference": apart,
        "largest_weight_difference": weights,
    }
    print(json.dumps(report))
    fine = report["live_faster"] >= LIVE_TARGET and report["cached_faster"] >= CACHED_TARGET
    return 0 if fine and apart < 1e-4 and weights < 10 * rate else 1


if __name__ == "__main__":
    raise SystemExit(main())
