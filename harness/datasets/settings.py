"""Which questions: what every command that reads a data set asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from telbench.config import Bounded, setting

# Several data sets under one name: the seven of GSMA's Open Telco board.
SUITES: Mapping[str, tuple[str, ...]] = {
    "open-telco": (
        *("ot-teleqna", "ot-telelogs", "ot-telemath", "ot-3gpp-tsg"),
        *("ot-teletables", "ot-oranbench", "ot-srsranbench"),
    ),
}


@dataclass(frozen=True)
class DataSettings(Bounded):
    """A data set or a file, its split, and how many of its items."""

    data: str = setting(
        "telecom-nano",
        "a data set or suite (telbench data list) or a .jsonl, .csv, .tsv, .json or .parquet file",
        metavar="NAME|PATH",
    )
    split: str = setting("test", "split to use, or all", metavar="S")
    data_dir: Path | None = setting(
        None, "folder with the public data sets (default: environment variable TELBENCH_DATA)"
    )
    mapping: Mapping[str, str] = setting(
        {},
        "what a file calls our fields: question=prompt,choices=A+B+C+D (+ joins columns)",
        flag="--map",
        metavar="OURS=THEIRS,...",
    )
    skip_bad: bool = setting(False, "leave out rows of a file that cannot be read, counted by reason")
    options: Mapping[str, str] = setting(
        {}, "option of a data set (telbench data list)", flag="--option", metavar="KEY=VALUE"
    )
    limit: int | None = setting(None, "only N items, drawn with the seed (trainings: with seed 0)", metavar="N", low=1)
