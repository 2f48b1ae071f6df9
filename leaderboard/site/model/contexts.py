"""The contexts of open-book runs: run folders hold their hashes, the data set at hand has the texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telbench.config import read_pairs, read_settings, read_yaml
from telbench.errors import InputError
from telbench.registry import listed

from ....harness.datasets.loading import GROUP, data_folder, load_dataset, sources
from ....harness.datasets.rows import ending
from ....harness.datasets.settings import DataSettings
from ....harness.datasets.shapes import READERS
from ....harness.runs.folder import SETTINGS, read_run, read_samples
from ....metrics.fingerprints import fingerprint, text_sha256


@dataclass(frozen=True)
class Contexts:
    """Texts of contexts by their SHA-256, only those that runs name; ``notes`` say in a line each what is lacking."""

    texts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Fingerprint of the contexts that were found: what a board shows changes with them."""
        return fingerprint(sorted(self.texts))

    def shown(self, header: Mapping[str, Any], sample: Mapping[str, Any]) -> str | None:
        """The context of an open-book sample; None in a closed book, or where no text with its hash is at hand."""
        return self.texts.get(sample["context_sha256"]) if header["prompt"]["book"] == "open" else None


NO_CONTEXTS = Contexts()


def find_contexts(folders: Sequence[Path], data_dir: Path | None) -> Contexts:
    """The contexts of the open-book runs in these folders, as far as the data can be had without a network.

    A text counts only if its hash is one that a run has recorded. Data that is not there, or is another version, gives
    a note; a run that cannot be read gives nothing, as reading it for the board says what is wrong with it.
    """
    texts: dict[str, str] = {}
    notes: dict[str, str] = {}
    loaded: set[str] = set()
    for folder in folders:
        try:
            header = read_run(folder)
            data = header["data"]
            if header["prompt"]["book"] != "open" or data["items_sha256"] in loaded:
                continue
            wanted = {sample["context_sha256"] for sample in read_samples(folder)} - {None}
        except (InputError, KeyError, TypeError):
            continue
        if not wanted:
            continue
        try:
            found = {key: text for key, text in _hashed(folder, header, data_dir) if key in wanted}
        except (InputError, OSError, ValueError) as error:
            notes[data["items_sha256"]] = f"contexts are not shown: {error}"
            continue
        loaded.add(data["items_sha256"])
        # An earlier run on the same items may have named a file that is not there.
        notes.pop(data["items_sha256"], None)
        texts |= found
        if lacking := len(wanted) - len(found):
            why = f"{lacking} of {len(wanted)} are not in the {data['name']} at hand, which is another version"
            notes[data["items_sha256"]] = f"contexts are not shown: {why}"
    return Contexts(texts, tuple(dict.fromkeys(notes.values())))


def _hashed(folder: Path, header: Mapping[str, Any], data_dir: Path | None) -> Iterator[tuple[str, str]]:
    """SHA-256 and text of the contexts of a run's data set, each once."""
    data = header["data"]
    asked = _asked(folder, header)
    if asked.data in listed(GROUP):
        dataset = load_dataset(asked.data, split=data["split"], data_dir=data_dir, options=asked.options)
    else:
        file = _file(asked.data, data["source"], data_dir)
        dataset = load_dataset(str(file), split=data["split"], mapping=asked.mapping, skip_bad=asked.skip_bad)
    for text in {item.context for item in dataset.items if item.context}:
        yield text_sha256(text), text


def _asked(folder: Path, header: Mapping[str, Any]) -> DataSettings:
    """The data that the run asked for: by its settings, or by the command of a run that has none (before 0.2)."""
    name = header["data"]["name"]
    if (folder / SETTINGS).is_file():
        given = {"data": name, **read_yaml(folder / SETTINGS)}
        shared = {key: given[key] for key in ("data", "mapping", "options", "skip_bad") if key in given}
        return read_settings(DataSettings, shared, str(folder / SETTINGS))
    command = header["command"]
    options, mapping = (
        {key: value for text in _given(command, flag) for key, value in read_pairs(text).items()}
        for flag in ("--option", "--map")
    )
    return DataSettings(([*_given(command, "--data")] or [name])[-1], mapping=mapping, options=options)


def _given(command: Sequence[str], flag: str) -> Iterator[str]:
    """What a recorded command says after a flag, as two words or as one with ``=``."""
    for place, word in enumerate(command):
        if word == flag and place + 1 < len(command):
            yield command[place + 1]
        elif word.startswith(f"{flag}="):
            yield word.partition("=")[2]


def _file(name: str, source: str, data_dir: Path | None) -> Path:
    """The file of that name, where it was or in the data folder, if it is byte by byte the one that was used."""
    folder = data_folder(data_dir)
    places = [Path(name), *([folder / Path(name).name] if folder else [])]
    # A run from elsewhere may name any path: nothing but a data file with the recorded hash is read as data.
    there = [place for place in places if ending(place) in READERS and place.is_file()]
    for place in there:
        if sources([place]) == source:
            return place
    raise InputError(
        f"{there[0]} is another version than the runs used"
        if there
        else f"{Path(name).name} is not there: say with --data-dir which folder holds it"
    )
