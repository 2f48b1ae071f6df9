"""Entries: the runs of a suite as records that hold all that their making needs, and the shares of one process."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.config import merged, read_settings
from telbench.errors import InputError

from ...metrics.fingerprints import fingerprint
from ..runs.evaluate import repeating
from ..runs.settings import EvalSettings, eval_settings
from .file import SuiteFile

HASH_DIGITS = 8
# What changes no answer and no score of a run: an entry that differs in these alone is the same entry.
FREE = frozenset(
    {"data_dir", "workers", "cache", "online", "max_in_flight", "deadline", "judge_in_flight", "judge_deadline"}
)


def named(text: str) -> str:
    """A name of a file for what people call something."""
    return re.sub(r"[^\w.+-]+", "_", text)


@dataclass(frozen=True)
class Entry:
    """One run of a suite. ``settings`` are those of ``telbench eval --config``, with whole paths and without ``out``.

    ``model``, ``data`` and ``prompt`` are the names in the suite's file; ``prompt`` is empty where it has none.
    """

    model: str
    data: str
    prompt: str
    settings: Mapping[str, Any]

    @property
    def label(self) -> str:
        """What people call it; files are named by it."""
        parts = [self.model, self.data, *([self.prompt] if self.prompt else [])]
        return named("-".join(parts))

    @property
    def sha256(self) -> str:
        """Of all that its run depends on by name: settings that are changed back find the run that was made."""
        return fingerprint({name: value for name, value in self.settings.items() if name not in FREE})

    @property
    def folder(self) -> str:
        """The name of its run folder."""
        return f"{self.label}-{self.sha256[:HASH_DIGITS]}"

    def asked(self, out: Path | None = None) -> EvalSettings:
        """Its settings, typed. Raises `InputError` for what does not fit."""
        found = eval_settings(**self.settings)
        return found if out is None else read_settings(EvalSettings, {**self.settings, "out": out}, self.label)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record, which `entry_of` reads."""
        return {"model": self.model, "data": self.data, "prompt": self.prompt, "settings": dict(self.settings)}


def entry_of(record: Mapping[str, Any]) -> Entry:
    """The entry of a record. Raises `InputError` where it is none."""
    try:
        return Entry(record["model"], record["data"], record["prompt"], dict(record["settings"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this is no entry of a suite: {json.dumps(record)[:200]}") from error


def entries_of(suite: SuiteFile, where: str) -> list[Entry]:
    """All runs of a suite: data sets of a model together, the baseline's first.

    Raises:
        InputError: for settings that do not fit together, naming the entry; where nothing is left, or two entries have
            one label.
    """
    import yaml

    found: dict[str, Entry] = {}
    for model in suite.order:
        for data, of_data in suite.data.items():
            for prompt, of_prompt in (suite.prompts or {"": {}}).items():
                given: Mapping[str, Any] = {"name": model}
                for more in (suite.settings, of_data, suite.models[model], of_prompt):
                    given = merged(given, more)
                changes = [each for each in suite.changes if _meant(each, model, data, prompt)]
                if any(each.skip for each in changes):
                    continue
                for each in changes:
                    given = merged(given, each.settings)
                asked = read_settings(EvalSettings, given, f"{where}: {'-'.join(filter(None, (model, data, prompt)))}")
                entry = Entry(model, data, prompt, yaml.safe_load(repeating(asked)))
                if entry.label in found:
                    raise InputError(f"{where}: two entries are called {entry.label}: give other names")
                found[entry.label] = entry
    if not found:
        raise InputError(f"{where}: all entries are skipped: leave one in")
    return list(found.values())


def _meant(change: Any, model: str, data: str, prompt: str) -> bool:
    return all(
        not names or own in names
        for names, own in ((change.model, model), (change.data, data), (change.prompt, prompt))
    )


@dataclass(frozen=True)
class Share:
    """What one process makes, in this order."""

    name: str
    entries: tuple[Entry, ...]


def shares_of(entries: Sequence[Entry], alike: Mapping[str, str], places: int) -> list[Share]:
    """Entries in shares for ``places`` processes at once; a share has whole models, of one engine if it can.

    ``alike``: by label, what an engine has to be started for. One place gets all, so that judges are loaded once. For
    more, each engine has a share of its own, and the largest are halved until every place has one.
    """
    if places == 1:
        return [Share("all", tuple(entries))]
    groups: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        groups[alike[entry.label]][entry.model].append(entry)
    shares = [list(by_model.values()) for by_model in groups.values()]
    while len(shares) < places and max(map(len, shares)) > 1:
        largest = max(shares, key=lambda share: (len(share), sum(map(len, share))))
        shares.remove(largest)
        half = (len(largest) + 1) // 2
        shares += [largest[:half], largest[half:]]
    found = [tuple(entry for models in share for entry in models) for share in shares]
    found.sort(key=lambda share: list(entries).index(share[0]))
    return [Share(f"{place:03}-{share[0].folder}", share) for place, share in enumerate(found, 1)]
