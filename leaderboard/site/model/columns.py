"""Runs as columns of numbers: what a board of many runs can hold in memory, and where each answer lies in its file."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ....harness.runs.folder import HEADER, SAMPLES, read_run
from ....metrics.contract import ItemScore
from ...compare.pairwise import ClusterBy
from ...compare.scored import Scored
from ...runs.foreign import Reported
from ...runs.loaded import COPY_AGAIN, LoadedRun
from ...runs.validation import Lines, require_header
from ...statistics.clusters import Documents, documents
from .contexts import NO_CONTEXTS, Contexts
from .taxonomy import KINDS, error_kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RIGHT, UNANSWERED, NOT_KNOWN = "right", "no answer", "not known"
# The last is of runs whose answers are not at hand.
ANSWERS: tuple[str, ...] = (RIGHT, *KINDS, UNANSWERED, NOT_KNOWN)


@dataclass(frozen=True, eq=False)
class RunColumns:
    """A finished run: its header, and the scores of its items by metric, in the order of ``items``.

    ``values`` are NaN where ``reasons`` says why; ``stats`` are the rows of corpus metrics. ``offsets`` are where each
    item's line begins in the samples file, so that no answer has to be held. ``kinds`` are what each answer is: right,
    a kind of error, or none at all (see `error_kind`). ``lengths`` are the words of each answer, -1 where there is
    none. ``digest`` is of header and samples, which have hashes of their own too. Without ``texts`` samples keep to
    themselves what was asked and answered; without ``answers`` there is no samples file, but numbers alone.
    """

    path: Path
    header: dict[str, Any]
    items: tuple[str, ...]
    clusters: tuple[str, ...]
    categories: tuple[str | None, ...]
    failed: frozenset[str]
    values: Mapping[str, NDArray[np.float64]]
    reasons: Mapping[str, Mapping[int, str]]
    stats: Mapping[str, NDArray[np.float64]]
    offsets: array[int]
    kinds: bytes
    digest: str
    lengths: array[int] = field(default_factory=lambda: array("l"))
    texts: bool = True
    answers: bool = True
    header_sha256: str = ""
    samples_sha256: str = ""

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.header["model"]["name"])

    @cached_property
    def words(self) -> float | None:
        """The mean number of words of an answer."""
        told = [words for words in self.lengths if words >= 0]
        return sum(told) / len(told) if told else None

    def loaded(self, names: Sequence[str]) -> LoadedRun:
        """The run with these metrics' scores item by item, as comparisons of single items take it."""
        return LoadedRun(
            self.path,
            self.header,
            dict(zip(self.items, self.clusters, strict=True)),
            {name: self._scores(name) for name in names},
            self.failed,
            dict(zip(self.items, self.categories, strict=True)),
            first_line=1,
            lengths={item: words for item, words in zip(self.items, self.lengths, strict=False) if words >= 0},
            words=self.words,
        )

    def scored(self, name: str) -> Scored:
        """The scores in a metric, as comparisons and rankings of whole runs take them."""
        return Scored(self.name, self.values[name], self.reasons[name], self.stats.get(name))

    def in_order(self, items: Sequence[str]) -> RunColumns:
        """The run with its items in this order."""
        import numpy as np

        known = {item: place for place, item in enumerate(self.items)}
        order = [known[item] for item in items]
        place_of = {old: new for new, old in enumerate(order)}

        def moved(column: Sequence[Any]) -> list[Any]:
            return [column[place] for place in order] if column else []

        return replace(
            self,
            items=tuple(items),
            clusters=tuple(moved(self.clusters)),
            categories=tuple(moved(self.categories)),
            values={name: np.asarray(column)[order] for name, column in self.values.items()},
            reasons={
                name: {place_of[place]: reason for place, reason in told.items()} for name, told in self.reasons.items()
            },
            stats={name: rows[order] for name, rows in self.stats.items()},
            offsets=array("q", moved(self.offsets)),
            kinds=bytes(moved(self.kinds)),
            lengths=array("l", moved(self.lengths)),
        )

    def documents(self, by: ClusterBy) -> Documents:
        """What belongs together among the items."""
        if by == "category":
            return _documents(tuple(map(str, self.categories)))
        return _documents(self.items if by == "item" else self.clusters)

    @property
    def titled(self) -> LoadedRun:
        """The run without its items, for what its header alone tells."""
        return LoadedRun(self.path, self.header, {}, {}, words=self.words)

    def kind(self, place: int) -> str:
        """What the answer to an item is: `RIGHT`, one of `KINDS`, or `UNANSWERED`."""
        return ANSWERS[self.kinds[place]]

    @cached_property
    def error_kinds(self) -> dict[str, int]:
        """How many answers are what, those that occur, in the order of `ANSWERS`."""
        counts = Counter(self.kinds)
        return {name: counts[code] for code, name in enumerate(ANSWERS) if counts[code]}

    def missing(self, name: str) -> dict[str, int]:
        """Why items lack a score in a metric, counted."""
        return dict(sorted(Counter(self.reasons[name].values()).items()))

    def _scores(self, name: str) -> dict[str, ItemScore]:
        values = [None if math.isnan(value) else value for value in self.values[name].tolist()]
        reasons = self.reasons[name]
        rows = self.stats.get(name)
        stats = [None] * len(values) if rows is None else [_statistics_row(row) for row in rows.tolist()]
        return {
            item: ItemScore(value, reasons.get(place), None if value is None else row)
            for place, (item, value, row) in enumerate(zip(self.items, values, stats, strict=True))
        }

    def samples(self, places: Sequence[int] | None = None) -> Iterator[dict[str, Any]]:
        """The lines of the samples file at these places (default: all), one at a time.

        Raises:
            InputError: when the file changed since it was read.
        """
        if not self.answers:
            yield from (self._stub(place) for place in (range(len(self.items)) if places is None else places))
            return
        try:
            with (self.path / SAMPLES).open("rb") as stream:
                at = -1
                for place in range(len(self.items)) if places is None else places:
                    # What was read ahead is thrown away by going anywhere.
                    if self.offsets[place] != at:
                        stream.seek(self.offsets[place])
                    line = stream.readline()
                    at = self.offsets[place] + len(line)
                    sample = json.loads(line)
                    if sample["item_id"] != self.items[place]:
                        raise InputError(f"{self.path / SAMPLES} changed while it was read: build again")
                    yield sample if self.texts else _without_texts(sample)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{self.path / SAMPLES} changed while it was read: build again") from error

    def _stub(self, place: int) -> dict[str, Any]:
        item = {"item_id": self.items[place], "cluster_id": self.clusters[place], "category": self.categories[place]}
        return _without_texts({**item, "status": "ok"})


