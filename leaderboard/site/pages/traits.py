"""What runs are picked by beside their factors: how large the checkpoint is, and what kind of thing answered."""

from __future__ import annotations

from collections.abc import Mapping

from ...runs.loaded import HARNESSES
from ..formats import size
from ..model.board import Board, BoardRun

SIZE, TYPE = "size", "type"
# Upper ends of the classes of size, in parameters.
_ENDS = tuple(int(end) for end in (1e8, 5e8, 1e9, 2e9, 4e9, 8e9, 16e9, 40e9, 100e9, 400e9))
_UNKNOWN = "not known"


def traits_of(board: Board) -> dict[str, list[str]]:
    """The traits in which the runs differ, each with its levels; sizes from small to large."""
    sizes = {run.parameters for run in board.runs}
    classes = [_size_class(count) for count in sorted(each for each in sizes if each is not None)]
    told = {
        SIZE: list(dict.fromkeys([*classes, *([_UNKNOWN] if None in sizes else [])])),
        TYPE: sorted({_type(run) for run in board.runs}),
    }
    return {name: levels for name, levels in told.items() if len(levels) > 1}


def traits(run: BoardRun) -> Mapping[str, str]:
    """The run's levels of all traits."""
    return {SIZE: _UNKNOWN if run.parameters is None else _size_class(run.parameters), TYPE: _type(run)}


def _size_class(parameters: int) -> str:
    end = next((end for end in _ENDS if parameters <= end), None)
    return f"over {size(_ENDS[-1])}" if end is None else f"up to {size(end)}"


def _type(run: BoardRun) -> str:
    model, engine = run.header["model"], run.header["generation"]["engine"]
    if engine == "replay":
        return "answers from a file"
    if engine in HARNESSES:
        return f"scored by {engine}"
    if model.get("base"):
        return "adapter"
    if model.get("quantization"):
        return "quantised"
    return "served" if engine == "openai" else "full weights"
