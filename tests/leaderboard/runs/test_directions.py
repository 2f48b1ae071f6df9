"""Which way metrics of other harnesses are better: told, logged, or by whole words of a list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.leaderboard.runs.directions import (
    AS_LOGGED,
    HIGHER,
    HIGHER_NAMES,
    LOWER,
    LogSettings,
    by_name,
    direction,
    require_directions,
    share,
)


@pytest.mark.parametrize(
    "name",
    [
        *("pattern", "match", "choice", "model_graded_qa", "acc", "acc_norm", "acc@strict", "tele_mc/acc"),
        *("rougeL", "f1", "exact_match", "chrf++", "squad_f1", "pass_at_1", "likelihood"),
    ],
)
def test_these_are_better_when_higher(name: str) -> None:
    assert by_name(name) is True


@pytest.mark.parametrize(
    "name",
    [
        *("ter", "wer", "cer", "multi/wer", "hallucination_rate", "toxicity", "latency", "ece", "word_perplexity"),
        *("ppl", "bits_per_byte", "brier_score", "eval-loss", "error_rate", "answer_latency", "Judge/Toxicity@strict"),
    ],
)
def test_these_are_better_when_lower(name: str) -> None:
    assert by_name(name) is False


@pytest.mark.parametrize(
    "name",
    [
        *("letter", "criteria", "glossary", "counter", "score", "fluency", "answer_length", "match/cost", "pattern/0"),
        *("accuracy_drop", "hallucination_free", "accuracy_loss", "negative_f1", "false_recall", "error_recall", ""),
    ],
)
def test_of_these_nobody_knows(name: str) -> None:
    assert by_name(name) is None


def test_no_word_is_in_both_lists() -> None:
    assert not set(LOWER) & {*HIGHER, *HIGHER_NAMES}
    assert all(by_name(name) is False for name in LOWER)
    assert all(by_name(name) is True for name in (*HIGHER, *HIGHER_NAMES))


def test_the_documentation_shows_the_lists() -> None:
    page = (Path(__file__).parents[3] / "docs" / "ci.md").read_text()
    for title, words in (("lower", LOWER), ("higher", HIGHER), ("higher, as the whole name", HIGHER_NAMES)):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {title} |")]
        assert re.findall(r"`([^`]+)`", row) == list(words)


def test_the_user_comes_before_the_log_and_the_log_before_the_name() -> None:
    told = LogSettings(lower_is_better=("acc",), higher_is_better=("ter",))
    assert (direction("acc", True, told), direction("ter", False, told)) == (False, True)
    assert (direction("acc", False, AS_LOGGED), direction("ter", True, AS_LOGGED)) == (False, True)
    assert (direction("acc", None, AS_LOGGED), direction("ter", None, AS_LOGGED)) == (True, False)


@pytest.mark.parametrize("called", ["task/clarity@strict", "task/clarity", "clarity@strict", "clarity"])
def test_a_metric_may_be_called_with_or_without_its_task_and_its_filter(called: str) -> None:
    told = LogSettings(lower_is_better=(called,))
    assert direction("task/clarity@strict", None, told) is False
    told.require_known(["task/clarity@strict"])


def test_what_is_said_of_a_metric_that_no_log_has_is_refused() -> None:
    with pytest.raises(InputError, match=r"--lower-is-better clarty: .*did you mean 'clarity'"):
        LogSettings(lower_is_better=("clarty",)).require_known(["clarity"])
    with pytest.raises(InputError, match=r"--higher-is-better acc: .*only those of lm-eval and inspect"):
        LogSettings(higher_is_better=("acc",)).require_known([])


def test_both_ways_at_once_are_refused() -> None:
    with pytest.raises(InputError, match="acc is given as --lower-is-better and as --higher-is-better"):
        LogSettings(("acc",), ("acc",)).require_known(["acc"])


def test_only_metrics_that_are_used_have_to_have_a_direction() -> None:
    require_directions({"clarity": "log.json"}, ["acc"])
    with pytest.raises(InputError, match=r"log\.json: .* for clarity: pass --higher-is-better clarity or --lower"):
        require_directions({"clarity": "log.json"}, ["acc", "clarity"])


def test_shares_of_right_answers_are_known_by_name() -> None:
    assert [share(name) for name in ("acc", "tele/acc_norm", "exact_match@strict", "f1", "accuracy_drop")] == [
        *(True, True, True),
        *(False, False),
    ]
