"""The run folder: header, samples, journal and log, written so that a killed run can be finished."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.config import near_name
from telbench.errors import InputError

from ...metrics.contract import ItemScore, Metric
from ...metrics.fingerprints import text_sha256
from ..storage import LOCK, FolderLock, writing

if TYPE_CHECKING:
    import pandas as pd

# Scores of a metric by item and answer: the item's id, and the hash of the answer that they were given to.
Kept = Mapping[tuple[str, str], ItemScore]
SCHEMA_VERSION = 1
# Of runs that stopped before all items were asked: a telbench that does not know them refuses them.
STOPPED_SCHEMA = 2
HEADER, PARTIAL, SAMPLES, JOURNAL, JUDGEMENTS, BATCHES, LOG, SETTINGS = (
    "run.json",
    "run.partial.json",
    "samples.jsonl",
    "completions.jsonl",
    "judgements.jsonl",
    "batches.jsonl",
    "log.txt",
    "run.yaml",
)
# What must be equal for a difference to mean the models: header path and what it is called.
ALIKE = (
    (("data", "items_sha256"), "items"),
    (("prompt", "choice_seed"), "option order"),
)
# Known only where telbench itself generated: answers from a file were made with prompts and settings of their own.
ALIKE_IF_GENERATED = (
    (("prompt", "book"), "open or closed book"),
    (("prompt", "version"), "prompt version"),
    (("prompt", "system"), "system message"),
    (("prompt", "instruction"), "instruction"),
    (("prompt", "template"), "template"),
    (("prompt", "raw"), "raw questions"),
    (("prompt", "few_shot"), "number of examples"),
    (("prompt", "few_shot_from"), "examples"),
    (("generation", "temperature"), "temperature"),
    (("generation", "max_tokens"), "longest answer"),
    (("generation", "samples"), "number of answers an item"),
    (("generation", "top_k"), "top-k"),
    (("generation", "min_p"), "min-p"),
    (("generation", "repetition_penalty"), "repetition penalty"),
)
SAMPLES_DRAFT, HEADER_DRAFT = f"{SAMPLES}.tmp", f"{HEADER}.tmp"
# In the order in which --fresh removes them: the headers, which say whose folder it is, last.
OWN_FILES = (JOURNAL, SAMPLES, SAMPLES_DRAFT, LOG, JUDGEMENTS, BATCHES, SETTINGS, HEADER_DRAFT, PARTIAL, HEADER)
# What a process that was killed before its first header can leave behind.
_TRACES = {LOCK, HEADER_DRAFT}


class RunFolder(FolderLock):
    """An output folder held by this process alone, for one run.

    Files that a user added to a run folder are left alone; a folder without a run's header but with files is refused.
    ``created`` tells when the run that `claim` found was begun.

    Raises:
        InputError: when it cannot be written, is used by another process, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.created: str | None = None
        try:
            path.mkdir(parents=True, exist_ok=True)
            found = sorted(entry.name for entry in path.iterdir())
        except OSError as error:
            raise InputError(f"cannot make the run folder {path}: {error.strerror}: choose another --out") from error
        foreign = [name for name in found if name not in _TRACES]
        if foreign and not any(self._own_header(name) for name in (HEADER, PARTIAL)):
            raise InputError(
                f"{path} is no run folder (it holds {foreign[0]} and no readable run header): "
                "choose an empty or new --out"
            )
        super().__init__(path)

    def claim(self, run_id: str, depends_on: Mapping[str, Any], *, fresh: bool) -> dict[str, Any] | None:
        """Take the folder for this run; returns the finished header if the run is already done.

        Raises:
            InputError: when the folder holds another run, naming what differs, or cannot be cleared for ``fresh``.
        """
        if fresh:
            for name in OWN_FILES:
                with writing(self.path / name) as file:
                    file.unlink(missing_ok=True)
        # As JSON reads it back: tuples become lists.
        wanted = json.loads(json.dumps(depends_on))
        for name in (HEADER, PARTIAL):
            header = self._own_header(name)
            if header is None:
                continue
            if header.get("run_id") != run_id:
                theirs = header.get("depends_on") or {}
                other = [key for key, value in wanted.items() if theirs.get(key) != value]
                raise InputError(
                    f"{self.path} holds another run (other {', '.join(other) or 'run_id'}): "
                    "choose another --out, or --fresh to replace it"
                )
            self.created = header.get("created")
            if name == HEADER:
                return header
        return None

    def begin(self, header: Mapping[str, Any], settings: str) -> None:
        """State what is being made, before it is; and what was asked, as YAML that ``telbench eval --config`` takes."""
        self._draft(header)
        with writing(self.path / PARTIAL) as file:
            (self.path / HEADER_DRAFT).replace(file)
        with writing(self.path / SETTINGS) as file:
            file.write_text(settings, encoding="utf-8")

    def finish(self, header: Mapping[str, Any]) -> None:
        """Publish the drafted samples, then the header, last and atomically: with `run.json` a run is finished.

        Whatever needs space is written before an earlier header and its samples are given up.
        """
        self._draft(header)
        with writing(self.path / HEADER) as file:
            file.unlink(missing_ok=True)
        with writing(self.path / SAMPLES) as file:
            (self.path / SAMPLES_DRAFT).replace(file)
        with writing(self.path / HEADER) as file:
            (self.path / HEADER_DRAFT).replace(file)
        with writing(self.path / PARTIAL) as file:
            file.unlink(missing_ok=True)

    def settle(self) -> None:
        """Drop what an interrupted attempt left beside a finished run."""
        for name in (PARTIAL, SAMPLES_DRAFT, HEADER_DRAFT):
            with contextlib.suppress(OSError):
                (self.path / name).unlink(missing_ok=True)

    def _own_header(self, name: str) -> dict[str, Any] | None:
        """The header in that file, or None where there is none; a rename made it, so it is whole or not ours."""
        try:
            header = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return header if isinstance(header, dict) and "run_id" in header and "schema_version" in header else None

    def _draft(self, header: Mapping[str, Any]) -> None:
        with writing(self.path / HEADER), (self.path / HEADER_DRAFT).open("w", encoding="utf-8") as stream:
            json.dump(header, stream, indent=1, ensure_ascii=True, allow_nan=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())


