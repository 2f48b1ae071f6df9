"""``telbench kd vocab``: which algorithms two vocabularies permit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.config import REQUIRED, same_as, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.checkpoint import read_json
from ...harness.cli.tables import columns, print_json, shown
from ...harness.datasets.loading import limited, load_asked
from ...harness.datasets.settings import DataSettings as AskedData

if TYPE_CHECKING:
    from ..vocabulary.compare import CorpusAlignment, Overlap, Side, VocabularyReport


@dataclass(frozen=True)
class VocabOptions:
    """``telbench kd vocab``: two tokenizers, and texts to align them on."""

    teacher: Path = setting(REQUIRED, "folder with the teacher's tokenizer", metavar="TEACHER", positional=True)
    student: Path = setting(REQUIRED, "folder with the student's tokenizer", metavar="STUDENT", positional=True)
    texts: str | None = same_as(
        AskedData, "data", default=None, key="data", help="measure alignment on this data set's first references"
    )
    split: str = same_as(AskedData, "split", default="train")
    data_dir: Path | None = same_as(AskedData, "data_dir")
    mapping: Mapping[str, str] = same_as(AskedData, "mapping")
    options: Mapping[str, str] = same_as(AskedData, "options")
    skip_bad: bool = same_as(AskedData, "skip_bad")
    limit: int | None = same_as(AskedData, "limit")
    naive_id_kd: bool = setting(
        False, "permit vanilla KD by id between different vocabularies, to replicate the literature"
    )

    @property
    def data(self) -> AskedData | None:
        """The items whose answers are aligned, if any were asked for."""
        if self.texts is None:
            return None
        return AskedData(
            data=self.texts,
            split=self.split,
            data_dir=self.data_dir,
            mapping=self.mapping,
            options=self.options,
            skip_bad=self.skip_bad,
            limit=self.limit,
        )


def configure(vocab: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_flags(vocab, VocabOptions)
    add_json(vocab)


def run(args: argparse.Namespace) -> int:
    """Print the report; exit code 0."""
    options = settings_of(args, VocabOptions)
    for folder in (options.teacher, options.student):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder: TEACHER and STUDENT are local Hugging Face folders")
    answers = None if options.data is None else _answers(options.data)
    from ..vocabulary.compare import compare_vocabularies, measure_corpus, open_tokenizer, read_side

    teacher, student = open_tokenizer(options.teacher), open_tokenizer(options.student)
    sides = [
        read_side(
            folder.resolve().name, tokenizer, _facts(folder / "config.json"), _facts(folder / "generation_config.json")
        )
        for folder, tokenizer in ((options.teacher, teacher), (options.student, student))
    ]
    report = compare_vocabularies(
        sides[0],
        sides[1],
        (teacher.get_vocab(), student.get_vocab()),
        None if answers is None else measure_corpus(teacher, student, answers, (_lead(teacher), _lead(student))),
        naive_id_kd=options.naive_id_kd,
    )
    if args.json:
        print_json(_document(report))
    else:
        _print(report, options.texts)
    return 0


def _lead(tokenizer: Any) -> str:
    """What stands before an answer in training: nothing after a chat template, else a space."""
    from ...harness.prompts.build import PromptSettings, encoder_for

    return encoder_for(tokenizer, PromptSettings("closed")).answer_lead


def _answers(data: AskedData) -> list[str]:
    dataset = limited(load_asked(data), data.limit, 0)
    found = [item.references[0] for item in dataset.items if item.references]
    if not found:
        raise InputError(f"data set '{data.data}' has no references in split '{data.split}': nothing to align")
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
        document[name] |= {"double_bos": side.double_bos, "spelling": side.spelling.told}
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
        row("spelt in", lambda side: side.spelling.told),
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
