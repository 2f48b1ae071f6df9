"""``telbench show``: one item of a run, with the facts of its reference marked in the answer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.config import REQUIRED, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ..cli.tables import print_json
from ..cli.terminal import visible
from ..runs.folder import SAMPLES, read_run, read_samples

if TYPE_CHECKING:
    from ...metrics.fact.relations.findings import Finding

# How facts are marked in an answer: what agrees with the reference, and what contradicts it.
MARKS = {"agreed": ("[+", "+]"), "contradicted": ("[!", "!]")}


@dataclass(frozen=True, kw_only=True)
class ShowItemOptions:
    """``telbench show``."""

    run_folder: Path = setting(REQUIRED, "a finished run", metavar="RUN", positional=True)
    item: str = setting(REQUIRED, "the item's id, as in samples.jsonl", metavar="ITEM", positional=True)


def configure(parser: argparse.ArgumentParser) -> None:
    """The run, the item and ``--json``."""
    add_flags(parser, ShowItemOptions)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the item, its scores, and what its answer makes of each fact of the reference."""
    options = settings_of(args, ShowItemOptions)
    header, line = read_run(options.run_folder, stopped=True), _line(options.run_folder, options.item)
    best, found = _findings(line)
    if args.json:
        print_json(_document(line, best, found))
        return 0
    sys.stdout.writelines(f"{each}\n" for each in _lines(header, line, best, found))
    return 0


def _line(folder: Path, item: str) -> dict[str, Any]:
    first = None
    for line in read_samples(folder):
        if line.get("item_id") == item:
            return line
        first = line.get("item_id") if first is None else first
    raise InputError(f"the run {folder} has no item '{item}' (its first one is '{first}'): see {folder / SAMPLES}")


def _findings(line: Mapping[str, Any]) -> tuple[int | None, tuple[Finding, ...]]:
    """The reference that the answer agrees with best, and the facts of that one; computed from the stored texts."""
    from ...metrics.contract import Sample
    from ...metrics.fact.scores import best_reference, facts_of

    sample = Sample(
        str(line.get("item_id")), line.get("prediction") or "", tuple(line.get("references") or ()),
        question=line.get("question") or "",
    )  # fmt: skip
    best = best_reference(sample)
    return best, () if best is None else facts_of(sample)[best]


def _document(line: Mapping[str, Any], best: int | None, found: Sequence[Finding]) -> dict[str, Any]:
    kept = ("item_id", "question", "references", "prediction", "scores", "missing", "notes")
    facts = [
        {"kind": each.kind, "fact": each.fact, "status": each.status, "places": [list(place) for place in each.places]}
        for each in found
    ]
    return {"schema_version": 1, **{key: line.get(key) for key in kept}, "best_reference": best, "facts": facts}


def _lines(
    header: Mapping[str, Any], line: Mapping[str, Any], best: int | None, found: Sequence[Finding]
) -> Iterator[str]:
    from ...metrics.fact.marks import pieces

    answer = line.get("prediction") or ""
    yield f"item       {_one_line(line.get('item_id'))}"
    yield f"question   {_one_line(line.get('question'))}"
    for place, reference in enumerate(line.get("references") or ()):
        chosen = " (facts are of this one)" if place == best and len(line["references"]) > 1 else ""
        yield f"reference  {_one_line(reference)}{chosen}"
    shown = []
    for text, status in pieces(answer, found):
        before, after = MARKS.get(status or "", ("", ""))
        shown.append(f"{before}{_one_line(text)}{after}")
    yield f"answer     {''.join(shown) or '(empty)'}"
    yield ""
    missing, notes = line.get("missing") or {}, line.get("notes") or {}
    for name, value in (line.get("scores") or {}).items():
        told = f"none ({_one_line(missing.get(name, 'not applicable'))})" if value is None else f"{value:.4g}"
        # What stands beside a value: that nothing could be read, or how it was read.
        yield f"  {_one_line(name)} = {told}{f' ({_one_line(notes[name])})' if name in notes else ''}"
    yield ""
    if not found:
        yield "the references hold no fact beyond the question that the fact metrics know"
        return
    legend = ", ".join(f"{before}{status}{after}" for status, (before, after) in MARKS.items())
    yield f"facts of the reference: {legend}"
    for each in found:
        there = ", ".join(f"'{_one_line(answer[start:end])}'" for start, end in each.places)
        stands = f" <- {there}" if there and each.status == "contradicted" else f" = {there}" if there else ""
        yield f"  {each.status:12}  {each.kind:9} '{_one_line(each.fact)}'{stands}"
    yield from _another_version(header)


def _another_version(header: Mapping[str, Any]) -> Iterator[str]:
    """A line where the run was scored by another version than the facts above."""
    from ...metrics.fact.scores import fact_agreement

    entry = (header.get("metrics") or {}).get(fact_agreement.name)
    if entry and entry.get("signature") != fact_agreement.signature:
        scored = _one_line(entry.get("signature"))
        yield f"the run was scored as {scored}, the facts above as {fact_agreement.signature}"


def _one_line(text: object) -> str:
    return visible(str(text)) if text is not None else ""
