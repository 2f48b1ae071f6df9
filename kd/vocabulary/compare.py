"""May two models be distilled into one another, and how: their token-to-id maps compared, never their sizes.

Mistral 7B v0.1 and TinyLlama both have 32,000 tokens, of which 270 have the same id: vanilla distillation between them
raises no error and teaches nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from telbench.errors import InputError, missing_extra

from ...harness.tokenizing import load_tokenizer
from ..objectives.contract import Permission, VocabularyFacts, permissions
from .alignment import align, tokens_of
from .spelling import Spelling, ids_by_text, spelling_of

Relation = Literal["identical", "identical, padded", "different"]


@dataclass(frozen=True)
class Side:
    """One model's vocabulary as far as its folder tells; ``spelling``: how its tokens stand for text."""

    name: str
    tokens: int
    head_rows: int | None
    special: Mapping[str, int]
    bos: str | None
    eos: tuple[int, ...]
    tokenizer_adds_bos: bool
    template_adds_bos: bool | None
    spelling: Spelling

    @property
    def double_bos(self) -> bool:
        """Would text from the chat template get a second beginning when tokenized like any other text?"""
        return self.tokenizer_adds_bos and bool(self.template_adds_bos)


@dataclass(frozen=True)
class Overlap:
    """Token strings of the two maps: same string and id, same string but another id, and in one map only.

    ``shared_text`` counts tokens that stand for the same text however their tokenizer spells it (``Ġ`` and ``▁``).
    """

    same_id: int
    other_id: int
    only_teacher: int
    only_student: int
    shared_text: int


@dataclass(frozen=True)
class CorpusAlignment:
    """Counts over a corpus of answers; ``same_end`` and ``aligned`` are tokens of the student."""

    answers: int
    student_tokens: int
    teacher_tokens: int
    same_end: int
    aligned: int

    @property
    def ratio(self) -> float | None:
        """Share of the student's answer tokens that end at the same character as a teacher's; none without tokens."""
        return self.same_end / self.student_tokens if self.student_tokens else None

    @property
    def aligned_ratio(self) -> float | None:
        """Share that begins there too: the rows that exact alignment trains on."""
        return self.aligned / self.student_tokens if self.student_tokens else None


@dataclass(frozen=True)
class VocabularyReport:
    """All of it; ``columns`` is the number of shared leading ids that both heads are cut to, if the maps agree."""

    teacher: Side
    student: Side
    relation: Relation
    columns: int | None
    overlap: Overlap
    corpus: CorpusAlignment | None
    permits: Mapping[str, Permission]


def compare_vocabularies(
    teacher: Side,
    student: Side,
    maps: tuple[Mapping[str, int], Mapping[str, int]],
    corpus: CorpusAlignment | None = None,
    *,
    naive_id_kd: bool = False,
) -> VocabularyReport:
    """The report from both sides and their token-to-id ``maps`` (teacher's, student's; added tokens included)."""
    ratio = None if corpus is None else corpus.aligned_ratio
    facts = vocabulary_facts(maps, (teacher.spelling, student.spelling), student.eos[:1], ratio, naive=naive_id_kd)
    columns = facts.columns
    padded = any(side.head_rows not in {None, columns} or side.tokens != columns for side in (teacher, student))
    relation: Relation = "different" if columns is None else "identical, padded" if padded else "identical"
    overlap = _overlap(*maps, facts.shared_text)
    return VocabularyReport(teacher, student, relation, columns, overlap, corpus, permissions(facts))


def vocabulary_facts(
    maps: tuple[Mapping[str, int], Mapping[str, int]],
    spellings: tuple[Spelling, Spelling],
    ends: Sequence[int | None],
    aligned_ratio: float | None = None,
    *,
    naive: bool = False,
) -> VocabularyFacts:
    """What two vocabularies (teacher's, student's) have in common; ``ends`` are ids that the student ends answers with.

    Trainings and ``telbench kd vocab`` both decide by it.
    """
    columns = shared_columns(*maps, spellings[1].literal)
    if columns is not None and any(end is not None and end >= columns for end in ends):
        # The labels say a token that the teacher's head cannot.
        columns = None
    return VocabularyFacts(columns, shared_text(maps, spellings), aligned_ratio, naive)


def shared_columns(teacher: Mapping[str, int], student: Mapping[str, int], added: Collection[str] = ()) -> int | None:
    """How many leading columns of both heads mean the same tokens; None where the maps disagree.

    They agree if every token of the student has the same id in the teacher; the columns reach to the largest of them.
    Tokens that were ``added`` to the student's vocabulary behind all others (a ``[PAD]``, say) may be its own.

    >>> shared_columns({"a": 0, "b": 1, "c": 2}, {"a": 0, "b": 1})
    2
    >>> shared_columns({"a": 0, "b": 1}, {"b": 0, "a": 1}) is None
    True
    >>> shared_columns({"a": 0, "b": 1}, {"a": 0, "b": 1, "[PAD]": 2}, {"[PAD]"})
    2
    """
    own = {token for token in added if token in student and token not in teacher}
    both = {token: index for token, index in student.items() if token not in own}
    if not both or any(teacher.get(token) != index for token, index in both.items()):
        return None
    columns = max(both.values()) + 1
    return None if any(student[token] < columns for token in own) else columns


