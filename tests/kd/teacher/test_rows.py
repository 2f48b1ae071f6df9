"""A teacher read from its cache gives the losses of the live one, without a layer of it being loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from telbench.errors import InputError
from telbench.harness.checkpoint import Checkpoint, open_checkpoint
from telbench.harness.datasets.items import DataSet
from telbench.harness.identity import identify_checkpoint
from telbench.harness.prompts.build import PromptSettings, encoder_for
from telbench.kd.batches import Example
from telbench.kd.losses.chunked_head import Projected
from telbench.kd.losses.divergences import GROUP, divergence_named
from telbench.kd.losses.dual_space import CrossModelAttention, LinearProjectors, Stream, dskd, dskd_cma, embedded
from telbench.kd.losses.dual_space_v2 import Aligned, LogitIdentity, dskd_v2, token_map
from telbench.kd.losses.mixture import Loss, Mixture, Pairs, SharedIds
from telbench.kd.losses.token_kd import simple_ctkd, uld_kd, vanilla_kd
from telbench.kd.losses.uld import rows_by_index
from telbench.kd.teacher import tables as teacher_head
from telbench.kd.teacher.cache import CacheKey, examples_sha256, open_cached_teacher
from telbench.kd.teacher.rows import LiveTeacher, TeacherExample, TeacherRows
from telbench.kd.teacher.shards import CacheWriter
from telbench.kd.teacher.tables import Tables, locate
from telbench.kd.tiny.base_model import TinyShape, build_tiny
from telbench.kd.tiny.tokenizer import tokenizer_texts, train_tokenizer
from telbench.kd.vocabulary.alignment import align, tokens_of, with_end
from telbench.kd.vocabulary.compare import shared_tokens
from telbench.registry import listed

from ..made_models import examples_of, model_of

CLOSED = PromptSettings("closed")
WINDOW = 96
WIDTH = 32


def saved(folder: Path, model: Any, tokenizer: Any) -> Checkpoint:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return open_checkpoint(str(folder))


def cached(folder: Path, live: LiveTeacher, checkpoint: Checkpoint, examples: list[TeacherExample]) -> Path:
    folder.mkdir()
    identity = identify_checkpoint(checkpoint, None)
    key = CacheKey(identity.weights_sha256, identity.config_sha256, identity.tokenizer_sha256, None, {}, WINDOW,
                   "float32", examples_sha256(examples))  # fmt: skip
    writer = CacheWriter(folder, key, examples, {})
    writer.source = locate(live, checkpoint)
    for number in writer.missing:
        writer.make(number, live.rows, 5)
    writer.finish()
    return folder


class Side:
    """A tokenizer and the facts as it reads them."""

    def __init__(self, facts: DataSet, vocabulary: int) -> None:
        self.tokenizer = train_tokenizer(tokenizer_texts(facts, CLOSED), vocabulary, WINDOW)
        made = examples_of(facts.items, CLOSED, encoder_for(self.tokenizer, CLOSED), WINDOW)
        self.examples = [TeacherExample(item.id, each) for item, each in zip(facts.items, made, strict=True)]

    def tokens(self, examples: list[TeacherExample]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens read and to be said at the answer rows."""
        read = [token for each in examples for token in each.example.ids[each.example.start - 1 : -1]]
        said = [token for each in examples for token in each.example.ids[each.example.start :]]
        return torch.tensor(read), torch.tensor(said)

    def stream(self, teacher: TeacherRows, hidden: torch.Tensor, examples: list[TeacherExample]) -> Stream:
        read, said = self.tokens(examples)
        items = torch.arange(len(examples)).repeat_interleave(torch.tensor([each.rows for each in examples]))
        return Stream(Projected(hidden, teacher.head), said, embedded(teacher.embedding, read, said), items)


def sharpen(model: Any) -> Any:
    """An untrained model is almost uniform: any row would do for any other."""
    with torch.no_grad():
        model.lm_head.weight.mul_(8)
    return model


