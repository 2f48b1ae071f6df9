"""What a study will cost, before it is made: tokens and disk from its settings, time from what was made so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...harness.runs.requests import LENGTHS
from ..tiny.base_model import networking_prose
from .graph import Artefact, Graph
from .sources import CHARACTERS_A_TOKEN, Found

# A sample with its scores and its journalled completion.
BYTES_A_SAMPLE = 4000
_MAKERS = {"base", "model"}


@dataclass(frozen=True)
class Cost:
    """Of one artefact, about. ``group``: what takes as long for a token; ``seconds``: None until one is made."""

    group: str
    tokens: int
    bytes: int
    seconds: float | None


def costs(graph: Graph, found: Found, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Cost]:
    """Of every artefact to make, by hash. ``records``: the journal's, of artefacts that are made."""
    amounts = {each.sha256: _amount(each, graph, found) for each in graph.to_make()}
    rates = _rates(records.values())
    return {
        each.sha256: Cost(*amounts[each.sha256], _seconds(each.kind, *amounts[each.sha256][:2], rates))
        for each in graph.to_make()
    }


def total_seconds(some: Iterable[Cost], slots: int) -> tuple[float, int]:
    """(seconds with so many at once, artefacts whose time is not known)."""
    known = [cost.seconds for cost in some]
    return sum(each for each in known if each is not None) / slots, sum(each is None for each in known)


def _amount(artefact: Artefact, graph: Graph, found: Found) -> tuple[str, int, int]:
    """(group, tokens, bytes)."""
    settings, kind = artefact.settings, artefact.kind
    if kind == "base":
        prose = sum(map(len, networking_prose())) / CHARACTERS_A_TOKEN
        return f"base {settings['name']}", round(settings["scratch"]["epochs"] * prose), _weights(artefact, found)
    if kind == "run":
        answered = found.evaluation.questions / CHARACTERS_A_TOKEN + found.evaluation.items * (
            settings["max_tokens"] or LENGTHS[0]
        )
        root = _root(artefact, "model", graph)
        return f"run {root.label}", round(answered), found.evaluation.items * BYTES_A_SAMPLE
    role = {"cache": "teacher", "answers": "model"}.get(kind, "student")
    root = _root(artefact, role, graph)
    if kind == "cache":
        bytes_each = (2 if settings["dtype"] == "bfloat16" else 4) * _width(root, found)
        return f"cache {root.label}", round(found.training.tokens), round(found.training.answer_tokens * bytes_each)
    if kind == "answers":
        return f"answers {root.label}", round(found.training.tokens), 2 * found.training.answers
    optimiser = settings["optimiser"]
    whole = optimiser["epochs"] * found.training.tokens
    tokens = round(min(whole, optimiser["max_tokens"] or whole))
    return f"{settings['method']['algorithm']} {root.label}", tokens, _weights(root, found)


def _root(artefact: Artefact, role: str, graph: Graph) -> Artefact:
    """The model that all this began with."""
    while artefact.kind not in _MAKERS:
        artefact = graph.artefacts[artefact.inputs[role]]
        role = "student"
    return artefact


def _weights(root: Artefact, found: Found) -> int:
    """Bytes of a checkpoint; float32 where it is made from nothing."""
    settings = root.settings
    if root.kind == "model":
        return found.model_bytes[settings["path"]]
    settings = settings["scratch"]
    layer = 4 * settings["hidden"] ** 2 + 3 * settings["hidden"] * settings["inner"]
    return 4 * (settings["vocabulary"] * settings["hidden"] + settings["layers"] * layer)


def _width(root: Artefact, found: Found) -> int:
    return (found.width[root.settings["path"]] or 0) if root.kind == "model" else root.settings["scratch"]["hidden"]


def _rates(records: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds a token by group, and by kind (the group's first word) for groups that were not made yet."""
    sums: dict[str, list[float]] = {}
    for record in records:
        if record.get("status") != "done" or record.get("resumed") or not record.get("work"):
            continue
        for name in (record["group"], f"any {record['kind']}"):
            summed = sums.setdefault(name, [0.0, 0.0])
            summed[0] += record["seconds"]
            summed[1] += record["work"]
    return {name: seconds / work for name, (seconds, work) in sums.items()}


def _seconds(kind: str, group: str, tokens: int, rates: Mapping[str, float]) -> float | None:
    rate = rates.get(group, rates.get(f"any {kind}"))
    return None if rate is None else rate * tokens
