"""``telbench metrics worth``: what each metric is worth on the user's own references."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from telbench.config import group, same_as, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ...metrics.contract import FAMILIES, Metric, Sample, metrics_named
from ...metrics.near_misses import KINDS
from ...metrics.worth.measure import KIND, MetricWorth, Worth, measure
from ...metrics.worth.separation import Area
from ..cli.tables import BLIND_MARK, columns, print_json, shown
from ..cli.terminal import Reporter
from ..datasets.items import DataSet
from ..datasets.loading import limited, load_asked
from ..datasets.rows import text_in, texts_in
from ..datasets.settings import DataSettings
from ..datasets.shapes import source_of
from ..runs.settings import MetricSettings
from ..storage import disk_message

# Answers to more items than these cost time and change the second decimal.
MOST_ITEMS = 500
TEXTS = ("token_recall", "token_precision", "technical_f1", "technical_match", "reference_included")
# What answers by rule do not have.
_NOT_HERE = frozenset({"judge", "choices", "option_scores", "letter_scores", "reference_scores"})
_TRUTH = {"right": True, "true": True, "1": True, "yes": True, "wrong": False, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class WorthOptions:
    """``telbench metrics worth``: on which data, of which metrics."""

    data: DataSettings = group(DataSettings, "data")
    metrics: tuple[str, ...] = setting(
        (),
        "metrics or families (default: all that compare texts, and those of --encoder)",
        many="comma",
        metavar="NAME,...",
    )
    encoder: str = same_as(MetricSettings, "encoder")
    encoder_layer: int | None = same_as(MetricSettings, "encoder_layer")
    nli: str = same_as(MetricSettings, "nli")
    labels: Path | None = setting(
        None,
        "your own verdicts: a file with 'answer', 'right' (true or false) and 'id' of an item, or 'question' and "
        "'references'",
        metavar="FILE",
    )
    out: Path | None = setting(
        None, "write the whole record as JSON, for --worth of compare and leaderboard build", metavar="FILE"
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench metrics worth [--data NAME|PATH] [--labels FILE] [OPTIONS]"
    add_flags(parser, WorthOptions)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print; exit code 2 where the data hold no reference."""
    options = settings_of(args, WorthOptions)
    reporter = Reporter()
    with reporter.quiet():
        document, worth = worth_of(options, reporter)
    if options.out is not None:
        try:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(disk_message(error, options.out)) from error
    if args.json:
        print_json(document)
        return 0
    lines = report(document["data"], worth, document["notes"])
    if options.out is not None:
        lines.append(f"written: {options.out}")
    sys.stdout.writelines(shown(line) + "\n" for line in lines)
    return 0


def worth_of(options: WorthOptions, reporter: Reporter) -> tuple[dict[str, Any], Worth]:
    """The record and what it was made of.

    Raises:
        InputError: for data without references, unknown metrics, those that need more than texts, or unusable labels.
    """
    whole = load_asked(options.data)
    data = limited(whole, options.data.limit or MOST_ITEMS, 0)
    items = [
        Sample(item.id, "", item.references, item.question, item.context, cluster_id=item.source_document)
        for item in data.items
        if item.answerable
    ]
    if not any(text.strip() for sample in items for text in sample.references):
        raise InputError(f"{data.name} {data.split} has no references: the worth of metrics is measured on them")
    labelled = [] if options.labels is None else read_labels(options.labels, whole)
    metrics, notes = _metrics(options, [text for sample in items for text in sample.references])
    with reporter.progress("metrics", len(metrics)) as meter:
        worth = measure(metrics, items, labelled, lambda name: meter.advance(1, name))
    told = {"name": data.name, "split": data.split, "items": len(data.items), "of_items": len(whole.items)}
    return {"schema_version": 1, "kind": KIND, "data": told, "notes": notes, **worth.to_dict()}, worth


def _metrics(options: WorthOptions, references: Sequence[str]) -> tuple[list[Metric], list[str]]:
    """The metrics in the form that the scripts of the references need, and lines on how well they read these."""
    from ...metrics.embedding.encoder import open_encoder
    from ...metrics.ngram.scripts import scripts_of, segmentation_note
    from ..runs.prepared import models_of

    resources, notes = models_of(options.encoder, options.encoder_layer, options.nli), list[str]()
    names = options.metrics or (
        *FAMILIES["ngram"],
        *TEXTS,
        *(FAMILIES["embedding"] if resources.encoder else ()),
        *(FAMILIES["entailment"] if resources.nli else ()),
        *("fact_agreement", "fact_contradiction"),
    )
    scripts = scripts_of(references)
    metrics = metrics_named(names, replace(resources, segmentation=scripts.needed))
    for metric in metrics:
        if lacking := sorted(metric.needs & _NOT_HERE):
            raise InputError(
                f"--metrics {metric.name}: needs {', '.join(lacking)}, which answers made by rule do not have: leave "
                "it out"
            )
        if "encoder" in metric.needs and resources.encoder is None:
            raise InputError(f"--metrics {metric.name}: {resources.absent}")
        if "nli" in metric.needs and resources.nli is None:
            raise InputError(f"--metrics {metric.name}: {resources.no_nli}")
    if told := segmentation_note(scripts, scripts.needed, metrics):
        notes.append(told)
    if resources.encoder is not None:
        notes.append(_tokenizer_note(open_encoder(resources.encoder, resources.layer).reading(references)))
    return metrics, notes


def _tokenizer_note(reading: Mapping[str, float]) -> str:
    return (
        f"the encoder's tokenizer makes {reading['tokens_per_word']:.1f} tokens of a word, does not know "
        f"{reading['unknown']:.1%} of them, and cuts {reading['cut']:.1%} of the references at {reading['window']:.0f}"
    )


