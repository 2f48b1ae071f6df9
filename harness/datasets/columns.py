"""Which columns of a file hold the fields of an item: as named, as mapped, or as recognised by their names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from telbench.errors import InputError

from .choices import in_sequence, label_in

FIELDS = (
    "id",
    "question",
    "context",
    "passages",
    "references",
    "choices",
    "answer",
    "source_document",
    "category",
    "split",
    "meta",
)
# Fields that may be spread over several columns: --map choices=A+B+C+D.
SPREAD = ("context", "references", "choices")
# Not taken in another spelling: a column "Meta" is seldom an object, "Passages" seldom a list.
_AS_SPELT = {"meta", "passages"}
_CHOICES = ("options", "endings", "answerchoices")
_ANSWERS = (
    *("answerkey", "answeridx", "answerindex", "answerletter", "answeroption", "correctanswer", "correctoption"),
    *("correctchoice", "correctindex", "correctlabel", "correct", "rightanswer", "label", "cop", "gold", "target"),
)
# What names the reference where "answer" may be a model's.
_GROUND_TRUTH = ("groundtruth", "groundtruths", "goldanswer", "goldanswers", "reference", "referenceanswer")
_WRONG = re.compile(r"(?:incorrectanswers?|distractors?|wronganswers?)(\d{1,2})")
_LIKE_INSTRUCTIONS = {"instruction", "output"}


@dataclass
class Columns:
    """The file's columns for each field (several where it is spread), and what a person should hear of it.

    ``labels`` are those of option columns. ``right_first``: the first option is the right one. ``said``: what was
    recognised. ``unread``: columns that nothing is taken from.
    """

    of: dict[str, tuple[str, ...]]
    labels: tuple[str, ...] = ()
    right_first: bool = False
    said: list[str] = field(default_factory=list)
    unread: tuple[str, ...] = ()


def folded(name: str) -> str:
    """The name for comparing: lower case, without spaces, underscores and hyphens.

    >>> folded("Source Document") == folded("source_document")
    True
    """
    return re.sub(r"[\s_-]+", "", name.casefold())


def columns_of(columns: Sequence[str], mapping: Mapping[str, str], path: Path) -> Columns:
    """What each field is read from.

    Raises:
        InputError: for a mapped column that is not there, for no question, and where a name could mean two things.
    """
    if not columns:
        raise InputError(f"{path}: the file has no records")
    found = Columns({name: _mapped(name, column, columns, path) for name, column in mapping.items()})
    _take_named(found, columns, path)
    taken = {column for names in found.of.values() for column in names}
    free = [column for column in columns if column and column not in taken]
    if "choices" not in found.of:
        _take_options(found, free, path)
    elif len(found.of["choices"]) > 1:
        found.labels = _labels(found.of["choices"])
    if "choices" not in found.of:
        _take_references(found, free, path)
    elif not ({"answer", "references"} & set(found.of) or found.right_first):
        _take_answer(found, free, path)
    if "question" not in found.of:
        raise InputError(f"{path}: no field 'question': {_no_question(columns)}")
    taken = {column for names in found.of.values() for column in names}
    found.unread = tuple(column or "(unnamed)" for column in columns if column not in taken)
    return found


def check_fields(mapping: Mapping[str, str]) -> None:
    """Refuse a field that items do not have, before the file is read."""
    for name, column in mapping.items():
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"the fields are {', '.join(FIELDS)}"
            raise InputError(f"--map {name}={column}: '{name}' is no field of an item: {hint}")


def _mapped(name: str, column: str, columns: Sequence[str], path: Path) -> tuple[str, ...]:
    """The columns that ``--map`` names for a field; ``+`` joins several."""
    parts = (column,) if column in columns else tuple(part.strip() for part in column.split("+"))
    for part in parts:
        if part not in columns:
            near = difflib.get_close_matches(part, columns, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {listed(columns)}"
            raise InputError(f"--map {name}={column}: {path} has no column '{part}': {hint}")
    if len(parts) > 1 and name not in SPREAD:
        raise InputError(f"--map {name}={column}: '+' joins columns for {', '.join(SPREAD)} only: name one column")
    return parts


def _take_named(found: Columns, columns: Sequence[str], path: Path) -> None:
    """Columns that are called as the fields, in another spelling where there is one only."""
    mapped = {column for names in found.of.values() for column in names}
    renamed: list[str] = []
    for name in FIELDS:
        if name in found.of:
            continue
        if name in columns:
            if name not in mapped:
                found.of[name] = (name,)
            continue
        near = [column for column in columns if folded(column) == folded(name) and column not in mapped]
        if len(near) > 1:
            raise InputError(f"{path}: {listed(near)} could each be '{name}': say which with --map {name}={near[0]}")
        if near and name not in _AS_SPELT:
            found.of[name] = (near[0],)
            renamed.append(near[0])
    if renamed:
        found.said.append(f"fields taken from columns spelt {', '.join(renamed)}")


def _take_options(found: Columns, free: Sequence[str], path: Path) -> None:
    """Options under another name, or in columns of their own."""
    right = [column for column in free if folded(column) in {"correctanswer", "rightanswer"}]
    wrong = [column for column in free if _WRONG.fullmatch(folded(column))]
    ways = [(column,) for column in free if folded(column) in _CHOICES] + _families(free)
    if len(right) == 1 and wrong:
        ways.append((*right, *wrong))
    if not ways:
        return
    several = [column for way in ways for column in way]
    if not _answer_columns(found, free):
        if "references" in found.of:
            return
        raise InputError(
            f"{path}: {listed(several)} look like options, but no column says which one is right: name it with "
            f"--map answer=COLUMN (or say that they are references: --map references={'+'.join(ways[0])})"
        )
    if len(ways) > 1:
        raise InputError(
            f"{path}: {listed(several)} could all be options: say which with --map choices={'+'.join(ways[0])}"
        )
    found.of["choices"] = way = ways[0]
    if wrong and way[1:] == tuple(wrong):
        found.right_first = True
        found.of.pop("answer", None)
        found.said.append(f"options taken from columns {', '.join(way)}, the first of them right")
    else:
        found.labels = _labels(way)
        found.said.append(f"options taken from column{'s' if len(way) > 1 else ''} {', '.join(way)}")


def _labels(names: Sequence[str]) -> tuple[str, ...]:
    """The labels in the names of option columns, if these are in sequence."""
    labels = [label_in(name) for name in names]
    return tuple(map(str, labels)) if len(names) > 1 and in_sequence(labels, "A01") else ()


def _families(free: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns whose names are options in sequence: ``A`` to ``D``, ``Option 1`` to ``Option 4``, ``opa`` to ``opd``."""
    groups: dict[str, list[str]] = {}
    for column in free:
        label = label_in(column)
        if label is None or (label.isdecimal() and label == column.strip()):
            continue
        stem = folded(column)[: -len(label)] + ("#" if label.isdecimal() else "@")
        groups.setdefault(stem, []).append(column)
    found: list[tuple[str, ...]] = []
    for group in groups.values():
        ordered = sorted(group, key=lambda name: (len(label_in(name) or ""), label_in(name) or ""))
        while len(ordered) > 1 and not in_sequence([label_in(name) for name in ordered], "A01"):
            ordered.pop()
        if len(ordered) > 1:
            found.append(tuple(ordered))
    return found


