"""telbench from Python: what the commands do, with their settings as keywords.

A keyword is called as the flag is, with ``_`` for ``-``. What the flag would refuse is refused: an unknown name, a
value of another type or out of bounds. Progress goes to stderr.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from telbench.config import read_settings
from telbench.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from telbench.harness.runs.folder import Run
    from telbench.harness.runs.settings import EvalSettings
    from telbench.kd.train.candidate import Candidate
    from telbench.leaderboard.compare.numbers import Comparisons
    from telbench.leaderboard.gate.gate import Gate

Place = str | PathLike[str]
Numbers: TypeAlias = "Sequence[float | None] | NDArray[np.floating[Any]]"


def evaluate(
    model: Place,
    data: Place = "telecom-nano",
    *,
    metrics: str | Sequence[str] = (),
    engine: str = "auto",
    judge: str | Sequence[str] = (),
    encoder: Place = "",
    out: Place | None = None,
    **options: Any,
) -> Run:
    """Generate answers with a checkpoint and score them, or finish or find that run: ``telbench eval``.

    ``options``: its other settings, such as ``limit=50, context="open", max_tokens=64, log="mlflow"``. A logger that
    fails is told in a line; the run is returned all the same.

    Raises:
        InputError: for wrong input, before time is spent. EngineError: when the engine died; what it finished is kept.
    """
    from telbench.harness.commands.network import as_allowed
    from telbench.harness.runs.settings import eval_settings

    asked = {"metrics": metrics, "judge": judge, "encoder": _text(encoder), "engine": engine}
    settings = eval_settings(model=_text(model), data=_text(data), out=out, **asked, **options)
    return _evaluated(as_allowed(settings), "telbench.evaluate")


def score(
    predictions: Place,
    data: Place = "telecom-nano",
    *,
    metrics: str | Sequence[str] = (),
    judge: str | Sequence[str] = (),
    encoder: Place = "",
    out: Place | None = None,
    **options: Any,
) -> Run:
    """Score answers made elsewhere: ``telbench score``. Raises as `evaluate`."""
    from telbench.harness.commands.network import stay_offline
    from telbench.harness.commands.score import NOT_OURS, ScoreSettings

    for name in NOT_OURS:
        if name in options:
            raise InputError(f"score: {name} is for answers that telbench generates: leave it out")
    asked = {"metrics": metrics, "judge": judge, "encoder": _text(encoder), "out": out}
    given = {"predictions": _text(predictions), "data": _text(data), **asked, **options}
    settings = read_settings(ScoreSettings, given, "score")
    stay_offline()
    return _evaluated(settings.as_run, "telbench.score")


def compare(
    baseline: Run | Place | Numbers,
    *runs: Run | Place | Numbers,
    clusters: Sequence[Any] | None = None,
    **options: Any,
) -> Comparisons:
    """Paired differences against the first, metric by metric: ``telbench compare``; or of two columns of numbers.

    Runs are given as `Run` or as the path of anything that the command takes. Two sequences of numbers are scores of
    the same items in the same order, None or NaN where there is none; ``clusters`` then names the source document of
    each item, and ``higher_is_better=False`` says that less is better.

    ``options`` for runs: ``metrics``, ``primary``, ``cluster``, ``average_seeds``, and for logs of other harnesses
    ``lower_is_better`` and ``higher_is_better``.

    Raises:
        InputError: for what is no run, or no number. IncomparableError: for runs that were not measured alike.
    """
    from telbench.leaderboard.commands.compare import CompareOptions, compared
    from telbench.leaderboard.compare.numbers import Comparisons, are_numbers, compare_numbers

    if all(map(are_numbers, (baseline, *runs))):
        if len(runs) != 1:
            raise InputError(f"compare: {1 + len(runs)} columns of numbers: give two")
        higher = options.pop("higher_is_better", True)
        if options or not isinstance(higher, bool):
            told = f"unknown key '{next(iter(options))}'" if options else f"higher_is_better is {higher!r}"
            raise InputError(f"compare: {told}: of numbers only higher_is_better (True or False) can be told")
        first: Any = baseline
        second: Any = runs[0]
        return Comparisons([compare_numbers(first, second, clusters, higher_is_better=higher)])
    if clusters is not None:
        raise InputError("compare: clusters is for numbers: runs know their source documents (see cluster)")
    places = [_place(run) for run in (baseline, *runs)]
    return Comparisons(compared(read_settings(CompareOptions, {"runs": places, **options}, "compare")).pairs)


def check(candidate: Run | Place, baseline: Run | Place, margins: Mapping[str, float], **options: Any) -> Gate:
    """Is the candidate worse than the baseline by more than the margins: ``telbench check``.

    The gate's ``exit_code`` and ``verdict`` say so; nothing is raised for a regression. ``options``: ``guardrail``,
    ``guardrails``, ``guardrail_budget``, ``on_inconclusive``, ``alpha``, ``max_missing``, and for logs of other
    harnesses ``cluster``, ``lower_is_better``, ``higher_is_better``.

    Raises:
        InputError: for what is no run, or a policy that is none. IncomparableError: for runs that were not measured
            alike.
    """
    from telbench.leaderboard.commands.check import CheckOptions, gate_of

    given = {"candidate": _place(candidate), "baseline": _place(baseline), "margins": margins, **options}
    return gate_of(read_settings(CheckOptions, given, "check"))[0]


def sft(model: Place, out: Place, data: Place = "telecom-nano", *, fresh: bool = False, **options: Any) -> Candidate:
    """Fine-tune a checkpoint on answers: ``telbench kd sft``. ``options``: its settings, such as ``epochs=3``.

    Raises:
        InputError: for wrong input, before anything is trained.
    """
    return _trained("sft", {"student": _text(model), "data": _text(data), **options}, out, fresh)


def distill(
    teacher: Place,
    student: Place,
    algorithm: str,
    out: Place,
    data: Place = "telecom-nano",
    *,
    fresh: bool = False,
    **options: Any,
) -> Candidate:
    """Train a student from a teacher: ``telbench kd distill``. Raises as `sft`."""
    asked = {"teacher": _text(teacher), "student": _text(student), "algorithm": algorithm, "data": _text(data)}
    return _trained("distill", {**asked, **options}, out, fresh)


def board(runs: Run | Place | Sequence[Run | Place], out: Place, **options: Any) -> Path:
    """Publish finished runs as a folder of pages and return its first page: ``telbench leaderboard build``.

    ``options``: ``baseline``, ``title``, ``cluster``, ``pairs``, ``allow_incomplete``, ``data_dir``, ``log``.

    Raises:
        InputError: for what is no run, or a folder that holds something else.
    """
    from telbench.leaderboard.commands.board import BuildOptions, build

    if "baseline" in options:
        options["baseline"] = _place(options["baseline"])
    several = [runs] if isinstance(runs, str | PathLike) or hasattr(runs, "header") else runs
    if not isinstance(several, Iterable):
        raise InputError(f"board: runs is {runs!r}: give runs, or paths of run folders")
    given = {"runs": [_place(run) for run in several], "out": out, **options}
    asked = read_settings(BuildOptions, given, "board")
    asked.shown.require()
    build(asked)
    asked.shown.show([asked.out])
    return asked.out / "index.html"


def _evaluated(settings: EvalSettings, caller: str) -> Run:
    """The run of these settings, shown where loggers are named."""
    from telbench.harness.cli.terminal import Reporter
    from telbench.harness.runs.evaluate import evaluate

    settings.shown.require()
    run = evaluate(settings, Reporter(), [caller])
    settings.shown.show([run.path])
    return run


def _trained(verb: str, given: Mapping[str, Any], out: Place, fresh: bool) -> Candidate:
    from telbench.flags import nested
    from telbench.harness.cli.terminal import Reporter
    from telbench.harness.commands.network import stay_offline
    from telbench.kd.settings import TrainingSettings, require_verb

    if not isinstance(fresh, bool):
        raise InputError(f"{verb}: fresh must be True or False, not {fresh!r}")
    settings = read_settings(TrainingSettings, nested(TrainingSettings, given, verb), verb)
    require_verb(settings, verb)
    stay_offline()
    from telbench.kd.train.candidate import train_candidate

    return train_candidate(settings, Path(out), Reporter(), fresh=fresh)


def _text(place: Place) -> Any:
    """A path or a name as text; what is neither is left for the settings to refuse."""
    return str(place) if isinstance(place, PathLike) else place


def _place(run: object) -> str:
    """The folder of a run, or a path."""
    found: Any = run if isinstance(run, str | PathLike) else getattr(run, "path", None)
    if found is None:
        raise InputError(f"{run!r} is no run: give a Run, or the path of a run folder")
    return str(found)
