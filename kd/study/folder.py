"""Where a study keeps what it makes, and the command that makes each thing.

store/NAME-HASH/      artefacts by content: nothing is ever overwritten, and settings changed back find all done
runs/, anchors/       links to the runs of the present settings: what telbench compare is given
settings/, logs/      a file an artefact: what made it, and what its making said
journal.jsonl         what was made, in what time; what a resumed study believes
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from .graph import INPUT, Artefact, Graph, is_input

JOURNAL = "journal.jsonl"
RUNS, ANCHORS = "runs", "anchors"


class StudyFolder:
    """The places of a graph's artefacts below one folder."""

    def __init__(self, root: Path, graph: Graph) -> None:
        self.root = root
        self._graph = graph

    def create(self) -> None:
        """Make the folders.

        Raises:
            InputError: when something else is there, or nothing can be written.
        """
        try:
            if self.root.is_dir() and not (self.root / JOURNAL).is_file() and any(self.root.iterdir()):
                raise InputError(f"{self.root} exists and holds no study: choose another --out")
            for name in ("store", "settings", "logs", RUNS, ANCHORS):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            (self.root / JOURNAL).touch()
        except OSError as error:
            raise InputError(f"cannot write in {self.root}: {error.strerror}: choose another --out") from error

    def path(self, artefact: Artefact) -> Path:
        """Where the artefact is, or will be."""
        if artefact.kind == "model":
            return Path(artefact.settings["path"])
        return self.root / "store" / artefact.folder

    def log(self, artefact: Artefact) -> Path:
        """What its making says."""
        return self.root / "logs" / f"{artefact.folder}.log"

    def settings_file(self, artefact: Artefact) -> Path:
        """What makes it, as the command reads it."""
        return self.root / "settings" / f"{artefact.folder}.yaml"

    def resolved(self, artefact: Artefact, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Its settings with paths for inputs."""
        found: dict[str, Any] = {}
        for name, value in (artefact.settings if settings is None else settings).items():
            if isinstance(value, Mapping):
                found[name] = self.resolved(artefact, value)
            elif is_input(value):
                maker = self._graph.artefacts[artefact.inputs[value.removeprefix(INPUT)]]
                found[name] = str(self.path(maker))
            else:
                found[name] = value
        return found

    def write_settings(self, artefact: Artefact) -> None:
        """Before its command runs."""
        import yaml

        text = yaml.safe_dump(self.resolved(artefact), sort_keys=False, allow_unicode=True)
        self.settings_file(artefact).write_text(text, encoding="utf-8")

    def command(self, artefact: Artefact) -> list[str]:
        """The words after ``telbench``."""
        out = ["--out", str(self.path(artefact))]
        if artefact.kind in {"run", "answers"}:
            return [*_evaluation(artefact.settings, self._input(artefact, "model")), *out]
        if artefact.kind == "cache":
            return [*_caching(artefact.settings, self._input(artefact, "teacher")), *out]
        verb = {"base": "base", "sft": "sft", "student": "distill"}
        return ["kd", verb[artefact.kind], "--config", str(self.settings_file(artefact)), *out]

    def _input(self, artefact: Artefact, role: str) -> Path:
        return self.path(self._graph.artefacts[artefact.inputs[role]])

    def link_runs(self, finished: Iterable[Artefact]) -> None:
        """Make runs/ and anchors/ show the finished runs of the present settings, and nothing else."""
        wanted = {RUNS: {}, ANCHORS: {}}
        for each in finished:
            if each.kind == "run":
                wanted[ANCHORS if each.anchor else RUNS][each.settings["name"]] = Path("..") / "store" / each.folder
        for name, links in wanted.items():
            folder = self.root / name
            for there in folder.iterdir():
                if there.is_symlink() and (there.name not in links or there.readlink() != links[there.name]):
                    there.unlink()
            for label, target in links.items():
                with contextlib.suppress(FileExistsError):
                    (folder / label).symlink_to(target, target_is_directory=True)


def _evaluation(settings: Mapping[str, Any], model: Path) -> list[str]:
    """``telbench eval`` with the study's settings."""
    words = ["eval", "--model", str(model), "--name", str(settings["name"])]
    words += _flags(settings, ("metrics", "engine", "encoder", "max_tokens"))
    words += _data_flags(settings)
    for spec in settings["judge"]:
        words += ["--judge", spec]
    return words


def _caching(settings: Mapping[str, Any], teacher: Path) -> list[str]:
    """``telbench kd cache`` with the data of the distillations."""
    data = settings["data"]
    own = ["--max-length", str(data["max_length"]), "--dtype", settings["dtype"]]
    return ["kd", "cache", str(teacher), *_data_flags(data), *own]


def _data_flags(settings: Mapping[str, Any]) -> list[str]:
    words = _flags(settings, ("data", "split", "context", "limit", "data_dir"))
    if settings["mapping"]:
        words += ["--map", ",".join(f"{ours}={theirs}" for ours, theirs in settings["mapping"].items())]
    for name, value in settings["options"].items():
        words += ["--option", f"{name}={value}"]
    return words


def _flags(settings: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    words: list[str] = []
    for name in names:
        if settings[name] not in {None, ""}:
            words += ["--" + name.replace("_", "-"), str(settings[name])]
    return words


def size_of(path: Path) -> int:
    """Bytes of a folder's files."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(folder) / name).stat().st_size
    return total
