"""Answers that are a YAML document: is it one, and how much of the reference's structure does it hold."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from ..contract import ItemScore, Metric, Sample, Trial, missing
from .forms import value_metric
from .trees import NoTreeError, Tree, leaves, parsed, plain_value, shared, tree_in

NO_TREE_IN_REFERENCE = "the reference is no YAML mapping or list"


def unread(error: NoTreeError) -> str:
    """The reason of an answer that could not be read."""
    return f"no YAML read from the answer: {error}"


def _wanted(sample: Sample) -> list[Tree]:
    trees = []
    for text in sample.references:
        try:
            trees.append(parsed(text))
        except NoTreeError:
            continue
    return trees


def _metric(name: str, description: str, value: Callable[[Tree, Tree], float], says: bool = False) -> Metric:
    def score(sample: Sample) -> ItemScore:
        wanted = _wanted(sample)
        if not wanted:
            return missing(NO_TREE_IN_REFERENCE)
        try:
            found = tree_in(sample.prediction)
        except NoTreeError as error:
            return ItemScore(0.0, unread(error))
        return ItemScore(max(value(found, each) for each in wanted))

    return value_metric(
        name,
        description,
        score,
        {"lists": "aligned", "scalars": "plain", "unparsed": "zero"},
        says=_says if says else None,
        trial=Trial("amf:\n  sbi: {port: 7777}", "amf: {sbi: {port: 7777}}", "fruit: [ripe, {sun: true}]"),
    )


def _says(sample: Sample) -> Hashable | None:
    try:
        return _hashed(tree_in(sample.prediction))
    except NoTreeError:
        return None


def _hashed(tree: Tree) -> Hashable:
    if isinstance(tree, str):
        return plain_value(tree)
    if isinstance(tree, Mapping):
        return "map", frozenset((key, _hashed(value)) for key, value in tree.items())
    return "list", tuple(map(_hashed, tree))


def _f1(one: Tree, other: Tree, *, values: bool = True) -> float:
    return 2 * shared(one, other, values=values) / (leaves(one) + leaves(other))


yaml_f1 = _metric(
    "yaml_f1",
    "F1 of the answer's YAML leaves, each a path with its value, against a reference's; 0 where no YAML can be read.",
    _f1,
)
yaml_paths_f1 = _metric(
    "yaml_paths_f1",
    "yaml_f1 of the paths alone, whatever their values.",
    lambda one, other: _f1(one, other, values=False),
)
yaml_match = _metric(
    "yaml_match",
    "1 when the answer's YAML has the paths and values of a reference and no other, else 0.",
    lambda one, other: float(_hashed(one) == _hashed(other)),
    says=True,
)
yaml_parsed = _metric(
    "yaml_parsed",
    "1 when a YAML mapping or list can be read from the answer, whatever it says, else 0.",
    lambda one, other: 1.0,
)
