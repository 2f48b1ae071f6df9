"""Runs from wherever they are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from telbench.errors import InputError
from telbench.reasoning import Reasoning

from ...harness.engines.replay import READERS, TEXT, read_answers
from ...harness.runs.folder import HEADER, read_samples
from ...metrics.contract import ItemScore, Metric, Sample, metrics_named, missing
from ...metrics.fingerprints import fingerprint
from .anchor import read_anchor
from .directions import AS_LOGGED
from .evalscope_logs import holds_reviews, read_evalscope
from .foreign import AS_IT_IS, Reading
from .helm_logs import holds_helm, read_helm
from .inspect_logs import read_inspect
from .lm_eval_logs import holds_results, read_lm_eval
from .loaded import LoadedRun, load_run


def open_runs(paths: Sequence[Path], reading: Reading = AS_IT_IS) -> list[LoadedRun]:
    """Runs from run folders, anchors, logs of lm-eval, inspect, HELM and EvalScope, and files of answers.

    ``reading`` says what logs leave open. Answers are scored here, against the references of the first run folder among
    the paths, by those of its metrics that need nothing but references.

    Raises:
        InputError: for what is none of them, or answers without a run folder to hold them against.
    """
    answers = [path for path in paths if _holds_answers(path)]
    opened = {path: open_run(path, reading) for path in paths if path not in answers}
    require_used(reading, opened.values())
    base = next((run for run in opened.values() if (run.path / HEADER).is_file()), None)
    if answers and base is None:
        raise InputError(
            f"{answers[0]} holds answers: name a run folder too, whose references they are scored against, or make a "
            "run of them with telbench score"
        )
    for path in answers:
        assert base is not None  # noqa: S101 - refused above
        opened[path] = score_answers(path, base)
    return [opened[path] for path in paths]


def require_used(reading: Reading, runs: Iterable[LoadedRun]) -> None:
    """Refuse what is said of logs where no run is one, or has such a metric.

    Raises:
        InputError: naming the flag.
    """
    logs = [run for run in runs if run.own_metrics]
    if reading.settings != AS_LOGGED:
        reading.settings.require_known([name for run in logs for name in run.own_metrics])
    if reading.cluster is not None and not logs:
        raise InputError(
            f"--cluster {reading.cluster} names a field of samples of lm-eval, inspect, HELM or EvalScope: none of "
            "the runs is their log"
        )


def open_run(path: Path, reading: Reading = AS_IT_IS) -> LoadedRun:
    """One run that needs no other to be read.

    Raises:
        InputError: when it is none.
    """
    if path.name == HEADER or (path / HEADER).is_file():
        return load_run(path)
    if holds_helm(path):
        return read_helm(path, reading)
    if holds_reviews(path):
        return read_evalscope(path, reading)
    if holds_results(path) or (path.is_file() and path.suffix == ".jsonl"):
        return read_lm_eval(path, reading)
    if not path.is_file():
        return load_run(path)
    if path.suffix == ".eval":
        return read_inspect(path, reading)
    if path.suffix == ".json":
        return read_anchor(path) or read_inspect(path, reading)
    raise InputError(
        f"{path} is no run: give a run folder, an anchor, lm-eval samples, an inspect log, or a folder of HELM or "
        "EvalScope"
    )


def score_answers(path: Path, base: LoadedRun) -> LoadedRun:
    """A file of answers as a run on the items of ``base``; see ``telbench score`` for the formats.

    Raises:
        InputError: when the file does not hold answers to these items.
    """
    samples = {sample["item_id"]: sample for sample in read_samples(base.path)}
    answers = {
        item: None if text is None else Reasoning().separate(text).answer
        for item, text in read_answers(path, list(samples)).texts.items()
    }
    names = [name for name, entry in base.header["metrics"].items() if entry["family"] == "ngram"]
    metrics, notes = [], []
    for name in names:
        signature = base.header["metrics"][name]["signature"]
        try:
            metric = metrics_named([name])[0].signed(signature)
        except InputError as error:
            notes.append(f"{name} is left out: {error}")
            continue
        if metric.signature != signature:
            notes.append(f"{name} is left out: {base.path} has it as {signature}, installed is {metric.signature}")
        elif metric.needs <= {"references"}:
            metrics.append(metric)
    if not metrics:
        told = f"{base.path} has no metric that a file of answers can be scored with: see telbench score"
        raise InputError("; ".join([told, *notes]))
    given = [
        Sample(item, answers.get(item) or "", tuple(sample["references"]), sample["question"])
        for item, sample in samples.items()
    ]
    scores: dict[str, dict[str, ItemScore]] = {}
    for metric in metrics:
        column = metric.score(given)
        scores[metric.name] = {
            sample.item_id: missing("no answer in the file") if answers.get(sample.item_id) is None else score
            for sample, score in zip(given, column, strict=True)
        }
    header = {
        **{name: base.header[name] for name in ("schema_version", "data", "prompt")},
        "run_id": fingerprint([path.name, {item: answers.get(item) for item in samples}]),
        "model": {"name": path.stem},
        "factors": {},
        "generation": {"engine": "replay"},
        "counts": {},
        "judge": None,
        "metrics": {metric.name: _entry(metric, base, scores[metric.name]) for metric in metrics},
    }
    failed = frozenset(item for item in samples if answers.get(item) is None)
    lengths = {item: float(len(text.split())) for item, text in answers.items() if text is not None}
    words = sum(lengths.values()) / len(lengths) if lengths else None
    return LoadedRun(
        path,
        header,
        dict(base.clusters),
        scores,
        failed,
        dict(base.categories),
        notes=tuple(notes),
        lengths=lengths,
        words=words,
    )


def _entry(metric: Metric, base: LoadedRun, column: Mapping[str, ItemScore]) -> dict[str, Any]:
    """What the header says of a metric, without the value and the interval of the run that the answers stand beside."""
    known = sum(score.value is not None for score in column.values())
    return {
        **base.header["metrics"][metric.name],
        **dict.fromkeys(("value", "ci_low", "ci_high", "ci_method")),
        "n": known,
        "n_missing": len(column) - known,
        "missing": {},
        "signature": metric.signature,
    }


def _holds_answers(path: Path) -> bool:
    """Is it a file of answers by item, rather than a log of samples?"""
    if (
        not path.is_file()
        or path.suffix not in (*READERS, TEXT)
        or path.name == HEADER
        or holds_results(path)
        or holds_helm(path)
    ):
        return False
    if path.suffix not in (".jsonl", ".json"):
        return True
    try:
        with path.open(encoding="utf-8") as stream:
            first = stream.readline(1 << 20)
        row = json.loads(first) if path.suffix == ".jsonl" else json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    if path.suffix == ".json":
        return isinstance(row, list) or (isinstance(row, dict) and not {"eval", "kind"} & set(row))
    return isinstance(row, dict) and not {"metrics", "resps", "sample_score"} & set(row)
