"""``telbench judge sheet``, ``labels`` and ``correct``: people's labels of judged answers, and what they correct."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from telbench.config import REQUIRED, same_as, setting
from telbench.errors import InputError

from ..cli.tables import print_json, shown
from ..runs.evaluate import More
from ..runs.settings import SamplingOptions

RUBRIC = "rubric_score"


@dataclass(frozen=True, kw_only=True)
class SheetOptions:
    """``telbench judge sheet``."""

    runs: tuple[Path, ...] = setting(REQUIRED, "finished runs on the same items", metavar="RUN", positional=True)
    count: int = setting(100, "answers to label, about; every run's to an item", metavar="N", low=1, flag="--n")
    metric: str = setting(RUBRIC, "judged metric whose scale people use", metavar="NAME")
    seed: int = same_as(SamplingOptions, "seed", help="draws the items and their order")
    out: Path = setting(Path("sheet.csv"), "the sheet; its key is written beside it", metavar="FILE")


@dataclass(frozen=True, kw_only=True)
class LabelsOptions:
    """``telbench judge labels``."""

    sheets: tuple[Path, ...] = setting(
        REQUIRED, "filled sheets, one of each person, or the files of --from", metavar="SHEET", positional=True
    )
    key: Path | None = setting(None, "the sheet's key (default: beside the first sheet)", metavar="FILE")
    source: Literal["sheets", "evouna"] = setting(
        "sheets", "what the files are: sheets, or evouna for its NQ.json and TQ.json", flag="--from", metavar="KIND"
    )
    count: int | None = setting(
        None, "of evouna: draw N answers, about; every system's to a question", metavar="N", low=1, flag="--n"
    )
    seed: int | None = setting(None, "of --n: draws the questions (default: 0)", metavar="K", low=0)
    out: Path = setting(
        Path("labels.jsonl"), "labels for --labels; of evouna: for telbench judge calibrate", metavar="FILE"
    )


@dataclass(frozen=True, kw_only=True)
class CorrectOptions:
    """``telbench judge correct``."""

    runs: tuple[Path, ...] = setting(
        REQUIRED, "finished runs; differences are from the first", metavar="RUN", positional=True
    )
    labels: Path = setting(REQUIRED, "what telbench judge labels wrote", metavar="FILE")
    metric: str = same_as(SheetOptions, "metric", help="judged metric to correct")


def sheet(options: SheetOptions, as_json: bool) -> int:
    """Draw answers and write the sheet; exit code 0."""
    from ..labelling.sheet import drawn_sheet, write_sheet

    drawn = drawn_sheet(options.runs, options.metric, options.count, options.seed)
    key = write_sheet(drawn, options.out)
    if as_json:
        print_json({"sheet": str(options.out), "key": str(key), "rows": len(drawn.rows), "metric": drawn.metric})
        return 0
    _say(
        f"{options.out}: {len(drawn.rows)} answers; fill in the column score, {drawn.low:g} to {drawn.high:g}",
        f"{key} tells which run gave which answer: give people the sheet only",
        f"Next: telbench judge labels {options.out} (and other people's copies)",
    )
    return 0


def labels(options: LabelsOptions, as_json: bool) -> int:
    """Read the sheets, tell how far people agree, and write the labels; exit code 0."""
    if options.source == "evouna":
        return _evouna(options, as_json)
    if options.count is not None or options.seed is not None:
        raise InputError("--n and --seed draw from the files of --from evouna; a sheet's labels are all read")
    from ..labelling.labels import read_sheets, write_labels

    found = read_sheets(options.sheets, options.key)
    write_labels(found.labels, options.out)
    if as_json:
        told = {name: value for name, value in asdict(found).items() if name != "labels"}
        print_json({"labels": str(options.out), "n": len(found.labels), **told})
        return 0
    lines = [f"{options.out}: {len(found.labels)} labels of {found.metric}, {found.labelled} of {found.rows} rows"]
    if found.people > 1:
        alpha = "N/A" if found.alpha.value is None else f"{found.alpha.value:.3f}"
        apart = "N/A" if found.distance.value is None else f"{found.distance.value:.2f}"
        lines.append(
            f"{found.people} people: Krippendorff's alpha {alpha}, {apart} apart on average over {found.alpha.n} rows; "
            "no judge can be held to more than that"
        )
    _say(*lines, f"Next: telbench judge correct RUN... --labels {options.out}")
    return 0


def _evouna(options: LabelsOptions, as_json: bool) -> int:
    """Write people's verdicts of EVOUNA as labels for `telbench judge calibrate`; exit code 0."""
    from ..labelling.evouna import SYSTEMS, evouna_labels, write_rows

    if options.key is not None:
        raise InputError("--key is that of a sheet: leave it out with --from evouna")
    if options.seed is not None and options.count is None:
        raise InputError("--seed draws the answers of --n: give --n N too, or leave it out")
    found = evouna_labels(options.sheets, options.count, options.seed or 0)
    write_rows(found.rows, options.out)
    systems = {system: [row["right"] for row in found.rows if row["system"] == system] for system in SYSTEMS}
    shares = {system: sum(right) / len(right) for system, right in systems.items() if right}
    questions = len({row["item_id"] for row in found.rows})
    if as_json:
        told = {"n": len(found.rows), "questions": questions, "right": shares, "left_out": dict(found.left_out)}
        print_json({"labels": str(options.out), **told, "not_drawn": found.not_drawn})
        return 0
    left_out = [f"{count} {reason}" for reason, count in found.left_out.items()]
    left_out += [f"{found.not_drawn} not drawn"] * (found.not_drawn > 0)
    _say(
        f"{options.out}: {len(found.rows)} answers to {questions} questions, each called right or wrong by a person",
        "right: " + ", ".join(f"{system} {share:.1%}" for system, share in shares.items()),
        *([f"left out: {', '.join(left_out)}"] if left_out else []),
        f"Next: telbench judge calibrate {options.out} --judge SPEC",
    )
    return 0


def correct(options: CorrectOptions, as_json: bool) -> int:
    """Print the judge's means and differences and the corrected ones; exit code 0."""
    from ..labelling.corrected import corrected_lines, corrected_runs
    from ..labelling.labels import read_labels

    found = corrected_runs(options.runs, read_labels(options.labels), options.metric)
    if as_json:
        print_json({"metric": options.metric, "runs": [each.to_dict() for each in found]})
        return 0
    _say(*corrected_lines(found, options.metric))
    return 0


def told_by(labels: Path) -> More:
    """What the labels make of a run's judged metrics.

    Raises:
        InputError: for a file that holds none.
    """
    from ..labelling.corrected import corrected_lines, corrected_metrics
    from ..labelling.labels import read_labels

    given = read_labels(labels)

    def told(run: Path) -> tuple[dict[str, Any], list[str]]:
        found = corrected_metrics([run], given)
        lines = [line for name, of_run in found.items() for line in ("", *corrected_lines(of_run, name))]
        return {"corrected": {name: of_run[0].to_dict() for name, of_run in found.items()}}, lines

    return told


def _say(*lines: str) -> None:
    sys.stdout.write("".join(shown(line) + "\n" for line in lines))
