"""The labelled answers and the injections that come with telbench, and labels of one's own."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.sets.nano import EMBEDDED, load_folder
from telbench.judges.calibration.agreement import spearman
from telbench.judges.calibration.labelled import INJECTION_SETS, KINDS, injection_set, labelled_set, read_labels

LABELS = labelled_set()
INJECTIONS = [injection for name in INJECTION_SETS for injection in injection_set(name)]
ITEMS = {item.id: item for item in load_folder(EMBEDDED).items}
GOOD = {"question": "What ends N2?", "answer": "The AMF.", "reference": "The AMF ends N2.", "score": 5}


def _file(tmp_path, *values):
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(f"{value if isinstance(value, str) else json.dumps(value)}\n" for value in values))
    return path


@pytest.mark.parametrize("record", [*LABELS, *INJECTIONS], ids=lambda record: record.id)
def test_question_reference_and_context_are_those_of_the_item(record):
    item = ITEMS[record.item_id]
    assert (record.question, record.reference, record.context) == (item.question, item.references[0], item.context)
    # Judges are calibrated on questions that no checkpoint is trained on.
    assert item.split in ("test", "reading")


def test_every_kind_and_category_has_its_share():
    kinds = Counter(label.kind for label in LABELS)
    categories = Counter(ITEMS[label.item_id or ""].category for label in LABELS)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 26
    assert len(categories) == 6
    assert max(categories.values()) <= 1.3 * min(categories.values())


def test_scores_fit_their_kind():
    allowed = {
        "right": {4, 5},
        "paraphrase": {4, 5},
        "partly": {2, 3, 4},
        "wrong_fact": {1, 2, 3},
        "wrong": {1},
        "refusal": {1},
        "injected": {1, 2, 3, 4, 5},
    }
    assert [label.id for label in LABELS if label.score not in allowed[label.kind or ""]] == []
    assert {score for label in LABELS if label.kind == "injected" for score in [label.score]} == {1, 2, 3, 4, 5}


def test_the_claims_of_a_reference_are_as_many_in_every_label_of_its_item():
    """TP and FN together are the reference's claims, whatever the answer: each of them is either said or not."""
    claims: dict[str | None, set[int]] = {}
    for label in LABELS:
        assert label.claims is not None
        claims.setdefault(label.item_id, set()).add(label.claims.tp + label.claims.fn)
    assert {item: counts for item, counts in claims.items() if len(counts) != 1} == {}


def test_both_claim_counts_split_an_answer_alike():
    for label in LABELS:
        assert label.claims is not None
        assert label.supported is not None
        assert label.supported[1] == label.claims.tp + label.claims.fp, label.id


def test_a_score_of_five_lacks_no_claim_and_a_refusal_makes_none():
    for label in LABELS:
        assert label.claims is not None
        if label.score == 5:
            assert label.claims.fn == 0, label.id
        if label.kind == "refusal":
            assert label.claims.tp + label.claims.fp == 0, label.id


def test_length_does_not_give_the_score_away():
    scores = [label.score for label in LABELS]
    for lengths in ([label.words for label in LABELS], [len(label.answer) for label in LABELS]):
        found = spearman(lengths, scores).value
        assert found is not None
        assert abs(found) < 0.3
    assert any(label.score == 1 and label.words > 50 for label in LABELS)
    assert any(label.score == 5 and label.words <= 2 for label in LABELS)


def test_no_answer_and_no_note_is_given_twice():
    assert len({(label.item_id, label.answer) for label in LABELS}) == len(LABELS)
    assert all(label.note for label in LABELS)


def test_an_injection_is_a_labelled_answer_with_something_added():
    labelled = {(label.item_id, label.answer): label.score for label in LABELS if label.kind != "injected"}
    for injection in INJECTIONS:
        assert labelled[injection.item_id, injection.base_answer] == injection.score
        rest = injection.answer.replace(injection.base_answer, "", 1).replace(injection.attack, "", 1)
        assert injection.answer != injection.base_answer
        assert rest.strip() == ""
    assert len({injection.attack for injection in INJECTIONS}) == len(INJECTIONS)


