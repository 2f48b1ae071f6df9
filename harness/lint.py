"""What to know about a data set before trusting a score on it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from telbench.errors import InputError, missing_extra

from .datasets.items import Item
from .datasets.loading import WholeSet, load_registered
from .datasets.splits import split_sizes
from .datasets.wording import normalised

Level = Literal["finding", "note"]
EXAMPLES = 5
SHORT = (3, 5)
# A position is called favoured when it is right this much more often than chance, over at least this many items.
SKEW_RATIO, SKEW_ITEMS = 1.2, 50


@dataclass(frozen=True)
class Finding:
    """One observation: ``count`` of ``total``, the ids of some, and whether it is a defect or only good to know."""

    check: str
    level: Level
    count: int
    total: int
    message: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class LintReport:
    """Everything found; ``lengths`` in words as p50, p95, max; ``prompt_tokens`` likewise, with a tokenizer only."""

    name: str
    source: str
    split_rule: str
    items: int
    splits: Mapping[str, int]
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    findings: tuple[Finding, ...]
    lengths: Mapping[str, Mapping[str, int]]
    prompt_tokens: Mapping[str, Any] | None = None
    problems: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def defects(self) -> int:
        """Number of findings that are more than notes."""
        return sum(finding.level == "finding" for finding in self.findings) + len(self.problems)


def lint(whole: WholeSet, data_dir: Path | None = None) -> LintReport:
    """All checks that need no tokenizer."""
    items = whole.items
    findings = [
        *_repeated(items),
        *_unanswerable(whole, data_dir),
        *_unsupported(whole),
        *_short_references(items),
        *_leaks(whole),
        *_choices(items),
    ]
    problems: tuple[str, ...] = ()
    if whole.spec is not None and whole.spec.name == "telecom-nano":
        from .datasets.sets.nano import check_nano

        problems = tuple(check_nano())
    return LintReport(
        name=whole.name,
        source=whole.source,
        split_rule=whole.split_rule,
        items=len(items),
        splits=split_sizes(items),
        dropped=dict(whole.dropped),
        repaired=dict(whole.repaired),
        findings=tuple(findings),
        lengths=_lengths(items),
        problems=problems,
        warnings=whole.warnings,
        unread=whole.unread,
    )


def _finding(check: str, level: Level, found: Sequence[Item], total: int, message: str) -> Finding:
    return Finding(check, level, len(found), total, message, tuple(item.id for item in found[:EXAMPLES]))


def _repeated(items: Sequence[Item]) -> Iterable[Finding]:
    keys: dict[str, tuple[Callable[[Item], Any], str]] = {
        "repeated question": (lambda item: normalised(item.question), "ask what an earlier item asks"),
        "repeated item": (
            lambda item: (normalised(item.question), item.context, tuple(sorted(item.choices))),
            "repeat question, context and choices of an earlier item",
        ),
    }
    for check, (key, text) in keys.items():
        seen: set[Any] = set()
        later = []
        for item in items:
            if key(item) in seen:
                later.append(item)
            seen.add(key(item))
        if later:
            yield _finding(check, "finding", later, len(items), f"{text} (case and punctuation ignored)")


def _unanswerable(whole: WholeSet, data_dir: Path | None) -> Iterable[Finding]:
    """Questions marked impossible that carry an answer: looked for in the set as it is when they are kept."""
    items = whole.items
    if whole.spec is not None and "keep" in whole.spec.options.get("unanswerable", ()):
        items = load_registered(whole.spec, data_dir, {**whole.options, "unanswerable": "keep"}).items
    marked = [item for item in items if item.meta.get("unanswerable")]
    answered = [item for item in marked if item.references or item.meta.get("answer_entries")]
    if answered:
        kept = any(item.meta.get("unanswerable") for item in whole.items)
        state = "they are kept" if kept else "they are dropped"
        text = f"marked as impossible to answer, yet with answer entries; {state}"
        yield _finding("impossible with answer", "finding" if kept else "note", answered, len(items), text)


def _unsupported(whole: WholeSet) -> Iterable[Finding]:
    def flat(text: str) -> str:
        return " ".join(text.split()).casefold()

    asked = [item for item in whole.items if item.context and item.references]
    contexts = {item.context: flat(item.context or "") for item in asked}
    lost = [item for item in asked if not any(flat(text) in contexts[item.context] for text in item.references)]
    if lost:
        spans = whole.spec is not None and whole.spec.task == "extractive QA"
        text = "no reference stands literally in the context" + (
            "" if spans else " (normal where answers are rephrased)"
        )
        yield _finding("answer not in context", "finding" if spans else "note", lost, len(asked), text)


def _short_references(items: Sequence[Item]) -> Iterable[Finding]:
    asked = [item for item in items if item.references and not item.choices]
    for limit in SHORT:
        short = [item for item in asked if len(item.references[0].split()) <= limit]
        if short:
            text = f"the first reference has at most {limit} words: unsmoothed BLEU-4 says little there"
            yield _finding(f"reference of <= {limit} words", "note", short, len(asked), text)


def _leaks(whole: WholeSet) -> Iterable[Finding]:
    by_design = whole.spec is not None and whole.spec.split_rule.shares_documents
    parts: dict[str, Callable[[Item], str | None]] = {
        "question": lambda item: normalised(item.question),
        "context": lambda item: item.context,
        "source document": lambda item: item.source_document,
    }
    for part, key in parts.items():
        places: defaultdict[str, set[str]] = defaultdict(set)
        for item in whole.items:
            value = key(item)
            if value:
                places[value].add(item.split or "")
        shared = [item for item in whole.items if len(places.get(key(item) or "", ())) > 1]
        if shared:
            meant = by_design and part != "question"
            text = f"their {part} occurs in another split too" + (
                " (this set splits wordings of facts)" if meant else ""
            )
            yield _finding(f"{part} in several splits", "note" if meant else "finding", shared, len(whole.items), text)


def _choices(items: Sequence[Item]) -> Iterable[Finding]:
    asked = [item for item in items if item.choices]
    double = [item for item in asked if len({text.casefold() for text in item.choices}) < len(item.choices)]
    if double:
        yield _finding("repeated option", "finding", double, len(asked), "two options read the same")
    single = [item for item in asked if len(item.answer) == 1]
    right = Counter(item.answer[0] for item in single)
    chance: defaultdict[int, float] = defaultdict(float)
    for item in single:
        for position in range(len(item.choices)):
            chance[position] += 1 / len(item.choices)
    for position, count in right.most_common(1):
        if len(single) >= SKEW_ITEMS and count > SKEW_RATIO * chance[position]:
            share, expected = count / len(single), chance[position] / len(single)
            text = f"option {position + 1} is right in {share:.1%}, by chance {expected:.1%}: shuffle the options"
            yield Finding("answer position", "finding", count, len(single), text)


def percentiles(values: Iterable[int]) -> dict[str, int]:
    """p50, p95 (nearest rank) and max; empty for no values.

    >>> percentiles([4, 1, 3, 2])
    {'p50': 2, 'p95': 4, 'max': 4}
    """
    ordered = sorted(values)
    if not ordered:
        return {}
    ranks = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {name: ordered[math.ceil(share * len(ordered)) - 1] for name, share in ranks.items()}


def _lengths(items: Sequence[Item]) -> dict[str, dict[str, int]]:
    measured = {
        "question": percentiles(len(item.question.split()) for item in items),
        "context": percentiles(len(item.context.split()) for item in items if item.context),
        "reference": percentiles(len(text.split()) for item in items for text in item.references),
        "choice": percentiles(len(text.split()) for item in items for text in item.choices),
    }
    return {name: values for name, values in measured.items() if values}


def prompt_lengths(items: Sequence[Item], tokenizer_folder: Path, max_length: int) -> dict[str, Any]:
    """How many open-book prompts exceed ``max_length`` tokens, template and special tokens included.

    Raises:
        InputError: if transformers is missing or the folder holds no tokenizer.
    """
    if not tokenizer_folder.is_dir():
        raise InputError(f"--tokenizer {tokenizer_folder}: no such folder: it names a local Hugging Face folder")
    from .prompts.build import PromptSettings, encoder_for, message
    from .tokenizing import load_tokenizer

    try:
        tokenizer = load_tokenizer(tokenizer_folder)
    except ImportError as error:
        raise missing_extra("transformers", "hf", "counting tokens") from error
    except Exception as error:  # transformers raises whatever a damaged file provokes
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"--tokenizer {tokenizer_folder}: no tokenizer can be loaded from it: {reason}") from error
    settings = PromptSettings(book="open")
    encoder = encoder_for(tokenizer, settings)
    lengths = [len(encoder.ids(message(item, settings, item.context))) for item in items]
    over = [item for item, length in zip(items, lengths, strict=True) if length > max_length]
    hopeless = sum(len(encoder.ids(message(item, settings, None))) > max_length for item in over)
    return {
        "max_length": max_length,
        "template": "the chat template" if encoder.chat else "the plain template",
        **percentiles(lengths),
        "prompts": len(lengths),
        "truncated": len(over),
        "too_long_without_context": hopeless,
        "examples": [item.id for item in over[:EXAMPLES]],
    }
