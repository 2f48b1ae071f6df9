"""Does distillation pay? Students of a finished study against the student trained alone on as many tokens.

Run: ``telbench kd study nano-long --jobs 2``, then ``python benchmarks/distillation_gain.py studies/nano-long``. For
every recipe (all factors but the seed) it prints the lowest loss on the dev split, by seed, and for each metric on the
test split the difference to the student alone: over questions, each averaged over the seeds, with a paired interval and
p-value that take a document's questions together (these checkpoints), and over matched seeds (the recipe). One JSON
line a recipe. Exit code 1 where a recipe does not beat the student alone in dev loss and in a metric's interval.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from telbench.harness.checkpoint import read_json
from telbench.harness.runs import read_samples
from telbench.leaderboard.statistics.paired import paired_difference
from telbench.leaderboard.statistics.recipes import matched_seeds

ALONE = "student alone"


@dataclass
class Recipe:
    """What its seeds gave: dev loss, and scores by metric and item."""

    dev_loss: dict[int, float] = field(default_factory=dict)
    scores: dict[int, dict[str, dict[str, float]]] = field(default_factory=dict)


def gather(study: Path) -> tuple[dict[str, Recipe], dict[str, str]]:
    """Recipes by name, and the cluster of each item."""
    recipes: dict[str, Recipe] = defaultdict(Recipe)
    clusters: dict[str, str] = {}
    for run in sorted([*study.glob("runs/*"), *study.glob("anchors/*")]):
        header = read_json(run / "run.json")
        model, factors = header["model"], header["factors"]
        if factors.get("role") not in {None, ALONE}:
            continue
        parts = (factors["algorithm"], f"{factors.get('vocabulary')} vocabulary")
        name = ALONE if factors.get("role") else ", ".join(
            (*parts, "SFT teacher" if factors["teacher_sft"] else "base teacher",
             "SFT student" if factors["student_sft"] else "base student")
        )  # fmt: skip
        recipe, seed = recipes[name], int(factors["seed"])
        recipe.dev_loss[seed] = read_json(Path(model["path"]) / "telbench.json")["training"]["best"]["loss"]
        scores: dict[str, dict[str, float]] = defaultdict(dict)
        for sample in read_samples(run):
            clusters[sample["item_id"]] = sample["cluster_id"]
            for metric, value in sample["scores"].items():
                # A value that is missing is no 0: it makes the item's difference missing, which is counted below.
                scores[metric][sample["item_id"]] = float("nan") if value is None else value
        recipe.scores[seed] = scores
    return recipes, clusters


def against(recipe: Recipe, alone: Recipe, clusters: Mapping[str, str]) -> dict[str, Any]:
    """The recipe's numbers and its differences to the student alone."""
    seeds = sorted(recipe.dev_loss.keys() & alone.dev_loss.keys())
    told: dict[str, Any] = {
        "seeds": seeds,
        "dev_loss": _mean(recipe.dev_loss[seed] for seed in seeds),
        "dev_loss_by_seed": [round(recipe.dev_loss[seed], 4) for seed in seeds],
    }
    if recipe is alone:
        return told | {metric: _mean(_items(recipe, metric, seeds)) for metric in recipe.scores[seeds[0]]}
    told["dev_loss_difference"] = _seeds([recipe.dev_loss[seed] - alone.dev_loss[seed] for seed in seeds])
    items = list(clusters)
    for metric in recipe.scores[seeds[0]]:
        values, others = (_items(each, metric, seeds, items) for each in (recipe, alone))
        differences = values - others
        known = np.isfinite(differences)
        documents = [clusters[item] for item, here in zip(items, known, strict=True) if here]
        pair = paired_difference(differences[known], documents)
        by_seed = [_mean(_items(recipe, metric, [seed])) - _mean(_items(alone, metric, [seed])) for seed in seeds]
        told[metric] = {
            "value": _mean(values[known]),
            "difference": pair.delta,
            "ci": [pair.ci_low, pair.ci_high],
            "p": pair.p_mean,
            "n": int(known.sum()),
            "missing": int((~known).sum()),
            "over_seeds": _seeds(by_seed),
        }
    return told


def _items(recipe: Recipe, metric: str, seeds: list[int], items: list[str] | None = None) -> Any:
    """Each item's value, averaged over seeds."""
    chosen = items or list(recipe.scores[seeds[0]][metric])
    return np.mean([[recipe.scores[seed][metric][item] for item in chosen] for seed in seeds], axis=0)


def _mean(values: Any) -> float:
    return float(np.nanmean(list(values)))


def _seeds(effects: list[float]) -> dict[str, Any]:
    effect = matched_seeds(effects)
    return {"by_seed": [round(each, 4) for each in effects], "ci": [effect.ci_low, effect.ci_high], "p": effect.p}


def _pays(told: Mapping[str, Any]) -> bool:
    better = [value["ci"][0] for value in told.values() if isinstance(value, dict) and "difference" in value]
    return np.mean(told["dev_loss_difference"]["by_seed"]) < 0 and any(low is not None and low > 0 for low in better)


def main() -> int:
    """A line a recipe; exit code 1 where one does not beat the student alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a finished study with the anchor student_alone")
    options = parser.parse_args()
    recipes, clusters = gather(options.study)
    if ALONE not in recipes:
        raise SystemExit(f"{options.study} has no run of a student alone: make the study with that anchor")
    alone = recipes.pop(ALONE)
    print(json.dumps({"recipe": ALONE, **against(alone, alone, clusters)}))
    fine = True
    for name, recipe in recipes.items():
        told = against(recipe, alone, clusters)
        fine &= _pays(told)
        print(json.dumps({"recipe": name, **told}))
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