class Pair:
    """Teacher, live and cached, and a student with a vocabulary of its own or the teacher's."""

    def __init__(self, folder: Path, facts: DataSet, student_vocabulary: int, *, tied: bool) -> None:
        self.facts = facts
        self.theirs, self.ours = Side(facts, 420), Side(facts, student_vocabulary)
        shape = TinyShape(hidden=48, layers=2, heads=2, inner=48, window=WINDOW, tied=tied)
        model = build_tiny(shape, self.theirs.tokenizer, 3)
        sharpen(model)
        checkpoint = saved(folder / "teacher", model, self.theirs.tokenizer)
        self.live = LiveTeacher(model)
        place = cached(folder / "cache", self.live, checkpoint, self.theirs.examples)
        self.cached = open_cached_teacher(place, checkpoint, verify=True)
        student = replace(shape, hidden=WIDTH, layers=1, inner=32)
        self.student = LiveTeacher(sharpen(build_tiny(student, self.ours.tokenizer, 4)))
        # Not in the order in which they were stored, and of several lengths.
        self.chosen = [7, 0, 22, 13]

    def losses(self, teacher: TeacherRows) -> dict[str, Loss]:
        theirs = [self.theirs.examples[k] for k in self.chosen]
        ours = [self.ours.examples[k] for k in self.chosen]
        student = Projected(self.student.rows(ours).requires_grad_(), self.student.head)
        taught = Projected(teacher.rows(theirs), teacher.head)
        _, labels = self.ours.tokens(ours)
        counts = [each.rows for each in ours], [each.rows for each in theirs]
        per = 1 / len(labels)
        by_index = Pairs.of(*rows_by_index(*counts), len(labels), labels.device)
        aligned = self.aligned(*counts)
        shared = SharedIds(*map(torch.tensor, shared_tokens(self.theirs.tokenizer, self.ours.tokenizer)))
        torch.manual_seed(0)
        attention = CrossModelAttention(WIDTH, 48)
        identity = LogitIdentity(student.head, taught.head, shared)
        stream = self.ours.stream(self.student, student.hidden, ours)
        other = self.theirs.stream(teacher, taught.hidden, theirs)
        found = {
            "uld": uld_kd(student, taught, labels, by_index, per),
            "simple_ctkd": simple_ctkd(student, taught, labels, aligned, shared, per, 1 / len(aligned)),
            "dskd_cma": dskd_cma(stream, other, attention, per),
            "dskd_v2": dskd_v2(
                student, taught, labels, identity, Aligned(aligned, token_map(shared, taught.head.size)), per,
                share=1.0, highest_share=0.0,
            ),
        }  # fmt: skip
        if student.head.size == taught.head.size:
            for name in listed(GROUP):
                found[name] = vanilla_kd(student, taught, labels, per, Mixture(divergence=divergence_named(name)))
            found["dskd"] = dskd(student, taught, labels, LinearProjectors(WIDTH, 48), per)
        return found

    def aligned(self, ours: list[int], theirs: list[int]) -> Pairs:
        rows: tuple[list[int], list[int]] = ([], [])
        first = other = 0
        for place, k in enumerate(self.chosen):
            text = self.facts.items[k].references[0]
            found = align(tokens_of(self.ours.tokenizer, text), tokens_of(self.theirs.tokenizer, text))
            for one, two in with_end(found.pairs, ours[place] - 1, theirs[place] - 1):
                rows[0].append(first + one)
                rows[1].append(other + two)
            first, other = first + ours[place], other + theirs[place]
        return Pairs.of(*rows, sum(ours), torch.device("cpu"))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("vocabulary", "count"), [(420, 12), (350, 4)])
def test_every_loss_from_the_cache_is_that_of_the_live_teacher(
    tmp_path: Path, facts: DataSet, vocabulary: int, count: int, tied: bool
) -> None:
    pair = Pair(tmp_path, facts, vocabulary, tied=tied)
    live, stored, wrong = (pair.losses(each) for each in (pair.live, pair.cached, Rolled(pair.cached)))
    assert len(live) == count
    for name, loss in live.items():
        assert loss.total.item() == pytest.approx(stored[name].total.item(), abs=1e-5), name
        assert loss.total.item() != pytest.approx(wrong[name].total.item(), abs=1e-5), name
        for term, value in loss.sums.items():
            assert value.item() == pytest.approx(stored[name].sums[term].item(), rel=1e-5, abs=1e-5), (name, term)


class Rolled:
    """A teacher whose rows are those of other tokens: what a cache that mixes them up would give."""

    def __init__(self, teacher: TeacherRows) -> None:
        self.head, self.embedding, self._rows = teacher.head, teacher.embedding, teacher.rows

    def rows(self, examples: Sequence[TeacherExample]) -> torch.Tensor:
        return self._rows(examples).roll(1, 0)


