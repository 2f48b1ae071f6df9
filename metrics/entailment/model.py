"""A local entailment model: any sequence-classification folder whose labels say which of them is entailment."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from telbench.errors import InputError, missing_extra

from ..contract import Resources
from ..embedding.folder import folder_sha256, local_folder, readable, unusable, window_of

# Tokens a batch, padding included.
BATCH_TOKENS = 2048
# Parts of a long premise that are read; tokens that two neighbours share.
MOST_PARTS = 16
OVERLAP = 32
# Pairs whose verdicts are remembered: two metrics ask for the same ones.
_REMEMBERED = 50_000
Pair = tuple[str, str]


class Verdict(NamedTuple):
    """Probabilities that a premise entails and contradicts a hypothesis; ``cut``: not all of both was read.

    ``contradiction`` is None where the model has no label for it.
    """

    entailment: float
    contradiction: float | None
    cut: bool


def entailment_resources(place: str, resources: Resources) -> Resources:
    """The resources with the model that ``--nli`` names; an id that is not cached gives the reason of its absence.

    Raises:
        InputError: for a folder whose model cannot be used, or neither a folder nor a hub id.
    """
    folder, absent = local_folder(place, "--nli", "an entailment model")
    if folder is None:
        return replace(resources, no_nli=absent)
    open_entailment(folder)
    return replace(resources, nli=folder)


def labels_of(id2label: Mapping[Any, Any], where: str) -> tuple[int, int | None]:
    """The places of entailment and contradiction among the outputs; the second is None with two labels.

    They are read from the labels, never guessed: their order differs between models.

    Raises:
        InputError: where no label, or more than one, says entailment; or no other says its opposite.
    """
    names = {
        int(place): str(label).strip().lower().replace("-", "_").replace(" ", "_") for place, label in id2label.items()
    }
    entails = [place for place, name in names.items() if name.startswith("entail")]
    contradicts = [place for place, name in names.items() if name.startswith("contradict")]
    denied = [place for place, name in names.items() if name.startswith(("not_entail", "non_entail", "neutral"))]
    if len(entails) != 1 or len(contradicts) > 1 or not (contradicts or denied):
        told = ", ".join(str(label) for _, label in sorted(id2label.items(), key=lambda each: int(each[0]))) or "none"
        raise InputError(
            f"{where}: the labels are {told}: id2label has to name 'entailment' and 'contradiction' (or "
            "'not_entailment'): write into config.json which output is which, as the model's card says"
        )
    return entails[0], contradicts[0] if contradicts else None


@lru_cache(maxsize=2)
def open_entailment(folder: Path) -> EntailmentModel:
    """The model of a folder, one for all metrics that use it; its weights are read at the first pair.

    Raises:
        InputError: when the folder holds no usable entailment model.
    """
    return EntailmentModel(folder)


class EntailmentModel:
    """An entailment model with its labels; ``sha256`` is the hash of all its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            labels = dict(config.get("id2label") or {})
            self.entails, self.contradicts = labels_of(labels, str(folder / "config.json"))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{folder / 'config.json'} describes no entailment model: give another folder") from error
        if not any(folder.glob("*.safetensors")):
            raise InputError(f"{folder}: no *.safetensors: save the model's weights in that format")
        self.sha256 = folder_sha256(folder)
        # How many pairs were put to the model, that is, not remembered.
        self.asked = 0
        self._known: OrderedDict[Pair, Verdict] = OrderedDict()
        self._model: Any = None
        self._tokenizer: Any = None
        self._longest = 0

    def verdicts(self, pairs: Sequence[Pair]) -> dict[Pair, Verdict]:
        """A verdict for each distinct (premise, hypothesis); blank texts entail and contradict nothing.

        A premise that does not fit is read in overlapping parts; the highest probability over its parts counts. A
        hypothesis longer than half the window is cut.
        """
        wanted = list(dict.fromkeys(pairs))
        found = {pair: self._known[pair] for pair in wanted if pair in self._known}
        fresh = [pair for pair in wanted if pair not in found]
        nothing = Verdict(0.0, None if self.contradicts is None else 0.0, cut=False)
        found |= {pair: nothing for pair in fresh if not all(map(str.strip, pair))}
        if fresh := [pair for pair in fresh if pair not in found]:
            self.asked += len(fresh)
            found |= self._asked(fresh)
        for pair, verdict in found.items():
            self._known[pair] = verdict
            self._known.move_to_end(pair)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _asked(self, pairs: Sequence[Pair]) -> dict[Pair, Verdict]:
        import torch

        self._load()
        rows: list[tuple[int, dict[str, list[int]]]] = []
        cut = [False] * len(pairs)
        for place, pair in enumerate(pairs):
            parts, cut[place] = self._parts(*pair)
            rows += [(place, part) for part in parts]
        rows.sort(key=lambda row: len(row[1]["input_ids"]))
        entailment, contradiction = [0.0] * len(pairs), [0.0] * len(pairs)
        start = 0
        while start < len(rows):
            stop = start + max(1, BATCH_TOKENS // len(rows[start][1]["input_ids"]))
            stop = start + max(1, BATCH_TOKENS // len(rows[min(stop, len(rows)) - 1][1]["input_ids"]))
            batch = rows[start:stop]
            padded = self._tokenizer.pad([part for _, part in batch], return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**padded.to(self._model.device)).logits
            shares = torch.softmax(logits.float(), dim=-1).cpu().tolist()
            for (place, _), row in zip(batch, shares, strict=True):
                entailment[place] = max(entailment[place], row[self.entails])
                if self.contradicts is not None:
                    contradiction[place] = max(contradiction[place], row[self.contradicts])
            start = stop
        return {
            pair: Verdict(entailment[place], None if self.contradicts is None else contradiction[place], cut[place])
            for place, pair in enumerate(pairs)
        }

    def _parts(self, premise: str, hypothesis: str) -> tuple[list[dict[str, list[int]]], bool]:
        """What the model reads of a pair, and whether something of it is left out."""
        premise, hypothesis = map(readable, (premise, hypothesis))
        room = self._longest // 2
        ids = self._tokenizer(hypothesis, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        cut = len(ids["input_ids"]) > room
        if cut:
            hypothesis = hypothesis[: ids["offset_mapping"][room - 1][1]]
        # Half of what the premise has room for: the parts must move on.
        stride = min(OVERLAP, max(0, (self._longest - min(room, len(ids["input_ids"])) - 4) // 2))
        made = self._tokenizer(
            premise,
            hypothesis,
            truncation="only_first",
            max_length=self._longest,
            stride=stride,
            return_overflowing_tokens=True,
            verbose=False,
        )
        names = [name for name in self._tokenizer.model_input_names if name in made]
        parts = [{name: made[name][row] for name in names} for row in range(len(made["input_ids"]))]
        return parts[:MOST_PARTS], cut or len(parts) > MOST_PARTS

    def _load(self) -> None:
        if self._model is not None:
            return
        try:
            import torch
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ImportError as error:
            raise missing_extra("transformers", "embed", "--nli") from error
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model = AutoModelForSequenceClassification.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
        except Exception as error:
            raise unusable("entailment model", self.folder, error) from error
        if not self._tokenizer.is_fast:
            raise InputError(f"{self.folder}: no tokenizer.json: save the tokenizer in that format")
        self._model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self._longest = window_of(self._model.base_model, self._tokenizer)
