"""How a judged number came about, line by line, for a reader at a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ..cli.tables import number
from .folder import JUDGEMENTS, read_run, read_samples

# The words of a claim's verdict in the records, and what a reader is told.
MARKS = {"TP": "in the reference", "FP": "not in the reference", "FN": "lacking in the answer"}


def judged_item(run: Path, item_id: str) -> dict[str, Any]:
    """One item of a run with the judges' records behind its scores: ``{"sample", "metrics", "judgements"}``.

    Raises:
        InputError: when the run has no such item, or no judge looked at it.
    """
    header = read_run(run)
    sample = next((line for line in read_samples(run) if line.get("item_id") == item_id), None)
    if sample is None:
        first = next((str(line.get("item_id")) for line in read_samples(run)), "none")
        raise InputError(f"the run {run} has no item '{item_id}' (its first one is '{first}'): see {run}/samples.jsonl")
    judged = [name for name, entry in header["metrics"].items() if "judge_missing" in entry]
    if not judged:
        raise InputError(f"the run {run} has no judged metric: make it with --metrics judged --judge SPEC")
    keys = sample.get("judgements", {})
    records: dict[str, Any] = {}
    if any(keys.values()):
        records = records_of(run, {key for name in judged for key in keys.get(name, ())})
    metrics = {
        name: {
            "value": sample["scores"].get(name),
            "missing": sample.get("missing", {}).get(name),
            "note": sample.get("notes", {}).get(name),
            "range": header["metrics"][name]["range"],
            "signature": header["metrics"][name]["signature"],
            "judgements": keys.get(name, []),
        }
        for name in judged
    }
    return {"run": str(run), "sample": sample, "metrics": metrics, "judgements": records}


def records_of(run: Path, keys: set[str]) -> dict[str, Any]:
    """The latest record of each key; the file is only read, so that a run on a read-only disk can be shown."""
    path, found = run / JUDGEMENTS, {}
    try:
        with path.open("rb") as stream:
            for line in stream:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict) and record.get("key") in keys:
                    found[record["key"]] = record
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}: copy the run with all its files") from error
    return found


def view_lines(view: Mapping[str, Any], *, raw: bool = False) -> Iterator[str]:
    """The view as text: question, answer, then each metric with every judge's claims and reasons.

    ``raw`` adds the judge's own words. Texts are not made safe to print here.
    """
    sample = view["sample"]
    yield f"item       {sample['item_id']}"
    yield f"question   {sample['question']}"
    for reference in sample["references"]:
        yield f"reference  {reference}"
    yield f"answer     {sample['prediction'] or '(empty)'}"
    told: set[str] = set()
    for name, entry in view["metrics"].items():
        yield ""
        value = number(entry["value"], entry["range"][1])
        why = entry["missing"] or entry["note"]
        yield f"{name} = {value}" + (f" ({why})" if why else "")
        yield f"  {entry['signature']}"
        for key in entry["judgements"]:
            record = view["judgements"].get(key)
            if record is None:
                yield f"  record {key[:12]} is not in {JUDGEMENTS}: the run folder is not whole"
            elif key in told:
                yield f"  {_asked(record)}: as above ({key[:12]})"
            else:
                told.add(key)
                yield f"  {_asked(record)} ({key[:12]}):"
                yield from (f"    {line}" for line in judgement_lines(record, raw=raw))


def _asked(record: Mapping[str, Any]) -> str:
    """Who was asked, and by which rubric; a likelihood has none."""
    return ", ".join(str(record[name]) for name in ("judge", "rubric") if name in record)


def judgement_lines(record: Mapping[str, Any], *, raw: bool = False) -> Iterator[str]:
    """What one judge said, claim by claim; not made safe to print."""
    missing = record.get("missing")
    if missing:
        yield f"no verdict: {missing['reason']}" + (f" ({missing['detail']})" if missing["detail"] else "")
    if mended := record.get("repaired"):
        yield f"read after a repair: {', '.join(mended)}"
    if first := record.get("first"):
        yield f"asked again, as the first reply was no verdict: {first['missing']['detail']}"
    if signs := record.get("suspicious"):
        yield f"the answer speaks to the judge: {', '.join(signs)}"
    yield from _verdict_lines(record.get("verdict") or {})
    if "log_likelihood" in record:
        total = record["log_likelihood"]
        yield "not scored" if total is None else f"log-likelihood {total:.2f} over {record['tokens']} tokens"
    if chances := record.get("score_logprobs"):
        yield "log-probabilities: " + ", ".join(f"{text!r} {chance:.2f}" for text, chance in chances.items())
    if raw:
        for part, told in (
            ("first", "in the judge's words at first"),
            ("again", "in the judge's words when asked again, which gave no more"),
            ("reply", "in the judge's words"),
        ):
            if part in record:
                yield f"{told}: {record[part].get('text')!r}"


def _verdict_lines(verdict: Mapping[str, Any]) -> Iterator[str]:
    for name, value in verdict.items():
        if isinstance(value, Mapping):
            yield f"{name}:"
            yield from (f"  {line}" for line in _verdict_lines(value))
        elif isinstance(value, list):
            if not value:
                yield f"{name}: none"
            for entry in value:
                yield f"- {_entry(entry)}"
        elif value is not None:
            yield f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}"


def _entry(entry: Any) -> str:
    """A claim, passage or reason: its verdict, its text, and why."""
    if not isinstance(entry, Mapping):
        return str(entry)
    marks = [
        MARKS.get(str(value), f"{name}: {'yes' if value is True else 'no' if value is False else value}")
        for name, value in entry.items()
        if name not in ("claim", "reason")
    ]
    return f"[{', '.join(marks)}] {entry.get('claim', '')}: {entry.get('reason', '')}"