@dataclass(frozen=True)
class Elsewhere:
    """Rows that no run folder is behind: runs of logs, reported numbers; ``digest`` is of their files."""

    runs: tuple[RunColumns, ...] = ()
    reported: tuple[Reported, ...] = ()
    digest: str = ""
    notes: tuple[str, ...] = ()


NOTHING = Elsewhere()


@lru_cache(maxsize=4)
def _documents(clusters: tuple[str, ...]) -> Documents:
    """Runs of a board share their clusters, and each of its metrics asks for them."""
    return documents(clusters)


def _without_texts(sample: Mapping[str, Any]) -> dict[str, Any]:
    """The sample with its id in place of the question, and no other text; what each answer is stays."""
    hidden = {"question": f"Item {sample['item_id']}", "references": [], "prediction": "(not shown)"}
    return {
        **sample,
        **hidden,
        "choices": [],
        "answer": [],
        "judgements": {},
        "context_sha256": None,
        "error": "failed",
        "reasoning": None,
    }


def _statistics_row(numbers: list[float]) -> tuple[float, ...] | None:
    """The statistics of one item; None where it had none."""
    return None if not numbers or math.isnan(numbers[0]) else tuple(numbers)


def read_columns(path: Path, contexts: Contexts = NO_CONTEXTS) -> RunColumns:
    """A finished run folder, its samples line by line; ``contexts`` let answers copied from them be told.

    Raises:
        InputError: when it is no finished run, or its samples do not match its header.
    """
    header = read_run(path)
    require_header(header, path / HEADER, COPY_AGAIN)
    samples = _Samples(header, contexts)
    file = path / SAMPLES
    lines = Lines(file, header, COPY_AGAIN)
    told = hashlib.sha256()
    try:
        first = hashlib.sha256((path / HEADER).read_bytes())
        digest = first.copy()
        with file.open("rb") as stream:
            offset = 0
            for number, line in enumerate(stream, 1):
                digest.update(line)
                told.update(line)
                try:
                    row = json.loads(line)
                    lines.check(number, row)
                    samples.add(row, offset)
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    raise InputError(f"{file}, line {number} is no sample: {COPY_AGAIN}") from error
                offset += len(line)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or file}: {error.strerror}") from error
    lines.finish()
    columns = samples.columns(path, header, digest.hexdigest())
    return replace(columns, header_sha256=first.hexdigest(), samples_sha256=told.hexdigest())


