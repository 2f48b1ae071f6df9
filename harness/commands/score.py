"""``telbench score``: score answers made elsewhere."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from telbench.config import REQUIRED, group, setting
from telbench.flags import add_flags, add_json, settings_of

from ..datasets.settings import DataSettings
from ..judging.settings import JudgeSettings
from ..loggers.settings import ShownSettings
from ..runs.evaluate import make_run
from ..runs.settings import EngineOptions, EvalSettings, GivenAnswers, MetricSettings, PromptOptions, SamplingOptions

LABELS = "people's labels of these answers (telbench judge labels): judged metrics are corrected by them"
# How answers came about is not known here.
NOT_OURS = (
    "answers",
    *("system", "instruction", "template", "raw", "few_shot", "few_shot_file"),
    *("chat_template", "chat_template_file", "chat_template_kwargs"),
    *("max_tokens", "temperature", "top_p", "stop", "top_k", "min_p", "repetition_penalty", "samples"),
)


@dataclass(frozen=True)
class ScoreSettings:
    """What is asked of a run whose answers are there already."""

    predictions: Path = setting(
        REQUIRED,
        ".jsonl, .json, .csv, .tsv or .parquet with 'id' and 'prediction', or .txt with a line an item; also .gz",
        metavar="PREDICTIONS",
        positional=True,
    )
    data: DataSettings = group(DataSettings, "data")
    prompt: PromptOptions = group(PromptOptions, "prompts")
    metrics: MetricSettings = group(MetricSettings, "metrics")
    judging: JudgeSettings = group(JudgeSettings, "judges (key of a server: OPENAI_API_KEY)")
    sampling: SamplingOptions = group(SamplingOptions, "order of options")
    given: GivenAnswers = group(GivenAnswers, "what the answers mean")
    shown: ShownSettings = group(ShownSettings, "where the finished run is shown")
    out: Path | None = setting(None, "run folder (default: runs/MODEL-DATA-SPLIT-...)", metavar="RUNDIR")
    fresh: bool = setting(False, "start over: drop what the run folder holds, skip the cache")
    name: str = setting("", "name of the model on tables (default: the file's name)", metavar="NAME")
    labels: Path | None = setting(None, LABELS, metavar="FILE")

    @property
    def as_run(self) -> EvalSettings:
        """The run of the replay engine that scores the file."""
        return EvalSettings(
            data=self.data,
            prompt=self.prompt,
            metrics=self.metrics,
            judging=self.judging,
            engine=EngineOptions(engine="replay"),
            given=replace(self.given, answers=self.predictions),
            sampling=self.sampling,
            shown=self.shown,
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
    settings, more = settings_of(args, ScoreSettings), None
    if settings.labels is not None:
        from .judge_labels import told_by

        more = told_by(settings.labels)
    return make_run(settings.as_run, args.command_line, as_json=args.json, more=more)