@dataclass(frozen=True)
class Run:
    """A finished run: ``path`` of its folder, ``header`` (its ``run.json``), ``reused`` if it was found finished.

    A notebook shows it as its table.
    """

    path: Path
    header: dict[str, Any]
    reused: bool = False

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Run:
        """The run in a folder.

        Raises:
            InputError: when the folder holds no run, or an unfinished one.
        """
        folder = Path(path)
        return cls(folder.parent if folder.name == HEADER else folder, read_run(folder), reused=True)

    def value(self, metric: str) -> float | None:
        """The run's value in a metric, on the metric's own scale; None where no item has a score.

        Raises:
            InputError: when the run has no such metric.
        """
        return self.metric(metric)["value"]

    def metric(self, name: str) -> dict[str, Any]:
        """All that the header says of a metric: value, ``ci_low``, ``ci_high``, ``n``, ``missing``, signature, range.

        Raises:
            InputError: when the run has no such metric.
        """
        metrics = self.header["metrics"]
        if name not in metrics:
            raise InputError(f"{self.path} has no metric '{name}': {near_name(str(name), metrics)}")
        return metrics[name]

    def table(self) -> str:
        """The table that ``telbench eval`` prints: a line a metric, with its 95 % interval."""
        from ..cli.tables import print_run

        print_run(self.header, text := io.StringIO())
        return text.getvalue()

    def samples(self) -> list[dict[str, Any]]:
        """What was asked, answered and scored, an item each, in the order of the data; see ``sample.schema.json``.

        Raises:
            InputError: naming the line that is damaged.
        """
        return list(read_samples(self.path))

    def to_pandas(self) -> pd.DataFrame:
        """One row an item, indexed by its id; scores are columns under their metrics' names, NaN where there is none.

        Raises:
            InputError: when pandas is not installed, or a line is damaged.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise InputError("a table of samples needs pandas: pip install pandas") from error
        names = list(self.header["metrics"])
        told = ("cluster_id", "category", "question", "references", "prediction", "status")
        samples = self.samples()
        columns: dict[str, Any] = {name: [sample.get(name) for sample in samples] for name in told}
        for name in names:
            values = [sample["scores"].get(name) for sample in samples]
            # A metric of the same name as a column of texts keeps its own.
            column = f"score: {name}" if name in told else name
            columns[column] = pd.array([math.nan if value is None else float(value) for value in values], "float64")
        return pd.DataFrame(columns, index=pd.Index([sample["item_id"] for sample in samples], name="item_id"))

    def __repr__(self) -> str:
        model, data = self.header["model"]["name"], self.header["data"]
        told = ", ".join(
            f"{name} {'N/A' if entry['value'] is None else format(entry['value'], '.4g')}"
            for name, entry in self.header["metrics"].items()
        )
        return f"<Run {str(self.path)!r}: {model} on {data['name']} {data['split']}, {data['n']} items: {told}>"

    def _repr_html_(self) -> str:
        from ..cli.html import html
        from ..cli.tables import run_report

        return html(run_report(self.header))


def read_run(path: Path, *, stopped: bool = False) -> dict[str, Any]:
    """The header of a finished run; with ``stopped`` also of one that did not ask all items (``--adaptive``).

    Raises:
        InputError: when the folder holds no run, an unfinished or stopped one, or one of a later telbench.
    """
    file = path / HEADER if path.is_dir() else path
    if not file.is_file():
        if (path / PARTIAL).is_file():
            raise InputError(f"the run in {path} is not finished: run its command again to finish it")
        raise InputError(f"no run in {path}: {HEADER} is missing")
    try:
        header = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read as JSON: {error}") from error
    version = header.get("schema_version") if isinstance(header, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{file} is no telbench run header")
    if version > STOPPED_SCHEMA:
        raise InputError(f"{file} has schema {version}, this telbench reads up to {STOPPED_SCHEMA}: update")
    if (told := header.get("adaptive")) and not stopped:
        where = file.parent
        raise InputError(
            f"{where} stopped when {told['asked']} of {told['of']} items were asked (--adaptive) and is no complete "
            f"run: telbench eval --config {where / SETTINGS} --out {where} asks the rest"
        )
    return header


def read_samples(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of a finished run, line by line.

    Raises:
        InputError: naming the line that is not JSON.
    """
    file = path / SAMPLES
    try:
        with file.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{file}, line {number} is not JSON: copy the run again") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text: copy the run again") from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error


def kept_scores(folder: Path, metrics: Sequence[Metric]) -> dict[str, Kept]:
    """What the finished run in ``folder``, of the same run id, holds for metrics of the same signature.

    Only metrics that need an encoder or an entailment model are kept: others are quick, or have a store of their own.
    """
    kept: dict[str, dict[tuple[str, str], ItemScore]] = {}
    try:
        found = read_run(folder, stopped=True)["metrics"]
        for metric in metrics:
            slow = not metric.needs.isdisjoint(("encoder", "nli")) and not metric.judged and metric.level == "item"
            if slow and found.get(metric.name, {}).get("signature") == metric.signature:
                kept[metric.name] = {}
        for sample in read_samples(folder) if kept else ():
            if sample["status"] != "ok":
                continue
            answer = (sample["item_id"], text_sha256(sample["prediction"]))
            for name, scores in kept.items():
                value = sample["scores"][name]
                # What is missing costs nothing to find missing again, perhaps for another reason.
                if value is not None:
                    scores[answer] = ItemScore(value, sample.get("notes", {}).get(name))
    except (InputError, KeyError, TypeError, AttributeError):
        # A run that was tampered with costs time, never the new scores.
        return {}
    return dict(kept)