def shared_text(maps: tuple[Mapping[str, int], Mapping[str, int]], spellings: tuple[Spelling, Spelling]) -> int:
    """How many texts have a token in both maps (teacher's, student's), however each spells them."""
    theirs, ours = (ids_by_text(*each) for each in zip(maps, spellings, strict=True))
    return len(theirs.keys() & ours.keys())


def shared_tokens(teacher: Any, student: Any) -> tuple[list[int], list[int]]:
    """Ids (teacher's, student's) of the tokens that stand for the same text in both tokenizers, in the student's order.

    What a token stands for says each tokenizer's decoder (`spelling`): ``Ġ`` of byte-level and ``▁`` of SentencePiece
    vocabularies are the same space. Added tokens are shared where their strings are, and the two end-of-sequence
    tokens always are.
    """
    theirs, ours = (ids_by_text(each.get_vocab(), spelling_of(each)) for each in (teacher, student))
    pairs = {index: theirs[text] for text, index in ours.items() if text in theirs}
    if student.eos_token_id is not None and teacher.eos_token_id is not None:
        pairs[student.eos_token_id] = teacher.eos_token_id
    ordered = sorted(pairs.items())
    return [teacher_id for _, teacher_id in ordered], [student_id for student_id, _ in ordered]


def read_side(name: str, tokenizer: Any, config: Mapping[str, Any], generation: Mapping[str, Any]) -> Side:
    """One side from its tokenizer, ``config.json`` and ``generation_config.json`` (empty where there is none)."""
    ends = [tokenizer.eos_token_id, *_as_list(config.get("eos_token_id")), *_as_list(generation.get("eos_token_id"))]
    text = config.get("text_config")
    rows = config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
    special = sorted(
        zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True), key=lambda pair: pair[1]
    )
    plain = list(tokenizer("a", add_special_tokens=True)["input_ids"])
    return Side(
        name=name,
        tokens=len(tokenizer.get_vocab()),
        head_rows=rows if isinstance(rows, int) else None,
        special=dict(special),
        bos=tokenizer.bos_token,
        eos=tuple(dict.fromkeys(end for end in ends if isinstance(end, int))),
        tokenizer_adds_bos=tokenizer.bos_token_id is not None and plain[:1] == [tokenizer.bos_token_id],
        template_adds_bos=_template_adds_bos(tokenizer),
        spelling=spelling_of(tokenizer),
    )


def measure_corpus(
    teacher: Any, student: Any, answers: Sequence[str], leads: tuple[str, str] = ("", "")
) -> CorpusAlignment:
    """Tokenize every answer with both, each after its own lead (`tokens_of`), and count what aligns.

    Raises:
        InputError: for a tokenizer that does not tell offsets.
    """
    ours = theirs = same_end = aligned = 0
    for answer in answers:
        student_tokens, teacher_tokens = tokens_of(student, answer, leads[1]), tokens_of(teacher, answer, leads[0])
        found = align(student_tokens, teacher_tokens)
        ours += len(student_tokens)
        theirs += len(teacher_tokens)
        same_end += found.same_end
        aligned += len(found.pairs)
    return CorpusAlignment(len(answers), ours, theirs, same_end, aligned)


def open_tokenizer(folder: Any) -> Any:
    """The tokenizer of a local folder, or one line about why there is none."""
    try:
        return load_tokenizer(folder)
    except ImportError as error:
        raise missing_extra("transformers", "hf", "comparing vocabularies") from error
    except Exception as error:  # transformers raises whatever a damaged file provokes
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: no tokenizer can be loaded from it: {reason}") from error


def _overlap(teacher: Mapping[str, int], student: Mapping[str, int], shared: int) -> Overlap:
    both = teacher.keys() & student.keys()
    same = sum(teacher[token] == student[token] for token in both)
    only = len(teacher) - len(both), len(student) - len(both)
    return Overlap(same, len(both) - same, *only, shared)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _template_adds_bos(tokenizer: Any) -> bool | None:
    """Does the chat template begin with the beginning-of-sequence token? None without a template that works."""
    if not tokenizer.chat_template or not tokenizer.bos_token:
        return None
    try:
        text = tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    except Exception:  # a template is a program, and may fail as it likes
        return None
    return str(text).startswith(tokenizer.bos_token)
