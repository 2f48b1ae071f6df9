"""Before anything is started: can every entry be made, of how many items, and which of them share an engine?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from telbench.errors import InputError

from ..cli.terminal import Reporter
from ..fleet.engines import Asked, load_key
from ..identity import identify_tokenizer
from ..runs.plan import open_plan
from ..runs.prepared import Prepared
from ..runs.requests import answer_tokens
from .entries import Entry


@dataclass(frozen=True)
class Checked:
    """An entry that can be made. ``items`` are asked, each ``samples`` times, for at most ``tokens`` tokens an answer.

    ``loads``: entries with the same one can be answered by one engine; ``dataset``: its name in run headers.
    """

    entry: Entry
    items: int
    samples: int
    tokens: int
    loads: str
    dataset: str


class _Unheard(Reporter):
    """Of many entries nobody wants to read each one's notes before it is made."""

    def note(self, text: str) -> None:
        """Say nothing."""


def check_entries(
    entries: Sequence[Entry], where: str, seen: Callable[[Entry], object] = lambda entry: None
) -> list[Checked]:
    """Open every entry's model and data, each data set once; no prompt is built and no weights are read.

    ``seen`` is told of each that is done.

    Raises:
        InputError: for the first entry that cannot be made, naming it.
    """
    prepared, reporter, found = Prepared(), _Unheard(), []
    for entry in entries:
        try:
            settings = entry.asked()
            if settings.adaptive.adaptive:
                raise InputError("a suite compares complete runs, and adaptive ones stop early: drop 'adaptive'")
            opening = open_plan(settings, reporter, prepared)
            checkpoint = opening.engine_settings.checkpoint
            tokenizer = "" if checkpoint is None else identify_tokenizer(checkpoint)
            loads = load_key(Asked(opening.engine, opening.engine_settings, tokenizer))
        except InputError as error:
            raise InputError(f"{where}: {entry.label}: {error}") from error
        tokens = settings.sampling.max_tokens or answer_tokens(opening.whole.items)
        samples, items = settings.sampling.samples, len(opening.dataset.items)
        found.append(Checked(entry, items, samples, tokens, loads, opening.dataset.name))
        seen(entry)
    return found