def read_labels(path: Path, data: DataSet) -> list[tuple[Sample, bool]]:
    """Answers with whether each is right; an ``id`` takes question and references from the item.

    Raises:
        InputError: naming the line that lacks something, or labels of one kind only.
    """
    items = {item.id: item for item in data.items}
    found: list[tuple[Sample, bool]] = []
    source = source_of(path)
    for number, row in source.rows(None):
        where = f"{path}, {source.place} {number}"
        known = row.get("id", row.get("item_id"))
        item = items.get(str(known)) if known is not None else None
        answer = next((text_in(row[name], name, where) for name in ("answer", "prediction") if name in row), None)
        if answer is None:
            raise InputError(f"{where}: no 'answer': give the text that was labelled")
        verdict = _TRUTH.get(str(row.get("right", row.get("label"))).strip().lower())
        if verdict is None:
            raise InputError(f"{where}: 'right' is {row.get('right', row.get('label'))!r}: write true or false")
        given = row.get("references", row.get("reference"))
        references = tuple(texts_in(given, "references", where)) if given is not None else ()
        references = references or (item.references if item else ())
        if not references:
            told = f"the id {known!r} is none of {data.name} {data.split}" if known is not None else "no 'id'"
            raise InputError(f"{where}: {told} and no 'references': give one of them")
        question = text_in(row.get("question"), "question", where) or (item.question if item else "")
        document = item.source_document if item else None
        name = str(known) if known is not None else question or f"row {number}"
        found.append((Sample(name, answer, references, question, cluster_id=document), verdict))
    counts = Counter(right for _, right in found)
    if len(counts) < 2:
        raise InputError(f"{path}: {len(found)} labels, all of one kind: right and wrong answers are needed")
    return found


def report(data: Mapping[str, Any], worth: Worth, notes: Sequence[str]) -> list[str]:
    """The tables as lines of text, what to beware of first."""
    answers = worth.answers
    some = f", {data['items']} of {data['of_items']} drawn" if data["items"] < data["of_items"] else ""
    lines = [f"{data['name']} {data['split']}: {worth.items} items of {worth.clusters} source documents{some}"]
    if answers.right_from is None:
        lines.append("right answers: none (no second reference, and no rule has other words): only values are told")
    else:
        lines.append(f"right answers: {answers.right_from} ({len(answers.right)})")
        if "rule" in answers.right_from:
            lines.append("  fewer than ten items have a second reference; those by rule are nearer to it than people's")
    kinds = ", ".join(f"{kind} {len(answers.by_kind.get(kind, ()))}" for kind in KINDS)
    lines += [f"wrong facts by rule: {kinds}", ""]
    if blind := [each.metric.name for each in worth.metrics if each.blind]:
        lines += [f"WARNING: blind to facts (below 60 in the column wrong fact): {', '.join(blind)}", ""]
    if unread := [f"{each.metric.name} ({each.reads:.0%})" for each in worth.metrics if each.unread]:
        lines += [f"WARNING: references do not have the best value against themselves in: {', '.join(unread)}", ""]
    lines.append("how often in 100 a right answer scores above ... (95 % interval over source documents; 50 is chance)")
    own = ("labels",) if worth.labels else ()
    heads = ("metric", "unrelated", "wrong fact", *KINDS, "own wording", *own)
    rows = [(each.metric.name, *_areas(each), *((_area(each.labelled),) if own else ())) for each in worth.metrics]
    lines += [*columns([heads, *rows], "<" + ">" * (len(heads) - 1)), ""]
    lines.append("values (ceiling: the reference itself; floor: another item's reference, no answer)")
    lines += columns(
        [
            ("metric", "itself", "right", "wrong fact", "unrelated", "empty", "reads", ""),
            *(_values_row(each) for each in worth.metrics),
        ],
        "<>>>>>><",
    )
    lines += ["", "voices (metrics of one voice rank the answers alike, rho 0.9 or more in each pair):"]
    lines += [f"  {' + '.join(voice)}" for voice in worth.voices]
    counted = sum(map(len, worth.voices))
    lines.append(f"{counted} metrics are {len(worth.voices)} voices")
    if silent := len(worth.metrics) - counted:
        lines.append(f"{silent} more give every answer the same value or none")
    return [*lines, *notes]


def _areas(each: MetricWorth) -> list[str]:
    """The first two with their intervals, the kinds without."""
    kinds = [_area(each.by_kind[kind], short=True) for kind in KINDS]
    return [_area(each.unrelated), _area(each.wrong), *kinds, _area(each.wording)]


def _area(found: Area | None, *, short: bool = False) -> str:
    if found is None or found.auc is None:
        return "N/A"
    interval = (
        ""
        if short or found.ci_low is None or found.ci_high is None
        else (f" [{100 * found.ci_low:.0f}, {100 * found.ci_high:.0f}]")
    )
    return f"{100 * found.auc:.0f}{interval}"


def _values_row(each: MetricWorth) -> tuple[str, ...]:
    digits = 1 if each.metric.range[1] is None or each.metric.range[1] > 1 else 3
    values = [each.values[sort] for sort in ("itself", "right", "wrong_fact", "unrelated", "empty")]
    notes = [BLIND_MARK.strip(" ()")] if each.blind else []
    notes += [] if each.metric.higher_is_better else ["lower is better"]
    notes += [f"{count} {sort.replace('_', ' ')} without value" for sort, count in each.absent.items()]
    return (
        each.metric.name,
        *("N/A" if value is None else f"{value:.{digits}f}" for value in values),
        "" if each.reads is None else f"{each.reads:.0%}",
        "; ".join(notes),
    )
