"""What a study starts from, read and hashed once: checkpoint folders, data sets, an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from telbench.errors import InputError

from ...harness.checkpoint import open_checkpoint
from ...harness.datasets.items import DataSet
from ...harness.datasets.loading import limited, load_asked
from ...harness.engines.contract import engine_named
from ...harness.identity import file_sha256, identify_checkpoint
from ...harness.runs.settings import EvalSettings
from ...judges.spec import parse_judges
from ...metrics.contract import metrics_named
from ...metrics.embedding.encoder import encoder_resources
from ...metrics.fingerprints import fingerprint
from ..settings import NONE
from .graph import Sources
from .settings import SCRATCH, StudySettings, shared_data

# A token of English prose is about so many characters: for estimates only.
CHARACTERS_A_TOKEN = 4.0


@dataclass(frozen=True)
class Amount:
    """How much there is, for estimates: items, and characters of prompts and first references."""

    items: int
    questions: int
    answers: int

    @property
    def tokens(self) -> float:
        """Tokens of prompts and answers, about."""
        return (self.questions + self.answers) / CHARACTERS_A_TOKEN

    @property
    def answer_tokens(self) -> float:
        """Tokens of answers, about; each has an end."""
        return self.answers / CHARACTERS_A_TOKEN + self.items


@dataclass(frozen=True)
class Found:
    """The sources' hashes, the amounts of data, and of the checkpoints that were there before weights' bytes and width.

    ``width``: numbers in a hidden state, where ``config.json`` tells.
    """

    sources: Sources
    training: Amount
    evaluation: Amount
    model_bytes: Mapping[str, int]
    width: Mapping[str, int | None]


def find_sources(settings: StudySettings) -> Found:
    """Open and hash everything that the study reads; models with unlike vocabularies are held to the right half.

    Raises:
        InputError: for data, checkpoints, metrics, judges or an encoder that are not there, or a half whose
            vocabularies are not as it says.
    """
    data = shared_data(settings)
    trained = load_asked(data)
    hashes = [trained.items_sha256]
    if data.dev_split != NONE:
        hashes.append(load_asked(data, data.dev_split).items_sha256)
    asked = settings.evaluation
    _require_measurable(asked)
    measured = load_asked(asked.data)
    folders = _folders(settings)
    models, sizes, width = {}, {}, {}
    for folder in folders:
        checkpoint = open_checkpoint(folder)
        models[folder] = identify_checkpoint(checkpoint, None).sha256
        config = checkpoint.config.get("text_config") or checkpoint.config
        width[folder] = config.get("hidden_size") if isinstance(config, dict) else None
        sizes[folder] = sum(file.stat().st_size for file in checkpoint.weight_files)
    _require_halves(settings)
    return Found(
        Sources(models, fingerprint(hashes), measured.items_sha256, _encoder_sha256(asked.metrics.encoder)),
        amount_of(limited(trained, data.limit, 0), contexts=data.context == "open", longest=data.max_length),
        amount_of(
            limited(measured, asked.data.limit, asked.sampling.seed),
            contexts=(asked.prompt.context or measured.book) == "open",
            longest=asked.engine.max_model_len,
        ),
        sizes,
        width,
    )


def _require_measurable(asked: EvalSettings) -> None:
    """Names that a run would refuse are refused here, before hours of training."""
    engine_named(asked.engine.engine)
    parse_judges(asked.judging.specs)
    if asked.metrics.encoder:
        encoder_resources(asked.metrics.encoder)
    metrics_named(asked.metrics.metrics)


def amount_of(dataset: DataSet, *, contexts: bool = False, longest: int | None = None) -> Amount:
    """Items and characters of a data set, its ``contexts`` included; no prompt is ``longest`` tokens or longer."""
    items = dataset.items
    answers = sum(len(item.gold_references[0]) for item in items if item.gold_references)
    most = None if longest is None else round(longest * CHARACTERS_A_TOKEN)
    prompts = [len(item.question) + (len(item.context or "") if contexts else 0) for item in items]
    return Amount(len(items), sum(each if most is None else min(each, most) for each in prompts), answers)


def _folders(settings: StudySettings) -> list[str]:
    found = {}
    for vocabulary in settings.factors.vocabulary:
        for side in (settings.models.student, settings.models.teacher):
            name = side.of(vocabulary)
            if name and not name.startswith(SCRATCH):
                found[name] = None
    return list(found)


def _require_halves(settings: StudySettings) -> None:
    """Token-to-id maps decide which half a pair belongs to, never the sizes of their vocabularies."""
    for vocabulary in settings.factors.vocabulary:
        pair = settings.models.teacher.of(vocabulary), settings.models.student.of(vocabulary)
        if any(name is None or name.startswith(SCRATCH) for name in pair):
            continue
        from ..vocabulary.compare import open_tokenizer, vocabulary_facts
        from ..vocabulary.spelling import spelling_of

        teacher, student = (open_tokenizer(name) for name in pair)
        maps = teacher.get_vocab(), student.get_vocab()
        spellings = spelling_of(teacher), spelling_of(student)
        columns = vocabulary_facts(maps, spellings, [student.eos_token_id]).columns
        if (columns is None) == (vocabulary == "same"):
            found = "different vocabularies" if columns is None else "the same vocabulary"
            raise InputError(
                f"models: {pair[0]} and {pair[1]} have {found}, but stand in the half '{vocabulary}' of the study: "
                "telbench kd vocab TEACHER STUDENT tells more"
            )


def _encoder_sha256(encoder: str | None) -> str | None:
    """By content where it is a folder; an id of the hub cache is its own name."""
    if not encoder or not Path(encoder).is_dir():
        return encoder or None
    folder = Path(encoder)
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix in {".safetensors", ".json"})
    return fingerprint([[str(file.relative_to(folder)), file_sha256(file)] for file in files])
