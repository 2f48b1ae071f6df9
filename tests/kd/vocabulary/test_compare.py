"""The vocabulary report: maps decide, never sizes, and what the report permits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main
from telbench.kd.tiny.tokenizer import BOS, EOS, train_tokenizer
from telbench.kd.vocabulary.compare import (
    CorpusAlignment,
    compare_vocabularies,
    measure_corpus,
    read_side,
    shared_columns,
    shared_tokens,
)

TEXTS = ["What does the AMF do in the 5G core?", "It handles registration at 28 GHz.", "PFCP uses port 8805."] * 3
OTHERS = ["delay ≥ 10 µs over the air", "The SMF selects a UPF for every session"] * 3
SMALL, LARGE = train_tokenizer(TEXTS, 300, 64), train_tokenizer(TEXTS + OTHERS, 380, 64)
# As many tokens as SMALL, learnt from other texts: the same strings of bytes, then others at the same ids.
TWIN = train_tokenizer(OTHERS, 300, 64)


def report(teacher: Any, student: Any, rows: tuple[int | None, int | None] = (None, None), **options: Any) -> Any:
    sides = [
        read_side(name, tokenizer, {} if size is None else {"vocab_size": size}, {})
        for name, tokenizer, size in zip(("teacher", "student"), (teacher, student), rows, strict=True)
    ]
    return compare_vocabularies(sides[0], sides[1], (teacher.get_vocab(), student.get_vocab()), **options)


def allowed(found: Any) -> set[str]:
    return {name for name, permit in found.permits.items() if permit.allowed}


def test_one_tokenizer_for_both_permits_everything() -> None:
    found = report(SMALL, SMALL, (300, 300))
    assert (found.relation, found.columns) == ("identical", 300)
    assert allowed(found) == set(found.permits)
    assert (found.overlap.same_id, found.overlap.other_id, found.overlap.shared_text) == (300, 0, 300)


@pytest.mark.parametrize("rows", [(320, 300), (300, 304), (384, 320)])
def test_heads_padded_beyond_the_tokenizer_are_told_and_cut(rows: tuple[int, int]) -> None:
    found = report(SMALL, SMALL, rows)
    assert (found.relation, found.columns) == ("identical, padded", 300)
    assert found.permits["vanilla_kd"].allowed


def test_a_teacher_with_further_tokens_behind_the_students_is_the_same_vocabulary() -> None:
    teacher = train_tokenizer(TEXTS, 300, 64)
    teacher.add_tokens(["<|tool|>", "<|image|>"])
    found = report(teacher, SMALL)
    assert (found.relation, found.columns, found.overlap.only_teacher) == ("identical, padded", 300, 2)


def test_a_student_may_have_added_tokens_of_its_own_behind_all_others_but_none_that_ends_its_answers() -> None:
    student = train_tokenizer(TEXTS, 300, 64)
    student.add_special_tokens({"pad_token": "[PAD]"})
    found = report(SMALL, student)
    assert (found.relation, found.columns, found.overlap.only_student) == ("identical, padded", 300, 1)
    assert allowed(found) == set(found.permits)
    student.eos_token = "[PAD]"
    assert report(SMALL, student).relation == "different"
    ordinary = {**SMALL.get_vocab(), "of its own": 300}
    assert shared_columns(SMALL.get_vocab(), ordinary) is None
    # Added in the middle: the columns behind it would mean other tokens.
    assert shared_columns({"a": 0, "b": 2}, {"a": 0, "x": 1, "b": 2}, {"x"}) is None


def test_equal_sizes_with_other_tokens_are_different_and_vanilla_kd_is_refused() -> None:
    assert len(SMALL) == len(TWIN)
    found = report(TWIN, SMALL, (300, 300))
    assert (found.relation, found.columns) == ("different", None)
    own = {"sft", "seq_kd", "dskd_cma", "dskd_v2", "simple_ctkd", "uld", "gold", "gold_on_policy", "alm"}
    assert allowed(found) == own
    same = sum(SMALL.get_vocab().get(token) == index for token, index in TWIN.get_vocab().items())
    assert found.overlap.same_id == same
    assert found.overlap.same_id + found.overlap.other_id + found.overlap.only_student == 300


def test_the_flag_for_replicating_the_literature_permits_it_and_says_so() -> None:
    found = report(TWIN, SMALL, naive_id_kd=True)
    assert found.permits["vanilla_kd"].allowed
    assert "--naive-id-kd" in found.permits["vanilla_kd"].why
    assert not found.permits["dskd"].allowed
    assert "naive" not in report(SMALL, SMALL, naive_id_kd=True).permits["vanilla_kd"].why


def test_a_hole_in_the_ids_is_no_other_vocabulary() -> None:
    assert shared_columns({"a": 0, "b": 1, "c": 2}, {"a": 0, "c": 2}) == 3
    assert shared_columns({"a": 0}, {"a": 0, "b": 1}) is None
    assert shared_columns({"a": 0}, {}) is None


def test_shared_tokens_are_pairs_of_the_same_text_and_the_two_ends() -> None:
    theirs, ours = shared_tokens(LARGE, SMALL)
    assert ours == sorted(ours)
    assert SMALL.convert_ids_to_tokens(ours) == LARGE.convert_ids_to_tokens(theirs)
    strings = SMALL.get_vocab().keys() & LARGE.get_vocab().keys()
    assert set(SMALL.convert_ids_to_tokens(ours)) == strings
    assert (LARGE.eos_token_id, SMALL.eos_token_id) in set(zip(theirs, ours, strict=True))


def test_a_side_lists_its_ends_special_tokens_and_the_risk_of_a_second_beginning() -> None:
    side = read_side("x", SMALL, {"vocab_size": 320, "eos_token_id": 1}, {"eos_token_id": [1, 4]})
    assert (side.tokens, side.head_rows, side.eos) == (300, 320, (1, 4))
    assert side.special[BOS] == 0
    assert side.special[EOS] == 1
    assert side.double_bos
    plain = train_tokenizer(TEXTS, 300, 64)
    plain.chat_template = None
    assert not read_side("x", plain, {}, {}).double_bos


def test_the_corpus_is_counted_in_the_students_tokens() -> None:
    same = measure_corpus(SMALL, SMALL, ["port 8805", "µs"])
    assert (same.answers, same.aligned) == (2, same.student_tokens)
    # The three tokens of one sign's bytes end once.
    crossed = measure_corpus(LARGE, SMALL, ["The AMF does 10 µs"])
    assert crossed.aligned < crossed.same_end < crossed.student_tokens
    assert crossed.aligned_ratio == crossed.aligned / crossed.student_tokens
    assert measure_corpus(SMALL, LARGE, []).ratio is None


def test_few_aligned_tokens_are_told_beside_the_algorithms_that_need_them() -> None:
    few, many = (CorpusAlignment(3, 100, 120, 90, aligned) for aligned in (20, 80))
    assert (
        report(LARGE, SMALL, corpus=few)
        .permits["dskd_v2"]
        .why.endswith("but only 20% of the answer tokens are aligned")
    )
    assert "only" not in report(LARGE, SMALL, corpus=many).permits["simple_ctkd"].why


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vocabularies")
    for name, tokenizer in (("small", SMALL), ("large", LARGE), ("twin", TWIN)):
        tokenizer.save_pretrained(root / name)
        (root / name / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 320}))
    return {name: root / name for name in ("small", "large", "twin")}


def test_the_command_prints_one_json_document(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["kd", "vocab", str(folders["large"]), str(folders["small"]), "--data", "telecom-nano", "--limit", "20"]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["relation"] == "different"
    assert document["student"] | {"tokens": 300, "head_rows": 320, "name": "small"} == document["student"]
    assert document["corpus"]["answers"] == 20
    assert 0 < document["corpus"]["aligned_ratio"] <= document["corpus"]["ratio"] <= 1
    assert document["permits"]["vanilla_kd"] == {"allowed": False, "why": "the token-to-id maps differ"}
    assert main(arguments) == 0
    assert "vocabularies: different" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["nowhere", "nowhere"], "no such folder"),
        (["small", "EMPTY"], "no tokenizer can be loaded"),
        (["small", "small", "--data", "telecom-nanno"], "did you mean telecom-nano"),
        (["small", "small", "--data", "telecom-nano", "--limit", "0"], "0 is not at least 1"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    folders: dict[str, Path], tmp_path: Path, change: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {**{name: str(path) for name, path in folders.items()}, "EMPTY": str(tmp_path)}
    assert main(["kd", "vocab", *(places.get(word, word) for word in change)]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