def sharing_items(runs: Sequence[RunColumns]) -> list[RunColumns]:
    """The runs with equal lists of items held once."""
    held: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    return [
        replace(
            run,
            items=held.setdefault(run.items, run.items),
            clusters=held.setdefault(run.clusters, run.clusters),
            categories=held.setdefault(run.categories, run.categories),
        )
        for run in runs
    ]


class _Samples:
    """Samples taken apart as they come."""

    def __init__(self, header: Mapping[str, Any], contexts: Contexts) -> None:
        metrics = header["metrics"]
        self._header = header
        self._contexts = contexts
        self.items: list[str] = []
        self._clusters: list[str] = []
        self._categories: list[str | None] = []
        self._failed: set[str] = set()
        self._offsets = array("q")
        self._kinds = bytearray()
        self._lengths = array("l")
        self._values = {name: array("d") for name in metrics}
        self._reasons: dict[str, dict[int, str]] = {name: {} for name in metrics}
        self._rows = {name: array("d") for name, entry in metrics.items() if entry["level"] == "corpus"}
        self._filled: dict[str, list[int]] = {name: [] for name in self._rows}

    def add(self, sample: Mapping[str, Any], offset: int) -> None:
        place, item = len(self.items), sys.intern(sample["item_id"])
        scores, reasons, stats = sample["scores"], sample.get("missing", {}), sample["stats"]
        for name, column in self._values.items():
            value = scores.get(name)
            column.append(math.nan if value is None else float(value))
            # A remark on a score that is there is kept too: comparisons pass it on.
            if (reason := reasons.get(name)) is not None or value is None:
                self._reasons[name][place] = sys.intern(reason or "no score")
        for name, rows in self._rows.items():
            if (row := stats.get(name)) is not None:
                rows.extend(row)
                self._filled[name].append(place)
        failed = sample["status"] == "error"
        self._lengths.append(-1 if failed else len((sample["prediction"] or "").split()))
        if failed:
            self._failed.add(item)
        category = sample["category"]
        self._clusters.append(sys.intern(sample["cluster_id"]))
        self._categories.append(None if category is None else sys.intern(category))
        self._offsets.append(offset)
        self._kinds.append(ANSWERS.index(_kind(sample, self._contexts.shown(self._header, sample))))
        self.items.append(item)

    def columns(self, path: Path, header: dict[str, Any], digest: str) -> RunColumns:
        import numpy as np

        stats = {}
        for name, rows in self._rows.items():
            filled = self._filled[name]
            width = len(rows) // len(filled) if filled else 0
            stats[name] = np.full((len(self.items), width), np.nan)
            stats[name][filled] = np.frombuffer(rows, np.float64).reshape(-1, width) if width else 0.0
        return RunColumns(
            path=path,
            header=header,
            items=tuple(self.items),
            clusters=tuple(self._clusters),
            categories=tuple(self._categories),
            failed=frozenset(self._failed),
            values={name: np.frombuffer(column, np.float64) for name, column in self._values.items()},
            reasons=self._reasons,
            stats=stats,
            offsets=self._offsets,
            kinds=bytes(self._kinds),
            digest=digest,
            lengths=self._lengths,
        )


def _kind(sample: Mapping[str, Any], context: str | None) -> str:
    if sample["status"] == "error":
        return UNANSWERED
    found = error_kind(
        sample["prediction"],
        sample["references"],
        sample["scores"],
        question=sample["question"],
        context=context,
        finish_reason=sample["finish_reason"],
        answerable=sample.get("answerable", True),
    )
    return found or RIGHT
