"""``telbench score``: score answers made elsewhere."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from telbench.config import REQUIRED, Bounded, group, same_as, setting
from telbench.flags import add_flags, add_json, settings_of

from ..datasets.settings import DataSettings
from ..judging.settings import JudgeSettings
from ..runs.settings import EngineOptions, EvalSettings, MetricSettings, PromptOptions, SamplingOptions
from .eval import make_run

# How answers came about is not known here.
NOT_OURS = ("chat_template", "max_tokens", "temperature", "top_p")


@dataclass(frozen=True)
class ScoreSettings(Bounded):
    """What is asked of a run whose answers are there already."""

    predictions: Path = setting(
        REQUIRED,
        ".jsonl, .json, .csv or .parquet with 'id' and 'prediction', or .txt with a line an item",
        metavar="PREDICTIONS",
        positional=True,
    )
    data: DataSettings = group(DataSettings, "data")
    prompt: PromptOptions = group(PromptOptions, "prompts")
    metrics: MetricSettings = group(MetricSettings, "metrics")
    judging: JudgeSettings = group(JudgeSettings, "judges (key of a server: OPENAI_API_KEY)")
    sampling: SamplingOptions = group(SamplingOptions, "order of options")
    shown_order: Literal["data", "seed"] = same_as(EngineOptions, "shown_order")
    missing_cap: float = same_as(EngineOptions, "missing_cap")
    out: Path | None = setting(None, "run folder (default: runs/MODEL-DATA-SPLIT-...)", metavar="RUNDIR")
    fresh: bool = setting(False, "start over: drop what the run folder holds, skip the cache")
    name: str = setting("", "name of the model on tables (default: the file's name)", metavar="NAME")

    @property
    def as_run(self) -> EvalSettings:
        """The run of the replay engine that scores the file."""
        return EvalSettings(
            data=self.data,
            prompt=self.prompt,
            metrics=self.metrics,
            judging=self.judging,
            engine=EngineOptions(
                engine="replay",
                answers=self.predictions,
                shown_order=self.shown_order,
                missing_cap=self.missing_cap,
            ),
            sampling=self.sampling,
            out=self.out,
            fresh=self.fresh,
            name=self.name,
        )


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench score PREDICTIONS [--data NAME|PATH] [OPTIONS]"
    add_flags(parser, ScoreSettings, without=NOT_OURS, config=True)
    add_json(parser, "print the run's header as JSON")


def run(args: argparse.Namespace) -> int:
    """Score the file as a run of the replay engine."""
    return make_run(settings_of(args, ScoreSettings).as_run, args.command_line, as_json=args.json)