def _answer_columns(found: Columns, free: Sequence[str]) -> list[str]:
    """Columns that may say which option is right."""
    if "answer" in found.of:
        return list(found.of["answer"])
    return [column for column in free if folded(column) in (*_ANSWERS, "answers")]


def _take_answer(found: Columns, free: Sequence[str], path: Path) -> None:
    """The right option under another name."""
    near = _answer_columns(found, free)
    if len(near) > 1:
        raise InputError(f"{path}: {listed(near)} could each be the answer: say which with --map answer={near[0]}")
    if near:
        found.of["answer"] = (near[0],)
        found.said.append(f"answers taken from column {near[0]}")


def _take_references(found: Columns, free: Sequence[str], path: Path) -> None:
    """References in a column ``answers``; refused where ``answer`` may be a model's answer."""
    truth = [column for column in free if folded(column) in _GROUND_TRUTH]
    if "references" in found.of:
        return
    if "answer" not in found.of:
        answers = [column for column in free if folded(column) == "answers"]
        if len(answers) == 1:
            found.of["references"] = (answers[0],)
            found.said.append(f"references taken from column {answers[0]}")
    elif truth:
        raise InputError(
            f"{path}: '{found.of['answer'][0]}' and '{truth[0]}' could each be the reference: say which with --map "
            f"references={truth[0]}"
        )


def _no_question(columns: Sequence[str]) -> str:
    if {folded(column) for column in columns} >= _LIKE_INSTRUCTIONS:
        return (
            "rows of instruction and output are read with --map question=instruction,references=output, and with "
            "context=input where 'input' is a passage"
        )
    return suggestion("question", columns)


def suggestion(name: str, columns: Sequence[str]) -> str:
    """How to name the column of a field, with a near one as the example."""
    lower = {column.casefold(): column for column in columns}
    near = difflib.get_close_matches(name, lower, n=1, cutoff=0.6)
    example = lower[near[0]] if near else "COLUMN"
    return f"the columns are {listed(columns)}; rename with --map {name}={example}"


def listed(columns: Sequence[str]) -> str:
    """The first twelve names in quotes, and how many more there are."""
    shown = ", ".join(f"'{column[:40]}'" for column in columns[:12])
    return f"{shown} and {len(columns) - 12} more" if len(columns) > 12 else shown
