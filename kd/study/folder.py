"""Where a study keeps what it makes, and the command that makes each thing.

store/NAME-HASH/      artefacts by content: nothing is ever overwritten, and settings changed back find all done
runs/, anchors/       links to the runs of the present settings: what telbench compare is given
settings/, logs/      a file an artefact: what made it, and what its making said
shown/                what loggers write, where --log names some
journal.jsonl         what was made, in what time; what a resumed study believes
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from telbench.config import merged

from ...harness.executors.contract import Task
from ...harness.storage import claim_folder
from .graph import INPUT, Artefact, Graph, is_input
from .showing import SHOWN, Shown

JOURNAL = "journal.jsonl"
RUNS, ANCHORS = "runs", "anchors"


class StudyFolder:
    """The places of a graph's artefacts below one folder."""

    def __init__(self, root: Path, graph: Graph, shown: Shown | None = None) -> None:
        self.root = root
        self.shown = shown or Shown((), root / SHOWN, root.name)
        self._graph = graph

    def create(self) -> None:
        """Make the folders.

        Raises:
            InputError: when something else is there, or nothing can be written.
        """
        claim_folder(self.root, JOURNAL, ("store", "settings", "logs", RUNS, ANCHORS), "study")

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
        return self.root / "settings" / f"{artefact.folder}.json"

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
        text = json.dumps(self._asked(artefact), indent=1, allow_nan=False)
        self.settings_file(artefact).write_text(text + "\n", encoding="utf-8")

    def command(self, artefact: Artefact) -> list[str]:
        """The words after ``telbench``: what to do, the file that says how, and where to."""
        words = {"run": ["eval"], "answers": ["eval"], "student": ["kd", "distill"]}
        verb = words.get(artefact.kind, ["kd", artefact.kind])
        return [*verb, "--config", str(self.settings_file(artefact)), "--out", str(self.path(artefact))]

    def task(self, artefact: Artefact) -> Task:
        """What an executor is given; its claim keeps two processes from making the same artefact at once."""
        claim = self.root / "store" / f".{artefact.folder}.claim"
        return Task(artefact.folder, tuple(self.command(artefact)), self.log(artefact), claim)

    def _asked(self, artefact: Artefact) -> dict[str, Any]:
        """Its settings in the shape that its command reads."""
        settings = self.resolved(artefact)
        if artefact.kind in {"run", "answers"}:
            given = {name: value for name, value in settings.items() if value is not None}
            return {"model": str(self._input(artefact, "model")), **given}
        if artefact.kind == "cache":
            data = {name: value for name, value in settings["data"].items() if name != "dev_split"}
            return {"teacher": str(self._input(artefact, "teacher")), "dtype": settings["dtype"], **data}
        if artefact.kind in {"sft", "student"}:
            return merged(settings, {"keeping": self.shown.in_trainings()})
        return settings

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


def size_of(path: Path) -> int:
    """Bytes of a folder's files."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(folder) / name).stat().st_size
    return total
