"""Files of Every Eval Ever (schemas 0.2.1 and 0.3.0) as runs, or as reported numbers where no scores are beside them.

Imports and boards read by the same rules, which are those of the schemas:

- A row belongs to the result that its ``evaluation_result_id`` names, else to the one of its ``evaluation_name``.
- A metric is called ``metric_id``, else ``metric_name``, else as its evaluation; after its evaluation where the file
  has several, and after its result's id where that is not enough.
- Evaluations share an item where they asked the same question by the same id.
- Rows of one item in one result are repeated answers: the item's score is their mean. A row with an error has no score,
  nor has one of -1 where the metric says that this means unknown.

What telbench exported comes back as the run that it was, with signatures, statistics and source documents; it has no
repeated answers, so that a row that is there twice is damage.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...metrics.contract import ItemScore
from ...metrics.fingerprints import fingerprint
from ..runs.foreign import (
    EEE,
    Log,
    Reading,
    Reported,
    category_of,
    cluster_of,
    json_lines,
    json_object,
    mean_score,
    run_of,
    value_of,
)
from ..runs.loaded import ItemText, LoadedRun

_SAMPLES = "_samples.jsonl"
_OWN = "telbench"
_MEND = "copy the file again"
_AGGREGATE, _INSTANCE = {"evaluation_id", "evaluation_results"}, {"evaluation_name", "sample_id", "evaluation"}
# The score of an unknown level, where a metric has one.
_UNKNOWN = -1


def holds_eee(path: Path) -> bool:
    """Is it an aggregate file, one of instances, or a folder whose first JSON file is an aggregate?"""
    if path.is_dir():
        return any(holds_eee(file) for file in sorted(path.rglob("*.json"))[:1])
    if not path.is_file() or path.suffix not in (".json", ".jsonl"):
        return False
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.readline(1 << 20) if path.suffix == ".jsonl" else stream.read(1 << 26)
        record = json_object(text, str(path))
    except (OSError, UnicodeDecodeError, InputError):
        return False
    return (_INSTANCE if path.suffix == ".jsonl" else _AGGREGATE) <= record.keys()


def read_eee(path: Path, reading: Reading) -> list[LoadedRun]:
    """A run for each aggregate file, or of instances alone where no aggregate is beside them.

    Raises:
        InputError: when a file is none, has no instances beside it, or a score is no number.
    """
    runs = []
    for file in _files(path):
        instances = file if file.suffix == ".jsonl" else _instances(file, _document(file))
        if instances is None:
            raise InputError(f"{file} has no {file.stem}{_SAMPLES} beside it: values alone cannot be compared")
        runs.append(_run(file, {} if instances == file else _document(file), instances, reading))
    return runs


def reported_in(path: Path) -> list[Reported]:
    """The numbers of an aggregate file that has no instances beside it; none where there are some.

    Raises:
        InputError: naming the place of what is not as the schema has it.
    """
    if path.suffix == ".jsonl" or path.is_dir():
        return []
    document = _document(path)
    if _instances(path, document) is not None:
        return []
    results, source = _results(document, path), _of(document, "source_metadata")
    by = _text(source.get("source_organization_name")) or _text(source.get("source_name")) or "not told"
    places = [f"{path}, evaluation_results {number}" for number in range(1, len(results) + 1)]
    return [_reported(where, each, _model(document), by) for where, each in zip(places, results, strict=True)]


def _files(path: Path) -> list[Path]:
    """The aggregate files below a folder, or the file; for instances the aggregate beside them, if there is one."""
    if path.is_dir():
        return [file for file in sorted(path.rglob("*.json")) if holds_eee(file)]
    beside = path.with_name(f"{path.name.removesuffix(_SAMPLES)}.json")
    return [beside if path.suffix == ".jsonl" and beside.is_file() else path]


def _document(file: Path) -> dict[str, Any]:
    try:
        return json_object(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}: {_MEND}") from error


def _instances(file: Path, document: Mapping[str, Any]) -> Path | None:
    """The file of instances beside an aggregate file: by the name it tells, or by its own."""
    told = _text(_of(document, "detailed_evaluation_results").get("file_path"))
    names = [Path(told).name] if told else []
    places = [file.with_name(each) for each in (*names, f"{file.stem}{_SAMPLES}")]
    return next((place for place in places if place.is_file()), None)


def _results(document: Mapping[str, Any], file: Path) -> list[Mapping[str, Any]]:
    results = document.get("evaluation_results")
    if not isinstance(results, list) or not results:
        raise InputError(f"{file}: evaluation_results is missing or empty: {_MEND}")
    for number, each in enumerate(results, 1):
        if not isinstance(each, Mapping):
            raise InputError(f"{file}, evaluation_results {number}: an object is expected: {_MEND}")
    return results


@dataclass(frozen=True)
class _Row:
    """A score of an item in a result; None: the answer failed, or its level is unknown."""

    where: str
    title: str
    sample: str
    evaluation: str
    asked: str  # the hash of the question
    score: ItemScore | None
    record: Mapping[str, Any]


@dataclass
class _Titles:
    """What the metrics of a file are called, by the ids of results and by the names of evaluations."""

    by_id: dict[str, str] = field(default_factory=dict)
    by_name: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, row: Mapping[str, Any], where: str) -> str:
        """The metric of a row.

        Raises:
            InputError: where it names no result, or does not say which.
        """
        identity, name = _text(row.get("evaluation_result_id")), _word(row, "evaluation_name", where)
        if identity and self.by_id:
            if identity not in self.by_id:
                raise InputError(f"{where}: no row of these results (evaluation_result_id '{identity}'): {_MEND}")
            return self.by_id[identity]
        titles = self.by_name.get(name, [])
        if len(titles) > 1:
            raise InputError(f"{where}: {name} has {len(titles)} results, and no evaluation_result_id says which")
        # Instances whose aggregate is not there tell results apart by their ids alone.
        return titles[0] if titles else identity or name

    @classmethod
    def told(cls, results: Sequence[Mapping[str, Any]], file: Path) -> _Titles:
        """The titles of an aggregate file's results."""
        found = cls()
        several = len({_text(result.get("evaluation_name")) for result in results}) > 1
        for result in results:
            evaluation, identity = _text(result.get("evaluation_name")), _text(result.get("evaluation_result_id"))
            metric = _metric(result)
            title = f"{evaluation}/{metric}" if several and metric != evaluation else metric
            if title in found.results:
                title = f"{title} {identity}"
            if title in found.results or identity in found.by_id:
                raise InputError(f"{file}: two results are called {title}: their ids must differ")
            found.results[title] = result
            found.by_name[evaluation].append(title)
            if identity:
                found.by_id[identity] = title
        return found


