"""What a format is: how a finished run is written in it, and how its files become runs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from telbench.config import Bounded, setting
from telbench.errors import InputError
from telbench.registry import listed, load_as

from ...harness.datasets.loading import protects_texts
from ...harness.runs.folder import read_run, read_samples
from ...harness.storage import disk_message
from ..runs.foreign import Reading
from ..runs.loaded import LoadedRun

GROUP = "telbench.formats"
UNKNOWN = "unknown"
Shown = Literal["all", "ids"]
# What the fields of a sample that hold texts become where texts are withheld.
_WITHHELD: Mapping[str, Any] = {"question": "", "references": [], "prediction": ""}
_TEXTS = ("predictions", "reasoning", "choices", "answer", "shown_choices", "option_scores", "letter_scores", "error")
_LONGEST_NAME = 100
# Names that Windows keeps for devices, whatever follows the dot.
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


@dataclass(frozen=True)
class Told(Bounded):
    """What formats ask for and no run knows: where model and data live, who measured, what is published."""

    model_id: str = setting(
        "", "the model's id as ORGANISATION/NAME (default: unknown and the model's name)", metavar="ID"
    )
    data_id: str = setting("", "the data set's id on the Hugging Face hub, as ORGANISATION/NAME", metavar="ID")
    organization: str = setting("", "who made the run", metavar="NAME")
    relation: Literal["first_party", "third_party", "collaborative", "other"] = setting(
        "other", "how whoever made the run stands to the model"
    )
    weights: Literal["open_weights", "closed_weights", "unknown"] = setting("unknown", "can the weights be had")
    url: str = setting("", "where the run can be looked at", metavar="URL")
    items: Shown | None = setting(
        None, "texts of questions and answers, or ids alone (default: all, ids where the publisher protects its texts)"
    )


@dataclass(frozen=True)
class Exported:
    """A finished run on its way out: the folder it lies in, its header, and what was told about it."""

    path: Path
    header: Mapping[str, Any]
    told: Told

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.header["model"]["name"])

    @property
    def model_id(self) -> str:
        """The model's id, with an organisation before the slash."""
        return self.told.model_id or f"{UNKNOWN}/{portable(self.name)}"

    @property
    def task(self) -> str:
        """Data set and split, as other harnesses name a task."""
        data = self.header["data"]
        return portable(f"{data['name']}_{data['split']}")

    @property
    def metrics(self) -> dict[str, Mapping[str, Any]]:
        """The header's entries of metrics that have a value."""
        return {name: entry for name, entry in self.header["metrics"].items() if entry["value"] is not None}

    @property
    def withheld(self) -> bool:
        """Do the files hold ids alone?"""
        if self.told.items is not None:
            return self.told.items == "ids"
        return protects_texts(self.header["data"]["name"])

    def samples(self) -> Iterator[dict[str, Any]]:
        """The run's samples in the order of the data, without texts where these are withheld.

        Raises:
            InputError: naming the line that is damaged.
        """
        withheld = self.withheld
        for sample in read_samples(self.path):
            ids = {key: part for key, part in sample.items() if key not in _TEXTS} | dict(_WITHHELD)
            yield ids if withheld else sample


@dataclass(frozen=True)
class Format:
    """A format by name; registered in the entry-point group ``telbench.formats``.

    ``write`` puts a run into files below a folder and returns them; ``lost`` says what the format cannot hold, and
    ``wants`` which fields of `Told` its readers miss where they are empty, and why.
    ``holds`` says whether a file or folder is of the format, and ``read`` makes runs of it; None: it is not read.
    """

    name: str
    summary: str
    lost: str
    wants: Mapping[str, str] = field(default_factory=dict)
    write: Callable[[Exported, Path], list[Path]] | None = None
    holds: Callable[[Path], bool] | None = None
    read: Callable[[Path, Reading], Sequence[LoadedRun]] | None = None


def formats() -> dict[str, Format]:
    """All formats by name."""
    return {name: load_as(GROUP, name, Format) for name in listed(GROUP)}


def export_run(path: Path, told: Told) -> Exported:
    """The run in a folder, to be written in a format.

    Raises:
        InputError: when the folder holds no finished run, or an id is no ORGANISATION/NAME.
    """
    for flag, given in (("--model-id", told.model_id), ("--data-id", told.data_id)):
        if given and not re.fullmatch(r"[\w.-]+/[\w.-]+", given):
            raise InputError(f"{flag} {given}: write ORGANISATION/NAME")
    folder = path.parent if path.is_file() else path
    return Exported(folder, read_run(folder), told)


def portable(text: str) -> str:
    """A name for files and folders on any system, never empty.

    >>> portable("org/model v1:beta"), portable("../.."), portable("con.txt")
    ('org-model-v1-beta', 'unnamed', '_con.txt')
    """
    name = re.sub(r"[^\w.+-]+", "-", text, flags=re.ASCII).strip(".-")[:_LONGEST_NAME].strip(".-") or "unnamed"
    return f"_{name}" if _RESERVED.match(name) else name


@contextlib.contextmanager
def writing_file(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose content becomes the file at once, when it is whole; its folders are made.

    Raises:
        InputError: when it cannot be written; then an older file is there still.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as stream:
            yield stream
        scratch.replace(path)
    except OSError as error:
        raise InputError(disk_message(error, path)) from error
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
