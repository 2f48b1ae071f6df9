"""Run folders of HELM: ``per_instance_stats.json``, with the instances and the model from the files beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...metrics.fingerprints import fingerprint
from .foreign import AS_IT_IS, HELM, Log, Reading, cluster_of, mean_score, numbered, run_of, value_of
from .loaded import ItemText, LoadedRun

SCORES, INSTANCES, SPEC = "per_instance_stats.json", "scenario_state.json", "run_spec.json"
# What HELM counts and times beside its metrics, and what only the model's own answer says (not whether it is right).
_BESIDE = ("num_", "finish_reason_", "training_", "inference_")
_NO_SCORES = {"batch_size", "prompt_truncated", "max_prob", "logprob", "predicted_index"}


def holds_helm(path: Path) -> bool:
    """Is it a run folder of HELM, or its file of scores?"""
    return path.name == SCORES or (path / SCORES).is_file()


def read_helm(path: Path, reading: Reading = AS_IT_IS) -> LoadedRun:
    """A run folder of HELM as a run; the trials of an instance are averaged, its split is its category.

    An instance and its perturbed forms are items of one source document.

    Raises:
        InputError: when the folder is no finished run, or a score in it is no number.
    """
    folder = path.parent if path.name == SCORES else path
    spec = _document(folder / SPEC, dict)
    adapter = spec.get("adapter_spec")
    model = adapter.get("model") if isinstance(adapter, dict) else None
    log = Log(path, HELM, str(model or folder.name), str(spec.get("name") or "helm").split(":")[0])
    instances, answers = _instances(folder / INSTANCES)
    gathered: dict[str, dict[str, list[float]]] = {}
    seen: set[tuple[str, Any]] = set()
    for where, entry in numbered(folder / SCORES, "entry", _document(folder / SCORES, list)):
        name, trial, stats = entry.get("instance_id"), entry.get("train_trial_index", 0), entry.get("stats")
        if not isinstance(name, str) or not isinstance(stats, list):
            raise InputError(f"{where}: no instance of HELM (instance_id or stats are missing)")
        item = name + _perturbed(entry.get("perturbation"))
        if (item, trial) in seen:
            raise InputError(f"{where}: trial {trial} of instance '{item}' occurs twice")
        seen.add((item, trial))
        instance = instances.get(name, {})
        log.hashes[item] = fingerprint([item, instance.get("input"), instance.get("references")])
        log.clusters[item] = name if reading.cluster is None else cluster_of(instance, reading.cluster, where)
        split = instance.get("split")
        log.categories[item] = split if isinstance(split, str) else None
        if reading.texts and item not in log.texts:
            log.texts[item] = _text_of(instance, answers.get(item))
        for metric, value in _values(stats, where):
            gathered.setdefault(metric, {}).setdefault(item, []).append(value)
    for metric, column in gathered.items():
        log.scores[metric] = {item: mean_score(column.get(item, [])) for item in log.hashes}
    if not instances:
        log.notes.append(f"{log.path} has no {INSTANCES} beside it: that its items are the same is known by id alone")
    return run_of(log, reading.settings)


def _instances(file: Path) -> tuple[dict[str, Mapping[str, Any]], dict[str, str]]:
    """The instances by id, without their perturbed forms, and the first answer to each form; none without the file."""
    if not file.is_file():
        return {}, {}
    found: dict[str, Mapping[str, Any]] = {}
    answers: dict[str, str] = {}
    states = _document(file, dict).get("request_states")
    for where, state in numbered(file, "state", states if isinstance(states, list) else ()):
        instance = state.get("instance")
        if not isinstance(instance, Mapping) or not isinstance(instance.get("id"), str):
            raise InputError(f"{where}: it has no instance with an id: copy the run again")
        if not instance.get("perturbation"):
            found.setdefault(instance["id"], instance)
        result = state.get("result")
        completions = result.get("completions") if isinstance(result, dict) else None
        if isinstance(completions, list) and completions and isinstance(completions[0], dict):
            item = instance["id"] + _perturbed(instance.get("perturbation"))
            answers.setdefault(item, str(completions[0].get("text", "")))
    return found, answers


def _text_of(instance: Mapping[str, Any], answer: str | None) -> ItemText:
    """The input, the right references, and the first completion."""
    asked, references = instance.get("input"), instance.get("references")
    right = [
        each["output"]["text"]
        for each in (references if isinstance(references, list) else ())
        if isinstance(each, dict) and "correct" in each.get("tags", ()) and isinstance(each.get("output"), dict)
    ]
    text = asked.get("text") if isinstance(asked, dict) else None
    return ItemText(text if isinstance(text, str) else "", tuple(map(str, right)), answer)


def _perturbed(perturbation: Any) -> str:
    return "" if not perturbation else f" {json.dumps(perturbation, sort_keys=True)}"


def _values(stats: list[Any], where: str) -> Iterator[tuple[str, float]]:
    """The scores of an instance by metric; statistics without a value are absent."""
    for stat in stats:
        named = stat.get("name") if isinstance(stat, dict) else None
        name = named.get("name") if isinstance(named, dict) else None
        if not isinstance(name, str):
            raise InputError(f"{where}: a statistic without a name: copy the run again")
        if name.startswith(_BESIDE) or name in _NO_SCORES or not stat.get("count"):
            continue
        yield name, value_of(stat.get("mean"), name, where)


def _document(file: Path, kind: type[Any]) -> Any:
    """A JSON file that holds a list, or an object."""
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}: name a finished run folder of HELM") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON: copy the run again") from error
    if not isinstance(found, kind):
        raise InputError(f"{file} is no file of HELM: {'a list' if kind is list else 'an object'} is expected")
    return found
