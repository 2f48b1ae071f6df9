"""What runs of one process have in common before any engine starts: items, and prompts in the tokens of a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from telbench.config import written

from ...metrics.fingerprints import file_sha256, fingerprint
from ..alike import without_origins
from ..checkpoint import Checkpoint
from ..datasets.items import DataSet
from ..datasets.loading import WholeSet, limited, load_whole
from ..identity import TOKENIZER_PARTS
from .settings import EvalSettings

Made = TypeVar("Made")
# What prompts are built of, beside items and settings.
_TEMPLATES = ("chat_template.jinja", "chat_template.json", "processor_config.json")
# Settings that no prompt depends on: those of runs whose prompts are the same.
_FREE = ("model", "name", "out", "fresh", "cache", "workers", "encoder", "encoder_layer", "encoder_idf", "nli")


class Prepared:
    """Made once and kept for the runs that follow; all of it is read only.

    Files are taken to stay as they are while the process runs.
    """

    def __init__(self) -> None:
        self._made: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` gave for the key, now or before."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def data(self, settings: EvalSettings) -> tuple[WholeSet, DataSet, DataSet]:
        """(All items of the set, its split, what is asked of that). Raises `InputError` as `load_whole`."""
        asked = settings.data
        place = fingerprint({**written(asked), "split": "", "limit": 0})
        everything = self.once(("set", place), lambda: load_whole(asked))
        whole = self.once(("split", place, asked.split), lambda: everything.split(asked.split))
        drawn = ("drawn", place, asked.split, asked.limit, settings.sampling.seed if asked.limit else None)
        return everything, whole, self.once(drawn, lambda: limited(whole, asked.limit, settings.sampling.seed))


def prompts_key(settings: EvalSettings, cutter: Checkpoint | None, needs: frozenset[str]) -> Hashable:
    """What prompts depend on: settings, the files of tokenizer and configuration, and what metrics ask for.

    Judges, encoders and places are left out: they meet answers, not prompts. Raises `InputError` where a file cannot
    be read.
    """
    asked = written(replace(settings, judging=type(settings.judging)()))
    asked = {name: value for name, value in asked.items() if name not in _FREE}
    files: list[Any] = [] if cutter is not None else [settings.model]
    if cutter is not None:
        names = {*TOKENIZER_PARTS, *_TEMPLATES}
        paths = [cutter.tokenizer_path / name for name in sorted(names)]
        paths += sorted((cutter.tokenizer_path / "additional_chat_templates").glob("*.jinja"))
        files = [[path.name, file_sha256(path)] for path in paths if path.is_file()]
        files.append(without_origins(cutter.config))
        files += [str(cutter.path)] if cutter.trust_remote_code else []
    return ("prompts", fingerprint([asked, files, sorted(needs)]))
