"""What a user asks of a run that may stop before all items are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from telbench.config import Bounded, setting

# Whoever asks a model can stop; answers from a file are all there.
_ASKING = ("local", "openai", "other")


@dataclass(frozen=True)
class AdaptiveOptions(Bounded):
    """When to stop: at which finished runs the place is looked for, in which metric, by which margin."""

    adaptive: bool = setting(
        False,
        "ask items in random order and stop when the place beside the runs of --against is settled",
        engines=_ASKING,
    )
    against: tuple[Path, ...] = setting(
        (),
        "a finished run on the same items; may be given several times: all places must be settled",
        many="repeat",
        metavar="RUN",
        engines=_ASKING,
    )
    primary: str = setting(
        "",
        "the metric that decides (default: the one of --margin, else the first of choice_accuracy, numeric_match, "
        "label_match, yaml_f1, table_f1, token_f1, exact_match that all runs have)",
        metavar="NAME",
        engines=_ASKING,
    )
    margins: Mapping[str, float] = setting(
        {},
        "stop when it is settled whether the drop is smaller than X, as telbench check decides",
        flag="--margin",
        metavar="METRIC=X",
        engines=_ASKING,
    )
    alpha: float = setting(
        0.05,
        "chance that the interval of the whole set ever misses its mean, all looks together",
        metavar="X",
        low=1e-6,
        high=0.4999,
        engines=_ASKING,
    )
    at_most: float = setting(
        1.0,
        "stop at this share of the items, settled or not",
        metavar="SHARE",
        above=0,
        high=1,
        engines=_ASKING,
    )
