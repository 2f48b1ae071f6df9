"""Runs that stop when their place is settled (``--adaptive``): what they are held against, and how they are asked.

The items are asked in random order, look by look, on one engine. What was asked is a run of its own: `narrowed` gives
the plan of just these items. The same command without ``--adaptive`` goes on from there.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import IncomparableError, InputError

from ...metrics.contract import Metric
from ..adaptive.candidate import Beside, Candidate, Finished
from ..adaptive.order import asking_order, looks
from ..adaptive.place import Documents
from ..cli.terminal import Reporter
from ..engines.contract import Completion, Continuation, Engine, EngineSettings, Request, Sampling
from ..storage import RecordStore
from .folder import ALIKE, ALIKE_IF_GENERATED, STOPPED_SCHEMA, read_run, read_samples
from .generate import Fill, Generated, Stopped, fill_journal
from .plan import Plan
from .sampled import merged
from .score import answers, score_answered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The metric that decides where the user names none: the first of these that all runs have.
HEADLINE = ("choice_accuracy", "numeric_match", "label_match", "yaml_f1", "table_f1", "token_f1", "exact_match")
FLAGS = ("against", "primary", "margins", "at_most")


class Asking:
    """What an adaptive run is held against, made before anything is loaded; `fill` then asks until it is settled.

    Raises:
        InputError: for options that do not go together, a metric that cannot decide, or a run that is none.
        IncomparableError: for a run on other items, prompts or settings.
    """

    def __init__(self, plan: Plan) -> None:
        asked = plan.settings.adaptive
        self._plan, self._share = plan, asked.at_most
        if not asked.against:
            raise InputError("--adaptive stops when a place is settled: name a finished run with --against RUN")
        headers = [read_run(path) for path in asked.against]
        self._metric = metric = _deciding(plan, headers)
        for path, header in zip(asked.against, headers, strict=True):
            _require_alike(plan, path, header, metric)
        items, order = (
            plan.dataset.items,
            asking_order([item.id for item in plan.dataset.items], plan.settings.sampling.seed),
        )
        self._order = order
        margin = asked.margins.get(metric.name)
        low, high = _ends(metric)
        self._finished = [
            Finished(str(header["model"]["name"]), header["run_id"], self._scores(path))
            for path, header in zip(asked.against, headers, strict=True)
        ]
        import numpy as np

        _, numbers = np.unique(
            [items[place].source_document or items[place].id for place in order], return_inverse=True
        )
        self._candidate = lambda: Candidate(
            self._finished, Documents(numbers), None if margin is None else margin / (high - low), asked.alpha
        )
        self._candidate()
        self.asked: dict[str, Any] = {
            "metric": metric.name,
            "margin": margin,
            "alpha": asked.alpha,
            "at_most": asked.at_most,
            "seed": plan.settings.sampling.seed,
            "against": [each.run_id for each in self._finished],
        }

    def fill(self, plan: Plan, store: RecordStore, reporter: Reporter) -> Generated:
        """Ask look by look until all places are settled, or everything is asked; ``plan`` may have another engine.

        Raises as `fill_journal`.
        """
        candidate, done, parts = self._candidate(), 0, list[Generated]()
        total = len(self._order)
        with contextlib.closing(_KeptEngine(plan.engine.open)) as engine:
            for upto in looks(total):
                part = narrowed(plan, sorted(self._order[done:upto]))
                # What is loaded already is not announced again.
                spec = replace(plan.engine, open=engine.open, local=plan.engine.local and not engine.opened)
                parts.append(fill_journal(replace(part, engine=spec), store, reporter))
                candidate.add(*self._ends_of(self._order[done:upto], store))
                done = upto
                if candidate.settled or done >= self._share * total:
                    break
                reporter.note(self._told(candidate, done))
        whole = Generated(
            sum(part.resumed for part in parts),
            sum(part.cached for part in parts),
            sum(part.generated for part in parts),
            sum(part.load_seconds for part in parts),
            sum(part.generate_seconds for part in parts),
            parts[-1].info,
        )
        if done == total:
            reporter.note(f"nothing was settled before the last of {total:,} items: this is a complete run; compare it")
            return whole
        return replace(whole, stopped=Stopped(tuple(sorted(self._order[:done])), self._facts(candidate, done)))

    def _ends_of(self, places: Sequence[int], store: RecordStore) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Least and most that these items can have scored, from 0 to 1, 1 being best."""
        import numpy as np

        plan = narrowed(self._plan, places)
        chunk = list(answers(plan, store))
        found = score_answered(self._metric, chunk)
        scores = [merged(found[first : first + plan.samples]) for first in range(0, len(found), plan.samples)]
        values = np.array([np.nan if each.value is None else each.value for each in scores])
        good = _goodness(values, self._metric)
        return np.nan_to_num(good, nan=0.0), np.nan_to_num(good, nan=1.0)

    def _scores(self, path: Path) -> NDArray[np.float64]:
        """A finished run's scores in the order of asking, from 0 to 1, 1 being best."""
        import numpy as np

        name, (low, high) = self._metric.name, _ends(self._metric)
        known: dict[str, float] = {}
        for sample in read_samples(path):
            value = sample.get("scores", {}).get(name) if isinstance(sample, dict) else None
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not low - 1e-6 <= value <= high + 1e-6:
                raise InputError(f"{path}: {name} of item '{sample.get('item_id')}' is no score: copy the run again")
            known[sample["item_id"]] = float(value)
        items = self._plan.dataset.items
        return _goodness(np.array([known.get(items[place].id, np.nan) for place in self._order]), self._metric)

    def _told(self, candidate: Candidate, done: int) -> str:
        low, high = self._raw(candidate.interval())
        return f"{done:,} of {len(self._order):,} items: {self._metric.name} of all is from {low:.3f} to {high:.3f}"

    def _raw(self, interval: tuple[float, float]) -> tuple[float, float]:
        """An interval from 0 to 1 on the metric's own scale."""
        low, high = _ends(self._metric)
        good = self._metric.higher_is_better
        ends = sorted(low + (each if good else 1 - each) * (high - low) for each in interval)
        return ends[0], ends[1]

    def _facts(self, candidate: Candidate, done: int) -> dict[str, Any]:
        low, high = self._raw(candidate.interval())
        beside = candidate.beside()
        facts = {
            **self.asked,
            "asked": done,
            "of": len(self._order),
            "settled": candidate.settled,
            "ci_low": low,
            "ci_high": high,
            "beside": [self._fact(each) for each in beside],
        }
        if len(beside) > 1:
            verdicts = [each.verdict for each in beside]
            facts["rank"] = [1 + verdicts.count("worse"), 1 + len(verdicts) - verdicts.count("better")]
        return facts

    def _fact(self, each: Beside) -> dict[str, Any]:
        width = _ends(self._metric)[1] - _ends(self._metric)[0]
        return {
            "name": each.finished.name,
            "run_id": each.finished.run_id,
            "verdict": each.verdict,
            "value": self._raw((each.base, each.base))[0],
            "low": each.low * width,
            "high": each.high * width,
            "shown_from": each.shown.high * width,
        }


