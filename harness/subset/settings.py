"""What ``telbench data subset`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from telbench.config import REQUIRED, setting


@dataclass(frozen=True, kw_only=True)
class SubsetOptions:
    """``telbench data subset``."""

    runs: tuple[Path, ...] = setting(
        REQUIRED, "finished runs of several models on the same items", metavar="RUN", positional=True
    )
    n: int = setting(REQUIRED, "how many items", metavar="N", low=2, required=True)
    out: Path = setting(
        REQUIRED, "file to write, .jsonl: telbench eval --data FILE asks it", metavar="FILE", required=True
    )
    primary: str = setting(
        "",
        "the metric whose scores are looked at (default: the first of choice_accuracy, numeric_match, label_match, "
        "yaml_f1, table_f1, token_f1, exact_match that all runs have)",
        metavar="NAME",
    )
    seed: int = setting(0, "seed of the draw", metavar="K", low=0, high=2**32 - 1)
    force: bool = setting(False, "overwrite a file that is there")
