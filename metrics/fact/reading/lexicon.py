"""The data files of the fact metrics: word lists, synonyms, acronyms and contrasts, in ``tables/``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources


def lines_of(name: str) -> Iterator[str]:
    """The lines of a data file, without remarks."""
    content = resources.files(__package__ or __name__).joinpath("tables", name).read_text(encoding="utf-8")
    return (line for line in content.splitlines() if line.strip() and not line.startswith("#"))


@cache
def _lists() -> dict[str, frozenset[str]]:
    parted = (line.partition(": ") for line in lines_of("words.txt"))
    return {name: frozenset(words.split()) for name, _, words in parted}


def word_list(name: str) -> frozenset[str]:
    """A list of ``tables/words.txt`` by its name."""
    return _lists()[name]
