"""From settings to what a training needs: models checked, texts paired, steps planned, and one key over all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from telbench.errors import InputError

from ...harness.datasets.items import DataSet, Item
from ...harness.prompts.build import INSTRUCTIONS, PromptSettings
from ...harness.runs.folder import read_run
from ...metrics.fingerprints import fingerprint
from ..batches import Reader, reader
from ..checkpoints import data_facts
from ..losses.mixture import LINEAR
from ..models import Model, load_split, open_model, open_served, window_of
from ..objectives.contract import Objective, algorithms, without_alignment
from ..selection.score import DEV_LOSS
from ..settings import NONE, DataSettings, TrainingSettings
from ..teacher.sparse import Form
from ..vocabulary.link import VocabularyLink, link_vocabularies
from .examples import BatchPlan, PairedExample, pair_examples


@dataclass(frozen=True)
class TrainingTexts:
    """What is trained on and looked at, and what was left out by reason."""

    train: DataSet
    examples: Sequence[PairedExample]
    dropped: Mapping[str, int]
    dev: DataSet | None
    dev_examples: Sequence[PairedExample]


@dataclass(frozen=True)
class Identified:
    """A training by what goes into it. ``key``: hash of everything that its weights depend on."""

    settings: TrainingSettings
    student: Model
    teacher: Model | None
    train: DataSet
    key: str


@dataclass(frozen=True)
class Prepared:
    """A training, ready to begin."""

    settings: TrainingSettings
    student: Model
    teacher: Model | None
    link: VocabularyLink | None
    texts: TrainingTexts
    plan: BatchPlan
    key: str

    @property
    def pad(self) -> int:
        """An id to fill batches with; masks come from lengths, so that any will do."""
        found = self.student.tokenizer.pad_token_id
        return self.student.tokenizer.eos_token_id if found is None else found


def identify(settings: TrainingSettings) -> Identified:
    """Open the models and read the training split; no weights are loaded.

    Raises:
        InputError: for a folder that is no checkpoint, or data that are not there.
    """
    prompts = PromptSettings(settings.data.context)
    student = open_model(settings.student, prompts)
    teacher = None if settings.teacher is None else _opened(settings, settings.teacher, prompts)
    train = load_split(settings.data, settings.data.split)
    return Identified(settings, student, teacher, train, _key(settings, student, teacher, train))


def _opened(settings: TrainingSettings, teacher: str, prompts: PromptSettings) -> Model:
    """The teacher; of one on a server, whose rows are stored, its tokenizer."""
    form = None if settings.teacher_cache is None else _form(settings.teacher_cache)
    served = None if form is None else form.served
    return open_model(teacher, prompts) if served is None else open_served(served, teacher, prompts)


def _form(cache: Path) -> Form | None:
    """What is stored of each row; None: its hidden state."""
    from ..teacher.cache import TeacherCache

    return TeacherCache(cache).form


def _require_takes(settings: TrainingSettings, link: VocabularyLink | None) -> None:
    """Refuse a cache of some tokens for a loss, a temperature or vocabularies that they are not enough for.

    Raises:
        InputError: with the way out.
    """
    method, form = settings.method, None if settings.teacher_cache is None else _form(settings.teacher_cache)
    if form is None:
        return
    what = f"{settings.teacher_cache} holds {form.told}"
    if not method.objective.takes_sparse:
        takers = [each.name for each in algorithms().values() if isinstance(each, Objective) and each.takes_sparse]
        raise InputError(f"{what}: {method.algorithm} needs hidden states; it serves {', '.join(takers)}")
    if link is None or not link.one:
        raise InputError(f"{what}, by their ids: student and teacher must have one vocabulary")
    if method.softness != form.temperature:
        raise InputError(f"{what}: the training's is {method.softness:g}; pass --temperature {form.temperature:g}")
    if form.kind == "sampled" and method.divergence != LINEAR:
        raise InputError(f"{what}: a sample gives {LINEAR} alone, not {method.divergence}; leave --divergence out")


def prepare(identified: Identified, answers: Mapping[str, str] | None = None) -> Prepared:
    """Check and pair everything.

    Args:
        identified: the training.
        answers: the teacher's, by item id (sequence-level KD).

    Raises:
        InputError: for whatever cannot be trained so, in one line.
    """
    settings, student, teacher, train = identified.settings, identified.student, identified.teacher, identified.train
    method = settings.method
    link = None
    if teacher is not None and method.objective.needs == "rows":
        texts = [item.gold_references[0] for item in train.items if item.gold_references]
        names = teacher.checkpoint.name, student.checkpoint.name
        link = link_vocabularies(teacher.encoder, student.encoder, method, texts, names)
        if settings.teacher_cache is not None:
            _require_takes(settings, link)
    texts = _texts(settings, train, student, teacher if link else None, link, answers)
    lengths = [len(example.student.ids) - 1 for example in texts.examples]
    plan = BatchPlan(lengths, settings.optimiser)
    return Prepared(settings, student, teacher, link, texts, plan, identified.key)


def _texts(
    settings: TrainingSettings,
    train: DataSet,
    student: Model,
    teacher: Model | None,
    link: VocabularyLink | None,
    answers: Mapping[str, str] | None,
) -> TrainingTexts:
    data, align = settings.data, settings.method.objective.pairing == "aligned"
    prompts = PromptSettings(data.context)
    ours = reader(student.encoder, window_of(student, data.max_length), "student")
    theirs = None if teacher is None else reader(teacher.encoder, window_of(teacher, data.max_length), "teacher")
    examples, dropped = pair_examples(
        train.items,
        prompts,
        ours,
        theirs,
        one_vocabulary=link is not None and link.one,
        aligned=align,
        spans=settings.method.objective.pairing == "spans",
        answers=answers,
    )
    if not examples:
        raise InputError(
            f"nothing to train on in {train.name}, split {train.split}: "
            + (", ".join(f"{count} items {reason}" for reason, count in dropped.items()) or "it is empty")
        )
    # Nothing is paired for algorithms that pair rows themselves.
    paired = align or (link is not None and link.one and settings.method.objective.pairing == "same rows")
    if paired and not any(example.aligned for example in examples):
        others = " or ".join(without_alignment())
        raise InputError(f"no answer token of the student is also one of the teacher's: use {others}")
    dev, looked_at = (None, ()) if data.dev_split == NONE else _dev(data, train.items, prompts, ours)
    return TrainingTexts(train, examples, dropped, dev, looked_at)


def _dev(
    data: DataSettings, trained: Sequence[Item], prompts: PromptSettings, ours: Reader
) -> tuple[DataSet, Sequence[PairedExample]]:
    try:
        dev = load_split(data, data.dev_split)
    except InputError as error:
        raise InputError(f"{error} (--dev-split chooses the best step; none: the last step is kept)") from error
    known = {item.id for item in trained}
    both = next((item.id for item in dev.items if item.id in known), None)
    if both is not None:
        raise InputError(f"item {both} is in the training split and in the dev split: choose another --dev-split")
    examples, _ = pair_examples(dev.items, prompts, ours)
    if not examples:
        raise InputError(
            f"no item of the dev split '{data.dev_split}' can be used: --dev-split none keeps the last step"
        )
    return dev, examples


def _key(settings: TrainingSettings, student: Model, teacher: Model | None, train: DataSet) -> str:
    """Paths do not count, contents do; neither does how often is saved, nor what a machine has room for."""
    told, keeping = settings.to_dict(), settings.keeping
    for name in ("student", "teacher", "teacher_cache", "teacher_run", "keeping", "factors"):
        del told[name]
    del told["data"]["data_dir"]
    # As they stand in all keys that were made before they could be changed.
    told["optimiser"] |= {"micro_batch_size": None, "gradient_checkpointing": False, "threads": 1}
    told["optimiser"].pop("micro_batch_tokens", None)
    if settings.by_vllm:
        del told["rollout"]["memory"]
    return fingerprint(
        [
            told,
            keeping.keep,
            keeping.evaluate_every,
            # What is saved as always keeps the key that it always had.
            *([] if (keeping.save, keeping.save_dtype) == ("both", "float32") else [keeping.save, keeping.save_dtype]),
            # What chooses and what ends a training count where they are not what they always were.
            *([] if keeping.select == DEV_LOSS else [keeping.select, keeping.select_max_tokens]),
            *([] if keeping.patience is None else [f"patience {keeping.patience}"]),
            dict(settings.factors),
            student.identity.sha256,
            None if teacher is None else teacher.identity.sha256,
            None if settings.teacher_cache is None else _rows_format(settings.teacher_cache),
            None if settings.teacher_run is None else read_run(settings.teacher_run)["run_id"],
            data_facts(train),
            INSTRUCTIONS,
            version("telbench"),
        ]
    )


def _rows_format(cache: Path) -> str:
    """The number format of the teacher's stored rows, and what is stored of each."""
    from ..teacher.cache import TeacherCache

    key = TeacherCache(cache).record["key"]
    return str(key["dtype"]) + (f" {fingerprint(key['form'])}" if key.get("form") else "")


def place_beside(out: Path) -> Path:
    """The working folder of a training that will end at ``out``."""
    return out.parent / f"{out.name}.training"
