"""``telbench eval``: generate answers with a checkpoint and score them."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..cli.terminal import Reporter
from ..engines.contract import Sampling
from ..runs.evaluate import InterruptedRunError, Run, evaluate
from ..runs.settings import EvalSettings
from .options import add_data_options, add_run_options, bounded, online_allowed, settings_from, stay_offline


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench eval --model CKPT [--data NAME|PATH] [OPTIONS]"
    parser.epilog = (
        "Interrupted runs are resumed by the same command. Exit codes: 0 fine, 2 bad usage or input, 5 the engine or "
        "telbench failed, 130 interrupted."
    )
    parser.add_argument(
        "--model",
        default="",
        metavar="CKPT",
        help="folder with config.json, *.safetensors and tokenizer; for --engine openai the server's model name",
    )
    add_data_options(parser)
    add_run_options(parser)
    engine = parser.add_argument_group("generation")
    engine.add_argument(
        "--engine",
        default="auto",
        metavar="NAME",
        help="vllm, transformers, openai or replay (default: auto, which is vllm where installed, else transformers)",
    )
    engine.add_argument(
        "--max-tokens",
        type=bounded(int, 1, 10**6),
        default=Sampling().max_tokens,
        metavar="N",
        help="longest answer in tokens (default: 128)",
    )
    engine.add_argument(
        "--temperature", type=bounded(float, 0, 5), default=0.0, metavar="T", help="0 is greedy (default: 0)"
    )
    engine.add_argument(
        "--top-p",
        type=bounded(float, 1e-6, 1),
        default=1.0,
        metavar="P",
        help="nucleus, where T is above 0 (default: 1)",
    )
    engine.add_argument(
        "--dtype",
        default="auto",
        choices=("auto", "float32", "bfloat16", "float16"),
        help="number format of the weights (default: auto, as config.json says)",
    )
    engine.add_argument(
        "--max-model-len",
        type=bounded(int, 1),
        metavar="N",
        help="longest prompt with answer in tokens, if not the model's",
    )
    engine.add_argument(
        "--no-chat-template", action="store_true", help="use the plain template even if there is a chat one"
    )
    engine.add_argument("--no-cache", action="store_true", help="neither read nor write the generation cache")
    engine.add_argument("--trust-remote-code", action="store_true", help="run Python code that the checkpoint brings")
    engine.add_argument("--online", action="store_true", help="allow the network: --model may be a hub id")
    server = parser.add_argument_group("openai engine (key: OPENAI_API_KEY)")
    server.add_argument("--base-url", default="", metavar="URL", help="the server, such as http://127.0.0.1:8000/v1")
    server.add_argument(
        "--max-in-flight",
        type=bounded(int, 1, 4096),
        default=32,
        metavar="N",
        help="most requests at once (default: 32)",
    )
    server.add_argument(
        "--deadline",
        type=bounded(float, 0.1, 86400),
        default=120.0,
        metavar="S",
        help="seconds for one answer, retries included (default: 120)",
    )
    replay = parser.add_argument_group("replay engine")
    replay.add_argument("--answers", type=Path, metavar="FILE", help="answers to score, as telbench score takes them")


def run(args: argparse.Namespace) -> int:
    """Make the run and print its table."""
    online = online_allowed(args.online)
    if not online:
        stay_offline()
    settings = replace(
        settings_from(args),
        model=args.model,
        engine=args.engine,
        sampling=Sampling(args.max_tokens, args.temperature, args.top_p, args.seed),
        dtype=args.dtype,
        max_model_len=args.max_model_len,
        chat=not args.no_chat_template,
        cache=not args.no_cache,
        trust_remote_code=args.trust_remote_code,
        online=online,
        base_url=args.base_url,
        max_in_flight=args.max_in_flight,
        deadline=args.deadline,
        answers=args.answers,
    )
    return make_run(settings, args.command_line, as_json=args.json)


def make_run(settings: EvalSettings, command: Sequence[str], *, as_json: bool) -> int:
    """Evaluate, tell where the run is, print table or JSON; an interruption prints the line that resumes."""
    from ..cli.tables import print_json, print_run

    reporter = Reporter()
    try:
        with results_only():
            made: Run = evaluate(settings, reporter, command)
    except InterruptedRunError as interrupted:
        reporter.note(f"interrupted; finished answers are kept in {interrupted.path}")
        reporter.note(f"resume with: {resume_line(command, interrupted.path)}")
        return 130
    reporter.note(f"{'already finished' if made.reused else 'written'}: {made.path}")
    if as_json:
        print_json({**made.header, "path": str(made.path)})
    else:
        print_run(made.header)
    return 0


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """Send what libraries print on stdout to stderr meanwhile: stdout is for the result."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def resume_line(command: Sequence[str], path: Path) -> str:
    """The command again, with its run folder named and without --fresh."""
    kept = [word for word in command if word != "--fresh"]
    named = any(word == "--out" or word.startswith("--out=") for word in kept)
    return shlex.join([*kept, *([] if named else ["--out", str(path)])])