def _metric(result: Mapping[str, Any]) -> str:
    config = _of(result, "metric_config")
    names = (config.get("metric_id"), config.get("metric_name"), result.get("evaluation_name"))
    return next((name for name in map(_text, names) if name), "score")


def _run(file: Path, document: Mapping[str, Any], instances: Path, reading: Reading) -> LoadedRun:
    results = _results(document, file) if document else []
    library = _text(_of(document, "eval_library").get("name"))
    own, titles = library == _OWN, _Titles.told(results, file)
    rows = list(_rows(instances, titles, own=own))
    names = sorted({row.evaluation for row in rows})
    model = _model(document) or next((_text(row.record.get("model_id")) for row in rows), "") or file.stem
    log = Log(file, EEE, model, " ".join(names))
    log.scored_by = library
    _enter(log, rows, reading, own=own)
    for title, result in titles.results.items():
        config = _of(result, "metric_config")
        if title not in log.scores:
            continue
        if isinstance(config.get("lower_is_better"), bool):
            log.logged[title] = not config["lower_is_better"]
        log.told[title] = _entry(config, own=own)
    if results:
        _restore(log, results[0], own=own)
    return run_of(log, reading.settings)


def _rows(instances: Path, titles: _Titles, *, own: bool) -> Iterator[_Row]:
    for number, record in json_lines(instances):
        where = f"{instances}, line {number}"
        title, sample = titles.of(record, where), _word(record, "sample_id", where)
        score, config = _of(record, "evaluation").get("score"), _of(titles.results.get(title, {}), "metric_config")
        unknown = config.get("has_unknown_level") is True and score == _UNKNOWN
        kept = None
        if score is not None and not record.get("error") and not unknown:
            kept = ItemScore(value_of(score, title, where), stats=_statistics(record, where) if own else None)
        yield _Row(where, title, sample, record["evaluation_name"], _hash(record, where), kept, record)


def _enter(log: Log, rows: Sequence[_Row], reading: Reading, *, own: bool) -> None:
    """Put the items and their scores into the log."""
    asked: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        if asked[row.sample].setdefault(row.evaluation, row.asked) != row.asked:
            raise InputError(f"{row.where}: sample '{row.sample}' has another input than in a line before: {_MEND}")
    # One id for several questions: each evaluation counts its own.
    apart = any(len(set(each.values())) > 1 for each in asked.values())
    evaluations = {name for each in asked.values() for name in each}
    # Evaluations that share no question are subjects; those that do are several looks at the same answers.
    subjects = len(evaluations) > 1 and (apart or all(len(each) == 1 for each in asked.values()))
    gathered: dict[str, dict[str, list[ItemScore]]] = defaultdict(dict)
    for row in rows:
        item, metadata = f"{row.evaluation}:{row.sample}" if apart else row.sample, _of(row.record, "metadata")
        log.hashes.setdefault(item, row.asked)
        cluster = _text(metadata.get("cluster_id")) or item
        log.clusters[item] = cluster if reading.cluster is None else cluster_of(metadata, reading.cluster, row.where)
        log.categories[item] = category_of(metadata) or (row.evaluation if subjects else None)
        answers = gathered[row.title].setdefault(item, [])
        if own and answers:
            raise InputError(f"{row.where}: sample '{row.sample}' has two scores of {row.title}: {_MEND}")
        answers += [] if row.score is None else [row.score]
        if reading.texts and item not in log.texts:
            log.texts[item] = _item_text(row.record)
    for title, column in gathered.items():
        log.scores[title] = {item: _score_of(scores) for item, scores in column.items()}