def asking(plan: Plan) -> Asking | None:
    """What an adaptive run is held against; None for a run that asks everything.

    Raises:
        InputError: as `Asking`, or for options of adaptive runs without ``--adaptive``.
    """
    asked = plan.settings.adaptive
    if asked.adaptive:
        return Asking(plan)
    for name in FLAGS:
        if getattr(asked, name) != getattr(type(asked)(), name):
            flag = {"margins": "--margin"}.get(name, f"--{name.replace('_', '-')}")
            raise InputError(f"{flag} belongs to runs that may stop early: add --adaptive or drop it")
    return None


def filling(plan: Plan) -> Fill:
    """What completes the prompts: of an adaptive run as many as it takes, else all. Raises as `asking`."""
    place = asking(plan)
    return fill_journal if place is None else place.fill


def asked_alike(header: Mapping[str, Any], plan: Plan) -> bool:
    """Did a run that stopped early stop by what is asked now?"""
    place = asking(plan)
    return place is not None and all(header["adaptive"].get(name) == value for name, value in place.asked.items())


def asked_plan(plan: Plan, generated: Generated) -> Plan:
    """The plan of the items that were asked."""
    return plan if generated.stopped is None else narrowed(plan, generated.stopped.places)


def stopped_header(header: Mapping[str, Any], stopped: Stopped) -> dict[str, Any]:
    """The header as a run that stopped early tells it.

    Intervals that do not hold when one looks often are taken out. That of the metric that decided holds.
    """
    facts, metrics = stopped.facts, {}
    for name, entry in header["metrics"].items():
        metrics[name] = {**entry, "ci_low": None, "ci_high": None, "ci_method": None}
    decided = {
        "ci_low": facts["ci_low"],
        "ci_high": facts["ci_high"],
        "ci_method": "betting, of all items, at every look",
    }
    metrics[facts["metric"]] |= decided
    told = {"schema_version": STOPPED_SCHEMA, "status": "stopped", "metrics": metrics, "adaptive": dict(facts)}
    return {**header, **told, "data": {**header["data"], "n": facts["asked"]}}


