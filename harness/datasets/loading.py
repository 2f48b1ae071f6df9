"""From a name or a path to a data set: the registry, the data folder, the split."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from telbench.errors import InputError
from telbench.registry import hint, listed, load_as

from .canonical import load_file
from .contract import DatasetSpec, LoadedItems
from .items import DataSet, Item, Items
from .rows import ending
from .settings import SUITES, DataSettings
from .shapes import READERS
from .splits import ALL, split_sizes

GROUP = "telbench.datasets"
FOLDER_VARIABLE = "TELBENCH_DATA"


@dataclass(frozen=True)
class WholeSet:
    """All items of a set, each with its split, and where they come from."""

    name: str
    items: Sequence[Item]
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    split_rule: str
    source: str
    spec: DatasetSpec | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def split(self, name: str) -> DataSet:
        """One split, or ``all``.

        Raises:
            InputError: if there is no such split (those there are listed).
        """
        if name == ALL or (isinstance(self.items, Items) and self.items.splits[name] == len(self.items)):
            items = self.items
        elif isinstance(self.items, Items):
            items = Items(item for item in self.items if item.split == name).kept
        else:
            items = tuple(item for item in self.items if item.split == name)
        if not items:
            there = ", ".join(f"{split} ({count})" for split, count in split_sizes(self.items).items())
            raise InputError(f"data set '{self.name}' has no split '{name}': there are {there}, and all")
        return DataSet(self.name, name, items, self.dropped, self.split_rule, self.source, self.repaired, self.warnings)


def load_dataset(name_or_path: str, split: str = "test", **options: Any) -> DataSet:
    """One split of a registered set or of a user's file; ``options`` are further fields of `DataSettings`.

    Raises:
        InputError: for everything that the caller got wrong or a file holds wrong, in one line.
    """
    return load_asked(DataSettings(name_or_path, split, **options))


def load_asked(asked: DataSettings, split: str | None = None) -> DataSet:
    """The items that the settings name, all of their split (or of another one). Raises as `load_whole`."""
    return load_whole(asked).split(split or asked.split)


def load_whole(asked: DataSettings) -> WholeSet:
    """All items of the registered set or the user's file that the settings name, of whatever split.

    The mapping may also say what a file of answers calls the ``prediction``: that is no field of an item.

    Raises:
        InputError: for everything that the caller got wrong or a file holds wrong, in one line.
    """
    mapping = {ours: theirs for ours, theirs in asked.mapping.items() if ours != "prediction"}
    if asked.data in listed(GROUP):
        if mapping:
            raise InputError(f"--map renames columns of a file; '{asked.data}' is a registered set with its own loader")
        if asked.skip_bad:
            raise InputError(f"--skip-bad is for files; '{asked.data}' is a registered set with its own rules")
        return load_registered(load_as(GROUP, asked.data, DatasetSpec), asked.data_dir, asked.options)
    if asked.data in SUITES:
        sets = ", ".join(SUITES[asked.data])
        raise InputError(f"'{asked.data}' is a suite: telbench eval asks all its sets, elsewhere name one: {sets}")
    path = Path(asked.data)
    if ending(path) not in READERS and not _exists(path):
        meant = hint(asked.data, listed(GROUP))
        raise InputError(f"unknown data set '{asked.data}': {meant} (a file ends in {', '.join(READERS)})")
    if asked.options:
        raise InputError(
            f"{path}: a file takes no option '{next(iter(asked.options))}': options belong to registered sets"
        )
    if not mapping:
        _refuse_published(path)
    loaded = load_file(path, mapping, skip_bad=asked.skip_bad)
    return WholeSet(
        path.name[: -len(ending(path))],
        loaded.items,
        loaded.dropped,
        loaded.repaired,
        "the file's own field 'split'; a file without one is all 'test'",
        sources([path]),
        warnings=loaded.warnings,
        unread=loaded.unread,
    )


def load_registered(spec: DatasetSpec, data_dir: Path | None, options: Mapping[str, str]) -> WholeSet:
    """All items of a registered set.

    Raises:
        InputError: for an unknown option or value, or a file that is not there or not as published.
    """
    for option, value in options.items():
        if option not in spec.options:
            known = ", ".join(spec.options) or "none"
            raise InputError(f"data set '{spec.name}' has no option '{option}': its options: {known}")
        if value not in spec.options[option]:
            values = " or ".join(spec.options[option])
            raise InputError(f"data set '{spec.name}', option '{option}': '{value}' is unknown: use {values}")
    files = find_files(spec, data_dir) if spec.files else {}
    loaded: LoadedItems = spec.load(files, options)
    if not loaded.items:
        raise InputError(f"data set '{spec.name}': its files hold no usable item: are they the published ones?")
    items = tuple(replace(item, split=spec.split_rule.assign(item)) for item in loaded.items)
    source = sources(list(files.values())) if files else spec.origin
    return WholeSet(
        spec.name, items, loaded.dropped, loaded.repaired, spec.split_rule.words, source, spec, dict(options)
    )


def protects_texts(name: str) -> bool:
    """Does the publisher of that data set keep its texts from being crawled? They are then shown where asked for."""
    return name in listed(GROUP) and load_as(GROUP, name, DatasetSpec).protected


def data_folder(data_dir: Path | None) -> Path | None:
    """The folder with the public sets: as given, else from the environment, else none."""
    named = os.environ.get(FOLDER_VARIABLE)
    return data_dir or (Path(named) if named else None)


def limited(dataset: DataSet, limit: int | None, seed: int) -> DataSet:
    """``limit`` items drawn with the seed, in their order: the first ones would all come from one document."""
    if limit is None or limit >= len(dataset.items):
        return dataset
    if limit < 1:
        raise InputError(f"--limit {limit}: give a positive number of items")
    chosen = sorted(random.Random(f"limit:{seed}").sample(range(len(dataset.items)), limit))
    rule = f"{dataset.split_rule}; {limit} of {len(dataset.items)} items drawn with seed {seed}"
    return replace(dataset, items=tuple(dataset.items[index] for index in chosen), split_rule=rule)


def find_files(spec: DatasetSpec, data_dir: Path | None) -> dict[str, Path]:
    """The files of a set that has some, by name, found in the data folder or in the set's folder there.

    Raises:
        InputError: naming the file, where it was looked for, and how to say where it is.
    """
    folder = data_folder(data_dir)
    if folder is None:
        raise InputError(
            f"data set '{spec.name}' needs {', '.join(spec.files)} (from {spec.origin}): say where with --data-dir DIR "
            f"or {FOLDER_VARIABLE}"
        )
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder: --data-dir (or {FOLDER_VARIABLE}) names the one with the data sets"
        )
    found: dict[str, Path] = {}
    for name in spec.files:
        names = (name, *spec.also.get(name, ()))
        places = [place / each for place in (folder, folder / spec.folder) for each in names]
        existing = [place for place in places if place.is_file()]
        if not existing:
            called = f"{name} (or {', '.join(names[1:])})" if names[1:] else name
            raise InputError(
                f"data set '{spec.name}' needs {called} (from {spec.origin}): it is neither in {folder} nor in "
                f"{folder / spec.folder}: say where with --data-dir DIR or {FOLDER_VARIABLE}"
            )
        found[name] = existing[0]
    return found


def sources(paths: list[Path]) -> str:
    """File names with their SHA-256, so that a run tells which data it used (no folders: they differ by machine)."""
    return ", ".join(f"{path.name} sha256:{_sha256(path)}" for path in paths)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _refuse_published(path: Path) -> None:
    """A published file given as a path would be misread: say which set reads it."""
    if path.suffix.lower() not in {".json", ".csv"} or not _exists(path):
        return
    for name in listed(GROUP):
        try:
            spec = load_as(GROUP, name, DatasetSpec)
        except InputError:
            continue
        if path.name in spec.files:
            raise InputError(f"{path}: this file belongs to the set '{name}': use {name} with --data-dir {path.parent}")