def _score_of(answers: Sequence[ItemScore]) -> ItemScore:
    """The score of an item; of several answers their mean."""
    if len(answers) == 1:
        return answers[0]
    return mean_score([answer.value for answer in answers if answer.value is not None])


def _item_text(record: Mapping[str, Any]) -> ItemText:
    asked, answers = _of(record, "input"), _of(record, "output").get("raw")
    references = tuple(str(each) for each in asked.get("reference") or ())
    first = answers[0] if isinstance(answers, list) and answers else ""
    return ItemText(str(asked.get("raw") or ""), references, str(first))


def _hash(record: Mapping[str, Any], where: str) -> str:
    """What tells one question from another: the file's own hash, or one of question and references; and options."""
    told, asked = _text(record.get("sample_hash")), record.get("input")
    if not told and not isinstance(asked, Mapping):
        raise InputError(f"{where}: neither sample_hash nor input: {_MEND}")
    asked = _of(record, "input")
    references = [str(each) for each in asked.get("reference") or ()]
    return fingerprint([told or [asked.get("raw"), references], asked.get("choices")])


def _statistics(record: Mapping[str, Any], where: str) -> tuple[float, ...] | None:
    """What a score of the corpus is summed up from, in rows of telbench's own."""
    metadata = _of(record, "metadata")
    if "statistics" not in metadata:
        return None
    try:
        return tuple(float(part) for part in json.loads(metadata["statistics"]))
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: metadata.statistics is no list of numbers") from error


def _entry(config: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    """What the header says of a metric: its range; signature, family and level where telbench itself measured."""
    limits = [_number(config.get(bound)) for bound in ("min_score", "max_score")]
    found: dict[str, Any] = {"range": limits} if own or limits != [None, None] else {}
    details = _of(config, "additional_details")
    if own:
        found |= {key: details[key] for key in ("signature", "family", "level") if isinstance(details.get(key), str)}
    return found


def _restore(log: Log, result: Mapping[str, Any], *, own: bool) -> None:
    """How the answers were made; of telbench's own files also the data's name, split and, if whole, identity."""
    config = _of(result, "generation_config")
    args = _of(config, "generation_args")
    log.generation |= {key: args[key] for key in ("temperature", "top_p", "top_k", "max_tokens") if key in args}
    if not own:
        return
    source, seed = _of(result, "source_data"), _of(config, "additional_details").get("choice_seed")
    details = _of(source, "additional_details")
    log.task, log.split = _text(source.get("dataset_name")) or log.task, _text(details.get("split"))
    if details.get("n") == str(len(log.hashes)):
        log.items_sha256 = _text(details.get("items_sha256"))
    if isinstance(seed, str) and seed.isdigit():
        log.prompt["choice_seed"] = int(seed)


def _reported(where: str, result: Mapping[str, Any], model: str, by: str) -> Reported:
    details, config, data = (_of(result, key) for key in ("score_details", "metric_config", "source_data"))
    spread = _of(details, "uncertainty") or details
    interval = _of(spread, "confidence_interval")
    value = _number(details.get("score"))
    if value is None:
        raise InputError(f"{where}: score_details has no score: {_MEND}")
    lower, count = config.get("lower_is_better"), spread.get("num_samples", data.get("samples_number"))
    evaluation, metric = _text(result.get("evaluation_name")), _metric(result)
    return Reported(
        model=model or "no name",
        evaluation=evaluation if metric == evaluation else ": ".join(filter(None, (evaluation, metric))),
        data=_text(data.get("dataset_name")) or _text(data.get("hf_repo")) or "not told",
        value=value,
        low=_number(interval.get("lower")),
        high=_number(interval.get("upper")),
        n=count if isinstance(count, int) and not isinstance(count, bool) else None,
        lower_is_better=lower if isinstance(lower, bool) else None,
        source=by,
    )


def _model(document: Mapping[str, Any]) -> str:
    told = _of(document, "model_info")
    return _text(told.get("name")) or _text(told.get("id"))


def _word(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}: no instance of Every Eval Ever ({name} is missing): {_MEND}")
    return value


def _of(mapping: Any, name: str) -> Mapping[str, Any]:
    found = mapping.get(name) if isinstance(mapping, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) and math.isfinite(value) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
