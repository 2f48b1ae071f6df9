"""Is a judge kin to the candidate? A model prefers answers like its own, so its teacher, base or itself is no judge.

Hashes of weights tell it where telbench made the candidate; elsewhere names do, of model cards and configurations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ..adapter import ADAPTER_CONFIG
from ..checkpoint import Checkpoint, read_json

# Of a model card's head; a list of names stands on the lines below.
_BASE = re.compile(r"^base_model:[ \t]*(.*(?:\n[ \t]*-[^\n]*)*)", re.MULTILINE)
ROLES = {"student": "the model that it was trained from", "teacher": "its teacher"}
ITSELF = "the candidate itself"
BASE = "its base"


def kinship(candidate: Checkpoint | None, weights_sha256: str | None, judge: Mapping[str, Any]) -> str | None:
    """What the judge is to the candidate, in words; None where nothing tells that they are kin.

    Args:
        candidate: its checkpoint, where there is one.
        weights_sha256: of its weights.
        judge: facts of its identity (``weights_sha256`` and ``path`` of a local one, ``model`` of a served one).
    """
    own = judge.get("weights_sha256")
    if own is not None and own == weights_sha256:
        return BASE if candidate is not None and candidate.adapter is not None else ITSELF
    if candidate is None:
        return None
    for role, model in _note(candidate.folder).items():
        if own is not None and isinstance(model, dict) and model.get("weights_sha256") == own and role in ROLES:
            return ROLES[role]
    name = _short(str(judge.get("model") or judge.get("path") or ""))
    if name and name in {_short(each) for each in _bases(candidate)}:
        return BASE
    return ITSELF if name and judge.get("model") and name == _short(candidate.name) else None


def _note(folder: Path) -> dict[str, Any]:
    """The models that telbench made a checkpoint from, by their roles."""
    note = _json(folder / "telbench.json").get("settings")
    models = note.get("models") if isinstance(note, dict) else None
    return models if isinstance(models, dict) else {}


def _bases(candidate: Checkpoint) -> Iterator[str]:
    """Names of the models that a candidate says it comes from."""
    for folder in {candidate.folder, candidate.path}:
        card = folder / "README.md"
        try:
            found = _BASE.search(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else None
        except OSError:
            found = None
        yield from re.split(r"[\s,\[\]\"']+", found[1]) if found else ()
        yield str(_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path") or "")


def _json(file: Path) -> dict[str, Any]:
    try:
        found = read_json(file) if file.is_file() else {}
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def _short(name: str) -> str:
    """A model's name without its owner or folder, as hubs and servers compare it.

    >>> _short("HuggingFaceTB/SmolLM2-135M-Instruct"), _short("- "), _short("/models/smollm2/")
    ('smollm2-135m-instruct', '', 'smollm2')
    """
    return name.strip(" -\t").rstrip("/").rpartition("/")[2].lower()