def test_rows_are_views_of_the_file_and_only_two_tables_of_the_checkpoint_are_read(
    tmp_path: Path, facts: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    plain = teacher_head._tensor
    monkeypatch.setattr(teacher_head, "_tensor", lambda file, name: read.append(name) or plain(file, name))
    pair = Pair(tmp_path, facts, 420, tied=False)
    read.clear()
    teacher = open_cached_teacher(tmp_path / "cache", open_checkpoint(str(tmp_path / "teacher")))
    assert read == ["lm_head.weight"]
    assert teacher.embedding is teacher.embedding
    assert read == ["lm_head.weight", "model.embed_tokens.weight"]
    one, again = (teacher.cache.rows(pair.theirs.examples[k]) for k in (0, 1))
    assert one.untyped_storage().data_ptr() == again.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("Qwen2", {"tie_word_embeddings": True}),
        ("Gemma2", {"final_logit_softcapping": 5.0}),
        ("Gemma3", {}),
        ("Cohere", {"logit_scale": 0.25}),
        ("Granite", {"logits_scaling": 8.0, "embedding_multiplier": 3.0}),
        ("GPT2", {}),
        ("Phi", {}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_head_and_embedding_from_the_files_are_the_loaded_models(
    tmp_path: Path, facts: DataSet, family: str, changes: dict[str, Any], dtype: torch.dtype
) -> None:
    model = tiny(family, dtype, **changes)
    checkpoint = saved(tmp_path / "teacher", model, Side(facts, 400).tokenizer)
    live = LiveTeacher(model)
    tables = Tables(checkpoint, locate(live, checkpoint))
    head, ids = tables.head(), torch.arange(40)
    assert torch.equal(head.weight, live.head.weight)
    assert (head.scale, head.cap, head.bias is None) == (live.head.scale, live.head.cap, live.head.bias is None)
    hidden = torch.randn(3, head.weight.shape[1]).to(dtype)
    assert torch.equal(head.logits(hidden), live.head.logits(hidden))
    assert torch.equal(tables.embedding()(ids), live.embedding(ids))


def tiny(family: str, dtype: torch.dtype, **changes: Any) -> Any:
    model = model_of(family, **changes)
    with torch.no_grad():
        # Zeros, which biases start from, would be found in any table of zeros.
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) / 50)
    return model.to(dtype)


def test_a_head_that_is_in_none_of_the_files_is_refused(tmp_path: Path, facts: DataSet) -> None:
    model = tiny("Qwen2", torch.float32, tie_word_embeddings=False)
    checkpoint = saved(tmp_path / "teacher", model, Side(facts, 400).tokenizer)
    with torch.no_grad():
        model.lm_head.weight[3, 3] += 1
    with pytest.raises(InputError, match="its output head is none of the tensors in its files"):
        locate(LiveTeacher(model), checkpoint)


def test_an_embedding_that_does_more_than_looking_up_is_left_out(tmp_path: Path, facts: DataSet) -> None:
    model = tiny("Qwen2", torch.float32)
    checkpoint = saved(tmp_path / "teacher", model, Side(facts, 400).tokenizer)
    model.get_input_embeddings().register_forward_hook(lambda module, ids, rows: rows + 1)
    source = locate(LiveTeacher(model), checkpoint)
    assert source.embedding is None
    with pytest.raises(InputError, match="does more to its tokens than look them up"):
        Tables(checkpoint, source).embedding()


def test_another_teacher_or_tokenizer_than_the_caches_is_refused(tmp_path: Path, facts: DataSet) -> None:
    pair = Pair(tmp_path, facts, 420, tied=True)
    model, tokenizer = pair.live.model, pair.theirs.tokenizer
    changes = {
        "other weights": lambda: model.lm_head.weight.mul_(2),
        "other weights, another tokenizer": lambda: tokenizer.add_tokens(["<|tool|>"]),
    }
    for words, change in changes.items():
        with torch.no_grad():
            change()
        other = saved(tmp_path / "other", model, tokenizer)
        with pytest.raises(InputError, match=rf"with another teacher than .*other \({words}\)"):
            open_cached_teacher(tmp_path / "cache", other)


def test_examples_that_are_not_stored_are_told_before_training(tmp_path: Path, facts: DataSet) -> None:
    pair = Pair(tmp_path, facts, 420, tied=True)
    known = pair.theirs.examples
    pair.cached.cache.require(known)
    with pytest.raises(InputError, match="of 24 items 2 are not in it, first new-0: make the cache"):
        pair.cached.cache.require([*known[2:], *(TeacherExample(f"new-{k}", known[k].example) for k in range(2))])
    longer = Example((9, *known[3].example.ids), known[3].example.start + 1)
    with pytest.raises(InputError, match="of 1 items 1 are in it with other tokens, first AMF-0"):
        pair.cached.cache.require([TeacherExample("AMF-0", longer)])
    with pytest.raises(InputError, match="item AMF-0 is with other tokens in"):
        pair.cached.rows([TeacherExample("AMF-0", longer)])


def test_a_live_teacher_has_no_gradient_and_no_dropout(facts: DataSet) -> None:
    side = Side(facts, 400)
    model = build_tiny(TinyShape(hidden=32, layers=1, heads=2, inner=32, window=WINDOW), side.tokenizer, 1).train()
    live = LiveTeacher(model)
    rows = live.rows(side.examples[:3])
    assert rows.shape == (sum(each.rows for each in side.examples[:3]), 32)
    assert not model.training
    assert not any(value.requires_grad for value in (rows, live.head.weight, *model.parameters()))
