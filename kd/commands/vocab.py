"""``telbench kd vocab``: which algorithms two vocabularies permit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...harness.checkpoint import read_json
from ...harness.cli.tables import columns, print_json, shown
from ...harness.commands.options import bounded
from ...harness.datasets.canonical import parse_pairs
from ...harness.datasets.loading import load_dataset

if TYPE_CHECKING:
    from ..vocabulary.compare import CorpusAlignment, Overlap, Side, VocabularyReport


def configure(vocab: argparse.ArgumentParser) -> None:
    """Options of the command."""
    vocab.add_argument("teacher", type=Path, metavar="TEACHER", help="folder with the teacher's tokenizer")
    vocab.add_argument("student", type=Path, metavar="STUDENT", help="folder with the student's tokenizer")
    vocab.add_argument("--data", metavar="NAME|PATH", help="measure alignment on this data set's first references")
    vocab.add_argument("--split", default="train", help="split to use, or all (default: train)")
    vocab.add_argument("--data-dir", type=Path, metavar="PATH", help="folder with the public data sets")
    vocab.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS,...", help="a file's columns")
    vocab.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="option of a data set")
    vocab.add_argument("--limit", type=bounded(int, 1), metavar="N", help="the first N answers only")
    vocab.add_argument(
        "--naive-id-kd",
        action="store_true",
        help="permit vanilla KD by id between different vocabularies, to replicate the literature",
    )
    vocab.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the report; exit code 0."""
    for folder in (args.teacher, args.student):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder: TEACHER and STUDENT are local Hugging Face folders")
    answers = None if args.data is None else _answers(args)
    from ..vocabulary.compare import compare_vocabularies, measure_corpus, open_tokenizer, read_side

    teacher, student = open_tokenizer(args.teacher), open_tokenizer(args.student)
    sides = [
        read_side(
            folder.resolve().name, tokenizer, _facts(folder / "config.json"), _facts(folder / "generation_config.json")
        )
        for folder, tokenizer in ((args.teacher, teacher), (args.student, student))
    ]
    report = compare_vocabularies(
        sides[0],
        sides[1],
        (teacher.get_vocab(), student.get_vocab()),
        None if answers is None else measure_corpus(teacher, student, answers),
        naive_id_kd=args.naive_id_kd,
    )
    if args.json:
        print_json(_document(report))
    else:
        _print(report, args.data)
    return 0


def _answers(args: argparse.Namespace) -> list[str]:
    dataset = load_dataset(
        args.data,
        split=args.split,
        data_dir=args.data_dir,
        mapping=parse_pairs(args.map, "--map"),
        options=parse_pairs(args.option, "--option"),
    )
    found = [item.references[0] for item in dataset.items if item.references][: args.limit]
    if not found:
        raise InputError(f"data set '{args.data}' has no references in split '{args.split}': nothing to align")
    return found


def _facts(file: Path) -> Mapping[str, Any]:
    """The JSON object in a file; a folder with nothing but a tokenizer has none."""
    if not file.is_file():
        return {}
    record = read_json(file)
    if not isinstance(record, dict):
        raise InputError(f"{file} holds no JSON object: save the checkpoint again")
    return record


def _document(report: VocabularyReport) -> dict[str, Any]:
    document = asdict(report)
    for name, side in (("teacher", report.teacher), ("student", report.student)):
        document[name]["double_bos"] = side.double_bos
    if report.corpus is not None:
        document["corpus"] |= {"ratio": report.corpus.ratio, "aligned_ratio": report.corpus.aligned_ratio}
    return document


def _print(report: VocabularyReport, data: str | None) -> None:
    lines = [f"vocabularies: {report.relation}" + (f", {report.columns} shared ids" if report.columns else ""), ""]
    lines += columns([("", "teacher", "student"), *_sides(report.teacher, report.student)], "<<<")
    lines += ["", *_overlap(report.overlap)]
    if report.corpus is not None:
        lines += ["", *_alignment(report.corpus, str(data))]
    rows = [(name, "yes" if permit.allowed else "no", permit.why) for name, permit in report.permits.items()]
    lines += ["", *columns([("algorithm", "", ""), *rows], "<<<")]
    sys.stdout.write("".join(shown(line) + "\n" for line in lines))


def _sides(teacher: Side, student: Side) -> list[tuple[str, str, str]]:
    def row(label: str, tell: Any) -> tuple[str, str, str]:
        return label, str(tell(teacher)), str(tell(student))

    return [
        row("name", lambda side: side.name),
        row("tokens", lambda side: side.tokens),
        row("rows of the head", lambda side: "unknown" if side.head_rows is None else side.head_rows),
        row("beginning", lambda side: side.bos or "none"),
        row("ends", lambda side: ", ".join(map(str, side.eos)) or "none"),
        row(
            "double beginning", lambda side: "yes, if templated text is tokenized as text" if side.double_bos else "no"
        ),
        row("special tokens", lambda side: _special(side.special)),
    ]


def _special(tokens: Mapping[str, int], most: int = 6) -> str:
    listed = [f"{token} {index}" for token, index in list(tokens.items())[:most]]
    return ", ".join(listed + ([f"and {len(tokens) - most} more"] if len(tokens) > most else [])) or "none"


def _overlap(overlap: Overlap) -> list[str]:
    return [
        f"tokens with the same string and id {overlap.same_id}, the same string but another id {overlap.other_id}",
        f"only the teacher's {overlap.only_teacher}, only the student's {overlap.only_student}; "
        f"the same text, however it is spelt {overlap.shared_text}",
    ]


def _alignment(corpus: CorpusAlignment, data: str) -> list[str]:
    ratio, aligned = (
        "N/A" if share is None else f"{share:.1%} ({count})"
        for share, count in ((corpus.ratio, corpus.same_end), (corpus.aligned_ratio, corpus.aligned))
    )
    return [
        f"{data}: {corpus.answers} answers, {corpus.student_tokens} tokens of the student, "
        f"{corpus.teacher_tokens} of the teacher",
        f"of the student's tokens, {ratio} end where one of the teacher's ends, and {aligned} begin there too",
    ]