def narrowed(plan: Plan, places: Sequence[int]) -> Plan:
    """The plan of these items alone, in this order; what identifies the run stays that of all items."""
    items, prompts = plan.dataset.items, plan.prompts
    kept = tuple(items[place] for place in places)
    return replace(
        plan,
        dataset=replace(plan.dataset, items=kept),
        prompts=tuple(prompts[place] for place in places),
        continuations={item.id: plan.continuations[item.id] for item in kept if item.id in plan.continuations},
        letters={item.id: plan.letters[item.id] for item in kept if item.id in plan.letters},
        references={item.id: plan.references[item.id] for item in kept if item.id in plan.references},
    )


class _KeptEngine:
    """Opens an engine once, however often it is asked for, and closes it at the end."""

    def __init__(self, opening: Callable[[EngineSettings], Engine]) -> None:
        self._opening = opening
        self._engine: Engine | None = None

    @property
    def opened(self) -> bool:
        return self._engine is not None

    def open(self, settings: EngineSettings) -> Engine:
        if self._engine is None:
            self._engine = self._opening(settings)
        return _Lent(self._engine)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()


class _Lent:
    """An engine that its user cannot close."""

    def __init__(self, engine: Engine) -> None:
        self.info, self._engine = engine.info, engine

    @property
    def notes(self) -> Sequence[str]:
        """What the engine has to say beside its results."""
        return getattr(self._engine, "notes", ())

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        return self._engine.generate(requests, sampling)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        return self._engine.log_likelihoods(continuations)

    def close(self) -> None:
        """Leave it open: there may be another look."""


def _goodness(values: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """Scores from 0 to 1, 1 being best."""
    low, high = _ends(metric)
    good = (values - low) / (high - low)
    return (good if metric.higher_is_better else 1 - good).clip(0.0, 1.0)


def _ends(metric: Metric) -> tuple[float, float]:
    low, high = metric.range
    assert low is not None  # noqa: S101 - others are refused
    assert high is not None  # noqa: S101
    return low, high


def _deciding(plan: Plan, headers: Sequence[Mapping[str, Any]]) -> Metric:
    """The metric that decides. Raises `InputError` for one that cannot."""
    asked, known = plan.settings.adaptive, {metric.name: metric for metric in plan.metrics}
    if len(asked.margins) > 1 or (asked.primary and asked.margins and asked.primary not in asked.margins):
        raise InputError("--adaptive: one metric decides when to stop: name one with --margin METRIC=X or --primary")
    shared = [name for name in known if all(name in header.get("metrics", {}) for header in headers)]
    named = next(iter(asked.margins), asked.primary)
    usual = [name for name in HEADLINE if name in shared] + [name for name in shared if _cannot(known[name]) == ""]
    name = named or next(iter(usual), "")
    if not name:
        raise InputError("--adaptive: no metric of this run can decide that the runs of --against have: name --metrics")
    if name not in shared:
        missing = "this run" if name not in known else "the runs of --against"
        raise InputError(f"--adaptive: metric '{name}' is not in {missing}: they share {', '.join(shared) or 'none'}")
    if why := _cannot(known[name]):
        raise InputError(f"--adaptive: {name} cannot decide when to stop: {why}; name another with --primary")
    if any(not margin > 0 for margin in asked.margins.values()):
        raise InputError(f"--margin {name}={asked.margins[name]:g}: the largest drop to accept is above 0")
    return known[name]


def _cannot(metric: Metric) -> str:
    """Why a metric cannot decide; empty where it can."""
    if metric.judged:
        return "it is judged when all answers are there"
    if metric.level != "item":
        return "it is a score of the whole set, and no mean over items"
    return "it has no bounds" if None in metric.range else ""


def _require_alike(plan: Plan, path: Path, header: Mapping[str, Any], metric: Metric) -> None:
    """Refuse a finished run that was not measured as this one will be. Raises `IncomparableError`."""
    ours: dict[str, dict[str, Any]] = {
        "data": {"items_sha256": plan.depends_on["data"]},
        "prompt": {"book": plan.book, **(plan.depends_on["prompt_settings"] or {})},
        "generation": {**plan.depends_on["sampling"], **({"samples": plan.samples} if plan.samples > 1 else {})},
    }
    # As JSON reads it back: tuples become lists.
    ours = json.loads(json.dumps(ours))
    made_here = header.get("generation", {}).get("engine") != "replay"
    for (section, key), label in ALIKE + (ALIKE_IF_GENERATED if made_here else ()):
        theirs = header.get(section, {}).get(key)
        if ours[section].get(key) != theirs:
            raise IncomparableError(f"--against {path} cannot be compared with this run: other {label}")
    signature = header["metrics"][metric.name].get("signature")
    if signature != metric.signature:
        raise IncomparableError(
            f"--against {path}: {metric.name} was computed in another way ({signature}, here {metric.signature})"
        )
