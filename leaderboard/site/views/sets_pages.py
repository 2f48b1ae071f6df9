"""The first page over several data sets: models as rows, data sets as columns, an overall mean by stated weights."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ....harness.cli.tables import difference_text
from ...compare.overall import Overall
from ...compare.pairwise import ALPHA, FEW_DOCUMENTS, NOT_SHOWN
from ...compare.sets import SetsCompared, answer, too_few, weighed
from ...statistics.clusters import FEW_CLUSTERS
from ..charts.forest import IntervalRow, interval_axis, interval_cell
from ..formats import p_text
from ..model.data_files import csv_cell
from ..page import File, Other, Page
from .sets import DataSet, Model, SetsBoard


@dataclass(frozen=True)
class Against:
    """A model's overall mean against the baseline's: difference, interval, p-value and verdict as they are shown."""

    delta: float
    shown: str
    interval: str
    p: str
    verdict: str

    @property
    def kind(self) -> str:
        """``better``, ``worse`` or ``open``."""
        return self.verdict if self.verdict in ("better", "worse") else "open"


@dataclass(frozen=True)
class Row:
    """A model on the first page; what is overall is None where it is not compared over all data sets."""

    model: Model
    ranks: tuple[int, int] | None = None
    mean: Overall | None = None
    drawn: str = ""
    against: Against | None = None


def around(board: SetsBoard, current: DataSet | None = None) -> list[Other]:
    """The way to all boards of the site, from the folder of one of them or from the site's own."""
    out = "" if current is None else "../../"
    first = Other(f"{out}index.html", "All data sets", current is None)
    return [first, *(Other(f"{out}{each.folder}/index.html", each.name, each is current) for each in board.sets)]


def sets_pages(board: SetsBoard) -> Iterator[Page | File]:
    """``index.html``, ``data/sets.json`` and ``data/sets.csv``."""
    rows = overall_rows(board)
    context = {
        "others": around(board),
        "rows": rows,
        "said": None if board.compared is None else answer(board.compared),
        "weighed": None if board.compared is None else weighed(board.compared),
        "few": [each.name for each in board.compared.sets if each.documents < FEW_CLUSTERS] if board.compared else [],
    }
    yield Page("index.html", "sets.html", board.options.title, context)
    yield File("data/sets.json", _json(board))
    yield File("data/sets.csv", _csv(board, rows))


def overall_rows(board: SetsBoard) -> list[Row]:
    """The models as they are shown, the baseline first."""
    found = board.compared
    if found is None:
        return [Row(model) for model in board.models]
    means = [IntervalRow("", each.mean, each.ci_low, each.ci_high) for each in found.means]
    axis = interval_axis(means)
    base = found.means[0].mean
    return [
        Row(model)
        if model.place is None
        else Row(
            model,
            found.ranges[model.place],
            found.means[model.place],
            interval_cell(axis, means[model.place], baseline=base),
            _against(found, model.place) if model.place else None,
        )
        for model in board.models
    ]


def _against(found: SetsCompared, place: int) -> Against:
    whole, p = found.pairs[0, place], found.p[0, place]
    interval = (whole.ci_low, whole.ci_high)
    verdict = NOT_SHOWN
    if too_few(whole):
        verdict = FEW_DOCUMENTS
    elif p <= ALPHA:
        verdict = "better" if whole.mean > 0 else "worse"
    shown, _, ends = difference_text(whole.mean, interval, 1).replace("-", "−").partition(" ")
    # Nothing was decided where there is too little to tell.
    told = ("", "") if verdict == FEW_DOCUMENTS else (ends, p_text(p))
    return Against(whole.mean, shown, *told, verdict)


def _json(board: SetsBoard) -> bytes:
    document: dict[str, Any] = {
        "schema_version": 1,
        "title": board.options.title,
        "digest": board.digest,
        "weights": dict(board.weights),
        "boards": {each.name: f"{each.folder}/data/board.json" for each in board.sets},
        "metrics": {each.name: each.table.name for each in board.sets},
        "not_compared": {model.name: model.reason for model in board.models if model.place is None},
        "compared": None if board.compared is None else board.compared.to_dict(),
    }
    return (json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def _csv(board: SetsBoard, rows: list[Row]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["rank_low", "rank_high", "run", "overall", "ci_low", "ci_high", "difference", "verdict"]
        + [csv_cell(f"{each.name}: {each.table.name}") for each in board.sets]
    )
    for row in rows:
        mean, against = row.mean, row.against
        overall = [None] * 3 if mean is None else [mean.mean, mean.ci_low, mean.ci_high]
        verdict = [None, None] if against is None else [against.delta, against.verdict]
        if row.model.place == 0:
            verdict = [None, "baseline"]
        cells = [None if cell is None else cell.value for cell in row.model.cells]
        writer.writerow([*(row.ranks or (None, None)), csv_cell(row.model.name), *overall, *verdict, *cells])
    return stream.getvalue().encode("utf-8-sig")
