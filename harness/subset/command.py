"""``telbench data subset``: from finished runs to a file of the items that stand for all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.config import read_settings, read_yaml
from telbench.errors import IncomparableError, InputError

from ..datasets.canonical import json_lines_of
from ..datasets.items import Item
from ..datasets.loading import limited, load_whole
from ..runs.adaptive import HEADLINE
from ..runs.folder import SETTINGS, read_run, read_samples
from ..runs.settings import EvalSettings
from ..storage import disk_message
from .choose import chosen_items
from .error import PartError, compared_with_chance
from .settings import SubsetOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Fewer runs tell neither how hard an item is nor how far off a part is.
FEWEST_RUNS = 4


def write_subset(options: SubsetOptions) -> tuple[dict[str, Any], list[str]]:
    """Choose, write, measure; (what was found, lines for a person).

    Raises:
        InputError: for too few runs or items, or a file that cannot be written. IncomparableError: for runs on other
            items, or with another metric.
    """
    import numpy as np

    runs, name, items = _runs_of(options)
    scores = np.stack([_scores(path, name, items) for path in options.runs])
    if np.isnan(scores).all(axis=1).any():
        raise InputError(f"a run has no value of {name}: name another --primary")
    if options.n >= len(items):
        raise InputError(f"--n {options.n}: the runs have {len(items)} items: give fewer")
    if options.out.exists() and not options.force:
        raise InputError(f"{options.out} is there already: name another --out or overwrite with --force")
    categories = [item.category for item in items]
    _, documents = np.unique([item.source_document or item.id for item in items], return_inverse=True)
    places = chosen_items(scores, categories, options.n, np.random.default_rng(options.seed))
    chosen, chance = compared_with_chance(
        scores, documents, categories, options.n, np.random.default_rng([options.seed, 1])
    )
    # A file without splits is all test.
    content = json_lines_of(replace(items[place], split=None) for place in places)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_bytes(content)
    except OSError as error:
        raise InputError(disk_message(error, options.out)) from error
    found = {
        "out": str(options.out),
        "sha256": hashlib.sha256(content).hexdigest(),
        "items": options.n,
        "of": len(items),
        "metric": name,
        "seed": options.seed,
        "runs": [header["run_id"] for header in runs],
        "categories": len(set(categories)),
        "documents": {"part": len(set(documents[places].tolist())), "all": int(documents.max()) + 1},
        "left_out": {"chosen": asdict(chosen), "random": asdict(chance)},
    }
    return json.loads(json.dumps(found)), _lines(found, chosen, chance, len(runs))


def _lines(found: Mapping[str, Any], chosen: PartError, chance: PartError, runs: int) -> list[str]:
    def told(each: PartError) -> str:
        rank = "" if each.rank_correlation is None else f", rank correlation {each.rank_correlation:.3f}"
        return (
            f"{found['metric']} off by {each.mean:.3f} (at most {each.largest:.3f}){rank}; "
            f"same verdict in {100 * each.agreement:.0f} % of pairs, the opposite in {100 * each.opposite:.1f} %"
        )

    return [
        f"{found['items']:,} of {found['of']:,} items in {found['out']}, of {found['documents']['part']} of "
        f"{found['documents']['all']} source documents: telbench eval --data {found['out']}",
        f"{runs} runs, each held against a part that was chosen without it:",
        f"  chosen: {told(chosen)}",
        f"  random: {told(chance)}",
    ]


def _runs_of(options: SubsetOptions) -> tuple[list[dict[str, Any]], str, Sequence[Item]]:
    """(headers, name of the metric, items with all that the data set holds of them)."""
    if len(options.runs) < FEWEST_RUNS:
        raise InputError(
            f"{len(options.runs)} runs cannot tell which items stand for all: give {FEWEST_RUNS} or more, of several "
            "models"
        )
    headers = [read_run(path) for path in options.runs]
    first = headers[0]
    for path, header in zip(options.runs, headers, strict=True):
        if header["data"]["items_sha256"] != first["data"]["items_sha256"]:
            raise IncomparableError(f"{options.runs[0]} and {path} are not on the same items")
    shared = [name for name in first["metrics"] if all(name in header["metrics"] for header in headers)]
    name = options.primary or next((each for each in HEADLINE if each in shared), next(iter(shared), ""))
    if name not in shared:
        raise InputError(f"metric '{name}' is not in all runs: they share {', '.join(shared) or 'none'}")
    if first["metrics"][name]["level"] != "item":
        raise InputError(f"{name} is a score of the whole set, and no mean over items: name another --primary")
    signatures = {header["metrics"][name]["signature"] for header in headers}
    if len(signatures) > 1:
        raise IncomparableError(f"{name} was computed in different ways ({', '.join(sorted(signatures))})")
    return headers, name, _items(options.runs[0], first)


def _items(path: Path, header: Mapping[str, Any]) -> Sequence[Item]:
    """The items that a run asked, read again from its data set.

    Raises:
        InputError: where the data set is not there any more, or another.
    """
    folder = path if path.is_dir() else path.parent
    settings = read_settings(EvalSettings, read_yaml(folder / SETTINGS), str(folder / SETTINGS))
    whole = load_whole(settings.data).split(settings.data.split)
    asked = limited(whole, settings.data.limit, settings.sampling.seed)
    if asked.items_sha256 != header["data"]["items_sha256"]:
        raise InputError(
            f"{settings.data.data} is not what {path} was asked any more: bring the file back, or make the runs again"
        )
    return asked.items


def _scores(path: Path, name: str, items: Sequence[Item]) -> NDArray[np.float64]:
    import numpy as np

    known = {
        sample["item_id"]: sample["scores"].get(name) for sample in read_samples(path if path.is_dir() else path.parent)
    }
    values = [known.get(item.id) for item in items]
    return np.array([np.nan if value is None else float(value) for value in values])