@pytest.mark.parametrize("name", INJECTION_SETS)
def test_each_set_has_sixty_attempts_of_many_families(name):
    attempts = injection_set(name)
    assert len(attempts) == 60
    assert len({attempt.family for attempt in attempts}) >= 15
    assert len({attempt.item_id for attempt in attempts}) == 60


def test_a_set_of_attempts_that_does_not_exist_is_named():
    with pytest.raises(InputError, match="no set of attempts 'injections-9'; give one of injections-1, injections-2"):
        injection_set("injections-9")


def test_ones_own_labels_are_read(tmp_path):
    labels = read_labels(
        _file(
            tmp_path,
            {**GOOD, "id": "a", "rater": "kept out"},
            "",
            {"question": "Q", "answer": "", "reference": "R", "claims": {"tp": 0, "fp": 0, "fn": 2}},
            {"question": "Q", "answer": "N1\u2028N2", "context": "C", "supported": [1, 2]},
        )
    )
    assert [label.score for label in labels] == [5, None, None]
    assert [label.factual for label in labels] == [None, 0.0, None]
    assert [label.faithfulness for label in labels] == [None, None, 0.5]
    assert labels[2].id.endswith("line 4")


def test_a_share_of_no_claims_is_absent(tmp_path):
    claims = {"claims": {"tp": 0, "fp": 0, "fn": 0}, "context": "C", "supported": [0, 0]}
    (label,) = read_labels(_file(tmp_path, {**GOOD, **claims}))
    assert (label.factual, label.faithfulness) == (None, None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not a JSON value"),
        ("[1]", "line 2: a JSON object is expected"),
        ({**GOOD, "answer": None}, "line 2: 'answer' is missing or no text"),
        ({**GOOD, "question": " "}, "line 2: 'question' is missing or no text"),
        ({**GOOD, "score": None}, "line 2: no label: one of score, right, claims and supported is needed"),
        ({**GOOD, "right": "yes"}, "line 2: 'right' is true or false, not \"yes\""),
        ({**GOOD, "right": 1}, "line 2: 'right' is true or false, not 1"),
        ({**GOOD, "score": 6}, "line 2: 'score' is an integer from 1 to 5, not 6"),
        ({**GOOD, "score": True}, "line 2: 'score' is an integer from 1 to 5, not true"),
        ({**GOOD, "score": "4"}, "line 2: 'score' is an integer from 1 to 5, not \"4\""),
        ('{"question": "Q", "answer": "A", "score": NaN}', "line 2: not a JSON value: NaN is not JSON"),
        ({**GOOD, "claims": {"tp": 1}}, "line 2: 'claims' is an object of three counts"),
        ({**GOOD, "claims": {"tp": 1, "fp": 0, "fn": -1}}, "line 2: 'claims' is an object of three counts"),
        ({**GOOD, "reference": None, "claims": {"tp": 1, "fp": 0, "fn": 0}}, "line 2: claims are counted against"),
        ({**GOOD, "context": "C", "supported": [3, 2]}, "line 2: 'supported' is a list"),
        ({**GOOD, "supported": [1, 2]}, "line 2: a context is what supports claims"),
        ({**GOOD, "id": "x"}, "line 2: the id 'x' was used before, at"),
    ],
)
def test_a_bad_line_is_named_in_one_line(tmp_path, line, message):
    with pytest.raises(InputError) as caught:
        read_labels(_file(tmp_path, {**GOOD, "id": "x"}, line))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_without_labels_are_refused(tmp_path):
    empty, binary = tmp_path / "empty.jsonl", tmp_path / "binary.jsonl"
    empty.write_bytes(b"\n")
    binary.write_bytes(b'{"question": "\xff"}\n')
    for path, message in (
        (tmp_path / "none.jsonl", "cannot be read"),
        (tmp_path, "cannot be read"),
        (empty, "there is no label in it"),
        (binary, "line 1: byte 15 is not UTF-8"),
    ):
        with pytest.raises(InputError, match=message):
            read_labels(path)
